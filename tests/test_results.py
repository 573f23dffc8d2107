"""What a search returns."""

import numpy as np
import pytest

from hashlearn import results
from hashlearn.results import (
    NO_ID,
    DistanceCounts,
    Neighbors,
    Pairs,
    RadiusNeighbors,
    group_pairs,
)


def make_radius_neighbors():
    return RadiusNeighbors(
        np.array([7, 2, 7], np.int32), np.array([0, 3, 1]), np.array([0, 2, 2, 3], np.int32)
    )


def test_neighbors_have_the_documented_types():
    found = Neighbors(np.array([[7, 2, NO_ID]], np.int32), np.array([[0, 3, 9]], np.uint16))
    assert (len(found), found.k, type(found.k)) == (1, 3, int)
    assert (found.ids.dtype, found.distances.dtype) == (np.int64, np.int32)
    assert found.ids.tolist() == [[7, 2, -1]]
    assert found.distances.tolist() == [[0, 3, 9]]


def test_results_of_the_right_type_are_not_copied():
    ids, distances = np.array([[1]]), np.array([[2]], np.int32)
    found = Neighbors(ids, distances)
    assert np.shares_memory(found.ids, ids)
    assert np.shares_memory(found.distances, distances)
    assert ids.flags.writeable


def test_results_are_frozen():
    for found in (Neighbors(np.array([[1]]), np.array([[2]])), make_radius_neighbors()):
        with pytest.raises(AttributeError, match="cannot assign"):
            found.ids = np.array([[3]])
        for array in vars(found).values():
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 5


def test_neighbors_of_no_queries_or_no_places_are_results():
    for shape in [(0, 3), (3, 0), (0, 0)]:
        found = Neighbors(np.empty(shape, np.int64), np.empty(shape, np.int32))
        assert (len(found), found.k) == shape


@pytest.mark.parametrize(
    ("ids", "distances"), [((2,), (2,)), ((1, 2), (2, 1)), ((1, 2, 3), (1, 2, 3)), ((), ())]
)
def test_neighbors_that_do_not_fit_are_refused(ids, distances):
    with pytest.raises(ValueError, match=r"must have the same shape \(q, k\), got"):
        Neighbors(np.zeros(ids, np.int64), np.zeros(distances, np.int32))


def test_radius_neighbors_are_taken_apart_by_query():
    found = make_radius_neighbors()
    assert len(found) == 3
    assert [(ids.tolist(), bits.tolist()) for ids, bits in found] == [
        ([7, 2], [0, 3]),
        ([], []),
        ([7], [1]),
    ]
    assert found[-1][0].tolist() == found[np.int64(2)][0].tolist() == [7]
    for array, dtype in zip(vars(found).values(), (np.int64, np.int32, np.int64), strict=True):
        assert array.dtype == dtype


@pytest.mark.parametrize("query", [3, -4])
def test_a_query_that_there_was_not_is_refused(query):
    with pytest.raises(IndexError, match=f"there are 3 queries, got number {query}"):
        make_radius_neighbors()[query]


def test_radius_neighbors_of_no_queries_are_a_result():
    found = RadiusNeighbors(np.empty(0, np.int64), np.empty(0, np.int32), np.array([0]))
    assert len(found) == 0
    assert list(found) == []


@pytest.mark.parametrize(
    ("ids", "distances", "offsets"),
    [
        ([1, 2], [1], [0, 2]),
        ([1], [1, 2], [0, 2]),
        ([[1]], [[1]], [0, 1]),
        ([1], [1], [[0, 1]]),
        ([1], [1], []),
        ([1], [1], [1]),
        ([1], [1], [0]),
        ([1], [1], [0, 2]),
        ([1], [1], [1, 1]),
        ([1, 2, 3], [1, 2, 3], [0, 2, 1, 3]),
        (1, 1, 0),
    ],
)
def test_radius_neighbors_that_do_not_fit_are_refused(ids, distances, offsets):
    for dtype in (np.int64, np.uint64):
        with pytest.raises(ValueError, match="must be flat and equally long"):
            RadiusNeighbors(np.array(ids), np.array(distances), np.array(offsets, dtype))


@pytest.mark.parametrize("dtype", [np.float64, bool])
def test_results_that_are_not_whole_numbers_are_refused(dtype):
    numbers, odd = np.array([[1]]), np.array([[1]], dtype)
    with pytest.raises(TypeError, match="ids must be integers, got"):
        Neighbors(odd, numbers)
    with pytest.raises(TypeError, match="distances must be integers, got"):
        Neighbors(numbers, odd)
    with pytest.raises(TypeError, match="offsets must be integers, got"):
        RadiusNeighbors(numbers[0], numbers[0], np.array([0, 1]).astype(dtype))


@pytest.mark.parametrize(
    ("arrays", "error"),
    [
        (([1], [2, 3], [0]), ValueError),
        (([[1]], [[2]], [[0]]), ValueError),
        (([1.5], [2], [0]), TypeError),
    ],
)
def test_pairs_that_do_not_belong_together_are_refused(arrays, error):
    with pytest.raises(error):
        Pairs(*map(np.array, arrays))


def test_pairs_are_frozen():
    pairs = Pairs(np.array([1]), np.array([2]), np.array([0]))
    assert len(pairs) == 1
    with pytest.raises(ValueError, match="read-only"):
        pairs.distances[0] = 3


def connected(pairs):
    """Join pairs into sets, one pair after the other."""
    groups = []
    for pair in pairs:
        touched = [group for group in groups if group & set(pair)]
        groups = [group for group in groups if group not in touched]
        groups.append(set(pair).union(*touched))
    return sorted(sorted(group) for group in groups)


@pytest.mark.parametrize("at_once", [0, 3, 1000])
@pytest.mark.parametrize("n_pairs", [0, 1, 10, 40, 300])
def test_groups_are_what_chains_of_pairs_connect(monkeypatch, at_once, n_pairs):
    monkeypatch.setattr(results, "_PAIRS_AT_ONCE", at_once)
    rng = np.random.default_rng(n_pairs)
    ids = np.concatenate([np.arange(60), 2**62 + np.arange(40)])
    pairs = np.sort(rng.choice(ids, (n_pairs, 2)), axis=1)
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    parts = [
        Pairs(part[:, 0], part[:, 1], np.zeros(len(part), np.int32))
        for part in np.array_split(pairs, 7)
    ]
    groups = group_pairs(iter(parts))
    assert [group.tolist() for group in groups] == connected(pairs.tolist())
    assert all(group.dtype == np.int64 for group in groups)


def test_a_long_chain_is_one_group():
    n = 100_000
    pairs = Pairs(np.arange(n), np.arange(1, n + 1), np.zeros(n, np.int32))
    (group,) = group_pairs([pairs])
    np.testing.assert_array_equal(group, np.arange(n + 1))


def test_counts_by_distance_are_checked():
    good = np.array([[1, 2]])
    with pytest.raises(ValueError, match="one shape"):
        DistanceCounts(good, np.array([[1]]))
    with pytest.raises(ValueError, match="negative"):
        DistanceCounts(good, np.array([[-1, 0]]))
    with pytest.raises(ValueError, match="more relevant items"):
        DistanceCounts(good, np.array([[2, 0]]))
    with pytest.raises(TypeError, match="integers"):
        DistanceCounts(good, np.array([[0.5, 0.0]]))
    for levels in ([0.0], [1.0, 1.0], [2.0, 1.0], [0.0, np.nan]):
        with pytest.raises(ValueError, match="2 rising distances"):
            DistanceCounts(good, good, levels=np.array(levels))
    counts = DistanceCounts(good, np.array([[1, 0]]), np.array([[7, 0]]))
    assert (len(counts), counts.n_levels) == (1, 2)
    assert not counts.gains.flags.writeable
