"""What the methods that learn linear functions share: the space they learn in, and their start."""

import numpy as np
import pytest

from hashlearn.hashers import get_method
from hashlearn.hashers.deep import _linear
from hashlearn.hashers.deep._linear import Coordinates, random_frame, start_functions

SEED = np.random.RandomState


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12)) * 0.8 ** np.arange(12) @ rng.normal(size=(12, 12))
    return (30 * X + 100).astype(np.float32)


@pytest.mark.parametrize("n_components", [3, 12, 256])
def test_coordinates_have_mean_0_and_mean_squared_norm_1(X, n_components):
    coordinates, Z = Coordinates.of(X, n_components, SEED(0))
    assert Z.shape == (400, min(n_components, 12))
    assert Z.dtype == np.float32
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-5)
    assert np.square(Z).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    assert (np.diff(Z.var(axis=0)) <= 0).all()
    np.testing.assert_allclose(coordinates.transform(X), Z, atol=1e-5)


def test_all_coordinates_keep_distances_up_to_the_scale(X):
    coordinates, Z = Coordinates.of(X, 12, SEED(0))
    before = np.linalg.norm(X[:20, None] - X[None, :20], axis=2)
    after = np.linalg.norm(Z[:20, None] - Z[None, :20], axis=2)
    np.testing.assert_allclose(after * coordinates.scale, before, rtol=1e-3, atol=1e-2)


def test_coordinates_lead_back_to_the_vectors_or_to_their_principal_components(X):
    coordinates, Z = Coordinates.of(X, 12, SEED(0))
    back = coordinates.inverse_transform(Z)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, X, rtol=1e-4)
    few, Z = Coordinates.of(X, 4, SEED(0))
    mean = X.mean(axis=0, dtype=np.float64)
    directions = np.linalg.svd(X - mean, full_matrices=False)[2][:4]
    expected = (X - mean) @ directions.T @ directions + mean
    np.testing.assert_allclose(few.inverse_transform(Z), expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("n_components", [4, 12])
def test_functions_have_the_same_values_on_coordinates_and_on_vectors(X, n_components):
    coordinates, Z = Coordinates.of(X, n_components, SEED(0))
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(7, n_components)), rng.normal(size=7)
    weights, bias = coordinates.functions(W, b)
    assert weights.shape == (7, 12)
    assert weights.dtype == bias.dtype == np.float32
    np.testing.assert_allclose(X @ weights.T + bias, Z @ W.T + b, atol=1e-3)


def test_fewer_vectors_than_features_have_fewer_coordinates(X):
    coordinates, Z = Coordinates.of(X[:3], 12, SEED(0))
    assert Z.shape == (3, 3)
    np.testing.assert_allclose(coordinates.inverse_transform(Z), X[:3], rtol=1e-4)


def test_constant_vectors_are_all_0():
    coordinates, Z = Coordinates.of(np.full((5, 4), 7, np.float32), 4, SEED(0))
    assert not Z.any()
    assert coordinates.scale == 1


def start(init, n_bits, Z, seed=0):
    W, b = start_functions(init, n_bits, Z, SEED(seed))
    assert W.shape == (n_bits, Z.shape[1])
    assert b.shape == (n_bits,)
    assert W.dtype == b.dtype == np.float32
    assert np.square(Z @ W.T + b).mean() == pytest.approx(1, rel=1e-4)
    return W, b


@pytest.fixture(name="Z", scope="module")
def fixture_Z(X):
    return Coordinates.of(X, 12, SEED(0))[1]


@pytest.mark.parametrize(
    ("init", "name", "options"),
    [
        ("random", "lsh", {}),
        ("lsh", "lsh", {}),
        ("pca", "itq", {"rotation": "identity"}),
        ("itq", "itq", {"n_iter": 300}),
        ("ba", "ba", {}),
        ("auto", "itq", {"n_iter": 300}),
    ],
)
def test_the_start_is_the_method_named_up_to_the_scale(Z, init, name, options):
    W, b = start(init, 6, Z)
    hasher = get_method(name)(6, random_state=SEED(0), **options).fit(Z)
    gain = np.linalg.norm(W) / np.linalg.norm(hasher.weights_)
    np.testing.assert_allclose(W, gain * hasher.weights_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(b, gain * hasher.bias_, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n_bits", "n_samples"), [(13, 400), (6, 5)])
def test_without_a_choice_more_bits_than_features_or_vectors_start_from_a_frame(
    Z, n_bits, n_samples
):
    np.testing.assert_array_equal(
        start("auto", n_bits, Z[:n_samples])[0], start("frame", n_bits, Z[:n_samples])[0]
    )


@pytest.mark.parametrize("n_bits", [1, 5, 12, 13, 40])
def test_a_frame_covers_all_directions_evenly(n_bits):
    frame = random_frame(n_bits, 12, SEED(0))
    assert frame.shape == (n_bits, 12)
    assert frame.dtype == np.float32
    gram = frame.T @ frame if n_bits > 12 else frame @ frame.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
    assert not np.allclose(frame, random_frame(n_bits, 12, SEED(1)))


def test_a_frame_estimates_directions_better_than_random_functions_do(Z):
    """Signs of a frame say more about the vector than as many signs of Gaussian functions."""

    def error(init, seed):
        bits = np.sign(Z @ start(init, 24, Z, seed)[0].T)
        back = bits @ np.linalg.lstsq(bits, Z, rcond=None)[0]
        return np.square(Z - back).sum()

    assert np.mean([error("frame", seed) for seed in range(9)]) < 0.95 * np.mean(
        [error("random", seed) for seed in range(9)]
    )


def test_a_part_of_many_vectors_is_enough(Z, monkeypatch):
    seen = []
    cls = get_method("itq")

    def spy(self, rows, y, rng, learn=cls._fit):
        seen.append(rows.shape)
        return learn(self, rows, y, rng)

    monkeypatch.setattr(cls, "_fit", spy)
    monkeypatch.setattr(_linear, "_START_ROWS", 100)
    start_functions("itq", 4, Z, SEED(0))
    assert seen == [(100, 12)]


@pytest.mark.parametrize(
    ("init", "n_bits", "message"),
    [
        ("absent", 4, "cannot start from init='absent': unknown method 'absent'"),
        ("sh", 4, "cannot start from init='sh': sh is not linear"),
        ("itq", 13, "cannot start from init='itq': ITQ takes at most as many bits"),
        ("pca", 13, "cannot start from init='pca': ITQ takes at most as many bits"),
        ("sttm", 4, "cannot start from init='sttm': STTM requires y"),
    ],
)
def test_a_start_that_there_is_not_is_refused(Z, init, n_bits, message):
    with pytest.raises(ValueError, match=message):
        start_functions(init, n_bits, Z, SEED(0))


def test_constant_vectors_have_a_start():
    Z = np.zeros((5, 4), np.float32)
    for init in ("random", "frame", "itq", "auto"):
        W, b = start_functions(init, 3, Z, SEED(0))
        assert np.isfinite(W).all()
        assert np.isfinite(b).all()
