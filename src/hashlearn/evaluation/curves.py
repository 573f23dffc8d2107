"""Curves of many queries, from the counts of items and of relevant ones at each distance."""

import numpy as np
from numpy.typing import ArrayLike

from hashlearn.evaluation.conventions import FloatArray


def pooled_pr_curve(
    retrieved: ArrayLike, hits: ArrayLike, n_relevant: int
) -> tuple[FloatArray, FloatArray]:
    """Compute one precision-recall curve for all queries together, radius by radius.

    Parameters
    ----------
    retrieved : array-like of shape (n_levels,), int
        Pairs of a query and an item at each distance 0, 1, 2, ..., summed over the queries.
    hits : array-like of shape (n_levels,), int
        The relevant ones among them.
    n_relevant : int
        Relevant pairs in all.

    Returns
    -------
    precision : ndarray of shape (n_points,), float64
        Precision within each radius that finds anything, smallest first.
    recall : ndarray of shape (n_points,), float64
        Recall within the same radii.

    Raises
    ------
    ValueError
        If there is no relevant pair.

    Examples
    --------
    >>> pooled_pr_curve([2, 0, 2], [2, 0, 1], 4)
    (array([1.  , 1.  , 0.75]), array([0.5 , 0.5 , 0.75]))
    """
    found = np.cumsum(np.asarray(retrieved, dtype=np.int64))
    good = np.cumsum(np.asarray(hits, dtype=np.int64))
    if n_relevant < 1:
        raise ValueError("there is no relevant pair: precision and recall are not defined")
    any_found = found > 0
    return good[any_found] / found[any_found], good[any_found] / n_relevant


def pooled_pr_area(retrieved: ArrayLike, hits: ArrayLike, n_relevant: int) -> float:
    """Integrate the pooled precision-recall curve by trapezoids.

    This is what the code released with OCH [1]_ prints as mAP. It pools all queries before it
    divides, so it is *not* a mean of average precisions and ranks methods differently.

    Parameters
    ----------
    retrieved : array-like of shape (n_levels,), int
        Pairs of a query and an item at each distance 0, 1, 2, ..., summed over the queries.
    hits : array-like of shape (n_levels,), int
        The relevant ones among them.
    n_relevant : int
        Relevant pairs in all.

    Returns
    -------
    float
        Area from recall 0 to the last point. Up to the recall of the smallest radius that finds
        anything the precision is taken to be that radius's, as in the release.

    Raises
    ------
    ValueError
        If there is no relevant pair.

    References
    ----------
    .. [1] H. Liu et al., 2017, "Ordinal constrained binary code learning for nearest neighbor
       search", AAAI; functions ``recall_precision`` and ``area_RP`` of its release.

    Examples
    --------
    >>> pooled_pr_area([2, 2], [2, 0], 2)
    1.0
    >>> pooled_pr_area([2, 2], [1, 1], 2)
    0.5
    """
    precision, recall = pooled_pr_curve(retrieved, hits, n_relevant)
    if not len(precision):
        return 0.0
    return float(np.trapezoid(np.r_[precision[0], precision], np.r_[0.0, recall]))
