"""Compare exact Hamming search with its peers, side by side in one run.

    pip install faiss-cpu usearch
    python benchmarks/search.py --n 1000000 --bits 64,128,256 -o benchmarks/results/search.jsonl
    python benchmarks/search.py --bits 64 --peers all --radius 3,7,11 -o ...

Every route answers the same queries in turn, round after round, so that what disturbs the machine
disturbs all; medians are compared. A route answers for some milliseconds before it is timed, so
that neither what the one before left in the caches nor its threads that still spin decide. Before
anything is timed, ids and distances of every exact route are checked to be those of faiss.

A "batch" is many queries in one call; its median is over the rounds. "Single" is one query a call,
one different query after the other; its median is over all of them. A slow route answers as many as
fit into the seconds that it is given. Ratios are to the fastest exact setting of faiss. Recall
counts an item that is found if its distance is at most that of the true k-th.

Two rows say what the machine allowed: "plain read" goes once through all codes and does nothing
with them, the limit of a single query; "two plain threads" says how many times faster two threads
did twice one thread's work, each with codes of its own in its own cache: 2.0 if nobody disturbed,
less if somebody disturbed both, more if somebody disturbed the one.
"""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import peers as routes_of
import typer
from numpy.typing import NDArray
from peers import Codes, Route, took
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark import provenance
from hashlearn.cli.options import integers_in, names_in
from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.engine import available_threads
from hashlearn.index import HammingIndex
from hashlearn.storage import replacing

HELD_OUT = 1000
"""Codes of every data set that are queries; fixed, so that the database does not hang on them."""

CHECKED = 20
"""Queries whose results are compared one by one before anything is timed."""

CHUNK = 1 << 18
"""Codes that are generated at a time, each chunk from its own seed."""

Ask = Callable[[Route, Codes], tuple]


def random_codes(n: int, n_bits: int, rng: np.random.Generator) -> Codes:
    """Draw uniform bits: the hardest case, in which all distances are alike."""
    return rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)


def clustered_codes(n: int, n_bits: int, rng: np.random.Generator) -> Codes:
    """Hash a mixture of 2,000 Gaussians of Zipf's sizes in 32 dimensions: codes as learned ones."""
    same = np.random.default_rng(0)  # the same mixture and the same planes for every chunk
    weights = 1 / np.arange(1, 2001)
    centres = same.standard_normal((2000, 32), dtype=np.float32)
    planes = same.standard_normal((32, n_bits), dtype=np.float32)
    offsets = same.standard_normal(n_bits, dtype=np.float32)
    x = centres[rng.choice(2000, n, p=weights / weights.sum())]
    x += 0.5 * rng.standard_normal(x.shape, dtype=np.float32)
    return pack_bits(x @ planes + offsets >= 0)


DATA = {"random": random_codes, "clustered": clustered_codes}


def generate(data: str, n: int, n_bits: int) -> Codes:
    """Draw codes by chunks, on all processors."""
    codes = np.empty((n, n_bits // 8), dtype=np.uint8)

    def fill(start: int) -> None:
        part = codes[start : start + CHUNK]
        part[:] = DATA[data](len(part), n_bits, np.random.default_rng([1, start]))

    with ThreadPoolExecutor(available_threads()) as pool:
        list(pool.map(fill, range(0, n, CHUNK)))
    return codes


def make_codes(data: str, n: int, n_bits: int, cache: Path | None) -> tuple[Codes, Codes]:
    """Give database and queries; a cache keeps them for the next run and maps them from its file.

    The queries come first, so that they are the same for every size.
    """
    total = n + HELD_OUT
    if cache is None:
        codes = generate(data, total, n_bits)
    else:
        path = cache / f"{data}-{n}-{n_bits}.npy"
        if not path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, generate(data, total, n_bits))
        codes = np.asarray(np.load(path, mmap_mode="r"))
    return codes[HELD_OUT:], codes[:HELD_OUT].copy()


def median_seconds(
    routes: list[Route], ask: Ask, queries: Codes, kind: str, n_rounds: int, budget: float
) -> dict[str, dict[str, float]]:
    """Time the routes in turn; give median and mean seconds a query, and how many queries."""
    calls = {route.name: calls_of(route, ask, queries, kind, budget) for route in routes}
    seconds: dict[str, list[float]] = {route.name: [] for route in routes}
    for _ in range(n_rounds):
        for route in routes:
            first, *_ = calls[route.name]
            warm_up(lambda route=route, some=first: ask(route, some[: max(1, len(some) // 4)]))
            for some in calls[route.name]:
                started = perf_counter()
                ask(route, some)
                seconds[route.name].append((perf_counter() - started) / len(some))
    return {
        name: {
            "n_queries": sum(map(len, calls[name])),
            "seconds_per_query": median(values),
            "mean_seconds_per_query": mean(values),
        }
        for name, values in seconds.items()
    }


def calls_of(route: Route, ask: Ask, queries: Codes, kind: str, budget: float) -> list[Codes]:
    """Split queries into calls, and leave out those that are too many for the budget."""
    some = affordable(route, ask, queries, budget)
    return [some] if kind == "batch" else [some[i : i + 1] for i in range(len(some))]


def affordable(route: Route, ask: Ask, queries: Codes, budget: float) -> Codes:
    """Give as many queries as a route answers in some seconds, as far as the first ones tell."""
    few = queries[:4]
    ask(route, few[:1])
    in_time = len(few) * budget / took(lambda: ask(route, few))
    return queries[: max(len(few), int(min(in_time, len(queries))))]


def warm_up(work: Callable[[], object], seconds: float = 0.01) -> None:
    """Do something for some milliseconds, at least once."""
    until = perf_counter() + seconds
    work()
    while perf_counter() < until:
        work()


def exact_of_faiss(routes: list[Route]) -> list[Route]:
    """Pick the routes that the others are held to."""
    return [route for route in routes if route.exact and route.name.startswith("faiss")]


def check(routes: list[Route], ask: Ask, queries: Codes) -> None:
    """Compare the results of every exact route with those of the first one of faiss."""
    expected = ask(exact_of_faiss(routes)[0], queries)
    for route in routes:
        if route.exact and not all(map(np.array_equal, ask(route, queries), expected)):
            raise AssertionError(f"{route.name} differs from faiss")


def recall_of(route: Route, ask: Ask, queries: Codes, true: NDArray, database: Codes) -> float:
    """Count what is found no further away than the true k-th, measured again from its codes."""
    _, ids = ask(route, queries)
    found = 0
    for row, query, furthest in zip(
        ids.astype(np.int64), queries, true[: len(queries), -1], strict=True
    ):
        some = np.unique(row[row >= 0])
        found += int((hamming_distances(query[None], database[some])[0] <= furthest).sum())
    return found / true[: len(queries)].size


def recalls(
    routes: list[Route], ask: Ask, queries: Codes, database: Codes, budget: float
) -> dict[str, float]:
    """Measure the recall of every route that is not exact; that of the others has been checked."""
    true, _ = ask(next(route for route in routes if route.name == "scan"), queries)
    return {
        route.name: 1.0
        if route.exact
        else recall_of(route, ask, affordable(route, ask, queries, 5 * budget), true, database)
        for route in routes
    }


def two_plain_threads(n_rounds: int) -> list[float]:
    """Say how many times faster two threads do twice one thread's work, in each round."""
    rng = np.random.default_rng(0)
    codes, queries = random_codes(1 << 13, 64, rng), random_codes(4000, 64, rng)
    indexes = [HammingIndex(64, threads=1) for _ in range(2)]
    for index in indexes:
        index.add(codes)
    os.environ["HASHLEARN_KERNEL"] = ""

    def seconds(some: list[HammingIndex]) -> float:
        return took(lambda: list(pool.map(work, some)))

    def work(index: HammingIndex) -> None:
        for _ in range(30):  # a tenth of a second: far above the turns of a scheduler
            index.search(queries, 1)

    with ThreadPoolExecutor(2) as pool:
        seconds(indexes)
        return [2 * seconds(indexes[:1]) / seconds(indexes) for _ in range(n_rounds)]


def compare(
    database: Codes,
    queries: Codes,
    peers: list[Route],
    questions: list[dict[str, int]],
    run: dict[str, Any],
) -> list[list[dict]]:
    """Measure all routes on one set of codes; a question is a number of neighbours or a radius."""
    found: list[list[dict]] = [[] for _ in questions]
    speedups = two_plain_threads(run["rounds"])
    for threads in run["threads"]:
        ours = routes_of.our_routes(database, threads, run["kernels"])
        for asked, rows in zip(questions, found, strict=True):
            some = compare_routes(database, queries, [*peers, *ours], asked, threads, run)
            rows += [{**asked, "threads": threads, **row} for row in some]
        del ours  # one index at a time
        speedups += two_plain_threads(run["rounds"])
    machine = {
        "kind": "machine", "route": "two plain threads", "speedup": median(speedups),
        "lowest_speedup": min(speedups), "highest_speedup": max(speedups),
    }  # fmt: skip
    return [[*rows, {**asked, **machine}] for asked, rows in zip(questions, found, strict=True)]


def compare_routes(
    database: Codes,
    queries: Codes,
    routes: list[Route],
    asked: dict[str, int],
    threads: int,
    run: dict[str, Any],
) -> Iterator[dict]:
    """Check and measure those routes that can answer what is asked."""
    [(what, how_many)] = asked.items()
    method = "nearest" if what == "k" else "within"
    routes = [route for route in routes if getattr(route, method) is not None]
    finding = [route for route in routes if route.name != routes_of.PLAIN_READ]

    def ask(route: Route, some: Codes) -> tuple:
        return getattr(route, method)(some, how_many, threads)

    check(finding, ask, queries[:CHECKED])
    recall = recalls(finding, ask, queries, database, run["seconds"]) if what == "k" else {}
    for kind, some in (("batch", finding), ("single", routes)):
        timed = median_seconds(some, ask, queries, kind, run["rounds"], run["seconds"])
        best = min(timed[r.name]["seconds_per_query"] for r in exact_of_faiss(finding))
        for route in some:
            yield {
                "kind": kind,
                "route": route.name,
                **timed[route.name],
                "ratio_to_faiss": best / timed[route.name]["seconds_per_query"],
                "exact": route.exact,
                "recall": recall.get(route.name),
                "build_seconds": route.build_seconds,
                "bytes_per_code": route.bytes_per_code,
            }


def full_rankings(n: int, n_queries: int, n_rounds: int) -> dict:
    """Compare full rankings, as evaluations need them, with argsort of a distance matrix."""
    rng = np.random.default_rng(0)
    database, queries = random_codes(n, 64, rng), random_codes(n_queries, 64, rng)
    index = HammingIndex(64, threads=1)
    index.add(database)
    os.environ["HASHLEARN_KERNEL"] = ""
    searches: dict[str, Callable[[Codes], object]] = {
        "ours": lambda some: index.search(some, n),
        "argsort": lambda some: np.argsort(hamming_distances(some, database), axis=1),
        "stable argsort": lambda some: np.argsort(
            hamming_distances(some, database), axis=1, kind="stable"
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(n_rounds):
        for name, search in searches.items():
            search(queries[: n_queries // 4])
            seconds[name].append(took(lambda search=search: search(queries)) / n_queries)
    medians = {name: median(values) for name, values in seconds.items()}
    return {"kind": "full ranking", "n": n, **medians}


def where_from() -> dict[str, Any]:
    """Say where the rows come from, the versions of the peers included."""
    where = provenance()
    for name in ("faiss-cpu", "usearch"):
        try:
            where["versions"][name] = version(name)
        except PackageNotFoundError:
            continue
    return where


def append(rows: list[dict], where: dict[str, Any], output: Path | None) -> None:
    """Write rows behind those that are there."""
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**row, "provenance": where}) + "\n" for row in rows)


def chosen(text: str, groups: dict[str, list[str]], allowed: list[str], option: str) -> list[str]:
    """Read names, or the name of a group of them."""
    names = groups[text] if text in groups else names_in(text)
    if unknown := sorted(set(names) - set(allowed)):
        known = ", ".join([*groups, *allowed])
        raise typer.BadParameter(f"{option} knows {known}; not {', '.join(unknown)}")
    return [name for name in allowed if name in names]


def main(
    n: Annotated[str, typer.Option(help="Database sizes, joined by commas.")] = "1000000",
    bits: Annotated[str, typer.Option(help="Code lengths, multiples of 8.")] = "64,128,256",
    data: Annotated[str, typer.Option(help="random, clustered or both.")] = "random,clustered",
    k: Annotated[int, typer.Option(help="Nearest codes to find.")] = 100,
    radius: Annotated[str, typer.Option(help="Radii to search within too, as 3,7,11.")] = "",
    peers: Annotated[
        str, typer.Option(help=f"exact, all, or some of {', '.join(routes_of.PEERS)}.")
    ] = "exact",
    kernels: Annotated[str, typer.Option(help="Our kernels: all, none, or names.")] = "all",
    threads: Annotated[str, typer.Option(help="Numbers of threads.")] = "1,2",
    queries: Annotated[int, typer.Option(help="Queries in a batch.", max=HELD_OUT)] = 200,
    rounds: Annotated[int, typer.Option(help="Rounds over all routes.")] = 5,
    seconds: Annotated[float, typer.Option(help="What a route may take a round.")] = 1.0,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps generated codes.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure every route and print medians and ratios to faiss."""
    every = list(routes_of.PEERS)
    groups = {"exact": list(routes_of.EXACT_PEERS), "all": every}
    known = routes_of.our_kernels()
    run = {
        "kernels": chosen(kernels, {"all": known, "none": []}, known, "--kernels"),
        "threads": integers_in(threads, "--threads"),
        "rounds": rounds,
        "seconds": seconds,
    }
    wanted = chosen(peers, groups, every, "--peers")
    names = ["flat", *(name for name in wanted if name != "flat")]  # what the others are held to
    radii = integers_in(radius, "--radius") if radius else []
    questions = [{"k": k}, *({"radius": r} for r in radii)]
    where = where_from()
    for size in integers_in(n, "--n"):
        for n_bits in integers_in(bits, "--bits"):
            for kind in names_in(data):
                codes, some = make_codes(kind, size, n_bits, cache)
                others = [route for name in names for route in routes_of.PEERS[name](codes)]
                about = {"data": kind, "n": size, "n_bits": n_bits}
                for found in compare(codes, some[:queries], others, questions, run):
                    rows = [{**about, **row} for row in found]
                    append(rows, where, output)
                    show(rows)
                del codes, others
    ranking = full_rankings(60_000, 50, rounds)
    append([ranking], where, output)
    Console().print(ranking)


def show(rows: list[dict]) -> None:
    """Print one comparison as a table."""
    *rows, machine = rows
    first = rows[0]
    asked = f"within {first['radius']}" if "radius" in first else f"{first['k']} nearest"
    table = Table(
        title=f"{first['data']}, {first['n']:,} codes of {first['n_bits']} bits, {asked}",
        caption="two plain threads: {speedup:.2f}, from {lowest_speedup:.2f} "
        "to {highest_speedup:.2f}".format(**machine),
    )
    table.add_column("route")
    columns = list(dict.fromkeys((row["kind"], row["threads"]) for row in rows))
    for kind, threads in sorted(columns):
        table.add_column(f"{kind}, {threads} thread{'s' * (threads > 1)}", justify="right")
    for title in ("recall", "build", "bytes"):
        table.add_column(title, justify="right")
    cells = {(row["route"], row["kind"], row["threads"]): row for row in rows}
    for route in dict.fromkeys(row["route"] for row in rows):
        found = [cells.get((route, *column)) for column in sorted(columns)]
        last = next(row for row in reversed(found) if row)
        times = [
            f"{1e3 * c['seconds_per_query']:.3f} ms {c['ratio_to_faiss']:6.2f}x" if c else ""
            for c in found
        ]
        facts = (("recall", ".3f"), ("build_seconds", ".2f"), ("bytes_per_code", ".1f"))
        table.add_row(
            route, *times, *("" if last[f] is None else format(last[f], how) for f, how in facts)
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    typer.run(main)
