"""The curves of a run, from its rankings one by one."""

import numpy as np
import pytest

from hashlearn.benchmark import Job, default_recipe, run_jobs
from hashlearn.data import load_dataset
from hashlearn.evaluation import Protocol, euclidean_neighbors


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def run(dataset, protocol):
    (done,) = run_jobs(dataset, [Job("itq", 16)], protocol=protocol, recipe=default_recipe(dataset))
    return done, done.row["curves"]


def test_recall_curves_are_of_the_nearest_1_10_100(digits):
    done, curves = run(digits, Protocol(truth="euclidean", n_neighbors=200))
    assert list(curves["recall_at_ranks"]) == ["1", "10", "100", "200"]
    X = digits.X.reshape(len(digits), -1)
    near = euclidean_neighbors(X[done.split.queries], X[done.split.database], 200)
    found = done.index.search(done.query_codes, len(done.index))
    order = np.random.default_rng(0)
    for k, curve in curves["recall_at_ranks"].items():
        marks = np.zeros((len(near), len(done.index)), dtype=bool)
        np.put_along_axis(marks, near[:, : int(k)], True, axis=1)
        for rank, recall in list(zip(curves["ranks"], curve, strict=True))[::3]:
            recalls = []
            for _ in range(20):  # orders of tied items, drawn at random
                noise = order.random(found.distances.shape)
                by = np.lexsort((noise, found.distances))[:, :rank]
                ids = np.take_along_axis(found.ids, by, axis=1)
                recalls.append(np.take_along_axis(marks, ids, axis=1).sum() / marks.sum())
            assert recall == pytest.approx(np.mean(recalls), abs=0.01)


def test_curves_agree_with_the_scores(digits):
    done, curves = run(digits, Protocol())
    assert curves["ranks"] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1618]
    at = dict(zip(curves["ranks"], curves["precision_at_ranks"], strict=True))
    assert at[100] == pytest.approx(done.scores.precision_at[100], rel=1e-4)
    assert curves["recall_at_ranks"]["all"][-1] == 1.0
    radius = curves["radius"]
    assert radius["precision"][2] == pytest.approx(done.scores.precision_within_radius, rel=1e-4)
    assert radius["recall"][2] == pytest.approx(done.scores.recall_within_radius, rel=1e-4)
    nothing = (done.scores.counts.retrieved[:, :3].sum(axis=1) == 0).mean()
    assert radius["found_nothing"][2] == pytest.approx(nothing, rel=1e-4)
    for shares in curves["distances"].values():
        assert len(shares) == 17
        assert sum(shares) == pytest.approx(1, rel=1e-3)
