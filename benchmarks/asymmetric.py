"""Compare asymmetric search with faiss's, side by side in one run.

    pip install faiss-cpu
    python benchmarks/asymmetric.py -o benchmarks/results/asymmetric.jsonl

Vectors are drawn from a Gaussian, and all routes have as many bits as there are dimensions: ours
the signs, faiss's RaBitQ too, its product quantiser one byte for eight dimensions. RaBitQ rounds
queries to four bits, its fast scan sums up roughly; with unrounded queries it takes many times as
long. What is compared is time, not what the codes are worth. "weighted" is the search of
``HammingIndex.search_values``, "estimated" that with a gain and an offset of each code, as
estimators of distances need it.

Every route answers the same queries in turn, round after round, so that what disturbs the machine
disturbs all; medians are compared. A "batch" is all queries in one call, "single" one query a call,
whose median is over all of them. Before anything is timed, every kernel is checked to find what
NumPy finds.
"""

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import faiss
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark import provenance
from hashlearn.cli.options import names_in
from hashlearn.codes import pack_bits
from hashlearn.engine import native
from hashlearn.index.weighted import nearest_weighted

CHUNK = 1 << 16
"""Vectors that are drawn at a time, each chunk from its own seed."""

CHECKED = 2
"""Queries whose results are compared with those of NumPy."""

Vectors = NDArray[np.float32]
Route = Callable[[Vectors], object]


def draw(start: int, n: int, n_bits: int) -> Vectors:
    """Draw vectors from a Gaussian."""
    return np.random.default_rng([1, start]).standard_normal((n, n_bits), dtype=np.float32)


def routes_of(n: int, n_bits: int, k: int, kernels: list[str], threads: int) -> dict[str, Route]:
    """Fill the indexes of all routes with the same vectors."""
    peers = {
        "faiss RaBitQ": faiss.IndexRaBitQ(n_bits, faiss.METRIC_L2),
        "faiss RaBitQ, fast scan": faiss.IndexRaBitQFastScan(n_bits, faiss.METRIC_L2),
        "faiss PQ": faiss.IndexPQ(n_bits, n_bits // 8, 8),
    }
    for index in peers.values():
        index.train(draw(0, min(n, 20_000), n_bits))
    codes = np.empty((n, n_bits // 8), dtype=np.uint8)
    gains, offsets = np.empty((2, n), dtype=np.float32)
    for start in range(0, n, CHUNK):
        X = draw(start, min(CHUNK, n - start), n_bits)
        rows = slice(start, start + len(X))
        for index in peers.values():
            index.add(X)
        # x is near its signs times sum(x**2) / sum(|x|): an estimate of ||x||^2 - 2 <x, q>.
        offsets[rows] = (X**2).sum(axis=1)
        gains[rows] = offsets[rows] / np.abs(X).sum(axis=1)
        codes[rows] = pack_bits(X >= 0)
    factors = {"gains": gains, "offsets": offsets}

    def ours(kernel: str, some: dict[str, Vectors]) -> Route:
        def ask(queries: Vectors) -> tuple[NDArray, NDArray]:
            os.environ["HASHLEARN_KERNEL"] = kernel
            return nearest_weighted(queries, codes, k, **some, threads=threads)

        return ask

    routes: dict[str, Route] = {}
    queries = draw(n, CHECKED, n_bits)
    for name, some in (("weighted", {}), ("estimated", factors)):
        expected = ours("numpy", some)(queries)
        for kernel in kernels:
            routes[f"{name}, {kernel}"] = ours(kernel, some)
            found = routes[f"{name}, {kernel}"](queries)
            if not all(map(np.array_equal, found, expected)):
                raise AssertionError(f"{name}, {kernel} differs from NumPy")
    for name, index in peers.items():
        routes[name] = lambda queries, index=index: index.search(queries, k)
    return routes


def seconds_a_query(route: Route, calls: list[Vectors]) -> list[float]:
    """Time calls one by one, after one that is not timed."""
    route(calls[0][:1])
    seconds = []
    for queries in calls:
        started = perf_counter()
        route(queries)
        seconds.append((perf_counter() - started) / len(queries))
    return seconds


def main(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File of rows, added to.")
    ] = None,
    n: Annotated[int, typer.Option(help="Number of vectors.", min=1)] = 1_000_000,
    n_bits: Annotated[int, typer.Option("--bits", help="Dimensions, bits.", min=8)] = 256,
    n_queries: Annotated[int, typer.Option("--queries", help="Queries in a batch.", min=1)] = 64,
    k: Annotated[int, typer.Option(help="Neighbours to find.", min=1)] = 100,
    rounds: Annotated[int, typer.Option(help="Rounds of the routes.", min=1)] = 5,
    threads: Annotated[int, typer.Option(help="Threads of every route.", min=1)] = 1,
    kernels: Annotated[
        str, typer.Option(help="Kernels, joined by commas; all: those of this processor.")
    ] = "all",
) -> None:
    """Measure all routes and print a table of milliseconds a query."""
    if n_bits % 8:
        raise typer.BadParameter(f"--bits must be a multiple of 8, got {n_bits}")
    faiss.omp_set_num_threads(threads)
    names = native.kernels() if kernels == "all" else names_in(kernels)
    routes = routes_of(n, n_bits, k, [name for name in names if name != "popcnt"], threads)
    queries = draw(n + 1, n_queries, n_bits)
    asked = {"batch": [queries], "single": [queries[i : i + 1] for i in range(n_queries)]}
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name in routes}
    for _ in range(rounds):
        for name, route in routes.items():
            for kind, calls in asked.items():
                seconds[name].setdefault(kind, []).extend(seconds_a_query(route, calls))
    where = provenance()
    where["versions"]["faiss-cpu"] = version("faiss-cpu")
    table = Table("route", *(f"{kind}, ms a query" for kind in asked))
    rows = []
    for name, kinds in seconds.items():
        table.add_row(name, *(f"{1000 * median(kinds[kind]):.3f}" for kind in asked))
        rows += [
            {
                "route": name, "kind": kind, "n": n, "n_bits": n_bits, "n_queries": n_queries,
                "k": k, "threads": threads, "rounds": rounds,
                "seconds_per_query": median(values), "lowest_seconds_per_query": min(values),
                "provenance": where,
            }
            for kind, values in kinds.items()
        ]  # fmt: skip
    Console().print(table)
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


if __name__ == "__main__":
    typer.run(main)
