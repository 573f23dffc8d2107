import numpy as np
import pytest

from hashlearn.hashers import get_method

LSH = get_method("lsh")


@pytest.fixture(name="X")
def fixture_X():
    return np.random.default_rng(0).normal(3.0, 1.0, size=(60, 5)).astype(np.float32)


def test_each_bit_says_on_which_side_of_a_hyperplane_through_the_mean_a_vector_lies(X):
    hasher = LSH(7, random_state=0).fit(X)
    mean = [sum(column) / len(column) for column in X.T.tolist()]
    bits = hasher.transform(X)
    for i, j in np.ndindex(60, 7):
        side = sum(w * (x - m) for w, x, m in zip(hasher.weights_[j], X[i], mean, strict=True))
        if abs(side) > 1e-5:
            assert bits[i, j] == (side > 0)


def test_two_vectors_differ_in_a_bit_with_probability_angle_over_pi():
    rng = np.random.default_rng(1)
    n_bits = 20_000
    X = rng.normal(size=(6, 8))
    X = np.concatenate([X, -X])  # the mean is 0: centred angles are the angles
    bits = LSH(n_bits, random_state=0).fit(X).transform(X).astype(int)
    for i, j in np.ndindex(12, 12):
        cosine = X[i] @ X[j] / np.linalg.norm(X[i]) / np.linalg.norm(X[j])
        probability = np.arccos(np.clip(cosine, -1, 1)) / np.pi
        differing = np.abs(bits[i] - bits[j]).mean()
        deviation = np.sqrt(probability * (1 - probability) / n_bits)
        assert abs(differing - probability) <= 4 * deviation + 1e-9


def test_the_hyperplanes_are_standard_normal(X):
    weights = LSH(20_000, random_state=3).fit(X).weights_
    assert abs(weights.mean()) < 0.02
    np.testing.assert_allclose(np.cov(weights.T), np.eye(5), atol=0.05)


@pytest.mark.parametrize("n_bits", [3, 5, 12])
def test_orthogonal_hyperplanes_are_perpendicular_within_each_group(X, n_bits):
    weights = LSH(n_bits, orthogonal=True, random_state=0).fit(X).weights_
    assert weights.shape == (n_bits, 5)
    for start in range(0, n_bits, 5):
        group = weights[start : start + 5]
        np.testing.assert_allclose(group @ group.T, np.eye(len(group)), atol=1e-6)


def test_median_thresholds_halve_the_training_set(X):
    bits = LSH(16, thresholds="median", random_state=0).fit(X).transform(X)
    np.testing.assert_array_equal(bits.sum(axis=0), 30)


def test_unknown_thresholds_are_refused(X):
    with pytest.raises(ValueError, match='"mean" or "median"'):
        LSH(4, thresholds="mode").fit(X)
