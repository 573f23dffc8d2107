"""The promises of GenerativeModel, over every model: images and vectors in, and others out."""

import warnings
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from hashlearn import generative
from hashlearn._training import CollapseWarning

MODELS = {
    "AVB": {"n_latent": 3, "n_basis": 2},
    "CGAN": {"n_latent": 3},
    "DCGAN": {"n_latent": 3},
    "GAN": {"n_latent": 3},
    "VAE": {"n_latent": 3},
    "VAEGAN": {"n_latent": 3},
}
QUICK = {"width": 2, "n_steps": 8, "batch_size": 16, "device": "cpu", "random_state": 0}

every_model = pytest.mark.parametrize("name", MODELS)


def images(*shape, dtype=np.uint8):
    """Bars of different places and brightness: a few things to learn."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 40, (40, 8, 8, *shape))
    for number, image in enumerate(X):
        image[:, number % 8] += rng.integers(100, 200)
    return X.astype(np.uint8) if dtype == np.uint8 else (X / 255).astype(dtype)


VECTORS = np.random.default_rng(1).normal(5, 2, (60, 6)).astype(np.float32)
ITEMS = {
    "grey": images(),
    "colour": images(3),
    "floats": images(dtype=np.float64),
    "vectors": VECTORS,
}
PAIRS = [(name, kind) for name in MODELS for kind in ITEMS if (name, kind) != ("DCGAN", "vectors")]
every_pair = pytest.mark.parametrize(("name", "kind"), PAIRS)


def make(name, **options):
    return getattr(generative, name)(**QUICK | MODELS[name] | options)


def labels(n):
    return np.arange(n) % 3


def given(model, n):
    return labels(n) if model.supervised else None


def fit(model, X):
    with warnings.catch_warnings():  # a few steps make items that are nearly alike
        warnings.simplefilter("ignore", CollapseWarning)
        return model.fit(X, given(model, len(X)))


@cache
def fitted(name, kind):
    """Fit once for all tests that only look at the model."""
    return fit(make(name), ITEMS[kind])


def kind_of(name):
    """Kind of items that suit the model."""
    return "grey" if name == "DCGAN" else "vectors"


def kept(name):
    """Items that suit the model."""
    return ITEMS[kind_of(name)]


def test_every_model_is_here():
    assert sorted(generative.__all__) == list(MODELS)


@every_pair
def test_items_come_back_in_their_shape_kind_and_range(name, kind):
    X = ITEMS[kind]
    model = fitted(name, kind)
    n = len(X)
    made = model.sample(7, given(model, 7), random_state=0)
    remade, values = model.reconstruct(X[:5]), model.embed(X)
    dtype = np.uint8 if X.dtype == np.uint8 else np.float32
    assert made.shape == (7, *X.shape[1:])
    assert remade.shape == (5, *X.shape[1:])
    assert model.samples_.shape == (64, *X.shape[1:])
    assert made.dtype == remade.dtype == model.samples_.dtype == dtype
    assert values.shape[0] == n
    assert values.ndim == 2
    assert values.dtype == np.float32
    assert len(np.unique(values, axis=0)) > n // 2
    if kind != "vectors":
        assert X.min() - 1e-6 <= made.min()
        assert made.max() <= X.max() + 1e-6
    assert all(curve.shape == (8,) for curve in model.history_.values())


@every_model
def test_the_same_seed_makes_the_same_items_and_another_others(name):
    X = kept(name)
    model = fitted(name, kind_of(name))
    again, other = (fit(make(name, random_state=seed), X) for seed in (0, 1))
    y = given(model, 9)
    made = model.sample(9, y, random_state=3)
    np.testing.assert_array_equal(again.sample(9, y, random_state=3), made)
    assert (model.sample(9, y, random_state=4) != made).any()
    assert (other.sample(9, y, random_state=3) != made).any()
    np.testing.assert_array_equal(again.reconstruct(X[:4]), model.reconstruct(X[:4]))


@every_model
def test_a_loaded_model_is_the_one_that_was_saved(name, tmp_path):
    X = kept(name)
    model = fitted(name, kind_of(name))
    model.save(tmp_path / "it.model")
    loaded = type(model).load(tmp_path / "it.model")
    assert loaded.get_params() == model.get_params()
    assert vars(loaded).keys() == vars(model).keys()
    y = given(model, 9)
    np.testing.assert_array_equal(
        loaded.sample(9, y, random_state=3), model.sample(9, y, random_state=3)
    )
    np.testing.assert_array_equal(loaded.embed(X), model.embed(X))
    other = next(other for other in MODELS if other != name)
    with pytest.raises(ValueError, match=f"holds {name}, not {other}"):
        getattr(generative, other).load(tmp_path / "it.model")


@every_model
def test_what_is_kept_of_an_item_does_not_depend_on_the_others(name):
    X = kept(name)
    model = fitted(name, kind_of(name))
    whole = model.embed(X)
    alone = np.concatenate([model.embed(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(model.embed(X[::-1]), whole[::-1])


@every_model
def test_rows_of_pixels_are_images_if_the_model_is_told(name):
    X = ITEMS["grey"]
    model = fitted(name, "grey")
    rows = fit(make(name, image_shape=(8, 8)), X.reshape(len(X), -1))
    y = given(model, 4)
    np.testing.assert_array_equal(
        rows.sample(4, y, random_state=0), model.sample(4, y, random_state=0)
    )
    np.testing.assert_array_equal(rows.embed(X.reshape(len(X), -1)), model.embed(X))


class InterruptionError(Exception):
    """What stops a training here."""


@every_model
def test_a_training_that_goes_on_ends_where_an_uninterrupted_one_ends(name, tmp_path, monkeypatch):
    X, path = kept(name), tmp_path / "state"
    whole = fitted(name, kind_of(name))
    monkeypatch.setattr("hashlearn._training._SECONDS_BETWEEN_FILES", 0.0)
    steps = []
    with monkeypatch.context() as patch:

        def stop(self):
            keep(self)
            steps.append(self.step)
            if self.step == 5:
                raise InterruptionError

        keep = generative.base.Training.keep
        patch.setattr(generative.base.Training, "keep", stop)
        with pytest.raises(InterruptionError):
            fit(make(name, checkpoint=path), X)
    assert steps == [1, 2, 3, 4, 5]
    resumed = fit(make(name, checkpoint=path), X)
    for key, part in whole.networks_.items():
        np.testing.assert_array_equal(resumed.networks_[key], part, err_msg=key)
    for key, curve in whole.history_.items():
        np.testing.assert_array_equal(resumed.history_[key], curve, err_msg=key)
    np.testing.assert_array_equal(resumed.samples_, whole.samples_)
    with pytest.raises(ValueError, match="another training: its width is 2, and 3"):
        fit(make(name, checkpoint=path, width=3), X)


@every_model
def test_global_seeds_stay_as_they_were(name):
    X = kept(name)
    np.random.seed(5)  # noqa: NPY002 - the global state is what is tested
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    model = fit(make(name), X)
    model.sample(3, given(model, 3), random_state=0)
    model.reconstruct(X[:3])
    after = np.random.get_state()[1], torch.random.get_rng_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


@every_model
def test_nothing_is_written_into_items_or_parameters(name):
    X = kept(name).copy()
    X.flags.writeable = False
    model = make(name)
    parameters = model.get_params()
    fit(model, X).reconstruct(X[:3])
    assert model.get_params() == parameters
    copy = clone(model)
    assert copy.get_params() == parameters
    assert not hasattr(copy, "networks_")


@every_model
def test_a_generator_that_makes_one_item_is_warned_of(name, monkeypatch):
    X = kept(name)
    cls = getattr(generative, name)
    draw = cls._sample

    def constant(self, networks, n_samples, given):
        return draw(self, networks, n_samples, given) * 0 + 0.1

    def varied(self, networks, n_samples, given):
        made = draw(self, networks, n_samples, given)
        return made + torch.randn_like(made) / 2

    monkeypatch.setattr(cls, "_sample", constant)
    with pytest.warns(CollapseWarning, match="the generator has collapsed"):
        make(name).fit(X, labels(len(X)))
    monkeypatch.setattr(cls, "_sample", varied)
    make(name).fit(X, labels(len(X)))  # a warning would be an error


@every_model
def test_an_unfitted_model_says_so(name, tmp_path):
    X, model = kept(name), make(name)
    uses = (
        lambda: model.sample(3),
        lambda: model.reconstruct(X),
        lambda: model.embed(X),
        lambda: model.save(tmp_path / "it.model"),
    )
    for use in uses:
        with pytest.raises(NotFittedError):
            use()
    assert not (tmp_path / "it.model").exists()


@every_model
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((40, 8, 8), np.nan), "NaN"),
        (np.ones((0, 8, 8)), "0 sample"),
        (np.ones((1, 8, 8)), "minimum of 2"),
        (np.ones((4, 0, 8)), "holds no pixel"),
        (np.ones((4, 2, 2, 2, 2)), "dim"),
    ],
)
def test_items_that_cannot_be_learned_from_are_refused(name, bad, message):
    model = make(name)
    with pytest.raises(ValueError, match=message):
        model.fit(bad, given(model, len(bad)))


@every_model
@pytest.mark.parametrize(
    ("parameter", "value", "error"),
    [
        ("n_latent", 0, ValueError),
        ("n_latent", 2.5, TypeError),
        ("width", 0, ValueError),
        ("depth", -1, ValueError),
        ("n_steps", 0, ValueError),
        ("batch_size", 0, ValueError),
        ("lr", 0.0, ValueError),
        ("lr", "fast", TypeError),
        ("device", "abacus", ValueError),
        ("image_shape", (3, 3), ValueError),
    ],
)
def test_parameters_out_of_range_are_refused_before_any_work(name, parameter, value, error):
    X = ITEMS["grey"].reshape(40, 64)
    options = {"image_shape": (8, 8)} | {parameter: value}
    model = make(name, **options)
    with pytest.raises(error, match=r"image_shape|image of the shape|device|== |must be"):
        model.fit(X, given(model, 40))
    assert not hasattr(model, "networks_")


@every_model
def test_items_unlike_those_of_fit_are_refused(name):
    model = fitted(name, "grey")
    for use in (model.embed, model.reconstruct):
        with pytest.raises(ValueError, match=r"the shape \(8, 7\), in fit they had \(8, 8\)"):
            use(ITEMS["grey"][:, :, :7])
        with pytest.raises(ValueError, match="NaN"):
            use(np.full((3, 8, 8), np.nan))
    for n_samples, error in ((0, ValueError), (2.5, TypeError)):
        with pytest.raises(error, match="n_samples"):
            model.sample(n_samples, given(model, 1))
