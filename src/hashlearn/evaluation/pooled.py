"""One precision-recall curve of all queries together, from counts summed by distance."""

import numpy as np
from numpy.typing import ArrayLike

from hashlearn.evaluation.conventions import FloatArray, divide

_NO_PAIR = "there is no relevant pair: precision and recall are not defined"


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
        raise ValueError(_NO_PAIR)
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
    if n_relevant < 1:
        raise ValueError(_NO_PAIR)
    return float(pooled_pr_areas(retrieved, hits, n_relevant))


def pooled_pr_areas(retrieved: ArrayLike, hits: ArrayLike, n_relevant: ArrayLike) -> FloatArray:
    """Integrate many pooled precision-recall curves, each as :func:`pooled_pr_area` does.

    Parameters
    ----------
    retrieved : array-like of shape (..., n_levels), int or float
        Pairs at each distance, summed over the queries, or weighted sums.
    hits : array-like of shape (..., n_levels), int or float
        The relevant ones among them.
    n_relevant : array-like of shape (...), int or float
        Relevant pairs in all.

    Returns
    -------
    ndarray of shape (...), float64
        Areas; 0 where there is no relevant pair.
    """
    found = np.cumsum(np.asarray(retrieved), axis=-1)
    good = np.cumsum(np.asarray(hits), axis=-1)
    precision = divide(good, found, empty=0.0)
    first = np.argmax(found > 0, axis=-1)[..., None]
    # The curve begins at recall 0 with the precision of the smallest radius that finds anything.
    precision = np.where(found > 0, precision, np.take_along_axis(precision, first, axis=-1))
    before = np.concatenate([precision[..., :1], precision[..., :-1]], axis=-1)
    area = (np.asarray(hits) * (precision + before) / 2).sum(axis=-1)
    return divide(area, n_relevant, empty=0.0)
