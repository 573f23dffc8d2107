"""Several processes share a collection; whoever is killed leaves it whole."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from hashlearn.hashers import get_method

ADD = """
import sys
import numpy as np
from hashlearn import Collection
name = sys.argv[2]
with Collection.open(sys.argv[1]) as points:
    for i in range(20):
        points.add(np.random.default_rng([i, *name.encode()]).normal(size=(3, 8)),
                   keys=[f"{name}-{i}-{j}" for j in range(3)])
        points.remove([f"{name}-{i}-0"])
"""


def test_processes_that_write_take_turns(points, path):
    children = [
        subprocess.Popen([sys.executable, "-c", ADD, str(path), name]) for name in ("a", "b")
    ]
    seen = []
    while any(child.poll() is None for child in children):
        seen.append(len(points))
        found = points.search_key("p0", 10)
        assert len({hit.item.key for hit in found.hits}) == 10
    assert [child.returncode for child in children] == [0, 0]
    assert len(points) == 60 + 2 * 20 * 2
    assert min(seen) >= 60
    assert points.verify().is_whole


def test_threads_that_write_and_search_do_not_disturb_each_other(points):
    errors = []

    def work(name):
        try:
            rng = np.random.default_rng([*name.encode()])
            for i in range(15):
                X = rng.normal(size=(4, 8))
                keys = [f"{name}{i}-{j}" for j in range(4)]
                points.add(X, keys=keys)
                assert points.search(X[0], 1, radius=0, where={"key": keys[0]}).hits
                points.update(keys[:2], X[2:], labels=[name, name])
                points.remove(keys[1:])
                assert points.count({"label": name}) == i + 1
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(points) == 60 + 4 * 15
    assert points.verify().is_whole


def test_threads_that_have_ended_hold_nothing_open(points):
    for _ in range(20):
        thread = threading.Thread(target=points.list)
        thread.start()
        thread.join()
    assert len(points._database._readers) <= 2


def test_a_rebuild_while_others_write_loses_nothing(points, path, vectors):
    child = subprocess.Popen([sys.executable, "-c", ADD, str(path), "a"])
    n_rebuilt = 0
    while child.poll() is None:
        n_bits = (24, 8)[n_rebuilt % 2]
        points.rebuild(get_method("lsh")(n_bits, random_state=0).fit(vectors))
        n_rebuilt += 1
    assert child.returncode == 0
    assert n_rebuilt
    assert len(points) == 60 + 20 * 2
    assert points.verify().is_whole


def test_killed_processes_lose_nothing_that_was_done():
    script = Path(__file__).parents[2] / "benchmarks" / "kill_collection.py"
    done = subprocess.run(
        [sys.executable, str(script), "--rounds", "4", "--seed", "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "'rounds': 4" in done.stdout
