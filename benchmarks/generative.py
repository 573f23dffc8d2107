r"""Judge generative models of MNIST: what they draw, and what codes of what they keep find.

    python benchmarks/generative.py -o benchmarks/results/generative.jsonl \
        --picture docs/generative.png

Every model is fitted to the training images. A small network that was taught the labels looks at
5,000 samples: their score, exp of the mean divergence of its answers from their mean (the inception
score, with this network), its confidence, the share of the ten digits of which there is a hundredth
of the samples, and for CGAN how many are the digit that was asked for. Test images are looked at
too, for comparison. Then, by the protocol pgh-mnist, LatentHasher on the models that have an
encoder, beside ITQ on pixels. A row a run, with all settings; what is there already is not run
again.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from hashlearn import generative
from hashlearn.benchmark.curves import count_blocks
from hashlearn.benchmark.defaults import default_recipe
from hashlearn.benchmark.provenance import provenance
from hashlearn.cli.options import integers_in
from hashlearn.data import Dataset, load_dataset
from hashlearn.evaluation import evaluate, get_protocol
from hashlearn.generative.networks import make_encoder
from hashlearn.hashers import get_method

N_SAMPLES = 5000
MODELS = ("VAE", "VAEGAN", "AVB", "DCGAN", "CGAN")
HASHED = ("vae", "vaegan", "avb")
ENCODED = ("VAE", "VAEGAN", "AVB")  # these make items again from latent values

Row = dict[str, Any]
Wanted = Callable[[Row], bool]


def scaled(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images[:, None].astype(np.float32) / 127.5 - 1)


def teach(images: NDArray[np.uint8], labels: NDArray[Any], n_steps: int = 1000) -> torch.nn.Module:
    """Teach a small network the labels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make_encoder((1, 28, 28), 10, width=16)
        optimiser = torch.optim.Adam(network.parameters(), 0.002)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.004, total_steps=n_steps)
        targets = torch.from_numpy(labels.astype(np.int64))
        for _ in range(n_steps):
            rows = torch.randint(len(images), (128,)).numpy()
            logits = network(scaled(images[rows]))
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(logits, targets[rows]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def answers(network: torch.nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the probabilities of the digits."""
    parts = [torch.softmax(network(part).double(), dim=1) for part in scaled(images).split(1000)]
    return torch.cat(parts).numpy()


def judge(p: NDArray[np.float64], asked: NDArray[Any] | None) -> dict[str, float]:
    """Score samples by a classifier's probabilities."""
    divergence = (p * (np.log(p + 1e-12) - np.log(p.mean(axis=0)))).sum(axis=1)
    found = p.argmax(axis=1)
    scores = {
        "score": float(np.exp(divergence.mean())),
        "confidence": float(p.max(axis=1).mean()),
        "digits": float((np.bincount(found, minlength=10) >= len(p) / 100).mean()),
    }
    if asked is not None:
        scores["accuracy"] = float((found == asked).mean())
    return scores


def measure_samples(
    dataset: Dataset, names: list[str], settings: Row, seeds: int, wanted: Wanted, drawn: Row
) -> Iterator[Row]:
    """Fit each model and judge its samples; keep pictures of those of the first seed."""
    assert dataset.y is not None
    train, test = dataset.splits["train"], dataset.splits["test"]
    images, labels = dataset.X[train], dataset.y[train]
    network = teach(images, labels)
    p = answers(network, dataset.X[test])
    known = {"classifier_accuracy": float((p.argmax(axis=1) == dataset.y[test]).mean())}
    run: Row = {"what": "samples", "model": "test images", "seed": None, "settings": {}}
    if wanted(run):
        yield {**run, "scores": judge(p[:N_SAMPLES], dataset.y[test][:N_SAMPLES]), **known}
    digits = dataset.X[[test[np.flatnonzero(dataset.y[test] == digit)[0]] for digit in range(10)]]
    drawn["image"] = digits
    for name in names:
        for seed in range(seeds):
            model = getattr(generative, name)(random_state=seed, **settings)
            run = {"what": "samples", "model": name, "seed": seed, "settings": parameters(model)}
            if not wanted(run):
                continue
            asked = np.arange(N_SAMPLES) % 10 if model.supervised else None
            started = perf_counter()
            model.fit(images, labels)
            seconds = perf_counter() - started
            samples = model.sample(N_SAMPLES, asked, random_state=seed)
            scores = judge(answers(network, samples), asked)
            if name in ENCODED:
                some = dataset.X[test[:1000]]
                error = (model.reconstruct(some) / 255.0 - some / 255.0) ** 2
                scores["reconstruction_error"] = float(error.sum(axis=(1, 2)).mean())
            if seed == 0:
                if name in ENCODED:
                    drawn[f"{name}, again"] = model.reconstruct(digits)
                drawn[name] = samples[:10]
            ends = {key: float(part[-100:].mean()) for key, part in model.history_.items()}
            yield {**run, "scores": scores, "fit_seconds": round(seconds, 1), "history": ends,
                   **known}  # fmt: skip


def measure_codes(
    dataset: Dataset, names: list[str], settings: Row, bits: list[int], seeds: int, wanted: Wanted
) -> Iterator[Row]:
    """Fit hashers and judge their codes by labels; ITQ takes the pixels."""
    assert dataset.y is not None
    protocol = get_protocol("pgh-mnist")
    for seed in range(seeds):
        recipe = default_recipe(dataset, seed, "pgh-mnist")
        split = dataset.split(recipe)
        queries, database = dataset.X[split.queries], dataset.X[split.database]
        y = dataset.y
        truth = protocol.ground_truth(queries, database, y[split.queries], y[split.database])
        for n_bits in bits:
            for name in ("itq", *names):
                if name == "itq":
                    hasher = get_method("itq")(n_bits, random_state=seed)
                    views = [part.reshape(len(part), -1) for part in (database, queries)]
                else:
                    hasher = get_method("latenthasher")(
                        n_bits, model=name, random_state=seed, **settings
                    )
                    views = [database, queries]
                run = {"what": "codes", "model": name, "n_bits": n_bits, "seed": seed,
                       "settings": parameters(hasher)}  # fmt: skip
                if not wanted(run):
                    continue
                started = perf_counter()
                hasher.fit(views[0])
                seconds = perf_counter() - started
                codes = hasher.encode(views[0]), hasher.encode(views[1])
                found = count_blocks(codes[1], codes[0], n_bits, truth)
                yield {**run, "split": recipe.as_dict(), "protocol": protocol.as_dict(),
                       "fit_seconds": round(seconds, 1),
                       "scores": evaluate(found, truth, protocol).as_dict()}  # fmt: skip


def parameters(estimator: Any) -> Row:
    left_out = ("checkpoint", "device", "random_state")
    return {key: value for key, value in estimator.get_params().items() if key not in left_out}


def identity(row: Row) -> Row:
    """Give what tells one run from another."""
    return {key: row[key] for key in ("what", "model", "n_bits", "seed", "settings") if key in row}


def draw(rows: dict[str, NDArray[Any]], path: Path) -> None:
    """Draw ten images a row, of pixels from 0 to 255."""
    figure, axes = plt.subplots(len(rows), 10, figsize=(8, 0.8 * len(rows)), layout="compressed")
    for line, (label, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main(
    models: Annotated[str, typer.Option(help="Models to sample, by commas.")] = ",".join(MODELS),
    hashed: Annotated[str, typer.Option(help="Models to make codes of.")] = ",".join(HASHED),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32,64",
    steps: Annotated[int, typer.Option(help="Steps of a model.", min=1)] = 3000,
    width: Annotated[int, typer.Option(help="Channels next to the image.", min=1)] = 16,
    seeds: Annotated[int, typer.Option(help="Seeds a run.", min=1)] = 3,
    given: Annotated[str, typer.Option(help="More arguments of the models, JSON.")] = "{}",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Picture to write.")] = None,
) -> None:
    """Fit models, judge their samples and codes, and draw samples."""
    dataset = load_dataset("mnist", download=False)
    settings = {"n_steps": steps, "width": width, **json.loads(given)}
    drawn: dict[str, NDArray[np.uint8]] = {}
    lines = output.read_text().splitlines() if output is not None and output.exists() else []
    done = [identity(json.loads(line)) for line in lines]

    def wanted(run: Row) -> bool:
        return identity(run) not in done

    def rows() -> Iterator[Row]:
        if models:
            yield from measure_samples(dataset, models.split(","), settings, seeds, wanted, drawn)
        if hashed:
            lengths = integers_in(bits, "--bits")
            yield from measure_codes(dataset, hashed.split(","), settings, lengths, seeds, wanted)

    for row in rows():
        shown = {key: round(value, 3) for key, value in row["scores"].items()
                 if isinstance(value, float)}  # fmt: skip
        typer.echo(f"{row['model']} {row.get('n_bits', '')} seed {row['seed']}: {shown}")
        if output is not None:
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "provenance": provenance()}) + "\n")
    if picture is not None and drawn:
        draw(drawn, picture)


if __name__ == "__main__":
    typer.run(main)
