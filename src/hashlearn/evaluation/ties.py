"""Metrics of rankings with ties, exact means over all orders of the tied items, from counts alone.

A code of b bits has only b + 1 distances, so a ranking is full of ties. How many items, and how
many relevant ones, lie at each distance describes it completely but for the order of tied items;
the mean of a metric over all these orders has a closed form [1]_.

References
----------
.. [1] F. McSherry and M. Najork, 2008, "Computing information retrieval performance measures
   efficiently in the presence of tied scores", ECIR.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.evaluation.conventions import (
    Denominator,
    FloatArray,
    IntArray,
    check_option,
    check_rank,
    divide,
    summed_discounts,
)
from hashlearn.results import DistanceCounts

_BLOCK_ENTRIES = 1 << 21
_NEGLIGIBLE = 40.0  # tails of a probability below 2 exp(-40) are left out


def count_ties(
    relevant: NDArray[np.bool_],
    distances: NDArray[np.integer],
    gains: NDArray[np.integer] | None = None,
) -> DistanceCounts:
    """Count the items and the relevant ones at each distance of a ranking.

    Parameters
    ----------
    relevant : ndarray of shape (q, k), bool
        Whether the item at each rank is relevant.
    distances : ndarray of shape (q, k), int
        Distances, in any order; negative where there is no item.
    gains : ndarray of shape (q, k), int, optional
        What the item at each rank is worth, where relevance is graded.

    Returns
    -------
    DistanceCounts
        Counts at the distances 0 to the largest.

    Examples
    --------
    >>> count_ties(np.array([[True, False, True]]), np.array([[0, 2, 2]])).hits
    array([[1, 0, 1]])
    """
    n_levels = int(distances.max(initial=0)) + 2  # place 0 counts what is no item
    retrieved = np.empty((len(distances), n_levels - 1), dtype=np.int64)
    hits = np.empty_like(retrieved)
    worth = None if gains is None else np.empty_like(retrieved)
    for query, (levels, marks) in enumerate(zip(distances, relevant, strict=True)):
        retrieved[query] = np.bincount(levels + 1, minlength=n_levels)[1:]
        hits[query] = np.bincount(levels[marks] + 1, minlength=n_levels)[1:]
        if worth is not None and gains is not None:
            weighted = np.bincount(levels + 1, weights=gains[query], minlength=n_levels)
            worth[query] = weighted[1:]  # whole numbers, far below 2 ** 53
    return DistanceCounts(retrieved, hits, worth)


def within(counts: DistanceCounts, radius: int) -> slice:
    """Give the levels within a Hamming radius.

    Parameters
    ----------
    counts : DistanceCounts
        Items at each distance.
    radius : int
        Largest distance that counts.

    Returns
    -------
    slice
        Columns of the counts.

    Raises
    ------
    ValueError
        If the counts are at other distances than Hamming's.
    """
    if counts.levels is not None:
        raise ValueError("a radius is one of Hamming distances; the counts are at others")
    return slice(0, radius + 1)


class TieGroups:
    """Judge rankings of which only the counts at each distance are known.

    Every metric is the exact mean over all orders of the items at one distance.

    Parameters
    ----------
    counts : DistanceCounts
        Items and relevant ones at each distance from each query.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold the whole database, so
        that it is the sum of their hits.

    Attributes
    ----------
    counts : DistanceCounts
        As given.
    n_relevant : ndarray of shape (q,), int64
        As given, or the sums of the hits.

    Raises
    ------
    ValueError
        If `n_relevant` has another shape, or counts hold more relevant items than it says.

    Examples
    --------
    >>> groups = TieGroups(DistanceCounts(np.array([[3]]), np.array([[2]])))
    >>> groups.average_precision().round(4)  # mean of (1 + 1) / 2, (1 + 2/3) / 2, (1/2 + 2/3) / 2
    array([0.8056])
    """

    def __init__(self, counts: DistanceCounts, n_relevant: ArrayLike | None = None) -> None:
        found = counts.hits.sum(axis=1)
        self.counts = counts
        self.n_relevant: IntArray = (
            found if n_relevant is None else np.asarray(n_relevant, dtype=np.int64)
        )
        if self.n_relevant.shape != found.shape:
            raise ValueError(
                f"n_relevant must have the shape {found.shape}, got {self.n_relevant.shape}"
            )
        if (found > self.n_relevant).any():
            raise ValueError("a query has more relevant items in its result than n_relevant says")
        # Items and relevant ones before each group.
        self._before = np.cumsum(counts.retrieved, axis=1) - counts.retrieved
        self._hits_before = np.cumsum(counts.hits, axis=1) - counts.hits

    def average_precision(
        self, *, cutoff: int | None = None, denominator: Denominator = "all"
    ) -> FloatArray:
        """Compute the expected average precision of each query.

        Parameters
        ----------
        cutoff : int, optional
            Ranks that count. All of them when None.
        denominator : {"all", "min", "hits"}, default="all"
            As in :meth:`hashlearn.evaluation.Rankings.average_precision`.

        Returns
        -------
        ndarray of shape (q,), float64
            Average precisions; NaN for a query whose denominator is 0 (with ``"hits"``: 0 in every
            order of the tied items).

        Raises
        ------
        ValueError
            If `cutoff` is below 1 or the denominator is unknown.
        """
        check_option("denominator", denominator, ("all", "min", "hits"))
        start, inside = self._inside(cutoff)
        if denominator == "hits":
            return self._average_over_hits(start, inside)
        divisor = self.n_relevant
        if denominator == "min" and cutoff is not None:
            divisor = np.minimum(divisor, cutoff)
        return divide(self._precision_sum(start, inside), divisor, empty=np.nan)

    def precision_at(self, k: int) -> FloatArray:
        """Compute the expected precision among the first k items of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1. Ranks that hold no item count as misses.

        Returns
        -------
        ndarray of shape (q,), float64
            Expected relevant items among the first k, divided by k.

        Raises
        ------
        ValueError
            If k is below 1.
        """
        return self._hits_at(k) / k

    def recall_at(self, k: int) -> FloatArray:
        """Compute the expected recall among the first k items of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1.

        Returns
        -------
        ndarray of shape (q,), float64
            Expected relevant items among the first k, divided by `n_relevant`; NaN where that is 0.

        Raises
        ------
        ValueError
            If k is below 1.
        """
        return divide(self._hits_at(k), self.n_relevant, empty=np.nan)

    def ndcg_at(self, k: int, ideal: ArrayLike | None = None) -> FloatArray:
        """Compute the expected normalised discounted cumulative gain of each query.

        The sum, over the first k ranks, of the gain of the item there times 1 / log2(1 + rank);
        divided by the largest such sum that an order of the database has. The mean over all orders
        of tied items is exact: each place of a group holds the mean gain of its items.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1.
        ideal : array-like of shape (q,), float, optional
            The largest sums, as :meth:`hashlearn.evaluation.GroundTruth.ideal_dcg` gives them; the
            gains are those of the counts. None says that every relevant item gains 1.

        Returns
        -------
        ndarray of shape (q,), float64
            Values from 0 to 1; NaN where the largest sum is 0.

        Raises
        ------
        ValueError
            If k is below 1, or `ideal` is given for counts without gains.
        """
        start, inside = self._inside(k)
        most = max(int((start + inside).max(initial=0)), int(self.n_relevant.max(initial=0)))
        k = min(k, most)
        summed = summed_discounts(k)
        gains = self.counts.hits
        if ideal is None:
            ideal = summed[np.minimum(self.n_relevant, k)]
        elif self.counts.gains is None:
            raise ValueError("the counts hold no gains: NDCG of graded relevance needs them")
        else:
            gains = self.counts.gains
        mean_gain = divide(gains, self.counts.retrieved, empty=0.0)
        dcg = (mean_gain * (summed[start + inside] - summed[start])).sum(axis=1)
        return divide(dcg, ideal, empty=np.nan)

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

        Raises
        ------
        ValueError
            If the counts are at other distances than Hamming's.
        """
        inside = within(self.counts, radius)
        found = self.counts.retrieved[:, inside].sum(axis=1)
        return divide(self.counts.hits[:, inside].sum(axis=1), found, empty=0.0)

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

        Raises
        ------
        ValueError
            If the counts are at other distances than Hamming's.
        """
        hits = self.counts.hits[:, within(self.counts, radius)].sum(axis=1)
        return divide(hits, self.n_relevant, empty=np.nan)

    def _inside(self, limit: int | None) -> tuple[IntArray, IntArray]:
        """Give the places of each group among the first `limit` ranks: items before, and number."""
        check_rank(limit)
        if limit is None:
            return self._before, self.counts.retrieved
        start = np.minimum(self._before, limit)
        return start, np.minimum(self._before + self.counts.retrieved, limit) - start

    def _hits_at(self, k: int) -> FloatArray:
        _, inside = self._inside(k)
        share = divide(inside, self.counts.retrieved, empty=0.0)
        return np.asarray((share * self.counts.hits).sum(axis=1))

    def _precision_sum(self, start: IntArray, inside: IntArray) -> FloatArray:
        """Sum the expected precision at the hits over the first `inside` places of each group.

        With N items and R hits before the group, place j holds a hit with probability r / n, and
        then (j - 1)(r - 1) / (n - 1) of the places before it in the group do, on average: the sum
        over j of r / n (R + 1 + (j - 1)(r - 1) / (n - 1)) / (N + j). Its two sums over j are
        differences of harmonic numbers.
        """
        n, r = self.counts.retrieved, self.counts.hits
        reciprocals, offsets = _sums_of_reciprocals(start, inside)
        pairs = divide(r - 1, n - 1, empty=0.0)
        rate = divide(r, n, empty=0.0)
        part = rate * ((self._hits_before + 1) * reciprocals + pairs * offsets)
        return np.asarray(part.sum(axis=1))

    def _average_over_hits(self, start: IntArray, inside: IntArray) -> FloatArray:
        """Compute the expected average precision with the number of hits as denominator.

        Only the group that the cut-off cuts, at most one a query, has a random number of hits x,
        hypergeometric; given x, they are spread evenly over the j places inside.
        """
        n, r = self.counts.retrieved, self.counts.hits
        whole = np.where(inside == n, inside, 0)
        summed = self._precision_sum(start, whole)
        sure = np.where(whole > 0, r, 0).sum(axis=1)
        result = divide(summed, sure, empty=np.nan)
        queries, levels = np.nonzero((inside > 0) & (inside < n) & (r > 0))
        reciprocals, offsets = _sums_of_reciprocals(start[queries, levels], inside[queries, levels])
        n, r, j = n[queries, levels], r[queries, levels], inside[queries, levels]
        cut = np.stack([n, r, j, sure[queries]])
        sums = np.stack([summed[queries], reciprocals, offsets])
        widest = 2 + int(2 * _reach(np.minimum(r, j)).max(initial=0))
        rows = max(1, _BLOCK_ENTRIES // widest)
        for first in range(0, len(queries), rows):
            part = slice(first, first + rows)
            result[queries[part]] = _mean_over_hits_in_the_cut(cut[:, part], sums[:, part])
        return result


def _mean_over_hits_in_the_cut(cut: IntArray, sums: FloatArray) -> FloatArray:
    """Average precision over hits, averaged over how many hits the cut leaves inside.

    `cut` holds the size of the group, its hits, its places inside and the hits before it;
    `sums` the precisions before it, the sum of 1 / (N + i) and of (i - 1) / (N + i) inside.
    """
    n, r, j, sure = cut[:, :, None]
    summed, reciprocals, offsets = sums[:, :, None]
    x, chances = _hypergeometric(n, r, j)
    pairs = divide(x - 1, j - 1, empty=0.0)
    part = x / j * ((sure + 1) * reciprocals + pairs * offsets)
    values = divide(summed + part, sure + x, empty=0.0)
    return np.asarray((chances * values).sum(axis=1))


def _hypergeometric(n: IntArray, r: IntArray, j: IntArray) -> tuple[IntArray, FloatArray]:
    """Give the numbers of hits among j of n items, r of them hits, and their probabilities.

    One row a triple. By Hoeffding's inequality a number that is farther than t from the mean has a
    probability below 2 exp(-2 t^2 / min(r, j)): such tails are left out. The probabilities follow
    from their ratios, which loses no digits, however large n is.
    """
    reach, mean = _reach(np.minimum(r, j)), r * (j / n)
    low = np.maximum(np.maximum(0, j - (n - r)), np.floor(mean - reach)).astype(np.int64)
    high = np.minimum(np.minimum(r, j), np.ceil(mean + reach)).astype(np.int64)
    x = low + np.arange(int((high - low).max(initial=0)) + 1)
    possible = x <= high
    x = np.minimum(x, high)  # repeats with probability 0
    rising = (r - x + 1.0) * (j - x + 1.0)
    falling = x * (n - r - j + x).astype(np.float64)
    ratios = np.where(possible & (x > low), rising / np.where(x > low, falling, 1.0), 1.0)
    logs = np.cumsum(np.log(ratios), axis=1)
    chances = np.where(possible, np.exp(logs - logs.max(axis=1, keepdims=True)), 0.0)
    return x, chances / chances.sum(axis=1, keepdims=True)


def _reach(size: IntArray) -> FloatArray:
    return np.asarray(np.minimum(size, np.sqrt(_NEGLIGIBLE / 2 * size)))


def _sums_of_reciprocals(start: IntArray, inside: IntArray) -> tuple[FloatArray, FloatArray]:
    """Sum 1 / (N + j) and (j - 1) / (N + j) over j from 1 to `inside`, with N = `start`."""
    end = start + inside
    harmonic = _harmonic_numbers(int(end.max(initial=0)))
    reciprocals = harmonic[end] - harmonic[start]
    offsets = inside - (start + 1) * reciprocals
    return reciprocals, offsets


@lru_cache(maxsize=2)  # blocks of queries against one database ask for the same
def _harmonic_numbers(n: int) -> FloatArray:
    numbers = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, n + 1))])
    numbers.flags.writeable = False
    return numbers
