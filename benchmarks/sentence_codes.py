"""Compare codes of sentence embeddings: signs as they are, learned functions, functions tuned.

    python benchmarks/sentence_codes.py MODEL -o benchmarks/results/sentence_codes.jsonl

MODEL is a folder or name for sentence-transformers; embeddings have length 1. Titles of the train
part of StackOverflow are the database and what is learned from, titles of its test part ask. What
is relevant are the ten titles of the highest cosine similarity of embeddings; beside it stands the
share of titles of the query's tag among the ten found.

``sign`` takes the signs of the first n numbers, which is what ``truncate_dim`` and
``precision="ubinary"`` give; ``all`` of all numbers. ``tuned`` trains the layer of ITQ alone by
SignLoss around MultipleNegativesRankingLoss; its pairs are a title of the database and one of its
ten nearest there. ``ranking`` is the same without SignLoss: trained on the values, cut to signs
only afterwards. Found are the first ten by Hamming distance, ties by place; or of the first 40,
the first ten by the values before the sign of the query (as sentence-transformers re-scores), or
by the embeddings. TUNING was chosen with ``--check``, which asks with other titles of the train
part, at 128 bits.
"""

import json
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import fingerprint
from hashlearn.codes import pack_bits
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.hashers import get_method
from hashlearn.index import HammingIndex
from hashlearn.integrations.sentence_transformers import SignLoss, hash_layer

K, POOL = 10, 40
TUNED = ("tuned", "ranking")
TUNING = {
    "n_steps": 1000, "batch_size": 256, "lr": 3e-4, "scale": 20.0, "float_weight": 0.0,
    "balance_weight": 0.0, "correlation_weight": 10.0, "sharpness": 1.0,
}  # fmt: skip

Vectors = NDArray[np.float32]


def nearest(queries: Vectors, database: Vectors, k: int) -> NDArray[np.int64]:
    """Find the rows of the highest inner products."""
    return np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :k]


def tune(
    start: Any, X: Vectors, seed: int, options: dict[str, Any], *, signs: bool
) -> torch.nn.Module:
    """Train the functions of a hasher on pairs of neighbours among its vectors."""
    generator = torch.Generator().manual_seed(seed)
    layer, data = hash_layer(start), torch.from_numpy(X)
    near = torch.from_numpy(nearest(X, X, K + 1)[:, 1:])
    loss = MultipleNegativesRankingLoss(layer, scale=options["scale"])
    if signs:
        weights = {name: options[name] for name in options if name.endswith("_weight")}
        loss = SignLoss(layer, loss, sharpness=options["sharpness"], **weights)
    optimizer = torch.optim.Adam(layer.parameters(), lr=options["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options["n_steps"])
    for _ in range(options["n_steps"]):
        rows = torch.randperm(len(X), generator=generator)[: options["batch_size"]]
        place = torch.randint(K, (len(rows),), generator=generator)
        pairs = (data[rows], data[near[rows, place]])
        optimizer.zero_grad()
        loss([{"sentence_embedding": part} for part in pairs], torch.empty(0)).backward()
        optimizer.step()
        schedule.step()
    return layer


def values_of(
    method: str, n_bits: int, seed: int, X: list[Vectors], options: dict[str, Any]
) -> tuple[Vectors, Vectors]:
    """Fit on the database and give the values of both parts before the sign."""
    database, queries = X
    if method in ("sign", "all"):
        return database[:, :n_bits], queries[:, :n_bits]
    name = "itq" if method in TUNED else method
    hasher = get_method(name)(n_bits, random_state=seed).fit(database)
    if method not in TUNED:
        return hasher.project(database), hasher.project(queries)
    layer = tune(hasher, database, seed, options, signs=method == "tuned")
    with torch.inference_mode():
        parts = [
            layer({"sentence_embedding": torch.from_numpy(part)})["sentence_embedding"].numpy()
            for part in X
        ]
    return parts[0], parts[1]


def score(
    values: tuple[Vectors, Vectors], X: list[Vectors], y: list[NDArray[Any]], truth: NDArray[Any]
) -> dict[str, float]:
    """Search the codes and measure what is found."""
    bits, query_bits = (part > 0 for part in values)
    index = HammingIndex(bits.shape[1])
    index.add(pack_bits(bits))
    pool = index.search(pack_bits(query_bits), POOL).ids
    signs = 2.0 * bits - 1
    by_values = np.einsum("qd,qkd->qk", values[1], signs[pool])
    by_embedding = np.einsum("qd,qkd->qk", X[1], X[0][pool])
    found = {"hamming": pool[:, :K]}
    for name, order in (("values", by_values), ("embeddings", by_embedding)):
        best = np.argsort(-order, axis=1, kind="stable")[:, :K]
        found[name] = np.take_along_axis(pool, best, axis=1)
    scores = {}
    for name, ids in found.items():
        hits = [len(np.intersect1d(*pair)) for pair in zip(ids, truth, strict=True)]
        scores[f"recall_at_{K}_{name}"] = float(np.mean(hits)) / K
        scores[f"tag_precision_at_{K}_{name}"] = float((y[0][ids] == y[1][:, None]).mean())
    return scores


def main(
    model: Annotated[str, typer.Argument(help="Folder or name for sentence-transformers.")],
    methods: Annotated[str, typer.Option(help="Joined by commas.")] = (
        "sign,all,lsh,itq,neighbormatching,ranking,tuned"
    ),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "64,128,256",
    seeds: Annotated[int, typer.Option(help="Seeds a run.")] = 1,
    n_database: Annotated[int, typer.Option(help="Titles to search and learn from.")] = 6000,
    n_queries: Annotated[int, typer.Option(help="Titles that ask.")] = 1000,
    tuning: Annotated[str, typer.Option(help="Settings of the tuning, as JSON.")] = "{}",
    check: Annotated[bool, typer.Option(help="Ask with other titles of the train part.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure codes of titles."""
    dataset = load_dataset("stackoverflow", download=False)
    assert dataset.y is not None
    rng = np.random.default_rng(0)
    split = dataset.split(SplitRecipe("test"))
    train = rng.permutation(split.train)
    test = train[n_database:] if check else rng.permutation(split.queries)
    parts = train[:n_database], test[:n_queries]
    network = SentenceTransformer(model, device="cpu")
    X = [
        network.encode(list(dataset.X[part]), normalize_embeddings=True, batch_size=64)
        for part in parts
    ]
    y = [dataset.y[part] for part in parts]
    truth = nearest(X[1], X[0], K)
    options = {**TUNING, **json.loads(tuning)}
    rows: list[dict[str, Any]] = []
    runs = [
        (method, X[0].shape[1] if method == "all" else int(n_bits), seed)
        for method in methods.split(",")
        for n_bits in (bits.split(",") if method != "all" else "1")
        for seed in range(seeds if method not in ("sign", "all") else 1)
    ]
    for method, n_bits, seed in runs:
        started = perf_counter()
        values = values_of(method, n_bits, seed, X, options)
        seconds = perf_counter() - started
        rows.append({
            "dataset": dataset.name, "fingerprint": fingerprint(dataset), "model": Path(model).name,
            "n_database": n_database, "n_queries": n_queries, "check": check, "method": method,
            "n_bits": n_bits, "seed": seed, "given": options if method in TUNED else {},
            "scores": score(values, X, y, truth),
            "fit_seconds": round(seconds, 3),
            "sentence_transformers": version("sentence-transformers"), "provenance": provenance(),
        })  # fmt: skip
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print all scores, means over seeds."""
    names = list(rows[0]["scores"])
    table = Table("method", "bits", "seconds", *(name.replace("_at_10_", " ") for name in names))
    for key in dict.fromkeys((row["method"], row["n_bits"]) for row in rows):
        same = [row for row in rows if (row["method"], row["n_bits"]) == key]
        means = [np.mean([row["scores"][name] for row in same]) for name in names]
        seconds = np.mean([row["fit_seconds"] for row in same])
        table.add_row(key[0], str(key[1]), f"{seconds:.1f}", *(f"{mean:.3f}" for mean in means))
    Console(width=160).print(table)


if __name__ == "__main__":
    typer.run(main)
