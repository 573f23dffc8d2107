"""Compare exact Hamming search: this library's kernels, faiss and NumPy, side by side in one run.

    pip install faiss-cpu
    python benchmarks/search.py --n 1000000 --bits 64,128,256 -o benchmarks/results/search.jsonl

Every route answers the same queries in turn, round after round, so that what disturbs the machine
disturbs all; medians over the rounds are compared. A route answers a few queries before it is
timed, so that neither what the one before left in the caches nor its threads that still spin
decide. Before anything is timed, ids and distances are
checked to be those of faiss. Every faiss setting counts: ratios are to the faster of heap and
counting. A "batch" is many queries in one call, "single" one query a call.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark import provenance
from hashlearn.cli.options import integers_in, names_in
from hashlearn.codes import pack_bits
from hashlearn.index import HammingIndex, scan

Codes = NDArray[np.uint8]


def random_codes(n: int, n_bits: int, rng: np.random.Generator) -> Codes:
    """Draw uniform bits: the hardest case, in which all distances are alike."""
    return rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)


def clustered_codes(n: int, n_bits: int, rng: np.random.Generator) -> Codes:
    """Hash a mixture of 2,000 Gaussians of Zipf's sizes in 32 dimensions: codes as learned ones."""
    weights = 1 / np.arange(1, 2001)
    centres = rng.normal(size=(2000, 32)).astype(np.float32)
    planes, offsets = rng.normal(size=(32, n_bits)).astype(np.float32), rng.normal(size=n_bits)
    parts = []
    for start in range(0, n, 100_000):
        size = min(100_000, n - start)
        x = centres[rng.choice(2000, size, p=weights / weights.sum())]
        x = x + 0.5 * rng.normal(size=x.shape).astype(np.float32)
        parts.append(pack_bits(x @ planes + offsets >= 0))
    return np.concatenate(parts)


DATA = {"random": random_codes, "clustered": clustered_codes}


def our_route(index: HammingIndex, kernel: str, k: int) -> Callable[[Codes], tuple]:
    """Search with one of our kernels."""

    def search(queries: Codes) -> tuple:
        os.environ["HASHLEARN_KERNEL"] = kernel
        found = index.search(queries, k)
        return found.distances, found.ids

    return search


def faiss_route(index, use_heap: bool, threads: int, k: int) -> Callable[[Codes], tuple]:  # type: ignore[no-untyped-def]
    """Search with faiss's flat index, by heap or by counting."""
    import faiss

    def search(queries: Codes) -> tuple:
        faiss.omp_set_num_threads(threads)
        index.use_heap = use_heap
        return index.search(queries, k)

    return search


def routes(database: Codes, k: int, threads: int) -> dict[str, Callable[[Codes], tuple]]:
    """Make every route over a database."""
    import faiss

    n_bits = 8 * database.shape[1]
    flat = faiss.IndexBinaryFlat(n_bits)
    flat.add(database)
    index = HammingIndex(n_bits, threads=threads)
    index.add(database)
    ours = [*(scan._native.kernels() if scan._native else ()), "numpy"]
    return {
        "faiss heap": faiss_route(flat, True, threads, k),
        "faiss counting": faiss_route(flat, False, threads, k),
        **{kernel: our_route(index, kernel, k) for kernel in ours if kernel != "portable"},
    }


def measure(
    searches: dict[str, Callable[[Codes], tuple]], queries: Codes, n_rounds: int
) -> dict[str, float]:
    """Give the median seconds a query of each route, timed in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(n_rounds):
        for name, search in searches.items():
            search(queries[:50])
            started = perf_counter()
            search(queries)
            seconds[name].append((perf_counter() - started) / len(queries))
    return {name: median(values) for name, values in seconds.items()}


def compare(data: str, n: int, n_bits: int, k: int, n_queries: int, n_rounds: int) -> list[dict]:
    """Measure all routes on one set of codes."""
    rng = np.random.default_rng(0)
    codes = DATA[data](n + n_queries, n_bits, rng)
    database, queries = codes[:n], np.ascontiguousarray(codes[n:])
    rows = []
    for threads in (1, 2):
        searches = routes(database, k, threads)
        expected = searches["faiss heap"](queries[:20])
        for name, search in searches.items():
            for got, wanted in zip(search(queries[:20]), expected, strict=True):
                if not np.array_equal(got, wanted):
                    raise AssertionError(f"{name} differs from faiss on {data} {n_bits} bits")
        for kind, some in (("batch", queries), ("single", queries[:1])):
            medians = measure(searches, some, n_rounds if kind == "batch" else 4 * n_rounds)
            best = min(medians["faiss heap"], medians["faiss counting"])
            rows += [
                {
                    "data": data, "n": n, "n_bits": n_bits, "k": k, "kind": kind,
                    "n_queries": len(some), "threads": threads, "route": name,
                    "seconds_per_query": value, "ratio_to_faiss": best / value,
                }
                for name, value in medians.items()
            ]  # fmt: skip
    return rows


def full_rankings(n: int, n_queries: int, n_rounds: int) -> dict:
    """Compare full rankings, as evaluations need them, with argsort of a distance matrix."""
    from hashlearn.codes import hamming_distances

    rng = np.random.default_rng(0)
    database, queries = random_codes(n, 64, rng), random_codes(n_queries, 64, rng)
    index = HammingIndex(64, threads=1)
    index.add(database)
    os.environ.pop("HASHLEARN_KERNEL", None)
    searches = {
        "ours": lambda some: index.search(some, n),
        "argsort": lambda some: np.argsort(hamming_distances(some, database), axis=1),
        "stable argsort": lambda some: np.argsort(
            hamming_distances(some, database), axis=1, kind="stable"
        ),
    }
    return {"kind": "full ranking", "n": n, **measure(searches, queries, n_rounds)}


def main(
    n: Annotated[str, typer.Option(help="Database sizes, joined by commas.")] = "1000000",
    bits: Annotated[str, typer.Option(help="Code lengths, multiples of 8.")] = "64,128,256",
    data: Annotated[str, typer.Option(help="random, clustered or both.")] = "random,clustered",
    k: Annotated[int, typer.Option(help="Nearest codes to find.")] = 100,
    queries: Annotated[int, typer.Option(help="Queries in a batch.")] = 200,
    rounds: Annotated[int, typer.Option(help="Rounds over all routes.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure every route and print medians and ratios to faiss."""
    where = provenance()
    for size in integers_in(n, "--n"):
        for n_bits in integers_in(bits, "--bits"):
            for kind in names_in(data):
                rows = compare(kind, size, n_bits, k, queries, rounds)
                show(rows)
                if output is not None:
                    with output.open("a", encoding="utf-8") as file:
                        file.writelines(
                            json.dumps({**row, "provenance": where}) + "\n" for row in rows
                        )
    ranking = full_rankings(60_000, 50, rounds)
    Console().print(ranking)
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**ranking, "provenance": where}) + "\n")


def show(rows: list[dict]) -> None:
    """Print one comparison as a table."""
    first = rows[0]
    table = Table(title=f"{first['data']}, {first['n']:,} codes of {first['n_bits']} bits")
    table.add_column("route")
    columns = [(kind, threads) for kind in ("batch", "single") for threads in (1, 2)]
    for kind, threads in columns:
        table.add_column(f"{kind}, {threads} thread{'s' * (threads > 1)}", justify="right")
    cells = {(row["route"], row["kind"], row["threads"]): row for row in rows}
    for route in dict.fromkeys(row["route"] for row in rows):
        found = [cells[route, kind, threads] for kind, threads in columns]
        table.add_row(
            route,
            *(f"{1e3 * c['seconds_per_query']:.3f} ms  {c['ratio_to_faiss']:5.2f}x" for c in found),
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    typer.run(main)
