"""Draw digits from their codes, by BA, SGH and SiGAH: Figure 6 of the paper of SiGAH.

    python benchmarks/reconstructions.py -o docs/reconstructions.png

The first test image of each digit, and what each method, fitted to the training images, draws from
its code.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from generative import draw

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
    draw({label: 255 * images.reshape(-1, 28, 28) for label, images in rows.items()}, output)


if __name__ == "__main__":
    typer.run(main)
