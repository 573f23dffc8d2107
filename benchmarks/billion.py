"""Search a billion codes of 64 bits exactly: scan, tables and faiss on the same memory.

    pip install faiss-cpu
    python benchmarks/billion.py --data clustered -o benchmarks/results/billion.jsonl
    python benchmarks/billion.py --n 10000000    # to try it

Codes are drawn chunk by chunk and sorted as little-endian numbers before they are added, so that
the first of the lean tables takes no memory: an id is a place in this order. faiss reads the memory
of the index, so that there is no second copy. Single queries, held out from the same distribution;
every route answers them in turn, before the tables are built and, in a second comparison, after.
Ids and distances are checked to be the same. Run one kind of data a process: the peak of memory is
that of the process.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import faiss
import numpy as np
import typer
from numpy.typing import NDArray
from peers import Route, our_search, plain_read, took
from rich.console import Console
from rich.table import Table
from search import append, check, exact_of_faiss, median_seconds, where_from

from hashlearn.index import HammingIndex
from hashlearn.index.scan import scan_nearest

CHUNK = 10_000_000
"""Codes that are drawn at a time: a few hundred megabytes."""

BYTES = 17
"""Bytes a code at the peak: the drawn codes and the index, and later the index and its tables."""

CENTRES = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64)


def draw(data: str, n: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw codes: uniform bits, or one of 20,000 centres, each bit flipped with probability 1/8."""

    def words() -> NDArray[np.uint64]:
        return rng.integers(0, 2**64, n, dtype=np.uint64)

    codes = words()
    if data == "clustered":
        for _ in range(2):  # all of three bits are set with probability 1/8
            codes &= words()
        codes ^= CENTRES[rng.integers(0, len(CENTRES), n, dtype=np.uint32)]
    return codes.view(np.uint8).reshape(n, 8)


def draw_sorted(data: str, n: int) -> NDArray[np.uint8]:
    """Draw codes chunk by chunk and sort them in place."""
    codes = np.empty((n, 8), dtype=np.uint8)
    for start in range(0, n, CHUNK):
        rng = np.random.default_rng([1, start])
        codes[start : start + CHUNK] = draw(data, min(CHUNK, n - start), rng)
    codes.reshape(-1).view("<u8").sort()
    return codes


def fill(index: HammingIndex, codes: NDArray[np.uint8]) -> float:
    """Add codes, of which the caller must keep no view; give the seconds that it took."""
    return took(lambda: index.add(codes))


def check_memory(n: int) -> None:
    """Refuse what does not fit."""
    needed = BYTES * n + 100 * CHUNK
    if (free := available_memory()) is not None and needed > free:
        smaller = int(n * free / needed) // 1_000_000 * 1_000_000
        raise SystemExit(
            f"{n:,} codes need about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are available: "
            f"try --n {smaller}"
        )


def available_memory() -> int | None:
    """Give the bytes that a process can have without swapping; None where Linux does not say."""
    info = Path("/proc/meminfo")
    for line in info.read_text().splitlines() if info.is_file() else ():
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    return None


def memory() -> dict[str, int]:
    """Say what the process takes now, and what it took at the most."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"resident_bytes": pages * os.sysconf("SC_PAGESIZE"), "peak_bytes": peak}


def routes_over(index: HammingIndex, tables: bool) -> list[Route]:
    """Search the memory of an index; nothing keeps a view of it, so that it may be replaced."""

    def scan(threads: int) -> Route:
        def nearest(queries: NDArray[np.uint8], k: int, _: int) -> tuple:
            found = scan_nearest(queries, index.codes, range(len(index)), k, 64, threads)
            return found.distances, found.ids

        return Route(f"scan, {threads} thread{'s' * (threads > 1)}", nearest, exact=True)

    def flat(name: str, variant: str) -> Route:
        def nearest(queries: NDArray[np.uint8], k: int, _: int) -> tuple:
            return faiss.knn_hamming(queries, index.codes, k, variant)

        return Route(name, nearest, exact=True)

    ours = [scan(1), scan(2)]
    if tables:
        ours += [Route(name, *our_search(index, name), exact=True) for name in ("tables", "auto")]
    return [flat("faiss heap", "hc"), flat("faiss counting", "mc"), *ours, plain_read(index.codes)]


def compare(
    index: HammingIndex, queries: NDArray[np.uint8], k: int, rounds: int, tables: bool
) -> Iterator[dict[str, Any]]:
    """Check and time the routes, one query a call."""
    routes = routes_over(index, tables)

    def ask(route: Route, some: NDArray[np.uint8]) -> tuple:
        return route.nearest(some, k, 1)  # type: ignore[misc]

    check(routes, ask, queries)
    timed = median_seconds(routes, ask, queries, "single", rounds, budget=float("inf"))
    best = min(timed[route.name]["seconds_per_query"] for route in exact_of_faiss(routes))
    for name, times in timed.items():
        ratio = best / times["seconds_per_query"]
        yield {"k": k, "kind": "single", "route": name, **times, "ratio_to_faiss": ratio}


def main(
    n: Annotated[int, typer.Option(help="Codes.")] = 10**9,
    data: Annotated[Literal["random", "clustered"], typer.Option()] = "clustered",
    k: Annotated[int, typer.Option(help="Nearest codes to find.")] = 100,
    queries: Annotated[int, typer.Option(help="Queries.")] = 10,
    rounds: Annotated[int, typer.Option(help="Rounds over all routes.")] = 3,
    tables: Annotated[bool, typer.Option(help="Build lean tables and compare again.")] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure single queries before and after tables are built."""
    check_memory(n)
    faiss.omp_set_num_threads(1)
    where, index = where_from(), HammingIndex(64)
    some = draw(data, queries, np.random.default_rng(2))
    seconds = fill(index, draw_sorted(data, n))
    for built in (False, True) if tables else (False,):
        if built:
            seconds = took(lambda: index.build_tables(lean=True))
        about = {"data": data, "n": n, "n_bits": 64, "tables": built, "build_seconds": seconds}
        about |= {"index_bytes": index.index_bytes, **memory()}
        rows = [{**about, **row} for row in compare(index, some, k, rounds, built)]
        append(rows, where, output)
        show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print one comparison as a table."""
    first = rows[0]
    sizes = {name: first[f"{name}_bytes"] / 1e9 for name in ("index", "resident", "peak")}
    table = Table(
        "route", "median", "times as fast as faiss",
        title=f"{first['data']}, {first['n']:,} codes" + ", with tables" * first["tables"],
        caption=f"built in {first['build_seconds']:.1f} s; "
        + ", ".join(f"{name} {size:.2f} GB" for name, size in sizes.items()),
    )  # fmt: skip
    for row in rows:
        milliseconds = 1e3 * row["seconds_per_query"]
        table.add_row(row["route"], f"{milliseconds:.3f} ms", f"{row['ratio_to_faiss']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
