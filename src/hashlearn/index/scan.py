"""Exact search by measuring the distance to every code: compiled, or in NumPy."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.codes import hamming_distances
from hashlearn.engine import choose_kernel, native
from hashlearn.index.bitmaps import Bitmap, as_marks, count_marks
from hashlearn.index.ids import SortedIds, as_array, take
from hashlearn.results import NO_ID, Neighbors, RadiusNeighbors

_BLOCK_BYTES = 1 << 22
"""Distances that one thread holds at a time; small enough to stay in a processor's cache."""

_MIN_WORK = 1 << 20
"""Distances below which starting threads costs more than they save."""

Distances = NDArray[np.uint16]


def scan_nearest(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    ids: SortedIds,
    k: int,
    n_bits: int,
    threads: int,
    *,
    allowed: Bitmap | None = None,
) -> Neighbors:
    """Find the `k` nearest codes of each query.

    Parameters
    ----------
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    ids : ndarray of shape (n,), int64, or range
        Id of each code, rising: the order of positions is then the order of ties.
    k : int
        Number of places for each query.
    n_bits : int
        Length of a code.
    threads : int
        Number of threads, at least 1.
    allowed : ndarray of shape (ceil(n / 64),), uint64, default=None
        Bitmap of the codes that may be found; None allows all.

    Returns
    -------
    Neighbors
        In the order (distance, id); places without an item hold -1 and ``n_bits + 1``.

    Examples
    --------
    >>> codes = np.array([[1], [0], [1]], dtype=np.uint8)
    >>> scan_nearest(codes[:1], codes, np.array([4, 5, 6]), 2, 8, 1).ids
    array([[4, 6]])
    """
    kernel = choose_kernel()
    if allowed is not None and kernel == "numpy":
        codes, ids, allowed = _only(allowed, codes, ids)
    n_found = min(k, len(codes) if allowed is None else count_marks(allowed))
    positions = np.empty((len(queries), n_found), dtype=np.int64)
    bits = np.empty((len(queries), n_found), dtype=np.int32)
    if kernel != "numpy":
        native.scan_nearest(queries, codes, positions, bits, threads, kernel, allowed)
    else:

        def keep(start: int, block: Distances) -> None:
            for row, distances in enumerate(block, start):
                order = _nearest_positions(distances, n_found)
                positions[row], bits[row] = order, distances[order]

        _for_each_block(queries, codes, keep, threads)
    found = take(ids, positions)
    if n_found < k:  # the other places stay empty
        missing = ((0, 0), (0, k - n_found))
        found = np.pad(found, missing, constant_values=NO_ID)
        bits = np.pad(bits, missing, constant_values=n_bits + 1)
    return Neighbors(found, bits)


def scan_radius(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    ids: SortedIds,
    radius: int,
    threads: int,
    *,
    allowed: Bitmap | None = None,
) -> RadiusNeighbors:
    """Find every code within a distance of each query.

    Parameters
    ----------
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    ids : ndarray of shape (n,), int64, or range
        Id of each code, rising.
    radius : int
        Largest distance, itself included.
    threads : int
        Number of threads, at least 1.
    allowed : ndarray of shape (ceil(n / 64),), uint64, default=None
        Bitmap of the codes that may be found; None allows all.

    Returns
    -------
    RadiusNeighbors
        For each query in the order (distance, id).

    Examples
    --------
    >>> codes = np.array([[1], [0], [1]], dtype=np.uint8)
    >>> scan_radius(codes[:1], codes, np.array([4, 5, 6]), 1, 1).ids
    array([4, 6, 5])
    """
    kernel = choose_kernel()
    if allowed is not None and kernel == "numpy":
        codes, ids, allowed = _only(allowed, codes, ids)
    if kernel != "numpy":
        positions, distances, offsets = native.scan_radius(
            queries, codes, radius, threads, kernel, allowed
        )
        return RadiusNeighbors(take(ids, positions), distances, offsets)
    nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    parts: list[tuple[NDArray[Any], NDArray[Any]]] = [nothing] * len(queries)

    def keep(start: int, block: Distances) -> None:
        for row, distances in enumerate(block, start):
            order = _sorted_positions(distances, np.flatnonzero(distances <= radius))
            parts[row] = (take(ids, order), distances[order].astype(np.int32))

    _for_each_block(queries, codes, keep, threads)
    sizes = np.array([0, *(len(part[0]) for part in parts)], dtype=np.int64)
    return RadiusNeighbors(
        np.concatenate([nothing[0], *(part[0] for part in parts)]),
        np.concatenate([nothing[1], *(part[1] for part in parts)]),
        np.cumsum(sizes),
    )


def _only(
    allowed: Bitmap, codes: NDArray[np.uint8], ids: SortedIds
) -> tuple[NDArray[np.uint8], SortedIds, None]:
    """Copy what is allowed."""
    marks = as_marks(allowed, len(codes))
    return codes[marks], as_array(ids)[marks], None


def _nearest_positions(distances: Distances, k: int) -> NDArray[np.intp]:
    """Give the first `k` positions in the order (distance, position)."""
    if 2 * k >= len(distances):
        # Stable sorting of uint16 is a radix sort: linear, and ties keep their order.
        return np.argsort(distances, kind="stable")[:k]
    furthest = np.partition(distances, k - 1)[k - 1]
    return _sorted_positions(distances, np.flatnonzero(distances <= furthest))[:k]


def _sorted_positions(distances: Distances, positions: NDArray[np.intp]) -> NDArray[np.intp]:
    return positions[np.argsort(distances[positions], kind="stable")]


def _for_each_block(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    keep: Callable[[int, Distances], None],
    threads: int,
) -> None:
    """Call `keep` with the number of a block's first query and the block's distances."""
    n_queries, n_codes = len(queries), len(codes)
    if n_queries == 0 or n_codes == 0:
        return
    if n_queries * n_codes < _MIN_WORK:
        threads = 1
    rows = max(1, min(_BLOCK_BYTES // (2 * n_codes), -(-n_queries // threads)))
    starts = range(0, n_queries, rows)

    def work(start: int) -> None:
        keep(start, hamming_distances(queries[start : start + rows], codes))

    if threads == 1:
        for start in starts:
            work(start)
    else:
        with ThreadPoolExecutor(min(threads, len(starts))) as pool:
            for _ in pool.map(work, starts):  # going through the results raises a block's error
                pass
