"""Compress a million embeddings in one command: how long it takes, and how much memory.

    python benchmarks/compress.py newsgroups20_minilm -o compress.jsonl

The vectors are made of real ones: each is a mixture of two embeddings of a data set, drawn at
random with a weight from 0 to 1, plus noise a tenth as long, brought to length 1. They stand in a
Parquet file, and `hashlearn compress` runs as a user types it, the start of Python included. Its
peak memory is that of the process as the system counts it, pages of mapped files included.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from search import append, where_from

from hashlearn.data import load_dataset

BLOCK = 50_000
console = Console()


def write_vectors(data: str, n: int, path: Path) -> int:
    """Write mixtures of a data set's vectors; give their dimension."""
    X = load_dataset(data, download=False).X.astype(np.float32)
    rng = np.random.default_rng(0)
    schema = pa.schema({"id": pa.int64(), "vector": pa.list_(pa.float32(), X.shape[1])})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            weights = rng.random((size, 1), dtype=np.float32)
            rows = weights * X[rng.integers(len(X), size=size)]
            rows += (1 - weights) * X[rng.integers(len(X), size=size)]
            noise = rng.standard_normal(rows.shape, dtype=np.float32)
            rows += 0.1 * noise / np.sqrt(X.shape[1], dtype=np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            ids = pa.array(np.arange(start, start + size))
            lists = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), X.shape[1])
            writer.write_table(pa.table([ids, lists], schema=schema))
    return X.shape[1]


def main(
    data: Annotated[str, typer.Argument(help="Name of a data set of vectors.")],
    n: Annotated[int, typer.Option(help="How many vectors to make.")] = 1_000_000,
    bits: Annotated[int, typer.Option(help="Length of the codes.")] = 256,
    seconds: Annotated[float, typer.Option(help="Time to learn in.")] = 180.0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File for rows.")] = None,
) -> None:
    """Make vectors, compress them, print and write a row."""
    with TemporaryDirectory() as folder:
        path, made = Path(folder) / "vectors.parquet", Path(folder) / "made"
        n_features = write_vectors(data, n, path)
        console.print(f"{n:,} vectors, {path.stat().st_size / 1e9:.2f} GB")
        command = [
            str(Path(sys.executable).with_name("hashlearn")), "compress", str(path), "--bits",
            str(bits), "--metric", "cosine", "--seconds", str(seconds), "-o", str(made),
        ]  # fmt: skip
        start = perf_counter()
        subprocess.run(command, check=True)
        spent = perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        figures = json.loads((made / "report.json").read_text())
    row = {
        "benchmark": "compress", "data": data, "n": n, "n_features": n_features, "n_bits": bits,
        "seconds": spent, "peak_bytes": peak, "parts": figures["seconds"],
        "method": figures["method"], "protocol": figures["protocol"] | {"data": data},
        "trials": figures["trials"], "measured": figures["measured"],
    }  # fmt: skip
    console.print(f"{spent:.0f} s, {peak / 2**30:.2f} GiB at most; {figures['seconds']}")
    append([row], where_from(), output)


if __name__ == "__main__":
    typer.run(main)
