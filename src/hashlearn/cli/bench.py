"""Methods × data × bits × seeds under a protocol, kept in a folder: bench and compare."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlearn.cli.judging import judgement
from hashlearn.cli.options import (
    AsJson,
    Distance,
    Features,
    distance_in,
    integers_in,
    names_in,
    settings_in,
)
from hashlearn.cli.show import message, print_json
from hashlearn.cli.summaries import show_differences, show_printed, show_summaries
from hashlearn.hashers import methods as all_methods

if TYPE_CHECKING:
    from hashlearn import codes
    from hashlearn.benchmark import Job, Paper, Records
    from hashlearn.data import Dataset


def bench(
    methods: Annotated[
        str | None,
        typer.Option(help="Methods, joined by commas, or all. Default: lsh,itq; a paper's."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data sets, joined by commas: names, files or folders. Default: digits."),
    ] = None,
    bits: Annotated[
        str | None, typer.Option(help="Code lengths, joined by commas. Default: 32,64.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the methods, joined by commas.")] = "0,1,2",
    protocol: Annotated[
        str | None,
        typer.Option(help="How to judge (docs/protocols.md). Default: by labels, if there are."),
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Number of queries to draw.")] = None,
    queries_from: Annotated[
        str | None,
        typer.Option(help="Where to draw queries: test, train (to choose settings on) or all."),
    ] = None,
    train_from: Annotated[
        str | None,
        typer.Option(help="What to learn from: database, or learn: the part published for it."),
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Seed of the draw of queries.")] = 0,
    features: Features = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", help="Argument of a method, as itq.n_iter=200. May be given again."),
    ] = None,
    distance: Distance = None,
    paper: Annotated[
        str | None,
        typer.Option(help="Run the tables of a paper (sigah, pgh, bgan, ... or a .toml file)."),
    ] = None,
    table: Annotated[str | None, typer.Option(help="Only this table of the paper, as 2.")] = None,
    baseline: Annotated[
        str, typer.Option(help="Method that the others are compared with, query by query.")
    ] = "itq",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of results; what it has is not rerun.")
    ] = Path("results"),
    again: Annotated[bool, typer.Option("--again", help="Run also what is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare methods fairly: the same data, queries and judgement, several seeds, rows kept.

    Rows are written as they finish, so an interrupted run goes on where it stopped.

    Example: `hashlearn bench --data mnist --methods lsh,itq --protocol sigah-mnist`

    Example: `hashlearn bench --paper sigah --table 2`
    """  # numpydoc ignore=PR01
    from hashlearn.benchmark import Records
    from hashlearn.evaluation import get_protocol

    work = Work(Records(output), again=again)
    draws = integers_in(seeds, "--seeds")
    if paper is not None:
        asked = {
            "--data": data, "--bits": bits, "--protocol": protocol, "--queries": queries,
            "--queries-from": queries_from, "--train-from": train_from, "--features": features,
            "--set": parameters, "--distance": distance,
        }  # fmt: skip
        if given := [name for name, value in asked.items() if value is not None]:
            raise ValueError(f"{', '.join(given)} cannot be given with --paper, which says it")
        names = None if methods is None else names_in(methods)
        work.run_paper(paper, table, draws, split_seed, names)
    elif table is not None:
        raise ValueError("--table is a table of a paper: give --paper too")
    else:
        names = names_in(methods or "lsh,itq")
        if names == ["all"]:
            names = [row.name for row in all_methods()]
        lengths = integers_in(bits or "32,64", "--bits")
        settings = settings_in(parameters, of_methods=True)
        jobs = jobs_of(names, lengths, draws, settings, distance_in(distance))
        if protocol is not None:
            get_protocol(protocol)  # an unknown name fails before anything is loaded
        asked = {
            "queries_from": queries_from, "n_queries": queries, "train_from": train_from,
        }  # fmt: skip
        for name in names_in(data or "digits"):
            work.run(name, jobs, protocol, split_seed, features, asked)
    work.end(baseline, as_json=as_json)


def jobs_of(
    methods: list[str],
    bits: list[int],
    seeds: list[int],
    settings: dict[str, Any],
    distance: "codes.Distance | None" = None,
) -> "list[Job]":
    """Make the jobs of a command: every method, length and seed.

    Parameters
    ----------
    methods : list of str
        Names.
    bits : list of int
        Code lengths.
    seeds : list of int
        Seeds.
    settings : dict
        Arguments by ``"method.argument"``.
    distance : {"hamming", "spherical"}, optional
        What codes are compared by. None stands for each method's own distance.

    Returns
    -------
    list of Job
        One a fit.

    Raises
    ------
    ValueError
        If a setting is of a method that is not run.
    """
    from hashlearn.benchmark import Job

    if strange := [name for name in settings if name.partition(".")[0] not in methods]:
        raise ValueError(
            f"--set {strange[0]} is of no method that is run; write method.argument=value with "
            f"one of {', '.join(methods)}"
        )
    given = {
        method: {
            name.partition(".")[2]: value
            for name, value in settings.items()
            if name.partition(".")[0] == method
        }
        for method in methods
    }
    return [
        Job(method, n_bits, seed, given[method], distance)
        for method in methods
        for n_bits in bits
        for seed in seeds
    ]


@dataclass
class Work:
    """Do what a command asks, say what is done, and show at the end what was found.

    Parameters
    ----------
    records : Records
        Where results are kept.
    again : bool
        Whether to run also what is there.
    """

    records: "Records"
    again: bool

    def __post_init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self.loaded: tuple[str, Dataset] | None = None
        self.paper: Paper | None = None

    def run(
        self,
        data: str,
        jobs: "Sequence[Job]",
        protocol: str | None,
        split_seed: int,
        features: str | None,
        asked: dict[str, Any] | None = None,
    ) -> None:
        """Run jobs on a data set.

        Parameters
        ----------
        data : str
            Name or path of the data set.
        jobs : sequence of Job
            What to fit.
        protocol : str or None
            Name of a protocol.
        split_seed : int
            Seed of the draw of queries.
        features : str or None
            Features before the hasher.
        asked : dict, optional
            What else of the split was asked for; None where nothing was.
        """
        from hashlearn.benchmark import run_and_record

        dataset = self.load(data)
        judged, recipe = judgement(dataset, protocol, split_seed, asked or {})
        new: list[str] = []

        def done(row: dict[str, Any]) -> None:
            new.append(row["id"])
            message(
                f"{dataset.name}, {row['method']}, {row['n_bits']} bits, seed {row['seed']}: "
                f"{judged.metric} {row['scores'][judged.metric]:.4f}, "
                f"fitted in {row['fit_seconds']:.1f} s",
                style="dim",
            )

        def failed(job: "Job", error: Exception) -> None:
            self.failures.append(f"{dataset.name}, {job}: {error}")
            message(f"Failed: {self.failures[-1]}", style="bold red")

        rows = run_and_record(
            self.records, dataset, jobs, protocol=judged, recipe=recipe, features=features,
            again=self.again, on_row=done, on_error=failed,
        )  # fmt: skip
        known = {row["id"] for row in self.rows}  # tables of a paper share runs
        self.rows += [row for row in rows if row["id"] not in known]
        if kept := [row for row in rows if row["id"] not in new]:
            commits = {str(row["provenance"]["commit"]) for row in kept}
            message(
                f"{dataset.name}: {len(kept)} of {len(rows)} runs were in {self.records.folder} "
                f"already (commit {', '.join(sorted(commits))}); --again runs them once more"
            )

    def load(self, data: str) -> "Dataset":
        """Load a data set, unless it is the one loaded last.

        Parameters
        ----------
        data : str
            Name or path.

        Returns
        -------
        Dataset
            Items.
        """
        from hashlearn.cli.files import load_items

        if self.loaded is None or self.loaded[0] != data:
            self.loaded = data, load_items(data)
        return self.loaded[1]

    def run_paper(
        self, name: str, table: str | None, seeds: list[int], split_seed: int,
        methods: list[str] | None,
    ) -> None:  # fmt: skip
        """Run a paper's tables, on its data or on what stands in for them.

        Parameters
        ----------
        name : str
            Name of the paper, or its file.
        table : str or None
            Id of a table, or the start of several.
        seeds : list of int
            Seeds of the methods.
        split_seed : int
            Seed of the draw of queries.
        methods : list of str or None
            Names of the methods to run; None for all that the library has.
        """
        from hashlearn.benchmark.papers import load_paper
        from hashlearn.benchmark.plans import plan_table

        paper = load_paper(name)
        tables = paper.tables if table is None else paper.select(table)
        self.paper = replace(paper, tables=tables)
        for part in tables:
            plan = plan_table(part, seeds, methods)
            message(f"\n{part.title}", style="bold")
            if plan.why:
                on = f"on {plan.dataset} instead" if plan.is_stand_in else "left out"
                message(f"{plan.why}: {on}", style="yellow")
            if plan.left_out:
                message(f"not run: {', '.join(plan.left_out)}", style="dim")
            if plan.jobs:
                self.run(plan.dataset, plan.jobs, plan.protocol, split_seed, plan.features)

    def end(self, baseline: str, *, as_json: bool) -> None:
        """Show what was found, and write the table of rows.

        Parameters
        ----------
        baseline : str
            Method that the others are compared with.
        as_json : bool
            Whether to print rows for a program.

        Raises
        ------
        typer.Exit
            With code 1 if a run failed.
        """
        from hashlearn.benchmark import summarise

        if as_json:
            print_json(self.rows)
        else:
            summaries = summarise(self.rows)
            show_summaries(summaries)
            show_differences(self.records, summaries, baseline)
            if self.paper is not None:
                show_printed(self.rows, self.paper)
        if self.rows:
            try:
                self.records.write_parquet()
            except ImportError:
                message("rows.parquet was not written: it needs pip install 'hashlearn[parquet]'")
        if self.failures:
            message(f"{len(self.failures)} runs failed", style="bold red")
            raise typer.Exit(1)
