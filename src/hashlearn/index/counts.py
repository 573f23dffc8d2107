"""How many database codes lie at each distance: all that a metric of tied rankings needs."""

from functools import lru_cache
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import Distance, check_codes, hamming_distances
from hashlearn.engine import available_threads, choose_kernel, native
from hashlearn.index.limits import MAX_BITS, check_integer, check_threads
from hashlearn.index.ranking import spherical_quotients
from hashlearn.results import DistanceCounts

MAX_SPHERICAL_BITS = 1024
"""Codes of so many bits have 319,000 spherical distances, each with its count."""


def count_distances(
    queries: ArrayLike,
    database: ArrayLike,
    n_bits: int,
    relevant: ArrayLike,
    gains: ArrayLike | None = None,
    *,
    distance: Distance = "hamming",
    threads: int | None = None,
) -> DistanceCounts:
    """Count the database codes, and the relevant ones, at each distance from each query.

    Parameters
    ----------
    queries : array-like of shape (q, ceil(n_bits / 8)), uint8
        Packed codes.
    database : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Length of a code, 1 to 65,528.
    relevant : array-like of shape (q, n), bool
        Whether each item is relevant to each query.
    gains : array-like of shape (q, n), uint16, default=None
        What each item is worth to each query, where relevance is graded.
    distance : {"hamming", "spherical"}, default="hamming"
        What to count by: the number of bits that differ; or that number divided by the number of
        ones that two codes share, infinite without any, for at most 1,024 bits.
    threads : int or None, default=None
        Number of threads, 1 to 1024; None takes every processor that the process may use. NumPy,
        for spherical distances or where the engine is missing, takes one. Results are the same for
        any number.

    Returns
    -------
    DistanceCounts
        Counts at the distances 0 to `n_bits`; or at the `levels`, the about 0.3 `n_bits` ** 2
        spherical distances that codes of this length can have. Equal fractions are one level.

    Raises
    ------
    TypeError
        If codes are not uint8, `relevant` is not boolean, `gains` are not uint16, or a number is
        not an integer.
    ValueError
        If a shape does not fit, a number is out of range, or the distance is unknown.

    Notes
    -----
    One pass over the codes for each query, without sorting. The marks are the largest part of the
    memory: a few hundred queries at a time keep them small.

    Examples
    --------
    >>> codes = np.array([[0b00], [0b01], [0b11]], dtype=np.uint8)
    >>> counts = count_distances(codes[:1], codes, 2, [[True, False, True]])
    >>> counts.retrieved.tolist(), counts.hits.tolist()
    ([[1, 1, 1]], [[1, 0, 1]])
    >>> codes = np.array([[0b11], [0b01], [0b00]], dtype=np.uint8)
    >>> marks = [[True, False, True]]
    >>> counts = count_distances(codes[:1], codes, 2, marks, distance="spherical")
    >>> counts.levels, counts.retrieved
    (array([ 0.,  1., inf]), array([[1, 1, 1]]))
    """
    if distance not in get_args(Distance):
        raise ValueError(
            f"distance must be one of {', '.join(get_args(Distance))}; got {distance!r}"
        )
    most = MAX_BITS if distance == "hamming" else MAX_SPHERICAL_BITS
    n_bits = check_integer(n_bits, "n_bits", 1, most)
    threads = check_threads(threads) or available_threads()
    left, right = check_codes(queries, n_bits), check_codes(database, n_bits)
    shape = (len(left), len(right))
    marks = [_check_marks("relevant", relevant, np.bool_, shape).view(np.uint8)]
    if gains is not None:
        marks.append(_check_marks("gains", gains, np.uint16, shape))
    if distance == "spherical":
        return _count_spherical(left, right, n_bits, marks)
    n_levels = 8 * left.shape[1] + 1  # the engine knows whole bytes only
    counts = np.zeros((1 + len(marks), len(left), n_levels), dtype=np.int64)
    if (kernel := choose_kernel()) == "numpy":
        _count(left, right, marks, counts)
    else:
        worth = marks[1] if len(marks) > 1 else None
        native.count_distances(left, right, marks[0], worth, counts, threads, kernel)
    return DistanceCounts(*counts[:, :, : n_bits + 1])


def _check_marks(
    name: str, marks: ArrayLike, dtype: type[np.generic], shape: tuple[int, int]
) -> NDArray[Any]:
    array = np.asarray(marks)
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
    return np.ascontiguousarray(array)


def _count(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    marks: list[NDArray[Any]],
    counts: NDArray[np.int64],
) -> None:
    """Count the codes at each distance, and add up their marks."""
    for number, query in enumerate(queries):
        distances = hamming_distances(query[None], database)[0]
        counts[0, number] = np.bincount(distances, minlength=counts.shape[2])
        for sums, rows in zip(counts[1:], marks, strict=True):
            # Whole numbers, far below 2 ** 53.
            sums[number] = np.bincount(distances, rows[number], minlength=counts.shape[2])


def _count_spherical(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], n_bits: int, marks: list[NDArray[Any]]
) -> DistanceCounts:
    """Count by levels of the spherical distance, which two numbers of bits decide."""
    levels, level_of = _spherical_levels(n_bits)
    counts = np.zeros((1 + len(marks), len(queries), len(levels)), dtype=np.int64)
    left, right = _as_words(queries), _as_words(database)
    ones = np.bitwise_count(right).sum(axis=1, dtype=np.int64)
    for number, query in enumerate(left):
        shared = np.bitwise_count(right & query).sum(axis=1, dtype=np.int64)
        differing = ones + int(np.bitwise_count(query).sum()) - 2 * shared
        found = level_of[differing * (n_bits + 1) + shared]
        counts[0, number] = np.bincount(found, minlength=len(levels))
        for sums, rows in zip(counts[1:], marks, strict=True):
            # Whole numbers, far below 2 ** 53.
            sums[number] = np.bincount(found, rows[number], minlength=len(levels))
    gains = counts[2] if len(marks) > 1 else None
    return DistanceCounts(counts[0], counts[1], gains, levels)


@lru_cache(maxsize=4)  # every block of queries asks for the same
def _spherical_levels(n_bits: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give the distances that codes can have, rising, and which one differing and shared bits have.

    The second is a flat table: the level at ``differing * (n_bits + 1) + shared``. Pairs of numbers
    that no codes have lead to level 0.
    """
    numbers = np.arange(n_bits + 1)
    differing, shared = numbers[:, None], numbers
    possible = differing + shared <= n_bits
    # Different fractions of numbers below 2 ** 16 are rounded to different doubles.
    levels, places = np.unique(
        spherical_quotients(differing, shared)[possible], return_inverse=True
    )
    table = np.zeros(possible.shape, dtype=np.int64)
    table[possible] = places
    levels.flags.writeable = table.flags.writeable = False
    return levels, table.ravel()


def _as_words(codes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Fill codes up with zeros to whole words of eight bytes."""
    words = np.zeros((len(codes), -(-codes.shape[1] // 8)), dtype=np.uint64)
    words.view(np.uint8)[:, : codes.shape[1]] = codes
    return words
