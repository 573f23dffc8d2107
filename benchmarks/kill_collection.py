"""Kill processes that write to a collection, again and again, and see what is left.

    python benchmarks/kill_collection.py --rounds 200 -o kills.jsonl

In each round two processes with two threads each add, remove and update items of one collection.
A thread says what it begins and, when the call has returned, that it is done. At a random moment
all are killed (SIGKILL). Then the collection must open, `verify` must find nothing, every item
whose writing was done must be there as it was last written, every item whose removal was done must
be gone, and what was begun and not done must have happened as a whole or not at all.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from search import where_from

from hashlearn import Collection, get_method

N_FEATURES = 16
N_PROCESSES = 2
N_THREADS = 2
MOST_SECONDS = 0.5

State = dict[str, int | None]
"""Version of each key as it was last written; None if it was removed."""


def vectors(keys: list[str], version: int) -> np.ndarray:
    """Make the vectors of some keys in a version: the same whenever they are asked for."""
    seeds = [[version, *key.encode()] for key in keys]
    return np.stack([np.random.default_rng(seed).normal(size=N_FEATURES) for seed in seeds])


def write(path: Path, name: str, seed: int) -> None:
    """Write until killed; tell of each operation on standard output, one line at a time."""
    collection = Collection.open(path)
    threads = [
        threading.Thread(target=_write, args=(collection, f"{name}-{i}", [seed, i]))
        for i in range(N_THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _write(collection: Collection, name: str, seed: list[int]) -> None:
    rng = np.random.default_rng(seed)
    mine: list[str] = []
    for number in range(1_000_000):
        kind = rng.choice(["add", "remove", "update"]) if len(mine) > 20 else "add"
        if kind == "add":
            keys = [f"{name}/{number}/{i}" for i in range(rng.integers(1, 30))]
        else:
            keys = rng.choice(mine, rng.integers(1, 10), replace=False).tolist()
        _tell({"thread": name, "kind": kind, "keys": keys, "version": number})
        if kind == "add":
            metadata = [{"version": number}] * len(keys)
            collection.add(vectors(keys, number), keys=keys, metadata=metadata)
            mine += keys
        elif kind == "update":
            metadata = [{"version": number}] * len(keys)
            collection.update(keys, vectors(keys, number), metadata=metadata)
        else:
            collection.remove(keys)
            mine = [key for key in mine if key not in set(keys)]
        _tell({"thread": name, "kind": "done"})


def _tell(what: dict[str, Any]) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())  # one call: lines of two threads do not mix


def one_round(path: Path, number: int, rng: np.random.Generator, state: State) -> dict[str, int]:
    """Let processes write, kill them, and bring the state up to what they have told."""
    command = [sys.executable, __file__, "--write", str(path)]
    children = [
        subprocess.Popen([*command, f"{number}-{i}", str(number * 100 + i)], stdout=subprocess.PIPE)
        for i in range(N_PROCESSES)
    ]
    told: list[list[bytes]] = [[] for _ in children]
    readers = [
        threading.Thread(target=lambda i=i, child=child: told[i].extend(child.stdout))
        for i, child in enumerate(children)
    ]
    for reader in readers:
        reader.start()
    while not all(told):
        if any(child.poll() is not None for child in children):
            raise RuntimeError("a process that writes has ended by itself")
        sleep(0.01)
    sleep(rng.uniform(0, MOST_SECONDS))
    for child in children:
        child.send_signal(signal.SIGKILL)
    for child, reader in zip(children, readers, strict=True):
        child.wait()
        reader.join()
    begun: dict[str, dict[str, Any]] = {}
    n_done = 0
    for line in (line for lines in told for line in lines if line.endswith(b"\n")):
        event = json.loads(line)
        if event["kind"] == "done":
            _apply(state, begun.pop(event["thread"]))
            n_done += 1
        else:
            begun[event["thread"]] = event
    return {"done": n_done, **check(path, state, list(begun.values()))}


def _apply(state: State, event: dict[str, Any]) -> None:
    state.update(
        dict.fromkeys(event["keys"], None if event["kind"] == "remove" else event["version"])
    )


def check(path: Path, state: State, begun: list[dict[str, Any]]) -> dict[str, int]:
    """Compare the collection with what must be in it; count what was begun and has happened."""
    with Collection.open(path) as collection:
        verification = collection.verify()
        if not verification.is_whole:
            raise AssertionError(verification.problems)
        present = {item.key: item for item in collection.list(len(collection) + 1)}
        n_happened = 0
        for event in begun:
            wanted = None if event["kind"] == "remove" else event["version"]
            now = {_version(present.get(key)) for key in event["keys"]}
            if now == {wanted}:
                _apply(state, event)
                n_happened += 1
        expected = {key: version for key, version in state.items() if version is not None}
        found = {key: _version(item) for key, item in present.items()}
        if found != expected:
            wrong = [key for key in {*found, *expected} if found.get(key) != expected.get(key)]
            raise AssertionError(f"{len(wrong)} items are not as they were written: {wrong[:5]}")
        some = list(expected.items())[-200:]
        for key, version in some:
            (vector,) = vectors([key], version)
            if not (collection.original(key) == vector.astype(np.float32)).all():
                raise AssertionError(f"the vector of {key} is another")
            if (
                collection.search(vector, radius=0, k=None).code.tolist()
                != present[key].code.tolist()
            ):
                raise AssertionError(f"the code of {key} is another")
    return {"begun": len(begun), "happened": n_happened, "items": len(found)}


def _version(item: Any) -> int | None:
    return None if item is None else item.metadata["version"]


def main(
    rounds: int = 200,
    seed: int = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o")] = None,
) -> None:
    """Kill, check, and append a row."""
    rng = np.random.default_rng(seed)
    hasher = get_method("lsh")(64, random_state=0).fit(rng.normal(size=(100, N_FEATURES)))
    totals = {"done": 0, "begun": 0, "happened": 0}
    state: State = {}
    start = perf_counter()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "killed.collection"
        Collection.create(hasher, path).close()
        for number in track(range(rounds), "killing", console=Console(stderr=True)):
            counts = one_round(path, number, rng, state)
            totals = {name: total + counts[name] for name, total in totals.items()}
    row = {
        "what": "kill processes that write to a collection",
        "rounds": rounds,
        "processes": N_PROCESSES,
        "threads": N_THREADS,
        "operations_done": totals["done"],
        "operations_cut_off": totals["begun"],
        "of_these_happened": totals["happened"],
        "items_at_the_end": counts["items"],
        "seconds": round(perf_counter() - start, 1),
    }
    if output is not None:
        with output.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "provenance": where_from()}) + "\n")
    Console().print(row)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        typer.run(main)
