import math

import numpy as np
import pytest
import torch

from hashlearn.features import make_features
from hashlearn.hashers.deep._signs import cosine_loss, sign_penalty, straight_sign, unit_features


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a, b):
    product = sum(x * y for x, y in zip(a, b, strict=True))
    return product / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def test_signs_are_exact_and_hand_their_slopes_on():
    h = torch.tensor([[1e-30, -3e7, 0.0], [0.1, 5e9, -0.7]], requires_grad=True)
    b = straight_sign(h)
    assert b.tolist() == [[1, -1, 1], [1, 1, -1]]
    slopes = torch.arange(6.0).reshape(2, 3)
    (b * slopes).sum().backward()
    assert torch.equal(h.grad, slopes)


def test_the_penalty_is_that_of_loops_and_nothing_at_signs():
    h = draw((5, 3), 0)
    expected = sum(abs(abs(value) - 1) ** 3 for row in h.tolist() for value in row) / 15
    assert sign_penalty(h).item() == pytest.approx(expected)
    assert sign_penalty(h.sign()) == 0


def test_the_cosine_loss_of_all_pairs_is_that_of_loops():
    b, u = straight_sign(draw((5, 7), 1)), torch.nn.functional.normalize(draw((5, 3), 2))
    pairs = [(i, j) for i in range(5) for j in range(i)]
    expected = sum((cosine(b[i], b[j]) - cosine(u[i], u[j])).item() ** 2 for i, j in pairs) / 10
    assert cosine_loss(b, u).item() == pytest.approx(expected)


@pytest.mark.parametrize("n", [6, 7])
def test_the_cosine_loss_of_halves_is_that_of_loops(n):
    b, u = straight_sign(draw((n, 7), 1)), torch.nn.functional.normalize(draw((n, 4), 2))
    expected = sum((cosine(b[i], b[i + 3]) - cosine(u[i], u[i + 3])).item() ** 2 for i in range(3))
    assert cosine_loss(b, u, "halves").item() == pytest.approx(expected / 3)


def test_codes_with_the_cosines_of_the_features_cost_nothing():
    b = torch.tensor([[1.0, 1, 1, 1], [1, 1, -1, -1], [-1, -1, -1, -1]])
    for pairs in ("all", "halves"):
        assert cosine_loss(b, b / 2, pairs) == pytest.approx(0)


def test_features_are_centred_and_of_length_1():
    X = np.random.default_rng(0).normal(5, 1, (40, 6)).astype(np.float32)
    u = unit_features(X, (6,), None)
    centred = X - X.mean(axis=0)
    expected = [[cosine(a, b) for b in centred.tolist()] for a in centred.tolist()]
    np.testing.assert_allclose(u @ u.T, expected, atol=1e-5)
    assert not unit_features(np.ones((3, 6), np.float32), (6,), None).any()


def test_features_of_images_are_those_asked_for():
    images = np.random.default_rng(0).random((9, 12, 10)).astype(np.float32)
    rows = images.reshape(9, -1)
    pixels = unit_features(rows, (12, 10), "pixels")
    np.testing.assert_allclose(pixels, unit_features(rows, (12, 10), None), atol=1e-6)
    (gist,) = make_features("gist")
    expected = unit_features(gist.fit_transform(images), (512,), None)
    np.testing.assert_allclose(unit_features(rows, (12, 10), "gist"), expected, atol=1e-6)
