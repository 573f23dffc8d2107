import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.hashgandizaji import (
    entropies,
    independence_loss,
    uniformity_loss,
)

HashGANDizaji = get_method("hashgandizaji")
SMALL = {
    "width": 4, "n_latent": 8, "batch_size": 16, "lr": 0.002, "random_state": 0, "device": "cpu",
}  # fmt: skip


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


@pytest.fixture(name="t")
def fixture_t():
    return torch.rand(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_the_entropies_are_those_of_loops(t):
    expected = [[entropy(p) for p in row] for row in t.tolist()]
    np.testing.assert_allclose(entropies(t), expected, rtol=1e-9)


def test_sure_bits_have_no_entropy_and_a_finite_slope():
    t = torch.tensor([0.0, 1.0, 0.5], requires_grad=True)
    got = entropies(t)
    got.sum().backward()
    np.testing.assert_allclose(got.detach(), [0, 0, math.log(2)], atol=2e-5)
    assert t.grad.isfinite().all()


def test_the_uniformity_loss_is_that_of_loops(t):
    means = [sum(row[k] for row in t.tolist()) / 6 for k in range(3)]
    expected = math.log(2) - sum(entropy(mean) for mean in means) / 3
    assert uniformity_loss(t).item() == pytest.approx(expected)


def test_even_bits_are_uniform_however_sure_and_constant_ones_are_not():
    sure = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    assert uniformity_loss(sure).item() == pytest.approx(0, abs=1e-6)
    assert uniformity_loss(torch.full((5, 2), 0.5)).item() == pytest.approx(0, abs=1e-6)
    assert uniformity_loss(torch.ones(5, 2)).item() == pytest.approx(math.log(2), abs=1e-4)


def test_the_independence_loss_is_that_of_loops():
    W = torch.randn(3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = 0.0
    for i, a in enumerate(W.tolist()):
        for j, b in enumerate(W.tolist()):
            product = sum(p * q for p, q in zip(a, b, strict=True))
            expected += (product - (i == j)) ** 2 / 9
    assert independence_loss(W).item() == pytest.approx(expected)
    assert independence_loss(torch.eye(3, 5)) == 0


def test_images_alike_get_codes_alike(images):
    hasher = HashGANDizaji(16, n_steps=100, translation=0.0, **SMALL).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.7 * distances[~same].mean()
    assert np.abs(bits.mean(axis=0) - 0.5).mean() < 0.25
    assert hasher.samples_.shape == (64, 8, 8)
    assert hasher.samples_.dtype == np.uint8
    history = hasher.history_
    assert set(history) == {
        "adversary", "entropy", "uniformity", "consistency", "independence", "collaboration",
        "generator",
    }  # fmt: skip
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    for name in ("independence", "collaboration"):
        assert history[name][-20:].mean() < history[name][:20].mean(), name


def test_made_items_that_collapse_are_warned_of(images):
    with pytest.warns(CollapseWarning, match="generator has collapsed"):
        HashGANDizaji(8, **SMALL | {"lr": 1e-6}, n_steps=1).fit(images)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"entropy_weight": -1.0}, ValueError, "entropy_weight"),
        ({"uniform_weight": "much"}, TypeError, "uniform_weight"),
        ({"consistency_weight": -1.0}, ValueError, "consistency_weight"),
        ({"independence_weight": -1.0}, ValueError, "independence_weight"),
        ({"collaboration_weight": -1.0}, ValueError, "collaboration_weight"),
        ({"rotation": 181.0}, ValueError, "rotation"),
        ({"translation": 2.0}, ValueError, "translation"),
        ({"flip": 1}, TypeError, "flip"),
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"width": 1.5}, TypeError, "width"),
        ({"depth": 0}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        HashGANDizaji(4, **options).fit(images)


def test_training_that_diverges_says_so(images):
    with pytest.raises(ValueError, match="diverged"):
        HashGANDizaji(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(images)
