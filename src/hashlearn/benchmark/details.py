"""What a run found for each query: for paired comparisons, and for people who want to see it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark.run import Run
from hashlearn.data import Dataset
from hashlearn.results import Neighbors

N_SHOWN, N_FOUND, N_MAPPED = 10, 12, 1000


def run_details(run: Run, dataset: Dataset) -> dict[str, NDArray[Any]]:
    """Gather what a run found for each query.

    Parameters
    ----------
    run : Run
        What :func:`~hashlearn.benchmark.run_jobs` gave.
    dataset : Dataset
        The data set that it ran on.

    Returns
    -------
    dict of str to ndarray
        ``"retrieved"`` and ``"hits"`` of shape (q, n_levels), the smallest unsigned integers that
        hold them: items at each distance from each query, and relevant ones; of other distances
        than Hamming's only those at which there is an item. ``"average_precision"`` of shape (q,),
        float32. ``"shown_queries"`` of shape (10,), int64, positions among the queries, of
        different classes; ``"shown_ids"`` of shape (10, 12), int64, their nearest items by the
        run's distance, positions in the database; ``"shown_distances"`` of that shape, int32, their
        Hamming distances; ``"shown_relevant"`` of that shape, bool. ``"map_items"`` of shape
        (1000,), int64, positions in the database drawn at random, the same for all methods, and
        ``"map_codes"``, their codes. All have fewer rows where there is less.
    """
    counts = run.scores.counts
    used = slice(None) if counts.levels is None else counts.retrieved.any(axis=0)
    shown = queries_to_show(run, dataset)
    found = _nearest(run, run.query_codes[shown])
    marks = np.concatenate([run.truth.relevant(query, query + 1) for query in shown])
    n_mapped = min(N_MAPPED, len(run.database_codes))
    mapped = np.random.default_rng(0).choice(len(run.database_codes), n_mapped, replace=False)
    return {
        "retrieved": _narrow(counts.retrieved[:, used]),
        "hits": _narrow(counts.hits[:, used]),
        "average_precision": run.scores.average_precisions.astype(np.float32),
        "shown_queries": np.array(shown, dtype=np.int64),
        "shown_ids": found.ids,
        "shown_distances": found.distances,
        "shown_relevant": np.take_along_axis(marks, found.ids, axis=1),
        "map_items": np.sort(mapped),
        "map_codes": run.database_codes[np.sort(mapped)],
    }


def queries_to_show(run: Run, dataset: Dataset, n: int = N_SHOWN) -> list[int]:
    """Choose queries for a person to look at: of each class in turn.

    Parameters
    ----------
    run : Run
        A run.
    dataset : Dataset
        The data set that it ran on.
    n : int, default=10
        Number of queries.

    Returns
    -------
    list of int
        Positions among the run's queries: the first query of each class, then the second of each,
        and so on. Without labels the first queries.
    """
    if dataset.y is None:
        return list(range(min(n, len(run.split.queries))))
    labels = dataset.y[run.split.queries]
    keys = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    turns = np.empty(len(keys), dtype=np.int64)
    for key in np.unique(keys):
        turns[keys == key] = np.arange((keys == key).sum())
    return [int(row) for row in np.lexsort((keys, turns))[:n]]


def _nearest(run: Run, codes: NDArray[np.uint8]) -> Neighbors:
    """Search by the run's distance."""
    k = min(N_FOUND, len(run.index))
    if run.scores.counts.levels is None:
        return run.index.search(codes, k)
    whole = run.index.rerank_spherical(codes, run.index.search(codes, len(run.index)))
    return Neighbors(whole.ids[:, :k], whole.distances[:, :k])


def _narrow(counts: NDArray[np.int64]) -> NDArray[Any]:
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
