"""Compare fitting ITQ with faiss's ITQTransform, side by side in one run.

    pip install faiss-cpu
    python benchmarks/fit.py -o benchmarks/results/fit.jsonl

Both get the same float32 vectors in memory and the same number of rounds. By default faiss learns
from 10 vectors a feature, or from 32,768; here `max_train_per_dim` is raised until it takes all of
them. That default, "faiss, sampled", is measured besides: it does less work. faiss centres, scales
every vector to length 1, and finds principal directions and rotation; ours checks that the vectors
are finite, centres, and does the same without the scaling.

The routes take turns, round after round, so that what disturbs the machine disturbs all; medians
are compared, of seconds by the clock and of processor seconds, which count threads that wait by
spinning too. Every BLAS and faiss's OpenMP get the same number of threads.

Alignment says that both did the work: the cosine between projections V R and codes, all entries
taken as one vector. It is at most 1, and the rotation of least quantisation error has the most.
That of faiss is of its own scaled vectors.
"""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import faiss
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from search import where_from
from threadpoolctl import threadpool_limits

from hashlearn.cli.options import integers_in
from hashlearn.data import load_dataset
from hashlearn.hashers import get_method

OURS, PEER, SAMPLED = "ours", "faiss", "faiss, sampled"

Fit = Callable[[], Callable[[], NDArray[np.float32]]]
"""Fit, and give what projects the vectors."""


def routes_of(X: NDArray[np.float32], n_bits: int, n_iter: int) -> dict[str, Fit]:
    """Name the ways to fit; the last projects after the fit, which is not timed."""

    def ours() -> Callable[[], NDArray[np.float32]]:
        hasher = get_method("itq")(n_bits, n_iter=n_iter, random_state=0).fit(X)
        return lambda: hasher.project(X)

    def theirs(max_train_per_dim: int | None) -> Callable[[], NDArray[np.float32]]:
        transform = faiss.ITQTransform(X.shape[1], n_bits, True)
        transform.itq.max_iter = n_iter
        if max_train_per_dim is not None:
            transform.max_train_per_dim = max_train_per_dim
        transform.train(X)
        return lambda: transform.apply(X)

    everything = -(-len(X) // X.shape[1])
    return {OURS: ours, PEER: lambda: theirs(everything), SAMPLED: lambda: theirs(None)}


def alignment(values: NDArray[np.float32]) -> float:
    """Compute the cosine between projections and codes."""
    norm = np.sqrt(np.square(values, dtype=np.float64).sum() * values.size)
    return float(np.abs(values).sum(dtype=np.float64) / norm)


def compare(
    X: NDArray[np.float32], n_bits: int, n_iter: int, threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Measure all routes in turn; a row a route."""
    routes = routes_of(X, n_bits, n_iter)
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    processor: dict[str, list[float]] = {name: [] for name in routes}
    aligned = {}
    faiss.omp_set_num_threads(threads)
    with threadpool_limits(threads):
        for number in range(rounds + 1):
            for name, fit in routes.items():
                started = perf_counter(), process_time()
                project = fit()
                took = perf_counter() - started[0], process_time() - started[1]
                if number == 0:  # it warms up
                    aligned[name] = alignment(project())
                    continue
                seconds[name].append(took[0])
                processor[name].append(took[1])
    best = median(seconds[PEER])
    return [
        {
            "method": "itq", "route": name, "n": len(X), "n_features": X.shape[1],
            "n_bits": n_bits, "n_iter": n_iter, "threads": threads, "rounds": rounds,
            "seconds": median(seconds[name]), "all_seconds": seconds[name],
            "processor_seconds": median(processor[name]), "alignment": aligned[name],
            "ratio_to_faiss": best / median(seconds[name]),
        }
        for name in routes
    ]  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    title = "ITQ on {n:,} x {n_features}, {n_bits} bits, {n_iter} rounds, {threads} thread(s)"
    table = Table(title=title.format(**rows[0]))
    for column in ("route", "seconds", "times faster", "processor seconds", "alignment"):
        table.add_column(column, justify="left" if column == "route" else "right")
    for row in rows:
        cells = ("seconds", "ratio_to_faiss", "processor_seconds", "alignment")
        table.add_row(row["route"], *(f"{row[cell]:.3f}" for cell in cells))
    Console(width=100).print(table)


def main(
    data: Annotated[str, typer.Option(help="Data set; its published training part.")] = "mnist",
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32",
    iterations: Annotated[int, typer.Option(help="Rounds of alternation.", min=1)] = 50,
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2",
    rounds: Annotated[int, typer.Option(help="Rounds over all routes.", min=1)] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure all routes and print medians."""
    dataset = load_dataset(data)
    X = dataset.X[dataset.splits["train"]].reshape(len(dataset.splits["train"]), -1)
    X = np.ascontiguousarray(X, np.float32)
    where = where_from()
    for n_bits in integers_in(bits, "--bits"):
        for n_threads in integers_in(threads, "--threads"):
            rows = [
                {"data": data, **row} for row in compare(X, n_bits, iterations, n_threads, rounds)
            ]
            show(rows)
            if output is not None:
                with output.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps({**row, "provenance": where}) + "\n" for row in rows)


if __name__ == "__main__":
    typer.run(main)
