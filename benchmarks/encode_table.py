"""Encode a Parquet file that is larger than memory, beside reading it and one matrix product.

    python benchmarks/encode_table.py --folder FOLDER -o benchmarks/results/encode.jsonl

Ten million vectors of 384 float32, near a subspace of 32 dimensions, are written into one file of
15 GB: lists, uncompressed, in groups of 100,000 rows, as Arrow's writers make them. ITQ learns from
100,000 of them. Then two processes take turns:

- "encode": `encode_source`, what `hashlearn encode` runs: from the file to a file of packed codes,
  with what is needed to go on after an interruption;
- "read and multiply": Arrow reads the file in batches of as many rows, and NumPy multiplies each by
  the same 64 functions in single precision. Nothing is checked, kept or written.

Seconds are those of the work, without the start of Python; memory is the most that the process ever
held (Linux's VmHWM, which, unlike ru_maxrss, does not begin with what its parent held).
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray
from pyarrow import parquet
from rich.console import Console
from rich.progress import track
from search import where_from

import hashlearn
from hashlearn.data import open_source
from hashlearn.encoding import encode_source, fit
from hashlearn.hashers import get_method

console = Console()
D, RANK, GROUP, BATCH = 384, 32, 100_000, 1 << 14


def write_vectors(path: Path, n: int) -> None:
    """Write vectors near a subspace into a Parquet file."""
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((RANK, D), dtype=np.float32)
    schema = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32()))])
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for start in track(range(0, n, GROUP), "writing"):
            rows = min(GROUP, n - start)
            X = rng.standard_normal((rows, RANK), dtype=np.float32) @ basis
            X += rng.standard_normal((rows, D), dtype=np.float32)
            offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * D)
            lists = pa.ListArray.from_arrays(offsets, pa.array(X.reshape(-1)))
            ids = pa.array(np.arange(start, start + rows))
            writer.write_table(pa.table([ids, lists], schema=schema), row_group_size=GROUP)


def multiply(path: Path, model: Path) -> int:
    """Read a file and multiply each batch by the functions of a model."""
    weights: NDArray[np.float32] = hashlearn.load(model).weights_
    n = 0
    # By default Arrow holds what it has read of a file to its end: slower, and 15 GB of memory.
    with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
        for batch in file.iter_batches(BATCH, columns=["embedding"]):
            n += len(batch.column(0).flatten().to_numpy().reshape(-1, D) @ weights.T)
    return n


def work(route: str, path: Path, model: Path) -> dict[str, Any]:
    """Do the work of one process and say what it took."""
    start = perf_counter()
    if route == "encode":
        source = open_source(path, column="embedding")
        n = encode_source(hashlearn.load(model), source, path.with_suffix(".npz"))
    else:
        n = multiply(path, model)
    seconds = perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="ascii")
    most = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return {"n": n, "seconds": seconds, "peak_bytes": most}


def main(
    output: Annotated[Path, typer.Option("--output", "-o")],
    folder: Annotated[Path | None, typer.Option(help="Where there is room for the file.")] = None,
    n: Annotated[int, typer.Option(help="Vectors.")] = 10_000_000,
    bits: int = 64,
    rounds: int = 3,
) -> None:
    """Write the file, measure both routes in turn, and append a row."""
    where = where_from()
    with TemporaryDirectory(dir=folder) as place:
        path, model = Path(place) / "vectors.parquet", Path(place) / "model"
        write_vectors(path, n)
        hasher = get_method("itq")(bits, random_state=0)
        start = perf_counter()
        fit(hasher, open_source(path, column="embedding"), n_items=100_000, random_state=0)
        fit_seconds = perf_counter() - start
        hasher.save(model)
        measured: dict[str, list[dict[str, Any]]] = {"encode": [], "read and multiply": []}
        for _ in range(rounds):
            for route, runs in measured.items():
                command = [sys.executable, __file__, "--route", route, str(path), str(model)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                runs.append(json.loads(done.stdout))
                console.print(route, runs[-1])
        size = path.stat().st_size
    seconds = {route: [run["seconds"] for run in runs] for route, runs in measured.items()}
    row = {
        "what": "encode a Parquet file",
        "n": n, "d": D, "n_bits": bits, "file_bytes": size, "rounds": rounds,
        "fit_seconds": fit_seconds,
        "seconds": seconds,
        "peak_bytes": {r: max(run["peak_bytes"] for run in runs) for r, runs in measured.items()},
        "speed": median(seconds["read and multiply"]) / median(seconds["encode"]),
        "provenance": where,
    }  # fmt: skip
    with output.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    console.print(f"speed {row['speed']:.2f} x, peak {row['peak_bytes']['encode'] / 2**30:.2f} GiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--route"]:
        sys.stdout.write(json.dumps(work(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))))
    else:
        typer.run(main)
