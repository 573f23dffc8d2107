"""The curves of a run, as plain numbers for its row."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import Distance
from hashlearn.evaluation import (
    GroundTruth,
    NeighborTruth,
    Scores,
    distance_distributions,
    pooled_pr_curve,
    pr_curve_by_radius,
    precision_at_ranks,
    recall_at_ranks,
)
from hashlearn.index import count_distances
from hashlearn.results import DistanceCounts

_BLOCK_ENTRIES = 1 << 22
_NEAREST = (1, 10, 100, 1000)
_POOLED_POINTS = 200


def count_blocks(
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    n_bits: int,
    truth: GroundTruth,
    threads: int | None = None,
    distance: Distance = "hamming",
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
    threads : int, optional
        Number of threads. None takes every processor that the process may use.
    distance : {"hamming", "spherical"}, default="hamming"
        What to count by.

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
        yield count_distances(
            queries[start:stop],
            database,
            n_bits,
            relevant,
            gains,
            distance=distance,
            threads=threads,
        )


def run_curves(
    scores: Scores,
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    n_bits: int,
    truth: GroundTruth,
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
    n_bits : int
        Length of a code.
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
        of relevant and of irrelevant pairs at each distance. ``"radius"`` and ``"distances"`` are
        of Hamming distances and left out for others, whose pooled curve has at most 200 points.
    """
    counts, empty = scores.counts, scores.protocol.empty
    ranks = _ranks(len(database))
    pooled = counts.retrieved.sum(axis=0), counts.hits.sum(axis=0), int(counts.hits.sum())
    precision, recall = pooled_pr_curve(*pooled)
    if counts.levels is not None:
        wanted = np.linspace(recall[0], recall[-1], _POOLED_POINTS)
        points = np.unique(np.searchsorted(recall, wanted))
        precision, recall = precision[points], recall[points]
    curves = {
        "ranks": ranks,
        "precision_at_ranks": _plain(precision_at_ranks(counts, ranks, empty=empty)),
        "recall_at_ranks": {
            name: _plain(recall_at_ranks(nearest, ranks, empty=empty))
            for name, nearest in _truths(counts, queries, database, n_bits, truth)
        },
        "pooled": _named(("precision", "recall"), (precision, recall)),
    }
    if counts.levels is not None:
        return curves
    by_radius = pr_curve_by_radius(counts, empty=empty)
    n_found = np.cumsum(counts.retrieved, axis=1)
    radius = {
        **_named(("precision", "recall"), by_radius),
        "found_nothing": _plain((n_found == 0).mean(axis=0)),
    }
    distances = _named(("relevant", "irrelevant"), distance_distributions(counts))
    return {**curves, "radius": radius, "distances": distances}


def _truths(
    counts: DistanceCounts,
    queries: NDArray[np.uint8],
    database: NDArray[np.uint8],
    n_bits: int,
    truth: GroundTruth,
) -> Iterator[tuple[str, DistanceCounts]]:
    """Give the counts under the ground truths of fewer neighbours, then those of all."""
    if not isinstance(truth, NeighborTruth):
        yield "all", counts
        return
    n_neighbors = truth.ids.shape[1]
    for k in (k for k in _NEAREST if k < n_neighbors):
        distance: Distance = "hamming" if counts.levels is None else "spherical"
        nearest = truth.nearest(k)
        blocks = list(count_blocks(queries, database, n_bits, nearest, distance=distance))
        yield (
            str(k),
            DistanceCounts(
                np.concatenate([block.retrieved for block in blocks]),
                np.concatenate([block.hits for block in blocks]),
            ),
        )
    yield str(n_neighbors), counts


def _ranks(n_database: int) -> list[int]:
    """Choose 1, 2, 5, 10, 20, 50, ... up to all items."""
    steps = [step * 10**power for power in range(19) for step in (1, 2, 5)]
    return [*(step for step in steps if step < n_database), n_database]


def _named(names: tuple[str, ...], curves: tuple[ArrayLike, ...]) -> dict[str, list[float]]:
    return {name: _plain(curve) for name, curve in zip(names, curves, strict=True)}


def _plain(values: ArrayLike) -> list[float]:
    """Round to five digits that count: rows are read by people, too."""
    return [float(f"{value:.5g}") for value in np.asarray(values)]
