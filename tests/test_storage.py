"""Files that are whole or absent, and whatever else one may be asked to read."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import save_file

from hashlearn import storage
from hashlearn.storage import FORMAT, read_arrays, replacing, write_arrays

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


def craft(path, layout, data=b"", **metadata):
    """Write a safetensors file by hand."""
    if metadata:
        layout = {"__metadata__": metadata, **layout}
    head = json.dumps(layout).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return path


def refuse(path, *message):
    """Expect a ValueError that names the file and says why, mapped or not."""
    for mmap in (False, True):
        with pytest.raises(ValueError, match=path.name) as caught:
            read_arrays(path, "index", mmap=mmap)
        for part in message:
            assert part in str(caught.value)


@pytest.mark.parametrize("mmap", [False, True])
def test_what_was_written_is_read(saved, mmap):
    header, arrays = read_arrays(saved, "index", mmap=mmap)
    assert header == HEADER
    assert_equal(arrays, some_arrays())
    for array in arrays.values():
        assert array.flags.writeable is not mmap
        assert isinstance(array, np.memmap) is (mmap and array.size > 0)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_arrays_of_any_shape_dtype_and_order_are_read_as_they_were(tmp_path_factory, data):
    dtype = data.draw(st.sampled_from([order + name for order in "<>" for name in DTYPES]))
    shape = data.draw(arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    array = data.draw(arrays_of.arrays(dtype, shape)).T
    array.flags.writeable = False
    path = tmp_path_factory.mktemp("any") / "file"
    for mmap in (False, True):
        write_arrays(path, "index", {}, {"array": array, "other": array[..., None][::2]})
        _, found = read_arrays(path, "index", mmap=mmap)
        assert_equal(found, {"array": array, "other": array[..., None][::2]})


def test_the_same_contents_give_the_same_bytes(saved, tmp_path):
    write_arrays(tmp_path / "again", "index", HEADER, some_arrays())
    assert (tmp_path / "again").read_bytes() == saved.read_bytes()


def test_a_file_without_arrays_or_header_is_read(tmp_path):
    write_arrays(tmp_path / "empty", "index", {}, {})
    assert read_arrays(tmp_path / "empty", "index") == ({}, {})


def test_a_header_may_use_the_names_that_the_file_uses(tmp_path):
    header = {"kind": "x", "format": 7, "crc32": 1}
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


def test_an_interrupted_write_leaves_the_old_file_whole(saved, monkeypatch):
    before = saved.read_bytes()

    def interrupt(_, path, **__):
        Path(path).write_bytes(before[: len(before) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_arrays(saved, "index", {}, {"ids": np.arange(9)})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_file_may_be_replaced_while_it_is_mapped(saved):
    _, mapped = read_arrays(saved, "index", mmap=True)
    write_arrays(saved, "index", {}, mapped)
    write_arrays(saved, "index", {}, {"ids": np.zeros(1)})
    assert_equal(mapped, some_arrays())


def test_a_file_truncated_anywhere_is_refused(saved):
    whole = saved.read_bytes()
    for length in range(len(whole)):
        saved.write_bytes(whole[:length])
        refuse(saved)


def test_a_file_with_more_at_its_end_is_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\0")
    refuse(saved)


@pytest.mark.parametrize("flip", [1, 32, 255])
def test_a_flipped_byte_anywhere_is_noticed_or_harmless(saved, flip):
    whole = saved.read_bytes()
    n_harmless = 0
    for place in range(len(whole)):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        try:
            header, arrays = read_arrays(saved, "index", mmap=bool(place % 2))
        except ValueError as error:
            assert str(saved) in str(error)  # noqa: PT017 — most places raise, a few may not
            continue
        n_harmless += 1  # such as a space of the padding that has become a line break
        assert header == HEADER
        assert_equal(arrays, some_arrays())
    assert n_harmless < 10


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


GOOD = {"kind": "index", "format": FORMAT, "crc32": 0, "header": {}}


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
    ],
)
def test_a_header_of_the_wrong_form_is_refused(tmp_path, text):
    refuse(craft(tmp_path / "odd", {}, hashlearn=text), "is not a hashlearn file")


def test_a_file_of_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "FORMAT", FORMAT + 1)
    write_arrays(tmp_path / "newer", "index", {}, some_arrays())
    monkeypatch.undo()
    refuse(tmp_path / "newer", f"has format {FORMAT + 1}", f"reads up to {FORMAT}", "newer")
    path = craft(tmp_path / "newest", {}, hashlearn=json.dumps({"format": 10**30}))
    refuse(path, "has format 1000")


@pytest.mark.parametrize("kind", ["model", None, 3, ["index"], {"index": 1}])
def test_a_file_of_another_kind_is_refused(tmp_path, kind):
    write_arrays(tmp_path / "other", kind, {}, {})
    refuse(tmp_path / "other", "expected: index")


@pytest.mark.parametrize("checksum", [1, -1, 2**40, "0", None, 0.0, [0]])
def test_a_wrong_checksum_is_refused(tmp_path, checksum):
    text = json.dumps(GOOD | {"crc32": checksum})
    refuse(craft(tmp_path / "odd", {}, hashlearn=text), "checksum")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "C64", "F4", "X", "", 3, None])
def test_an_array_of_a_dtype_that_is_not_read_is_refused(tmp_path, dtype):
    n_bytes = {"BF16": 4, "F8_E4M3": 2, "C64": 16, "F4": 1}.get(dtype, 2)
    layout = {"x": {"dtype": dtype, "shape": [2], "data_offsets": [0, n_bytes]}}
    refuse(craft(tmp_path / "odd", layout, b"\0" * n_bytes, hashlearn=json.dumps(GOOD)))


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
        {},
        [],
        None,
    ],
)
def test_an_absurd_shape_is_refused(tmp_path, entry):
    for n_bytes in (0, 1, 4):
        path = craft(tmp_path / "odd", {"x": entry}, b"\0" * n_bytes, hashlearn=json.dumps(GOOD))
        refuse(path)


@pytest.mark.parametrize("size", [0, 1, 10**6, 2**31, 2**63, 2**64 - 1])
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
    refuse(saved, "damaged", "checksum")


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
