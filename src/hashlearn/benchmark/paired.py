"""Two methods on the same queries, from the details of their runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark.records import Records
from hashlearn.benchmark.summary import Summary
from hashlearn.evaluation import Comparison, TieGroups, compare_pooled_areas, compare_values
from hashlearn.results import DistanceCounts


def compare_summaries(
    records: Records,
    ours: Summary,
    baseline: Summary,
    metric: str | None = None,
    *,
    n_resamples: int = 10_000,
    confidence: float = 0.95,
) -> Comparison | None:
    """Compare two methods query by query, by a bootstrap over the queries.

    Parameters
    ----------
    records : Records
        Where the details of the runs are kept.
    ours : Summary
        One method's rows.
    baseline : Summary
        The other's, in the same setting.
    metric : str, optional
        ``"pooled_pr_area"``, ``"mean_average_precision"``, or with expected ties also
        ``"precision_at_K"`` and ``"recall_at_K"``. None stands for the protocol's.
    n_resamples : int, default=10000
        How often queries are drawn anew.
    confidence : float, default=0.95
        Share of the resampled differences in the interval.

    Returns
    -------
    Comparison or None
        Ours less the baseline's, each the mean over its seeds. None if details are missing.

    Raises
    ------
    ValueError
        If the two are not of the same setting, or the metric is not of single queries.
    """
    if ours.setting != baseline.setting:
        raise ValueError(
            f"{ours.name} and {baseline.name} were not judged on the same queries under the same "
            "protocol"
        )
    protocol = ours.first["protocol"]
    metric = protocol["metric"] if metric is None else metric
    details = [_details(records, summary) for summary in (ours, baseline)]
    if not all(details):
        return None
    options: dict[str, Any] = {"n_resamples": n_resamples, "confidence": confidence}
    if metric == "pooled_pr_area":
        counts = [[_counts(run) for run in runs] for runs in details]
        return compare_pooled_areas(counts[0], counts[1], **options)
    values = [[_values(run, metric, protocol["ties"]) for run in runs] for runs in details]
    return compare_values(values[0], values[1], metric=metric, empty=protocol["empty"], **options)


def _details(records: Records, summary: Summary) -> list[dict[str, NDArray[Any]]]:
    """Read the details of all seeds; none if one is missing."""
    found = [records.details(row["id"]) for row in summary.rows]
    return [run for run in found if run is not None] if None not in found else []


def _counts(run: dict[str, NDArray[Any]]) -> DistanceCounts:
    return DistanceCounts(run["retrieved"], run["hits"])


def _values(run: dict[str, NDArray[Any]], metric: str, ties: str) -> NDArray[np.float64]:
    """Give a metric's value of each query; NaN for a query without a relevant item."""
    if metric == "mean_average_precision":
        return run["average_precision"].astype(np.float64)
    name, _, rank = metric.rpartition("_")
    if name not in ("precision_at", "recall_at") or not rank.isdecimal() or ties != "expected":
        raise ValueError(
            "single queries can be compared by pooled_pr_area, mean_average_precision and, with "
            f"expected ties, precision_at_K and recall_at_K; got {metric!r} with {ties} ties"
        )
    groups = TieGroups(_counts(run))
    found = (
        groups.precision_at(int(rank)) if name == "precision_at" else groups.recall_at(int(rank))
    )
    return np.where(groups.n_relevant > 0, found, np.nan)


def baselines(summaries: Sequence[Summary], method: str) -> list[tuple[Summary, Summary]]:
    """Pair every method with the baseline of the same setting and code length.

    Parameters
    ----------
    summaries : sequence of Summary
        What was found.
    method : str
        Name of the baseline.

    Returns
    -------
    list of tuple of Summary
        A method and its baseline. What has none is left out. Where there are several, the one with
        the fewest arguments is the baseline: the method as it is, if it is there.
    """
    found: dict[tuple[str, int], Summary] = {}
    for summary in sorted(summaries, key=lambda one: len(one.first["given"])):
        if summary.first["method"] == method:
            found.setdefault((summary.setting, summary.first["n_bits"]), summary)
    keyed = [
        (summary, found.get((summary.setting, summary.first["n_bits"]))) for summary in summaries
    ]
    return [(ours, other) for ours, other in keyed if other is not None and other is not ours]
