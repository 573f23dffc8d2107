"""Retrieval metrics of Hamming rankings, one number a query.

A code of b bits has only b + 1 distances, so a ranking is full of ties, and breaking them another
way moves every number. Two policies are offered: ``"expected"``, the mean over all orders of the
tied items, exact and in closed form [1]_; and ``"stable"``, the order (distance, id) of the index.

References
----------
.. [1] F. McSherry and M. Najork, 2008, "Computing information retrieval performance measures
   efficiently in the presence of tied scores", ECIR.
"""

from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import hypergeom

Ties = Literal["expected", "stable"]
Denominator = Literal["all", "min", "hits"]
Empty = Literal["zero", "skip"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Rankings:
    """Judge the rankings of several queries.

    Parameters
    ----------
    relevant : array-like of shape (q, k), bool
        Whether the item at each rank is relevant.
    distances : array-like of shape (q, k), int, or None
        Distances, ascending along each row; negative at the end where there is no item. None says
        that no two items are tied.
    n_relevant : array-like of shape (q,), int
        Relevant items in the whole database.

    Attributes
    ----------
    relevant : ndarray of shape (q, k), bool
        As given.
    n_relevant : ndarray of shape (q,), int64
        As given.

    Raises
    ------
    ValueError
        If shapes do not match, distances are not ascending, a place without an item is relevant,
        or there are more relevant items than `n_relevant` says.

    Notes
    -----
    With expected ties and a cut-off, a row must hold the whole group of ties that the cut-off
    falls into, or the expectation is taken over the part that it holds.

    Examples
    --------
    >>> in_order = Rankings([[True, False, True]], [[0, 1, 2]], [2])
    >>> in_order.average_precision().round(4)
    array([0.8333])
    >>> all_tied = Rankings([[True, False, True]], [[1, 1, 1]], [2])
    >>> all_tied.average_precision().round(4)
    array([0.8056])
    """

    def __init__(
        self, relevant: ArrayLike, distances: ArrayLike | None, n_relevant: ArrayLike
    ) -> None:
        self.relevant: NDArray[np.bool_] = np.asarray(relevant)
        shape = self.relevant.shape
        if len(shape) != 2 or self.relevant.dtype != bool:
            raise ValueError(
                f"relevant must be boolean of shape (q, k), got {self.relevant.dtype} of {shape}"
            )
        self.n_relevant: IntArray = np.asarray(n_relevant, dtype=np.int64)
        if self.n_relevant.shape != shape[:1]:
            raise ValueError(
                f"n_relevant must have the shape {shape[:1]}, got {self.n_relevant.shape}"
            )
        if (self.relevant.sum(axis=1) > self.n_relevant).any():
            raise ValueError("a query has more relevant items in its result than n_relevant says")
        if distances is None:
            levels = np.broadcast_to(np.arange(shape[1]), shape)
        else:
            levels = np.asarray(distances)
            self._check(levels)
        self._levels: NDArray[np.integer] = levels

    def _check(self, levels: NDArray[np.integer]) -> None:
        if levels.shape != self.relevant.shape or levels.dtype.kind not in "iu":
            raise ValueError(
                "distances must be whole numbers of the same shape as relevant, "
                f"{self.relevant.shape}; got {levels.dtype} of {levels.shape}"
            )
        absent = levels < 0
        descends = (levels[:, 1:] < levels[:, :-1]) & ~absent[:, 1:]
        if descends.any() or (absent[:, :-1] & ~absent[:, 1:]).any():
            raise ValueError("distances must ascend along each row, places without an item last")
        if (self.relevant & absent).any():
            raise ValueError("a place without an item (negative distance) cannot be relevant")

    @cached_property
    def by_distance(self) -> "TieGroups":
        """Counts of items and of relevant ones at each distance."""
        return TieGroups(self.relevant, self._levels)

    def average_precision(
        self,
        *,
        cutoff: int | None = None,
        denominator: Denominator = "all",
        ties: Ties = "expected",
    ) -> FloatArray:
        """Compute the average precision of each query.

        The sum, over the ranks j up to the cut-off that hold a relevant item, of the precision
        among the first j items; divided by the denominator.

        Parameters
        ----------
        cutoff : int, optional
            Ranks that count. All of them when None.
        denominator : {"all", "min", "hits"}, default="all"
            ``"all"``: `n_relevant`. ``"min"``: the smaller of `n_relevant` and `cutoff`.
            ``"hits"``: the relevant items found among the ranks that count; it ranks the result
            (hit, miss, miss) above (hit, miss, hit) and is common in the literature under the name
            mAP@1000.
        ties : {"expected", "stable"}, default="expected"
            Mean over all orders of tied items, or the order given.

        Returns
        -------
        ndarray of shape (q,), float64
            Average precisions; NaN for a query whose denominator is 0 (with ``"hits"`` and
            expected ties: 0 in every order of the tied items).

        Raises
        ------
        ValueError
            If `cutoff` is below 1 or an option is unknown.
        """
        _check_option("denominator", denominator, ("all", "min", "hits"))
        limit = self._check_limit(cutoff, ties)
        hits = self.relevant[:, :limit]
        if ties == "expected":
            if denominator == "hits":
                return self.by_distance.expected_average_precision_over_hits(limit)
            summed = self.by_distance.expected_precision_sum(limit)
        else:
            ranks = np.arange(1, hits.shape[1] + 1)
            summed = np.where(hits, np.cumsum(hits, axis=1) / ranks, 0.0).sum(axis=1)
        divisor = self.n_relevant
        if denominator == "hits":
            divisor = hits.sum(axis=1)
        elif denominator == "min" and cutoff is not None:
            divisor = np.minimum(divisor, cutoff)
        return _divide(summed, divisor, empty=np.nan)

    def precision_at(self, k: int, *, ties: Ties = "expected") -> FloatArray:
        """Compute the precision among the first k items of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1. Ranks that hold no item count as misses.
        ties : {"expected", "stable"}, default="expected"
            Mean over all orders of tied items, or the order given.

        Returns
        -------
        ndarray of shape (q,), float64
            Relevant items among the first k, divided by k.

        Raises
        ------
        ValueError
            If k is below 1 or `ties` is unknown.
        """
        return self._hits_at(k, ties) / k

    def recall_at(self, k: int, *, ties: Ties = "expected") -> FloatArray:
        """Compute the recall among the first k items of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1.
        ties : {"expected", "stable"}, default="expected"
            Mean over all orders of tied items, or the order given.

        Returns
        -------
        ndarray of shape (q,), float64
            Relevant items among the first k, divided by `n_relevant`; NaN where that is 0.

        Raises
        ------
        ValueError
            If k is below 1 or `ties` is unknown.
        """
        return _divide(self._hits_at(k, ties), self.n_relevant, empty=np.nan)

    def precision_within(self, radius: int) -> FloatArray:
        """Compute the precision among all items within a Hamming radius.

        Parameters
        ----------
        radius : int
            Largest distance that counts.

        Returns
        -------
        ndarray of shape (q,), float64
            Relevant share of the items within the radius; 0 where there is no item.
        """
        groups, inside = self.by_distance, slice(0, radius + 1)
        found = groups.retrieved[:, inside].sum(axis=1)
        return _divide(groups.hits[:, inside].sum(axis=1), found, empty=0.0)

    def recall_within(self, radius: int) -> FloatArray:
        """Compute the recall among all items within a Hamming radius.

        Parameters
        ----------
        radius : int
            Largest distance that counts.

        Returns
        -------
        ndarray of shape (q,), float64
            Relevant items within the radius, divided by `n_relevant`; NaN where that is 0.
        """
        hits = self.by_distance.hits[:, : radius + 1].sum(axis=1)
        return _divide(hits, self.n_relevant, empty=np.nan)

    def _hits_at(self, k: int, ties: Ties) -> FloatArray:
        limit = self._check_limit(k, ties)
        if ties == "expected":
            return self.by_distance.expected_hits(limit)
        return np.asarray(self.relevant[:, :limit].sum(axis=1), np.float64)

    def _check_limit(self, cutoff: int | None, ties: Ties) -> int:
        _check_option("ties", ties, ("expected", "stable"))
        if cutoff is not None and cutoff < 1:
            raise ValueError(f"the number of ranks must be at least 1, got {cutoff}")
        n_ranks: int = self.relevant.shape[1]
        return n_ranks if cutoff is None else min(int(cutoff), n_ranks)


class TieGroups:
    """Count, for each query and distance, the items and the relevant ones.

    A ranking with ties is described completely by these counts, so the expectations over all
    orders of the tied items need nothing else.

    Parameters
    ----------
    relevant : ndarray of shape (q, k), bool
        Whether the item at each rank is relevant.
    distances : ndarray of shape (q, k), int
        Distances; negative where there is no item.

    Attributes
    ----------
    retrieved : ndarray of shape (q, n_levels), int64
        Items at each distance.
    hits : ndarray of shape (q, n_levels), int64
        Relevant items at each distance.
    """

    def __init__(self, relevant: NDArray[np.bool_], distances: NDArray[np.integer]) -> None:
        n_levels = int(distances.max(initial=0)) + 2  # place 0 counts what is no item
        self.retrieved: IntArray = np.empty((len(distances), n_levels - 1), dtype=np.int64)
        self.hits: IntArray = np.empty_like(self.retrieved)
        for query, (levels, hits) in enumerate(zip(distances, relevant, strict=True)):
            self.retrieved[query] = np.bincount(levels + 1, minlength=n_levels)[1:]
            self.hits[query] = np.bincount(levels[hits] + 1, minlength=n_levels)[1:]
        # Items and relevant ones before each group.
        self._before = np.cumsum(self.retrieved, axis=1) - self.retrieved
        self._hits_before = np.cumsum(self.hits, axis=1) - self.hits

    def expected_hits(self, limit: int) -> FloatArray:
        """Compute the expected number of relevant items among the first ranks.

        Parameters
        ----------
        limit : int
            Number of ranks.

        Returns
        -------
        ndarray of shape (q,), float64
            Expected hits.
        """
        share = _divide(self._inside(limit), self.retrieved, empty=0.0)
        return np.asarray((share * self.hits).sum(axis=1))

    def expected_precision_sum(self, limit: int) -> FloatArray:
        """Compute the expected sum of the precisions at the ranks that hold a relevant item.

        Parameters
        ----------
        limit : int
            Number of ranks that count.

        Returns
        -------
        ndarray of shape (q,), float64
            Expected sums.
        """
        return self._precision_sum(self._inside(limit))

    def _inside(self, limit: int) -> IntArray:
        """Count the places of each group that lie among the first `limit` ranks."""
        return np.asarray(np.clip(limit - self._before, 0, self.retrieved))

    def _precision_sum(self, inside: IntArray) -> FloatArray:
        """Sum precision over the first `inside` places of each group.

        With N items and R hits before the group, place j holds a hit with probability r / n, and
        then (j - 1)(r - 1) / (n - 1) of the places before it in the group do, on average: the sum
        over j of r / n (R + 1 + (j - 1)(r - 1) / (n - 1)) / (N + j). Its two sums over j are
        differences of harmonic numbers.
        """
        before = self._before
        harmonic = _harmonic_numbers(int((before + inside).max(initial=0)))
        reciprocals = harmonic[before + inside] - harmonic[before]
        offsets = inside - (before + 1) * reciprocals  # sum of (j - 1) / (N + j)
        pairs = _divide(self.hits - 1, self.retrieved - 1, empty=0.0)
        rate = _divide(self.hits, self.retrieved, empty=0.0)
        part = rate * ((self._hits_before + 1) * reciprocals + pairs * offsets)
        return np.asarray(part.sum(axis=1))

    def expected_average_precision_over_hits(self, limit: int) -> FloatArray:
        """Compute the expected average precision with the number of hits as denominator.

        Only the group that the cut-off cuts has a random number of hits x, hypergeometric; given
        x, they are spread evenly over the places inside.

        Parameters
        ----------
        limit : int
            Number of ranks that count.

        Returns
        -------
        ndarray of shape (q,), float64
            Expected average precision; NaN where no order has a hit.
        """
        inside = self._inside(limit)
        cut = (inside > 0) & (inside < self.retrieved)
        whole = np.where(inside == self.retrieved, inside, 0)
        summed = self._precision_sum(whole)
        sure = np.where(whole > 0, self.hits, 0).sum(axis=1)
        result = _divide(summed, sure, empty=np.nan)
        for query, level in zip(*np.nonzero(cut), strict=True):
            n, r = self.retrieved[query, level], self.hits[query, level]
            if r == 0:
                continue
            j = inside[query, level]
            x = np.arange(max(0, j - (n - r)), min(r, j) + 1)
            before = self._before[query, level]
            places = 1 / np.arange(before + 1, before + j + 1)
            reciprocals, offsets = places.sum(), (np.arange(j) * places).sum()
            pairs = (x - 1) / (j - 1) if j > 1 else np.zeros(len(x))
            part = x / j * ((sure[query] + 1) * reciprocals + pairs * offsets)
            values = _divide(summed[query] + part, sure[query] + x, empty=0.0)
            result[query] = hypergeom.pmf(x, n, r, j) @ values
        return result


def mean_over_queries(values: ArrayLike, *, empty: Empty = "zero") -> float:
    """Average a metric over the queries.

    Parameters
    ----------
    values : array-like of shape (q,), float
        One number a query; NaN marks a query for which the metric is not defined.
    empty : {"zero", "skip"}, default="zero"
        Whether an undefined value counts as 0 or is left out.

    Returns
    -------
    float
        The mean; NaN if every query was left out.

    Raises
    ------
    ValueError
        If there is no query, or `empty` is unknown.

    Examples
    --------
    >>> mean_over_queries([1.0, float("nan")]), mean_over_queries([1.0, float("nan")], empty="skip")
    (0.5, 1.0)
    """
    _check_option("empty", empty, ("zero", "skip"))
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a non-empty vector, got the shape {array.shape}")
    if empty == "skip":
        array = array[~np.isnan(array)]
        return float(array.mean()) if len(array) else float("nan")
    return float(np.nan_to_num(array, nan=0.0).mean())


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


def _harmonic_numbers(n: int) -> FloatArray:
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])


def _divide(numerator: ArrayLike, denominator: ArrayLike, *, empty: float) -> FloatArray:
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    )
    quotient = np.full(top.shape, empty)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
