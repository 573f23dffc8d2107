"""Ask a service for neighbours with many clients at once.

    apt-get install wrk
    python benchmarks/serve_load.py -o serve_load.jsonl

A collection of a million items with codes of 64 bits is made: LSH on vectors of 32 numbers from
1,000 Gaussian clusters, each with a caption, a label and two numbers. Then `hashlearn serve` runs
with one and with two processes in turn, and wrk asks it on the same machine through 16 connections:

- "key": the 20 nearest to an item, by its key, another one each time,
- "filter": the same among the items of one label, a hundredth of all.

Beside the times as the clients see them, the service's own metrics tell what part of a request is
the search in the index. The memory is what the processes of the server have to themselves or share,
each page counted once (PSS).
"""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from search import where_from

from hashlearn import Collection, get_method

N_FEATURES, N_CLUSTERS, N_BITS, K, N_LABELS = 32, 1000, 64, 20, 100
PORT = 8765
SEARCH = "/api/v1/collections/{name}/search"
ADDRESS = f"http://127.0.0.1:{PORT}/api/v1"
_BATCH = 20_000

console = Console()

SCRIPT = """
local n = %d
local filter = %s
local seed = os.time()
function setup(thread) seed = seed + 1; thread:set("seed", seed) end
function init(args) math.randomseed(seed) end
function request()
  local body = string.format('{"key": "item-%%d", "k": 20', math.random(0, n - 1))
  if filter then
    body = body .. string.format(', "where": {"label": "label-%%d"}', math.random(0, 99))
  end
  return wrk.format("POST", "/api/v1/collections/load/search",
                    {["Content-Type"] = "application/json"}, body .. "}")
end
function done(summary, latency, requests)
  local e = summary.errors
  local form = '{"requests": %%d, "seconds": %%f, "p50_ms": %%f, "p99_ms": %%f, "errors": %%d}'
  io.write('\\n', string.format(form,
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout), '\\n')
end
"""


def make_collection(path: Path, n: int) -> None:
    """Make the collection that is searched."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(N_CLUSTERS, N_FEATURES))
    labels = rng.integers(0, N_CLUSTERS, n)
    hasher = None
    for start in track(range(0, n, _BATCH), "adding", console=Console(stderr=True)):
        part = labels[start : start + _BATCH]
        X = (centers[part] + 0.5 * rng.normal(size=(len(part), N_FEATURES))).astype(np.float32)
        if hasher is None:
            hasher = get_method("lsh")(N_BITS, random_state=0).fit(X)
            collection = Collection.create(hasher, path, keep_originals=False)
        numbers = range(start, start + len(part))
        collection.add(
            X,
            keys=[f"item-{i}" for i in numbers],
            captions=[f"Item number {i}" for i in numbers],
            labels=[f"label-{label % N_LABELS}" for label in part],
            metadata=[{"year": 1900 + i % 120, "size": float(i % 1000)} for i in numbers],
        )
    collection.close()


def serve(path: Path, workers: int) -> tuple[subprocess.Popen[bytes], float]:
    """Start the service; give it and the seconds until it answers."""
    program = str(Path(sys.executable).with_name("hashlearn"))
    command = [program, "serve", str(path), "--port", str(PORT), "--workers", str(workers)]
    start = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        try:
            with urllib.request.urlopen(f"{ADDRESS}/health", timeout=5):
                return server, time.perf_counter() - start
        except OSError:
            if server.poll() is not None:
                raise RuntimeError("the service did not start") from None
            time.sleep(0.1)


def memory_of(pid: int) -> int:
    """Add up the memory of a process and its children, shared pages once, in bytes."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if int(process.name) != pid and parent != pid:
                continue
            text = (process / "smaps_rollup").read_text()
        except OSError:
            continue
        total += 1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
    return total


def index_share() -> float:
    """Read from the service's metrics what part of its time for searches the index took."""
    with urllib.request.urlopen(f"{ADDRESS}/metrics") as answer:
        lines = answer.read().decode().splitlines()

    def total(name: str) -> float:
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    index = total("hashlearn_index_seconds_sum")
    return index / total(f'hashlearn_request_seconds_sum{{route="{SEARCH}"}}')


def ask(script: Path, clients: int, seconds: int) -> dict[str, Any]:
    """Run wrk."""
    command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(script), f"http://127.0.0.1:{PORT}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main(
    output: Annotated[Path, typer.Option("--output", "-o")],
    n: int = 1_000_000,
    clients: int = 16,
    seconds: int = 20,
    rounds: int = 3,
) -> None:
    """Make the collection, ask, and append a row for each number of processes and question."""
    if shutil.which("wrk") is None:
        raise typer.BadParameter("wrk is not installed")
    where = where_from()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "load.collection"
        make_collection(path, n)
        rows: dict[tuple[int, str], list[dict[str, Any]]] = {}
        for _ in range(rounds):
            for workers, question in product((1, 2), ("key", "filter")):
                script = Path(folder) / f"{question}.lua"
                script.write_text(SCRIPT % (n, str(question == "filter").lower()))
                server, start = serve(path, workers)
                try:
                    ask(script, clients, 3)
                    row = ask(script, clients, seconds)
                    row["index_share"] = index_share()
                    row["memory_bytes"], row["start_seconds"] = memory_of(server.pid), start
                finally:
                    server.send_signal(signal.SIGTERM)
                    server.wait()
                rows.setdefault((workers, question), []).append(row)
                console.print({"workers": workers, "question": question, **row})
        size = sum(file.stat().st_size for file in path.iterdir())
    with output.open("a", encoding="utf-8") as file:
        for (workers, question), found in rows.items():
            summary = {
                "what": "ask a service for neighbours",
                "n": n,
                "n_bits": N_BITS,
                "k": K,
                "clients": clients,
                "workers": workers,
                "question": question,
                "requests_per_second": median(r["requests"] / r["seconds"] for r in found),
                **{
                    name: median(r[name] for r in found)
                    for name in ("p50_ms", "p99_ms", "index_share", "memory_bytes", "start_seconds")
                },
                "errors": sum(r["errors"] for r in found),
                "collection_bytes": size,
                "rounds": found,
                "provenance": where,
            }
            file.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    typer.run(main)
