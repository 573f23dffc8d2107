"""Measure hashing of texts with tags: STTM beside LSH and ITQ, and with fewer and fewer tags.

    python benchmarks/text.py -o benchmarks/results/text.jsonl

1,000 texts of the test part ask, the train part answers and is learned from; what shares a tag is
relevant. LSH, ITQ and STTM see the same 64 topics, STTM also weights of words (tf-idf), which only
methods that accept sparse vectors can take, with LSH beside it. A share of the training texts keeps
its tags; it does not change what is relevant. A larger share contains a smaller one.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark.curves import count_blocks
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import fingerprint
from hashlearn.data import Dataset, SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, evaluate
from hashlearn.features import make_features
from hashlearn.hashers import get_method

FEATURES = {"topics": "bagofwords,topics:64", "words": "bagofwords,tfidf"}
RUNS = {FEATURES["topics"]: ("lsh", "itq", "sttm"), FEATURES["words"]: ("lsh", "sttm")}
VARIANTS: tuple[dict[str, Any], ...] = (
    {"alpha": 0.1}, {"smoothing": 0.5}, {"learn_confidence": True}
)  # fmt: skip
SHARES = (0.0, 0.25, 0.5, 1.0)


def untag(y: NDArray[Any], share: float) -> NDArray[Any]:
    """Take their tags from all but a share of the texts."""
    kept = np.random.default_rng(0).permutation(len(y))[: round(share * len(y))]
    tagged = np.zeros(len(y), dtype=bool)
    tagged[kept] = True
    if y.ndim == 1:
        return np.where(tagged, y, -1)
    return y * tagged[:, None].astype(y.dtype)


def runs_of(features: str, variants: bool) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """List methods, shares of tagged texts, and settings."""
    for name in RUNS[features]:
        if name != "sttm":
            yield name, 0.0, {}
            continue
        for share in SHARES:
            yield name, share, {}
        if variants:
            for settings in VARIANTS:
                yield name, 1.0, settings


def measure(
    dataset: Dataset, features: str, bits: list[int], seeds: int, variants: bool
) -> Iterator[dict[str, Any]]:
    """Fit on the train part, ask with the test part, and give a row a run."""
    assert dataset.y is not None
    recipe = SplitRecipe("test", n_queries=1000)
    split = dataset.split(recipe)
    protocol = Protocol(truth="labels" if dataset.y.ndim == 1 else "shared_labels")
    y, asked = dataset.y[split.train], dataset.X[split.queries]
    truth = protocol.ground_truth(asked, dataset.X[split.train], dataset.y[split.queries], y)
    train, queries = dataset.X[split.train], asked
    for step in make_features(features):
        train, queries = step.fit_transform(train), step.transform(queries)
    for name, share, settings in runs_of(features, variants):
        for n_bits, seed in ((n_bits, seed) for n_bits in bits for seed in range(seeds)):
            hasher = get_method(name)(n_bits, random_state=seed, **settings)
            started = perf_counter()
            hasher.fit(train, untag(y, share) if hasher.supervised else None)
            seconds = perf_counter() - started
            codes, query_codes = hasher.encode(train), hasher.encode(queries)
            scores = evaluate(count_blocks(query_codes, codes, n_bits, truth), truth, protocol)
            yield {
                "dataset": dataset.name, "fingerprint": fingerprint(dataset),
                "split": recipe.as_dict(), "protocol": protocol.as_dict(), "features": features,
                "method": name, "n_bits": n_bits, "seed": seed, "given": settings,
                "tagged": share if hasher.supervised else None, "scores": scores.as_dict(),
                "fit_seconds": round(seconds, 3), "provenance": provenance(),
            }  # fmt: skip


def main(
    datasets: Annotated[str, typer.Option(help="Texts, joined by commas.")] = (
        "reuters21578,newsgroups20"
    ),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "16,32,64",
    seeds: Annotated[int, typer.Option(help="Seeds a run.")] = 1,
    features: Annotated[str, typer.Option(help="topics, words or both.")] = "topics,words",
    variants: Annotated[bool, typer.Option(help="Run STTM's options that are off too.")] = True,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure texts."""
    lengths = [int(n_bits) for n_bits in bits.split(",")]
    for name in datasets.split(","):
        dataset = load_dataset(name, download=False)
        for kind in features.split(","):
            rows = []
            for row in measure(dataset, FEATURES[kind], lengths, seeds, variants):
                rows.append(row)
                if output is not None:
                    with output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
            show(rows, lengths)


def show(rows: list[dict[str, Any]], bits: list[int]) -> None:
    """Print precision at 100, means over seeds."""
    table = Table(
        "method", "tagged", *(f"{n_bits} bits" for n_bits in bits),
        title=f"{rows[0]['dataset']}, {rows[0]['features']}: precision at 100",
    )  # fmt: skip
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for row in rows:
        given = "".join(f" {key}={value}" for key, value in row["given"].items())
        tagged = "" if row["tagged"] is None else f"{row['tagged']:.0%}"
        cells = found.setdefault((row["method"] + given, tagged), {n_bits: [] for n_bits in bits})
        cells[row["n_bits"]].append(row["scores"]["precision_at_100"])
    for labels, cells in found.items():
        table.add_row(*labels, *(f"{np.mean(cells[n_bits]):.3f}" for n_bits in bits))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
