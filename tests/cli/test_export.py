"""Models on their way to other programs."""

import sys

import numpy as np
import onnxruntime
import pytest

import hashlearn
from hashlearn.data import load_dataset
from hashlearn.integrations.pgcopy import codes_to_bitstrings
from hashlearn.integrations.pgvector import function_sql


@pytest.mark.usefixtures("folder")
def test_an_exported_model_gives_the_codes_that_encode_writes(run):
    ended = run("export", "photos.model", "-o", "photos.onnx")
    assert ended.out == ""
    assert "ITQ with 16 bits as an ONNX graph" in ended.err
    images = load_dataset("photos", image_size=(8, 8)).X
    session = onnxruntime.InferenceSession("photos.onnx")
    (codes,) = session.run(["codes"], {"items": images})
    with np.load("photos-codes.npz") as stored:
        np.testing.assert_array_equal(codes, stored["codes"])


def test_a_program_is_told_what_was_written(run, folder):
    told = run("export", "vectors.model", "-o", "vectors.onnx", "--json").json
    size = (folder / "vectors.onnx").stat().st_size
    assert told == {"graph": "vectors.onnx", "method": "itq", "n_bits": 12, "bytes": size}


def test_a_model_is_written_as_an_sql_function(run, folder):
    ended = run("export", "vectors.model", "-o", "hash.sql")
    assert "ITQ with 12 bits as the SQL function hash_code" in ended.err
    model = hashlearn.load("vectors.model")
    assert (folder / "hash.sql").read_text(encoding="utf-8") == f"{function_sql(model)}\n"
    told = run("export", "vectors.model", "-o", "h.sql", "--function", "s.f", "--replace", "--json")
    size = (folder / "h.sql").stat().st_size
    assert told.json == {
        "sql": "h.sql", "function": "s.f", "method": "itq", "n_bits": 12, "bytes": size,
    }  # fmt: skip
    text = (folder / "h.sql").read_text(encoding="utf-8")
    assert text == f"{function_sql(model, 's.f', replace=True)}\n"


def test_codes_are_written_as_rows_for_copy(run, folder):
    told = run("export", "photos-codes.npz", "-o", "a.copy", "--table", "photos", "--json").json
    with np.load("photos-codes.npz") as stored:
        names, codes = stored["names"], codes_to_bitstrings(stored["codes"], 16)
    rows = [
        f"{i}\t{code}\t{name}\n" for i, (code, name) in enumerate(zip(codes, names, strict=True))
    ]
    assert (folder / "a.copy").read_text(encoding="utf-8") == "".join(rows)
    statement = """COPY "photos" ("id", "code", "name") FROM STDIN WITH (ENCODING 'UTF8');"""
    size = (folder / "a.copy").stat().st_size
    assert told == {
        "copy": "a.copy", "statement": statement, "n_codes": 24, "n_bits": 16, "bytes": size,
    }  # fmt: skip


def test_rows_of_codes_without_names_have_none(run, folder):
    with np.load("photos-codes.npz") as stored:
        np.save("codes.npy", stored["codes"])
    assert '"items" ("id", "code") FROM STDIN' in run("export", "codes.npy", "-o", "a.copy").err
    assert (folder / "a.copy").read_text().count("\t") == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos.model", "-o", "photos.pb"], "must end in .onnx or .sql or .copy, got photos.pb"),
        (["photos.model", "-o", "nowhere/a.onnx"], "the folder nowhere does not exist"),
        (["none.model", "-o", "a.onnx"], "there is no file none.model"),
        (["photos.model", "-o", "a.onnx", "--opset", "7"], "opset must be from 13"),
        (["photos.model", "-o", "a.onnx", "--input-dtype", "int8"], "uint8, float32; got 'int8'"),
        (["photos.model", "-o", "a.onnx", "--opset", "0"], "opset must be from 13"),
        (["photos.model", "-o", "a.sql"], "cannot bring the features Pixels()"),
        (["vectors.model", "-o", "a.sql", "--function", ""], "a name must take 1 to 63 bytes"),
        (["vectors.model", "-o", "a.sql", "--opset", "17"], "--opset cannot be given with a file"),
        (["vectors.model", "-o", "a.onnx", "--replace"], "--replace cannot be given with a file"),
        (["vectors-codes.npz", "-o", "a.copy", "--function", "f"], "--function cannot be given"),
        (["vectors-codes.npz", "-o", "a.copy", "--table", "a.b.c"], "a name must be 'table'"),
        (["vectors.model", "-o", "a.copy"], "codes are read from files ending in .npz"),
        (["none.npz", "-o", "a.copy"], "there is no file none.npz"),
    ],
)
def test_bad_input_is_refused_in_one_line(run, folder, arguments, message):
    ended = run("export", *arguments, code=2)
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not [path for end in ("onnx", "sql", "copy") for path in folder.glob(f"*.{end}")]


def test_without_onnx_the_extra_is_named(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "hashlearn[onnx]" in run("export", "photos.model", "-o", "a.onnx", code=2).err
    assert not (folder / "a.onnx").exists()
