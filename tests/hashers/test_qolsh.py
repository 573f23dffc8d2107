import numpy as np
import pytest

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.qolsh import flip_gains, flip_signs

QoLSH = get_method("qolsh")


@pytest.fixture(name="X")
def fixture_X():
    return np.random.default_rng(0).normal(3.0, 1.0, size=(200, 6)).astype(np.float32)


def objective(x, W, b):
    """x^T W b / |W b| by plain sums."""
    point = [sum(w * s for w, s in zip(row, b, strict=True)) for row in W]
    length = sum(p * p for p in point) ** 0.5
    return sum(v * p for v, p in zip(x, point, strict=True)) / length


def frame_of(hasher):
    return hasher.weights_.T.astype(np.float64)


def test_the_objective_and_what_a_flip_gains_follow_the_formula():
    rng = np.random.default_rng(1)
    W = np.linalg.qr(rng.normal(size=(7, 3)))[0].T
    X, B = rng.normal(size=(5, 3)), rng.choice([-1.0, 1.0], size=(5, 7))
    found, gains = flip_gains(B, X @ W, B @ W.T @ W, np.square(W).sum(axis=0))
    for i in range(5):
        assert found[i] == pytest.approx(objective(X[i], W, B[i]))
        for k in range(7):
            flipped = B[i].copy()
            flipped[k] = -flipped[k]
            gain = objective(X[i], W, flipped) - objective(X[i], W, B[i])
            assert gains[i, k] == pytest.approx(gain)


@pytest.mark.parametrize("n_bits", [6, 9, 30])
def test_the_frame_is_tight(X, n_bits):
    hasher = QoLSH(n_bits, random_state=0).fit(X)
    W = frame_of(hasher)
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(hasher.gram_, W.T @ W, atol=1e-6)
    np.testing.assert_allclose(hasher.bias_, -W.T @ X.mean(axis=0), atol=1e-5)


def test_as_many_bits_as_dimensions_are_the_signs_whatever_may_be_flipped(X):
    signs = QoLSH(6, n_flips=0, random_state=0).fit(X).transform(X)
    hasher = QoLSH(6, n_flips=None, random_state=0).fit(X)
    np.testing.assert_array_equal(hasher.transform(X), signs)
    W = frame_of(hasher)
    np.testing.assert_array_equal(signs, (X - X.mean(axis=0)) @ W >= 0)


@pytest.mark.parametrize("n_bits", [7, 12, 24])
def test_no_flip_of_one_bit_improves_a_code_and_none_is_worse_than_the_signs(X, n_bits):
    signs = QoLSH(n_bits, n_flips=0, random_state=0).fit(X)
    hasher = QoLSH(n_bits, n_flips=None, random_state=0).fit(X)
    W, centred = frame_of(hasher), X - X.mean(axis=0, dtype=np.float64)
    B, start = 2.0 * hasher.transform(X) - 1, 2.0 * signs.transform(X) - 1
    improved = 0
    for x, b, s in zip(centred[:40], B, start, strict=False):
        best = objective(x, W, b)
        assert best >= objective(x, W, s) - 1e-6
        improved += best > objective(x, W, s) + 1e-3
        for k in range(n_bits):
            flipped = b.copy()
            flipped[k] = -flipped[k]
            assert objective(x, W, flipped) <= best + 1e-5
    assert improved > 10


def test_the_objective_never_falls_from_flip_to_flip_and_each_is_the_best(X):
    hasher = QoLSH(20, random_state=0).fit(X)
    W, V = frame_of(hasher), (X - X.mean(axis=0)) @ hasher.weights_.T
    before, _ = flip_signs(V, hasher.gram_, 0)
    for n_flips in range(1, 30):
        after, _ = flip_signs(V, hasher.gram_, n_flips)
        changed = before != after
        assert (changed.sum(axis=1) <= 1).all()
        for row in np.flatnonzero(changed.any(axis=1))[:20]:
            x = W @ V[row]
            trials = [np.where(np.arange(20) == k, -1, 1) * before[row] for k in range(20)]
            values = [objective(x, W, trial) for trial in trials]
            assert objective(x, W, after[row]) == pytest.approx(max(values), rel=1e-6)
            assert objective(x, W, after[row]) > objective(x, W, before[row])
        if not changed.any():
            break
        before = after
    assert 3 < n_flips < 29  # they end by themselves
    np.testing.assert_array_equal(flip_signs(V, hasher.gram_)[0], after)


def test_a_value_is_what_the_objective_loses_with_the_bit(X):
    hasher = QoLSH(10, n_flips=None, random_state=0).fit(X)
    W, centred = frame_of(hasher), X - X.mean(axis=0, dtype=np.float64)
    values, B = hasher.project(X), 2.0 * hasher.transform(X) - 1
    for i, k in np.ndindex(10, 10):
        flipped = B[i].copy()
        flipped[k] = -flipped[k]
        loss = objective(centred[i], W, B[i]) - objective(centred[i], W, flipped)
        assert values[i, k] == pytest.approx(max(loss, 0) * B[i, k], abs=1e-4)
    assert (values != 0).all()


def test_a_code_points_closer_to_its_vector_the_more_flips_there_may_be(X):
    W, centred = None, X - X.mean(axis=0, dtype=np.float64)
    means = []
    for n_flips in (0, 1, 2, 4, None):
        hasher = QoLSH(24, n_flips=n_flips, random_state=0).fit(X)
        W = frame_of(hasher)
        B = 2.0 * hasher.transform(X) - 1
        means.append(np.mean([objective(x, W, b) for x, b in zip(centred, B, strict=True)]))
    assert (np.diff(means) > 0).all()


def test_components_are_taken_as_if_before(X):
    from sklearn.decomposition import PCA

    X = X @ np.diag([5.0, 4, 3, 2, 1, 0.5]).astype(np.float32)
    inside = QoLSH(8, n_components=3, random_state=0).fit(X)
    reduced = PCA(3, svd_solver="covariance_eigh").fit_transform(X)
    before = QoLSH(8, random_state=0).fit(reduced)
    assert (inside.transform(X) == before.transform(reduced)).mean() > 0.999  # but for rounding


def test_equal_vectors_and_constant_features_have_codes(X):
    X = np.hstack([X, np.ones((200, 2), np.float32)])
    X[:50] = X[0]
    codes = QoLSH(16, random_state=0).fit(X).encode(X)
    assert len(np.unique(codes[:50], axis=0)) == 1
    same = np.full((10, 4), 2.0, np.float32)
    hasher = QoLSH(8, random_state=0).fit(same)
    assert len(np.unique(hasher.encode(same), axis=0)) == 1
    assert np.isfinite(hasher.project(same)).all()


@pytest.mark.parametrize(
    ("n_bits", "options", "error", "message"),
    [
        (
            5,
            {},
            ValueError,
            r"n_bits=5, n_features=6.*principal components.*n_components=5 or less",
        ),
        (5, {"n_components": 6}, ValueError, "n_bits=5, n_features=6, n_components=6"),
        (9, {"n_components": 7}, ValueError, "n_components=7, n_features=6, n_samples=200"),
        (9, {"n_components": 0}, ValueError, "n_components"),
        (9, {"n_components": 2.5}, TypeError, "n_components"),
        (9, {"n_flips": -1}, ValueError, "n_flips"),
    ],
)
def test_what_is_impossible_is_refused(X, n_bits, options, error, message):
    with pytest.raises(error, match=message):
        QoLSH(n_bits, **options).fit(X)
