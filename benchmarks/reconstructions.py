"""Draw digits from their codes, by BA, SGH and SiGAH: Figure 6 of the paper of SiGAH.

    python benchmarks/reconstructions.py -o docs/reconstructions.png

The first test image of each digit, and what each method, fitted to the training images, draws from
its code.
"""

from pathlib import Path
from typing import Annotated

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import typer

from hashlearn.cli.options import integers_in
from hashlearn.data import load_dataset
from hashlearn.hashers import get_method

METHODS = ("ba", "sgh", "sigah")


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture to write.")],
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32,64",
) -> None:
    """Fit the methods and draw the picture."""
    dataset = load_dataset("mnist", download=False)
    assert dataset.y is not None
    X = dataset.X.reshape(len(dataset.X), -1).astype(np.float32) / 255
    train, test = dataset.splits["train"], dataset.splits["test"]
    digits = X[[test[np.flatnonzero(dataset.y[test] == digit)[0]] for digit in range(10)]]
    rows = {"image": digits}
    for n_bits in integers_in(bits, "--bits"):
        for name in METHODS:
            hasher = get_method(name)(n_bits, random_state=0).fit(X[train])
            drawn = hasher.reconstruct(hasher.encode(digits))
            error = np.square(drawn - digits).sum(axis=1).mean()
            label = f"{type(hasher).__name__}, {n_bits} bits"
            typer.echo(f"{label}: mean squared error {error:.2f}")
            rows[label] = drawn
    figure, axes = plt.subplots(len(rows), 10, figsize=(8, 0.8 * len(rows)), layout="compressed")
    for line, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image.reshape(28, 28), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.savefig(output, dpi=110)


if __name__ == "__main__":
    typer.run(main)
