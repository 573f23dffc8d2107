"""Compare fitting linear methods with fitting ITQ, and encoding with a matrix product, in one run.

    python benchmarks/training.py -o benchmarks/results/training.jsonl

The fits take turns, round after round, so that what disturbs the machine disturbs all; so do
encoding and the product of the same vectors with the same functions, both in single precision.
Medians are compared, of seconds by the clock and of processor seconds, which count threads that
wait by spinning too. BLAS and PyTorch get the same number of threads, and the engine, which takes
a thread for each processor that it may run on, the same number of processors (Linux). Threads keep
the processors of the time when they began: ask for one number of threads a run.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from hashlearn.benchmark import provenance
from hashlearn.cli.options import integers_in
from hashlearn.data import load_dataset
from hashlearn.hashers import get_method

ENCODE, PRODUCT = "encode", "product"


def in_turns(work: dict[str, Callable[[], Any]], rounds: int) -> dict[str, dict[str, float]]:
    """Do each piece of work in turn; give medians of seconds. The first round warms up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, piece in work.items():
            started = perf_counter(), process_time()
            piece()
            if number:
                taken[name].append((perf_counter() - started[0], process_time() - started[1]))
    return {
        name: {
            "seconds": median(clock for clock, _ in times),
            "processor_seconds": median(processor for _, processor in times),
        }
        for name, times in taken.items()
    }


def compare(
    X: np.ndarray[Any, Any], methods: list[str], n_bits: int, threads: int, rounds: int
) -> list[dict[str, Any]]:
    """Measure fits, then encoding; a row each."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(processors)[:threads])
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        fits = in_turns(
            {name: lambda name=name: get_method(name)(n_bits, random_state=0).fit(X)
             for name in ["itq", *methods]},
            rounds,
        )  # fmt: skip
        hasher = get_method("itq")(n_bits, random_state=0).fit(X)
        codes = in_turns(
            {ENCODE: lambda: hasher.encode(X), PRODUCT: lambda: X @ hasher.weights_.T},
            5 * rounds,
        )
    os.sched_setaffinity(0, processors)
    shared = {
        "n": len(X), "n_features": X.shape[1], "n_bits": n_bits, "threads": threads,
        "rounds": rounds,
    }  # fmt: skip
    return [
        {"what": what, "name": name, "ratio": times["seconds"] / base["seconds"], **times, **shared}
        for what, found, base in (
            ("fit", fits, fits["itq"]), ("encode", codes, codes[PRODUCT])
        )
        for name, times in found.items()
    ]  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    title = "{n:,} x {n_features}, {n_bits} bits, {threads} thread(s)"
    table = Table("", "seconds", "processor seconds", "times", title=title.format(**rows[0]))
    for row in rows:
        cells = (f"{row[name]:.3f}" for name in ("seconds", "processor_seconds"))
        table.add_row(row["name"], *cells, f"{row['ratio']:.2f}")
    Console(width=100).print(table)


def main(
    data: Annotated[str, typer.Option(help="Data set; its published training part.")] = "mnist",
    methods: Annotated[str, typer.Option(help="Methods besides ITQ.")] = (
        "sgh,sigah,neighbormatching"
    ),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32",
    threads: Annotated[int, typer.Option(help="Number of threads.", min=1)] = 1,
    rounds: Annotated[int, typer.Option(help="Rounds after the first.", min=1)] = 3,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure fits and encoding."""
    dataset = load_dataset(data, download=False)
    rows = dataset.X[dataset.splits["train"]]
    X = np.ascontiguousarray(rows.reshape(len(rows), -1), np.float32)
    for n_bits in integers_in(bits, "--bits"):
        measured = compare(X, methods.split(","), n_bits, threads, rounds)
        show(measured)
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                for row in measured:
                    row |= {"data": data, "provenance": provenance()}
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    typer.run(main)
