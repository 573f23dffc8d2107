"""Compare a collection in Milvus Lite with an index in memory: the same neighbours, and the time.

    python benchmarks/milvus.py -o benchmarks/results/milvus.jsonl

Codes of clustered vectors are put into both, and the same queries asked with and without a
condition, before and after items are removed. The two agree on a query if they give the same items
at the same distances in the same order. Seconds of Milvus are those of a single query: of its
search alone, and of all, with the items that were found.
"""

import json
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer

from hashlearn.benchmark import provenance
from hashlearn.cli.options import integers_in
from hashlearn.hashers import get_method
from hashlearn.index import HammingIndex
from hashlearn.integrations.milvus import MilvusCollection

TOGETHER = 10_000
N_LABELS = 10


def make_vectors(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw vectors around 500 centres."""
    centres = np.random.default_rng(0).normal(size=(500, 64))
    X = centres[rng.integers(0, 500, n)] + 0.5 * rng.normal(size=(n, 64))
    return X.astype(np.float32)


def compare(
    collection: MilvusCollection,
    index: HammingIndex,
    queries: np.ndarray,
    k: int,
    label: int | None,
) -> dict[str, Any]:
    """Ask both, one query at a time."""
    where = None if label is None else {"label": str(label)}
    mask = None if label is None else np.array([i for i in index.ids if i % N_LABELS == label])
    n_equal, searched, asked, ours = 0, [], [], []
    for query in queries:
        started = perf_counter()
        found = collection.search_code(query, k, where=where)
        asked.append(perf_counter() - started)
        searched.append(found.index_seconds)
        started = perf_counter()
        nearest = index.search(query[None], k, mask=mask)
        ours.append(perf_counter() - started)
        ids = [int(hit.item.key) for hit in found.hits]
        distances = [hit.distance for hit in found.hits]
        n_equal += ids == nearest.ids[0].tolist() and distances == nearest.distances[0].tolist()
    return {
        "n_queries": len(queries), "n_equal": n_equal,
        "milvus_search_seconds": median(searched), "milvus_seconds": median(asked),
        "index_seconds": median(ours),
    }  # fmt: skip


def measure(n: int, n_bits: int, n_queries: int, k: int) -> dict[str, Any]:
    """Fill both, compare, remove a tenth, compare again."""
    rng = np.random.default_rng(1)
    X, queries = make_vectors(n, rng), make_vectors(n_queries, rng)
    hasher = get_method("itq")(n_bits, random_state=0).fit(X[:10_000])
    codes, asked = hasher.encode(X), hasher.encode(queries)
    index = HammingIndex(n_bits)
    index.add(codes, np.arange(n))
    row: dict[str, Any] = {"n": n, "n_bits": n_bits, "k": k}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "some.db"
        with MilvusCollection.create(hasher, str(path), keep_originals=False) as collection:
            started = perf_counter()
            for start in range(0, n, TOGETHER):
                rows = range(start, min(start + TOGETHER, n))
                collection.add(
                    X[start : start + TOGETHER], keys=list(map(str, rows)),
                    labels=[str(i % N_LABELS) for i in rows],
                )  # fmt: skip
            row["add_seconds"] = round(perf_counter() - started, 1)
            row["all"] = compare(collection, index, asked, k, None)
            row["filtered"] = compare(collection, index, asked, k, 3)
            removed = np.flatnonzero(rng.random(n) < 0.1)
            started = perf_counter()
            collection.remove(list(map(str, removed)))
            row["n_removed"] = len(removed)
            row["remove_seconds"] = round(perf_counter() - started, 1)
            index.remove(removed)
            row["after_removal"] = compare(collection, index, asked, k, None)
            row["filtered_after_removal"] = compare(collection, index, asked, k, 3)
        row["file_bytes"] = path.stat().st_size
    names = ("pymilvus", "milvus-lite")
    return {**row, **{name: version(name) for name in names}, "provenance": provenance()}


def main(
    n: Annotated[str, typer.Option(help="Numbers of items, joined by commas.")] = "100000,20000",
    bits: Annotated[str, typer.Option(help="Length of the codes of each.")] = "64,20",
    queries: Annotated[int, typer.Option(help="Number of queries.")] = 200,
    k: Annotated[int, typer.Option(help="Neighbours of a query.")] = 100,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure, and print a line for each comparison."""
    sizes, lengths = integers_in(n, "--n"), integers_in(bits, "--bits")
    for size, n_bits in zip(sizes, lengths, strict=True):
        row = measure(size, n_bits, queries, k)
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        typer.echo(f"{size:,} items of {n_bits} bits, added in {row['add_seconds']} s")
        for name in ("all", "filtered", "after_removal", "filtered_after_removal"):
            found = row[name]
            typer.echo(
                f"  {name:24} {found['n_equal']} of {found['n_queries']} queries alike, "
                f"Milvus {found['milvus_search_seconds'] * 1e3:.1f} ms, with items "
                f"{found['milvus_seconds'] * 1e3:.1f} ms, index "
                f"{found['index_seconds'] * 1e3:.2f} ms"
            )


if __name__ == "__main__":
    typer.run(main)
