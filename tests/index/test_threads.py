"""Searches while the index changes: each sees it as it was at one moment."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from hashlearn.index import HammingIndex, items, routes

BATCH = 20
N_BATCHES = 40
WINDOW = 3
BASE = np.arange(0x8000, 0x8000 + 2000, dtype="<u2").view(np.uint8).reshape(-1, 2)
PATTERNS = np.arange(N_BATCHES, dtype="<u2").view(np.uint8).reshape(-1, 2)


def ids_of(batch):
    """Some ids lie between those that were there before."""
    return 10_000 + 100 * ((batch * 17) % N_BATCHES) + np.arange(BATCH)


@pytest.fixture
def index(monkeypatch):
    """One of whose thresholds a few batches go beyond."""
    monkeypatch.setattr(items, "_SMALL", 2 * BATCH)
    monkeypatch.setattr(items, "_TAIL_PART", 20)
    monkeypatch.setattr(items, "_GAP_PART", 30)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    index = HammingIndex(16, threads=2)
    index.add(BASE)
    yield index
    sys.setswitchinterval(interval)


def change(index, done):
    """Add one batch after the other, of equal codes each, and remove what is too old."""
    try:
        for batch in range(N_BATCHES):
            index.add(np.repeat(PATTERNS[batch : batch + 1], BATCH, axis=0), ids_of(batch))
            if batch % 5 == 2:
                index.build_tables(2 + batch % 3, lean=batch % 2 == 0)
            if batch >= WINDOW:
                index.remove(ids_of(batch - WINDOW))
            time.sleep(0.005)  # so that every state is looked at
    finally:
        done.set()


def assert_is_a_moment(counts):
    """At any time the last three batches are there, or four of them, or fewer at the beginning."""
    assert set(counts) <= {0, BATCH}
    (present,) = np.nonzero(counts)
    assert present.tolist() == list(range(*present[[0, -1]] + [0, 1])) if len(present) else True
    assert len(present) in (WINDOW, WINDOW + 1) or (
        len(present) < WINDOW and (len(present) == 0 or present[0] == 0)
    )


def search_radius(index, route):
    found = index.search_radius(PATTERNS, 0, route=route)
    for batch, (ids, distances) in enumerate(found):
        assert len(ids) == 0 or ids.tolist() == ids_of(batch).tolist()
        assert (distances == 0).all()
    assert_is_a_moment(np.diff(found.offsets))


def search_nearest(index, route):
    found = index.search(PATTERNS, BATCH + 1, route=route)
    is_equal = found.distances == 0
    for batch, (ids, equal) in enumerate(zip(found.ids, is_equal, strict=True)):
        assert not equal.any() or ids[equal].tolist() == ids_of(batch).tolist()
        assert len(np.unique(ids)) == BATCH + 1  # the base has enough for every place
    assert_is_a_moment(is_equal.sum(axis=1))


def search_pairs(index, _):
    first = [part.first_ids for part in index.pairs_within(0)]
    batches, counts = np.unique((np.concatenate([[], *first]) - 10_000) // 100, return_counts=True)
    assert set(counts) <= {BATCH * (BATCH - 1) // 2}
    there = np.isin((np.arange(N_BATCHES) * 17) % N_BATCHES, batches)
    assert_is_a_moment(np.where(there, BATCH, 0))


def save(index, path):
    index.save(path)
    search_radius(HammingIndex.open(path), "auto")


@pytest.mark.parametrize("scan_cost", [0, 1e9])
def test_a_search_sees_the_index_as_it_was_at_one_moment(index, tmp_path, monkeypatch, scan_cost):
    monkeypatch.setattr(routes, "_BATCH_SCAN_COST", scan_cost)
    done = Event()

    def watch(look, argument):
        rounds = 0
        while rounds < 3 or not done.is_set():
            look(index, argument)
            rounds += 1

    looks = [(search, route) for search in (search_radius, search_nearest) for route in
             ("scan", "tables", "auto")]  # fmt: skip
    looks += [(search_pairs, None), (save, tmp_path / "a.index")]
    with ThreadPoolExecutor(len(looks) + 1) as pool:
        watching = [pool.submit(watch, *look) for look in looks]
        changing = pool.submit(change, index, done)
        for task in (changing, *watching):
            task.result()
    assert len(index) == len(BASE) + WINDOW * BATCH
    search_radius(index, "scan")


def test_several_threads_add_and_remove_what_is_theirs(index):
    def work(thread):
        for batch in range(thread, N_BATCHES, 4):
            index.add(np.repeat(PATTERNS[batch : batch + 1], BATCH, axis=0), ids_of(batch))
            index.add(BASE[:1])
            if batch % 3 == 0:
                index.remove(ids_of(batch))
            if batch % 7 == 0:
                index.build_tables(2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(np.unique(index.ids)) == len(index)
    for batch, (ids, _) in enumerate(index.search_radius(PATTERNS, 0)):
        assert ids.tolist() == ([] if batch % 3 == 0 else ids_of(batch).tolist())
    assert len(index.search_radius(BASE[:1], 0)[0][0]) == 1 + N_BATCHES
