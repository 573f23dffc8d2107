"""Exported graphs give the codes of the models, in a program that knows nothing of them."""

import inspect
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler

import hashlearn
from hashlearn.codes import pack_bits
from hashlearn.features import BagOfWords, Pixels
from hashlearn.hashers import get_method, methods
from hashlearn.hashers.shallow.agh import AGH
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.integrations.onnx import export_onnx
from hashlearn.models import encode

NAMES = [method.name for method in methods()]
REFUSED = {"qolsh"}  # flips bits in turn
EXPORTED = [name for name in NAMES if name not in REFUSED]
QUICK = {
    "n_steps": 20, "n_pretrain": 3, "n_rounds": 1, "hash_steps": 20, "n_triplets": 500,
    "n_landmarks": 100, "n_anchors": 100, "n_iter": 5, "n_sweeps": 3, "width": 4, "device": "cpu",
}  # fmt: skip
X, CLUSTERS = make_blobs(n_samples=400, n_features=70, centers=20, random_state=0)
X = X.astype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 9, 7, 3), np.uint8)


def make(name, n_bits, **options):
    cls = get_method(name)
    taken = inspect.signature(cls).parameters
    quick = {key: value for key, value in QUICK.items() if key in taken} | options
    if name == "pgh":
        quick["triplets"] = "real"
    return cls(n_bits, random_state=0, **quick)


@pytest.fixture
def run(tmp_path):
    """Export a model, run its graph, and give codes and values."""

    def run(model, items, **options):
        export_onnx(model, tmp_path / "model.onnx", **options)
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        assert [part.name for part in session.get_inputs()] == ["items"]
        return session.run(["codes", "values"], {"items": items})

    return run


def compare(codes, values, expected):
    """Check codes against values, and both against the model's values; count what differs."""
    n_bits = expected.shape[1]
    assert codes.dtype == np.uint8
    assert codes.shape == (len(expected), -(-n_bits // 8))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(codes, pack_bits(values >= 0))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * scale)
    differ = (values >= 0) != (expected >= 0)
    assert (np.abs(expected[differ]) <= 1e-5 * scale).all()
    assert differ.sum() <= 2  # each has a chance of some 1e-5
    assert 0 < (expected >= 0).mean() < 1


@pytest.mark.parametrize("n_bits", [5, 12, 64])
@pytest.mark.parametrize("name", EXPORTED)
def test_a_graph_gives_the_codes_of_every_method(run, name, n_bits):
    hasher = make(name, n_bits).fit(X, CLUSTERS)
    codes, values = run(hasher, X)
    compare(codes, values, hasher.project(X))
    assert (codes != hasher.encode(X)).any(axis=1).sum() <= 2
    assert len(np.unique(codes, axis=0)) > 5


@pytest.mark.parametrize("name", [name for name in NAMES if get_method(name).accepts_images])
@pytest.mark.parametrize("kind", ["colour", "grey", "float"])
def test_a_graph_takes_images_as_every_method_of_images_does(run, name, kind):
    images = {
        "colour": IMAGES,
        "grey": IMAGES[..., 0],
        "float": (IMAGES[..., :2] / 100).astype(np.float32),
    }[kind]
    hasher = make(name, 9).fit(images, np.arange(60) % 4)
    codes, values = run(hasher, images)
    compare(codes, values, hasher.project(images))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_method_that_is_no_such_function_is_refused_by_name(tmp_path, name):
    hasher = make(name, 70).fit(X)
    with pytest.raises(TypeError, match=r"cannot export QoLSH.*linear.*SH, SpH, AGH"):
        export_onnx(hasher, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


class Flipped(LSH):
    """Somebody's bits that are not signs."""

    def transform(self, X):
        return 1 - super().transform(X)


class Squared(LSH):
    """Somebody's values that are not linear."""

    def _project(self, X):
        return super()._project(X) ** 2


@pytest.mark.parametrize("kind", [Flipped, Squared])
def test_a_class_of_somebody_else_is_not_taken_for_its_base(tmp_path, kind):
    with pytest.raises(TypeError, match=f"cannot export {kind.__name__}"):
        export_onnx(kind(8).fit(X), tmp_path / "model.onnx")


@pytest.mark.parametrize("options", [{"n_layers": 1}, {"n_layers": 2}, {"n_nearest": 1}])
@pytest.mark.parametrize("bandwidth", [None, 0.0])
def test_anchors_of_any_number_and_bandwidth_are_exported(run, options, bandwidth):
    hasher = AGH(9, n_anchors=60, random_state=0).set_params(**{"n_nearest": 3} | options).fit(X)
    if bandwidth is not None:  # all training vectors are anchors: the nearest takes all
        hasher.bandwidth_ = bandwidth
    compare(*run(hasher, X), hasher.project(X))


def test_signs_instead_of_autoencoders_are_exported(run):
    hasher = make("dbdmq", 12, quantiser="sign").fit(X)
    compare(*run(hasher, X), hasher.project(X))


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [Normalizer()],
        [Normalizer("l1")],
        [Normalizer("max"), Normalizer("max")],
        [PCA(20)],
        [PCA(20, whiten=True)],
        [TruncatedSVD(20)],
        [StandardScaler(), PCA(20), Normalizer()],
        [Pixels()],
    ],
    ids=str,
)
def test_features_of_vectors_become_part_of_the_graph(run, steps):
    model = make_pipeline(*steps, ITQ(12, random_state=0)).fit(X)
    compare(*run(model, X), model[-1].project(model[:-1].transform(X)))


def test_a_row_of_zeros_has_no_length_and_keeps_its_code(run):
    model = make_pipeline(Normalizer(), ITQ(12, random_state=0)).fit(X)
    codes, _ = run(model, np.zeros((1, 70), np.float32))
    np.testing.assert_array_equal(codes, encode(model, np.zeros((1, 70), np.float32)))


@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., 0]])
def test_pixels_take_bytes_or_if_asked_floats(run, images):
    model = make_pipeline(Pixels(), StandardScaler(), ITQ(12, random_state=0)).fit(images)
    compare(*run(model, images), model[-1].project(model[:-1].transform(images)))
    floats = (images / np.float32(255)).astype(np.float32)
    compare(
        *run(model, floats, input_dtype="float32"), model[-1].project(model[:-1].transform(floats))
    )


def test_images_can_pass_through_pixels_to_a_hasher_of_images(run):
    hasher = make("csq", 9, image_shape=(9, 7))
    model = make_pipeline(Pixels(), hasher).fit(IMAGES[..., 0], np.arange(60) % 4)
    compare(*run(model, IMAGES[..., 0]), hasher.project(model[0].transform(IMAGES[..., 0])))


def test_whole_numbers_that_are_vectors_are_taken_as_they_are(run):
    rows = IMAGES.reshape(60, -1)
    hasher = ITQ(12, random_state=0).fit(rows)
    compare(*run(hasher, rows, input_dtype="uint8"), hasher.project(rows))


def test_a_value_of_0_is_a_1_as_in_the_library(run):
    hasher = LSH(10, random_state=0).fit(X)
    hasher.bias_ = np.zeros(10, np.float32)
    hasher.bias_[3] = -1e-30
    codes, _ = run(hasher, np.zeros((1, 70), np.float32))
    np.testing.assert_array_equal(codes, [[0b11110111, 0b00000011]])
    np.testing.assert_array_equal(codes, hasher.encode(np.zeros((1, 70), np.float32)))


def test_numpys_whole_numbers_are_numbers_of_bits(run):
    hasher = LSH(np.int64(10), random_state=0).fit(X)
    compare(*run(hasher, X), hasher.project(X))


def test_any_number_of_items_passes(tmp_path):
    hasher = ITQ(12, random_state=0).fit(X)
    export_onnx(hasher, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    expected = hasher.encode(X)
    for n in (1, 2, 77, 400):
        (codes,) = session.run(["codes"], {"items": X[:n]})
        np.testing.assert_array_equal(codes, expected[:n])
    assert session.run(["codes"], {"items": X[:0]})[0].shape == (0, 2)


def test_a_graph_needs_nothing_of_this_library(tmp_path):
    hasher = ITQ(12, random_state=0).fit(X)
    export_onnx(hasher, tmp_path / "model.onnx")
    np.save(tmp_path / "items.npy", X[:50])
    program = (
        "import json, sys; sys.modules['hashlearn'] = sys.modules['torch'] = None\n"
        "import numpy as np, onnxruntime\n"
        "session = onnxruntime.InferenceSession('model.onnx')\n"
        "facts = session.get_modelmeta().custom_metadata_map\n"
        "(codes,) = session.run(['codes'], {'items': np.load('items.npy')})\n"
        "print(json.dumps([codes.tolist(), facts]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    codes, facts = json.loads(ran.stdout)
    np.testing.assert_array_equal(codes, hasher.encode(X[:50]))
    assert facts == {
        "method": "itq",
        "n_bits": "12",
        "format": "1",
        "library_version": hashlearn.__version__,
    }


def test_the_same_model_gives_the_same_bytes(tmp_path):
    hasher = ITQ(12, random_state=0).fit(X)
    for name in ("first", "second"):
        export_onnx(hasher, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@pytest.mark.parametrize("opset", [13, 15, 18, 21])
def test_older_and_newer_operators_give_the_same_codes(run, tmp_path, opset):
    model = make_pipeline(StandardScaler(), Normalizer(), AGH(9, random_state=0)).fit(X)
    codes, _ = run(model, X, opset=opset)
    np.testing.assert_array_equal(codes, encode(model, X))
    assert onnx.load(tmp_path / "model.onnx").opset_import[0].version == opset


@pytest.mark.parametrize("opset", [12, 10_000, 17.0, True])
def test_operators_that_nobody_knows_are_refused(tmp_path, opset):
    with pytest.raises(ValueError, match="opset must be from 13 to"):
        export_onnx(LSH(8).fit(X), tmp_path / "model.onnx", opset=opset)


def test_numbers_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match="input_dtype must be one of uint8, float32; got 'int8'"):
        export_onnx(LSH(8).fit(X), tmp_path / "model.onnx", input_dtype="int8")


class OnnxBackbone(MaxAbsScaler):
    """Stands for features that are a graph themselves."""


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (MaxAbsScaler(), "cannot export the features MaxAbsScaler; features that can be: Pixels, "),
        (OnnxBackbone(), "cannot export the features OnnxBackbone; export the hasher alone"),
    ],
)
def test_features_that_cannot_be_exported_are_named(tmp_path, step, message):
    model = make_pipeline(step, LSH(8)).fit(X)
    with pytest.raises(TypeError, match=message):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_texts_are_no_input_of_a_graph_but_the_hasher_behind_them_is_one(tmp_path, run):
    texts = np.array(["red rose", "blue violet", "red violet", "blue rose"] * 5, dtype=object)
    model = make_pipeline(BagOfWords(), LSH(8, random_state=0)).fit(texts)
    with pytest.raises(TypeError, match="cannot export the features BagOfWords"):
        export_onnx(model, tmp_path / "model.onnx")
    counts = csr_array(model[0].transform(texts))
    codes, _ = run(model[-1], counts.toarray())
    np.testing.assert_array_equal(codes, model[-1].encode(counts))


def test_what_is_not_fitted_or_no_hasher_is_refused(tmp_path):
    with pytest.raises(NotFittedError):
        export_onnx(LSH(8), tmp_path / "model.onnx")
    with pytest.raises(TypeError, match="the last step must be a hasher"):
        export_onnx(make_pipeline(StandardScaler(), PCA(3)).fit(X), tmp_path / "model.onnx")


def test_a_file_that_cannot_be_replaced_is_left_as_it_was(tmp_path):
    with pytest.raises(IsADirectoryError):
        export_onnx(LSH(8).fit(X), tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        export_onnx(LSH(8).fit(X), tmp_path / "nowhere" / "model.onnx")


def test_without_onnx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[onnx\]'"):
        export_onnx(LSH(8).fit(X), tmp_path / "model.onnx")


def test_importing_the_integration_loads_neither_onnx_nor_torch():
    program = "import sys, hashlearn.integrations.onnx; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"onnx", "onnxruntime", "torch"} & set(ran.stdout.split())
