"""Change one ingredient of SiGAH, or of NeighborMatching, at a time, on MNIST.

    python benchmarks/ablations.py -o benchmarks/results/ablations

Euclidean neighbours by the protocol sigah-mnist, a row a run, as of `hashlearn bench`; what is
there already is not run again. The groups are the paper's tables and figures, and ours: the
discriminator (Table 4), the generator's non-linearity (Table 5), width (Fig. 4) and depth (Fig.
8d), weights and margin (Fig. 8a-c); what the paper says of its settings, all at once; how bits are
made, where training starts, perpendicular functions, more dimensions.
"""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hashlearn.benchmark import Job, Records, run_and_record
from hashlearn.cli.options import integers_in
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import get_protocol

Settings = dict[str, Any]


def each(name: str, *values: Any) -> list[Settings]:
    """Give one argument several values."""
    return [{name: value} for value in values]


GROUPS: dict[str, tuple[str, list[Settings]]] = {
    "table4": ("sigah", each("adversary_weight", 0.0)),
    "table5": ("sigah", each("activation", "sigmoid", "tanh", "relu", "silu")),
    "fig4": ("sigah", each("generator_width", 0.5, 1.0, 4.0)),
    "fig8": (
        "sigah",
        [
            *each("sparsity_weight", 0.0, 0.01, 0.1),
            *each("graph_weight", 0.0, 0.003, 0.01),
            *each("adversary_weight", 0.0, 0.1, 1.0),
            *each("margin", 0.1, 1.0, 3.0),
            *each("generator_depth", 2, 3),
        ],
    ),
    "paper": ("sigah", [{"init": "random", "binarisation": "tanh", "entropy_weight": 0.0}]),
    "sigah": (
        "sigah",
        [
            *each("binarisation", "sign", "tanh"),
            *each("entropy_weight", 0.0, 0.03, 0.3),
            *each("init", "random", "pca", "neighbormatching"),
            *each("orthogonality_weight", 0.1, 1.0),
            *each("n_components", 256),
        ],
    ),
    "neighbormatching": (
        "neighbormatching",
        [
            *each("pooled_weight", 0.0, 0.3, 1.0),
            *each("bandwidth", 0.2, 0.8),
            *each("n_neighbors", 0.003, 0.03),
            *each("sharpness", 1.0, 16.0),
            *each("batch_size", 128, 256, 1024),
            *each("n_steps", 500, 1500),
            *each("init", "random", "pca", "sigah"),
            *each("n_components", 64),
        ],
    ),
}


def jobs_of(group: str, bits: list[int], seeds: int) -> list[Job]:
    """List the runs of a group: the method as it is, then each of its changes."""
    method, changes = GROUPS[group]
    return [
        Job(method, n_bits, seed, given)
        for given in ({}, *changes)
        for n_bits in bits
        for seed in range(seeds)
    ]


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of results.")],
    groups: Annotated[str, typer.Option(help=f"Of {', '.join(GROUPS)}.")] = ",".join(GROUPS),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32",
    seeds: Annotated[int, typer.Option(help="Seeds a setting.", min=1)] = 5,
) -> None:
    """Run the changes that are not in the results yet."""
    console = Console(stderr=True)
    lengths = integers_in(bits, "--bits")
    jobs = {
        str(job): job for group in groups.split(",") for job in jobs_of(group, lengths, seeds)
    }  # a method as it is stands in several groups
    run_and_record(
        Records(output),
        load_dataset("mnist", download=False),
        list(jobs.values()),
        protocol=get_protocol("sigah-mnist"),
        recipe=SplitRecipe("test", n_queries=1000),
        on_row=lambda row: console.print(
            f"{row['method']} {row['given']}, {row['n_bits']} bits, seed {row['seed']}: pooled "
            f"area {row['scores']['pooled_pr_area']:.3f}, mean average precision "
            f"{row['scores']['mean_average_precision']:.3f}"
        ),
        on_error=lambda job, error: console.print(f"{job}: {error}"),
    )


if __name__ == "__main__":
    typer.run(main)
