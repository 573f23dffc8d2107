"""Compare the codes of QoLSH with the signs that it starts from, on the same frames.

    python benchmarks/qolsh.py -o benchmarks/results/qolsh.jsonl

The data are the first principal components of MNIST; the nearest items of a query among them are
relevant. Each row is what `hashlearn bench` would write for Hamming distances, without curves and
with one number more: the mean average precision of the ranking by v^T b / |W b|, the paper's
estimate of the cosine between the query's own vector and what a code stands for.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from sklearn.decomposition import PCA

from hashlearn.benchmark import Job, Run, run_jobs
from hashlearn.cli.options import integers_in, names_in
from hashlearn.codes import unpack_bits
from hashlearn.data import Dataset, SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol


def components(data: str, n_components: int) -> Dataset:
    """Make a data set of the first principal components of another."""
    whole = load_dataset(data)
    X = whole.X.reshape(len(whole), -1).astype(np.float32) / 255
    train = X[whole.splits["train"]]
    pca = PCA(n_components, svd_solver="covariance_eigh").fit(train)
    return replace(whole, name=f"{data}-pca{n_components}", X=pca.transform(X).astype(np.float32))


def by_cosine(run: Run, X: np.ndarray) -> float:
    """Compute the mean average precision by the estimated cosine, wrong ones of a tie first."""
    hasher: Any = run.model
    B = 2 * unpack_bits(run.database_codes, hasher.n_bits).astype(np.float32) - 1
    B /= np.linalg.norm(B @ hasher.weights_, axis=1)[:, None]
    V = X[run.split.queries] @ hasher.weights_.T + hasher.bias_
    precisions = []
    for query, v in enumerate(V):
        cosines = B @ v
        hits = np.sort(cosines[run.truth.relevant(query, query + 1)[0]])
        found = len(cosines) - np.searchsorted(np.sort(cosines), hits)
        precisions.append(np.mean(np.arange(len(hits), 0, -1) / found))
    return float(np.mean(precisions))


def main(
    bits: Annotated[str, typer.Option(help="Code lengths.")] = "64,128",
    flips: Annotated[str, typer.Option(help="Flips of a code, at most; all for no limit.")] = (
        "0,2,4,all"
    ),
    seeds: Annotated[str, typer.Option(help="Seeds of the frames.")] = "0,1,2",
    n_components: Annotated[int, typer.Option(help="Dimensions of the data.")] = 32,
    neighbors: Annotated[int, typer.Option(help="Relevant items of a query.")] = 1000,
    queries_from: Annotated[
        str, typer.Option(help="test, or train to choose settings on.")
    ] = "test",
    data: Annotated[str, typer.Option(help="Images, by name.")] = "mnist",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File of rows.")] = None,
) -> None:
    """Fit, encode and score; print a line a run."""
    dataset = components(data, n_components)
    limits = [None if name == "all" else int(name) for name in names_in(flips)]
    jobs = [
        Job("qolsh", n_bits, seed, {"n_flips": limit})
        for n_bits in integers_in(bits, "--bits")
        for limit in limits
        for seed in integers_in(seeds, "--seeds")
    ]
    protocol = Protocol(truth="euclidean", n_neighbors=neighbors)
    recipe = SplitRecipe(queries_from, n_queries=1000)
    typer.echo("bits  flips  seed  mAP by Hamming  mAP by cosine  encoding")
    for run in run_jobs(dataset, jobs, protocol=protocol, recipe=recipe, features="none"):
        row = run.row | {"mean_average_precision_by_cosine": by_cosine(run, dataset.X)}
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                kept = {name: row[name] for name in row if name not in ("curves", "history")}
                file.write(json.dumps(kept) + "\n")
        typer.echo(
            f"{row['n_bits']:4}  {row['parameters']['n_flips']!s:>5}  {row['seed']:4}"
            f"  {row['scores']['mean_average_precision']:14.4f}"
            f"  {row['mean_average_precision_by_cosine']:13.4f}  {row['encode_seconds']:6.1f} s"
        )


if __name__ == "__main__":
    typer.run(main)
