import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from hashlearn.hashers import blocks
from hashlearn.hashers.moments import Moments


@pytest.fixture(name="X")
def fixture_X():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5003, 7)) @ rng.normal(size=(7, 7)) + rng.normal(0, 100, 7)
    X[:2000] += 30  # batches differ
    return X.astype(np.float32)


@pytest.fixture(autouse=True)
def fixture_small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_ENTRIES", 2048 * 7)


@pytest.mark.parametrize("n_rows", [1, 2, 100, 2048, 2049, 5002, 5003])
def test_batches_of_any_size_give_the_moments_of_all_rows(X, n_rows):
    moments = Moments(7)
    for start in range(0, len(X), n_rows):
        moments.update(X[start : start + n_rows])
    assert moments.n == 5003
    double = X.astype(np.float64)
    np.testing.assert_allclose(moments.mean, double.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(double.T), rtol=1e-10)


def test_rows_far_from_the_origin_keep_their_covariance():
    rng = np.random.default_rng(1)
    X = (rng.integers(0, 3, (3000, 4)) + 1e6).astype(np.float32)  # whole numbers, exact in float32
    moments = Moments(4).update(X[:1700]).update(X[1700:])
    np.testing.assert_allclose(moments.covariance, np.cov((X - np.float32(1e6)).T), rtol=1e-9)


def test_without_the_covariance_there_is_the_mean(X):
    moments = Moments(7, covariance=False).update(X[:10]).update(X[10:])
    np.testing.assert_allclose(moments.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert moments.scatter.nbytes == 0


def test_one_row_varies_in_nothing(X):
    np.testing.assert_array_equal(Moments(7).update(X[:1]).covariance, np.zeros((7, 7)))


def test_the_number_of_threads_does_not_change_a_bit(X):
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            found.append(Moments(7).update(X).scatter)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
