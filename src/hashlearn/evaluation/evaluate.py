"""From results and ground truth to scores."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from hashlearn.evaluation.conventions import FloatArray, IntArray, mean_over_queries
from hashlearn.evaluation.ground_truth import GroundTruth
from hashlearn.evaluation.metrics import Rankings
from hashlearn.evaluation.pooled import pooled_pr_area, pooled_pr_curve
from hashlearn.evaluation.protocol import Protocol
from hashlearn.evaluation.ties import TieGroups
from hashlearn.results import DistanceCounts, Neighbors

Results = Neighbors | DistanceCounts

_BLOCK_ENTRIES = 1 << 20


@dataclass(frozen=True, eq=False)
class Scores:
    """Hold what an evaluation found, with the protocol that it was found under.

    Parameters
    ----------
    protocol : Protocol
        How the codes were judged.
    counts : DistanceCounts
        Items and relevant ones at each distance from each query: what the curves, and comparisons
        with other codes, are made of.
    n_relevant : ndarray of shape (q,), int64
        Relevant items of each query in the whole database.
    per_query : dict of str to ndarray
        For each metric that is a mean over the queries, under its name in :meth:`as_dict`, the
        values of the queries: shape (q,), float64. NaN where the metric is not defined, and for
        every query without a relevant item.

    Notes
    -----
    The counts take 16 bytes for each query and distance: 10,000 queries with codes of 64 bits take
    10 MB, however large the database is.
    """

    protocol: Protocol
    counts: DistanceCounts = field(repr=False)
    n_relevant: IntArray = field(repr=False)
    per_query: dict[str, FloatArray] = field(repr=False)

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self.counts)

    @property
    def n_empty(self) -> int:
        """Number of queries without a relevant item."""
        return int((self.n_relevant == 0).sum())

    @property
    def mean_average_precision(self) -> float:
        """Mean over the queries of the average precision."""
        return self._mean("mean_average_precision")

    @property
    def precision_at(self) -> dict[int, float]:
        """Mean precision among the first k items, for each k of the protocol."""
        return {k: self._mean(f"precision_at_{k}") for k in self.protocol.precision_at}

    @property
    def recall_at(self) -> dict[int, float]:
        """Mean recall among the first k items, for each k of the protocol."""
        return {k: self._mean(f"recall_at_{k}") for k in self.protocol.recall_at}

    @property
    def ndcg_at(self) -> dict[int, float]:
        """Mean normalised discounted cumulative gain at k, for each k of the protocol."""
        return {k: self._mean(f"ndcg_at_{k}") for k in self.protocol.ndcg_at}

    @property
    def precision_within_radius(self) -> float:
        """Mean precision within the protocol's radius; 0 for a query that finds nothing there.

        Only for Hamming distances.
        """
        return self._mean(f"precision_within_{self.protocol.radius}")

    @property
    def recall_within_radius(self) -> float:
        """Mean recall within the protocol's radius. Only for Hamming distances."""
        return self._mean(f"recall_within_{self.protocol.radius}")

    @cached_property
    def pooled_pr_area(self) -> float:
        """Area under the one precision-recall curve of all queries, radius by radius."""
        return pooled_pr_area(*self._pooled)

    @property
    def pooled_precision(self) -> FloatArray:
        """Precision of the pooled curve, shape (n_points,), smallest radius first."""
        return pooled_pr_curve(*self._pooled)[0]

    @property
    def pooled_recall(self) -> FloatArray:
        """Recall of the pooled curve, shape (n_points,)."""
        return pooled_pr_curve(*self._pooled)[1]

    @property
    def average_precisions(self) -> FloatArray:
        """Average precision of each query, shape (q,); NaN where it is not defined."""
        return self.per_query["mean_average_precision"]

    @property
    def headline(self) -> float:
        """The protocol's metric."""
        return float(getattr(self, self.protocol.metric))

    def as_dict(self) -> dict[str, Any]:
        """Give the scores, one number each, as plain values.

        Returns
        -------
        dict
            Names such as ``"precision_at_100"`` and their values; without the curves.
        """
        return {
            "n_queries": self.n_queries,
            "n_empty": self.n_empty,
            "pooled_pr_area": self.pooled_pr_area,
            **{name: self._mean(name) for name in self.per_query},
        }

    def _mean(self, name: str) -> float:
        if name not in self.per_query:
            raise ValueError(f"{name} is not defined: a radius is one of Hamming distances")
        return mean_over_queries(self.per_query[name], empty=self.protocol.empty)

    @property
    def _pooled(self) -> tuple[IntArray, IntArray, int]:
        counts = self.counts
        return counts.retrieved.sum(axis=0), counts.hits.sum(axis=0), int(self.n_relevant.sum())


def evaluate(
    results: Results | Iterable[Results], truth: GroundTruth, protocol: Protocol
) -> Scores:
    """Score results against ground truth under a protocol.

    Parameters
    ----------
    results : Neighbors or DistanceCounts, or iterable of them
        What was found for all queries in their order, in one piece or block by block (which keeps
        memory bounded): ranked items, whose ids are their numbers in the ground truth, or the
        counts of items and of relevant ones at each distance from each query.
    truth : GroundTruth
        Which items are relevant.
    protocol : Protocol
        How to judge.

    Returns
    -------
    Scores
        Every metric under the protocol.

    Raises
    ------
    TypeError
        If the results are something else.
    ValueError
        If the number of queries differs, an id is outside the ground truth's database, counts hold
        more items than it, blocks hold counts at different distances, no query has a relevant item,
        counts are to be judged with ``ties="stable"``, for which the order of tied items is needed,
        or they hold no gains and
        NDCG of graded relevance is asked for.

    Notes
    -----
    Give full rankings (``k = len(index)``) unless you know that a shorter list is enough: an item
    that is not listed counts as never retrieved, and with expected ties a cut-off needs the whole
    group of ties that it falls into.

    Precision and recall within a radius are of Hamming distances: for counts at other `levels` they
    are left out.

    Counts are taken to hold the whole database: a query has as many relevant items as they hold
    hits. The ground truth, from which the hits were counted, is not asked a second time.

    Examples
    --------
    >>> from hashlearn.evaluation import NeighborTruth
    >>> truth = NeighborTruth([[1, 2]], 3)
    >>> found = Neighbors(np.array([[1, 0, 2]]), np.array([[0, 3, 5]]))
    >>> evaluate(found, truth, Protocol()).mean_average_precision
    0.8333333333333333
    >>> counts = DistanceCounts(np.array([[1, 0, 0, 1, 0, 1]]), np.array([[1, 0, 0, 0, 0, 1]]))
    >>> evaluate(counts, truth, Protocol()).mean_average_precision
    0.8333333333333333
    """
    parts: list[Scores] = []
    start = 0
    for block in _blocks(results):
        stop = start + len(block)
        if stop > truth.n_queries:
            raise ValueError(f"results hold more than the {truth.n_queries} queries of the truth")
        graded = truth.graded and bool(protocol.ndcg_at)
        ideals = {k: truth.ideal_dcg(k)[start:stop] if graded else None for k in protocol.ndcg_at}
        if isinstance(block, Neighbors):
            rankings = _rankings(block, truth, start, graded)
            parts.append(_score(rankings, rankings.by_distance, ideals, protocol))
        else:
            groups = _groups(block, truth, graded, protocol)
            parts.append(_score(groups, groups, ideals, protocol))
        start = stop
    if start != truth.n_queries or not parts:
        raise ValueError(f"results hold {start} queries, the ground truth {truth.n_queries}")
    return _join(parts)


def _blocks(results: Results | Iterable[Results]) -> Iterator[Results]:
    """Give the results in blocks that are not empty, and large counts in several."""
    for block in [results] if isinstance(results, Results) else results:
        if not isinstance(block, Results):
            raise TypeError(
                f"results must be Neighbors or DistanceCounts, got {type(block).__name__}"
            )
        if isinstance(block, DistanceCounts):
            rows = max(1, _BLOCK_ENTRIES // max(1, block.n_levels))
            for first in range(0, len(block), rows):
                part = slice(first, first + rows)
                gains = None if block.gains is None else block.gains[part]
                yield DistanceCounts(block.retrieved[part], block.hits[part], gains, block.levels)
        elif len(block):
            yield block


def _rankings(found: Neighbors, truth: GroundTruth, start: int, graded: bool) -> Rankings:
    """Look up which of the ranked items are relevant, and what they are worth."""
    stop = start + len(found)
    gains = truth.gains(start, stop) if graded else None
    marks = truth.relevant(start, stop) if gains is None else gains > 0
    ids = found.ids
    if ids.max(initial=-1) >= marks.shape[1]:
        raise ValueError(
            f"results hold the id {ids.max()}, the ground truth knows 0 to {marks.shape[1] - 1}"
        )
    absent = ids < 0
    places = np.where(absent, 0, ids)
    relevant = np.take_along_axis(marks, places, axis=1) & ~absent
    levels = np.where(absent, -1, found.distances)
    if gains is not None:
        gains = np.where(absent, np.uint16(0), np.take_along_axis(gains, places, axis=1))
    return Rankings(relevant, levels, marks.sum(axis=1), gains)


def _groups(
    counts: DistanceCounts, truth: GroundTruth, graded: bool, protocol: Protocol
) -> TieGroups:
    """Take the counts as those of the whole database."""
    if protocol.ties == "stable":
        raise ValueError(
            "ties='stable' needs rankings (Neighbors); counts do not know the order of tied items"
        )
    if graded and counts.gains is None:
        raise ValueError(
            "relevance is graded and the counts hold no gains: count them too (truth.gains), or "
            "judge with ndcg_at=() or gain='binary'"
        )
    if (largest := counts.retrieved.sum(axis=1).max()) > truth.n_database:
        raise ValueError(
            f"counts hold {largest} items a query, the ground truth {truth.n_database}"
        )
    return TieGroups(counts)


def _score(
    rankings: Rankings | TieGroups,
    groups: TieGroups,
    ideals: dict[int, FloatArray | None],
    protocol: Protocol,
) -> Scores:
    """Compute every metric of a block of queries."""
    ties: dict[str, Any] = {"ties": protocol.ties} if isinstance(rankings, Rankings) else {}
    values = {
        "mean_average_precision": rankings.average_precision(
            cutoff=protocol.cutoff, denominator=protocol.denominator, **ties
        )
    }
    for k in protocol.precision_at:
        values[f"precision_at_{k}"] = rankings.precision_at(k, **ties)
    for k in protocol.recall_at:
        values[f"recall_at_{k}"] = rankings.recall_at(k, **ties)
    for k, ideal in ideals.items():
        values[f"ndcg_at_{k}"] = rankings.ndcg_at(k, ideal, **ties)
    if groups.counts.levels is None:  # a Hamming radius means nothing to another distance
        values[f"precision_within_{protocol.radius}"] = groups.precision_within(protocol.radius)
        values[f"recall_within_{protocol.radius}"] = groups.recall_within(protocol.radius)
    # Precision is defined for a query without relevant items too, but follows the policy.
    empty = groups.n_relevant == 0
    values = {name: np.where(empty, np.nan, value) for name, value in values.items()}
    return Scores(protocol, groups.counts, groups.n_relevant, values)


def _join(parts: list[Scores]) -> Scores:
    """Put the queries of all blocks one after the other."""
    n_relevant = np.concatenate([part.n_relevant for part in parts])
    if not n_relevant.any():
        raise ValueError("no query has a relevant item: there is nothing to score")
    n_levels = max(part.counts.n_levels for part in parts)
    levels = parts[0].counts.levels
    for part in parts[1:]:
        other = part.counts.levels
        if levels is not other and (
            levels is None or other is None or not np.array_equal(levels, other)
        ):
            raise ValueError("the blocks of results hold counts at different distances")

    def stacked(arrays: list[IntArray]) -> IntArray:
        whole = np.zeros((len(n_relevant), n_levels), dtype=np.int64)
        start = 0
        for array in arrays:
            whole[start : start + len(array), : array.shape[1]] = array
            start += len(array)
        return whole

    gains = [part.counts.gains for part in parts if part.counts.gains is not None]
    counts = DistanceCounts(
        stacked([part.counts.retrieved for part in parts]),
        stacked([part.counts.hits for part in parts]),
        stacked(gains) if len(gains) == len(parts) else None,
        levels,
    )
    values = {
        name: np.concatenate([part.per_query[name] for part in parts])
        for name in parts[0].per_query
    }
    return Scores(parts[0].protocol, counts, n_relevant, values)
