"""A benchmark that keeps what it finds: jobs in, rows in a folder out, each as it finishes."""

from collections.abc import Callable, Sequence
from typing import Any

from hashlearn.benchmark.details import run_details
from hashlearn.benchmark.records import Records, Row
from hashlearn.benchmark.run import Job, questions, run_jobs
from hashlearn.data import Dataset, SplitRecipe
from hashlearn.evaluation import Protocol


def run_and_record(
    records: Records,
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    protocol: Protocol,
    recipe: SplitRecipe,
    features: str | None = None,
    again: bool = False,
    on_row: Callable[[Row], None] | None = None,
    on_error: Callable[[Job, Exception], None] | None = None,
) -> list[Row]:
    """Run the jobs that are not in the records yet, and record each as it finishes.

    Parameters
    ----------
    records : Records
        Where results are kept.
    dataset : Dataset
        Items.
    jobs : sequence of Job
        What to fit.
    protocol : Protocol
        How to judge.
    recipe : SplitRecipe
        How to split.
    features : str, optional
        Features before the hasher; see :func:`~hashlearn.benchmark.run_methods`.
    again : bool, default=False
        Whether to run what is in the records once more, as after a change of the code. The new
        row takes the old one's place.
    on_row : callable, optional
        Told of each new row.
    on_error : callable, optional
        Told of a job that failed, and why; the others go on. None raises.

    Returns
    -------
    list of dict
        The rows of all jobs, old and new, in the order of the jobs; without those that failed.

    Raises
    ------
    ValueError
        If a name is unknown, or a setting does not fit the data.
    ImportError
        If a method needs an extra that is not installed.
    """
    asked: dict[str, Any] = {"protocol": protocol, "recipe": recipe, "features": features}
    wanted = [question["id"] for question in questions(dataset, jobs, **asked)]
    done = set() if again else {row["id"] for row in records.rows()}
    for run in run_jobs(dataset, jobs, **asked, done=done, on_error=on_error):
        records.append(run.row, run_details(run, dataset))
        if on_row is not None:
            on_row(run.row)
    rows = {row["id"]: row for row in records.rows()}
    return [rows[id_] for id_ in dict.fromkeys(wanted) if id_ in rows]
