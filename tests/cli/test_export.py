"""Models on their way to other programs."""

import sys

import numpy as np
import onnxruntime
import pytest

from hashlearn.data import load_dataset


@pytest.mark.usefixtures("folder")
def test_an_exported_model_gives_the_codes_that_encode_writes(run):
    ended = run("export", "photos.model", "-o", "photos.onnx")
    assert ended.out == ""
    assert "ITQ with 16 bits as an ONNX graph" in ended.err
    images = load_dataset("photos", image_size=(8, 8)).X
    session = onnxruntime.InferenceSession("photos.onnx")
    (codes,) = session.run(["codes"], {"items": images})
    np.testing.assert_array_equal(codes, np.load("photos-codes.npz")["codes"])


def test_a_program_is_told_what_was_written(run, folder):
    told = run("export", "vectors.model", "-o", "vectors.onnx", "--json").json
    size = (folder / "vectors.onnx").stat().st_size
    assert told == {"graph": "vectors.onnx", "method": "itq", "n_bits": 12, "bytes": size}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos.model", "-o", "photos.pb"], "must end in .onnx"),
        (["photos.model", "-o", "nowhere/a.onnx"], "the folder nowhere does not exist"),
        (["none.model", "-o", "a.onnx"], "there is no file none.model"),
        (["photos.model", "-o", "a.onnx", "--opset", "7"], "opset must be from 13"),
        (["photos.model", "-o", "a.onnx", "--input-dtype", "int8"], "uint8, float32; got 'int8'"),
    ],
)
def test_bad_input_is_refused_in_one_line(run, folder, arguments, message):
    ended = run("export", *arguments, code=2)
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not list(folder.glob("*.onnx"))


def test_without_onnx_the_extra_is_named(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "hashlearn[onnx]" in run("export", "photos.model", "-o", "a.onnx", code=2).err
    assert not (folder / "a.onnx").exists()
