import math

import numpy as np
import pytest
from sklearn.datasets import load_digits

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.och import (
    descend,
    draw_triplets,
    find_landmarks,
    ordinal_gradient,
    ordinal_loss,
    retract,
    tangent,
)

OCH = get_method("och")


@pytest.fixture(name="X")
def fixture_X():
    rng = np.random.default_rng(0)
    centers = 4 * rng.normal(size=(12, 30))
    X = centers[rng.integers(12, size=400)] + rng.normal(size=(400, 30))
    return X.astype(np.float32)


def orders(X, n_triplets=2000, n_neighbors=10):
    return draw_triplets(X, n_triplets, n_neighbors, np.random.RandomState(0))


def test_the_loss_is_the_mean_logistic_function_of_differences_of_similarities():
    rng = np.random.default_rng(1)
    H = np.tanh(rng.normal(size=(6, 3)))
    triplets = np.array([[0, 1, 2], [3, 0, 5], [4, 5, 1], [0, 2, 4]])
    total = 0.0
    for a, i, j in triplets:
        difference = 0.0
        for k in range(3):
            difference += H[a, k] * H[j, k] - H[a, k] * H[i, k]
        total += 1 / (1 + math.exp(-0.7 * difference))
    assert ordinal_loss(H, triplets, 0.7) == pytest.approx(total / 4)


def test_for_binary_codes_a_steep_loss_counts_the_orders_that_hamming_distance_turns_around(X):
    H = np.where(np.random.default_rng(2).normal(size=(400, 9)) > 0, 1.0, -1.0)
    triplets = orders(X)
    count = 0.0
    for a, i, j in triplets:
        near, far = (H[a] != H[i]).sum(), (H[a] != H[j]).sum()
        count += 1.0 if near > far else 0.5 if near == far else 0.0
    assert ordinal_loss(H, triplets, 1e3) == pytest.approx(count / len(triplets))


def test_the_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(3)
    H = np.tanh(rng.normal(size=(7, 4)))
    triplets = np.array([[0, 1, 2], [1, 0, 2], [3, 4, 5], [6, 3, 0], [6, 3, 0]])
    gradient = ordinal_gradient(H, triplets, 1.3)
    for place in np.ndindex(H.shape):
        step = np.zeros_like(H)
        step[place] = 1e-5
        rise = ordinal_loss(H + step, triplets, 1.3) - ordinal_loss(H - step, triplets, 1.3)
        assert gradient[place] == pytest.approx(rise / 2e-5, abs=1e-9)


def test_the_first_step_goes_down_the_gradient_with_respect_to_the_hash_functions(X):
    """Finite differences along curves on the manifold, through tanh and the retraction."""
    rng = np.random.default_rng(4)
    U, triplets = X[:, :5].astype(float) / 4, orders(X)
    W = retract(rng.normal(size=(5, 3)))

    def loss(point):
        return ordinal_loss(np.tanh(U @ point), triplets, 0.5)

    H = np.tanh(U @ W)
    Z = tangent(W, U.T @ (ordinal_gradient(H, triplets, 0.5) * (1 - H * H)))
    for _ in range(5):
        direction = tangent(W, rng.normal(size=(5, 3)))
        up, down = (loss(retract(W + step * direction)) for step in (1e-5, -1e-5))
        assert (up - down) / 2e-5 == pytest.approx(np.sum(Z * direction), rel=1e-4, abs=1e-8)
    W_next, losses = descend(W, U, triplets, 0.5, 1)
    assert np.sum((W_next - W) * Z) < 0
    assert losses[0] == pytest.approx(loss(W))
    assert losses[1] == pytest.approx(loss(W_next))


def test_tangents_keep_the_columns_orthonormal_to_first_order():
    rng = np.random.default_rng(5)
    W = retract(rng.normal(size=(8, 3)))
    Z = tangent(W, rng.normal(size=(8, 3)))
    np.testing.assert_allclose(W.T @ Z + Z.T @ W, 0, atol=1e-12)
    np.testing.assert_allclose(tangent(W, Z), Z, atol=1e-12)  # a projection
    assert np.linalg.norm(Z) > 1


def test_retraction_gives_orthonormal_columns_and_leaves_such_as_they_are():
    rng = np.random.default_rng(6)
    W = retract(rng.normal(size=(8, 3)))
    np.testing.assert_allclose(W.T @ W, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(retract(W), W, atol=1e-12)
    step = 1e-4 * tangent(W, rng.normal(size=(8, 3)))
    np.testing.assert_allclose(retract(W + step), W + step, atol=1e-6)


def test_triplets_are_ordered_by_distance_and_the_nearer_one_is_a_neighbor(X):
    triplets = orders(X[:60], 3000, 5)
    assert len(triplets) == 3000
    exact = X[:60].astype(np.float64)
    for a, i, j in triplets:
        distances = np.linalg.norm(exact - exact[a], axis=1)
        assert len({a, i, j}) == 3
        assert distances[i] < distances[j]
        assert (distances < distances[i]).sum() <= 5  # itself and at most four others
    assert set(triplets[:, 0]) == set(range(60))
    assert len(set(triplets[:, 2])) == 60


def test_equal_distances_make_no_triplet():
    square = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    for a, i, j in orders(square, 500):
        assert np.sum((square[a] - square[i]) ** 2) == 1
        assert np.sum((square[a] - square[j]) ** 2) == 2
    assert orders(np.eye(4, dtype=np.float32)).shape == (0, 3)  # all are equally far
    assert orders(square[:2]).shape == (0, 3)


def test_landmarks_are_means_of_clusters():
    corners = np.array([[0, 0], [0, 50], [50, 0], [50, 50]], np.float32)
    X = np.repeat(corners, 30, axis=0)
    X += np.random.default_rng(7).normal(size=X.shape).astype(np.float32)
    landmarks = find_landmarks(X, 60, np.random.RandomState(0))
    for corner in corners:
        assert np.linalg.norm(landmarks - corner, axis=1).min() < 2
    assert np.abs(landmarks[:, None] - corners).sum(axis=2).min(axis=1).max() < 10
    assert len(find_landmarks(np.repeat(corners, 9, axis=0), 20, np.random.RandomState(0))) == 4


@pytest.mark.parametrize("n_bits", [3, 12, 24, 30])  # fewer and more than the 20 of the public code
def test_losses_never_rise_and_the_hash_functions_are_orthonormal(X, n_bits):
    for seed in range(3):
        hasher = OCH(n_bits, n_landmarks=100, n_triplets=20_000, random_state=seed).fit(X)
        assert 2 <= len(hasher.losses_) <= 151
        assert (np.diff(hasher.losses_) < 0).all()
        assert hasher.losses_[-1] < 0.9 * hasher.losses_[0]
        W = hasher.weights_.astype(float)
        np.testing.assert_allclose(W @ W.T, np.eye(n_bits), atol=1e-5)
        np.testing.assert_allclose(hasher.project(X).mean(axis=0), 0, atol=1e-3)


@pytest.mark.parametrize("n_bits", [8, 16])
def test_learned_codes_turn_fewer_orders_of_new_images_around_than_the_start(n_bits):
    """The loss is of relaxed codes of landmarks; what it is for is the bits of other vectors."""
    X = load_digits().data.astype(np.float32)
    triplets = orders(X[:800], 5000)

    def wrong(n_iter):
        hasher = OCH(n_bits, n_landmarks=100, n_triplets=20_000, n_iter=n_iter, random_state=0)
        return ordinal_loss(2.0 * hasher.fit(X[800:]).transform(X[:800]) - 1, triplets, 1e3)

    assert wrong(n_iter=50) < 0.85 * wrong(n_iter=0)


def test_a_search_that_cannot_go_down_ends():
    U = np.zeros((5, 4))
    start = retract(np.random.default_rng(8).normal(size=(4, 2)))
    end, losses = descend(start, U, np.array([[0, 1, 2]]), 1.0, 10_000)
    np.testing.assert_array_equal(end, start)
    np.testing.assert_array_equal(losses, [0.5])


@pytest.mark.parametrize(
    "X",
    [
        np.ones((50, 6)),
        np.repeat(np.eye(6), 20, axis=0),
        np.random.default_rng(0).normal(size=(6, 8)),
        np.c_[np.random.default_rng(0).normal(size=(50, 3)), np.full((50, 3), 7)],
    ],
    ids=["constant", "duplicates", "few samples", "constant features"],
)
def test_data_with_little_to_order_get_orthonormal_functions_all_the_same(X):
    hasher = OCH(5, random_state=0).fit(X)
    W = hasher.weights_.astype(float)
    np.testing.assert_allclose(W @ W.T, np.eye(5), atol=1e-5)
    assert (np.diff(hasher.losses_) <= 0).all()
    assert np.isfinite(hasher.losses_).all()
    assert len(np.unique(hasher.encode(X[:1].repeat(3, axis=0)), axis=0)) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_landmarks": 0}, "n_landmarks"),
        ({"n_neighbors": 0}, "n_neighbors"),
        ({"n_triplets": 0}, "n_triplets"),
        ({"slope": 0}, "slope"),
        ({"n_iter": -1}, "n_iter"),
    ],
)
def test_impossible_parameters_are_refused(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        OCH(4, **parameters).fit(X)
