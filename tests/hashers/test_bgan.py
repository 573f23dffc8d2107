import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.bgan import (
    agreements_wanted,
    content_loss,
    find_neighbors,
    neighborhood_loss,
    soft_signs,
)

BGAN = get_method("bgan")
SMALL = {
    "width": 4, "n_neighbors": 5, "n_expanded": 5, "batch_size": 16, "lr": 0.003,
    "random_state": 0, "device": "cpu",
}  # fmt: skip
POINTS = np.array([[0.0], [1.0], [3.0], [10.0], [11.5], [30.0]], np.float32)


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loop_neighbors(points, n_neighbors, n_expanded):
    """The definition, with sets."""
    n = len(points)

    def distance(i, j):
        return sum((a - b) ** 2 for a, b in zip(points[i], points[j], strict=True))

    nearest = []
    for i in range(n):
        others = sorted((distance(i, j), j) for j in range(n) if j != i)
        nearest.append({j for _, j in others[:n_neighbors]})
    near = [[i == j for j in range(n)] for i in range(n)]
    for i in range(n):
        shared = sorted(
            (-len(nearest[i] & nearest[j]), j)
            for j in range(n)
            if j != i and nearest[i] & nearest[j]
        )
        found = set(nearest[i])
        for _, j in shared[:n_expanded]:
            found |= nearest[j]
        for j in found:
            near[i][j] = near[j][i] = True
    return near


@pytest.mark.parametrize(("n_neighbors", "n_expanded"), [(1, 0), (1, 1), (2, 0), (2, 2), (9, 3)])
def test_neighbors_are_those_of_loops(n_neighbors, n_expanded):
    expected = loop_neighbors(POINTS.tolist(), n_neighbors, n_expanded)
    got = find_neighbors(POINTS, n_neighbors, n_expanded)
    assert got.toarray().tolist() == expected


def test_neighbors_of_many_points_are_those_of_loops(monkeypatch):
    monkeypatch.setattr("hashlearn.hashers.deep.bgan._BLOCK", 7)
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    got = find_neighbors(points, 4, 3)
    assert got.toarray().tolist() == loop_neighbors(points.tolist(), 4, 3)
    assert got.nnz < 50 * 50 / 2


def test_agreements_are_gathered_in_the_order_of_the_rows():
    neighbors = find_neighbors(POINTS, 1, 0)
    rows = np.array([3, 0, 4, 1])
    expected = np.where(neighbors.toarray()[np.ix_(rows, rows)], 1, -1)
    np.testing.assert_array_equal(agreements_wanted(neighbors, rows), expected)


def test_soft_signs_sharpen_to_signs():
    h = torch.tensor([[-2.0, 0.1], [0.5, 3.0]])
    expected = [[math.tanh(3 * value) for value in row] for row in h.tolist()]
    np.testing.assert_allclose(soft_signs(h, 3.0), expected, rtol=1e-6)
    np.testing.assert_allclose(soft_signs(h, 1e4), [[-1, 1], [1, 1]])


def test_the_neighborhood_loss_is_that_of_loops():
    b, S = draw((6, 3), 0).tanh(), (draw((6, 6), 1) > 0).double()
    expected = 0.0
    for i in range(6):
        for j in range(6):
            agreement = sum(p * q for p, q in zip(b[i].tolist(), b[j].tolist(), strict=True)) / 3
            expected += (agreement - S[i, j].item()) ** 2 / 36
    assert neighborhood_loss(b, S).item() == pytest.approx(expected)


def test_codes_that_agree_as_neighbors_do_have_no_loss():
    b = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    S = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert neighborhood_loss(b, S) == 0
    assert neighborhood_loss(b, 1 - S) == 1


def test_the_content_loss_is_that_of_loops():
    made, x, features, wanted = draw((6, 1, 2, 2), 2), draw((6, 1, 2, 2), 3), *draw((2, 6, 5), 4)
    expected = 0.0
    for a, b in ((made, x), (features, wanted)):
        pairs = list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
        expected += sum((p - q) ** 2 for p, q in pairs) / len(pairs)
    assert content_loss(made, x, features, wanted).item() == pytest.approx(expected)


def test_images_alike_get_codes_alike_and_are_drawn_again(images):
    hasher = BGAN(16, n_steps=150, **SMALL).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.4 * distances[~same].mean()
    assert hasher.samples_.shape == (64, 8, 8)
    assert hasher.samples_.dtype == np.uint8
    error = np.square(hasher.samples_ / 255 - images[:64] / 255).mean()
    assert error < 0.6 * images.var(axis=0).mean() / 255**2


def test_training_lowers_the_losses_and_keeps_their_history(images):
    hasher = BGAN(8, n_steps=100, **SMALL).fit(images)
    history = hasher.history_
    assert set(history) == {"neighbors", "content", "adversary", "discriminator"}
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    assert history["neighbors"][-20:].mean() < 0.85 * history["neighbors"][:5].mean()


def test_neighbors_may_be_those_of_features(images):
    pixels = BGAN(8, n_steps=40, **SMALL).fit(images)
    gist = BGAN(8, n_steps=40, neighbor_features="gist", **SMALL).fit(images)
    assert not np.array_equal(pixels.layers_["0.weights"], gist.layers_["0.weights"])
    same = BGAN(8, n_steps=40, neighbor_features="none", **SMALL).fit(images)
    np.testing.assert_array_equal(pixels.layers_["0.weights"], same.layers_["0.weights"])


def test_no_more_items_are_learned_from_than_asked(images, monkeypatch):
    seen = []

    def count(features, *sizes):
        seen.append((len(features), *sizes))
        return find_neighbors(features, *sizes)

    monkeypatch.setattr("hashlearn.hashers.deep.bgan.find_neighbors", count)
    hasher = BGAN(8, n_steps=60, max_samples=100, **SMALL).fit(images)
    assert seen == [(100, 5, 5)]
    assert hasher.encode(images).shape == (240, 1)
    BGAN(8, **SMALL | {"n_neighbors": 20, "n_expanded": 15}, n_steps=60).fit(images[:168])
    assert seen[1] == (168, 16, 15)  # a tenth at most


def test_made_items_that_collapse_are_warned_of(images):
    with pytest.warns(CollapseWarning, match="generator has collapsed"):
        BGAN(8, **SMALL | {"n_steps": 1, "lr": 1e-6}).fit(images)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"neighbor_features": "resnet"}, ValueError, "unknown features 'resnet'"),
        ({"neighbor_features": 3}, TypeError, "neighbor_features"),
        ({"n_neighbors": 0}, ValueError, "n_neighbors"),
        ({"n_expanded": -1}, ValueError, "n_expanded"),
        ({"neighbor_weight": -1.0}, ValueError, "neighbor_weight"),
        ({"content_weight": "much"}, TypeError, "content_weight"),
        ({"adversary_weight": -1.0}, ValueError, "adversary_weight"),
        ({"sharpness": 0.5}, ValueError, "sharpness"),
        ({"max_samples": 1}, ValueError, "max_samples"),
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
        BGAN(4, **options).fit(images)


def test_training_that_diverges_says_so(images):
    with pytest.raises(ValueError, match="diverged"):
        BGAN(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(images)
