"""Exact search by measuring the distance to every code: compiled, or in NumPy.

The environment variable ``HASHLEARN_KERNEL`` chooses: ``numpy``, or the name of a compiled kernel
that this processor runs. Without it the fastest is taken. All give the same results.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.codes import hamming_distances
from hashlearn.results import NO_ID, Neighbors, Pairs, RadiusNeighbors

_native: Any
try:
    from hashlearn import _native
except ImportError:  # built without a compiler: NumPy does the work
    _native = None

_BLOCK_BYTES = 1 << 22
"""Distances that one thread holds at a time; small enough to stay in a processor's cache."""

_MIN_WORK = 1 << 20
"""Distances below which starting threads costs more than they save."""

_PAIR_ROWS = 1024
"""Codes whose pairs are found at a time."""

_COPY_QUERIES = 16
"""Scanning all codes for so many queries costs as much as finding the few that are allowed."""

Distances = NDArray[np.uint16]


def scan_nearest(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    ids: NDArray[np.int64],
    k: int,
    n_bits: int,
    threads: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
) -> Neighbors:
    """Find the `k` nearest codes of each query.

    Parameters
    ----------
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    ids : ndarray of shape (n,), int64
        Id of each code, rising: the order of positions is then the order of ties.
    k : int
        Number of places for each query.
    n_bits : int
        Length of a code.
    threads : int
        Number of threads, at least 1.
    allowed : ndarray of shape (n,), bool, optional
        Which codes may be found; all if not given.

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
    codes, ids, bitmap, n_allowed = _restrict(len(queries), codes, ids, allowed, kernel)
    n_found = min(k, n_allowed)
    positions = np.empty((len(queries), n_found), dtype=np.int64)
    bits = np.empty((len(queries), n_found), dtype=np.int32)
    if kernel != "numpy":
        _native.scan_nearest(queries, codes, positions, bits, threads, kernel, bitmap)
    else:

        def keep(start: int, block: Distances) -> None:
            for row, distances in enumerate(block, start):
                order = _nearest_positions(distances, n_found)
                positions[row], bits[row] = order, distances[order]

        _for_each_block(queries, codes, keep, threads)
    found = _to_ids(positions, ids)
    if n_found < k:  # the other places stay empty
        missing = ((0, 0), (0, k - n_found))
        found = np.pad(found, missing, constant_values=NO_ID)
        bits = np.pad(bits, missing, constant_values=n_bits + 1)
    return Neighbors(found, bits)


def scan_radius(
    queries: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    ids: NDArray[np.int64],
    radius: int,
    threads: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
) -> RadiusNeighbors:
    """Find every code within a distance of each query.

    Parameters
    ----------
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    ids : ndarray of shape (n,), int64
        Id of each code, rising.
    radius : int
        Largest distance, itself included.
    threads : int
        Number of threads, at least 1.
    allowed : ndarray of shape (n,), bool, optional
        Which codes may be found; all if not given.

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
    codes, ids, bitmap, _ = _restrict(len(queries), codes, ids, allowed, kernel)
    if kernel != "numpy":
        positions, distances, offsets = _native.scan_radius(
            queries, codes, radius, threads, kernel, bitmap
        )
        return RadiusNeighbors(_to_ids(positions, ids), distances, offsets)
    nothing = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int32))
    parts: list[tuple[NDArray[Any], NDArray[Any]]] = [nothing] * len(queries)

    def keep(start: int, block: Distances) -> None:
        for row, distances in enumerate(block, start):
            order = _sorted_positions(distances, np.flatnonzero(distances <= radius))
            parts[row] = (ids[order], distances[order].astype(np.int32))

    _for_each_block(queries, codes, keep, threads)
    sizes = np.array([0, *(len(part[0]) for part in parts)], dtype=np.int64)
    return RadiusNeighbors(
        np.concatenate([nothing[0], *(part[0] for part in parts)]),
        np.concatenate([nothing[1], *(part[1] for part in parts)]),
        np.cumsum(sizes),
    )


def scan_pairs(
    codes: NDArray[np.uint8], ids: NDArray[np.int64], radius: int, threads: int
) -> Iterator[Pairs]:
    """Find all pairs of codes that are within a distance of each other.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    ids : ndarray of shape (n,), int64
        Id of each code, rising.
    radius : int
        Largest distance, itself included.
    threads : int
        Number of threads, at least 1.

    Yields
    ------
    Pairs
        Pairs of some codes with all after them, in the order (first id, distance, second id).

    Examples
    --------
    >>> codes = np.array([[0], [7], [1]], dtype=np.uint8)
    >>> [near.distances.tolist() for near in scan_pairs(codes, np.arange(3), 2, 1)]
    [[1, 2]]
    """
    for start in range(0, len(codes), _PAIR_ROWS):
        block = codes[start : start + _PAIR_ROWS]
        near = scan_radius(block, codes[start:], np.arange(len(codes) - start), radius, threads)
        first = np.repeat(np.arange(len(block)), np.diff(near.offsets))
        later = near.ids > first  # each pair once, and none of a code with itself
        if later.any():
            first, second = first[later] + start, near.ids[later] + start
            yield Pairs(ids[first], ids[second], near.distances[later])


def available_threads() -> int:
    """Count the processors that this process may use.

    Returns
    -------
    int
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_kernel() -> str:
    """Choose what scans.

    Returns
    -------
    str
        ``"numpy"``, or the name of a compiled kernel.

    Raises
    ------
    ValueError
        If ``HASHLEARN_KERNEL`` names a kernel that is not there.

    Examples
    --------
    >>> choose_kernel() in ("avx512", "avx2", "popcnt", "portable", "numpy")
    True
    """
    kernels = [*(_native.kernels() if _native is not None else ()), "numpy"]
    wanted = os.environ.get("HASHLEARN_KERNEL") or kernels[0]
    if wanted not in kernels:
        raise ValueError(
            f"HASHLEARN_KERNEL must be one of {', '.join(kernels)} here, got {wanted!r}"
        )
    return wanted


def _restrict(
    n_queries: int,
    codes: NDArray[np.uint8],
    ids: NDArray[np.int64],
    allowed: NDArray[np.bool_] | None,
    kernel: str,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint64] | None, int]:
    """Give the codes to scan, their ids, a bitmap of those that may be found, and their number.

    Compiled kernels pass over what the bitmap forbids. Copying what is allowed pays only if it is
    little and the queries are many.
    """
    if allowed is None:
        return codes, ids, None, len(ids)
    n_allowed = int(np.count_nonzero(allowed))
    # Choosing looks at every code; each that is copied costs as much as looking at some 40.
    copying = _COPY_QUERIES * (len(ids) + 40 * n_allowed)
    if kernel == "numpy" or n_queries * len(ids) > copying:
        return codes[allowed], ids[allowed], None, n_allowed
    words = np.zeros(-(-len(ids) // 64), dtype="<u8")
    packed = np.packbits(allowed, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return codes, ids, words.astype(np.uint64, copy=False), n_allowed


def _to_ids(positions: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn positions into ids; nothing is to be done where they are the same."""
    if len(ids) and ids[0] == 0 and ids[-1] == len(ids) - 1:  # ids rise, so they are 0, 1, 2, ...
        return positions
    return ids[positions]


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
