"""Indexes on disk."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn import storage
from hashlearn.codes import pack_bits
from hashlearn.index import HammingIndex, items, routes, scan
from hashlearn.index.tables import SubstringTables
from hashlearn.storage import read_arrays, write_arrays


def make_index(n=9, n_bits=12, seed=0):
    rng = np.random.default_rng(seed)
    index = HammingIndex(n_bits)
    ids = 2**63 - 1 - rng.choice(10 * n + 1, n, replace=False)
    index.add(pack_bits(rng.integers(0, 2, (n, n_bits))), ids)
    return index


def assert_same(found, expected):
    assert found.n_bits == expected.n_bits
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.codes, expected.codes)
    for array in (found.ids, found.codes):
        assert type(array) is np.ndarray
        assert not array.flags.writeable


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "codes.index"
    make_index().save(path)
    return path


@given(st.integers(1, 130), st.integers(0, 20), st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=50, deadline=None)
def test_an_opened_index_is_the_saved_one(tmp_path_factory, n_bits, n, seed, mmap):
    index = make_index(n, n_bits, seed)
    path = tmp_path_factory.mktemp("saved") / "codes.index"
    index.save(str(path))
    opened = HammingIndex.open(str(path), mmap=mmap)
    assert_same(opened, index)
    found, expected = opened.search(index.codes, 5), index.search(index.codes, 5)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.distances, expected.distances)


@pytest.mark.parametrize("mmap", [False, True])
def test_an_opened_index_changes_in_memory_only(path, mmap):
    before = path.read_bytes()
    for change in (
        lambda index: index.add([[1, 0]], ids=[3]),
        lambda index: index.add([[1, 0]], ids=[2**63 - 1]),
        lambda index: index.remove(index.ids[:2]),
        lambda index: index.remove(index.ids),
    ):
        index, opened = make_index(), HammingIndex.open(path, mmap=mmap)
        index.remove(index.ids[-1:])
        opened.remove(opened.ids[-1:])
        change(index)
        change(opened)
        assert_same(opened, index)
    assert path.read_bytes() == before


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def bases(index):
    """Arrays of the segment that came from a file."""
    base = index._items.segments[0]
    return base.ids, base.codes


def test_arrays_stay_mapped_whatever_is_added_and_removed(path, monkeypatch):
    monkeypatch.setattr(items, "_SMALL", 0)
    opened = HammingIndex.open(path)
    ids, codes = opened.ids, opened.codes
    assert is_mapped(ids)
    assert is_mapped(codes)
    opened.search([[1, 0]], 2)
    assert is_mapped(opened.codes)
    opened.add([[1, 0]])
    opened.remove(ids[:1])
    for now, before in zip(bases(opened), (ids, codes), strict=True):
        assert np.shares_memory(now, before)
    assert len(opened) == 9
    for _ in range(8):  # until so much has changed that a copy is due
        opened.remove(opened.ids[:1])
    assert not is_mapped(opened.ids)
    assert not is_mapped(opened.codes)
    assert not is_mapped(HammingIndex.open(path, mmap=False).codes)


def test_few_items_are_copied_at_the_first_change(path):
    for change in (
        lambda index: index.add([[1, 0]], [0]),
        lambda index: index.remove(index.ids[:1]),
    ):
        opened = HammingIndex.open(path)
        change(opened)
        assert len(opened._items.segments) == 1
        assert not any(is_mapped(array) for array in bases(opened))


def test_a_mapped_index_can_be_saved_over_its_own_file(path):
    index = HammingIndex.open(path)
    index.save(path)
    assert_same(index, make_index())
    assert_same(HammingIndex.open(path), make_index())


def test_an_opened_index_does_not_hand_out_removed_ids(tmp_path):
    index = HammingIndex(8)
    index.add([[1], [2], [3]])
    index.remove([0, 1, 2])
    index.save(tmp_path / "empty.index")
    opened = HammingIndex.open(tmp_path / "empty.index")
    assert len(opened) == 0
    opened.add([[4]])
    assert opened.ids.tolist() == [3]


def test_the_number_of_threads_is_the_openers_choice(path):
    assert_same(HammingIndex.open(path, threads=1), make_index())
    with pytest.raises(ValueError, match=r"^threads must be from 1 to 1024, got 0"):
        HammingIndex.open(path, threads=0)


def test_an_interrupted_save_leaves_the_old_file_whole(path, monkeypatch):
    def interrupt(_):
        raise OSError("no space left")

    monkeypatch.setattr(storage.os, "fsync", interrupt)
    with pytest.raises(OSError, match="no space left"):
        make_index(3).save(path)
    monkeypatch.undo()
    assert_same(HammingIndex.open(path), make_index())
    assert list(path.parent.iterdir()) == [path]


def open_whole(path):
    return HammingIndex.open(path, mmap=False)


EVERY_WAY = (HammingIndex.open, open_whole, HammingIndex.verify)
CAREFUL_WAYS = (open_whole, HammingIndex.verify)  # those that read what arrays hold


def refuse(path, message=None, ways=EVERY_WAY):
    for way in ways:
        with pytest.raises(ValueError, match=message) as caught:
            way(path)
        assert str(path) in str(caught.value)


def test_a_file_truncated_anywhere_is_refused(path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refuse(path)


def test_a_flipped_byte_anywhere_is_found(path):
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if place < head:
            refuse(path)
        else:  # mapping does not look at the checksums of the arrays
            refuse(path, "codes.index is damaged: the checksum of array", CAREFUL_WAYS)


def test_a_file_that_is_not_an_index_is_refused(tmp_path):
    (tmp_path / "foreign").write_bytes(b"not an index, but long enough to be one")
    refuse(tmp_path / "foreign", "is not a hashlearn file")
    write_arrays(tmp_path / "model", "model", {"n_bits": 8}, {})
    refuse(tmp_path / "model", "holds: model; expected: index")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        HammingIndex.open(tmp_path / "absent")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        make_index().save(tmp_path)


def test_a_file_of_a_newer_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(storage, "FORMAT", storage.FORMAT + 1)
    make_index().save(path)
    monkeypatch.undo()
    refuse(path, "install a newer one")


@pytest.mark.parametrize("n_bits", [0, -1, 3, 8, 17, 10**9, 10**30, "12", 12.0, None, True, [12]])
def test_a_file_with_a_wrong_length_is_refused(path, n_bits):
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header | {"n_bits": n_bits}, arrays)
    refuse(path, "is not a valid index")


@pytest.mark.parametrize(
    "next_id", [-1, 0, 2**63 - 1000, 2**63 + 1, 10**30, "1", 1.0, None, [1], True]
)
def test_a_file_with_a_wrong_next_id_is_refused(path, next_id):
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header | {"next_id": next_id}, arrays)
    refuse(path, "next_id must be from")


@pytest.mark.parametrize("first_id", [-1, 2**63 - 8, 2**70, "1", 1.0, None, [1], True])
def test_a_file_with_a_wrong_first_id_is_refused(path, first_id):
    header, arrays = read_arrays(path, "index")
    del arrays["ids"]
    write_arrays(path, "index", header | {"first_id": first_id, "next_id": 2**63}, arrays)
    refuse(path, "first_id must be from 0 to")


def test_ids_in_a_row_are_told_by_the_first(tmp_path):
    index, path = HammingIndex(8), tmp_path / "row.index"
    index.add([[3], [1], [2]], ids=[2**63 - 1, 2**63 - 2, 2**63 - 3])
    index.save(path)
    header, arrays = read_arrays(path, "index")
    assert list(arrays) == ["codes"]
    assert header["first_id"] == 2**63 - 3
    for way in (HammingIndex.open, open_whole):
        assert_same(way(path), index)


@pytest.mark.parametrize("name", ["n_bits", "next_id", "codes"])
def test_a_file_that_lacks_something_is_refused(path, name):
    header, arrays = read_arrays(path, "index")
    (header if name in header else arrays).pop(name)
    write_arrays(path, "index", header, arrays)
    refuse(path, f"it has no '{name}'")


def test_a_file_that_tells_no_ids_is_refused(path):
    header, arrays = read_arrays(path, "index")
    del arrays["ids"]
    write_arrays(path, "index", header, arrays)
    refuse(path, "first_id must be from 0 to .* got None")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("ids", np.arange(8), "one a code"),
        ("ids", np.arange(9)[:, None], "one a code"),
        ("ids", np.array(3), "one a code"),
        ("ids", np.arange(9, dtype=np.int32), "must be int64"),
        ("ids", np.arange(9.0), "must be int64"),
        ("codes", np.zeros((8, 2), np.uint8), "one a code"),
        ("codes", np.zeros((9, 3), np.uint8), "12 bits take 2 bytes"),
        ("codes", np.zeros(18, np.uint8), "shape"),
        ("codes", np.array(3, np.uint8), "shape"),
        ("codes", np.zeros((9, 2), np.int8), "uint8"),
    ],
)
def test_a_file_with_arrays_of_another_form_is_refused(path, name, array, message):
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header, arrays | {name: array})
    refuse(path, message)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("ids", np.arange(9)[::-1], "rising"),
        ("ids", np.zeros(9, np.int64), "rising"),
        ("ids", np.arange(-1, 8), "0 or more"),
        ("codes", np.full((9, 2), 255, np.uint8), "0 in the last 4 bits"),
    ],
)
def test_a_file_with_wrong_values_is_refused_when_they_are_read(path, name, array, message):
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header, arrays | {name: array})
    refuse(path, message, CAREFUL_WAYS)
    assert len(HammingIndex.open(path)) == 9


def test_the_last_id_of_a_mapped_file_is_compared_with_the_next(path):
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header | {"next_id": 5}, arrays | {"ids": np.arange(9)})
    refuse(path, "next_id must be from 9 to")


needs_tables = pytest.mark.skipif(scan.native is None, reason="the extension is not built")


def make_tables(n=101, n_bits=64, *, in_a_row=False, in_order=False, lean=False, n_tables=8):
    rng = np.random.default_rng(n)
    codes = pack_bits(rng.integers(0, 2, (n // 2 + 1, n_bits)))[rng.integers(0, n // 2 + 1, n)]
    if in_order:
        codes = codes[np.lexsort(codes.T)]
    index = HammingIndex(n_bits, threads=2)
    index.add(codes, None if in_a_row else 5 + 3 * np.arange(n))
    index.build_tables(n_tables, lean=lean)
    return index


def assert_same_results(found, expected, routes=("tables", "auto", "scan")):
    queries = expected.codes[:9] ^ np.uint8(1)
    for route in routes:
        for search, number in (("search", 3), ("search", 200), ("search_radius", 9)):
            ours = getattr(found, search)(queries, number, route=route)
            theirs = getattr(expected, search)(queries, number, route="scan")
            for name, array in vars(theirs).items():
                np.testing.assert_array_equal(getattr(ours, name), array)
    ours, theirs = list(found.pairs_within(9)), list(expected.pairs_within(9))
    assert [vars(part).keys() for part in ours] == [vars(part).keys() for part in theirs]
    for part, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(part.first_ids, other.first_ids)
        np.testing.assert_array_equal(part.second_ids, other.second_ids)


@needs_tables
@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("in_a_row", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("n_bits", [60, 44])
def test_tables_are_saved_and_not_built_again(
    tmp_path, monkeypatch, mmap, lean, in_a_row, in_order, n_bits
):
    index = make_tables(n_bits=n_bits, in_a_row=in_a_row, in_order=in_order, lean=lean)
    index.save(tmp_path / "a.index")
    HammingIndex.verify(tmp_path / "a.index")
    monkeypatch.setattr(SubstringTables, "build", None)
    opened = HammingIndex.open(tmp_path / "a.index", mmap=mmap, threads=2)
    assert_same(opened, index)
    assert opened.n_tables == 8
    assert opened.index_bytes == index.index_bytes
    assert_same_results(opened, index)
    opened.save(tmp_path / "b.index")
    assert (tmp_path / "a.index").read_bytes() == (tmp_path / "b.index").read_bytes()


@needs_tables
@pytest.mark.parametrize("kernel", scan.native.kernels() if scan.native else ())
@pytest.mark.parametrize("n", [100, 101, 102])
def test_mapped_codes_in_order_may_begin_anywhere(tmp_path, monkeypatch, kernel, n):
    index = make_tables(n, in_order=True)
    index.save(tmp_path / "a.index")
    monkeypatch.setenv("HASHLEARN_KERNEL", kernel)
    assert_same_results(HammingIndex.open(tmp_path / "a.index"), index)


@needs_tables
@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("n_tables", [None, 9])
def test_what_is_built_after_opening_is_like_what_was_saved(tmp_path, monkeypatch, lean, n_tables):
    make_tables(lean=lean, n_tables=n_tables).save(tmp_path / "a.index")
    opened = HammingIndex.open(tmp_path / "a.index")
    monkeypatch.setattr(items, "_SMALL", 0)
    opened.remove(opened.ids[::2])
    (whole,) = opened._items.segments
    assert len(whole.tables.codes) == 50
    assert (whole.tables.n_tables, whole.tables.lean) == (n_tables, lean)
    assert_same_results(opened, opened)


@needs_tables
@pytest.mark.parametrize("in_a_row", [False, True])
@pytest.mark.parametrize("n_tables", [0, 8])
def test_a_mapped_base_is_neither_copied_nor_changed(tmp_path, monkeypatch, in_a_row, n_tables):
    index, path = make_tables(in_a_row=in_a_row), tmp_path / "a.index"
    if not n_tables:
        index = HammingIndex(64)
        index.add(make_tables().codes, None if in_a_row else 5 + 3 * np.arange(101))
    index.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(items, "_SMALL", 0)
    opened = HammingIndex.open(path)
    (base,) = opened._items.segments
    ids, codes = index.ids, index.codes.copy()
    between = 2**61 if in_a_row else ids[20] + 1
    for changed in (opened, index):
        changed.add(codes[:5])
        changed.remove([*ids[[3, 50]], ids[-1] + 2])
        changed.add(codes[5:7], ids=[2**62, between])
    now, tail = opened._items.segments
    assert now.codes is base.codes
    assert now.tables is base.tables
    assert in_a_row or np.shares_memory(now.ids, base.ids)
    assert not np.shares_memory(tail.codes, base.codes)
    assert_same(opened, index)
    assert_same_results(opened, index)
    assert path.read_bytes() == before


@needs_tables
@pytest.mark.parametrize("n_tables", [0, 8])
def test_a_tail_and_gaps_are_saved_as_one_whole(tmp_path, monkeypatch, n_tables):
    monkeypatch.setattr(items, "_SMALL", 0)
    index = make_tables()
    if not n_tables:
        index = HammingIndex(64)
        index.add(make_tables().codes, 5 + 3 * np.arange(101))
    index.add(index.codes[:5], ids=[0, 6, 9, 10, 2**40])
    index.remove(index.ids[[0, 8, 50]])
    assert len(index._items.segments) == 2
    before = index._items
    index.save(tmp_path / "a.index")
    assert index._items is before
    HammingIndex.verify(tmp_path / "a.index")
    for way in (HammingIndex.open, open_whole):
        opened = way(tmp_path / "a.index")
        (segment,) = opened._items.segments
        assert segment.present is None
        assert opened.n_tables == n_tables
        assert_same(opened, index)
        assert_same_results(opened, index)
        opened.add(index.codes[:1])
        assert opened.ids[-1] == 2**40 + 1


def sections_of(path):
    """Where each array stands in a file: name, first byte, end."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        layout = json.loads(file.read(length))
    del layout["__metadata__"]
    for name, entry in layout.items():
        begin, end = entry["data_offsets"]
        yield name, 8 + length + begin, 8 + length + end


@needs_tables
@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
@pytest.mark.parametrize("n_bits", [32, 44])
def test_garbage_in_mapped_arrays_does_no_harm(tmp_path, monkeypatch, lean, in_order, n_bits):
    path = tmp_path / "a.index"
    index = make_tables(100, n_bits, in_order=in_order, lean=lean, n_tables=n_bits // 4)
    index.save(path)
    whole, queries = path.read_bytes(), index.codes[:4]
    rng = np.random.default_rng(n_bits)
    monkeypatch.setattr(routes, "_BATCH_SCAN_COST", 1e9)  # so that auto prefers the tables
    monkeypatch.setattr(routes, "_SINGLE_SCAN_COST", 1e9)
    for name, begin, end in sections_of(path):
        end -= 8 * (name == "ids")  # the last one is checked when it is opened
        size = end - begin
        garbage = {
            "random": rng.bytes(size),
            "ones": b"\xff" * size,
            "zeros": bytes(size),
            "backwards": whole[begin:end][::-1],
            "positions": rng.integers(0, 103, size // 4 + 1, np.uint32).tobytes()[:size],
        }
        for kind, wrong in garbage.items():
            if wrong == whole[begin:end]:
                continue
            damaged = tmp_path / f"{name}.{kind}"
            damaged.write_bytes(whole[:begin] + wrong + whole[end:])
            opened = HammingIndex.open(damaged)
            for route in ("tables", "auto", "scan"):
                for k in (1, 5, 100):
                    assert opened.search(queries, k, route=route).ids.shape == (4, k), (name, kind)
                for radius in (0, 3, n_bits):
                    assert len(opened.search_radius(queries, radius, route=route)) == 4
                marks = rng.random(100) < 0.5
                opened.search(queries, 5, mask=marks, route=route)
            list(opened.pairs_within(2))
            refuse(damaged, f"damaged: the checksum of array '{name}'", CAREFUL_WAYS)


@needs_tables
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("first_bits", value)
            for value in (None, 5, "8", {}, [], [8], [0, 8], [9, 0], [8, 0, 0])
        ],
        *[("first_bits", value) for value in ([8.0, 0], ["8", 0], [8, False], [True, 0], [8, -1])],
        *[("first_bits", value) for value in ([16, 0], [8, None], [12, 8, 4, 0], [10**30, 0])],
        *[("n_tables", value) for value in (0, -1, 1, 3, 17, 10**30, 2.0, "2", [2], True)],
        *[("lean", value) for value in (None, 0, 1, "no", [], 0.5)],
    ],
)
def test_a_file_with_a_wrong_description_of_tables_is_refused(tmp_path, name, value):
    path = tmp_path / "a.index"
    make_tables(n_bits=16, n_tables=2).save(path)
    header, arrays = read_arrays(path, "index")
    assert header["tables"] == {"first_bits": [8, 0], "n_tables": 2, "lean": False}
    header["tables"][name] = value
    write_arrays(path, "index", header, arrays)
    refuse(path, "is not a valid index")


@needs_tables
@pytest.mark.parametrize("value", [None, 3, "tables", [], {}, [8, 0]])
def test_a_file_with_tables_of_another_form_is_refused(tmp_path, value):
    path = tmp_path / "a.index"
    make_tables(n_bits=16, n_tables=2).save(path)
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header | {"tables": value}, arrays)
    refuse(path, "is not a valid index")


@needs_tables
@pytest.mark.parametrize("name", ["first_bits", "n_tables", "lean", "starts", "positions"])
def test_a_file_that_lacks_a_part_of_the_tables_is_refused(tmp_path, name):
    path = tmp_path / "a.index"
    make_tables(n_bits=16, n_tables=2).save(path)
    header, arrays = read_arrays(path, "index")
    header["tables"].pop(name, None)
    arrays.pop(f"table1.{name}", None)
    write_arrays(path, "index", header, arrays)
    refuse(path, f"it has no '(table1.)?{name}'")


@needs_tables
@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("starts", np.zeros(256, np.uint32)),
        ("starts", np.zeros((257, 1), np.uint32)),
        ("starts", np.zeros(257, np.int32)),
        ("starts", np.array(0, np.uint32)),
        ("positions", np.zeros(100, np.uint32)),
        ("positions", np.zeros(101, np.int64)),
        ("words", np.zeros((101, 2), np.uint64)),
        ("words", np.zeros((100, 1), np.uint64)),
        ("words", np.zeros(101, np.uint64)),
        ("words", np.zeros((101, 1), np.int64)),
    ],
)
def test_a_file_with_tables_that_do_not_fit_is_refused(tmp_path, name, array):
    path = tmp_path / "a.index"
    make_tables(n_bits=16, n_tables=2).save(path)
    header, arrays = read_arrays(path, "index")
    write_arrays(path, "index", header, arrays | {f"table1.{name}": array})
    refuse(path, f"table1.{name} must be")


@needs_tables
def test_a_table_without_words_reads_the_codes(tmp_path):
    path, index = tmp_path / "a.index", make_tables(n_bits=16, n_tables=2)
    index.save(path)
    header, arrays = read_arrays(path, "index")
    del arrays["table0.words"]
    write_arrays(path, "index", header, arrays)
    assert_same_results(HammingIndex.open(path), index)


def test_tables_wait_in_a_file_for_an_engine(tmp_path, monkeypatch):
    index, path = make_tables(), tmp_path / "a.index"
    index.save(path)
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    opened = HammingIndex.open(path)
    assert_same_results(opened, index)
    opened.save(path)
    assert HammingIndex.open(path).n_tables == index.n_tables
