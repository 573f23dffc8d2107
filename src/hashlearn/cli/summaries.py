"""Tables of what a benchmark found."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from hashlearn.cli.show import print_table

if TYPE_CHECKING:
    from hashlearn.benchmark import Paper, Records, Summary
    from hashlearn.benchmark.records import Row
    from hashlearn.benchmark.report.tables import Cell

_SHORT = {
    "mean_average_precision": "mAP",
    "pooled_pr_area": "pooled area",
    "precision_at_100": "P@100",
}


def show_summaries(summaries: "list[Summary]") -> None:
    """Print a table for each data set, protocol and kind of features.

    Parameters
    ----------
    summaries : list of Summary
        What was found.
    """
    settings = dict.fromkeys(summary.setting for summary in summaries)
    for setting in settings:
        group = [summary for summary in summaries if summary.setting == setting]
        row = group[0].first
        metrics = dict.fromkeys(
            (row["protocol"]["metric"], "mean_average_precision", "precision_at_100")
        )
        print_table(
            ["method", "bits", "seeds", *(_SHORT.get(metric, metric) for metric in metrics), "fit"],
            [
                [
                    summary.name,
                    summary.first["n_bits"],
                    len(summary.seeds),
                    *(with_deviation(summary, metric) for metric in metrics),
                    f"{summary.mean('fit_seconds'):.1f} s",
                ]
                for summary in group
            ],
            f"{row['dataset']}: {row['scores']['n_queries']:,} queries, "
            f"{row['n_database']:,} items, features {row['features']}",
        )


def show_printed(rows: "Sequence[Row]", paper: "Paper") -> None:
    """Print a paper's numbers with ours beside them.

    Parameters
    ----------
    rows : sequence of dict
        What was found.
    paper : Paper
        The paper, with the tables to show.
    """
    from hashlearn.benchmark.report.settings import settings_of
    from hashlearn.benchmark.report.tables import compare_with_papers

    for found in compare_with_papers(settings_of(rows), [paper])[0]:
        lines = [
            [line.row.label, *(_beside(cell, found.decimals) for cell in line.cells)]
            for line in found.lines
        ]
        other = found.table.stand_in if found.is_stand_in else None
        data = "" if other is None else f", {other.dataset} standing in"
        print_table(
            ["method", *(f"{n_bits} bits" for n_bits in found.bits)],
            lines,
            f"{found.table.title}: printed | ours{data}",
        )


def _beside(cell: "Cell | None", decimals: int) -> str:
    """Write a printed number and ours, a dash for what there is not."""
    if cell is None:
        return ""
    printed, ours = (
        "-" if number is None or isnan(number) else f"{number:.{decimals}f}".removeprefix("0")
        for number in (cell.printed, cell.mean)
    )
    return f"{printed} | {ours}"


def show_differences(records: "Records", summaries: "Sequence[Summary]", baseline: str) -> None:
    """Print how far each method is from a baseline on the same queries.

    Parameters
    ----------
    records : Records
        Where the details of the runs are kept.
    summaries : sequence of Summary
        What was found.
    baseline : str
        Name of the baseline.
    """
    from hashlearn.benchmark import baselines, compare_summaries

    lines = []
    for ours, other in baselines(summaries, baseline):
        for metric in dict.fromkeys((ours.first["protocol"]["metric"], "mean_average_precision")):
            found = compare_summaries(records, ours, other, metric)
            if found is not None:
                lines.append(
                    [
                        ours.first["dataset"],
                        ours.name,
                        ours.first["n_bits"],
                        _SHORT.get(metric, metric),
                        f"{found.difference:+.3f}",
                        f"{found.low:+.3f} to {found.high:+.3f}",
                    ]
                )
    if lines:
        print_table(
            ["data", "method", "bits", "metric", "difference", "95 % interval"],
            lines,
            f"less {baseline} on the same queries, by a bootstrap over queries",
        )


def with_deviation(summary: "Summary", metric: str) -> str:
    """Write a score with its standard deviation over the seeds.

    Parameters
    ----------
    summary : Summary
        Rows of several seeds.
    metric : str
        Name of the score.

    Returns
    -------
    str
        As ``".432 ± .009"``; without the deviation for one seed; "" where there is none.
    """
    mean, deviation = summary.mean(metric), summary.deviation(metric)
    if mean is None:
        return ""
    numbers = [mean] if deviation is None else [mean, deviation]
    return " ± ".join(f"{number:.3f}".removeprefix("0") for number in numbers)
