import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep._signs import cosine_loss, sign_penalty, straight_sign

GreedyHash = get_method("greedyhash")
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
    return np.random.default_rng(1).normal(3, 1, (300, 6)).astype(np.float32)


@pytest.mark.parametrize("pairs", ["all", "halves"])
def test_a_step_is_that_of_values_that_are_codes(pairs):
    """The derivative by W is that by the codes, times the items, and that of the penalty."""
    generator = torch.Generator().manual_seed(0)
    x, W = (torch.randn(shape, generator=generator) for shape in ((8, 5), (5, 4)))
    W.requires_grad_()
    u = torch.nn.functional.normalize(x)
    (cosine_loss(straight_sign(x @ W), u, pairs) + 0.3 * sign_penalty(x @ W)).backward()
    h = (x @ W).detach()
    b = torch.where(h >= 0, 1.0, -1.0).requires_grad_()
    cosine_loss(b, u, pairs).backward()
    excess = h.abs() - 1
    slope = b.grad + 0.3 * 3 * excess.square() * excess.sign() * h.sign() / h.numel()
    np.testing.assert_allclose(W.grad, x.T @ slope, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"pairs": "halves"}, {"neighbor_features": "pixels"}])
def test_images_alike_get_codes_alike(images, options):
    hasher = GreedyHash(16, n_steps=150, **SMALL | options).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.4 * distances[~same].mean()


@pytest.mark.parametrize("pairs", ["all", "halves"])
def test_codes_keep_cosines(vectors, pairs):
    hasher = GreedyHash(
        64, pairs=pairs, penalty_weight=0.1, n_steps=300, lr=0.01, batch_size=64, random_state=0
    ).fit(vectors)
    b = 2.0 * hasher.transform(vectors) - 1
    unit = vectors - vectors.mean(axis=0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    error = np.square(b @ b.T / 64 - unit @ unit.T).mean()
    assert error < 0.25 * np.square(unit @ unit.T).mean()


def test_vectors_have_linear_functions_unless_asked_otherwise(vectors, images):
    def layers(X, **options):
        return GreedyHash(8, width=2, n_steps=20, random_state=0, **options).fit(X).layers_

    assert set(layers(vectors)) == {"output.weights", "output.bias"}
    assert layers(vectors, depth=1)["0.weights"].shape == (16, 6)
    assert [layers(images)[f"{i}.weights"].ndim for i in (0, 1)] == [4, 4]
    assert "2.weights" not in layers(images)
    assert layers(images, depth=0)["output.weights"].shape == (8, 64)


def test_a_larger_penalty_makes_values_surer(vectors):
    excess = []
    for weight in (0.0, 0.3):
        hasher = GreedyHash(16, penalty_weight=weight, n_steps=200, **SMALL).fit(vectors)
        excess.append(np.abs(np.abs(hasher.project(vectors)) - 1).mean())
    assert excess[1] < 0.9 * excess[0]


def test_the_history_has_both_terms_of_every_step(vectors):
    history = GreedyHash(8, n_steps=100, **SMALL).fit(vectors).history_
    assert set(history) == {"cosines", "penalty"}
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    assert history["penalty"][-20:].mean() < history["penalty"][:20].mean()


def test_codes_that_collapse_are_warned_of():
    X = np.zeros((300, 6), np.float32)
    X[0] = 1
    with pytest.warns(CollapseWarning, match="smaller penalty_weight"):
        GreedyHash(8, n_steps=20, **SMALL).fit(X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pairs": "some"}, ValueError, "pairs must be"),
        ({"penalty_weight": -1.0}, ValueError, "penalty_weight"),
        ({"neighbor_features": "resnet"}, ValueError, "unknown features 'resnet'"),
        ({"neighbor_features": 3}, TypeError, "neighbor_features"),
        ({"width": 0}, ValueError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"depth": 1.5}, TypeError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(vectors, options, error, message):
    with pytest.raises(error, match=message):
        GreedyHash(4, **options).fit(vectors)


def test_training_that_diverges_says_so(vectors):
    with pytest.raises(ValueError, match="diverged"):
        GreedyHash(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(vectors)
