"""Build an index from raw items in one command, beside what the network alone takes.

    python benchmarks/export_networks.py -o networks
    python benchmarks/build.py cifar10 onnx:networks/mobilenet_v2.onnx -o build.jsonl
    python benchmarks/build.py newsgroups20 sentence-transformers:FOLDER -o build.jsonl

First the raw items are written as people have them: the 10,000 test images of CIFAR-10 as PNG files
in ten folders, or the 18,846 posts of 20 Newsgroups as the files of their archive. Then two
processes take turns:

- "build": the command `hashlearn build FOLDER --features NETWORK --bits 64 -o FILE` as a user types
  it. It reads, prepares and computes each item, fits ITQ, encodes, indexes and saves. The time is
  that of the whole process, the start of Python and the loading of the network included.
- "network": the network alone over the same items, which are read and prepared before the clock
  runs, a batch at a time; of texts, those of like length together, as build does it.

What a found item is worth is told too: the precision of the 10 nearest by the labels of the
folders, each item asking for the others.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from search import where_from

from hashlearn.codefiles import read_names
from hashlearn.data import load_dataset, open_source
from hashlearn.data.locations import find_file
from hashlearn.data.texts import NEWSGROUPS
from hashlearn.encoding import rows_of
from hashlearn.features import make_features
from hashlearn.index import HammingIndex

console = Console()


def write_items(data: str, folder: Path) -> None:
    """Write the raw items of a data set into a folder."""
    if data == "newsgroups20":
        archive = find_file(*NEWSGROUPS)
        if archive is None:
            raise typer.BadParameter("20 Newsgroups is not here")
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
        return
    dataset = load_dataset(data, download=False)
    for i in dataset.splits["test"]:
        path = folder / dataset.label_names[dataset.y[i]] / f"{i:05d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(dataset.X[i]).save(path)


def network_alone(folder: Path, features: str) -> float:
    """Give the seconds that a network takes for items that are ready for it."""
    (front,) = make_features(features)
    source = open_source(folder, same_size=False)
    seconds = 0.0
    for number, batch in enumerate(source.batches(rows_of(source, front))):
        if number == 0:
            front.fit(batch.X)
        inputs = front.preprocess(batch.X)
        start = perf_counter()
        front.run(inputs)
        seconds += perf_counter() - start
    return seconds


def precision(index: HammingIndex, names: list[str]) -> float:
    """Give the share of the 10 nearest that are in the same folder, over all items."""
    labels = np.unique([name.rsplit("/", 1)[0].rsplit("/", 1)[-1] for name in names],
                       return_inverse=True)[1]  # fmt: skip
    found = index.search(index.codes, 11)
    other = found.ids != np.arange(len(index))[:, None]
    other &= other.cumsum(axis=1) <= 10
    return float((labels[found.ids] == labels[:, None])[other].mean())


def main(
    data: Annotated[str, typer.Argument(help="cifar10 or newsgroups20.")],
    features: Annotated[str, typer.Argument(help="As for `hashlearn build`.")],
    output: Annotated[Path, typer.Option("--output", "-o")],
    bits: int = 64,
    rounds: int = 3,
) -> None:
    """Write the items, measure both routes in turn, and append a row."""
    where = where_from()
    with TemporaryDirectory() as place:
        folder, index = Path(place) / "items", Path(place) / "items.index"
        folder.mkdir()
        write_items(data, folder)
        build = [
            str(Path(sys.executable).with_name("hashlearn")),
            "build",
            str(folder),
            "--features",
            features,
        ]
        build += ["--bits", str(bits), "-o", str(index), "--json"]
        alone = [sys.executable, __file__, "--alone", str(folder), features]
        seconds: dict[str, list[float]] = {"build": [], "network": []}
        for _ in range(rounds):
            start = perf_counter()
            subprocess.run(build, check=True, capture_output=True)
            seconds["build"].append(perf_counter() - start)
            done = subprocess.run(alone, check=True, capture_output=True, text=True)
            seconds["network"].append(float(done.stdout))
            console.print({route: round(values[-1], 1) for route, values in seconds.items()})
        opened = HammingIndex.open(index)
        names = list((read_names(index, opened.ids) or {}).values())
        row: dict[str, Any] = {
            "what": "build an index from raw items",
            "data": data,
            "features": features.partition(":")[0] + ":" + Path(features.partition(":")[2]).name,
            "n": len(opened),
            "n_bits": bits,
            "seconds": seconds,
            "throughput": median(seconds["network"]) / median(seconds["build"]),
            "precision_at_10": precision(opened, names),
            "provenance": where,
        }
    with output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    console.print({name: row[name] for name in ("n", "throughput", "precision_at_10")})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        sys.stdout.write(str(network_alone(Path(sys.argv[2]), sys.argv[3])))
    else:
        typer.run(main)
