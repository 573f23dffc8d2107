from itertools import combinations

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep import bihalf as module
from hashlearn.hashers.deep._signs import cosine_loss
from hashlearn.hashers.deep.bihalf import half_signs

BiHalf = get_method("bihalf")
SMALL = {"width": 4, "batch_size": 16, "lr": 0.01, "random_state": 0, "device": "cpu"}


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


@pytest.fixture(name="vectors", scope="module")
def fixture_vectors():
    """Skewed, so that half is not what is above the mean."""
    return np.random.default_rng(1).exponential(1, (2000, 12)).astype(np.float32)


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("n", [6, 7])
def test_no_even_codes_are_nearer_to_the_values(n):
    U = draw((n, 3), 0) + 0.8
    B = half_signs(U)
    assert B.sum(dim=0).tolist() == [n % 2] * 3
    for u, b in zip(U.T, B.T, strict=True):
        costs = []
        for chosen in combinations(range(n), (n + 1) // 2):
            signs = torch.tensor([1.0 if i in chosen else -1.0 for i in range(n)])
            costs.append((u - signs).square().sum().item())
        assert (u - b).square().sum().item() == pytest.approx(min(costs))


def test_codes_are_exact_and_even_where_values_are_equal():
    assert half_signs(torch.full((4, 2), 3e8)).tolist() == [[1, 1], [1, 1], [-1, -1], [-1, -1]]


def test_the_slope_of_the_loss_is_that_by_the_codes_and_towards_them():
    """The formula of the paper: g + gamma (U - B) / numel."""
    gamma = 6.0
    U, u = draw((8, 4), 1).requires_grad_(), torch.nn.functional.normalize(draw((8, 5), 2))
    B = half_signs(U)
    transport = (U - B.detach()).square().mean()
    (cosine_loss(B, u) + gamma / 2 * transport).backward()
    fixed = B.detach().clone().requires_grad_()
    cosine_loss(fixed, u).backward()
    expected = fixed.grad + gamma * (U - fixed).detach() / U.numel()
    np.testing.assert_allclose(U.grad, expected, atol=1e-12)


def test_a_step_of_training_is_along_that_slope(vectors, monkeypatch):
    """What the network is given to learn from, caught on its way."""
    caught = []

    def spy(U):
        U.retain_grad()
        caught.append((U, half_signs(U)))
        caught[-1][1].retain_grad()
        return caught[-1][1]

    monkeypatch.setattr(module, "half_signs", spy)
    BiHalf(8, gamma=5.0, n_steps=3, **SMALL).fit(vectors)
    assert len(caught) == 3
    for U, B in caught:
        assert not B.sum(dim=0).any()
        expected = B.grad + 5 * (U - B).detach() / U.numel()
        np.testing.assert_allclose(U.grad, expected, atol=1e-6)


def test_bits_are_even_on_skewed_vectors_that_were_not_learned_from(vectors):
    hasher = BiHalf(16, n_steps=300, **SMALL | {"batch_size": 64}).fit(vectors[:1000])
    shares = hasher.transform(vectors[1000:]).mean(axis=0)
    assert np.abs(shares - 0.5).max() < 0.1
    assert np.abs(shares - 0.5).mean() < 0.03


@pytest.mark.parametrize("options", [{}, {"neighbor_features": "pixels"}])
def test_images_alike_get_codes_alike(images, options):
    hasher = BiHalf(16, n_steps=150, **SMALL | options).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.4 * distances[~same].mean()
    assert [hasher.layers_[f"{i}.weights"].ndim for i in (0, 1)] == [4, 4]


def test_the_history_has_every_step(vectors):
    history = BiHalf(8, n_steps=100, **SMALL).fit(vectors).history_
    assert set(history) == {"cosines", "transport", "unbalance"}
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    assert history["transport"][-20:].mean() < history["transport"][:20].mean()
    assert 0 <= history["unbalance"].min() < 0.2


def test_codes_that_collapse_are_warned_of():
    X = np.zeros((300, 6), np.float32)
    X[0] = 1
    with pytest.warns(CollapseWarning, match="another gamma"):
        BiHalf(8, n_steps=5, **SMALL).fit(X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"gamma": -1.0}, ValueError, "gamma"),
        ({"neighbor_features": "resnet"}, ValueError, "unknown features 'resnet'"),
        ({"neighbor_features": 3}, TypeError, "neighbor_features"),
        ({"width": 0}, ValueError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(vectors, options, error, message):
    with pytest.raises(error, match=message):
        BiHalf(4, **options).fit(vectors)


def test_training_that_diverges_says_so(vectors):
    with pytest.raises(ValueError, match="diverged"):
        BiHalf(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(vectors)
