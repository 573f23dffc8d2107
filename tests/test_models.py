"""Features and hasher as one file: saved, loaded, refused."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import hashlearn
from hashlearn import models
from hashlearn.features import Pixels
from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.storage import write_arrays, write_estimators

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 4, 5), np.uint8)
VECTORS = np.random.default_rng(1).normal(1, 3, (60, 20))
LABELS = np.arange(60) % 4  # for methods that need them

HASHERS = {
    "lsh": {"n_bits": 20},
    "itq": {"n_bits": 12, "n_iter": 3},
    "sh": {"n_bits": 30},
    "sph": {"n_bits": 10},
    "agh": {"n_bits": 10, "n_anchors": 20},
    "ba": {"n_bits": 9},
    "och": {"n_bits": 12, "n_landmarks": 20, "n_triplets": 500, "n_iter": 5},
    "qolsh": {"n_bits": 24},
    "sttm": {"n_bits": 12, "n_iter": 3},
    "sgh": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "cnnh": {"n_bits": 12, "n_sweeps": 3, "n_steps": 60, "width": 4, "device": "cpu"},
    "csq": {"n_bits": 12, "n_steps": 60, "width": 4, "device": "cpu"},
    "cibhash": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
    "sigah": {"n_bits": 12, "n_steps": 9, "device": "cpu"},
    "deepbit": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "dbdmq": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "dh": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "bingan": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
    "bgan": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
    "bihalf": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "dshgan": {"n_bits": 12, "n_pretrain": 5, "n_steps": 20, "width": 4, "device": "cpu"},
    "greedyhash": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "supervisedgreedyhash": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "hashgandizaji": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
    "neighbormatching": {"n_bits": 12, "n_steps": 20, "device": "cpu"},
    "pgh": {"n_bits": 12, "n_rounds": 1, "triplets": "real", "hash_steps": 60, "device": "cpu"},
    "tbh": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
    "latenthasher": {"n_bits": 12, "n_steps": 20, "width": 4, "device": "cpu"},
}


def make_hasher(name):
    return get_method(name)(**HASHERS[name], random_state=0)


def test_every_method_is_saved_here():
    assert set(HASHERS) == {method.name for method in hashlearn.methods()}


@pytest.mark.parametrize("features", ["none", "standardize", "l2", "standardize,l2"])
@pytest.mark.parametrize("name", HASHERS)
def test_a_loaded_model_gives_the_same_codes(tmp_path, name, features):
    model = models.make_model(features, make_hasher(name)).fit(VECTORS, LABELS)
    models.save(model, tmp_path / "a.model")
    loaded = models.load(tmp_path / "a.model")
    assert type(loaded) is type(model)
    codes = models.encode(model, VECTORS)
    assert len(np.unique(codes, axis=0)) > 10
    np.testing.assert_array_equal(models.encode(loaded, VECTORS), codes)


@pytest.mark.parametrize("features", ["pixels", "pixels,standardize,l2", "gist", "gist,l2"])
def test_a_loaded_model_takes_images_as_before(tmp_path, features):
    model = models.make_model(features, ITQ(12, random_state=0)).fit(IMAGES)
    models.save(model, tmp_path / "a.model")
    loaded = models.load(tmp_path / "a.model")
    np.testing.assert_array_equal(models.encode(loaded, IMAGES), models.encode(model, IMAGES))
    with pytest.raises(ValueError, match=r"the shape \(5, 4\), in fit they had \(4, 5\)"):
        loaded.transform(IMAGES.swapaxes(1, 2))


@pytest.mark.parametrize("name", HASHERS)
def test_a_loaded_hasher_knows_all_that_was_learned(tmp_path, name):
    hasher = make_hasher(name).fit(VECTORS, LABELS)
    hasher.save(tmp_path / "a.model")
    for loaded in (type(hasher).load(tmp_path / "a.model"), hashlearn.load(tmp_path / "a.model")):
        assert type(loaded) is type(hasher)
        assert loaded.get_params() == hasher.get_params()
        assert vars(loaded).keys() == vars(hasher).keys()
        for attribute, value in vars(hasher).items():
            np.testing.assert_equal(getattr(loaded, attribute), value)
        np.testing.assert_array_equal(loaded.project(VECTORS), hasher.project(VECTORS))


def test_a_loaded_sigah_has_its_history_and_draws_the_same_vectors(tmp_path):
    hasher = make_hasher("sigah").fit(VECTORS)
    hashlearn.save(hasher, tmp_path / "a.model")
    loaded = hashlearn.load(tmp_path / "a.model")
    assert loaded.history_.keys() == hasher.history_.keys()
    assert len(hasher.history_) > 0
    for part, values in hasher.history_.items():
        np.testing.assert_array_equal(loaded.history_[part], values)
    codes = hasher.encode(VECTORS)
    np.testing.assert_array_equal(loaded.reconstruct(codes), hasher.reconstruct(codes))


def test_a_loaded_model_can_be_fitted_again(tmp_path):
    model = models.make_model("standardize", ITQ(8, random_state=0)).fit(VECTORS)
    models.save(model, tmp_path / "a.model")
    again = clone(models.load(tmp_path / "a.model")).fit(VECTORS)
    np.testing.assert_array_equal(again.transform(VECTORS), model.transform(VECTORS))


def test_a_model_without_features_is_the_hasher_itself():
    hasher = LSH(8)
    assert models.make_model("none", hasher) is hasher
    assert models.make_model([], hasher) is hasher
    assert models.hasher_of(hasher) is hasher
    assert models.hasher_of(models.make_model("pixels", hasher)) is hasher


def test_a_model_encodes_as_its_hasher_does():
    model = models.make_model("standardize", LSH(12, random_state=0)).fit(VECTORS)
    rows = model[0].transform(VECTORS)
    np.testing.assert_array_equal(models.encode(model, VECTORS), model[1].encode(rows))


class Foreign(Normalizer):
    """A transformer of somebody else."""


class ForeignHasher(LSH):
    """A hasher of somebody else."""


Impostor = type("Normalizer", (Normalizer,), {})


@pytest.mark.parametrize("step", [PCA(5), Foreign(), Impostor(), LSH(8)])
def test_a_foreign_step_is_refused_before_anything_is_written(tmp_path, step):
    path = tmp_path / "a.model"
    path.write_text("old")
    model = make_pipeline(step, LSH(8)).fit(VECTORS)
    with pytest.raises(TypeError, match="features that can be saved: Pixels, "):
        models.save(model, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("last", [Normalizer(), ForeignHasher(8)])
def test_a_pipeline_that_could_not_be_loaded_is_not_saved(tmp_path, last):
    with pytest.raises(TypeError, match="the last step must be a hasher of the table"):
        models.save(make_pipeline(Pixels(), last).fit(VECTORS), tmp_path / "a.model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "model", [LSH(8), make_pipeline(Pixels(), LSH(8)), make_pipeline(Normalizer(), LSH(8))]
)
def test_an_unfitted_model_is_not_saved(tmp_path, model):
    with pytest.raises(NotFittedError):
        models.save(clone(model), tmp_path / "a.model")
    assert list(tmp_path.iterdir()) == []


def damage_in_the_middle(data):
    middle = len(data) * 3 // 4
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "harm",
    [
        lambda _: b"",
        lambda data: data[:100],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        damage_in_the_middle,
        lambda data: b"PK\3\4" + data,
        lambda _: b"no model",
    ],
)
@pytest.mark.parametrize("load", [hashlearn.load, ITQ.load])
def test_a_damaged_file_is_refused_and_named(tmp_path, harm, load):
    path = tmp_path / "harmed.model"
    ITQ(8, random_state=0).fit(VECTORS).save(path)
    load(path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=r"harmed\.model"):
        load(path)


def test_a_file_of_another_kind_is_refused_and_named(tmp_path):
    path = tmp_path / "codes.index"
    hashlearn.HammingIndex(8).save(path)
    with pytest.raises(ValueError, match=r"codes\.index holds: index; expected: model"):
        hashlearn.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        hashlearn.load(tmp_path / "absent")


@pytest.mark.parametrize("name", ["HashNet2031", "PCA", "itq", "object", ""])
def test_an_unknown_class_is_refused(tmp_path, name):
    step = {"class": name, "params": {}, "learned": {}}
    write_arrays(tmp_path / "a.model", "model", {"steps": [step]}, {})
    with pytest.raises(ValueError, match=f"unknown class '{name}'.*newer version"):
        hashlearn.load(tmp_path / "a.model")


@pytest.mark.parametrize("steps", [[], [Pixels().fit(IMAGES)]])
def test_a_file_that_does_not_end_in_a_hasher_is_refused(tmp_path, steps):
    write_estimators(tmp_path / "odd.model", steps)
    with pytest.raises(ValueError, match=r"odd\.model does not end in a hasher"):
        hashlearn.load(tmp_path / "odd.model")


def test_a_class_loads_its_own_files_only(tmp_path):
    LSH(8).fit(VECTORS).save(tmp_path / "a.model")
    with pytest.raises(ValueError, match=r"a\.model holds LSH, not ITQ alone"):
        ITQ.load(tmp_path / "a.model")
    models.save(models.make_model("pixels", LSH(8)).fit(VECTORS), tmp_path / "b.model")
    with pytest.raises(ValueError, match=r"b\.model holds Pixels, not LSH alone"):
        LSH.load(tmp_path / "b.model")


def test_the_signs_of_projected_values_are_the_bits():
    model = models.make_model("standardize,l2", LSH(20, random_state=0)).fit(VECTORS)
    values = models.project(model, VECTORS)
    assert values.shape == (60, 20)
    np.testing.assert_array_equal(values >= 0, model.transform(VECTORS))
