"""Count the bits in which exported graphs differ from the library, on every item of a data set.

    python benchmarks/onnx_codes.py -o benchmarks/results/onnx_codes.jsonl
    python benchmarks/onnx_codes.py --methods lsh --bits 1024 -o benchmarks/results/onnx_codes.jsonl

A graph adds up in single precision, so a bit may differ where its value is close to 0. A row says
how many of all bits do, how large the largest of their values is (the library's, in units of the
root of the mean square of all values), by how much values differ at most in these units, and what
the codes of either take.
"""

import json
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer
from rich.console import Console
from rich.table import Table

from hashlearn.benchmark import default_features, make_hasher
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import fingerprint
from hashlearn.cli.options import integers_in, names_in
from hashlearn.codes import unpack_bits
from hashlearn.data import Dataset, SplitRecipe, load_dataset
from hashlearn.integrations.onnx import export_onnx
from hashlearn.models import encode, make_model

ROWS = 8192


def run_graph(path: Path, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Give codes and values of a graph, computed by one thread, and the seconds that took."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options)
    started = perf_counter()
    parts = [
        session.run(["codes", "values"], {"items": X[start : start + ROWS]})
        for start in range(0, len(X), ROWS)
    ]
    seconds = perf_counter() - started
    codes, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return codes, values, seconds


def measure(dataset: Dataset, method: str, n_bits: int, seed: int) -> dict[str, Any]:
    """Fit on the train part, and encode all items both ways."""
    recipe = SplitRecipe("test", n_queries=1000)
    train = dataset.split(recipe).train
    features = default_features(dataset.X, method)
    model = make_model(features, make_hasher(method, n_bits, {}, seed))
    model.fit(dataset.X[train], None if dataset.y is None else dataset.y[train])
    started = perf_counter()
    codes = encode(model, dataset.X)
    seconds = perf_counter() - started
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        n_stored = path.stat().st_size
        of_graph, values, graph_seconds = run_graph(path, dataset.X)
    rows = dataset.X if features == "none" else model[:-1].transform(dataset.X)
    expected = (model if features == "none" else model[-1]).project(rows)
    unit = float(np.sqrt(np.square(expected, dtype=np.float64).mean()))
    differ = unpack_bits(of_graph, n_bits) != unpack_bits(codes, n_bits)
    largest = float(np.abs(expected[differ]).max()) if differ.any() else None
    return {
        "dataset": dataset.name, "fingerprint": fingerprint(dataset), "split": recipe.as_dict(),
        "features": features, "method": method, "n_bits": n_bits, "seed": seed,
        "n_items": len(codes), "n_bits_in_all": differ.size, "n_bits_differing": int(differ.sum()),
        "n_codes_differing": int(differ.any(axis=1).sum()),
        "largest_value_of_those": None if largest is None else largest / unit,
        "largest_difference": float(np.abs(values - expected).max()) / unit,
        "graph_bytes": n_stored, "encode_seconds": round(seconds, 3),
        "graph_seconds": round(graph_seconds, 3),
        "onnx": version("onnx"), "onnxruntime": version("onnxruntime"),
        "provenance": provenance(),
    }  # fmt: skip


def main(
    data: Annotated[str, typer.Option(help="Data sets, joined by commas.")] = (
        "mnist,cifar10_mobilenetv2"
    ),
    methods: Annotated[str, typer.Option(help="Methods, joined by commas.")] = (
        "itq,neighbormatching,greedyhash"
    ),
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "64",
    seed: Annotated[int, typer.Option(help="Seed of the fits.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Append rows here.")] = None,
) -> None:
    """Measure graphs."""
    table = Table("data", "method", "bits", "of", "differ", "value", "error", "encode", "graph")
    for name in names_in(data):
        dataset = load_dataset(name, download=False)
        for method in names_in(methods):
            for n_bits in integers_in(bits, "--bits"):
                row = measure(dataset, method, n_bits, seed)
                if output is not None:
                    with output.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(row) + "\n")
                largest = row["largest_value_of_those"]
                table.add_row(
                    name.partition("_")[0], method, str(n_bits),
                    f"{row['n_bits_in_all'] / 1e6:.1f} M",
                    f"{row['n_bits_differing']:,}",
                    "" if largest is None else f"{largest:.0e}",
                    f"{row['largest_difference']:.0e}",
                    f"{row['encode_seconds']:.2f} s", f"{row['graph_seconds']:.2f} s",
                )  # fmt: skip
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
