"""Files that are whole or absent, and whatever else one may be asked to read."""

import json
import os
import stat
import tracemalloc
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from hashlearn import storage
from hashlearn.storage import (
    FORMAT,
    making_folder,
    read_arrays,
    replacing,
    verify,
    write_arrays,
)

HEADER = {"n_bits": 12, "names": ["a", "ß"], "nested": {"x": [1.5, None, True]}}
DTYPES = ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]


def some_arrays():
    return {
        "ids": np.arange(5),
        "codes": np.arange(10, dtype=np.uint8).reshape(5, 2),
        "nothing": np.empty((0, 3), np.float32),
        "one": np.array(2.5),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "some.file"
    write_arrays(path, "index", HEADER, some_arrays())
    return path


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


FIRST = b'{"__metadata__": {"hashlearn": "{\\"crc32\\": \\"'


def craft(path, layout, data=b"", **metadata):
    """Write a safetensors file by hand, with the right checksum of the header."""
    if metadata:
        layout = {"__metadata__": metadata, **layout}
    text = json.dumps(layout).encode()
    return craft_text(path, text + b" " * (-(8 + len(text)) % 64), data)


def craft_text(path, text, data=b""):
    head = len(text).to_bytes(8, "little") + text
    place = head.find(FIRST) + len(FIRST)
    if head[place : place + 8] == b"0" * 8:
        checksum = zlib.crc32(head[:place] + head[place + 8 :])
        head = head[:place] + b"%08x" % checksum + head[place + 8 :]
    path.write_bytes(head + data)
    return path


def document(**changes):
    return json.dumps(GOOD | changes)


def refuse(path, *message):
    """Expect a ValueError that names the file and says why, however it is read."""
    for read in (read_arrays, partial(read_arrays, mmap=True), verify):
        with pytest.raises(ValueError, match=path.name) as caught:
            read(path, "index")
        for part in message:
            assert part in str(caught.value)


def length_of_head(path):
    return 8 + int.from_bytes(path.read_bytes()[:8], "little")


@pytest.mark.parametrize("mmap", [False, True])
def test_what_was_written_is_read(saved, mmap):
    header, arrays = read_arrays(saved, "index", mmap=mmap)
    assert header == HEADER
    assert_equal(arrays, some_arrays())
    for array in arrays.values():
        assert type(array) is np.ndarray
        assert array.flags.writeable is not mmap
        assert is_mapped(array) is mmap
    verify(saved, "index")


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


@given(st.data(), st.sampled_from([1, 8, 40, 2**20]))
@settings(max_examples=60, deadline=None)
def test_arrays_of_any_shape_dtype_and_order_are_read_as_they_were(tmp_path_factory, data, chunk):
    dtype = data.draw(st.sampled_from([order + name for order in "<>" for name in DTYPES]))
    shape = data.draw(arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = data.draw(arrays_of.arrays(dtype, shape)).T
    array.flags.writeable = False
    arrays = {"array": array, "other": array[..., None][::2], "back": array[..., None, None][::-1]}
    path = tmp_path_factory.mktemp("any") / "file"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "_CHUNK", chunk)
        write_arrays(path, "index", {}, arrays)
        for mmap in (False, True):
            assert_equal(read_arrays(path, "index", mmap=mmap)[1], arrays)
        verify(path, "index")
    assert_equal(load_file(path), arrays)


def test_the_safetensors_package_reads_the_file(saved):
    assert_equal(load_file(saved), some_arrays())
    with safe_open(saved, framework="numpy") as opened:
        assert json.loads(opened.metadata()["hashlearn"])["header"] == HEADER


@given(st.lists(st.sampled_from(DTYPES), max_size=6), st.text(max_size=70))
@settings(max_examples=50, deadline=None)
def test_data_and_arrays_are_aligned(tmp_path_factory, dtypes, text):
    path = tmp_path_factory.mktemp("any") / "file"
    write_arrays(
        path, "index", {"x": text}, {str(n): np.ones(3, dtype) for n, dtype in enumerate(dtypes)}
    )
    assert length_of_head(path) % 64 == 0
    _, arrays = read_arrays(path, "index", mmap=True)
    for place, array in enumerate(arrays.values()):
        assert array.ctypes.data % (64 if place == 0 else array.itemsize) == 0


def test_the_file_is_as_the_layout_says(tmp_path):
    path = tmp_path / "file"
    write_arrays(path, "index", {"x": 1}, {"b": np.arange(2, dtype=">u2"), "a": np.array(True)})
    whole, end = path.read_bytes(), length_of_head(path)
    layout = json.loads(whole[8:end])
    found = json.loads(layout.pop("__metadata__")["hashlearn"])
    assert list(layout.items()) == [
        ("b", {"dtype": "U16", "shape": [2], "data_offsets": [0, 4]}),
        ("a", {"dtype": "BOOL", "shape": [], "data_offsets": [4, 5]}),
    ]
    assert whole[end:] == b"\0\0\1\0\1"
    checksum = found.pop("crc32").encode()
    assert found == {
        "kind": "index",
        "format": FORMAT,
        "header": {"x": 1},
        "sections": {
            name: f"{zlib.crc32(data):08x}" for name, data in [("b", b"\0\0\1\0"), ("a", b"\1")]
        },
    }
    rest = whole[:end].replace(checksum, b"")
    assert checksum == b"%08x" % zlib.crc32(rest)


def test_writing_and_verifying_hold_no_copy_of_an_array(tmp_path):
    path = tmp_path / "file"
    array = np.arange(2**21, dtype=">f8").reshape(2**10, -1)
    arrays = {
        "swapped": array,
        "across": array.T,
        "some": array[::2, ::-1],
        "plain": array.view("u1"),
    }
    write_arrays(path, "index", {}, arrays)
    _, mapped = read_arrays(path, "index", mmap=True)
    tracemalloc.start()
    write_arrays(path, "index", {}, arrays)
    write_arrays(path, "index", {}, mapped)
    verify(path, "index")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 3
    assert_equal(mapped, arrays)
    assert_equal(read_arrays(path, "index")[1], arrays)


def test_the_same_contents_give_the_same_bytes(saved, tmp_path):
    backwards = dict(reversed(some_arrays().items()))
    write_arrays(tmp_path / "again", "index", HEADER, backwards)
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_without_arrays_or_header_is_read(tmp_path, mmap):
    write_arrays(tmp_path / "empty", "index", {}, {})
    assert read_arrays(tmp_path / "empty", "index", mmap=mmap) == ({}, {})
    verify(tmp_path / "empty", "index")
    assert load_file(tmp_path / "empty") == {}


def test_a_header_may_use_the_names_that_the_file_uses(tmp_path):
    header = {"crc32": "00000000", "kind": "x", "format": 7, "sections": {}}
    write_arrays(tmp_path / "file", "index", header, {})
    assert read_arrays(tmp_path / "file", "index")[0] == header


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array([1j])])
def test_an_array_that_the_format_lacks_is_refused(tmp_path, array):
    with pytest.raises(TypeError, match=f"cannot save odd: {array.dtype}"):
        write_arrays(tmp_path / "file", "index", {}, {"odd": array})
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_arrays(tmp_path / "file", "index", {"x": np.arange(3)}, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_arrays(tmp_path / "file", "index", {"x": float("nan")}, {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["__metadata__", "\ud800"])
def test_a_name_that_the_file_cannot_hold_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=r"__metadata__|surrogates"):
        write_arrays(tmp_path / "file", "index", {}, {name: np.arange(3)})
    assert list(tmp_path.iterdir()) == []


def test_a_header_that_could_not_be_read_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="key twice"):
        write_arrays(tmp_path / "file", "index", {"x": {1: 2, "1": 3}}, {})
    monkeypatch.setattr(storage, "_MAX_HEAD", 1000)
    with pytest.raises(ValueError, match="the header takes 1152 bytes"):
        write_arrays(tmp_path / "file", "index", {"x": "a" * 950}, {})
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file_whole(saved, monkeypatch):
    before = saved.read_bytes()
    checksum = zlib.crc32

    def interrupt(part, start=0):
        part = memoryview(part)
        if part.nbytes == storage._CHUNK and start:  # the second part of the array
            assert len(list(saved.parent.iterdir())) == 2
            raise KeyboardInterrupt
        return checksum(part, start)

    monkeypatch.setattr(storage.zlib, "crc32", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_arrays(saved, "index", {}, {"ids": np.arange(storage._CHUNK)})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_may_be_replaced_while_it_is_mapped(saved):
    _, mapped = read_arrays(saved, "index", mmap=True)
    write_arrays(saved, "index", {}, mapped)
    verify(saved, "index")
    assert_equal(read_arrays(saved, "index")[1], some_arrays())
    write_arrays(saved, "index", {}, {"ids": np.zeros(1)})
    assert_equal(mapped, some_arrays())


def test_several_processes_may_read_one_file(saved):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(read_arrays, saved, "index", mmap=n % 2 == 0) for n in range(8)]
        for job in jobs:
            header, arrays = job.result()
            assert header == HEADER
            assert_equal(arrays, some_arrays())


@pytest.mark.parametrize("mmap", [False, True])
def test_a_file_that_may_not_be_written_is_read(saved, mmap):
    saved.chmod(0o444)
    assert_equal(read_arrays(saved, "index", mmap=mmap)[1], some_arrays())
    verify(saved, "index")


def test_mapping_does_not_read_the_arrays(tmp_path, monkeypatch):
    n = 2**33  # more than the test could read; on disk it is a hole
    layout = {"x": {"dtype": "U8", "shape": [n], "data_offsets": [0, n]}}
    path = craft(tmp_path / "long", layout, hashlearn=document(sections={"x": "00000000"}))
    head = length_of_head(path)
    os.truncate(path, head + n)
    seen, checksum = [], zlib.crc32
    monkeypatch.setattr(
        storage.zlib, "crc32", lambda part, *start: seen.append(len(part)) or checksum(part, *start)
    )
    _, arrays = read_arrays(path, "index", mmap=True)
    assert sum(seen) == head - 8
    assert arrays["x"].shape == (n,)
    assert arrays["x"][-1] == 0


def test_a_damaged_array_is_mapped_but_neither_read_nor_verified(saved):
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    assert read_arrays(saved, "index", mmap=True)[1]["codes"][-1, -1] == 8
    for check in (read_arrays, verify):
        with pytest.raises(ValueError, match=r"some.file is damaged: .* array 'codes'"):
            check(saved, "index")


def test_a_file_truncated_anywhere_is_refused(saved):
    whole = saved.read_bytes()
    for length in range(len(whole)):
        saved.write_bytes(whole[:length])
        refuse(saved)


def test_a_file_with_more_at_its_end_is_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    refuse(saved)


def refuse_flipped(path, place, head):
    """Expect that damage behind the header is found by whoever reads the array, and named."""
    if place < head:
        refuse(path)
        return
    _, arrays = read_arrays(path, "index", mmap=True)
    unequal = [name for name, x in some_arrays().items() if x.tobytes() != arrays[name].tobytes()]
    for check in (read_arrays, verify):
        with pytest.raises(ValueError, match=rf"is damaged: .* array '{unequal[0]}'"):
            check(path, "index")


@pytest.mark.parametrize("flip", [1, 2, 4, 8, 16, 32, 64, 128, 255])
def test_a_flipped_byte_anywhere_is_found(saved, flip):
    whole, head = saved.read_bytes(), length_of_head(saved)
    for place in range(len(whole)):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        refuse_flipped(saved, place, head)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_damage_is_found(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "some.file"
    write_arrays(path, "index", HEADER, some_arrays())
    whole, head = path.read_bytes(), length_of_head(path)
    start = data.draw(st.integers(0, len(whole)), "start")
    stop = data.draw(st.one_of(st.just(start), st.integers(start, len(whole))), "stop")
    inserted = data.draw(st.binary(max_size=100), "inserted")
    harmed = whole[:start] + inserted + whole[stop:]
    path.write_bytes(harmed)
    if harmed == whole:
        verify(path, "index")
    elif len(harmed) != len(whole) or harmed[:head] != whole[:head]:
        refuse(path)
    else:
        refuse_flipped(path, head, head)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([2**63 - 1, 2**63, 2**64, -1, "U8", "F64", "\ud800", "0" * 8]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)  # fmt: skip


def change(value, data):
    """Replace, somewhere in it, one thing."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 3)) == 0:
        return data.draw(ANY_JSON)
    value = value.copy()
    key = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    value[key] = change(value[key], data)
    return value


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_header_with_anything_in_it_is_refused_or_read(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "some.file"
    write_arrays(path, "index", HEADER, some_arrays())
    head = length_of_head(path)
    content = path.read_bytes()
    layout = json.loads(content[8:head])
    ours = json.loads(layout.pop("__metadata__")["hashlearn"]) | {"crc32": "0" * 8}
    if data.draw(st.booleans()):
        ours = change(ours, data)
    else:
        layout = change(layout, data)
    layout = layout if isinstance(layout, dict) else {"x": layout}
    craft(path, layout, content[head:], hashlearn=json.dumps(ours))
    for mmap in (False, True):
        try:
            header, arrays = read_arrays(path, "index", mmap=mmap)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017 — what was changed decides
            continue
        assert type(header) is dict
        assert sum(array.nbytes for array in arrays.values()) == len(content) - head


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"hello",
        b"\0" * 100,
        b"\xff" * 100,
        b"PK\x03\x04" * 50,
        b"\x93NUMPY" + b"x" * 99,
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    refuse(path, "is not a hashlearn file")


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "file"
    path.write_bytes(content)
    refuse(path, "is not a hashlearn file")


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"ids": np.arange(3)}, path)
    refuse(path, "is not a hashlearn file")
    save_file({"ids": np.arange(3)}, path, metadata={"format": "pt"})
    refuse(path, "is not a hashlearn file")


GOOD = {"crc32": "0" * 8, "kind": "index", "format": FORMAT, "header": {}, "sections": {}}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "3",
        '"kind"',
        "[]",
        "[1, 2]",
        "{}",
        "[" * 100_000,
        "9" * 5_000,
        *(
            json.dumps({name: value for name, value in GOOD.items() if name != missing})
            for missing in GOOD
        ),
        *(
            json.dumps(GOOD | {"format": version})
            for version in ["1", None, 1.5, [1], {}, 0, -1, True]
        ),
        json.dumps(GOOD | {"header": [1]}),
        json.dumps(GOOD | {"header": None}),
        *(
            json.dumps(GOOD | {"sections": sections})
            for sections in [None, 3, "x", ["x"], {"x": "0" * 8}]
        ),
        json.dumps(GOOD).replace('"kind"', '"kind": "index", "kind"'),
        json.dumps(GOOD).replace("{}", '{"a": 1, "a": 2}', 1),
        json.dumps(GOOD).replace("{}", "[" * 100_000, 1),
        "\ufeff" + json.dumps(GOOD),
    ],
)
def test_a_header_of_the_wrong_form_is_refused(tmp_path, text):
    refuse(craft(tmp_path / "odd", {}, hashlearn=text), "is not a hashlearn file")


def test_a_file_of_this_form_is_not_refused(tmp_path):
    path = craft(tmp_path / "good", {}, hashlearn=document())
    assert read_arrays(path, "index") == ({}, {})


def test_a_file_of_another_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "FORMAT", FORMAT + 1)
    write_arrays(tmp_path / "newer", "index", {}, some_arrays())
    monkeypatch.undo()
    refuse(tmp_path / "newer", f"has format {FORMAT + 1}", f"reads format {FORMAT}", "newer")
    path = craft(tmp_path / "newest", {}, hashlearn=json.dumps({"format": 10**30}))
    refuse(path, "has format 1000")
    first = {"kind": "index", "format": 1, "header": {}, "crc32": 0}
    path = craft(tmp_path / "first", {}, hashlearn=json.dumps(first))
    refuse(path, "has format 1;", f"reads format {FORMAT}", "make the file again")


@pytest.mark.parametrize("kind", ["model", None, 3, ["index"], {"index": 1}])
def test_a_file_of_another_kind_is_refused(tmp_path, kind):
    write_arrays(tmp_path / "other", kind, {}, {})
    refuse(tmp_path / "other", "expected: index")


@pytest.mark.parametrize("checksum", ["", "00000001", "0" * 7, "x" * 8, "FFFFFFFF"])
def test_a_wrong_checksum_of_the_header_is_refused(tmp_path, checksum):
    path = craft(tmp_path / "odd", {}, hashlearn=document(crc32=checksum))
    refuse(path, "checksum of its header")


@pytest.mark.parametrize("checksum", [1, 0, None, "0", "00000000 ", [0], {}, "1234ABCD"])
def test_a_wrong_checksum_of_an_array_is_refused(tmp_path, checksum):
    layout = {"x": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    text = document(sections={"x": checksum})
    path = craft(tmp_path / "odd", layout, b"a", hashlearn=text)
    assert read_arrays(path, "index", mmap=True)[1]["x"] == [97]
    for check in (read_arrays, verify):
        with pytest.raises(ValueError, match=r"odd is damaged: .* array 'x'"):
            check(path, "index")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "C64", "F4", "X", "", 3, None])
def test_an_array_of_a_dtype_that_is_not_read_is_refused(tmp_path, dtype):
    n_bytes = {"BF16": 4, "F8_E4M3": 2, "C64": 16, "F4": 1}.get(dtype, 2)
    layout = {"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, n_bytes]}}
    text = document(sections={"x": "0" * 8})
    refuse(craft(tmp_path / "odd", layout, b"\0" * n_bytes, hashlearn=text), "array x", "dtype")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "U8", "shape": [2**62], "data_offsets": [0, 4]},
        {"dtype": "I64", "shape": [2**61], "data_offsets": [0, 0]},
        {"dtype": "U8", "shape": [2**62], "data_offsets": [0, 2**62]},
        {"dtype": "U8", "shape": [4], "data_offsets": [2**63, 2**63 + 4]},
        {"dtype": "U8", "shape": [4], "data_offsets": [4, 0]},
        {"dtype": "U8", "shape": [-4], "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": [0, 2**64 - 1], "data_offsets": [0, 0]},
        {"dtype": "U8", "shape": [0, 2**63], "data_offsets": [0, 0]},
        {"dtype": "U8", "shape": [0, 2**40, 2**40], "data_offsets": [0, 0]},
        {"dtype": "U8", "shape": [1] * 100, "data_offsets": [0, 1]},
        {"dtype": "U8", "shape": 4, "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": ["4"], "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": [4]},
        {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]},
        {"dtype": "U8", "shape": [4], "data_offsets": [-4, 0]},
        {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]},
        {"dtype": "U8", "shape": [4], "data_offsets": None},
        {"dtype": "U8", "shape": [4.0], "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": [True, 4], "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": [[4]], "data_offsets": [0, 4]},
        {"dtype": "U8", "shape": [10**4000] * 99, "data_offsets": [0, 4]},
        {"dtype": ["U8"], "shape": [4], "data_offsets": [0, 4]},
        {"dtype": {}, "shape": [4], "data_offsets": [0, 4]},
        {},
        [],
        None,
        "x",
        4,
    ],
)
def test_an_absurd_shape_is_refused(tmp_path, entry):
    for n_bytes in (0, 1, 4):
        text = document(sections={"x": "0" * 8})
        path = craft(tmp_path / "odd", {"x": entry}, b"\0" * n_bytes, hashlearn=text)
        refuse(path, "is not a hashlearn file")


def entry(dtype, n, begin, end):
    return {"dtype": dtype, "shape": [n], "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    "layout",
    [
        {"x": entry("U8", 4, 0, 4), "y": entry("U8", 4, 0, 4)},
        {"x": entry("U8", 4, 0, 4), "y": entry("U8", 1, 3, 4)},
        {"x": entry("U8", 1, 0, 1), "y": entry("U8", 1, 3, 4)},
        {"x": entry("U8", 1, 3, 4), "y": entry("U8", 3, 0, 3)},
        {"x": entry("U8", 2, 0, 2), "y": entry("U8", 1, 2, 3)},
        {"x": entry("U8", 1, 0, 1), "y": entry("U16", 1, 1, 3), "z": entry("U8", 1, 3, 4)},
        {"x": entry("U8", 4, 0, 4), "\ud800": entry("U8", 0, 4, 4)},
    ],
)
def test_arrays_that_overlap_or_leave_gaps_or_are_not_aligned_are_refused(tmp_path, layout):
    text = document(sections=dict.fromkeys(layout, "d202ef8d"))
    refuse(craft(tmp_path / "odd", layout, b"\0" * 4, hashlearn=text), "is not a hashlearn file")


@pytest.mark.parametrize("layout", ["[" * 100_000, '{"a":' * 100_000, "[]", "3", "{}", "\ufeff{}"])
def test_a_layout_of_the_wrong_form_is_refused(tmp_path, layout):
    refuse(craft_text(tmp_path / "odd", layout.encode()), "is not a hashlearn file")


def test_a_header_that_is_not_utf_8_or_names_an_array_twice_is_refused(tmp_path):
    layout = {"__metadata__": {"hashlearn": document(sections={"x": "0" * 8})}}
    layout["x"] = entry("U8", 0, 0, 0)
    text = json.dumps(layout).encode()
    again = text[:-1] + b", " + json.dumps({"x": layout["x"]}).encode()[1:]
    for odd in (again, text.replace(b'"index', b'"\xff'), text.decode().encode("utf-16")):
        padded = odd + b" " * (-(8 + len(odd)) % 64)
        refuse(craft_text(tmp_path / "odd", padded), "is not a hashlearn file")
    refuse(craft_text(tmp_path / "odd", text + b" " * (-(9 + len(text)) % 64)), "data begin")


@pytest.mark.parametrize("size", [0, 1, 10**6, 10**8, 2**31, 2**63, 2**64 - 1])
def test_an_absurd_size_of_the_header_is_refused(saved, size):
    saved.write_bytes(size.to_bytes(8, "little") + saved.read_bytes()[8:])
    refuse(saved)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*absent"):
        read_arrays(tmp_path / "absent", "index")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_arrays(tmp_path, "index")
    with pytest.raises(FileNotFoundError, match=r"folder .* does not exist"):
        write_arrays(tmp_path / "absent" / "file", "index", {}, {})
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_arrays(tmp_path, "index", {}, {})


def test_a_path_may_be_a_string(tmp_path):
    write_arrays(str(tmp_path / "file"), "index", {}, {"x": np.arange(3)})
    _, arrays = read_arrays(os.fspath(tmp_path / "file"), "index")
    assert_equal(arrays, {"x": np.arange(3)})


def test_replacing_writes_all_or_nothing(tmp_path):
    target = tmp_path / "note.txt"
    target.write_text("old")

    def write_half():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert target.read_text() == "old"
    with replacing(target) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_when_all_is_in_it(tmp_path):
    target = tmp_path / "notes"
    with making_folder(str(target)) as made:
        (made / "note.txt").write_text("whole")
        (made / "inner").mkdir()
        assert made.parent == tmp_path
        assert not target.exists()
    assert sorted(path.name for path in target.iterdir()) == ["inner", "note.txt"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_of_a_folder_that_was_not_finished(tmp_path, error):
    def make_half():
        with making_folder(tmp_path / "notes") as made:
            (made / "inner").mkdir()
            (made / "inner" / "note.txt").write_text("half")
            raise error

    with pytest.raises(error):
        make_half()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_made_where_there_is_something(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("empty", "file", "."):
        with (
            pytest.raises(FileExistsError, match="is there already"),
            making_folder(tmp_path / name),
        ):
            raise AssertionError("the block must not begin")
    with (
        pytest.raises(FileNotFoundError, match=r"the folder .*absent does not exist"),
        making_folder(tmp_path / "absent" / "notes"),
    ):
        raise AssertionError("the block must not begin")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file"]


def test_what_came_in_the_meantime_is_not_overwritten(tmp_path):
    target = tmp_path / "notes"

    def make_late():
        with making_folder(target) as made:
            (made / "note.txt").write_text("late")
            target.mkdir()
            (target / "note.txt").write_text("first")

    with pytest.raises(OSError, match="notes"):
        make_late()
    assert (target / "note.txt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_in_the_working_directory_is_made_by_its_name_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with making_folder("notes") as made:
        (made / "note.txt").write_text("whole")
    assert (tmp_path / "notes" / "note.txt").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_written_file_has_the_mode_of_an_ordinary_one(tmp_path):
    (tmp_path / "ordinary").write_text("")
    with replacing(tmp_path / "replaced") as temporary:
        temporary.write_text("")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_the_checksum_covers_the_header_too(saved):
    whole = saved.read_bytes()
    assert b'\\"n_bits\\": 12' in whole
    saved.write_bytes(whole.replace(b'\\"n_bits\\": 12', b'\\"n_bits\\": 13'))
    refuse(saved, "damaged", "checksum of its header")


class Scaler:
    """An estimator as write_estimators sees it."""

    def __init__(self, factor=1.0, seed=None):
        self.factor = factor
        self.seed = seed

    def get_params(self, deep=True):
        assert not deep
        return {"factor": self.factor, "seed": self.seed}


def find_class(name):
    if name != "Scaler":
        raise ValueError(f"there is no class {name}")
    return Scaler


def test_estimators_are_read_as_they_were(tmp_path):
    first, second = Scaler(np.float64(2.5), seed=np.random.RandomState(3)), Scaler(seed=3)
    first.mean_ = np.arange(3, dtype=np.float32)
    first.n_features_in_ = np.int64(3)
    first.feature_names_in_ = np.array(["a", "b", "ß"], dtype=object)
    first.words_ = ["a", "b"]
    first.tables_ = {"a": np.arange(2), "b.c": np.empty((0, 2)), "": np.array(1.5)}
    first.nothing_ = {}
    first.kept_for_itself = first._kept_ = lambda: None
    path = tmp_path / "steps.model"
    storage.write_estimators(path, [first, second])
    one, two = storage.read_estimators(path, find_class)
    assert one.get_params(deep=False) == {"factor": 2.5, "seed": None}
    storage.write_estimators(path, [Scaler(factor=Path("a") / "b.onnx")])
    (step,) = storage.read_estimators(path, {"Scaler": Scaler}.__getitem__)
    assert step.factor == os.fspath(Path("a") / "b.onnx")
    storage.write_estimators(path, [Scaler(factor=abs)])
    assert storage.read_estimators(path, find_class)[0].factor is None
    assert two.get_params(deep=False) == {"factor": 1.0, "seed": 3}
    assert two.__dict__.keys() == {"factor", "seed"}
    learned = ["mean_", "n_features_in_", "feature_names_in_", "words_", "tables_", "nothing_"]
    assert one.__dict__.keys() == {"factor", "seed", *learned}
    assert_equal({"mean": one.mean_}, {"mean": first.mean_})
    assert one.n_features_in_ == 3
    assert one.feature_names_in_.dtype == object
    assert one.feature_names_in_.tolist() == ["a", "b", "ß"]
    assert (one.words_, one.nothing_) == (["a", "b"], {})
    assert_equal(one.tables_, first.tables_)


@pytest.mark.parametrize(
    "value", [object(), {1: np.arange(2)}, {"a": 3}, {"a": np.array([None])}, np.array(["a"])]
)
def test_an_estimator_that_holds_something_else_is_refused(tmp_path, value):
    step = Scaler()
    step.odd_ = value
    with pytest.raises(TypeError, match=r"cannot save .*odd_"):
        storage.write_estimators(tmp_path / "file", [step])
    assert list(tmp_path.iterdir()) == []


STEP = {"class": "Scaler", "params": {}, "learned": {}}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"steps": None},
        {"steps": {"0": STEP}},
        {"steps": [None]},
        {"steps": [[]]},
        *({"steps": [{key: STEP[key] for key in STEP if key != missing}]} for missing in STEP),
        {"steps": [STEP | {"class": 3}]},
        {"steps": [STEP | {"params": [1]}]},
        {"steps": [STEP | {"params": {"other": 1}}]},
        {"steps": [STEP | {"learned": ["mean_"]}]},
        {"steps": [STEP | {"learned": {"get_params": 1}}]},
        {"steps": [STEP | {"learned": {"__class__": 1}}]},
        {"steps": [STEP | {"learned": {"absent_": {"a": None}}}]},
    ],
)
def test_a_model_of_another_form_is_refused(tmp_path, header):
    path = tmp_path / "odd.model"
    write_arrays(path, "model", header, {})
    with pytest.raises(ValueError, match=r"odd\.model"):
        storage.read_estimators(path, find_class)


def test_a_model_of_an_unknown_class_is_refused(tmp_path):
    write_arrays(tmp_path / "file", "model", {"steps": [STEP | {"class": "Other"}]}, {})
    with pytest.raises(ValueError, match="there is no class Other"):
        storage.read_estimators(tmp_path / "file", find_class)


@pytest.mark.parametrize("name", ["0.get_params", "0._x", "0.", "0.x_.y", "1.x_", "x_", ""])
def test_a_model_with_an_array_of_another_name_is_refused(tmp_path, name):
    path = tmp_path / "odd.model"
    write_arrays(path, "model", {"steps": [STEP]}, {name: np.arange(2)})
    with pytest.raises(ValueError, match=r"odd\.model"):
        storage.read_estimators(path, find_class)
