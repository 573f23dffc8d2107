"""The curves of a run, as plain numbers for its row."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.evaluation import (
    GroundTruth,
    NeighborTruth,
    Scores,
    TieGroups,
    mean_over_queries,
    pooled_pr_curve,
)
from hashlearn.index import count_distances
from hashlearn.results import DistanceCounts

_BLOCK_ENTRIES = 1 << 22
_NEAREST = (1, 10, 100, 1000)


def count_blocks(
    queries: NDArray[np.uint8], database: NDArray[np.uint8], n_bits: int, truth: GroundTruth
) -> Iterator[DistanceCounts]:
    """Count items and relevant ones by distance, a few queries at a time: memory stays bounded.

    Parameters
    ----------
    queries : ndarray of shape (q, ceil(n_bits / 8)), uint8
        Packed codes.
    database : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Length of a code.
    truth : GroundTruth
        What is relevant.

    Yields
    ------
    DistanceCounts
        Counts of the next queries.
    """
    rows = max(1, _BLOCK_ENTRIES // len(database))
    for start in range(0, len(queries), rows):
        stop = min(start + rows, len(queries))
        gains = truth.gains(start, stop) if truth.graded else None
        relevant = truth.relevant(start, stop) if gains is None else gains > 0
        yield count_distances(queries[start:stop], database, n_bits, relevant, gains)


def run_curves(
    scores: Scores, queries: NDArray[np.uint8], database: NDArray[np.uint8], truth: GroundTruth
) -> dict[str, Any]:
    """Compute the curves that a report draws.

    Parameters
    ----------
    scores : Scores
        Scores of the run.
    queries : ndarray of shape (q, ceil(n_bits / 8)), uint8
        Packed codes.
    database : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    truth : GroundTruth
        What is relevant.

    Returns
    -------
    dict
        ``"ranks"``, numbers of retrieved items; ``"precision_at_ranks"``; ``"recall_at_ranks"``, a
        curve for all relevant items (``"all"``), or for the 1, 10, 100 and 1,000 nearest of those
        that Euclidean distance makes relevant (the papers' R-1 to R-1K); ``"radius"``, mean
        precision, recall and share of queries that find nothing, within each radius; ``"pooled"``,
        precision and recall within each radius, of all queries together; ``"distances"``, the share
        of relevant and of irrelevant pairs at each distance.
    """
    counts, n_bits = scores.counts, scores.counts.n_levels - 1
    ranks = _ranks(len(database))
    groups = TieGroups(counts)
    return {
        "ranks": ranks,
        "precision_at_ranks": _plain([groups.precision_at(rank).mean() for rank in ranks]),
        "recall_at_ranks": {
            name: _plain(_recall(nearest, ranks))
            for name, nearest in _truths(counts, queries, database, n_bits, truth)
        },
        "radius": _by_radius(counts),
        "pooled": dict(zip(("precision", "recall"), map(_plain, _pooled(counts)), strict=True)),
        "distances": _distances(counts),
    }


def _truths(
    counts: DistanceCounts,
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    n_bits: int,
    truth: GroundTruth,
) -> Iterator[tuple[str, DistanceCounts]]:
    """Give the counts under the ground truths of fewer neighbours."""
    if not isinstance(truth, NeighborTruth):
        yield "all", counts
        return
    n_neighbors = truth.ids.shape[1]
    for k in (*(k for k in _NEAREST if k < n_neighbors), n_neighbors):
        if k == n_neighbors:
            yield str(k), counts
            continue
        nearest = truth.nearest(k)
        blocks = list(count_blocks(queries, database, n_bits, nearest))
        yield (
            str(k),
            DistanceCounts(
                np.concatenate([block.retrieved for block in blocks]),
                np.concatenate([block.hits for block in blocks]),
            ),
        )


def _ranks(n_database: int) -> list[int]:
    """Choose 1, 2, 5, 10, 20, 50, ... up to all items."""
    steps = [step * 10**power for power in range(19) for step in (1, 2, 5)]
    return [*(step for step in steps if step < n_database), n_database]


def _recall(counts: DistanceCounts, ranks: list[int]) -> list[float]:
    groups = TieGroups(counts)
    return [mean_over_queries(groups.recall_at(rank), empty="skip") for rank in ranks]


def _by_radius(counts: DistanceCounts) -> dict[str, list[float]]:
    found, good = np.cumsum(counts.retrieved, axis=1), np.cumsum(counts.hits, axis=1)
    total = good[:, -1:]
    precision = np.divide(good, found, out=np.zeros(found.shape), where=found > 0)
    recall = np.divide(good, total, out=np.zeros(found.shape), where=total > 0)
    return {
        "precision": _plain(precision.mean(axis=0)),
        "recall": _plain(recall.mean(axis=0)),
        "found_nothing": _plain((found == 0).mean(axis=0)),
    }


def _pooled(counts: DistanceCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    retrieved, hits = counts.retrieved.sum(axis=0), counts.hits.sum(axis=0)
    return pooled_pr_curve(retrieved, hits, int(hits.sum()))


def _distances(counts: DistanceCounts) -> dict[str, list[float]]:
    relevant = counts.hits.sum(axis=0)
    irrelevant = counts.retrieved.sum(axis=0) - relevant
    return {
        "relevant": _plain(relevant / max(1, relevant.sum())),
        "irrelevant": _plain(irrelevant / max(1, irrelevant.sum())),
    }


def _plain(values: ArrayLike) -> list[float]:
    """Round to five digits that count: rows are read by people, too."""
    return [float(f"{value:.5g}") for value in np.asarray(values)]
