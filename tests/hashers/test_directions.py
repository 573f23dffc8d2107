import numpy as np
import pytest
from sklearn.cross_decomposition import CCA
from sklearn.decomposition import PCA

from hashlearn.hashers import directions
from hashlearn.hashers.directions import canonical_directions, principal_directions


def decaying(n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * 0.8 ** np.arange(d) @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    return (X + 3).astype(np.float32)


@pytest.mark.parametrize(("n", "d"), [(500, 20), (15, 40), (300, 300)])
def test_principal_directions_are_those_of_the_singular_value_decomposition(n, d):
    X = decaying(n, d)
    mean, found = principal_directions(X, 6, np.random.RandomState(0))
    double = X.astype(np.float64)
    expected = PCA(6, svd_solver="full").fit(double).components_
    np.testing.assert_allclose(mean, double.mean(axis=0))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("widest", "how"), [(30, "exact"), (10, "randomised")])
def test_wide_vectors_get_the_same_directions(monkeypatch, widest, how):
    X = decaying(25, 60)
    _, expected = principal_directions(X, 4, np.random.RandomState(0))
    monkeypatch.setattr(directions, "_WIDEST", widest)
    for seed in (1, 2):
        _, found = principal_directions(X, 4, np.random.RandomState(seed))
        np.testing.assert_allclose(found, expected, atol=1e-3, err_msg=how)


def test_the_largest_entry_of_each_direction_is_positive():
    for seed in range(5):
        _, found = principal_directions(decaying(100, 8, seed), 8, np.random.RandomState(0))
        assert (found[np.arange(8), np.abs(found).argmax(axis=1)] > 0).all()


def labelled(n=400, n_classes=4):
    rng = np.random.default_rng(3)
    y = rng.integers(0, n_classes, n)
    X = rng.normal(size=(n, 9)) + rng.normal(size=(n_classes, 9))[y]
    return X.astype(np.float32), np.eye(n_classes)[y]


def test_canonical_directions_are_uncorrelated_and_as_long_as_their_correlation():
    X, Y = labelled()
    _, found = canonical_directions(X, Y, 3, 1e-9)
    lengths = np.sqrt(np.diag(found @ np.cov(X.T.astype(np.float64)) @ found.T))
    expected = CCA(3, max_iter=5000, tol=1e-12).fit(X.astype(np.float64), Y)
    scores = expected.transform(X, Y)
    correlations = [np.corrcoef(scores[0][:, k], scores[1][:, k])[0, 1] for k in range(3)]
    np.testing.assert_allclose(lengths, correlations, rtol=1e-4)
    projected = np.cov((X @ found.T).T)
    np.testing.assert_allclose(projected, np.diag(lengths**2), atol=1e-4)


def test_classes_have_one_canonical_direction_less_than_there_are_and_labels_as_many():
    X, Y = labelled()
    assert len(canonical_directions(X, Y, 9, 1e-4)[1]) == 3
    assert len(canonical_directions(X, Y, 2, 1e-4)[1]) == 2
    several = (np.random.default_rng(5).random((400, 5)) < 0.4).astype(float)
    assert len(canonical_directions(X, several, 9, 1e-4)[1]) == 5


def test_features_and_labels_without_variance_do_no_harm():
    X, Y = labelled()
    X[:, 2] = 7
    Y = np.column_stack([Y, np.zeros(400), np.ones(400)])
    _, found = canonical_directions(X, Y, 9, 1e-4)
    assert found.shape == (3, 9)
    np.testing.assert_allclose(found[:, 2], 0, atol=1e-9)
