"""usearch gives our distances, holds our codes under our ids, and gives them back."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow  # noqa: F401 - before usearch, which breaks it: docs/stores/usearch.md
import pytest
from usearch.index import Index, MetricKind, ScalarKind

import hashlearn
from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.integrations.usearch import from_usearch, to_usearch

PAGE = Path(__file__).parents[2] / "docs" / "stores" / "usearch.md"
LENGTHS = [1, 7, 8, 12, 60, 64, 65, 100, 256]


def clustered(n_codes, n_bits, seed=0):
    """Draw codes around 40 centres, a bit in twelve flipped; and ids in no order."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).integers(0, 2, (40, n_bits), np.uint8)
    bits = centres[rng.integers(0, 40, n_codes)] ^ (rng.random((n_codes, n_bits)) < 1 / 12)
    return pack_bits(bits), rng.choice(10**12, n_codes, replace=False)


def assert_own_distances(found, truth, ids):
    order = np.argsort(ids)
    keys = found.keys.astype(np.int64)
    places = order[np.searchsorted(ids, keys, sorter=order)]
    np.testing.assert_array_equal(ids[places], keys)
    np.testing.assert_array_equal(np.take_along_axis(truth, places, axis=1), found.distances)
    assert all(len(set(row)) == len(row) for row in keys.tolist())


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_an_exact_search_finds_the_nearest_codes(n_bits):
    codes, ids = clustered(1000, n_bits)
    queries, _ = clustered(20, n_bits, seed=1)
    index = to_usearch(codes, ids, n_bits=n_bits)
    assert (index.ndim, len(index)) == (n_bits, 1000)
    found = index.search(queries, 30, exact=True)
    truth = hamming_distances(queries, codes)
    np.testing.assert_array_equal(found.distances, np.sort(truth, axis=1)[:, :30])
    assert_own_distances(found, truth, ids)


def test_the_graph_finds_nine_in_ten_and_says_their_distances():
    codes, ids = clustered(3000, 64)
    queries, _ = clustered(100, 64, seed=1)
    found = to_usearch(codes, ids).search(queries, 20)
    truth = hamming_distances(queries, codes)
    assert_own_distances(found, truth, ids)
    twentieth = np.sort(truth, axis=1)[:, 19:20]
    assert (found.distances <= twentieth).mean() > 0.9


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_codes_and_ids_come_back(n_bits):
    codes, ids = clustered(200, n_bits)
    index = hashlearn.HammingIndex(n_bits)
    index.add(codes, ids)
    back = from_usearch(to_usearch(index))
    assert back.n_bits == n_bits
    np.testing.assert_array_equal(back.ids, index.ids)
    np.testing.assert_array_equal(back.codes, index.codes)


def test_more_codes_than_are_read_at_a_time_come_back(monkeypatch):
    monkeypatch.setattr("hashlearn.integrations.usearch._ROWS", 64)
    codes, _ = clustered(200, 64)
    np.testing.assert_array_equal(from_usearch(to_usearch(codes)).codes, codes)


@pytest.mark.parametrize("view", [False, True])
def test_files_and_views_of_usearch_hold_the_same(view, tmp_path):
    codes, ids = clustered(500, 60)
    index = to_usearch(codes, ids, n_bits=60)
    index.save(tmp_path / "codes.usearch")
    read = Index.restore(tmp_path / "codes.usearch", view=view)
    one, other = (part.search(codes[:50], 5, exact=True) for part in (index, read))
    np.testing.assert_array_equal(one.distances, other.distances)
    back = from_usearch(read)
    assert back.n_bits == 60
    np.testing.assert_array_equal(back.ids, np.sort(ids))
    np.testing.assert_array_equal(back.codes, codes[np.argsort(ids)])


def test_removed_items_are_neither_found_nor_read():
    codes, ids = clustered(500, 64)
    index = to_usearch(codes, ids)
    index.remove(ids[:200].astype(np.uint64))
    found = index.search(codes[:50], 10, exact=True)
    truth = np.sort(hamming_distances(codes[:50], codes[200:]), axis=1)
    np.testing.assert_array_equal(found.distances, truth[:, :10])
    np.testing.assert_array_equal(from_usearch(index).ids, np.sort(ids[200:]))


def test_one_thread_makes_the_same_graph_again():
    codes, ids = clustered(2000, 64)
    first, second = (to_usearch(codes, ids, threads=1).search(codes[:100], 20) for _ in range(2))
    np.testing.assert_array_equal(first.keys, second.keys)


def test_options_reach_usearch():
    index = to_usearch([[1]], connectivity=24, expansion_add=50, expansion_search=70)
    assert (index.connectivity, index.expansion_add, index.expansion_search) == (24, 50, 70)


def test_an_empty_index_stays_empty():
    assert len(from_usearch(to_usearch(hashlearn.HammingIndex(12)))) == 0


def test_a_padded_index_of_others_gives_shorter_codes():
    codes, ids = clustered(50, 60)
    index = Index(ndim=64, metric=MetricKind.Hamming, dtype=ScalarKind.B1)
    index.add(ids, codes)
    assert from_usearch(index).n_bits == 64
    assert from_usearch(index, 60).n_bits == 60
    with pytest.raises(ValueError, match="0 in the last 5 bits"):
        from_usearch(index, 59)
    with pytest.raises(ValueError, match="64 bits, other bytes than n_bits=72"):
        from_usearch(index, 72)


def test_bad_input_is_refused_with_what_was_wrong():
    codes, ids = clustered(50, 12)
    wrong = [
        (ValueError, "equally many, got 50 and 49", (codes, ids[1:]), {}),
        (ValueError, "distinct, got 3 more than once", (codes[:2], [3, 3]), {}),
        (ValueError, "0 in the last 5 bits", (codes,), {"n_bits": 11}),
        (TypeError, "packed codes must be uint8", (codes.astype(int),), {}),
        (ValueError, "connectivity == 1, must be >= 2", (codes,), {"connectivity": 1}),
        (TypeError, "expansion_add must be an instance of", (codes,), {"expansion_add": "9"}),
        (ValueError, "threads == 0, must be >= 1", (codes,), {"threads": 0}),
    ]
    for error, message, arguments, options in wrong:
        with pytest.raises(error, match=message):
            to_usearch(*arguments, **options)
    with pytest.raises(TypeError, match="index of usearch, got ndarray"):
        from_usearch(codes)


@pytest.mark.parametrize("options", [
    {"metric": "cos", "dtype": "f32"},
    {"metric": MetricKind.Jaccard, "dtype": ScalarKind.B1},
    {"metric": MetricKind.Hamming, "dtype": ScalarKind.B1, "multi": True},
])  # fmt: skip
def test_indexes_of_something_else_are_refused(options):
    with pytest.raises(
        ValueError, match=r"one code of bits \(B1\) a key, under the metric Hamming"
    ):
        from_usearch(Index(ndim=64, **options))


def test_indexes_that_give_no_codes_or_larger_keys_are_refused():
    kind = {"ndim": 64, "metric": MetricKind.Hamming, "dtype": ScalarKind.B1}
    codes, ids = clustered(5, 64)
    closed = Index(**kind, enable_key_lookups=False)
    closed.add(ids, codes)
    with pytest.raises(ValueError, match="enable_key_lookups=False"):
        from_usearch(closed)
    large = Index(**kind)
    large.add(np.array([2**63], np.uint64), codes[:1])
    with pytest.raises(ValueError, match="ids must be at most"):
        from_usearch(large)


@pytest.mark.real
def test_the_graph_finds_most_codes_of_sentences():
    sentences = hashlearn.load_dataset("newsgroups20_minilm")
    hasher = ITQ(64, random_state=0).fit(sentences.X[:11314])
    database, queries = hasher.encode(sentences.X[:11314]), hasher.encode(sentences.X[-1000:])
    tenth = np.sort(hamming_distances(queries, database), axis=1)[:, 9:10]
    found = to_usearch(database).search(queries, 10)
    assert (found.distances <= tenth).mean() > 0.9


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 15
    assert failed == 0


def test_without_usearch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    for call in (lambda: to_usearch([[1]]), lambda: from_usearch(None)):
        with pytest.raises(ImportError, match=r"pip install 'hashlearn\[usearch\]'"):
            call()


def test_a_pyarrow_loaded_after_the_integration_and_usearch_is_sound():
    program = """
import sys
sys.modules["pandas"] = None  # with which scikit-learn would import pyarrow
import hashlearn.integrations.usearch
import usearch.index
assert "pyarrow" not in sys.modules
import pyarrow
print(pyarrow.binary(8) == pyarrow.binary(4), pyarrow.binary(8))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["False", "fixed_size_binary[8]"]


def test_importing_the_integration_does_not_load_usearch():
    program = "import sys, hashlearn.integrations.usearch; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"usearch", "usearch.index", "torch"} & set(ran.stdout.split())
