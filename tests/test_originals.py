"""Vectors that are kept in fewer bits: what rounding costs, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from hashlearn import originals as module
from hashlearn.originals import KEPT, Originals, Rows
from hashlearn.storage import write_arrays

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


def vectors(n=50, d=7, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def kept_of(X, kept):
    made = Originals(kept)
    made.add(X)
    return made.rows(np.arange(len(X)))


@given(arrays_of.arrays(np.float32, (3, 5), elements=FINITE))
def test_int8_is_off_by_half_a_step_at_most(X):
    rows = kept_of(X, "int8").astype(np.float64)
    for row, x in zip(rows, X.astype(np.float64), strict=True):
        step = max(np.abs(x).max() / 127, np.finfo(np.float32).tiny)
        for kept, entry in zip(row, x, strict=True):
            assert abs(kept - entry) <= (0.5 + 1e-4) * step  # and what float32 rounds
    np.testing.assert_array_equal(rows[np.abs(X).max(axis=1) == 0], 0)


@given(arrays_of.arrays(np.float32, (3, 5), elements=st.floats(-60000, 60000, width=32)))
def test_float16_is_off_by_its_rounding_and_float32_not_at_all(X):
    np.testing.assert_array_equal(kept_of(X, "float32"), X)
    rounded = kept_of(X, "float16")
    assert rounded.dtype == np.float32
    assert (np.abs(rounded - X) <= np.abs(X) * 2.0**-11 + 2.0**-25).all()


@pytest.mark.parametrize("kept", KEPT)
def test_whole_numbers_are_kept_as_numbers(kept):
    X = np.array([[-128, 127, 3], [0, 64, -1]], np.int8)
    step = {"int8": 128 / 127}.get(kept, 0)
    assert np.abs(kept_of(X, kept) - X.astype(float)).max() <= 0.501 * step
    np.testing.assert_array_equal(kept_of(X.tolist(), kept), kept_of(X, kept))


@pytest.mark.parametrize("kept", KEPT)
def test_rows_come_in_any_order_and_from_any_batch(kept):
    X, made = vectors(), Originals(kept)
    assert (len(made), made.n_features) == (0, 0)
    assert made.rows(np.empty(0, np.int64)).size == 0
    for start, stop in [(0, 0), (0, 1), (1, 2), (2, 30), (30, 30), (30, 50)]:
        made.add(X[start:stop])
    assert (len(made), made.n_features) == (50, 7)
    places = np.array([49, 0, 3, 0, 29, 30])
    np.testing.assert_array_equal(made.rows(places), kept_of(X, kept)[places])
    assert made.rows(places).dtype == np.float32
    for wrong in (-1, 50):
        with pytest.raises(IndexError, match=f"there are 50 vectors, got number {wrong}"):
            made.rows(np.array([0, wrong]))


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_does_not_change_with_what_was_given(kept):
    X, made = vectors(), Originals(kept)
    made.add(X)
    before = made.rows(np.arange(50))
    X[:] = 9
    made.rows(np.arange(50))[:] = 7
    np.testing.assert_array_equal(made.rows(np.arange(50)), before)


@pytest.mark.parametrize(
    ("kept", "X", "message"),
    [
        (
            "float16",
            [[1, 2], [3, 7e4]],
            r"too large for float16, of at most 6.55e\+04; row 1 .* 7e",
        ),
        ("float32", [[1, 1e39]], r"too large for float32, .* row 0 .* 1e\+39"),
        ("int8", [[1, 1e39]], "too large for float32"),
        *((kept, [[1, 2], [np.nan, 3]], "must be finite .*row 1") for kept in KEPT),
        *((kept, [[-np.inf, 2]], "must be finite .*row 0") for kept in KEPT),
        *((kept, [[1, 2, 3]], "vectors have 2 entries here, got 3") for kept in KEPT),
        *((kept, [1, 2], r"a matrix of numbers, got the shape \(2,\)") for kept in KEPT),
        *((kept, np.empty((2, 0)), "a matrix of numbers") for kept in KEPT),
        *((kept, [["a", "b"]], "a matrix of numbers") for kept in KEPT),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_is_added(kept, X, message):
    made = Originals(kept)
    made.add([[5, 6]])
    with pytest.raises(ValueError, match=message):
        made.add(X)
    assert len(made) == 1
    made.add([[7, 8]])
    np.testing.assert_allclose(made.rows(np.array([1])), [[7, 8]], rtol=0.01)


def test_another_type_is_refused():
    with pytest.raises(ValueError, match="kept as float32, float16, int8; got 'int4'"):
        Originals("int4")


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("n", [0, 1, 50])
def test_opened_vectors_are_those_that_were_saved_and_may_be_added_to(tmp_path, kept, n):
    X, made = vectors(), Originals(kept)
    for x in X[:n]:
        made.add(x[None])
    made.save(tmp_path / "x.originals")
    opened = Originals.open(tmp_path / "x.originals")
    assert (len(opened), opened.n_features, opened.kept) == (n, made.n_features, kept)
    np.testing.assert_array_equal(opened.rows(np.arange(n)), made.rows(np.arange(n)))
    before = (tmp_path / "x.originals").read_bytes()
    opened.add(X[n:])
    np.testing.assert_array_equal(opened.rows(np.arange(50)), kept_of(X, kept))
    assert (tmp_path / "x.originals").read_bytes() == before
    opened.save(tmp_path / "x.originals")  # over the file that is mapped
    np.testing.assert_array_equal(opened.rows(np.arange(50)), kept_of(X, kept))
    again = Originals.open(tmp_path / "x.originals")
    np.testing.assert_array_equal(again.rows(np.arange(50)), kept_of(X, kept))


def test_the_file_takes_the_bytes_of_the_entries(tmp_path):
    sizes = {}
    for kept in KEPT:
        made = Originals(kept)
        made.add(vectors(1000, 64))
        made.save(tmp_path / kept)
        sizes[kept] = (tmp_path / kept).stat().st_size
    assert sizes["float32"] - sizes["float16"] == pytest.approx(2 * 64_000, abs=200)
    assert sizes["float16"] - sizes["int8"] == pytest.approx(64_000 - 4 * 1000, abs=200)


ENTRIES, STEPS = np.ones((3, 2), np.int8), np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("header", "arrays", "message"),
    [
        ({}, {"entries": ENTRIES, "steps": STEPS}, "kept"),
        ({"kept": "int4"}, {"entries": ENTRIES}, "got 'int4'"),
        ({"kept": ["int8"]}, {"entries": ENTRIES}, "got \\['int8'\\]"),
        ({"kept": "int8"}, {"entries": ENTRIES}, "steps belong to int8"),
        ({"kept": "float16"}, {"entries": ENTRIES}, "entries are int8"),
        ({"kept": "int8"}, {"steps": STEPS}, "entries"),
        ({"kept": "int8"}, {"entries": STEPS.astype(np.int8), "steps": STEPS}, "shape"),
        ({"kept": "int8"}, {"entries": ENTRIES, "steps": STEPS[:2]}, "for 3 rows"),
        ({"kept": "int8"}, {"entries": ENTRIES, "steps": STEPS.astype(float)}, "for 3 rows"),
        ({"kept": "int8"}, {"entries": ENTRIES, "steps": STEPS, "more": STEPS}, "more"),
        (
            {"kept": "float32"},
            {"entries": ENTRIES.astype(np.float32), "steps": STEPS},
            "steps belong to int8",
        ),
    ],
)
def test_files_whose_arrays_do_not_belong_together_are_refused(tmp_path, header, arrays, message):
    write_arrays(tmp_path / "odd", "originals", header, arrays)
    with pytest.raises(ValueError, match=f"odd holds no valid originals: .*{message}"):
        Originals.open(tmp_path / "odd")


def test_foreign_and_missing_files_are_refused(tmp_path):
    write_arrays(tmp_path / "index", "index", {}, {})
    with pytest.raises(ValueError, match="holds: index; expected: originals"):
        Originals.open(tmp_path / "index")
    with pytest.raises(FileNotFoundError, match="absent"):
        Originals.open(tmp_path / "absent")


@given(st.lists(st.integers(0, 9), max_size=40), st.integers(0, 20))
def test_rows_in_batches_are_rows_in_one_array(sizes, n_first):
    everything = np.arange(n_first + sum(sizes))
    rows, start = Rows(everything[:n_first]), n_first
    for size in sizes:
        rows.append(everything[start : start + size])
        start += size
        np.testing.assert_array_equal(rows.whole(), everything[:start])
    places = np.random.default_rng(0).permutation(len(everything))
    np.testing.assert_array_equal(rows.take(places), places)
    assert len(rows) == len(everything)


def test_many_small_batches_are_copied_a_few_times_and_not_each_time(monkeypatch):
    n_copied = 0
    concatenate = np.concatenate

    def counted(parts):
        nonlocal n_copied
        n_copied += sum(map(len, parts))
        return concatenate(parts)

    monkeypatch.setattr(module.np, "concatenate", counted)
    rows, taken = Rows(np.empty((0, 2), np.float32)), []
    for number in range(4096):  # adding and asking in turns
        rows.append(np.full((1, 2), number, np.float32))
        taken.append(rows.take(np.array([number // 2]))[0, 0])
    assert taken == [number // 2 for number in range(4096)]
    assert n_copied <= 4096 * (np.log2(4096) + 1)


def test_a_mapped_array_is_not_copied_for_a_few_rows_more():
    mapped = np.arange(1000)
    rows = Rows(mapped)
    assert rows.whole() is mapped
    for number in range(1000, 1999):
        rows.append(np.array([number]))
    assert np.shares_memory(rows._parts[0], mapped)
    np.testing.assert_array_equal(rows.whole(), np.arange(1999))
