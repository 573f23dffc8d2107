"""Exact neighbours of vectors that come a batch at a time, and how many of them are found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlearn.compression.exact import NearestSoFar, neighbor_recall
from hashlearn.evaluation.ground_truth import euclidean_neighbors


def nearest(queries, X, k, sizes):
    near, start = NearestSoFar(queries, k), 0
    for size in [*sizes, len(X)]:
        near.add(X[start : start + size])
        start += size
    return near.ids


@given(st.integers(0, 99), st.integers(1, 12), st.lists(st.integers(0, 30), max_size=6))
def test_any_batches_give_the_exact_neighbours_ties_by_number(seed, k, sizes):
    rng = np.random.default_rng(seed)
    # Whole numbers: float32 is exact, and there are many ties.
    X, queries = (rng.integers(-2, 3, (n, 3)).astype(np.float32) for n in (60, 5))
    expected = euclidean_neighbors(queries, X, k)
    np.testing.assert_array_equal(nearest(queries, X, k, sizes), expected)


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_unit_vectors_have_their_exact_neighbours(size):
    X = np.random.default_rng(0).normal(size=(1000, 24)).astype(np.float32)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    ids = nearest(X[:20], X, 10, [size] * (1000 // size))
    np.testing.assert_array_equal(ids, euclidean_neighbors(X[:20], X, 10))
    assert ids[:, 0].tolist() == list(range(20))


def test_places_without_a_vector_hold_no_number():
    X = np.array([[3, 0], [1, 0]], np.float32)
    near = NearestSoFar(np.zeros((2, 2), np.float32), 3)
    assert near.ids.tolist() == [[-1, -1, -1]] * 2
    near.add(X[:0])
    near.add(X)
    assert near.ids.tolist() == [[1, 0, -1]] * 2


@given(st.integers(0, 99), st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_recall_counts_what_both_have_among_the_first(seed, n_found, n_true, k):
    rng = np.random.default_rng(seed)
    found = np.array([rng.permutation(10)[:n_found] for _ in range(4)])
    true = np.array([rng.permutation(10)[:n_true] for _ in range(4)])
    found[0, -1] = true[0, -1] = -1
    expected = []
    for one, other in zip(found.tolist(), true.tolist(), strict=True):
        hits = 0
        for number in one[:k]:
            hits += number != -1 and number in other[:k]
        expected.append(hits / k)
    np.testing.assert_allclose(neighbor_recall(found, true, k), expected)


def test_places_without_a_vector_are_no_hits():
    empty = np.array([[4, -1, -1]])
    assert neighbor_recall(empty, empty, 3).tolist() == [1 / 3]
