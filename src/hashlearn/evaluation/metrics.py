"""Retrieval metrics of Hamming rankings, one number a query.

A code of b bits has only b + 1 distances, so a ranking is full of ties, and breaking them another
way moves every number. Two policies are offered: ``"expected"``, the mean over all orders of the
tied items, exact and in closed form (:mod:`hashlearn.evaluation.ties`); and ``"stable"``, the order
(distance, id) of the index.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.evaluation.conventions import (
    Denominator,
    FloatArray,
    IntArray,
    Ties,
    check_option,
    check_rank,
    divide,
    summed_discounts,
)
from hashlearn.evaluation.ties import TieGroups, count_ties


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
    gains : array-like of shape (q, k), int, optional
        What the item at each rank is worth, where relevance is graded. Every relevant item gains 1
        when None.

    Attributes
    ----------
    relevant : ndarray of shape (q, k), bool
        As given.
    n_relevant : ndarray of shape (q,), int64
        As given.
    gains : ndarray of shape (q, k), int, or None
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
        self,
        relevant: ArrayLike,
        distances: ArrayLike | None,
        n_relevant: ArrayLike,
        gains: ArrayLike | None = None,
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
        self.gains: NDArray[np.integer] | None = None if gains is None else np.asarray(gains)
        if self.gains is not None and (
            self.gains.shape != shape or self.gains.dtype.kind not in "iu"
        ):
            raise ValueError(
                f"gains must be whole numbers of the same shape as relevant, {shape}; "
                f"got {self.gains.dtype} of {self.gains.shape}"
            )

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
    def by_distance(self) -> TieGroups:
        """The same rankings, of which only the counts at each distance are known."""
        return TieGroups(count_ties(self.relevant, self._levels, self.gains), self.n_relevant)

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
        if self._expected(ties):
            return self.by_distance.average_precision(cutoff=cutoff, denominator=denominator)
        check_option("denominator", denominator, ("all", "min", "hits"))
        check_rank(cutoff)
        hits = self.relevant[:, :cutoff]
        ranks = np.arange(1, hits.shape[1] + 1)
        summed = np.where(hits, np.cumsum(hits, axis=1) / ranks, 0.0).sum(axis=1)
        divisor = hits.sum(axis=1) if denominator == "hits" else self.n_relevant
        if denominator == "min" and cutoff is not None:
            divisor = np.minimum(divisor, cutoff)
        return divide(summed, divisor, empty=np.nan)

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
        if self._expected(ties):
            return self.by_distance.precision_at(k)
        return self._hits_at(k) / k

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
        if self._expected(ties):
            return self.by_distance.recall_at(k)
        return divide(self._hits_at(k), self.n_relevant, empty=np.nan)

    def ndcg_at(
        self, k: int, ideal: ArrayLike | None = None, *, ties: Ties = "expected"
    ) -> FloatArray:
        """Compute the normalised discounted cumulative gain of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1.
        ideal : array-like of shape (q,), float, optional
            The largest sums that an order of the database has, as
            :meth:`hashlearn.evaluation.GroundTruth.ideal_dcg` gives them. None says that every
            relevant item gains 1, whatever `gains` hold.
        ties : {"expected", "stable"}, default="expected"
            Mean over all orders of tied items, or the order given.

        Returns
        -------
        ndarray of shape (q,), float64
            The sum, over the first k ranks, of the gain times 1 / log2(1 + rank), divided by the
            largest such sum; NaN where that is 0.

        Raises
        ------
        ValueError
            If k is below 1, `ties` is unknown, or `ideal` is given without gains.
        """
        if self._expected(ties):
            return self.by_distance.ndcg_at(k, ideal)
        check_rank(k)
        gains: NDArray[Any] = self.relevant
        if ideal is not None:
            if self.gains is None:
                raise ValueError("the rankings hold no gains: NDCG of graded relevance needs them")
            gains = self.gains
        gains = gains[:, :k]
        summed = summed_discounts(max(gains.shape[1], int(self.n_relevant.max(initial=0))))
        if ideal is None:
            ideal = summed[np.minimum(self.n_relevant, k)]
        return divide(gains @ np.diff(summed)[: gains.shape[1]], ideal, empty=np.nan)

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
        return self.by_distance.precision_within(radius)

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
        return self.by_distance.recall_within(radius)

    def _hits_at(self, k: int) -> IntArray:
        check_rank(k)
        return np.asarray(self.relevant[:, :k].sum(axis=1))

    def _expected(self, ties: Ties) -> bool:
        check_option("ties", ties, ("expected", "stable"))
        return ties == "expected"
