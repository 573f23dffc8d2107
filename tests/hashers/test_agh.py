import math

import numpy as np
import pytest
from sklearn.datasets import make_blobs

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.agh import (
    anchor_graph,
    anchor_weights,
    learn_anchors,
    nearest_anchors,
    second_thresholds,
    second_values,
    smoothest_functions,
)

AGH = get_method("agh")


@pytest.fixture(name="X")
def fixture_X():
    return np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)


@pytest.fixture(name="Z")
def fixture_Z(X):
    nearest, squared = nearest_anchors(X, X[:12], 3)
    return anchor_graph(nearest, anchor_weights(squared, 1.5), 12)


def similarities(Z):
    """Compute A = Z Lambda^-1 Z^T by loops."""
    Z = Z.toarray()
    n, m = Z.shape
    A = np.zeros((n, n))
    for i in range(n):
        for k in range(n):
            for j in range(m):
                A[i, k] += Z[i, j] * Z[k, j] / sum(Z[:, j])
    return A


def test_weights_are_those_of_the_formula(X):
    anchors, sigma = X[:9], 1.3
    nearest, squared = nearest_anchors(X, anchors, 4)
    Z = anchor_graph(nearest, anchor_weights(squared, sigma), 9).toarray()
    for i in range(20):
        distances = [sum((X[i].astype(float) - u) ** 2) for u in anchors]
        chosen = sorted(range(9), key=distances.__getitem__)[:4]
        kernel = {j: math.exp(-distances[j] / sigma**2) for j in chosen}
        row = [kernel.get(j, 0.0) / sum(kernel.values()) for j in range(9)]
        np.testing.assert_allclose(Z[i], row, rtol=1e-5, atol=1e-12)


def test_rows_of_the_graph_sum_to_1_however_far_the_anchors_are(X):
    nearest, squared = nearest_anchors(100 * X, X[:12], 3)
    for sigma in (1e-3, 1.0, 1e3):
        Z = anchor_graph(nearest, anchor_weights(squared, sigma), 12)
        assert (np.diff(Z.indptr) == 3).all()
        np.testing.assert_allclose(Z.sum(axis=1), 1, rtol=1e-12)


def test_without_a_bandwidth_the_nearest_anchors_take_all():
    weights = anchor_weights(np.array([[0.0, 2.0], [3.0, 3.0]]), 0.0)
    np.testing.assert_array_equal(weights, [[1, 0], [0.5, 0.5]])


def test_functions_are_eigenvectors_of_the_similarities_next_to_the_constant_one(Z):
    A = similarities(Z)
    np.testing.assert_allclose(A.sum(axis=1), 1)
    eigenvalues, W = smoothest_functions(Z, 8)
    expected = np.linalg.eigvalsh(A)[::-1]
    assert expected[0] == pytest.approx(1)  # the trivial one
    np.testing.assert_allclose(eigenvalues, expected[1:9], atol=1e-10)
    Y = Z @ W
    np.testing.assert_allclose(A @ Y, Y * eigenvalues, atol=1e-9)
    np.testing.assert_allclose(Y.T @ Y, len(A) * np.eye(8), atol=1e-8)
    np.testing.assert_allclose(Y.sum(axis=0), 0, atol=1e-8)  # perpendicular to the constant


def test_components_of_a_graph_are_told_apart():
    """Eigenvalue 1 is then multiple, and only the constant function is of no use."""
    X, labels = make_blobs(200, 4, centers=3, cluster_std=0.1, random_state=0)
    hasher = AGH(2, n_layers=1, n_anchors=30, n_nearest=2, random_state=0).fit(X)
    np.testing.assert_allclose(hasher.eigenvalues_, 1)
    values = hasher.project(X)
    for label in range(3):
        np.testing.assert_allclose(np.ptp(values[labels == label], axis=0), 0, atol=1e-5)
    centers = [values[labels == label][0] for label in range(3)]
    for one in range(3):
        for other in range(one):
            assert np.abs(centers[one] - centers[other]).max() > 0.1


def test_thresholds_solve_the_balanced_problem(Z):
    """The objective by loops, at the solution and at its neighbours that are balanced too."""
    A = similarities(Z)
    n = len(A)
    _, W = smoothest_functions(Z, 4)
    Y = (Z @ W).astype(np.float32)
    thresholds = second_thresholds(Y, Z)

    def objective(f):
        return 0.5 * sum(A[i, j] * (f[i] - f[j]) ** 2 for i in range(n) for j in range(n))

    for k in range(4):
        n_positive = int((Y[:, k] >= 0).sum())
        T1, T2 = thresholds[:, k]
        f = second_values(Y[:, k], thresholds[:, k]).astype(float)
        for i in range(n):
            y = float(Y[i, k])
            assert f[i] == pytest.approx(y - T1 if y >= 0 else T2 - y, abs=1e-6)
        assert sum(f) == pytest.approx(0, abs=1e-4)
        best = objective(f)
        for step in (-0.1, -0.01, 0.01, 0.1):
            near = T1 + step, T2 + step * n_positive / (n - n_positive)  # keeps the sum
            moved = second_values(Y[:, k], np.array(near)).astype(float)
            assert sum(moved) == pytest.approx(0, abs=1e-4)
            assert objective(moved) > best


def test_thresholds_are_those_of_the_published_formula(Z):
    Z_dense = Z.toarray()
    n, m = Z_dense.shape
    _, W = smoothest_functions(Z, 3)
    Y = (Z @ W).astype(np.float32)
    degrees = [sum(Z_dense[:, j]) for j in range(m)]
    for k, (T1, T2) in enumerate(second_thresholds(Y, Z).T):
        y = Y[:, k].astype(float)
        positive = [i for i in range(n) if y[i] >= 0]
        n1, n2 = len(positive), n - len(positive)
        s3 = sum(y[i] for i in positive)
        left = [sum(Z_dense[i, j] for i in positive) for j in range(m)]
        right = [sum(abs(y[i]) * Z_dense[i, j] for i in range(n)) / degrees[j] for j in range(m)]
        s1 = sum(left[j] * right[j] for j in range(m))
        s2 = n1 - sum(left[j] ** 2 / degrees[j] for j in range(m))
        assert pytest.approx((2 * s3 + n2 * (s3 - s1) / s2) / n, abs=1e-5) == T1
        assert pytest.approx((n1 * (s3 - s1) / s2 - 2 * s3) / n, abs=1e-5) == T2


def test_sides_that_share_no_anchor_are_cut_at_the_mean():
    Z = anchor_graph(np.repeat([0, 1], 4)[:, None], np.ones((8, 1)), 2)
    Y = np.repeat(np.float32([[3], [-3]]), 4, axis=0)
    np.testing.assert_allclose(second_thresholds(Y, Z), [[3], [-3]])


def test_codes_are_first_bits_of_all_functions_and_then_their_second_bits(X):
    hasher = AGH(8, n_anchors=20, random_state=0).fit(X)
    values = hasher.project(X)
    T1, T2 = hasher.thresholds_
    for i in range(len(X)):
        for k in range(4):
            y = values[i, k]
            f = y - T1[k] if y >= 0 else T2[k] - y
            assert values[i, 4 + k] == pytest.approx(f, abs=1e-6)


def test_values_are_those_of_the_graph_of_the_training_vectors(X):
    hasher = AGH(6, n_layers=1, n_anchors=20, n_nearest=3, random_state=0).fit(X)
    nearest, squared = nearest_anchors(X, hasher.anchors_, 3)
    Z = anchor_graph(nearest, anchor_weights(squared, hasher.bandwidth_), len(hasher.anchors_))
    np.testing.assert_allclose(hasher.project(X), Z @ hasher.functions_, atol=1e-5)
    assert hasher.bandwidth_ == pytest.approx(np.sqrt(squared[:, 2]).mean(), rel=1e-5)


def test_an_odd_code_of_two_layers_leaves_out_the_last_second_bit(X):
    odd = AGH(7, n_anchors=20, random_state=0).fit(X)
    even = AGH(8, n_anchors=20, random_state=0).fit(X)
    np.testing.assert_array_equal(odd.project(X), even.project(X)[:, :7])


def test_anchors_are_means_of_their_clusters():
    X, _ = make_blobs(300, 3, centers=4, cluster_std=0.1, random_state=1)
    X = X.astype(np.float32) + 1000
    anchors = learn_anchors(X, 8, 20, np.random.RandomState(0))
    nearest = np.array([np.argmin([sum((x - u) ** 2) for u in anchors]) for x in X.astype(float)])
    for j, anchor in enumerate(anchors):
        np.testing.assert_allclose(anchor, X[nearest == j].mean(axis=0), rtol=1e-5)


def test_more_bits_than_features_are_fine():
    X = np.random.default_rng(1).normal(size=(200, 2))
    assert AGH(24, random_state=0).fit(X).transform(X).shape == (200, 24)


def test_equal_vectors_count_as_one_anchor():
    X = np.repeat(np.random.default_rng(2).normal(size=(9, 3)), 20, axis=0)
    hasher = AGH(4, n_layers=1, n_anchors=50, random_state=0).fit(X)
    assert len(hasher.anchors_) <= 9
    codes = hasher.transform(X)
    np.testing.assert_array_equal(codes, codes[::20].repeat(20, axis=0))


@pytest.mark.parametrize("n_layers", [1, 2])
def test_a_graph_with_too_few_functions_says_what_is_missing(n_layers):
    X = np.random.default_rng(3).normal(size=(100, 3))
    with pytest.raises(ValueError, match=r"n_bits=20 .* takes .* n_anchors=8"):
        AGH(20, n_layers=n_layers, n_anchors=8).fit(X)
    with pytest.raises(ValueError, match="the graph of 1 anchors has 0"):
        AGH(1, n_layers=n_layers).fit(np.ones((10, 3)))


def test_one_layer_takes_a_bit_less_than_there_are_anchors():
    X = np.random.default_rng(4).normal(size=(100, 3))
    hasher = AGH(7, n_layers=1, n_anchors=8, n_nearest=3, random_state=0).fit(X)
    assert len(hasher.eigenvalues_) == 7


def test_constant_features_change_nothing(X):
    wide = np.concatenate([X, np.full((len(X), 2), 7, np.float32)], axis=1)
    hasher = AGH(6, n_anchors=20, random_state=0)
    codes = hasher.fit(X).transform(X)
    np.testing.assert_array_equal(hasher.fit(wide).transform(wide), codes)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"n_layers": 3}, ValueError),
        ({"n_anchors": 1}, ValueError),
        ({"n_nearest": 0}, ValueError),
        ({"n_iter": -1}, ValueError),
        ({"n_anchors": 2.5}, TypeError),
    ],
)
def test_impossible_parameters_are_refused(X, parameters, error):
    with pytest.raises(error, match=next(iter(parameters))):
        AGH(4, **parameters).fit(X)
