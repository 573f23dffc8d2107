import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.generative.networks import make_encoder
from hashlearn.hashers import get_method
from hashlearn.hashers.deep._images import learn_statistics
from hashlearn.hashers.deep.bingan import (
    correlation_loss,
    discriminator_loss,
    feature_signs,
    marginal_entropy_loss,
    matching_loss,
    soft_signs,
)

BinGAN = get_method("bingan")
SMALL = {
    "width": 4, "n_latent": 8, "batch_size": 16, "lr": 0.002, "random_state": 0, "device": "cpu",
}  # fmt: skip
HADAMARD = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(name="s")
def fixture_s():
    return soft_signs(draw((6, 3), 0))


@pytest.fixture(name="t")
def fixture_t():
    return draw((6, 5), 1).sign()


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


def agreement(a, b):
    return sum(p * q for p, q in zip(a, b, strict=True)) / len(a)


def pairs(n):
    return [(i, j) for i in range(n) for j in range(n) if i != j]


def test_soft_signs_are_those_of_loops():
    values = [[2.0, -0.5], [0.001, 0.0]]
    expected = [[v / (abs(v) + 0.001) for v in row] for row in values]
    np.testing.assert_allclose(soft_signs(torch.tensor(values)), expected, rtol=1e-6)


def test_signs_of_features_are_those_of_loops_and_pass_no_gradient():
    features = draw((6, 4), 2).requires_grad_()
    means = [sum(row[k] for row in features.tolist()) / 6 for k in range(4)]
    expected = [[1 if row[k] > means[k] else -1 for k in range(4)] for row in features.tolist()]
    got = feature_signs(features)
    assert got.tolist() == expected
    assert not got.requires_grad


def test_the_matching_loss_is_that_of_loops(s, t):
    S, T = s.tolist(), t.tolist()
    terms = [abs(agreement(T[i], T[j]) - agreement(S[i], S[j])) for i, j in pairs(6)]
    assert matching_loss(s, t).item() == pytest.approx(sum(terms) / 30)


def test_the_marginal_entropy_loss_is_that_of_loops(s):
    means = [sum(row[k] for row in s.tolist()) / 6 for k in range(3)]
    expected = sum(mean**2 for mean in means) / 3
    assert marginal_entropy_loss(s).item() == pytest.approx(expected)


def test_the_correlation_loss_is_that_of_loops(s, t):
    S, T = s.tolist(), t.tolist()
    expected = 0.0
    for i, j in pairs(6):
        weight = math.exp(-abs(agreement(T[i], T[j])) / 0.7)
        expected += weight * abs(agreement(S[i], S[j])) / 30
    assert correlation_loss(s, t, 0.7).item() == pytest.approx(expected)


def test_the_discriminators_loss_is_the_cross_entropy_of_its_odds():
    real, fake = draw((6, 2), 3), draw((6, 2), 4)
    expected = 0.0
    for row in real.tolist():
        odds = sum(math.exp(value) for value in row)
        expected -= math.log(odds / (odds + 1)) / 12
    for row in fake.tolist():
        odds = sum(math.exp(value) for value in row)
        expected -= math.log(1 / (odds + 1)) / 12
    assert discriminator_loss(real, fake).item() == pytest.approx(expected)


def test_perpendicular_codes_have_no_correlation_and_equal_codes_have_most():
    unlike, same = HADAMARD, torch.ones(4, 4)
    assert correlation_loss(HADAMARD, unlike, 2.0) == 0
    assert correlation_loss(same, unlike, 2.0) == 1
    assert correlation_loss(-same, same, 2.0).item() == pytest.approx(math.exp(-1 / 2))


def test_codes_match_features_of_which_they_are_copies():
    assert matching_loss(HADAMARD, HADAMARD.repeat(1, 3)) == 0
    assert matching_loss(torch.ones(4, 2), HADAMARD) == 1


def test_even_bits_have_the_most_entropy_and_constant_ones_none():
    assert marginal_entropy_loss(torch.cat([HADAMARD, -HADAMARD])) == 0
    assert marginal_entropy_loss(-torch.ones(5, 3)) == 1


def test_statistics_become_those_of_the_items_and_nothing_else_changes():
    network = make_encoder((6,), 2, width=1, depth=2).train()
    data = 3 + torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    weights = [part.clone() for part in network.parameters()]
    learn_statistics(network, data)
    hidden = network[2](network[1](network[0](data)))
    np.testing.assert_allclose(network[3].running_mean, hidden.mean(dim=0).detach(), rtol=1e-4)
    np.testing.assert_allclose(network[3].running_var, hidden.var(dim=0).detach(), rtol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(weights, network.parameters(), strict=True))
    assert network.training
    assert network[3].momentum == 0.1


def test_images_alike_get_codes_alike(images):
    hasher = BinGAN(16, n_steps=100, **SMALL).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.6 * distances[~same].mean()


def test_training_spreads_the_codes_and_keeps_its_history(images):
    hasher = BinGAN(8, n_steps=100, entropy_weight=5.0, **SMALL).fit(images)
    history = hasher.history_
    names = {"adversary", "matching", "marginal_entropy", "correlation", "generator"}
    assert set(history) == names
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    for name in ("marginal_entropy", "generator"):
        assert history[name][-20:].mean() < history[name][:20].mean(), name
    assert np.abs(hasher.transform(images).mean(axis=0) - 0.5).mean() < 0.25


def test_made_images_are_of_the_kind_and_in_the_units_of_the_data(images):
    hasher = BinGAN(8, n_steps=100, **SMALL).fit(images)
    assert hasher.samples_.shape == (64, 8, 8)
    assert hasher.samples_.dtype == np.uint8
    assert hasher.samples_.std(axis=0).mean() > 0.3 * images.std(axis=0).mean()
    floats = BinGAN(8, n_steps=60, **SMALL).fit(images[..., None] / 255)
    assert floats.samples_.shape == (64, 8, 8, 1)


def test_rows_of_pixels_and_images_have_the_same_codes(images):
    hasher = BinGAN(8, n_steps=40, **SMALL).fit(images.astype(np.float32))
    rows = images.reshape(240, 64).astype(np.float32)
    flat = BinGAN(8, n_steps=40, image_shape=(8, 8), **SMALL).fit(rows)
    np.testing.assert_array_equal(flat.encode(rows), hasher.encode(images.astype(np.float32)))


def test_codes_and_made_items_that_collapse_are_warned_of(images):
    rows = np.zeros((300, 4))
    rows[0] = 100  # all the others are the same
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        BinGAN(8, n_steps=50, entropy_weight=0.0, **SMALL).fit(rows)
    with pytest.warns(CollapseWarning, match="generator has collapsed"):
        BinGAN(8, n_steps=1, **SMALL).fit(images)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"matching_weight": -1.0}, ValueError, "matching_weight"),
        ({"entropy_weight": "much"}, TypeError, "entropy_weight"),
        ({"beta": 0}, ValueError, "beta"),
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"width": 1.5}, TypeError, "width"),
        ({"depth": 0}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
        ({"image_shape": (3, 3)}, ValueError, "64 pixels"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    rows = images.reshape(240, 64) if "image_shape" in options else images
    with pytest.raises(error, match=message):
        BinGAN(4, **options).fit(rows)


def test_training_that_diverges_says_so(images):
    with pytest.raises(ValueError, match="diverged"):
        BinGAN(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(images)
