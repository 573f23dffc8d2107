"""LatentHasher: a generative model's values become bits."""

import numpy as np
import pytest

from hashlearn import generative
from hashlearn.generative.networks import apply_layers
from hashlearn.hashers import get_method

LatentHasher = get_method("latenthasher")
NAMES = {"vae": "VAE", "vaegan": "VAEGAN", "avb": "AVB", "gan": "GAN", "dcgan": "DCGAN"}
VECTORS = np.random.default_rng(0).normal(size=(90, 6)).astype(np.float32)
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)


def make(n_bits=4, **options):
    options = {"width": 2, "n_steps": 10, "batch_size": 16, "device": "cpu"} | options
    return LatentHasher(n_bits, random_state=0, **options)


def items_for(model):
    return IMAGES if model == "dcgan" else VECTORS


def model_of(hasher, X):
    """Fit the model that the hasher fits."""
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    return hasher._make_model(seed).fit(np.asarray(X, np.float32) / (255 if X.ndim == 3 else 1))


@pytest.mark.filterwarnings("ignore::hashlearn._training.CollapseWarning")
@pytest.mark.parametrize("model", NAMES)
def test_without_a_rotation_bits_say_which_values_are_above_their_median(model):
    X = items_for(model)
    hasher = make(model=model, rotation="none").fit(X)
    fitted = model_of(hasher, X)
    assert type(fitted) is getattr(generative, NAMES[model])
    values = fitted.embed(np.asarray(X, np.float32) / (255 if X.ndim == 3 else 1))
    widest = np.sort(np.argsort(-values.var(axis=0, dtype=np.float64), kind="stable")[:4])
    expected = values[:, widest] - np.median(values[:, widest], axis=0)
    np.testing.assert_allclose(hasher.project(X), expected, rtol=1e-3, atol=2e-5)
    assert set(hasher.history_) == set(fitted.history_)


@pytest.mark.filterwarnings("ignore::hashlearn._training.CollapseWarning")
@pytest.mark.parametrize("model", NAMES)
def test_with_one_bits_are_signs_of_rotated_principal_values(model):
    X = items_for(model)
    hasher = make(model=model).fit(X)
    values = model_of(hasher, X).embed(np.asarray(X, np.float32) / (255 if X.ndim == 3 else 1))
    found = hasher.project(X)
    centred = values - values.mean(axis=0)
    # A rotation of principal values keeps their lengths, and the mean of each at 0.
    principal = centred @ np.linalg.svd(centred, full_matrices=False)[2][:4].T
    expected = np.square(principal).sum(axis=1)
    np.testing.assert_allclose(np.square(found).sum(axis=1), expected, rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)


def test_images_and_rows_of_their_pixels_have_the_same_codes():
    of_images = make().fit(IMAGES)
    rows = IMAGES.reshape(60, -1).astype(np.float32) / 255
    of_rows = make(image_shape=(8, 8)).fit(rows)
    np.testing.assert_array_equal(of_images.encode(IMAGES), of_rows.encode(rows))
    assert of_images.item_dtype_ == "uint8"
    found = apply_layers(of_images.layers_, of_images._scaled(rows), (1, 8, 8))
    np.testing.assert_array_equal(found, of_images.project(IMAGES))


def test_values_beyond_the_items_are_no_directions():
    few = VECTORS[:5]
    hasher = make(8, n_iter=3).fit(few)
    assert hasher.encode(few).shape == (5, 1)


def test_a_training_goes_on_from_its_checkpoint(tmp_path):
    whole = make().fit(VECTORS)
    again = make(checkpoint=tmp_path / "state").fit(VECTORS)
    finished = make(checkpoint=tmp_path / "state").fit(VECTORS)
    for hasher in (again, finished):
        np.testing.assert_array_equal(hasher.project(VECTORS), whole.project(VECTORS))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "cgan"}, ValueError, "model must be one of vae, vaegan, avb, gan, dcgan, got"),
        ({"rotation": "random"}, ValueError, 'rotation must be "itq" or "none"'),
        ({"n_latent": 3}, ValueError, "n_bits=4, n_latent=3"),
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"n_iter": -1}, ValueError, "n_iter"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0.0}, ValueError, "lr"),
        ({"width": 0}, ValueError, "width"),
        ({"model": "dcgan"}, ValueError, "DCGAN takes images"),
        ({"model": "gan", "n_bits": 17}, ValueError, "n_bits=17, and the discriminator has 16"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        make(**options).fit(VECTORS)
