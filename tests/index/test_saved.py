"""Indexes on disk."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn import storage
from hashlearn.codes import pack_bits
from hashlearn.index import HammingIndex, items
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
