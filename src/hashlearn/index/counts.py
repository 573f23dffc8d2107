"""How many database codes lie at each distance: all that a metric of tied rankings needs."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes, hamming_distances
from hashlearn.engine import available_threads, choose_kernel, native
from hashlearn.index.limits import MAX_BITS, check_integer, check_threads
from hashlearn.results import DistanceCounts


def count_distances(
    queries: ArrayLike,
    database: ArrayLike,
    n_bits: int,
    relevant: ArrayLike,
    gains: ArrayLike | None = None,
    *,
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
    threads : int or None, default=None
        Number of threads, 1 to 1024; None takes every processor that the process may use. NumPy,
        where the engine is missing, takes one. Results are the same for any number.

    Returns
    -------
    DistanceCounts
        Counts at the distances 0 to `n_bits`.

    Raises
    ------
    TypeError
        If codes are not uint8, `relevant` is not boolean, `gains` are not uint16, or a number is
        not an integer.
    ValueError
        If a shape does not fit, or a number is out of range.

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
    """
    n_bits = check_integer(n_bits, "n_bits", 1, MAX_BITS)
    threads = check_threads(threads) or available_threads()
    left, right = check_codes(queries, n_bits), check_codes(database, n_bits)
    shape = (len(left), len(right))
    marks = [_check_marks("relevant", relevant, np.bool_, shape).view(np.uint8)]
    if gains is not None:
        marks.append(_check_marks("gains", gains, np.uint16, shape))
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
