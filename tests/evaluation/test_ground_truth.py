import tracemalloc

import numpy as np
import pytest

from hashlearn.evaluation import LabelTruth, NeighborTruth, euclidean_neighbors
from hashlearn.evaluation import ground_truth as ground_truth_module


def loop_neighbors(queries, database, k):
    lists = []
    for query in queries:
        pairs = sorted((sum((query - item) ** 2), number) for number, item in enumerate(database))
        lists.append([number for _, number in pairs[:k]])
    return np.array(lists)


@pytest.mark.parametrize("block_entries", [1 << 24, 50, 1])
def test_euclidean_neighbors_are_those_of_brute_force_with_ties_by_number(
    monkeypatch, block_entries
):
    monkeypatch.setattr(ground_truth_module, "_BLOCK_ENTRIES", block_entries)
    rng = np.random.default_rng(0)
    database = rng.integers(0, 3, size=(40, 3)).astype(float)  # many equal distances
    queries = rng.integers(0, 3, size=(9, 3)).astype(float)
    for k in (1, 7, 40):
        np.testing.assert_array_equal(
            euclidean_neighbors(queries, database, k), loop_neighbors(queries, database, k)
        )


def test_neighbors_take_little_memory_beside_the_vectors(monkeypatch):
    monkeypatch.setattr(ground_truth_module, "_BLOCK_ENTRIES", 1 << 14)
    rng = np.random.default_rng(3)
    database = rng.normal(size=(20_000, 64)).astype(np.float32)
    tracemalloc.start()
    found = euclidean_neighbors(database[:20], database, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found[:, 0] == np.arange(20)).all()
    assert peak < database.nbytes / 2  # the norms alone take a thirty-second part


def test_pixels_far_from_the_origin_keep_exact_distances():
    rng = np.random.default_rng(1)
    database = rng.integers(0, 256, size=(200, 784)).astype(np.uint8)
    queries = rng.integers(0, 256, size=(5, 784)).astype(np.uint8)
    expected = loop_neighbors(queries.astype(float), database.astype(float), 20)
    np.testing.assert_array_equal(euclidean_neighbors(queries, database, 20), expected)


def test_class_numbers_are_relevant_when_equal_and_never_when_unlabelled():
    truth = LabelTruth([0, 1, -1], [1, 0, -1, 0])
    expected = [
        [False, True, False, True],
        [True, False, False, False],
        [False, False, False, False],
    ]
    np.testing.assert_array_equal(truth.relevant(0, 3), expected)
    np.testing.assert_array_equal(truth.relevant(1, 2), expected[1:2])


@pytest.mark.parametrize("n_classes", [1, 253, 254, 255, 256, 65_533, 65_534, 65_535, 70_000])
def test_any_number_of_classes_is_told_apart(n_classes):
    database = np.r_[np.arange(n_classes), -1, -7] * 3  # whatever the numbers are
    queries = np.r_[0, n_classes - 1, -1, -7, n_classes] * 3
    found = [np.flatnonzero(row).tolist() for row in LabelTruth(queries, database).relevant(0, 5)]
    assert found == [[0], [n_classes - 1], [], [], []]


def test_labels_of_any_whole_type_are_compared_by_their_value():
    large = np.array([2**64 - 1, 2**63, 5, 5 + 2**32], np.uint64)
    truth = LabelTruth(large, np.array([-1, -(2**63), 5, 5 + 2**32], np.int64))
    np.testing.assert_array_equal(truth.relevant(0, 4), np.diag([False, False, True, True]))
    truth = LabelTruth([True, False], np.array([1, 0, 2], np.int8))
    np.testing.assert_array_equal(
        truth.relevant(0, 2), [[True, False, False], [False, True, False]]
    )


def test_one_shared_label_is_enough():
    rng = np.random.default_rng(2)
    queries, database = rng.integers(0, 2, size=(6, 4)), rng.integers(0, 2, size=(9, 4))
    got = LabelTruth(queries, database).relevant(0, 6)
    for i, j in np.ndindex(6, 9):
        shared = any(a and b for a, b in zip(queries[i], database[j], strict=True))
        assert got[i, j] == shared


def test_lists_of_neighbors_become_marks_and_minus_one_is_no_item():
    truth = NeighborTruth([[3, -1], [0, 1]], 4)
    np.testing.assert_array_equal(
        truth.relevant(0, 2), [[False, False, False, True], [True, True, False, False]]
    )


@pytest.mark.parametrize(
    ("queries", "database", "message"),
    [
        ([1], [[1, 0]], "compared"),
        ([[1, 0]], [[1, 0, 1]], "compared"),
        ([], [1], "none empty"),
        ([0.5], [1], "whole"),
        ([[2, 0]], [[1, 0]], "only 0 and 1"),
    ],
)
def test_labels_that_cannot_be_compared_are_refused(queries, database, message):
    with pytest.raises(ValueError, match=message):
        LabelTruth(queries, database)


@pytest.mark.parametrize(
    ("ids", "message"),
    [([[0, 4]], "0 to 3"), ([[-2]], "0 to 3"), ([[1, 1]], "twice"), ([[0.5]], "whole")],
)
def test_lists_that_name_no_item_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        NeighborTruth(ids, 4)


@pytest.mark.parametrize(
    ("queries", "database", "k", "message"),
    [
        ([[0.0]], [[0.0, 1.0]], 1, "shapes"),
        ([[0.0]], [[0.0]], 2, "from 1 to 1"),
        ([[0.0]], [[0.0]], 0, "from 1 to 1"),
        ([[np.nan]], [[0.0]], 1, "NaN"),
        ([[0.0]], [[np.inf]], 1, "NaN"),
    ],
)
def test_vectors_that_have_no_neighbors_are_refused(queries, database, k, message):
    with pytest.raises(ValueError, match=message):
        euclidean_neighbors(queries, database, k)


def test_the_nearest_of_many_neighbours_are_those_of_a_search_for_fewer():
    rng = np.random.default_rng(3)
    queries, database = rng.normal(size=(4, 3)), rng.normal(size=(30, 3))
    many = NeighborTruth(euclidean_neighbors(queries, database, 20), 30)
    for k in (1, 10, 20):
        few = NeighborTruth(euclidean_neighbors(queries, database, k), 30)
        np.testing.assert_array_equal(many.nearest(k).relevant(0, 4), few.relevant(0, 4))
    for k in (0, 21):
        with pytest.raises(ValueError, match="from 1 to 20"):
            many.nearest(k)
