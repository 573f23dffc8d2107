import numpy as np
from numpy.typing import NDArray

def kernels() -> list[str]: ...
def scan_nearest(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    positions: NDArray[np.int64],
    distances: NDArray[np.int32],
    threads: int,
    kernel: str,
) -> None: ...
def scan_radius(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    radius: int,
    threads: int,
    kernel: str,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def project(
    X: NDArray[np.float32],
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    values: NDArray[np.float32],
    threads: int,
    kernel: str,
) -> None: ...
