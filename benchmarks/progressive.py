"""Score PGH after each of its rounds, with and without its generator, by labels.

    python benchmarks/progressive.py -o benchmarks/results/progressive.jsonl

The protocols are pgh-mnist and cifar10-1k: 100 images of each class are queries, all others the
database and the training images. Round 0 is the codes that PGH starts from. A row a run, with its
learning curves; what is there already is not run again.
"""

import json
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from rich.console import Console

from hashlearn.benchmark import Job, Run, run_jobs
from hashlearn.benchmark.curves import count_blocks
from hashlearn.benchmark.run import questions
from hashlearn.cli.options import integers_in
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, evaluate, get_protocol
from hashlearn.features import make_features
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.pgh import PGH

PROTOCOLS = {"mnist": "pgh-mnist", "cifar10": "cifar10-1k"}


def rounds(run: Run, images: Any, protocol: Protocol) -> list[float]:
    """Compute the mean average precision before the first round and after each."""
    hasher = cast(PGH, run.model)
    scaled = images / np.float32(255)
    database, queries = scaled[run.split.database], scaled[run.split.queries]
    if hasher.start_features is None:
        database, queries = (part.reshape(len(part), -1) for part in (database, queries))
    else:
        for step in make_features(hasher.start_features):
            database, queries = step.fit_transform(database), step.transform(queries)
    seed = np.random.RandomState(hasher.random_state)
    weak = get_method(hasher.start)(hasher.n_bits, random_state=seed).fit(database)
    assert np.array_equal(weak.encode(database), hasher.codes_by_round_[0])
    scores = []
    for number, codes in enumerate(hasher.codes_by_round_):
        asked = images[run.split.queries]
        found = hasher.encode_after(number, asked) if number else weak.encode(queries)
        counts = count_blocks(found, codes, hasher.n_bits, run.truth)
        scores.append(evaluate(counts, run.truth, protocol).mean_average_precision)
    return [float(f"{score:.6g}") for score in scores]


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="File of rows, added to.")],
    data: Annotated[str, typer.Option(help=f"Of {', '.join(PROTOCOLS)}.")] = "mnist",
    starts: Annotated[str, typer.Option(help="Methods to start from.")] = "itq",
    features: Annotated[str, typer.Option(help="Features before them, or pixels.")] = "pixels",
    triplets: Annotated[
        str, typer.Option(help="Kinds of triplets: both, real, generated.")
    ] = "both,real",
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "16,32,64",
    seeds: Annotated[str, typer.Option(help="Seeds, joined by commas.")] = "0,1,2",
    given: Annotated[str, typer.Option(help="More arguments of PGH, JSON.")] = "{}",
) -> None:
    """Run what is not in the rows yet."""
    console = Console(stderr=True)
    dataset = load_dataset(data, download=False)
    common = json.loads(given) | ({} if features == "pixels" else {"start_features": features})
    jobs = [
        Job("pgh", n_bits, seed, {"start": start, "triplets": kind, **common})
        for seed in integers_in(seeds, "--seeds")
        for start in starts.split(",")
        for n_bits in integers_in(bits, "--bits")
        for kind in triplets.split(",")
    ]
    settings: dict[str, Any] = {
        "protocol": get_protocol(PROTOCOLS[data]),
        "recipe": SplitRecipe("all", n_queries=1000, queries_per_class=True),
    }
    lines = output.read_text().splitlines() if output.exists() else []
    done = {json.loads(line)["id"] for line in lines}
    left = [row["id"] for row in questions(dataset, jobs, **settings) if row["id"] not in done]
    console.print(f"{len(left)} of {len(jobs)} runs")
    for run in run_jobs(dataset, jobs, done=done, **settings):
        row = run.row | {"rounds": rounds(run, dataset.X, settings["protocol"])}
        with output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        scores = " ".join(f"{score:.3f}" for score in row["rounds"])
        console.print(f"{row['given']}, {row['n_bits']} bits, seed {row['seed']}: {scores}")


if __name__ == "__main__":
    typer.run(main)
