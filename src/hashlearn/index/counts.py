"""How many database codes lie at each distance: all that a metric of tied rankings needs."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes, hamming_distances
from hashlearn.results import DistanceCounts


def count_distances(
    queries: ArrayLike,
    database: ArrayLike,
    n_bits: int,
    relevant: ArrayLike,
    gains: ArrayLike | None = None,
) -> DistanceCounts:
    """Count the database codes, and the relevant ones, at each distance from each query.

    Parameters
    ----------
    queries : array-like of shape (q, ceil(n_bits / 8)), uint8
        Packed codes.
    database : array-like of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Length of a code.
    relevant : array-like of shape (q, n), bool
        Whether each item is relevant to each query.
    gains : array-like of shape (q, n), uint8, optional
        What each item is worth to each query, where relevance is graded.

    Returns
    -------
    DistanceCounts
        Counts at the distances 0 to `n_bits`.

    Raises
    ------
    TypeError
        If codes or gains are not uint8, or `relevant` is not boolean.
    ValueError
        If a shape does not fit.

    Examples
    --------
    >>> codes = np.array([[0b00], [0b01], [0b11]], dtype=np.uint8)
    >>> counts = count_distances(codes[:1], codes, 2, [[True, False, True]])
    >>> counts.retrieved.tolist(), counts.hits.tolist()
    ([[1, 1, 1]], [[1, 0, 1]])
    """
    left, right = check_codes(queries, n_bits), check_codes(database, n_bits)
    marks = _check_marks("relevant", relevant, np.bool_, (len(left), len(right)))
    retrieved, hits = _count(left, right, n_bits, marks.view(np.uint8))
    if gains is None:
        return DistanceCounts(retrieved, hits)
    worth = _check_marks("gains", gains, np.uint8, (len(left), len(right)))
    return DistanceCounts(retrieved, hits, _count(left, right, n_bits, worth)[1])


def _check_marks(
    name: str, marks: ArrayLike, dtype: type[np.generic], shape: tuple[int, int]
) -> NDArray[np.generic]:
    array = np.asarray(marks)
    if array.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
    return np.ascontiguousarray(array)


def _count(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], n_bits: int, marks: NDArray[np.generic]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the codes at each distance, and add up their marks."""
    counts = np.zeros((len(queries), n_bits + 1), dtype=np.int64)
    sums = np.zeros_like(counts)
    for number, query in enumerate(queries):
        distances = hamming_distances(query[None], database)[0]
        counts[number] = np.bincount(distances, minlength=n_bits + 1)
        weighted = np.bincount(distances, weights=marks[number], minlength=n_bits + 1)
        sums[number] = weighted.astype(np.int64)  # whole numbers, far below 2 ** 53
    return counts, sums
