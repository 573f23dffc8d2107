import math

import numpy as np
import pytest

from hashlearn._training import CollapseWarning
from hashlearn.evaluation import LabelTruth, Protocol, evaluate
from hashlearn.hashers import get_method
from hashlearn.hashers.deep import supervisedgreedyhash as module
from hashlearn.hashers.deep._images import label_loss
from hashlearn.index import HammingIndex

SupervisedGreedyHash = get_method("supervisedgreedyhash")
SMALL = {"width": 4, "batch_size": 32, "lr": 0.01, "random_state": 0, "device": "cpu"}


@pytest.fixture(name="data", scope="module")
def fixture_data():
    """Four classes along four short directions; twelve others are wide and say nothing."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = np.concatenate([2 * np.eye(4)[y], 2 * rng.normal(size=(400, 12))], axis=1)
    X[:, :4] += 0.3 * rng.normal(size=(400, 4))
    return X.astype(np.float32), y


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def mean_average_precision(hasher, X, y):
    index = HammingIndex(hasher.n_bits)
    index.add(hasher.encode(X))
    found = index.search(hasher.encode(X), len(index))
    return evaluate(found, LabelTruth(y, y), Protocol()).mean_average_precision


@pytest.mark.parametrize("depth", [None, 1])
def test_codes_follow_labels_where_the_vectors_spread_elsewhere(data, depth):
    X, y = data
    hasher = SupervisedGreedyHash(12, depth=depth, n_steps=200, **SMALL).fit(X[:300], y[:300])
    score = mean_average_precision(hasher, X[300:], y[300:])
    for name in ("lsh", "itq"):
        other = get_method(name)(12, random_state=0).fit(X[:300])
        assert score > mean_average_precision(other, X[300:], y[300:]) + 0.3


def test_the_classifier_sees_codes_and_not_values(data, monkeypatch):
    X, y = data
    seen, sign = [], module.straight_sign

    def spy(h):
        seen.append((h, sign(h)))
        return seen[-1][1]

    monkeypatch.setattr(module, "straight_sign", spy)
    before = SupervisedGreedyHash(4, n_steps=3, **SMALL).fit(X, y)
    assert len(seen) == 3
    assert all(set(b.flatten().tolist()) == {-1.0, 1.0} for _, b in seen)
    monkeypatch.setattr(module, "straight_sign", lambda h: h)
    after = SupervisedGreedyHash(4, n_steps=3, **SMALL).fit(X, y)
    assert before.history_["class"][0] != after.history_["class"][0]


def test_items_without_labels_are_not_learned_from(data):
    X, y = data
    known = np.where(np.arange(400) < 100, y, -1)
    hasher = SupervisedGreedyHash(8, n_steps=30, **SMALL).fit(X, known)
    Y = np.where(known[:, None] >= 0, np.eye(4, dtype=int)[y], 0)
    Y.flags.writeable = False
    other = SupervisedGreedyHash(8, n_steps=30, **SMALL).fit(X, Y)
    np.testing.assert_array_equal(other.project(X), hasher.project(X))
    hidden = X.copy()
    hidden[100:] = X[100:][::-1]  # the scale is learned from all, in any order
    again = SupervisedGreedyHash(8, n_steps=30, **SMALL).fit(hidden, known)
    np.testing.assert_allclose(again.project(X), hasher.project(X), rtol=1e-4, atol=1e-5)


def test_items_may_have_several_labels(data, monkeypatch):
    X, y = data
    Y = np.eye(4, dtype=int)[y]
    Y[:, 0] |= (X[:, 1] > 1).astype(int)
    kinds = []

    def spy(logits, Y, one_class):
        kinds.append(one_class)
        return label_loss(logits, Y, one_class)

    monkeypatch.setattr(module, "label_loss", spy)
    hasher = SupervisedGreedyHash(12, n_steps=200, **SMALL).fit(X, Y)
    assert not any(kinds)
    assert mean_average_precision(hasher, X, Y) > 0.9
    SupervisedGreedyHash(12, n_steps=2, **SMALL).fit(X, Y[:, 1:])
    assert kinds[-2:] == [True, True]


def test_images_alike_in_labels_get_codes_alike():
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    images = rng.integers(0, 60, (240, 9, 6), dtype=np.uint8)
    for image, place in zip(images, y, strict=True):
        image[3 * place : 3 * place + 2] += rng.integers(120, 190, dtype=np.uint8)
    hasher = SupervisedGreedyHash(8, n_steps=60, **SMALL).fit(images, y)
    assert mean_average_precision(hasher, images, y) > 0.95
    assert [hasher.layers_[f"{i}.weights"].ndim for i in (0, 1)] == [4, 4]


def test_the_history_has_both_terms_of_every_step(data):
    history = SupervisedGreedyHash(8, n_steps=100, **SMALL).fit(*data).history_
    assert set(history) == {"class", "penalty"}
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    for curve in history.values():
        assert curve[-20:].mean() < 0.8 * curve[:20].mean()


def test_codes_that_collapse_are_warned_of():
    X = np.zeros((300, 6), np.float32)
    X[0] = 1
    with pytest.warns(CollapseWarning, match="smaller penalty_weight"):
        SupervisedGreedyHash(8, n_steps=5, **SMALL).fit(X, np.arange(300) % 2)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(400, -1), "2 classes or more, got 0"),
        (np.zeros((400, 3), int), "2 classes or more, got 0: 0 of 400 items are labelled"),
        (np.where(np.arange(400) < 9, 5, -1), "2 classes or more, got 1"),
        (np.eye(3, dtype=int)[np.zeros(400, int)], "got 1: 400 of 400"),
        (np.full((400, 2), 3), "0 and 1 only"),
    ],
)
def test_labels_in_which_no_items_differ_are_refused(data, y, message):
    with pytest.raises(ValueError, match=message):
        SupervisedGreedyHash(8, **SMALL).fit(data[0], y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"penalty_weight": -1.0}, ValueError, "penalty_weight"),
        ({"width": 0}, ValueError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(data, options, error, message):
    with pytest.raises(error, match=message):
        SupervisedGreedyHash(4, **options).fit(*data)


def test_training_that_diverges_says_so(data):
    with pytest.raises(ValueError, match="diverged"):
        SupervisedGreedyHash(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(*data)
