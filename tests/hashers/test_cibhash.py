"""CIBHash: contrastive information bottleneck."""

import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers.deep.cibhash import (
    CIBHash,
    contrastive_loss,
    divergence_loss,
    straight_through_signs,
)

SMALL = {"width": 4, "n_steps": 150, "batch_size": 32, "lr": 0.005, "random_state": 0,
         "device": "cpu"}  # fmt: skip


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Eight kinds, each a bright spot of its own shape on noise."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, (8, 4, 4)).repeat(2, axis=1).repeat(2, axis=2)
    noise = rng.integers(0, 60, (240, 8, 8))
    return (noise + 150 * kinds[np.arange(240) % 8]).astype(np.uint8)


def test_signs_have_the_slope_of_twice_the_probability():
    values = torch.tensor([[-2.0, 0.0, 0.5]], requires_grad=True)
    signs = straight_through_signs(values)
    assert signs.tolist() == [[-1, 1, 1]]
    signs.sum().backward()
    p = [1 / (1 + math.exp(-v)) for v in (-2.0, 0.0, 0.5)]
    np.testing.assert_allclose(values.grad[0], [2 * x * (1 - x) for x in p], rtol=1e-5)


def test_the_contrastive_loss_is_that_of_loops():
    b, n = np.sign(np.random.default_rng(0).normal(size=(8, 5))), 4
    total = 0.0
    for i in range(2 * n):
        s = {j: b[i] @ b[j] / 5 / 0.3 for j in range(2 * n) if j != i}
        total -= s[(i + n) % (2 * n)] - math.log(sum(math.exp(x) for x in s.values()))
    assert contrastive_loss(torch.tensor(b), 0.3).item() == pytest.approx(total / (2 * n))


def test_views_that_agree_and_differ_from_others_cost_least():
    codes = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1]])
    right = contrastive_loss(torch.cat([codes, codes]), 0.1)
    wrong = contrastive_loss(torch.cat([codes, codes.roll(1, dims=0)]), 0.1)
    same = contrastive_loss(torch.ones(6, 4), 0.1)
    assert right < 0.01 < math.log(5) - 1e-4 < same < wrong


def test_the_divergence_is_that_of_loops():
    v, n = np.random.default_rng(0).normal(size=(6, 3)), 3
    total = 0.0
    for i in range(2 * n):
        for k in range(3):
            p, q = (1 / (1 + math.exp(-v[j, k])) for j in (i, (i + n) % (2 * n)))
            total += p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
    assert divergence_loss(torch.tensor(v)).item() == pytest.approx(total / (2 * n))
    assert divergence_loss(torch.tensor(v[:3]).repeat(2, 1)).item() == pytest.approx(0)
    assert divergence_loss(torch.tensor([[500.0], [-500.0]])).item() == pytest.approx(500)


def test_images_alike_get_codes_alike(images):
    hasher = CIBHash(12, augment="shift,jitter", **SMALL).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distance = np.abs(bits[:, None] - bits[None]).sum(axis=2)
    same = kind[:, None] == kind[None]
    assert distance[same].mean() < 0.3 * distance[~same].mean()
    for curve in hasher.history_.values():
        assert curve.shape == (150,)
    assert hasher.history_["contrast"][-20:].mean() < hasher.history_["contrast"][:5].mean()


def test_a_larger_weight_makes_views_agree_bit_by_bit(images):
    loose, tight = (
        CIBHash(12, divergence_weight=weight, **SMALL).fit(images).history_["divergence"][-20:]
        for weight in (0.0, 0.05)
    )
    assert tight.mean() < 0.7 * loose.mean()


def test_what_views_do_not_share_is_not_kept():
    """Of two features the second is another in each view: codes follow the first."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 2)).astype(np.float32)

    def change(x):
        return torch.stack([x[:, 0], torch.randn(len(x))], dim=1)

    hasher = CIBHash(8, augment=change, **SMALL).fit(X)
    moved = X.copy()
    for column, least, most in ((0, 0.2, 1.0), (1, 0.0, 0.1)):
        moved[:] = X
        moved[:, column] = rng.permutation(X[:, column])
        changed = (hasher.transform(moved) != hasher.transform(X)).mean()
        assert least <= changed <= most


def test_the_same_code_for_all_has_no_gradient_and_is_not_started_from():
    values = torch.full((6, 4), 0.3, requires_grad=True)
    contrastive_loss(straight_through_signs(values), 0.3).backward()
    np.testing.assert_allclose(values.grad, 0, atol=1e-6)
    few = 3 * np.random.RandomState(0).uniform(size=(20, 3))
    for seed in range(5):
        hasher = CIBHash(2, n_steps=1, width=8, random_state=seed).fit(few)
        assert (abs(hasher.transform(few).mean(axis=0) - 0.5) <= 0.2).all()


def test_the_networks_are_the_papers_for_vectors_and_convolutions_for_images(images):
    few = {"n_steps": 2, "random_state": 0}
    vectors = CIBHash(8, **few).fit(images.reshape(240, 64).astype(np.float32))
    assert vectors.layers_["0.weights"].shape == (1024, 64)
    assert vectors.layers_["output.weights"].shape == (8, 1024)
    assert CIBHash(8, **few).fit(images).layers_["1.weights"].shape[:2] == (32, 16)
    linear = CIBHash(8, depth=0, **few).fit(images.reshape(240, 64).astype(np.float32))
    assert set(linear.layers_) == {"output.weights", "output.bias"}


def test_codes_that_collapse_are_warned_of():
    rows = np.zeros((300, 4), np.float32)
    rows[0] = 100  # all the others are the same
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        CIBHash(8, **SMALL).fit(rows)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temperature": 0.0}, ValueError, "temperature"),
        ({"divergence_weight": -1}, ValueError, "divergence_weight"),
        ({"augment": "blur"}, ValueError, "augment has no part"),
        ({"width": 0}, ValueError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"n_steps": 2.5}, TypeError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0.0}, ValueError, "lr"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        CIBHash(8, **{**SMALL, **options}).fit(images)


def test_training_that_diverges_says_so(images):
    with pytest.raises(ValueError, match="diverged"):
        CIBHash(8, **{**SMALL, "lr": 1e30}).fit(images)
