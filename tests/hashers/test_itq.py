import numpy as np
import pytest

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.itq import learn_rotation, quantisation_loss

ITQ = get_method("itq")


@pytest.fixture(name="V")
def fixture_V():
    rng = np.random.default_rng(0)
    V = rng.laplace(size=(400, 6)) * [3, 2, 1.5, 1, 1, 0.5]
    return V - V.mean(axis=0)


def test_the_loss_is_the_mean_squared_distance_of_codes_and_projections():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(6, 3))
    B = np.where(Z >= 0, 1.0, -1.0)
    total = 0.0
    for i in range(6):
        for j in range(3):
            total += (B[i, j] - Z[i, j]) ** 2
    assert quantisation_loss(B, Z) == pytest.approx(total / 6)


def test_losses_never_increase(V):
    for seed in range(5):
        _, losses = learn_rotation(V, 50, np.random.RandomState(seed))
        assert len(losses) == 51
        assert (np.diff(losses) <= 1e-9).all()
        assert losses[-1] < losses[0]


def test_a_rotated_binary_cube_is_turned_back():
    rng = np.random.default_rng(3)
    corners = rng.choice([-1.0, 1.0], size=(500, 5))
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    noise = 0.2 * rng.normal(size=(500, 5))
    R, losses = learn_rotation((corners + noise) @ turned, 50, np.random.RandomState(0))
    assert losses[0] > 1.0
    assert losses[-1] == pytest.approx(np.square(noise).sum() / 500, rel=0.05)
    np.testing.assert_allclose(np.abs(turned @ R).max(axis=0), 1, atol=0.05)  # up to order and sign


def test_losses_are_those_of_the_rotation_that_is_returned(V):
    R, losses = learn_rotation(V, 7, np.random.RandomState(0))
    Z = V @ R
    assert losses[-1] == pytest.approx(quantisation_loss(np.where(Z >= 0, 1.0, -1.0), Z))


def test_the_rotation_is_orthogonal(V):
    for n_iter in (0, 1, 50):
        R, _ = learn_rotation(V, n_iter, np.random.RandomState(0))
        np.testing.assert_allclose(R.T @ R, np.eye(6), atol=1e-12)


def test_for_fixed_codes_no_rotation_nearby_is_better(V):
    """The update solves the orthogonal Procrustes problem; the transposed one does not."""
    rng = np.random.RandomState(0)
    start, _ = learn_rotation(V, 0, np.random.RandomState(7))
    B = np.where(V @ start >= 0, 1.0, -1.0)
    R, _ = learn_rotation(V, 1, np.random.RandomState(7))
    best = quantisation_loss(B, V @ R)
    for _ in range(200):
        step = 0.05 * rng.standard_normal((6, 6))
        near = np.linalg.qr(R + step)[0]
        near *= np.sign(np.sum(near * R, axis=0))
        assert quantisation_loss(B, V @ near) >= best - 1e-9


def test_the_hash_functions_are_rotated_principal_directions(V):
    X = V @ np.random.default_rng(2).normal(size=(6, 9)) + 5
    hasher = ITQ(4, random_state=0).fit(X)
    _, _, directions = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    W = hasher.weights_.astype(float)
    np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-5)
    inside = W @ directions[:4].T @ directions[:4]
    np.testing.assert_allclose(inside, W, atol=1e-4)  # the same span
    np.testing.assert_allclose(hasher.project(X).mean(axis=0), 0, atol=1e-4)


def test_codes_do_not_change_when_the_data_are_moved_or_scaled(V):
    codes = ITQ(4, random_state=0).fit(V).transform(V)
    moved = ITQ(4, random_state=0).fit(8 * V + 2).transform(8 * V + 2)
    assert (codes == moved).mean() > 0.95  # rounding may flip values next to 0


def test_a_negative_number_of_rounds_is_refused(V):
    with pytest.raises(ValueError, match="n_iter"):
        ITQ(4, n_iter=-1).fit(V)
