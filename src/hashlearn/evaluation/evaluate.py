"""From results and ground truth to scores."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.evaluation import metrics
from hashlearn.evaluation.ground_truth import GroundTruth
from hashlearn.evaluation.protocol import Protocol
from hashlearn.results import Neighbors


@dataclass(frozen=True, eq=False)
class Scores:
    """Hold what an evaluation found, with the protocol that it was found under.

    Parameters
    ----------
    protocol : Protocol
        How the codes were judged.
    n_queries : int
        Number of queries.
    n_empty : int
        Queries without a relevant item.
    mean_average_precision : float
        Mean over the queries of the average precision.
    pooled_pr_area : float
        Area under the one precision-recall curve of all queries, radius by radius.
    precision_at : dict of int to float
        Mean precision among the first k items.
    recall_at : dict of int to float
        Mean recall among the first k items.
    precision_within_radius : float
        Mean precision within the protocol's radius; 0 for a query that finds nothing there.
    recall_within_radius : float
        Mean recall within the protocol's radius.
    average_precisions : ndarray of shape (q,), float64
        Average precision of each query; NaN where it is not defined.
    pooled_precision : ndarray of shape (n_points,), float64
        Precision of the pooled curve, smallest radius first.
    pooled_recall : ndarray of shape (n_points,), float64
        Recall of the pooled curve.
    """

    protocol: Protocol
    n_queries: int
    n_empty: int
    mean_average_precision: float
    pooled_pr_area: float
    precision_at: dict[int, float]
    recall_at: dict[int, float]
    precision_within_radius: float
    recall_within_radius: float
    average_precisions: NDArray[np.float64] = field(repr=False)
    pooled_precision: NDArray[np.float64] = field(repr=False)
    pooled_recall: NDArray[np.float64] = field(repr=False)

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
        radius = self.protocol.radius
        return {
            "n_queries": self.n_queries,
            "n_empty": self.n_empty,
            "mean_average_precision": self.mean_average_precision,
            "pooled_pr_area": self.pooled_pr_area,
            **{f"precision_at_{k}": value for k, value in self.precision_at.items()},
            **{f"recall_at_{k}": value for k, value in self.recall_at.items()},
            f"precision_within_{radius}": self.precision_within_radius,
            f"recall_within_{radius}": self.recall_within_radius,
        }


def evaluate(
    results: Neighbors | Iterable[Neighbors], truth: GroundTruth, protocol: Protocol
) -> Scores:
    """Score results against ground truth under a protocol.

    Parameters
    ----------
    results : Neighbors or iterable of Neighbors
        Ranked items of all queries in their order, in one piece or block by block (which keeps
        memory bounded). Ids are the items' numbers in the ground truth.
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
    ValueError
        If the number of queries differs, an id is outside the ground truth's database, or no query
        has a relevant item.

    Notes
    -----
    Give full rankings (``k = len(index)``) unless you know that a shorter list is enough: an item
    that is not listed counts as never retrieved, and with expected ties a cut-off needs the whole
    group of ties that it falls into.

    Examples
    --------
    >>> from hashlearn.evaluation import NeighborTruth
    >>> found = Neighbors(np.array([[1, 0, 2]]), np.array([[0, 3, 5]]))
    >>> evaluate(found, NeighborTruth([[1, 2]], 3), Protocol()).mean_average_precision
    0.8333333333333333
    """
    blocks = [results] if isinstance(results, Neighbors) else results
    parts: list[dict[str, NDArray[Any]]] = []
    start = 0
    for block in blocks:
        stop = start + len(block)
        if stop > truth.n_queries:
            raise ValueError(f"results hold more than the {truth.n_queries} queries of the truth")
        if len(block):
            parts.append(_score_block(block, truth.relevant(start, stop), protocol))
        start = stop
    if start != truth.n_queries or not parts:
        raise ValueError(f"results hold {start} queries, the ground truth {truth.n_queries}")
    return _combine(parts, protocol)


def _score_block(
    found: Neighbors, marks: NDArray[np.bool_], protocol: Protocol
) -> dict[str, NDArray[Any]]:
    """Compute every metric of a block of queries, and its counts by distance."""
    ids, distances = found.ids, found.distances
    if ids.max(initial=-1) >= marks.shape[1]:
        raise ValueError(
            f"results hold the id {ids.max()}, the ground truth knows 0 to {marks.shape[1] - 1}"
        )
    absent = ids < 0
    relevant = np.take_along_axis(marks, np.where(absent, 0, ids), axis=1) & ~absent
    levels = np.where(absent, -1, distances)
    rankings = metrics.Rankings(relevant, levels, marks.sum(axis=1))
    scores = {
        "total": rankings.n_relevant,
        "average_precision": rankings.average_precision(
            cutoff=protocol.cutoff, denominator=protocol.denominator, ties=protocol.ties
        ),
        "precision_within": rankings.precision_within(protocol.radius),
        "recall_within": rankings.recall_within(protocol.radius),
        "retrieved": rankings.by_distance.retrieved.sum(axis=0),
        "hits": rankings.by_distance.hits.sum(axis=0),
    }
    for k in protocol.precision_at:
        scores[f"precision_at_{k}"] = rankings.precision_at(k, ties=protocol.ties)
    for k in protocol.recall_at:
        scores[f"recall_at_{k}"] = rankings.recall_at(k, ties=protocol.ties)
    return scores


def _combine(parts: list[dict[str, NDArray[Any]]], protocol: Protocol) -> Scores:
    """Join the blocks: concatenate the queries, add up the counts by distance."""

    def per_query(name: str) -> NDArray[np.float64]:
        return np.concatenate([part[name] for part in parts])

    def by_distance(name: str) -> NDArray[np.int64]:
        length = max(len(part[name]) for part in parts)
        counts = np.zeros(length, dtype=np.int64)
        for part in parts:
            counts[: len(part[name])] += part[name]
        return counts

    total = per_query("total")
    if not total.any():
        raise ValueError("no query has a relevant item: there is nothing to score")

    def mean(name: str) -> float:
        # Precision is defined for a query without relevant items too, but follows the policy.
        values = np.where(total > 0, per_query(name), np.nan)
        return metrics.mean_over_queries(values, empty=protocol.empty)

    counts = by_distance("retrieved"), by_distance("hits"), int(total.sum())
    precision, recall = metrics.pooled_pr_curve(*counts)
    average_precisions = per_query("average_precision")
    return Scores(
        protocol=protocol,
        n_queries=len(total),
        n_empty=int((total == 0).sum()),
        mean_average_precision=metrics.mean_over_queries(average_precisions, empty=protocol.empty),
        pooled_pr_area=metrics.pooled_pr_area(*counts),
        precision_at={k: mean(f"precision_at_{k}") for k in protocol.precision_at},
        recall_at={k: mean(f"recall_at_{k}") for k in protocol.recall_at},
        precision_within_radius=mean("precision_within"),
        recall_within_radius=mean("recall_within"),
        average_precisions=average_precisions,
        pooled_precision=precision,
        pooled_recall=recall,
    )
