"""Every kernel against the definition, to the last bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hashlearn import engine, linear
from hashlearn.linear import linear_values, squared_distances

KERNELS = [*(engine.native.kernels() if engine.native else ()), "numpy"]


def by_loops(X, weights, bias):
    values = np.empty((len(X), len(weights)), dtype=np.float32)
    for i, x in enumerate(X.tolist()):  # Python's floats are double precision, never fused
        for j, w in enumerate(weights.tolist()):
            total = 0.0
            for a, b in zip(x, w, strict=True):
                total += a * b
            with np.errstate(over="ignore"):
                values[i, j] = np.float32(total + float(bias[j]))
    return values


def make(rng, n, d, n_functions, exponents=0):
    def draw(*shape):
        numbers = rng.standard_normal(shape) * 2.0 ** rng.integers(-exponents, exponents + 1, shape)
        return numbers.astype(np.float32)

    return draw(n, d), draw(n_functions, d), draw(n_functions)


sizes = st.tuples(
    st.integers(0, 60),  # rows
    st.integers(1, 40),  # features
    st.integers(1, 40),  # functions
    st.sampled_from([0, 10, 60]),  # exponents
    st.integers(0, 2**32 - 1),  # seed
)


@given(sizes)
@settings(max_examples=60, deadline=None)
def test_every_kernel_gives_what_loops_give(sizes):
    n, d, n_functions, exponents, seed = sizes
    X, weights, bias = make(np.random.default_rng(seed), n, d, n_functions, exponents)
    expected = by_loops(X, weights, bias).tobytes()
    for kernel in KERNELS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HASHLEARN_KERNEL", kernel)
            assert linear_values(X, weights, bias).tobytes() == expected, kernel


@pytest.mark.parametrize("d", [784, 1024, 4097])
def test_every_kernel_gives_the_same_for_long_rows_on_any_number_of_threads(d, monkeypatch):
    X, weights, bias = make(np.random.default_rng(d), 301, d, 67)
    results = []
    for kernel in KERNELS:
        monkeypatch.setenv("HASHLEARN_KERNEL", kernel)
        for threads in (1, 2, 5):
            monkeypatch.setattr("hashlearn.linear.available_threads", lambda n=threads: n)
            results.append(linear_values(X, weights, bias))
    for one, other in pairwise(results):
        np.testing.assert_array_equal(one, other)
    exact = X.astype(np.longdouble) @ weights.T.astype(np.longdouble) + bias
    np.testing.assert_allclose(results[0], exact, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS)
def test_subnormal_huge_and_cancelling_numbers(kernel, monkeypatch):
    monkeypatch.setenv("HASHLEARN_KERNEL", kernel)
    tiny, huge = np.float32(1e-45), np.float32(3e38)
    X = np.array([[tiny, huge, -huge], [huge, huge, huge], [1, 1, -1]], np.float32)
    weights = np.array([[1, 1, 1], [0.5, huge, huge]], np.float32)
    values = linear_values(X, weights, np.zeros(2, np.float32))
    np.testing.assert_array_equal(values, by_loops(X, weights, np.zeros(2)))
    assert values[0, 0] == 0  # lost beside 3e38, in this order
    assert values[1, 0] == np.inf
    assert values[2, 1] == 0


@pytest.mark.skipif(engine.native is None, reason="the extension is not built")
def test_the_engine_refuses_shapes_that_do_not_fit():
    X, weights, bias = make(np.random.default_rng(0), 3, 4, 5)
    values = np.empty((3, 5), np.float32)
    for wrong in (
        (X[:, :3].copy(), weights, bias, values),
        (X, weights, bias[:4].copy(), values),
        (X, weights, bias, np.empty((2, 5), np.float32)),
        (X, weights, bias, np.empty((3, 4), np.float32)),
    ):
        with pytest.raises(ValueError, match=r"must have the shape|different lengths"):
            engine.native.project(*wrong, 1, "portable")
    with pytest.raises(TypeError):
        engine.native.project(X.astype(np.float64), weights, bias, values, 1, "portable")


def test_squared_distances_are_those_of_the_definition_and_of_no_neighbour():
    rng = np.random.default_rng(0)
    X = (100 + rng.normal(size=(70, 37))).astype(np.float32)
    centers = X[::9].copy()
    found = squared_distances(X, centers)
    expected = ((X[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)
    alone = np.concatenate([squared_distances(row[None], centers) for row in X])
    np.testing.assert_array_equal(found, alone)
    backwards = squared_distances(np.asfortranarray(X)[::-1], centers)[::-1]
    np.testing.assert_array_equal(found, backwards)


def test_sparse_rows_have_the_values_of_dense_ones(monkeypatch):
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((60, 90)) < 0.3, rng.normal(size=(60, 90)), 0).astype(np.float32)
    weights = rng.normal(size=(7, 90)) * 10.0 ** rng.integers(-8, 8, 90)
    weights = weights.astype(np.float32)
    bias = rng.normal(size=7).astype(np.float32)
    expected = linear_values(dense, weights, bias)
    for entries in (1, 200, 1 << 25):  # of one function, of two, of all
        monkeypatch.setattr(linear, "_SPARSE_ENTRIES", entries)
        np.testing.assert_array_equal(linear_values(csr_array(dense), weights, bias), expected)


@pytest.mark.parametrize(("allowed", "threads"), [("1", 1), ("4096", None), ("", None)])
def test_threads_can_be_bounded(allowed, threads, monkeypatch):
    monkeypatch.delenv("HASHLEARN_THREADS", raising=False)
    processors = engine.available_threads()
    monkeypatch.setenv("HASHLEARN_THREADS", allowed)
    assert engine.available_threads() == (threads or processors)


@pytest.mark.parametrize("allowed", ["0", "-1", "two", "1.5"])
def test_a_bound_on_threads_is_a_whole_number(allowed, monkeypatch):
    monkeypatch.setenv("HASHLEARN_THREADS", allowed)
    with pytest.raises(ValueError, match="HASHLEARN_THREADS must be a whole number from 1 on"):
        engine.available_threads()
