import json
from importlib import import_module

import numpy as np
import pytest

from hashlearn.codes import hamming_distances
from hashlearn.evaluation import (
    LabelTruth,
    NeighborTruth,
    Protocol,
    Rankings,
    evaluate,
    get_protocol,
    lookup,
    protocols,
)
from hashlearn.results import DistanceCounts, Neighbors

# The package gives the name of the module to its function.
evaluate_module = import_module("hashlearn.evaluation.evaluate")


def full_ranking(queries, database):
    distances = hamming_distances(queries, database)
    ids = np.argsort(distances, axis=1, kind="stable")
    return Neighbors(ids, np.take_along_axis(distances, ids, axis=1).astype(np.int32))


@pytest.fixture(name="case")
def fixture_case():
    rng = np.random.default_rng(0)
    database = rng.integers(0, 256, size=(80, 1), dtype=np.uint8)
    queries = rng.integers(0, 256, size=(12, 1), dtype=np.uint8)
    truth = LabelTruth(rng.integers(0, 4, 12), rng.integers(0, 3, 80))  # class 3 has no item
    return full_ranking(queries, database), truth


def in_blocks(found, size):
    for start in range(0, len(found), size):
        yield Neighbors(
            found.ids[start : start + size].copy(), found.distances[start : start + size].copy()
        )


@pytest.mark.parametrize("ties", ["expected", "stable"])
@pytest.mark.parametrize("denominator", ["all", "min", "hits"])
@pytest.mark.parametrize("cutoff", [None, 20])
def test_scores_are_the_means_of_the_metrics(case, ties, denominator, cutoff):
    found, truth = case
    marks = truth.relevant(0, truth.n_queries)
    relevant = np.take_along_axis(marks, found.ids, axis=1)
    total = marks.sum(axis=1)
    protocol = Protocol(ties=ties, denominator=denominator, cutoff=cutoff, precision_at=(5,))
    options = {"ties": ties, "denominator": denominator, "cutoff": cutoff}
    values = Rankings(relevant, found.distances, total).average_precision(**options)
    scores = evaluate(found, truth, protocol)
    assert scores.mean_average_precision == pytest.approx(np.nan_to_num(values).mean())
    skipping = evaluate(found, truth, Protocol(**options, empty="skip"))
    assert skipping.mean_average_precision == pytest.approx(np.nanmean(values))
    at_5 = Rankings(relevant, found.distances, total).precision_at(5, ties=ties)
    assert scores.precision_at[5] == pytest.approx(np.where(total > 0, at_5, 0).mean())
    assert scores.n_empty == (total == 0).sum() > 0


@pytest.mark.parametrize("size", [1, 5, 12])
def test_blocks_of_any_size_give_the_same_scores(case, size):
    found, truth = case
    protocol = Protocol(precision_at=(1, 10), recall_at=(3,))
    whole, parts = (
        evaluate(found, truth, protocol),
        evaluate(in_blocks(found, size), truth, protocol),
    )
    assert parts.as_dict() == pytest.approx(whole.as_dict())
    np.testing.assert_allclose(parts.pooled_precision, whole.pooled_precision)
    np.testing.assert_allclose(parts.average_precisions, whole.average_precisions)


def test_the_pooled_area_is_computed_over_all_queries_at_once(case):
    found, truth = case
    marks = truth.relevant(0, truth.n_queries)
    relevant = np.take_along_axis(marks, found.ids, axis=1)
    points = []
    for radius in range(9):
        inside = found.distances <= radius
        if inside.any():
            good = (relevant & inside).sum()
            points.append((good / marks.sum(), good / inside.sum()))
    points.insert(0, (0.0, points[0][1]))
    recall, precision = np.array(points).T
    expected = np.trapezoid(precision, recall)
    assert evaluate(found, truth, Protocol()).pooled_pr_area == pytest.approx(expected)


def test_perfect_codes_score_one_everywhere():
    codes = np.array([[0], [15], [240]], np.uint8)
    labels = np.array([0, 1, 2])
    found = full_ranking(codes, codes[[0, 0, 1, 1, 2, 2]])
    protocol = Protocol(precision_at=(2,), recall_at=(2,), radius=0)
    scores = evaluate(found, LabelTruth(labels, labels.repeat(2)), protocol)
    numbers = scores.as_dict()
    assert numbers.pop("n_queries") == 3
    assert numbers.pop("n_empty") == 0
    assert set(numbers.values()) == {1.0}


def test_items_that_are_not_listed_count_as_never_retrieved():
    found = Neighbors(np.array([[2, -1]]), np.array([[0, 9]]))
    scores = evaluate(found, NeighborTruth([[1, 2]], 3), Protocol(precision_at=(2,)))
    assert scores.mean_average_precision == 0.5
    assert scores.precision_at[2] == 0.5


def test_the_headline_is_the_protocols_metric(case):
    found, truth = case
    scores = evaluate(found, truth, Protocol(metric="pooled_pr_area"))
    assert scores.headline == scores.pooled_pr_area != scores.mean_average_precision


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (Neighbors(np.array([[0]]), np.array([[0]])), "hold 1 queries"),
        (Neighbors(np.array([[0]] * 3), np.array([[0]] * 3)), "more than the 2"),
        (Neighbors(np.array([[0], [5]]), np.array([[0], [0]])), "id 5"),
        ([], "hold 0 queries"),
    ],
)
def test_results_that_do_not_match_the_truth_are_refused(found, message):
    with pytest.raises(ValueError, match=message):
        evaluate(found, LabelTruth([0, 1], [0, 1]), Protocol())


def test_there_is_nothing_to_score_without_a_relevant_item():
    found = Neighbors(np.array([[0]]), np.array([[0]]))
    with pytest.raises(ValueError, match="no query"):
        evaluate(found, LabelTruth([0], [1]), Protocol())


@pytest.mark.parametrize("name", protocols())
def test_every_named_protocol_can_be_stored_as_json(name):
    protocol = get_protocol(name)
    stored = json.loads(json.dumps(protocol.as_dict()))
    stored = {key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()}
    assert Protocol(**stored) == protocol


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="sigah-mnist"):
        get_protocol("sigah")


@pytest.mark.parametrize(
    "options",
    [
        {"truth": "label"},
        {"metric": "map"},
        {"ties": "random"},
        {"denominator": "none"},
        {"empty": "drop"},
        {"cutoff": 0},
        {"n_neighbors": 0},
        {"precision_at": (0,)},
        {"radius": -1},
    ],
)
def test_protocols_with_impossible_settings_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        Protocol(**options)


def test_ground_truth_follows_the_protocol():
    X = np.arange(6.0).reshape(6, 1, 1)
    y = np.array([0, 1, 0, 1, 0, 1])
    by_label = Protocol().ground_truth(X[:1], X[1:], y[:1], y[1:])
    assert by_label.relevant(0, 1).tolist() == [[False, True, False, True, False]]
    near = Protocol(truth="euclidean", n_neighbors=2).ground_truth(X[:1], X[1:])
    assert near.relevant(0, 1).tolist() == [[True, True, False, False, False]]
    two_labels = np.eye(2, dtype=int)[y]
    shared = Protocol(truth="shared_labels").ground_truth(
        X[:1], X[1:], two_labels[:1], two_labels[1:]
    )
    np.testing.assert_array_equal(shared.relevant(0, 1), by_label.relevant(0, 1))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((None, None), "needs labels"),
        (([0], [1, 2]), "labels for"),
        (([[0, 1]], np.zeros((5, 2), int)), "axes"),
    ],
)
def test_labels_that_do_not_fit_the_protocol_are_refused(labels, message):
    X = np.zeros((6, 1))
    with pytest.raises(ValueError, match=message):
        Protocol().ground_truth(X[:1], X[1:], *labels)


def counted(found, truth):
    marks = truth.relevant(0, truth.n_queries)
    retrieved, hits = np.zeros((2, len(found), 9), dtype=np.int64)
    for query, rank in np.ndindex(found.ids.shape):
        retrieved[query, found.distances[query, rank]] += 1
        hits[query, found.distances[query, rank]] += marks[query, found.ids[query, rank]]
    return DistanceCounts(retrieved, hits)


@pytest.mark.parametrize("block_entries", [1 << 20, 40])
@pytest.mark.parametrize("denominator", ["all", "min", "hits"])
def test_counts_score_as_rankings_without_asking_the_truth(
    case, denominator, block_entries, monkeypatch
):
    found, truth = case
    counts = counted(found, truth)
    protocol = Protocol(cutoff=20, denominator=denominator, precision_at=(5, 500))
    expected = evaluate(found, truth, protocol)
    monkeypatch.setattr(truth, "relevant", None)
    monkeypatch.setattr(evaluate_module, "_BLOCK_ENTRIES", block_entries)
    for results in (counts, [counts], iter([counts])):
        scores = evaluate(results, truth, protocol)
        assert scores.as_dict() == pytest.approx(expected.as_dict())
        np.testing.assert_array_equal(scores.n_relevant, expected.n_relevant)
        np.testing.assert_array_equal(scores.counts.retrieved, counts.retrieved)
        np.testing.assert_array_equal(scores.counts.hits, counts.hits)


def test_every_mean_has_the_values_of_its_queries(case):
    found, truth = case
    for empty in ("zero", "skip"):
        scores = evaluate(found, truth, Protocol(empty=empty))
        numbers = scores.as_dict()
        assert set(scores.per_query) == set(numbers) - {"n_queries", "n_empty", "pooled_pr_area"}
        for name, values in scores.per_query.items():
            np.testing.assert_array_equal(np.isnan(values), scores.n_relevant == 0)
            mean = np.nanmean(values) if empty == "skip" else np.nan_to_num(values).mean()
            assert numbers[name] == pytest.approx(mean)


def test_blocks_with_other_numbers_of_distances_are_joined():
    found = [
        Neighbors(np.array([[0, 1]]), np.array([[0, 1]])),
        Neighbors(np.array([[1, 0]]), np.array([[2, 5]])),
    ]
    scores = evaluate(found, LabelTruth([0, 1], [0, 1]), Protocol())
    assert scores.counts.retrieved.tolist() == [[1, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1]]
    assert scores.counts.hits.tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]]


def test_counts_cannot_be_judged_in_an_order_that_they_do_not_know(case):
    found, truth = case
    with pytest.raises(ValueError, match=r"ties='stable' needs rankings \(Neighbors\)"):
        evaluate(counted(found, truth), truth, Protocol(ties="stable"))


def test_counts_of_more_items_than_there_are_and_other_things_are_refused():
    truth = LabelTruth([0], [0, 1])
    with pytest.raises(ValueError, match="hold 3 items a query, the ground truth 2"):
        evaluate(DistanceCounts(np.array([[3]]), np.array([[1]])), truth, Protocol())
    with pytest.raises(TypeError, match="Neighbors or DistanceCounts, got ndarray"):
        evaluate(np.zeros((1, 2)), truth, Protocol())


def test_counts_at_other_distances_have_no_radius():
    truth = LabelTruth([0, 1], [0, 1, 0])
    plain = [DistanceCounts(np.array([[1, 2]]), np.array([hits])) for hits in ([1, 1], [0, 1])]
    levels = np.array([0.5, np.inf])
    other = [DistanceCounts(part.retrieved, part.hits, levels=levels) for part in plain]
    expected, scores = evaluate(plain, truth, Protocol()), evaluate(other, truth, Protocol())
    left_out = {"precision_within_2", "recall_within_2"}
    assert {**scores.as_dict(), **{name: expected.as_dict()[name] for name in left_out}} == (
        expected.as_dict()
    )
    assert not left_out & set(scores.as_dict())
    np.testing.assert_array_equal(scores.counts.levels, levels)
    with pytest.raises(ValueError, match="precision_within_2 is not defined"):
        _ = scores.precision_within_radius
    with pytest.raises(ValueError, match="a radius is one of Hamming distances"):
        lookup(scores.counts)
    with pytest.raises(ValueError, match="counts at different distances"):
        evaluate([plain[0], other[1]], truth, Protocol())
    third = DistanceCounts(plain[1].retrieved, plain[1].hits, levels=np.array([0.5, 1.0]))
    with pytest.raises(ValueError, match="counts at different distances"):
        evaluate([other[0], third], truth, Protocol())
