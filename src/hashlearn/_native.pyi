import numpy as np
from numpy.typing import NDArray

def hamming_distances(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], out: NDArray[np.uint16]
) -> None: ...
