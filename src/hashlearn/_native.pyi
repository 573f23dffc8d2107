import numpy as np
from numpy.typing import NDArray

# First bit, starts, positions, words.
_Table = tuple[int, NDArray[np.uint32], NDArray[np.uint32] | None, NDArray[np.uint64] | None]

def kernels() -> list[str]: ...
def scan_nearest(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    positions: NDArray[np.int64],
    distances: NDArray[np.int32],
    threads: int,
    kernel: str,
    allowed: NDArray[np.uint64] | None = None,
) -> None: ...
def scan_radius(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    radius: int,
    threads: int,
    kernel: str,
    allowed: NDArray[np.uint64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def values_rise(codes: NDArray[np.uint8], first_bit: int, n_bits: int) -> bool: ...
def build_table(
    codes: NDArray[np.uint8],
    first_bit: int,
    starts: NDArray[np.uint32],
    positions: NDArray[np.uint32] | None,
    words: NDArray[np.uint64] | None,
    threads: int,
) -> None: ...
def find_nearest(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    tables: list[_Table],
    allowed: NDArray[np.uint64] | None,
    costs: tuple[float, float, float],
    positions: NDArray[np.int64],
    distances: NDArray[np.int32],
    spent: NDArray[np.float64],
    threads: int,
    kernel: str,
) -> None: ...
def find_radius(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    tables: list[_Table],
    allowed: NDArray[np.uint64] | None,
    radius: int,
    threads: int,
    kernel: str,
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]: ...
def count_distances(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    relevant: NDArray[np.uint8],
    gains: NDArray[np.uint16] | None,
    counts: NDArray[np.int64],
    threads: int,
    kernel: str,
) -> None: ...
def nearest_weighted(
    values: NDArray[np.int32],
    exponents: NDArray[np.int32],
    database: NDArray[np.uint8],
    gains: NDArray[np.float32] | None,
    offsets: NDArray[np.float32] | None,
    allowed: NDArray[np.uint64] | None,
    positions: NDArray[np.int64],
    distances: NDArray[np.float64],
    threads: int,
    kernel: str,
) -> None: ...
def project(
    X: NDArray[np.float32],
    weights: NDArray[np.float32],
    bias: NDArray[np.float32],
    values: NDArray[np.float32],
    threads: int,
    kernel: str,
) -> None: ...
