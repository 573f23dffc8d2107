"""Measure what synthetic images add where few labels are known: DSHGAN with its generator, without.

    python benchmarks/semisupervised.py -o benchmarks/results/semisupervised.jsonl

The protocol is pgh-mnist: 1,000 images of MNIST ask, 100 of each class, all others answer, and are
learned from. A few of each class keep their labels, the same for all variants of a seed, and fewer
are some of more. What is there already is not run again. Variants: without a generator, which is to
learn from labelled images alone, also with the noise that suits that best where labels are few; and
with one, unlabelled images being of some class, left out of the loss of classes, or images of no
class as in the paper.
"""

import json
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from hashlearn.benchmark.curves import count_blocks
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import fingerprint
from hashlearn.cli.options import integers_in
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import evaluate, get_protocol
from hashlearn.hashers import get_method

VARIANTS: dict[str, dict[str, Any]] = {
    "without": {"synthetic": False},
    "without, noisier": {"synthetic": False, "noise": 0.5},
    "some-class": {"unlabelled": "some-class"},
    "left-out": {"unlabelled": "left-out"},
    "zeros": {"unlabelled": "zeros"},
}
TEST = SplitRecipe("all", n_queries=1000, queries_per_class=True)
VALIDATION = SplitRecipe("train", n_queries=1000, queries_per_class=True)


def unlabel(y: NDArray[Any], n_kept: int, seed: int) -> NDArray[np.int64]:
    """Take the labels from all but some items of each class; fewer are some of more."""
    kept = np.full(len(y), -1, np.int64)
    order = np.random.default_rng(seed).permutation(len(y))
    for label in np.unique(y):
        rows = order[y[order] == label][:n_kept]
        kept[rows] = label
    return kept


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="File of rows, added to.")],
    labels: Annotated[str, typer.Option(help="Labels of each class.")] = "50,100,500",
    bits: Annotated[int, typer.Option(help="Code length.")] = 32,
    seeds: Annotated[int, typer.Option(help="Seeds a setting.", min=1)] = 3,
    variants: Annotated[str, typer.Option(help=f"Of {'; '.join(VARIANTS)}.")] = ";".join(VARIANTS),
    validation: Annotated[bool, typer.Option(help="Ask with training images instead.")] = False,
) -> None:
    """Run what is not in the file yet."""
    console = Console(stderr=True)
    dataset = load_dataset("mnist", download=False)
    assert dataset.y is not None
    protocol, recipe = get_protocol("pgh-mnist"), VALIDATION if validation else TEST
    split = dataset.split(recipe)
    X, y, queries = dataset.X[split.train], dataset.y[split.train], dataset.X[split.queries]
    truth = protocol.ground_truth(queries, X, dataset.y[split.queries], y)
    lines = output.read_text(encoding="utf-8").splitlines() if output.exists() else []
    asked = ("split", "n_bits", "seed", "labels_per_class", "given")
    done = {json.dumps([json.loads(line)[name] for name in asked]) for line in lines}
    for n_labels in integers_in(labels, "--labels"):
        for seed in range(seeds):
            for variant in variants.split(";"):
                given = VARIANTS[variant]
                question = [recipe.as_dict(), bits, seed, n_labels, given]
                if json.dumps(question) in done:
                    continue
                hasher = get_method("dshgan")(bits, random_state=seed, **given)
                started = perf_counter()
                hasher.fit(X, unlabel(y, n_labels, seed))
                seconds = perf_counter() - started
                counts = count_blocks(hasher.encode(queries), hasher.encode(X), bits, truth)
                scores = evaluate(counts, truth, protocol)
                row = {
                    **dict(zip(asked, question, strict=True)), "method": "dshgan",
                    "variant": variant, "parameters": hasher.get_params(),
                    "dataset": dataset.name, "fingerprint": fingerprint(dataset),
                    "protocol": protocol.as_dict(), "scores": scores.as_dict(),
                    "fit_seconds": round(seconds, 3), "provenance": provenance(),
                }  # fmt: skip
                with output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                console.print(
                    f"{n_labels} labels, {variant}, seed {seed}: mean average precision "
                    f"{scores.mean_average_precision:.4f}, {seconds:.0f} s"
                )


if __name__ == "__main__":
    typer.run(main)
