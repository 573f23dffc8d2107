"""Compare two workers with one, each on one thread, on work that computing takes the time of.

    python benchmarks/ray_workers.py cnn.model images/ -o benchmarks/results/ray_workers.jsonl
    python benchmarks/ray_workers.py mlp.model rows.parquet --column vector

One Ray is started for all. Numbers of workers take turns, round after round, so that what disturbs
the machine disturbs all; medians are compared. Each round also encodes next to nothing, an image
or a row a worker: this is what it takes to start workers, and the seconds without it are given too.
Every run must give the same codes.
"""

import json
import logging
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import pyarrow
import ray
import typer
from pyarrow import parquet
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark.provenance import provenance
from hashlearn.cli.options import integers_in
from hashlearn.data.images import SUFFIXES
from hashlearn.data.locations import files_in
from hashlearn.integrations.ray import encode_images, encode_parquet
from hashlearn.models import hasher_of, load

Encode = Callable[[Path, int, bool], Any]


def encoder_of(model: Any, source: Path, column: str | None, batch_size: int) -> Encode:
    """Give a function that encodes all of the source, or an item a worker, into a folder."""
    if source.is_dir() and (paths := files_in(source, SUFFIXES)):

        def encode(output: Path, workers: int, whole: bool) -> Any:
            some = paths if whole else paths[:workers]
            size = batch_size if whole else 1
            return encode_images(model, some, output, workers=workers, batch_size=size)

    else:
        few = source.with_name(f"{source.stem}-few.parquet")
        first = next(parquet.ParquetFile(source).iter_batches(1))

        def encode(output: Path, workers: int, whole: bool) -> Any:
            if not whole:
                rows = pyarrow.Table.from_batches([first] * workers)
                parquet.write_table(rows, few, row_group_size=1)
            options = {"column": column, "workers": workers, "batch_size": batch_size}
            try:
                return encode_parquet(model, source if whole else few, output, **options)
            finally:
                few.unlink(missing_ok=True)

    return encode


def measure(encode: Encode, counts: list[int], rounds: int) -> list[dict[str, Any]]:
    """Let numbers of workers take turns; give a row each. The first round warms up."""
    taken: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    codes: set[bytes] = set()
    n_rows = 0
    for number in range(rounds + 1):
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                seconds = []
                for whole in (False, True):
                    started = perf_counter()
                    done = encode(Path(folder, str(whole)), count, whole)
                    seconds.append(perf_counter() - started)
                n_rows = done.n_rows
                table = parquet.read_table(Path(folder, "True"))
                codes.add(b"".join(table.column("code").to_pylist()))
            if number:
                taken[count].append((seconds[0], seconds[1]))
    assert len(codes) == 1, "codes differ"
    return [
        {
            "workers": count, "n": n_rows, "rounds": rounds,
            "seconds": median(whole for _, whole in times),
            "start_seconds": median(start for start, _ in times),
            "encode_seconds": median(whole - start for start, whole in times),
        }
        for count, times in taken.items()
    ]  # fmt: skip


def main(
    model: Annotated[Path, typer.Argument(help="File of a saved model.")],
    source: Annotated[Path, typer.Argument(help="Folder of images, or a Parquet file.")],
    column: Annotated[str | None, typer.Option(help="Column of the Parquet file.")] = None,
    workers: Annotated[str, typer.Option(help="Numbers of workers, joined by commas.")] = "1,2",
    batch_size: Annotated[int, typer.Option(help="Items that a worker holds.", min=1)] = 64,
    rounds: Annotated[int, typer.Option(help="Rounds after the first.", min=1)] = 3,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure encoding by several workers."""
    counts = integers_in(workers, "--workers")
    # By default, workers give way to whatever else runs.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray.init(
        address="local", num_cpus=max(counts), include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    rows = measure(encoder_of(load(model), source, column, batch_size), counts, rounds)
    ray.shutdown()
    table = Table("workers", "seconds", "of these to start", "without", "times", "without")
    for row in rows:
        row["times"] = rows[0]["seconds"] / row["seconds"]
        row["times_without_start"] = rows[0]["encode_seconds"] / row["encode_seconds"]
        row |= {"method": type(hasher_of(load(model))).__name__, "source": source.name}
        row |= {"provenance": provenance()}
        cells = ("seconds", "start_seconds", "encode_seconds", "times", "times_without_start")
        table.add_row(str(row["workers"]), *(f"{row[name]:.2f}" for name in cells))
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
