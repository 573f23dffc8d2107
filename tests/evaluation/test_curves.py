import numpy as np
import pytest

from hashlearn.codes import hamming_distances
from hashlearn.evaluation import (
    NeighborTruth,
    Protocol,
    TieGroups,
    distance_distributions,
    euclidean_neighbors,
    evaluate,
    f1_score,
    lookup,
    pooled_pr_area,
    pooled_pr_areas,
    pr_curve_by_radius,
    pr_curve_by_rank,
    precision_at_ranks,
    recall_at_ranks,
)
from hashlearn.results import DistanceCounts


@pytest.fixture(name="pairs")
def fixture_pairs():
    """Make distances and marks of 9 queries and 60 items; query 4 has no relevant item."""
    rng = np.random.default_rng(0)
    distances = rng.integers(1, 9, (9, 60))
    distances[2] = np.maximum(distances[2], 5)  # finds nothing within a small radius
    relevant = rng.random((9, 60)) < 0.2
    relevant[4] = False
    return distances, relevant


@pytest.fixture(name="counts")
def fixture_counts(pairs):
    distances, relevant = pairs
    retrieved, hits = np.zeros((2, 9, 10), dtype=np.int64)
    for query, item in np.ndindex(9, 60):
        retrieved[query, distances[query, item]] += 1
        hits[query, distances[query, item]] += relevant[query, item]
    return DistanceCounts(retrieved, hits)


@pytest.mark.parametrize("empty", ["zero", "skip"])
@pytest.mark.parametrize("missing", [0, 3])
def test_curves_by_rank_are_the_metrics_rank_by_rank(counts, empty, missing):
    total = counts.hits.sum(axis=1)
    total[total > 0] += missing
    groups = TieGroups(counts, total)
    some = np.arange(9) != 4
    ranks = [*range(1, 61), 200]
    given = total if missing else None
    precision, recall = pr_curve_by_rank(counts, ranks, n_relevant=given, empty=empty)
    n_queries = 9 if empty == "zero" else 8
    for place, rank in enumerate(ranks):
        assert precision[place] == pytest.approx(groups.precision_at(rank)[some].sum() / n_queries)
        assert recall[place] == pytest.approx(groups.recall_at(rank)[some].sum() / n_queries)
    options = {"n_relevant": given, "empty": empty}
    np.testing.assert_array_equal(precision_at_ranks(counts, ranks, **options), precision)
    np.testing.assert_array_equal(recall_at_ranks(counts, np.array(ranks), **options), recall)


@pytest.mark.parametrize("empty", ["zero", "skip"])
@pytest.mark.parametrize("unfound", ["zero", "skip"])
def test_curves_by_radius_count_items_query_by_query(pairs, counts, empty, unfound):
    distances, relevant = pairs
    got = pr_curve_by_radius(counts, empty=empty, unfound=unfound)
    for radius in range(10):
        precisions, recalls = [], []
        for query in range(9):
            inside = distances[query] <= radius
            if not relevant[query].any():
                if empty == "zero":
                    precisions.append(0.0)
                    recalls.append(0.0)
                continue
            hits = (inside & relevant[query]).sum()
            recalls.append(hits / relevant[query].sum())
            if inside.any():
                precisions.append(hits / inside.sum())
            elif unfound == "zero":
                precisions.append(0.0)
        expected = np.mean(precisions) if precisions else np.nan
        assert got[0][radius] == pytest.approx(expected, nan_ok=True)
        assert got[1][radius] == pytest.approx(np.mean(recalls))


def test_lookup_is_a_point_of_the_curve_by_radius(pairs, counts):
    found = lookup(counts, 3, unfound="skip")
    precision, recall = pr_curve_by_radius(counts, unfound="skip")
    assert (found.precision, found.recall) == (precision[3], recall[3])
    assert found.f1 == pytest.approx(2 * precision[3] * recall[3] / (precision[3] + recall[3]))
    assert found.unfound == ((pairs[0] <= 3).sum(axis=1) == 0).mean() > 0
    everything = lookup(counts, 400)
    assert everything.recall == pytest.approx(8 / 9)
    assert everything.unfound == 0
    assert lookup(counts, 0).f1 == 0


def test_the_mean_of_lookup_is_that_of_evaluate():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (50, 1)).astype(np.uint8)
    truth = NeighborTruth(np.arange(40).reshape(10, 4), 40)
    distances = hamming_distances(codes[:10], codes[10:])
    relevant = truth.relevant(0, 10)
    retrieved, hits = np.zeros((2, 10, 9), dtype=np.int64)
    np.add.at(retrieved, (np.arange(10)[:, None], distances), 1)
    np.add.at(hits, (np.arange(10)[:, None], distances), relevant)
    counts = DistanceCounts(retrieved, hits)
    scores = evaluate(counts, truth, Protocol(radius=2, recall_at=(7,), precision_at=(7,)))
    found = lookup(scores.counts, 2, n_relevant=scores.n_relevant)
    assert found.precision == pytest.approx(scores.precision_within_radius)
    assert found.recall == pytest.approx(scores.recall_within_radius)
    assert recall_at_ranks(counts, [7])[0] == pytest.approx(scores.recall_at[7])
    assert precision_at_ranks(counts, [7])[0] == pytest.approx(scores.precision_at[7])


def test_recall_of_one_neighbour_is_how_often_it_is_among_the_first():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(80, 4))
    truth = NeighborTruth(euclidean_neighbors(vectors[:20], vectors[20:], 10), 60).nearest(1)
    ranks_of_items = np.array([rng.permutation(60) for _ in range(20)])  # no ties
    hits = np.zeros((20, 60), dtype=np.int64)
    for query in range(20):
        hits[query, ranks_of_items[query, truth.ids[query, 0]]] = 1
    curve = recall_at_ranks(DistanceCounts(np.ones_like(hits), hits), range(1, 61))
    where = ranks_of_items[np.arange(20), truth.ids[:, 0]]
    np.testing.assert_allclose(curve, [(where < n).mean() for n in range(1, 61)])


def test_distances_of_relevant_and_other_pairs_are_distributions(pairs, counts):
    distances, relevant = pairs
    near, far = distance_distributions(counts)
    np.testing.assert_allclose(near, [(distances[relevant] == d).mean() for d in range(10)])
    np.testing.assert_allclose(far, [(distances[~relevant] == d).mean() for d in range(10)])
    nothing = DistanceCounts(np.array([[2]]), np.array([[2]]))
    assert distance_distributions(nothing)[1].tolist() == [0.0]


def test_f1_is_the_harmonic_mean():
    np.testing.assert_allclose(f1_score([0.2, 0.0, 1.0], [0.6, 0.0, 1.0]), [0.3, 0.0, 1.0])


def test_many_pooled_areas_are_those_of_each():
    rng = np.random.default_rng(3)
    retrieved = rng.integers(0, 4, (30, 7))
    retrieved[:10, :3] = 0
    hits = rng.binomial(retrieved, 0.4)
    total = hits.sum(axis=1) + rng.integers(1, 3, 30)
    each = [pooled_pr_area(*row) for row in zip(retrieved, hits, total.tolist(), strict=True)]
    np.testing.assert_allclose(pooled_pr_areas(retrieved, hits, total), each)
    np.testing.assert_allclose(pooled_pr_areas(retrieved * 0.5, hits * 0.5, total * 0.5), each)
    assert pooled_pr_areas([[1, 2]], [[0, 0]], [0]).tolist() == [0.0]


def test_what_makes_no_curve_is_refused(counts):
    with pytest.raises(ValueError, match="at least 1"):
        recall_at_ranks(counts, [1, 0])
    with pytest.raises(ValueError, match="at least 0"):
        lookup(counts, -1)
    with pytest.raises(ValueError, match="unfound must be one of"):
        pr_curve_by_radius(counts, unfound="drop")
    with pytest.raises(ValueError, match="empty must be one of"):
        precision_at_ranks(counts, [1], empty="drop")
    with pytest.raises(ValueError, match="more relevant items"):
        recall_at_ranks(counts, [1], n_relevant=np.zeros(9, int))
