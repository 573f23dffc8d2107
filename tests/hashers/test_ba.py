from itertools import product

import numpy as np
import pytest
from scipy.linalg import cho_factor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.svm import LinearSVC

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.ba import (
    best_codes,
    fit_decoder,
    hinge_steps,
    iterative_quantisation,
    keep_better,
    penalised_loss,
    products,
)

BA = get_method("ba")


@pytest.fixture(name="X")
def fixture_X():
    rng = np.random.default_rng(0)
    X = rng.laplace(size=(500, 6)) @ rng.normal(size=(6, 14)) + 0.3 * rng.normal(size=(500, 14))
    return (X - X.mean(axis=0)).astype(np.float32)


@pytest.fixture(name="Z")
def fixture_Z():
    return np.random.default_rng(1).random((500, 4)) < [0.5, 0.3, 0.7, 0.5]


def test_the_loss_is_that_of_the_formula(X, Z):
    rng = np.random.default_rng(2)
    A, b, H = rng.normal(size=(4, 14)), rng.normal(size=14), rng.random((500, 4)) < 0.5
    total = 0.0
    for i in range(500):
        for j in range(14):
            f = b[j] + sum(A[k, j] * Z[i, k] for k in range(4))
            total += (float(X[i, j]) - f) ** 2
        for k in range(4):
            total += 0.7 * (float(Z[i, k]) - float(H[i, k])) ** 2
    assert penalised_loss(X, A, b, Z, H, 0.7) == pytest.approx(total, rel=1e-5)


def test_the_decoder_is_least_squares(X, Z):
    A, b = fit_decoder(X + 3, Z)
    expected = LinearRegression().fit(Z.astype(float), X.astype(float) + 3)
    np.testing.assert_allclose(A.T, expected.coef_, atol=1e-4)
    np.testing.assert_allclose(b, expected.intercept_, atol=1e-4)


def test_constant_and_equal_bits_leave_the_decoder_finite(X, Z):
    odd = np.column_stack([Z, Z[:, 0], np.ones(500, bool), np.zeros(500, bool)])
    A, b = fit_decoder(X, odd)
    plain = fit_decoder(X, Z)
    np.testing.assert_allclose(odd @ A + b, Z @ plain[0] + plain[1], atol=1e-4)
    np.testing.assert_allclose(A[5:], 0, atol=1e-6)


def test_codes_are_the_best_of_all_that_there_are(X):
    rng = np.random.default_rng(3)
    A, b = rng.normal(size=(3, 14)), rng.normal(size=14)
    H = rng.random((500, 3)) < 0.5
    for penalty in (0.0, 2.0, 1e6):
        found = best_codes(X, A, b, H, H, penalty)
        for i in range(50):
            losses = {
                z: ((X[i] - b - np.array(z) @ A) ** 2).sum() + penalty * (np.array(z) != H[i]).sum()
                for z in product([0, 1], repeat=3)
            }
            assert tuple(found[i]) == min(losses, key=losses.__getitem__)
    np.testing.assert_array_equal(found, H)  # of the last penalty


def test_long_codes_never_get_worse(X):
    rng = np.random.default_rng(4)
    A, b = rng.normal(size=(13, 14)), rng.normal(size=14)
    Z, H = rng.random((2, 500, 13)) < 0.5
    for penalty in (0.0, 1.0, 50.0):
        before = penalised_loss(X, A, b, Z, H, penalty)
        assert penalised_loss(X, A, b, best_codes(X, A, b, Z, H, penalty), H, penalty) < before


def test_one_step_from_0_is_ridge_regression(X, Z):
    S = products(X, X) + 2.0 * np.eye(14)
    W, c = hinge_steps(X, Z, cho_factor(S), np.zeros((4, 14)), np.zeros(4), 1)
    expected = Ridge(alpha=2.0).fit(X.astype(float), np.where(Z, 1.0, -1.0))
    np.testing.assert_allclose(W, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(c, expected.intercept_, atol=1e-5)


def test_steps_never_raise_the_hinge_loss_and_end_at_support_vectors(X):
    Z = (X[:, :2] + 0.8 * np.random.default_rng(5).normal(size=(500, 2))) > 0.5
    T = np.where(Z, 1.0, -1.0)

    def losses(W, c):
        return (np.maximum(0, 1 - T * (X.astype(float) @ W.T + c)) ** 2).sum(axis=0)

    factor = cho_factor(products(X, X) + 1e-3 * np.eye(14))
    solution = np.zeros((2, 14)), np.zeros(2)
    last = losses(*solution)
    for _ in range(200):
        solution = hinge_steps(X, Z, factor, *solution, 1)
        assert (losses(*solution) <= last * (1 + 1e-6)).all()
        last = losses(*solution)
    for bit in range(2):
        svm = LinearSVC(C=1e4, dual=False, max_iter=5000, tol=1e-8).fit(X.astype(float), Z[:, bit])
        best = losses(np.repeat(svm.coef_, 2, axis=0), svm.intercept_)[bit]
        assert last[bit] == pytest.approx(best, rel=1e-3)


def test_a_bit_keeps_its_classifier_where_the_new_one_is_no_better():
    Z = np.array([[1, 1, 1], [0, 0, 0]], bool)
    H = np.array([[1, 0, 1], [1, 1, 0]], bool)
    new_H = np.array([[0, 1, 0], [0, 0, 0]], bool)  # as good, better, worse
    old = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    new = np.ones((3, 2), np.float32), np.ones(3, np.float32)
    (weights, bias), kept = keep_better(Z, old, H, new, new_H)
    np.testing.assert_array_equal(bias, [0, 1, 0])
    np.testing.assert_array_equal(weights, [[0, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(kept, [[1, 1, 1], [1, 0, 0]])


def test_the_first_codes_are_those_of_iterative_quantisation(X):
    W = iterative_quantisation(X, products(X, X), 4, np.random.RandomState(3))
    itq = get_method("itq")(4, random_state=np.random.RandomState(3)).fit(X)
    directions = np.linalg.svd(X)[2][:4]
    np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(W @ directions.T @ directions, W, atol=1e-5)
    loss = np.square(np.abs(X @ W.T) - 1).sum() / len(X)
    assert loss == pytest.approx(itq.losses_[-1], rel=0.1)


@pytest.mark.parametrize("encoder", ["svm", "ridge"])
@pytest.mark.parametrize("n_bits", [6, 12])  # all codes are tried, or some
def test_losses_never_rise_while_the_penalty_stays(X, encoder, n_bits):
    hasher = BA(n_bits, encoder=encoder, n_rounds=6, n_validation=0, random_state=0).fit(X)
    assert hasher.penalties_[0] == 0
    assert (np.diff(hasher.penalties_) >= 0).all()
    same = np.diff(hasher.penalties_) == 0
    assert (np.diff(hasher.losses_)[same] <= 1e-5 * hasher.losses_[0]).all()
    assert np.diff(hasher.losses_)[same].min() < -1e-4 * hasher.losses_[0]


@pytest.mark.parametrize("encoder", ["svm", "ridge"])
def test_at_the_end_the_codes_are_the_encoders(X, encoder):
    """So the last loss is the autoencoder's own, and the penalty adds nothing to it."""
    shifted = X + np.float32(5)
    hasher = BA(8, encoder=encoder, n_validation=0, random_state=0).fit(shifted)
    assert hasher.agrees_
    H = hasher.transform(shifted).astype(bool)
    A, b = fit_decoder(shifted, H)
    np.testing.assert_allclose(hasher.decoder_weights_, A, atol=1e-4)
    np.testing.assert_allclose(hasher.decoder_bias_, b, atol=1e-4)
    own = penalised_loss(shifted, A, b, H, H, 0.0) / len(X)
    assert hasher.losses_[-1] == pytest.approx(own, rel=1e-5)


def test_codes_reconstruct_better_than_the_first_ones(X):
    def loss(hasher):
        H = hasher.transform(X).astype(bool)
        return penalised_loss(X, *fit_decoder(X, H), H, H, 0.0)

    first = get_method("itq")(8, random_state=0).fit(X)
    for encoder, share in (("svm", 0.97), ("ridge", 1.0)):
        fitted = BA(8, encoder=encoder, n_validation=0, random_state=0).fit(X)
        assert loss(fitted) < share * loss(first)


def test_fitting_goes_back_when_neighbours_are_lost(X, monkeypatch):
    shares = iter([0.5, 0.6, 0.4, 0.9])
    seen = []

    def precision(_, H):
        seen.append(H)
        return next(shares)

    monkeypatch.setattr("hashlearn.hashers.shallow.ba._Watched.precision", precision)
    hasher = BA(4, random_state=0).fit(X)
    np.testing.assert_array_equal(hasher.precisions_, [0.5, 0.6, 0.4])
    np.testing.assert_array_equal(hasher.transform(X), seen[1])
    assert len(hasher.losses_) == 6
    assert not hasher.agrees_


def test_the_precision_is_that_of_the_nearest_codes():
    from hashlearn.hashers.shallow.ba import _Watched

    rng = np.random.default_rng(6)
    X = rng.normal(size=(60, 3)).astype(np.float32)
    H = rng.random((60, 5)) < 0.5
    watched = _Watched(X, 7, np.random.RandomState(0))
    assert len({*watched.queries, *watched.others}) == 60
    hits = 0
    for query in watched.queries:
        near = sorted(watched.others, key=lambda i: ((X[i] - X[query]) ** 2).sum())[:10]
        found = sorted(watched.others, key=lambda i: (H[i] != H[query]).sum())[:10]  # stable
        hits += len({*near} & {*found})
    assert watched.precision(H) == pytest.approx(hits / 70)


def test_codes_are_drawn_by_the_decoder(X):
    hasher = BA(6, random_state=0).fit(X)
    drawn = hasher.reconstruct(hasher.encode(X))
    expected = hasher.transform(X[:3]) @ hasher.decoder_weights_ + hasher.decoder_bias_
    np.testing.assert_allclose(drawn[:3], expected, rtol=1e-4, atol=1e-4)
    assert np.square(drawn - X).sum() < 0.7 * np.square(X - X.mean(axis=0)).sum()


def test_the_scale_of_vectors_has_no_say(X):
    one = BA(6, random_state=0).fit(X)
    other = BA(6, random_state=0).fit(1024 * X)
    np.testing.assert_array_equal(one.transform(X), other.transform(1024 * X))


def test_constant_data_and_equal_vectors_are_no_obstacle(X):
    assert BA(2, random_state=0).fit(np.ones((20, 4))).transform(np.ones((3, 4))).shape == (3, 2)
    wide = np.concatenate([X, np.full((500, 3), 7, np.float32)], axis=1)
    hasher = BA(6, random_state=0).fit(wide)
    np.testing.assert_allclose(hasher.decoder_bias_[-3:], 7, atol=1e-5)
    np.testing.assert_allclose(hasher.decoder_weights_[:, -3:], 0, atol=1e-5)
    assert BA(3, random_state=0).fit(np.repeat(X[:5], 4, axis=0)).transform(X).shape == (500, 3)


def test_few_samples_are_fitted_without_watching(X):
    hasher = BA(3, random_state=0).fit(X[:4])
    assert hasher.transform(X[:4]).shape == (4, 3)


def test_more_bits_than_features_or_samples_are_refused(X):
    with pytest.raises(ValueError, match="n_bits=15, n_features=14"):
        BA(15).fit(X)
    with pytest.raises(ValueError, match="n_bits=5, n_features=14, n_samples=4"):
        BA(5).fit(X[:4])


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"encoder": "forest"}, ValueError),
        ({"penalty": 0}, ValueError),
        ({"growth": 1}, ValueError),
        ({"n_rounds": 0}, ValueError),
        ({"n_validation": -1}, ValueError),
        ({"growth": "fast"}, TypeError),
    ],
)
def test_impossible_parameters_are_refused(X, parameters, error):
    with pytest.raises(error, match=next(iter(parameters))):
        BA(4, **parameters).fit(X)
