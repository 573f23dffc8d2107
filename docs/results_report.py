"""Make the tables of docs/results.md from the results in benchmarks/results/mnist.

The first puts our numbers beside the paper's. The second takes the pooled area apart: from the mean
over queries of average precision to the one curve of all queries, a step at a time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark import (
    Records,
    Summary,
    baselines,
    compare_summaries,
    load_paper,
    summarise,
)
from hashlearn.evaluation import pr_curve_by_rank
from hashlearn.hashers import methods
from hashlearn.results import DistanceCounts

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "mnist"
NAMES = {method.name: method.class_name for method in methods()}


def report() -> str:
    """Make all tables, in Markdown."""
    records = Records(RESULTS)
    summaries = sorted(summarise(records.rows()), key=lambda one: one.first["n_bits"])
    parts = [scores(summaries), differences(records, summaries), steps(records, summaries)]
    return "\n\n".join(parts)


def scores(summaries: Sequence[Summary]) -> str:
    """Compare our scores with the paper's."""
    tables = {table.metric: table for table in load_paper("sigah").select("2")}
    metrics = ("pooled_pr_area", "precision_at_100", "mean_average_precision")
    lines = [
        "| method | bits | pooled area | printed | precision at 100 | printed | mean average "
        "precision | fit, seconds |",
        "| --- " * 8 + "|",
    ]
    for one in summaries:
        cells = [name(one), str(one.first["n_bits"])]
        for metric in metrics:
            cells.append(with_deviation(one, metric))
            if metric in tables:
                cells.append(printed(tables[metric], one))
        cells.append(f"{one.mean('fit_seconds'):.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(records: Records, summaries: Sequence[Summary]) -> str:
    """Compare each method with ITQ on the same queries."""
    lines = [
        "| less ITQ, same queries | bits | pooled area | mean average precision |",
        "| --- " * 4 + "|",
    ]
    for ours, itq in baselines(summaries, "itq"):
        cells = [name(ours), str(ours.first["n_bits"])]
        for metric in ("pooled_pr_area", "mean_average_precision"):
            found = compare_summaries(records, ours, itq, metric)
            if found is None:
                raise FileNotFoundError(f"the details of {ours.name} are missing in {RESULTS}")
            cells.append(f"{found.difference:+.3f} ({found.low:+.3f} to {found.high:+.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def steps(records: Records, summaries: Sequence[Summary]) -> str:
    """Go from mean average precision to the pooled area, a step at a time."""
    lines = [
        "| method | bits | mean AP | its own curve for each query | one curve, at equal rank | one "
        "curve, at equal radius | radius that finds half | weight of a tenth |",
        "| --- " * 8 + "|",
    ]
    for one in summaries:
        found = [take_apart(records, row) for row in one.rows]
        means = {key: float(np.mean([values[key] for values in found])) for key in found[0]}
        cells = [
            name(one),
            str(one.first["n_bits"]),
            short(means["mean"]),
            short(means["own"]),
            short(means["rank"]),
            short(means["radius"]),
            f"{means['half']:.1f} ± {means['spread']:.1f}",
            f"{means['weight']:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def take_apart(records: Records, row: dict[str, Any]) -> dict[str, float]:
    """Integrate the curves of one run in four ways."""
    details = records.details(row["id"])
    if details is None:
        raise FileNotFoundError(f"the details of run {row['id']} are missing in {RESULTS}")
    counts = DistanceCounts(details["retrieved"], details["hits"])
    found, hits = np.cumsum(counts.retrieved, axis=1), np.cumsum(counts.hits, axis=1)
    recall = hits / hits[:, -1:]
    precision = np.divide(hits, found, out=np.zeros(found.shape), where=found > 0)
    own = [
        area(precision[query][some := found[query] > 0], recall[query][some])
        for query in range(len(counts))
    ]
    ranks = np.unique(np.geomspace(1, row["n_database"], 300).astype(int))
    half = (recall >= 0.5).argmax(axis=1)
    weights = np.sort(found[:, (hits.sum(axis=0) / hits[:, -1].sum() >= 0.5).argmax()])
    return {
        "mean": row["scores"]["mean_average_precision"],
        "own": float(np.mean(own)),
        "rank": area(*pr_curve_by_rank(counts, ranks)),
        "radius": row["scores"]["pooled_pr_area"],
        "half": float(half.mean()),
        "spread": float(half.std()),
        "weight": float(weights[-len(weights) // 10 :].sum() / weights.sum()),
    }


def area(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Integrate a curve by trapezoids, flat from recall 0 to its first point."""
    return float(np.trapezoid(np.r_[precision[0], precision], np.r_[0.0, recall]))


def name(one: Summary) -> str:
    """Name a method and what it was given."""
    given = ", ".join(f"{key}={value}" for key, value in one.first["given"].items())
    return NAMES[one.first["method"]] + (f", `{given}`" if given else "")


def printed(table: Any, one: Summary) -> str:
    """Look up what the paper prints for a method as it is."""
    for row in table.rows:
        if row.method == one.first["method"] and dict(row.parameters) == one.first["given"]:
            return short(table.printed(row.label, one.first["n_bits"]))
    return ""


def with_deviation(one: Summary, metric: str) -> str:
    """Write mean and standard deviation over the seeds."""
    mean, deviation = one.mean(metric), one.deviation(metric)
    assert mean is not None
    return short(mean) + (f" ± {short(deviation)}" if deviation is not None else "")


def short(value: float) -> str:
    """Write three digits, without the zero before the point."""
    return f"{value:.3f}".removeprefix("0")
