"""Is one method better than another, or were the queries lucky: a paired bootstrap over queries."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hashlearn.evaluation.conventions import Empty, FloatArray, check_option, divide
from hashlearn.evaluation.evaluate import Scores
from hashlearn.evaluation.pooled import pooled_pr_areas
from hashlearn.evaluation.ties import TieGroups
from hashlearn.results import DistanceCounts

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Comparison:
    """Hold the difference between two methods on the same queries, and how sure it is.

    Parameters
    ----------
    metric : str
        What was compared.
    difference : float
        The first method's value less the second's.
    low : float
        Lower end of the interval.
    high : float
        Upper end. If both ends are above 0, or both below, the queries alone do not explain the
        difference.
    n_queries : int
        Number of queries.
    n_resamples : int
        How often queries were drawn anew.
    confidence : float
        Share of the resampled differences that lie in the interval.
    """

    metric: str
    difference: float
    low: float
    high: float
    n_queries: int
    n_resamples: int
    confidence: float


def compare(
    scores_a: Scores | Sequence[Scores],
    scores_b: Scores | Sequence[Scores],
    metric: str | None = None,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two methods that were judged on the same queries.

    Parameters
    ----------
    scores_a : Scores or sequence of Scores
        The first method's scores; with several seeds, one each.
    scores_b : Scores or sequence of Scores
        The second method's; it may have another number of seeds.
    metric : str, optional
        A name of :meth:`hashlearn.evaluation.Scores.as_dict`: ``"pooled_pr_area"``,
        ``"mean_average_precision"``, ``"precision_at_100"``, ... None stands for the protocol's.
    n_resamples : int, default=10000
        How often to draw queries anew.
    confidence : float, default=0.95
        Share of the resampled differences that the interval holds.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    Comparison
        Difference and interval.

    Raises
    ------
    ValueError
        If the protocols or the relevant items of the queries differ, the metric was not computed,
        there are fewer than two queries, or a number is out of range.

    Notes
    -----
    As many queries as there are, are drawn with replacement, the same ones for both methods, and
    the difference is computed again; the interval runs between quantiles of these differences. It
    speaks of the draw of queries. Seeds are averaged first, each query's values or the pooled
    areas: how much a method's seed moves it shows in the spread over the seeds.

    References
    ----------
    B. Efron and R. J. Tibshirani, 1993, "An introduction to the bootstrap", chapter 13.
    """
    many_a = [scores_a] if isinstance(scores_a, Scores) else list(scores_a)
    many_b = [scores_b] if isinstance(scores_b, Scores) else list(scores_b)
    if not (many_a and many_b):
        raise ValueError("a method has no scores")
    first = many_a[0]
    for scores in (*many_a, *many_b):
        if scores.protocol != first.protocol:
            raise ValueError(
                f"scores under different protocols: {first.protocol} and {scores.protocol}"
            )
        if not np.array_equal(scores.n_relevant, first.n_relevant):
            raise ValueError("the scores are not of the same queries: their relevant items differ")
    metric = first.protocol.metric if metric is None else metric
    if metric == "pooled_pr_area":
        return compare_pooled_areas(
            [scores.counts for scores in many_a],
            [scores.counts for scores in many_b],
            n_relevant=first.n_relevant,
            n_resamples=n_resamples,
            confidence=confidence,
            seed=seed,
        )
    if metric not in first.per_query:
        names = ", ".join(["pooled_pr_area", *first.per_query])
        raise ValueError(f"metric must be one of {names}; got {metric!r}")
    return compare_values(
        [scores.per_query[metric] for scores in many_a],
        [scores.per_query[metric] for scores in many_b],
        metric=metric,
        empty=first.protocol.empty,
        n_resamples=n_resamples,
        confidence=confidence,
        seed=seed,
    )


def compare_values(
    values_a: ArrayLike,
    values_b: ArrayLike,
    *,
    metric: str = "mean",
    empty: Empty = "zero",
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the means of two methods' values of the same queries.

    Parameters
    ----------
    values_a : array-like of shape (q,) or (n_seeds, q), float
        The first method's value of each query; NaN where it is not defined.
    values_b : array-like of shape (q,) or (n_seeds, q), float
        The second method's.
    metric : str, default="mean"
        What the values are, for the result.
    empty : {"zero", "skip"}, default="zero"
        Whether an undefined value counts as 0 or is left out.
    n_resamples : int, default=10000
        How often to draw queries anew.
    confidence : float, default=0.95
        Share of the resampled differences that the interval holds.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    Comparison
        Difference of the means, and interval.

    Raises
    ------
    ValueError
        If the numbers of queries differ, there are fewer than two, or a number is out of range.

    Examples
    --------
    >>> found = compare_values([0.9, 0.7, 0.8, 0.6], [0.5, 0.6, 0.7, 0.2])
    >>> round(found.difference, 3), round(found.low, 3), round(found.high, 3)
    (0.25, 0.1, 0.4)
    """
    check_option("empty", empty, ("zero", "skip"))
    a, b = _mean_over_seeds(values_a, empty), _mean_over_seeds(values_b, empty)
    if a.shape != b.shape:
        raise ValueError(f"the methods have {len(a)} and {len(b)} queries")
    defined_a, defined_b = ~np.isnan(a), ~np.isnan(b)
    paired = bool((defined_a == defined_b).all())
    a, b = np.nan_to_num(a), np.nan_to_num(b)

    def difference(weights: FloatArray) -> FloatArray:
        if paired:
            return divide(weights @ (a - b), weights @ defined_a, empty=0.0)
        mean_a = divide(weights @ a, weights @ defined_a, empty=0.0)
        return mean_a - divide(weights @ b, weights @ defined_b, empty=0.0)

    return _compare(difference, len(a), metric, n_resamples, confidence, seed)


def compare_pooled_areas(
    counts_a: DistanceCounts | Sequence[DistanceCounts],
    counts_b: DistanceCounts | Sequence[DistanceCounts],
    *,
    n_relevant: ArrayLike | None = None,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the areas under two methods' pooled precision-recall curves.

    Parameters
    ----------
    counts_a : DistanceCounts or sequence of DistanceCounts
        The first method's counts; with several seeds, one each.
    counts_b : DistanceCounts or sequence of DistanceCounts
        The second method's counts of the same queries; codes may have another length.
    n_relevant : array-like of shape (q,), int, optional
        Relevant items in the whole database. None says that the counts hold all of it.
    n_resamples : int, default=10000
        How often to draw queries anew.
    confidence : float, default=0.95
        Share of the resampled differences that the interval holds.
    seed : int, default=0
        Seed of the draws.

    Returns
    -------
    Comparison
        Difference of the areas, each the mean over the seeds, and interval.

    Raises
    ------
    ValueError
        If the numbers of queries or of relevant items differ, there are fewer than two queries, or
        a number is out of range.
    """
    many_a = [counts_a] if isinstance(counts_a, DistanceCounts) else list(counts_a)
    many_b = [counts_b] if isinstance(counts_b, DistanceCounts) else list(counts_b)
    if not (many_a and many_b):
        raise ValueError("a method has no counts")
    totals = [TieGroups(counts, n_relevant).n_relevant for counts in (*many_a, *many_b)]
    if not all(np.array_equal(total, totals[0]) for total in totals):
        raise ValueError("the counts are not of the same queries: their relevant items differ")
    sums_a, sums_b = (
        [(counts.retrieved.astype(np.float64), counts.hits.astype(np.float64)) for counts in many]
        for many in (many_a, many_b)
    )

    def difference(weights: FloatArray) -> FloatArray:
        total = weights @ totals[0]
        return _mean_areas(sums_a, weights, total) - _mean_areas(sums_b, weights, total)

    n_queries = len(totals[0])
    return _compare(difference, n_queries, "pooled_pr_area", n_resamples, confidence, seed)


def _compare(
    difference: Callable[[FloatArray], FloatArray],
    n_queries: int,
    metric: str,
    n_resamples: int,
    confidence: float,
    seed: int,
) -> Comparison:
    """Give the difference and its interval, from a function of how often each query counts."""
    if n_queries < 2:
        raise ValueError(f"an interval needs at least 2 queries, got {n_queries}")
    if n_resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            "n_resamples must be at least 1 and confidence between 0 and 1; "
            f"got {n_resamples} and {confidence}"
        )
    drawn = [difference(weights) for weights in _weights(n_queries, n_resamples, seed)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail])
    found = float(difference(np.ones((1, n_queries)))[0])
    return Comparison(metric, found, float(low), float(high), n_queries, n_resamples, confidence)


def _weights(n_queries: int, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Say how often each query is drawn, for some resamples at a time."""
    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK_ENTRIES // n_queries)
    for start in range(0, n_resamples, rows):
        n = min(rows, n_resamples - start)
        drawn = rng.integers(n_queries, size=(n, n_queries))
        places = drawn + n_queries * np.arange(n)[:, None]
        counts = np.bincount(places.ravel(), minlength=n * n_queries)
        yield counts.reshape(n, n_queries).astype(np.float64)


def _mean_areas(
    sums_by_seed: list[tuple[FloatArray, FloatArray]], weights: FloatArray, total: FloatArray
) -> FloatArray:
    """Average the pooled areas over the seeds, for each row of weights."""
    # Weights and counts are whole numbers, so the products are exact.
    areas = [
        pooled_pr_areas(weights @ retrieved, weights @ hits, total)
        for retrieved, hits in sums_by_seed
    ]
    return np.asarray(np.mean(areas, axis=0))


def _mean_over_seeds(values: ArrayLike, empty: Empty) -> FloatArray:
    """Average each query's values over the seeds; NaN where all are left out."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"values must have the shape (q,) or (n_seeds, q), got {array.shape}")
    array = np.atleast_2d(array)
    if empty == "zero":
        return np.asarray(np.nan_to_num(array).mean(axis=0))
    return divide(np.nan_to_num(array).sum(axis=0), (~np.isnan(array)).sum(axis=0), empty=np.nan)
