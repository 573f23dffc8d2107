"""Compare mean average precision from counts with the usual loop over queries, in one run.

    python benchmarks/metrics.py -o benchmarks/results/metrics.jsonl

The loop is the one that the repositories of hashing papers share: for each query a product of ±1
codes gives all distances, `argsort` ranks the database, and precision is averaged over the ranks of
the relevant items. It settles ties by however `argsort` happens to order them. It runs with one
thread of NumPy's BLAS and with as many as BLAS takes, which may be slower; ours is compared with
the faster of the two. It marks the relevant items, counts them at each distance and evaluates the
counts, a block of queries after the other; the mean is over all orders of tied items.

Both take turns, round after round, so that what disturbs the machine disturbs both; medians are
compared. The loop takes some of the queries each round, others every time, and its seconds are
scaled to all of them: its work is the same for each. Ours takes all queries every round.

Before anything is timed, our average precisions of some queries are compared with a plain loop
over distances and ranks. The means of both ways over the loop's queries are printed beside one
another: they differ by the ties alone.
"""

import json
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from hashlearn.benchmark import provenance
from hashlearn.benchmark.curves import count_blocks
from hashlearn.cli.options import integers_in
from hashlearn.codes import pack_bits
from hashlearn.engine import choose_kernel
from hashlearn.evaluation import LabelTruth, Protocol, Scores, evaluate

CHECKED = 20
"""Queries whose average precision is compared with a plain loop."""

BLAS_THREADS = {"one_blas_thread": 1, "all_blas_threads": None}
"""What the loop is given; None leaves BLAS as it is."""

FLIPPED = 0.35
"""Chance of a bit to differ from its class: mean average precisions like those of the papers."""


class Items(NamedTuple):
    """Bits, 0 or 1, packed codes and codes of ±1, and class numbers."""

    bits: NDArray[np.uint8]
    packed: NDArray[np.uint8]
    signs: NDArray[np.float32]
    labels: NDArray[np.int64]

    def part(self, start: int, stop: int) -> "Items":
        """Give some of the items."""
        return Items(*(array[start:stop] for array in self))


def make_items(n: int, n_bits: int, n_classes: int, rng: np.random.Generator) -> Items:
    """Draw a code for each class, and items that differ from it here and there."""
    centres = np.random.default_rng(0).integers(0, 2, (n_classes, n_bits), dtype=np.uint8)
    labels = rng.integers(0, n_classes, n)
    bits = centres[labels] ^ (rng.random((n, n_bits)) < FLIPPED)
    return Items(bits, pack_bits(bits), 2 * bits.astype(np.float32) - 1, labels)


def usual_loop(queries: Items, database: Items) -> float:
    """Compute the mean average precision as public repositories do."""
    n_bits = queries.signs.shape[1]
    total = 0.0
    for query, label in zip(queries.signs, queries.labels, strict=True):
        relevant = (label == database.labels).astype(np.float32)
        hamm = 0.5 * (n_bits - query @ database.signs.T)
        relevant = relevant[np.argsort(hamm)]
        tsum = int(np.sum(relevant))
        if tsum == 0:
            continue
        count = np.linspace(1, tsum, tsum)
        index = np.asarray(np.where(relevant == 1)) + 1.0
        total += float(np.mean(count / index))
    return total / len(queries.labels)


def by_counts(queries: Items, database: Items, threads: int) -> Scores:
    """Score all queries by our one pass, block by block."""
    truth = LabelTruth(queries.labels, database.labels)
    blocks = count_blocks(queries.packed, database.packed, queries.bits.shape[1], truth, threads)
    return evaluate(blocks, truth, Protocol())


def expected_by_ranks(queries: Items, database: Items) -> list[float]:
    """Average precision in expectation over the orders of tied items, rank by rank."""
    found = []
    for query, label in zip(queries.bits, queries.labels, strict=True):
        distances = (query != database.bits).sum(axis=1)
        relevant = database.labels == label
        total, n_before, hits_before = 0.0, 0, 0
        for distance in np.unique(distances):
            tied = distances == distance
            n, hits = int(tied.sum()), int((tied & relevant).sum())
            for rank in range(1, n + 1):
                # A hit here, with those before the group and its share of the rest of the group.
                others = (rank - 1) * (hits - 1) / (n - 1) if n > 1 else 0.0
                total += hits / n * (hits_before + 1 + others) / (n_before + rank)
            n_before, hits_before = n_before + n, hits_before + hits
        found.append(total / relevant.sum())
    return found


def peak_bytes(queries: Items, database: Items, threads: int) -> int:
    """Say how much more memory our pass takes, at the most, than its input."""
    tracemalloc.start()
    by_counts(queries, database, threads)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def compare(
    queries: Items, database: Items, threads: list[int], sample: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Check, then measure both ways in turn; a row for each number of threads."""
    scores = by_counts(queries, database, threads[0])
    checked = expected_by_ranks(queries.part(0, CHECKED), database)
    np.testing.assert_allclose(scores.average_precisions[:CHECKED], checked, rtol=1e-9)
    usual_loop(queries.part(0, 3), database)
    edges = np.linspace(0, min(sample, len(queries.labels)), rounds + 1).astype(int)
    loop_means: list[float] = []
    loop_seconds: dict[str, list[float]] = {name: [] for name in BLAS_THREADS}
    seconds: dict[int, list[float]] = {n: [] for n in threads}
    for start, stop in pairwise(edges):
        for name, limit in BLAS_THREADS.items():
            with threadpool_limits(limit, user_api="blas"):
                started = perf_counter()
                mean = usual_loop(queries.part(start, stop), database)
                each = (perf_counter() - started) / (stop - start)
            loop_seconds[name].append(each * len(queries.labels))
        loop_means.append(mean)
        for n in threads:
            started = perf_counter()
            by_counts(queries, database, n)
            seconds[n].append(perf_counter() - started)
    fastest = min(median(some) for some in loop_seconds.values())
    for n in threads:
        yield {
            "n_queries": len(queries.labels),
            "n_database": len(database.labels),
            "n_bits": queries.bits.shape[1],
            "kernel": choose_kernel(),
            "threads": n,
            "rounds": rounds,
            "seconds": median(seconds[n]),
            "loop_queries": int(edges[-1]),
            **{f"loop_seconds_{name}": median(some) for name, some in loop_seconds.items()},
            "speedup": fastest / median(seconds[n]),
            "peak_bytes": peak_bytes(queries, database, n),
            "mean_average_precision": scores.mean_average_precision,
            "of_loop_queries": float(scores.average_precisions[: edges[-1]].mean()),
            "of_loop_queries_by_loop": float(np.average(loop_means, weights=np.diff(edges))),
        }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table."""
    row = rows[0]
    table = Table(
        title="{n_queries:,} queries over {n_database:,} codes of {n_bits} bits".format(**row),
        caption="the loop took {loop_queries} queries; their mean average precision: "
        "{of_loop_queries_by_loop:.5f} by the loop, {of_loop_queries:.5f} by counts".format(**row),
    )
    for title in ("", "seconds", "times faster", "peak memory"):
        table.add_column(title, justify="right" if title else "left")
    for name in BLAS_THREADS:
        table.add_row(f"usual loop, {name.replace('_', ' ')}", f"{row[f'loop_seconds_{name}']:.2f}")
    for row in rows:
        table.add_row(
            f"counts, {row['threads']} thread{'s' * (row['threads'] > 1)}",
            f"{row['seconds']:.3f}",
            f"{row['speedup']:.0f}",
            f"{row['peak_bytes'] / 1e6:.0f} MB",
        )
    Console(width=120).print(table)


def main(
    queries: Annotated[int, typer.Option(help="Queries.", min=CHECKED)] = 10_000,
    database: Annotated[int, typer.Option(help="Database codes.", min=1)] = 50_000,
    bits: Annotated[int, typer.Option(help="Length of a code.", min=1)] = 64,
    classes: Annotated[int, typer.Option(help="Classes; items of one are relevant.", min=1)] = 10,
    threads: Annotated[str, typer.Option(help="Our numbers of threads, joined by commas.")] = "1,2",
    sample: Annotated[int, typer.Option(help="Queries that the loop takes.", min=CHECKED)] = 300,
    rounds: Annotated[int, typer.Option(help="Rounds over both.", min=1, max=CHECKED)] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure evaluations of both kinds and print medians and their ratio."""
    rng = np.random.default_rng(1)
    right = make_items(database, bits, classes, rng)
    left = make_items(queries, bits, classes, rng)
    rows = list(compare(left, right, integers_in(threads, "--threads"), sample, rounds))
    show(rows)
    if output is not None:
        where = provenance()
        with output.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**row, "provenance": where}) + "\n" for row in rows)


if __name__ == "__main__":
    typer.run(main)
