"""Curves of many queries, from the counts of items and of relevant ones at each distance.

Each is exact over all orders of tied items. The functions that average over queries take
`n_relevant` as :class:`~hashlearn.evaluation.TieGroups` does, and `empty` as
:func:`~hashlearn.evaluation.mean_over_queries`: a query without a relevant item counts as 0, in
precision too, or is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.evaluation.conventions import (
    Empty,
    FloatArray,
    IntArray,
    check_option,
    check_rank,
    divide,
)
from hashlearn.evaluation.ties import TieGroups, within
from hashlearn.results import DistanceCounts


def recall_at_ranks(
    counts: DistanceCounts,
    ranks: Sequence[int] | IntArray,
    *,
    n_relevant: ArrayLike | None = None,
    empty: Empty = "zero",
) -> FloatArray:
    """Compute the mean recall among the first N items, for many N.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    ranks : sequence of int
        Numbers of items N, each at least 1.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.

    Returns
    -------
    ndarray of shape (n_ranks,), float64
        Mean recalls.

    Raises
    ------
    ValueError
        If a rank is below 1, or `n_relevant` does not fit the counts.

    Notes
    -----
    The curves R-1, R-10, R-100 and R-1K of the literature are this one, against N, for the ground
    truths of the 1, 10, 100 and 1,000 nearest items
    (:meth:`hashlearn.evaluation.NeighborTruth.nearest`).

    Examples
    --------
    >>> counts = DistanceCounts(np.array([[1, 2]]), np.array([[1, 1]]))
    >>> recall_at_ranks(counts, [1, 2, 3])
    array([0.5 , 0.75, 1.  ])
    """
    return pr_curve_by_rank(counts, ranks, n_relevant=n_relevant, empty=empty)[1]


def precision_at_ranks(
    counts: DistanceCounts,
    ranks: Sequence[int] | IntArray,
    *,
    n_relevant: ArrayLike | None = None,
    empty: Empty = "zero",
) -> FloatArray:
    """Compute the mean precision among the first N items, for many N.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    ranks : sequence of int
        Numbers of items N, each at least 1. Ranks that hold no item count as misses.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.

    Returns
    -------
    ndarray of shape (n_ranks,), float64
        Mean precisions.

    Raises
    ------
    ValueError
        If a rank is below 1, or `n_relevant` does not fit the counts.
    """
    return pr_curve_by_rank(counts, ranks, n_relevant=n_relevant, empty=empty)[0]


def pr_curve_by_rank(
    counts: DistanceCounts,
    ranks: Sequence[int] | IntArray,
    *,
    n_relevant: ArrayLike | None = None,
    empty: Empty = "zero",
) -> tuple[FloatArray, FloatArray]:
    """Compute the mean precision and recall among the first N items, for many N.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    ranks : sequence of int
        Numbers of items N, each at least 1.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.

    Returns
    -------
    precision : ndarray of shape (n_ranks,), float64
        Mean precisions.
    recall : ndarray of shape (n_ranks,), float64
        Mean recalls.

    Raises
    ------
    ValueError
        If a rank is below 1, or `n_relevant` does not fit the counts.
    """
    total, n_averaged = _averaged(counts, n_relevant, empty)
    places = np.asarray(ranks, dtype=np.int64)
    check_rank(int(places.min(initial=1)))
    hits, recall = np.zeros((2, len(places)))
    for query in np.flatnonzero(total):
        some = counts.retrieved[query] > 0
        # Within a group of ties the expected hits rise in a straight line.
        ends = np.cumsum(np.r_[0, counts.retrieved[query][some]])
        expected = np.interp(places, ends, np.cumsum(np.r_[0, counts.hits[query][some]]))
        hits += expected
        recall += expected / total[query]
    return divide(hits / places, n_averaged, empty=np.nan), divide(recall, n_averaged, empty=np.nan)


def pr_curve_by_radius(
    counts: DistanceCounts,
    *,
    n_relevant: ArrayLike | None = None,
    empty: Empty = "zero",
    unfound: Empty = "zero",
) -> tuple[FloatArray, FloatArray]:
    """Compute the mean precision and recall within each Hamming radius.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.
    unfound : {"zero", "skip"}, default="zero"
        Whether the precision of a query that finds nothing within the radius counts as 0 or is
        left out. Its recall is 0 in either case.

    Returns
    -------
    precision : ndarray of shape (n_levels,), float64
        Mean precisions within the radii 0, 1, 2, ...; NaN where every query is left out.
    recall : ndarray of shape (n_levels,), float64
        Mean recalls.

    Raises
    ------
    ValueError
        If an option is unknown, or `n_relevant` does not fit the counts.

    Notes
    -----
    Every query weighs the same, unlike in :func:`~hashlearn.evaluation.pooled_pr_curve`.

    Examples
    --------
    >>> counts = DistanceCounts(np.array([[2, 2], [0, 4]]), np.array([[1, 0], [0, 1]]))
    >>> pr_curve_by_radius(counts)
    (array([0.25, 0.25]), array([0.5, 1. ]))
    >>> pr_curve_by_radius(counts, unfound="skip")[0]
    array([0.5 , 0.25])
    """
    check_option("unfound", unfound, ("zero", "skip"))
    total, n_averaged = _averaged(counts, n_relevant, empty)
    asked = total > 0
    found = np.cumsum(counts.retrieved[asked], axis=1)
    hits = np.cumsum(counts.hits[asked], axis=1)
    precision = divide(hits, found, empty=0.0).sum(axis=0)
    recall = (hits / total[asked, None]).sum(axis=0)
    # With empty="zero", a query without a relevant item is in the mean even if it finds nothing.
    left_out = (found == 0).sum(axis=0) if unfound == "skip" else 0
    return (
        divide(precision, n_averaged - left_out, empty=np.nan),
        divide(recall, n_averaged, empty=np.nan),
    )


@dataclass(frozen=True)
class Lookup:
    """Hold what looking up all items within a radius finds, on average over the queries.

    Parameters
    ----------
    radius : int
        Hamming radius.
    precision : float
        Mean precision.
    recall : float
        Mean recall.
    f1 : float
        Harmonic mean of the two means.
    unfound : float
        Share of all queries that find nothing within the radius.
    """

    radius: int
    precision: float
    recall: float
    f1: float
    unfound: float


def lookup(
    counts: DistanceCounts,
    radius: int = 2,
    *,
    n_relevant: ArrayLike | None = None,
    empty: Empty = "zero",
    unfound: Empty = "zero",
) -> Lookup:
    """Judge the lookup of all items within a Hamming radius.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    radius : int, default=2
        Largest distance that counts.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.
    unfound : {"zero", "skip"}, default="zero"
        Whether the precision of a query that finds nothing counts as 0 or is left out.

    Returns
    -------
    Lookup
        Precision, recall, F1 and the share of the queries that find nothing.

    Raises
    ------
    ValueError
        If the radius is negative, an option is unknown, `n_relevant` does not fit the counts, or
        these are at other distances than Hamming's.

    Examples
    --------
    >>> counts = DistanceCounts(np.array([[2, 2], [0, 4]]), np.array([[1, 0], [0, 1]]))
    >>> lookup(counts, radius=0)
    Lookup(radius=0, precision=0.25, recall=0.5, f1=0.3333333333333333, unfound=0.5)
    """
    if radius < 0:
        raise ValueError(f"radius must be at least 0, got {radius}")
    curves = pr_curve_by_radius(counts, n_relevant=n_relevant, empty=empty, unfound=unfound)
    unfound_queries = counts.retrieved[:, within(counts, radius)].sum(axis=1) == 0
    last = min(radius, counts.n_levels - 1)
    precision, recall = float(curves[0][last]), float(curves[1][last])
    f1 = float(f1_score(precision, recall))
    return Lookup(radius, precision, recall, f1, float(unfound_queries.mean()))


def f1_score(precision: ArrayLike, recall: ArrayLike) -> FloatArray:
    """Compute the harmonic mean of precision and recall, point by point.

    Parameters
    ----------
    precision : array-like of shape (...), float
        Precisions.
    recall : array-like of shape (...), float
        Recalls.

    Returns
    -------
    ndarray of shape (...), float64
        2 precision recall / (precision + recall); 0 where both are 0.

    Examples
    --------
    >>> f1_score([0.5, 0.0], [1.0, 0.0]).round(4)
    array([0.6667, 0.    ])
    """
    left, right = np.asarray(precision, np.float64), np.asarray(recall, np.float64)
    return divide(2 * left * right, left + right, empty=0.0)


def distance_distributions(counts: DistanceCounts) -> tuple[FloatArray, FloatArray]:
    """Compute how the distances of relevant and of irrelevant pairs are distributed.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.

    Returns
    -------
    relevant : ndarray of shape (n_levels,), float64
        Share of the relevant pairs at the distances 0, 1, 2, ...; all 0 if there is none.
    irrelevant : ndarray of shape (n_levels,), float64
        Likewise of the irrelevant pairs.

    Examples
    --------
    >>> distance_distributions(DistanceCounts(np.array([[1, 4, 5]]), np.array([[1, 1, 0]])))
    (array([0.5, 0.5, 0. ]), array([0.   , 0.375, 0.625]))
    """
    hits = counts.hits.sum(axis=0)
    misses = counts.retrieved.sum(axis=0) - hits
    return divide(hits, hits.sum(), empty=0.0), divide(misses, misses.sum(), empty=0.0)


def _averaged(
    counts: DistanceCounts, n_relevant: ArrayLike | None, empty: Empty
) -> tuple[NDArray[np.int64], int]:
    """Give the number of relevant items of each query, and how many queries a mean is over."""
    check_option("empty", empty, ("zero", "skip"))
    total = TieGroups(counts, n_relevant).n_relevant
    return total, len(total) if empty == "zero" else int((total > 0).sum())
