from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from hashlearn.evaluation import (
    Rankings,
    mean_over_queries,
    pooled_pr_area,
    pooled_pr_curve,
)


def loop_average_precision(hits, n_relevant, cutoff, denominator):
    found, summed = 0, 0.0
    for rank, hit in enumerate(hits[:cutoff], start=1):
        if hit:
            found += 1
            summed += found / rank
    divisor = {"all": n_relevant, "min": min(n_relevant, cutoff), "hits": found}[denominator]
    return summed / divisor if divisor else 0.0


def orders_of_ties(hits, distances):
    """List every order of the hits that keeps the distances ascending, each equally often."""
    groups = []
    for distance in sorted(set(distances)):
        group = [hit for hit, other in zip(hits, distances, strict=True) if other == distance]
        groups.append(list(permutations(group)))
    for choice in product(*groups):
        yield [hit for group in choice for hit in group]


rankings = st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=1, max_size=6).map(
    lambda pairs: (
        [hit for hit, _ in sorted(pairs, key=lambda pair: pair[1])],
        sorted(distance for _, distance in pairs),
    )
)


@pytest.mark.parametrize("denominator", ["all", "min", "hits"])
@given(ranking=rankings, cutoff=st.integers(1, 7), n_missing=st.integers(0, 2))
def test_expected_average_precision_is_the_mean_over_all_orders_of_ties(
    denominator, ranking, cutoff, n_missing
):
    hits, distances = ranking
    n_relevant = sum(hits) + n_missing
    orders = [
        loop_average_precision(order, n_relevant, cutoff, denominator)
        for order in orders_of_ties(hits, distances)
    ]
    rankings = Rankings([hits], [distances], [n_relevant])
    got = rankings.average_precision(cutoff=cutoff, denominator=denominator)
    np.testing.assert_allclose(np.nan_to_num(got), np.mean(orders), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("denominator", ["all", "min", "hits"])
@given(ranking=rankings, cutoff=st.integers(1, 7), n_missing=st.integers(0, 2))
def test_stable_average_precision_takes_the_order_given(denominator, ranking, cutoff, n_missing):
    hits, distances = ranking
    n_relevant = sum(hits) + n_missing
    rankings = Rankings([hits], [distances], [n_relevant])
    got = rankings.average_precision(cutoff=cutoff, denominator=denominator, ties="stable")
    expected = loop_average_precision(hits, n_relevant, cutoff, denominator)
    np.testing.assert_allclose(np.nan_to_num(got), expected)


@given(ranking=rankings, k=st.integers(1, 8))
def test_expected_precision_and_recall_are_means_over_all_orders_of_ties(ranking, k):
    hits, distances = ranking
    counts = [sum(order[:k]) for order in orders_of_ties(hits, distances)]
    n_relevant = sum(hits) + 1
    rankings = Rankings([hits], [distances], [n_relevant])
    np.testing.assert_allclose(rankings.precision_at(k), np.mean(counts) / k)
    np.testing.assert_allclose(rankings.recall_at(k), np.mean(counts) / n_relevant)
    np.testing.assert_allclose(rankings.precision_at(k, ties="stable"), sum(hits[:k]) / k)


@given(ranking=rankings, radius=st.integers(0, 3))
def test_precision_and_recall_within_a_radius_count_items(ranking, radius):
    hits, distances = ranking
    inside = [hit for hit, distance in zip(hits, distances, strict=True) if distance <= radius]
    precision = sum(inside) / len(inside) if inside else 0.0
    n_relevant = sum(hits) + 1
    rankings = Rankings([hits], [distances], [n_relevant])
    np.testing.assert_allclose(rankings.precision_within(radius), precision)
    np.testing.assert_allclose(rankings.recall_within(radius), sum(inside) / n_relevant)


def test_permuting_tied_items_changes_stable_values_but_never_expected_ones():
    rng = np.random.default_rng(0)
    distances = np.sort(rng.integers(0, 5, size=(4, 60)), axis=1)
    relevant = rng.random((4, 60)) < 0.3
    shuffled = relevant.copy()
    for row, levels in zip(shuffled, distances, strict=True):
        for level in range(5):
            places = np.flatnonzero(levels == level)
            row[places] = row[rng.permutation(places)]
    total = relevant.sum(axis=1)
    for cutoff in (None, 10, 33):
        for denominator in ("all", "min", "hits"):
            options = {"cutoff": cutoff, "denominator": denominator}
            before = Rankings(relevant, distances, total).average_precision(**options)
            after = Rankings(shuffled, distances, total).average_precision(**options)
            np.testing.assert_allclose(before, after, rtol=1e-12)
    stable = [
        Rankings(hits, distances, total).average_precision(ties="stable")
        for hits in (relevant, shuffled)
    ]
    assert not np.allclose(*stable)


def test_without_ties_average_precision_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    relevant = rng.random((20, 200)) < 0.1
    distances = np.arange(200)[None].repeat(20, axis=0)
    got = Rankings(relevant, distances, relevant.sum(axis=1)).average_precision()
    expected = [average_precision_score(row, -np.arange(200)) for row in relevant]
    np.testing.assert_allclose(got, expected)
    without = Rankings(relevant, None, relevant.sum(axis=1)).average_precision()
    np.testing.assert_allclose(without, expected)


def test_many_items_lose_no_digits_in_the_harmonic_sums():
    rng = np.random.default_rng(2)
    relevant = rng.random((1, 50_000)) < 0.02
    distances = np.sort(rng.integers(0, 65, size=(1, 50_000)), axis=1)
    expected = 0.0
    before = hits_before = 0
    for level in range(65):
        group = relevant[0][distances[0] == level]
        n, r = len(group), int(group.sum())
        for place in range(1, n + 1):
            earlier = (place - 1) * (r - 1) / (n - 1) if n > 1 else 0.0
            expected += r / n * (hits_before + 1 + earlier) / (before + place)
        before, hits_before = before + n, hits_before + r
    got = Rankings(relevant, distances, relevant.sum(axis=1)).average_precision()
    np.testing.assert_allclose(got, expected / relevant.sum(), rtol=1e-9)


def test_places_without_an_item_count_as_misses():
    rankings = Rankings([[True, False, False]], [[0, -1, -1]], [1])
    assert rankings.average_precision() == 1.0
    assert rankings.precision_at(2) == 0.5
    assert rankings.precision_within(9) == 1.0


def test_a_query_without_relevant_items_is_undefined_and_the_policy_decides():
    scores = Rankings([[False], [True]], [[0], [0]], [0, 1]).average_precision()
    assert np.isnan(scores[0])
    assert mean_over_queries(scores) == 0.5
    assert mean_over_queries(scores, empty="skip") == 1.0
    assert np.isnan(mean_over_queries([np.nan], empty="skip"))


def test_the_hits_denominator_prefers_one_early_hit_to_two():
    rankings = Rankings([[True, False, False], [True, False, True]], [[0, 1, 2], [0, 1, 2]], [5, 5])
    scores = rankings.average_precision(cutoff=3, denominator="hits")
    assert scores[0] == 1.0
    assert scores[1] == pytest.approx(5 / 6)


def test_the_pooled_curve_sums_pairs_over_all_queries_before_it_divides():
    rng = np.random.default_rng(3)
    distances = rng.integers(0, 9, size=(5, 40))
    relevant = rng.random((5, 40)) < 0.3
    retrieved = [int((distances == level).sum()) for level in range(9)]
    hits = [int((relevant & (distances == level)).sum()) for level in range(9)]
    n_relevant = int(relevant.sum()) + 3
    points = []
    for radius in range(9):
        found = good = 0
        for query in range(5):
            for item in range(40):
                if distances[query, item] <= radius:
                    found += 1
                    good += bool(relevant[query, item])
        points.append((good / n_relevant, good / found))
    precision, recall = pooled_pr_curve(retrieved, hits, n_relevant)
    np.testing.assert_allclose(np.stack([recall, precision], axis=1), points)
    area, last = 0.0, (0.0, points[0][1])
    for point in points:
        area += (point[0] - last[0]) * (point[1] + last[1]) / 2
        last = point
    assert pooled_pr_area(retrieved, hits, n_relevant) == pytest.approx(area)


def test_radii_that_find_nothing_are_no_points_of_the_pooled_curve():
    precision, recall = pooled_pr_curve([0, 0, 4], [0, 0, 1], 2)
    assert precision.tolist() == [0.25]
    assert recall.tolist() == [0.5]
    assert pooled_pr_area([0, 0, 4], [0, 0, 1], 2) == 0.125


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1, 0]], [[0, 1]], [1]), "boolean"),
        (([True], [0], [1]), "shape"),
        (([[True]], [[0.5]], [1]), "whole"),
        (([[True, False]], [[0]], [1]), "same shape"),
        (([[True, False]], [[1, 0]], [1]), "ascend"),
        (([[False, True]], [[-1, 0]], [1]), "ascend"),
        (([[True, False]], [[0, 1]], [[1]]), "n_relevant"),
        (([[True, True]], [[0, 1]], [1]), "more relevant"),
        (([[True, True]], [[0, -1]], [2]), "without an item"),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Rankings(*arguments)


@pytest.mark.parametrize(
    "options", [{"cutoff": 0}, {"denominator": "some"}, {"ties": "random"}, {"cutoff": -3}]
)
def test_options_that_are_not_allowed_are_refused(options):
    with pytest.raises(ValueError, match=r"at least 1|one of"):
        Rankings([[True]], [[0]], [1]).average_precision(**options)


def test_metrics_refuse_what_has_no_answer():
    with pytest.raises(ValueError, match="no relevant pair"):
        pooled_pr_area([1], [0], 0)
    with pytest.raises(ValueError, match="non-empty"):
        mean_over_queries([])
    with pytest.raises(ValueError, match="one of"):
        mean_over_queries([1.0], empty="drop")
    with pytest.raises(ValueError, match="at least 1"):
        Rankings([[True]], [[0]], [1]).precision_at(0)
