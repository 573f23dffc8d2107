from itertools import permutations, product
from math import log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from hashlearn.evaluation import GroundTruth, LabelTruth, Protocol, Rankings, TieGroups, evaluate
from hashlearn.evaluation import ground_truth as ground_truth_module
from hashlearn.results import DistanceCounts, Neighbors


def loop_dcg(gains, k):
    return sum(gain / log2(1 + rank) for rank, gain in enumerate(gains[:k], start=1))


def loop_ndcg(gains, all_gains, k):
    return loop_dcg(gains, k) / loop_dcg(sorted(all_gains, reverse=True), k)


rankings = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=6
).map(lambda pairs: sorted(pairs, key=lambda pair: pair[1]))  # fmt: skip


@given(ranking=rankings, k=st.integers(1, 8))
def test_expected_ndcg_is_the_mean_over_all_orders_of_ties(ranking, k):
    gains, distances = np.array(ranking).T
    all_gains = [*gains.tolist(), 2]  # one relevant item is not found
    groups = [gains[distances == distance].tolist() for distance in sorted(set(distances))]
    orders = [sum(choice, ()) for choice in product(*(list(permutations(g)) for g in groups))]
    ideal = [loop_dcg(sorted(all_gains, reverse=True), k)]
    n_relevant = [np.count_nonzero(all_gains)]
    judged = Rankings([gains > 0], [distances], n_relevant, [gains])
    expected = np.mean([loop_ndcg(order, all_gains, k) for order in orders])
    np.testing.assert_allclose(judged.ndcg_at(k, ideal), expected)
    stable = loop_ndcg(gains.tolist(), all_gains, k)
    np.testing.assert_allclose(judged.ndcg_at(k, ideal, ties="stable"), stable)


@given(ranking=rankings, k=st.integers(1, 8))
def test_without_grades_every_relevant_item_gains_one(ranking, k):
    gains, distances = np.array(ranking).T
    hits = gains > 0
    judged = Rankings([hits], [distances], [hits.sum() + 1])
    groups = [hits[distances == distance].tolist() for distance in sorted(set(distances))]
    orders = [sum(choice, ()) for choice in product(*(list(permutations(g)) for g in groups))]
    expected = np.mean([loop_ndcg(order, [*hits, 1], k) for order in orders])
    np.testing.assert_allclose(judged.ndcg_at(k), expected)
    stable = loop_ndcg(hits.tolist(), [*hits, 1], k)
    np.testing.assert_allclose(judged.ndcg_at(k, ties="stable"), stable)


@pytest.fixture(name="case")
def fixture_case():
    rng = np.random.default_rng(0)
    labels = (rng.random((90, 6)) < 0.4).astype(int)
    labels[3] = 0  # a query without a label
    labels[:10, 5] = labels[10:, 4] = 0
    distances = rng.integers(0, 8, (10, 80))
    return labels[:10], labels[10:], distances


def shared_labels(queries, database):
    return np.array([[sum(a * b) for b in database] for a in queries])


@pytest.mark.parametrize("gain", ["exponential", "linear", "binary"])
@pytest.mark.parametrize("block_entries", [1 << 24, 200])
def test_ndcg_is_that_of_scikit_learn_with_ties(case, gain, block_entries, monkeypatch):
    monkeypatch.setattr(ground_truth_module, "_BLOCK_ENTRIES", block_entries)
    queries, database, distances = case
    shared = shared_labels(queries, database)
    gains = {"exponential": 2**shared - 1, "linear": shared, "binary": shared > 0}[gain]
    protocol = Protocol(truth="shared_labels", gain=gain, ndcg_at=(1, 7, 200))
    truth = protocol.ground_truth(queries, database, queries, database)
    np.testing.assert_array_equal(truth.gains(0, 10), gains)
    np.testing.assert_array_equal(truth.gains(2, 5), gains[2:5])
    assert truth.graded == (gain != "binary")
    counts = np.zeros((3, 10, 8), dtype=np.int64)
    for query, item in np.ndindex(10, 80):
        worth = gains[query, item]
        counts[:, query, distances[query, item]] += [1, worth > 0, worth]
    ids = np.argsort(distances, axis=1, kind="stable")
    found = Neighbors(ids, np.take_along_axis(distances, ids, axis=1))
    with_gains = DistanceCounts(counts[0], counts[1], counts[2] if truth.graded else None)
    for results in (found, with_gains):
        scores = evaluate(results, truth, protocol)
        for k in protocol.ndcg_at:
            for query in range(10):
                expected = ndcg_score(gains[query][None], -distances[query][None], k=k)
                if not gains[query].any():
                    expected = np.nan
                assert scores.per_query[f"ndcg_at_{k}"][query] == pytest.approx(
                    expected, nan_ok=True
                )
            mean = np.nan_to_num(scores.per_query[f"ndcg_at_{k}"]).mean()
            assert scores.ndcg_at[k] == pytest.approx(mean)
            assert scores.as_dict()[f"ndcg_at_{k}"] == scores.ndcg_at[k]


def test_blocks_are_compared_with_their_own_ideal(case):
    queries, database, distances = case
    truth = LabelTruth(queries, database)
    ids = np.argsort(distances, axis=1, kind="stable")
    near = np.take_along_axis(distances, ids, axis=1)
    whole = evaluate(Neighbors(ids, near), truth, Protocol(ndcg_at=(5,)))
    parts = [
        Neighbors(ids[start : start + 3], near[start : start + 3]) for start in range(0, 10, 3)
    ]
    np.testing.assert_allclose(
        evaluate(parts, truth, Protocol(ndcg_at=(5,))).per_query["ndcg_at_5"],
        whole.per_query["ndcg_at_5"],
    )


def test_places_without_an_item_gain_nothing():
    truth = LabelTruth([[1, 1]], [[1, 1], [1, 0], [0, 1]])
    found = Neighbors(np.array([[1, -1, -1]]), np.array([[0, 9, 9]]))
    for ties in ("expected", "stable"):
        scores = evaluate(found, truth, Protocol(ndcg_at=(3,), ties=ties))
        assert scores.ndcg_at[3] == pytest.approx(1 / loop_dcg([3, 1, 1], 3))


def test_the_ideal_is_computed_once_for_all_methods(case, monkeypatch):
    truth = LabelTruth(*case[:2])
    first = truth.ideal_dcg(4)
    monkeypatch.setattr(truth, "gains", None)
    assert truth.ideal_dcg(4) is first


def test_a_ground_truth_of_ones_own_is_not_graded_unless_it_says_so():
    class Evens(GroundTruth):
        n_queries, n_database = 2, 5

        def relevant(self, start, stop):
            return np.tile(np.arange(5) % 2 == 0, (stop - start, 1))

    truth = Evens()
    assert not truth.graded
    assert truth.gains(0, 2).tolist() == [[1, 0, 1, 0, 1]] * 2
    assert truth.gains(0, 2).dtype == np.uint16
    np.testing.assert_allclose(truth.ideal_dcg(2), 1 + 1 / log2(3))


def test_gains_that_are_missing_or_too_large_are_refused(case):
    queries, database, _ = case
    truth = LabelTruth(queries, database)
    counts = DistanceCounts(np.full((10, 1), 80), np.full((10, 1), 3))
    with pytest.raises(ValueError, match="counts hold no gains"):
        evaluate(counts, truth, Protocol(truth="shared_labels"))
    assert evaluate(counts, truth, Protocol(ndcg_at=())).ndcg_at == {}
    with pytest.raises(ValueError, match="hold no gains"):
        TieGroups(counts).ndcg_at(3, np.ones(10))
    with pytest.raises(ValueError, match="hold no gains"):
        Rankings([[True]], [[0]], [1]).ndcg_at(3, [1.0], ties="stable")
    with pytest.raises(ValueError, match="same shape as relevant"):
        Rankings([[True]], [[0]], [1], [[1, 2]])
    with pytest.raises(ValueError, match="at least 1"):
        truth.ideal_dcg(0)
    ones = np.ones((1, 17), dtype=int)
    with pytest.raises(ValueError, match=r"share 17 labels.*16 at most"):
        LabelTruth(ones, ones).gains(0, 1)
    assert LabelTruth(ones, ones, "linear").gains(0, 1) == 17
    assert LabelTruth(ones[:, :16], ones[:, :16]).gains(0, 1) == 2**16 - 1
    with pytest.raises(ValueError, match="gain must be one of"):
        LabelTruth([1], [1], "double")
