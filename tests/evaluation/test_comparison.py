from importlib import import_module

import numpy as np
import pytest

from hashlearn.evaluation import (
    NeighborTruth,
    Protocol,
    compare,
    compare_pooled_areas,
    compare_values,
    evaluate,
    pooled_pr_area,
)
from hashlearn.results import DistanceCounts

comparison_module = import_module("hashlearn.evaluation.comparison")


def make_counts(seed, n_queries=25, n_levels=6, n_database=40):
    """Count the relevant items of each query, some have more, at random distances."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, n_levels, (n_queries, n_database))
    retrieved, hits = np.zeros((2, n_queries, n_levels), dtype=np.int64)
    for query, item in np.ndindex(levels.shape):
        retrieved[query, levels[query, item]] += 1
        hits[query, levels[query, item]] += item < 1 + query % 7
    return DistanceCounts(retrieved, hits)


def judged(seed, protocol):
    truth = NeighborTruth(np.tile(np.arange(4), (25, 1)), 40)
    return evaluate(make_counts(seed), truth, protocol)


def loop_areas(counts, draws):
    """Compute the pooled area of each draw of queries, one by one."""
    areas = []
    for rows in draws:
        retrieved, hits = counts.retrieved[rows].sum(axis=0), counts.hits[rows].sum(axis=0)
        areas.append(pooled_pr_area(retrieved, hits, int(counts.hits[rows].sum())))
    return np.array(areas)


@pytest.mark.parametrize("block_entries", [1 << 22, 90])
def test_pooled_areas_are_resampled_query_by_query(block_entries, monkeypatch):
    monkeypatch.setattr(comparison_module, "_BLOCK_ENTRIES", block_entries)
    a, b = make_counts(0), make_counts(1, n_levels=9)
    got = compare_pooled_areas(a, b, n_resamples=50, confidence=0.8, seed=3)
    draws = np.random.default_rng(3).integers(25, size=(50, 25))
    differences = loop_areas(a, draws) - loop_areas(b, draws)
    whole = [np.arange(25)]
    assert got.difference == pytest.approx((loop_areas(a, whole) - loop_areas(b, whole))[0])
    np.testing.assert_allclose([got.low, got.high], np.quantile(differences, [0.1, 0.9]))
    assert (got.n_queries, got.n_resamples, got.confidence) == (25, 50, 0.8)


@pytest.mark.parametrize("empty", ["zero", "skip"])
def test_values_are_resampled_in_pairs(empty):
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 30))
    a[[3, 7]] = b[[3, 9]] = np.nan
    got = compare_values(a, b, empty=empty, n_resamples=40, seed=1)
    draws = np.random.default_rng(1).integers(30, size=(40, 30))
    if empty == "zero":
        a, b = np.nan_to_num(a), np.nan_to_num(b)
    differences = [np.nanmean(a[rows]) - np.nanmean(b[rows]) for rows in draws]
    assert got.difference == pytest.approx(np.nanmean(a) - np.nanmean(b))
    np.testing.assert_allclose([got.low, got.high], np.quantile(differences, [0.025, 0.975]))


def test_seeds_are_averaged_before_the_comparison():
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 30)), rng.random((2, 30))
    options = {"n_resamples": 30, "seed": 5}
    got = compare_values(a, b, **options)
    assert got == compare_values(a.mean(axis=0), b.mean(axis=0), **options)
    many = [make_counts(seed) for seed in range(3)]
    got = compare_pooled_areas(many, make_counts(9), **options)
    draws = np.random.default_rng(5).integers(25, size=(30, 25))
    areas = np.mean([loop_areas(counts, draws) for counts in many], axis=0)
    differences = areas - loop_areas(make_counts(9), draws)
    np.testing.assert_allclose([got.low, got.high], np.quantile(differences, [0.025, 0.975]))


def test_a_query_that_some_seed_leaves_undefined_follows_the_policy():
    a = [[1.0, np.nan, np.nan], [0.5, 0.5, np.nan]]
    b = [0.0, 0.0, 0.0]
    assert compare_values(a, b, n_resamples=1).difference == pytest.approx((0.75 + 0.25) / 3)
    skipping = compare_values(a, b, n_resamples=1, empty="skip")
    assert skipping.difference == pytest.approx((0.75 + 0.5) / 2)


def test_scores_are_compared_in_any_metric_and_first_in_the_protocols():
    protocol = Protocol(precision_at=(5,), recall_at=(5,), metric="pooled_pr_area")
    a, b = judged(0, protocol), judged(1, protocol)
    options = {"n_resamples": 60, "seed": 2}
    assert compare(a, b, **options) == compare_pooled_areas(a.counts, b.counts, **options)
    for metric in ("mean_average_precision", "precision_at_5", "recall_at_5", "ndcg_at_100"):
        got = compare(a, b, metric, **options)
        assert got.metric == metric
        assert got.difference == pytest.approx(a.as_dict()[metric] - b.as_dict()[metric])
        assert got.low < got.difference < got.high
    several = compare([a, judged(4, protocol)], [b], "mean_average_precision", **options)
    mean = (a.mean_average_precision + judged(4, protocol).mean_average_precision) / 2
    assert several.difference == pytest.approx(mean - b.mean_average_precision)


def test_a_method_does_not_differ_from_itself():
    protocol = Protocol(precision_at=(5,), recall_at=(5,))
    a, b = judged(0, protocol), judged(0, protocol)
    for metric in ("mean_average_precision", "pooled_pr_area", "precision_at_5", "recall_at_5"):
        got = compare(a, b, metric, n_resamples=100)
        assert (got.difference, got.low, got.high) == (0, 0, 0)


def test_the_interval_holds_the_true_difference_as_often_as_it_says():
    rng = np.random.default_rng(0)
    n_held, n_trials = 0, 400
    for trial in range(n_trials):
        hardness = rng.normal(size=80)  # of the queries, for both methods
        a = hardness + rng.normal(size=80) + 0.3
        b = hardness + rng.normal(size=80)
        got = compare_values(a, b, n_resamples=400, confidence=0.9, seed=trial)
        n_held += got.low <= 0.3 <= got.high
    assert 0.85 < n_held / n_trials < 0.95  # three standard errors on either side


def test_methods_that_cannot_be_compared_are_refused():
    a, b = judged(0, Protocol()), judged(1, Protocol())
    other = evaluate(make_counts(1), NeighborTruth(np.tile(np.arange(4), (25, 1)), 40), Protocol())
    fewer = DistanceCounts(other.counts.retrieved, np.minimum(other.counts.hits, 1))
    truth = NeighborTruth(np.tile(np.arange(4), (25, 1)), 40)
    with pytest.raises(ValueError, match="different protocols"):
        compare(a, judged(1, Protocol(cutoff=3)))
    with pytest.raises(ValueError, match="not of the same queries"):
        compare(a, evaluate(fewer, truth, Protocol()))
    with pytest.raises(ValueError, match=r"metric must be one of pooled_pr_area, mean_average"):
        compare(a, b, "precision_at_7")
    with pytest.raises(ValueError, match="no scores"):
        compare(a, [])
    with pytest.raises(ValueError, match="not of the same queries"):
        compare_pooled_areas(a.counts, fewer)
    with pytest.raises(ValueError, match="no counts"):
        compare_pooled_areas([], a.counts)
    with pytest.raises(ValueError, match="2 and 3 queries"):
        compare_values([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="at least 2 queries"):
        compare_values([1], [2])
    with pytest.raises(ValueError, match="shape"):
        compare_values([], [])
    for options in ({"n_resamples": 0}, {"confidence": 1.0}, {"confidence": 0.0}):
        with pytest.raises(ValueError, match="must be at least 1"):
            compare_values([1, 2], [1, 2], **options)
