"""faiss gives our distances, holds our ids, and gives both back."""

import doctest
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

import hashlearn
from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.integrations.faiss import from_faiss, linear_to_faiss, to_faiss

PAGE = Path(__file__).parents[2] / "docs" / "stores" / "faiss.md"
KINDS = ["flat", "ivf", "hnsw"]
LENGTHS = [1, 8, 12, 60, 64, 100]


def clustered(n_codes, n_bits, seed=0):
    """Draw codes around 40 centres, a bit in twelve flipped; and ids in no order."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).integers(0, 2, (40, n_bits), np.uint8)
    bits = centres[rng.integers(0, 40, n_codes)] ^ (rng.random((n_codes, n_bits)) < 1 / 12)
    return pack_bits(bits), rng.choice(10**12, n_codes, replace=False)


def assert_exact(found, queries, codes, ids):
    """Compare with all distances: those found are the smallest, and those of the ids beside them.

    Which of several ids at one distance is given is up to faiss.
    """
    distances, _ = found
    truth = hamming_distances(queries, codes)
    np.testing.assert_array_equal(distances, np.sort(truth, axis=1)[:, : distances.shape[1]])
    assert_own_distances(found, truth, ids)


def assert_own_distances(found, truth, ids):
    distances, found_ids = found
    order = np.argsort(ids)
    places = order[np.searchsorted(ids, found_ids, sorter=order)]
    np.testing.assert_array_equal(ids[places], found_ids)
    np.testing.assert_array_equal(np.take_along_axis(truth, places, axis=1), distances)
    assert all(len(set(row)) == len(row) for row in found_ids.tolist())


@pytest.mark.parametrize("n_bits", LENGTHS)
@pytest.mark.parametrize("kind", ["flat", "ivf"])
def test_flat_and_ivf_with_all_lists_find_the_nearest_codes(kind, n_bits):
    codes, ids = clustered(1000, n_bits)
    queries, _ = clustered(20, n_bits, seed=1)
    options = {"n_lists": 9, "n_probes": 9} if kind == "ivf" else {}
    index = to_faiss(codes, ids, kind=kind, n_bits=n_bits, **options)
    assert index.d == 8 * codes.shape[1]
    assert_exact(index.search(queries, 30), queries, codes, ids)


def test_hnsw_finds_nine_in_ten_and_says_their_distances():
    codes, ids = clustered(3000, 64)
    queries, _ = clustered(100, 64, seed=1)
    index = to_faiss(codes, ids, kind="hnsw")
    distances, found_ids = index.search(queries, 20)
    truth = hamming_distances(queries, codes)
    assert_own_distances((distances, found_ids), truth, ids)
    twentieth = np.sort(truth, axis=1)[:, 19:20]
    assert (distances <= twentieth).mean() > 0.9


def test_an_ivf_that_looks_into_some_lists_finds_nine_in_ten():
    codes, ids = clustered(5000, 64)
    queries, _ = clustered(100, 64, seed=1)
    index = to_faiss(codes, ids, kind="ivf")
    assert (index.nlist, index.nprobe) == (128, 8)
    distances, _ = index.search(queries, 20)
    twentieth = np.sort(hamming_distances(queries, codes), axis=1)[:, 19:20]
    assert (distances <= twentieth).mean() > 0.9


@pytest.mark.parametrize("n_bits", LENGTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_ids_come_back(kind, n_bits):
    codes, ids = clustered(400, n_bits)
    index = hashlearn.HammingIndex(n_bits)
    index.add(codes, ids)
    back = from_faiss(to_faiss(index, kind=kind), n_bits)
    assert back.n_bits == n_bits
    np.testing.assert_array_equal(back.ids, index.ids)
    np.testing.assert_array_equal(back.codes, index.codes)
    assert from_faiss(to_faiss(index, kind=kind)).n_bits == 8 * codes.shape[1]


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_faiss_hold_the_same(kind, tmp_path):
    codes, ids = clustered(400, 64)
    index = to_faiss(codes, ids, kind=kind)
    faiss.write_index_binary(index, str(tmp_path / "codes.faiss"))
    read = faiss.read_index_binary(str(tmp_path / "codes.faiss"))
    for one, other in zip(index.search(codes, 5), read.search(codes, 5), strict=True):
        np.testing.assert_array_equal(one, other)
    back = from_faiss(read)
    np.testing.assert_array_equal(back.ids, np.sort(ids))
    np.testing.assert_array_equal(back.codes, codes[np.argsort(ids)])


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_numbered_codes_need_no_map_of_ids(kind):
    codes, _ = clustered(300, 64)
    plain = to_faiss(codes, kind=kind)
    assert not isinstance(plain, faiss.IndexBinaryIDMap)
    np.testing.assert_array_equal(from_faiss(plain).codes, codes)
    assert isinstance(to_faiss(codes, np.arange(300)[::-1], kind=kind), faiss.IndexBinaryIDMap2)


@pytest.mark.parametrize("ids", [None, np.arange(300) * 3 + 5])
def test_an_ivf_gives_single_codes_and_lets_items_be_removed(ids):
    codes, _ = clustered(300, 64)
    index = to_faiss(codes, ids, kind="ivf")
    known = np.arange(300) if ids is None else ids
    np.testing.assert_array_equal(index.reconstruct(int(known[17])), codes[17])
    gone = known[10:20].copy()
    assert index.remove_ids(faiss.IDSelectorArray(len(gone), faiss.swig_ptr(gone))) == 10
    left = np.delete(np.arange(300), np.arange(10, 20))
    back = from_faiss(index)
    np.testing.assert_array_equal(back.ids, known[left])
    np.testing.assert_array_equal(back.codes, codes[left])


def test_items_of_a_flat_index_with_ids_are_removed_and_filtered_by_these():
    codes, ids = clustered(300, 64)
    index = to_faiss(codes, ids)
    assert index.remove_ids(ids[:100]) == 100
    back = from_faiss(index)
    np.testing.assert_array_equal(back.ids, np.sort(ids[100:]))
    allowed = ids[150:200].copy()
    some = faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))
    assert_exact(index.search(codes[:5], 7, params=some), codes[:5], codes[150:200], allowed)


def test_indexes_that_others_made_are_read():
    codes, ids = clustered(300, 64)
    ivf = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, 4)
    ivf.train(codes)
    ivf.add_with_ids(codes, ids)  # no direct map
    mapped = faiss.IndexBinaryIDMap(faiss.IndexBinaryHNSW(64))
    mapped.add_with_ids(codes, ids)
    order = np.argsort(ids)
    for index in (ivf, mapped):
        back = from_faiss(index)
        np.testing.assert_array_equal(back.ids, ids[order])
        np.testing.assert_array_equal(back.codes, codes[order])
    assert len(from_faiss(faiss.IndexBinaryFlat(16))) == 0


def test_an_empty_index_stays_empty():
    for kind in ("flat", "hnsw"):
        assert len(from_faiss(to_faiss(hashlearn.HammingIndex(64), kind=kind))) == 0
    with pytest.raises(ValueError, match="learns its lists from the codes, and there are 0"):
        to_faiss(hashlearn.HammingIndex(64), kind="ivf")


@pytest.mark.parametrize("make", [
    lambda: faiss.IndexBinaryHash(64, 8), lambda: faiss.IndexBinaryMultiHash(64, 4, 8),
])  # fmt: skip
def test_indexes_that_keep_no_readable_codes_are_refused(make):
    index = make()
    with pytest.raises(TypeError, match=f"cannot read the codes of {type(index).__name__}; those"):
        from_faiss(index)
    with pytest.raises(TypeError, match="cannot read the codes of IndexBinary"):
        from_faiss(faiss.IndexBinaryIDMap2(index))


@pytest.mark.parametrize(
    ("ids", "message"), [([-1, 2], "0 or more, got -1"), ([4, 4], "distinct, .*: 4")]
)
def test_ids_that_only_faiss_allows_are_refused(ids, message):
    index = faiss.IndexBinaryIDMap(faiss.IndexBinaryFlat(8))
    index.add_with_ids(np.array([[1], [2]], np.uint8), np.array(ids))
    with pytest.raises(ValueError, match=message):
        from_faiss(index)


def test_bad_input_is_refused_with_what_was_wrong():
    codes, ids = clustered(50, 12)
    index = hashlearn.HammingIndex(12)
    index.add(codes, ids)
    wrong = [
        (ValueError, "kind must be one of flat, ivf, hnsw; got 'lsh'", (codes,), {"kind": "lsh"}),
        (ValueError, "kind 'flat' has no n_lists, got n_lists=4", (codes,), {"n_lists": 4}),
        (ValueError, "at most the number of codes, 50; got 51", (codes,),
         {"kind": "ivf", "n_lists": 51}),
        (ValueError, "at most n_lists, 4; got 5", (codes,),
         {"kind": "ivf", "n_lists": 4, "n_probes": 5}),
        (ValueError, "n_links == 1, must be >= 2", (codes,), {"kind": "hnsw", "n_links": 1}),
        (TypeError, "ef_search must be an instance of", (codes,),
         {"kind": "hnsw", "ef_search": 1.5}),
        (ValueError, "equally many, got 50 and 49", (codes, ids[1:]), {}),
        (ValueError, "distinct, got 3 more than once", (codes[:2], [3, 3]), {}),
        (ValueError, "0 or more, got -1", (codes[:2], [3, -1]), {}),
        (ValueError, "has ids of its own", (index, ids), {}),
        (ValueError, "codes of 12 bits, got n_bits=16", (index,), {"n_bits": 16}),
        (ValueError, "0 in the last 5 bits", (codes,), {"n_bits": 11}),
        (TypeError, "packed codes must be uint8", (codes.astype(int),), {}),
        (ValueError, r"shape \(n, n_bytes\), got \(50,\)", (codes[:, 0],), {}),
    ]  # fmt: skip
    for error, message, arguments, options in wrong:
        with pytest.raises(error, match=message):
            to_faiss(*arguments, **options)
    flat = to_faiss(index)
    for n_bits in (8, 17):
        with pytest.raises(ValueError, match=f"have 2 bytes, those of n_bits={n_bits} have"):
            from_faiss(flat, n_bits)
    with pytest.raises(ValueError, match="0 in the last 5 bits"):
        from_faiss(flat, 11)
    with pytest.raises(TypeError, match="binary index of faiss, got IndexFlat"):
        from_faiss(faiss.IndexFlatL2(8))


@pytest.mark.real
def test_approximate_indexes_find_most_codes_of_sentences():
    sentences = hashlearn.load_dataset("newsgroups20_minilm")
    hasher = ITQ(64, random_state=0).fit(sentences.X[:11314])
    database, queries = hasher.encode(sentences.X[:11314]), hasher.encode(sentences.X[-1000:])
    tenth = np.sort(hamming_distances(queries, database), axis=1)[:, 9:10]
    for kind, least in (("flat", 1.0), ("ivf", 0.9), ("hnsw", 0.95)):
        distances, _ = to_faiss(database, kind=kind).search(queries, 10)
        assert (distances <= tenth).mean() >= least


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for call in (lambda: to_faiss([[1]]), lambda: from_faiss(None), lambda: linear_to_faiss(None)):
        with pytest.raises(ImportError, match=r"pip install 'hashlearn\[faiss\]'"):
            call()


def test_importing_the_integration_does_not_load_faiss():
    program = "import sys, hashlearn.integrations.faiss; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"faiss", "torch"} & set(ran.stdout.split())
