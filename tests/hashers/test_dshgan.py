import math

import numpy as np
import pytest
import torch

import hashlearn._training as training_module
from hashlearn.evaluation import LabelTruth, Protocol, evaluate
from hashlearn.hashers import get_method
from hashlearn.hashers.deep import dshgan as module
from hashlearn.hashers.deep.dshgan import (
    DSHGAN,
    _LabelSets,
    class_loss,
    rank_loss,
)
from hashlearn.index import HammingIndex
from hashlearn.storage import read_arrays

QUICK = {"n_pretrain": 4, "n_steps": 4, "width": 2, "batch_size": 16, "random_state": 0}
UNLABELLED = ["some-class", "left-out", "zeros"]


@pytest.fixture(autouse=True)
def fixture_seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Images of three classes, a bright bar at one of three places; a third have labels."""
    rng = np.random.default_rng(0)
    classes = np.arange(240) % 3
    X = rng.integers(0, 60, (240, 9, 6), dtype=np.uint8)
    for image, place in zip(X, classes, strict=True):
        image[3 * place : 3 * place + 2] += rng.integers(120, 190, dtype=np.uint8)
    return X, classes, np.where(np.arange(240) < 80, classes, -1)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def test_the_rank_loss_is_that_of_loops():
    h, near, far = torch.rand(3, 5, 7)
    expected = 0.0
    for a, b, c in zip(h.tolist(), near.tolist(), far.tolist(), strict=True):
        near_distance = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / 7
        far_distance = sum((x - y) ** 2 for x, y in zip(a, c, strict=True)) / 7
        expected += max(0.0, 0.1 - far_distance + near_distance) / 5
    assert rank_loss(h, near, far, 0.1).item() == pytest.approx(expected)


def test_codes_that_differ_in_a_larger_share_than_the_margin_cost_nothing():
    h, far = torch.tensor([[0.0, 0, 0, 0]]), torch.tensor([[1.0, 0, 0, 1]])
    assert rank_loss(h, h, far, 0.5).item() == 0
    assert rank_loss(h, h, far, 0.75).item() == 0.25
    assert rank_loss(h, far, h, 0.25).item() == 0.75


def test_the_class_loss_is_that_of_loops():
    logits = torch.randn(5, 3)
    Y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 0]])
    softmax, each = 0.0, 0.0
    for odds, labels in zip(logits.tolist(), Y.tolist(), strict=True):
        total = sum(math.exp(value) for value in odds)
        softmax -= math.log(math.exp(odds[labels.index(1)]) / total) / 5
        for value, label in zip(odds, labels, strict=True):
            each -= math.log(sigmoid(value) if label else 1 - sigmoid(value)) / 5
    assert class_loss(logits, Y, one_class=True).item() == pytest.approx(softmax)
    assert class_loss(logits, Y, one_class=False).item() == pytest.approx(each)


def test_an_image_of_no_class_costs_what_its_classes_are_believed_in():
    none = torch.zeros(1, 3)
    assert class_loss(torch.full((1, 3), -50.0), none, one_class=False).item() < 1e-9
    sure = class_loss(torch.tensor([[50.0, -50, -50]]), none, one_class=False)
    assert sure.item() == pytest.approx(50)


def test_triplets_are_of_labelled_items_and_of_labels_that_share_the_fewest():
    Y = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]])
    labels = _LabelSets.of(Y)
    assert sorted(labels.unlabelled.tolist()) == [1, 5]
    assert set(labels.draw_unlabelled(40).tolist()) == {1, 5}
    rows, own, other = labels.draw(500)
    assert set(rows.tolist()) == {0, 2, 3, 4, 6}
    assert torch.equal(labels.sets[own], labels.Y[rows])
    found = {tuple(Y[row]): set() for row in (0, 2, 4, 6)}
    for row, drawn in zip(rows.tolist(), labels.sets[other].tolist(), strict=True):
        found[tuple(Y[row])].add(tuple(drawn))
    assert found[1, 1, 0] == {(0, 0, 1)}
    assert found[0, 0, 1] == {(1, 1, 0), (1, 0, 0)}
    assert found[1, 1, 1] == {(0, 0, 1), (1, 0, 0)}  # all share one at least
    partners = labels.rows_of(own)
    assert torch.equal(labels.Y[partners], labels.Y[rows])
    assert set(partners.tolist()) == {0, 2, 3, 4, 6}
    assert len(_LabelSets.of(Y[[0, 2]]).draw_unlabelled(5)) == 0


@pytest.mark.parametrize("unlabelled", UNLABELLED)
def test_only_as_images_of_no_class_do_the_unlabelled_enter_the_class_loss(
    images, unlabelled, monkeypatch
):
    X, classes, y = images
    targets = []

    def spy(logits, Y, one_class):
        assert one_class == (unlabelled != "zeros")
        assert len(logits) == len(Y)
        targets.append(Y.clone())
        return class_loss(logits, Y, one_class)

    monkeypatch.setattr(module, "class_loss", spy)
    hasher = DSHGAN(8, unlabelled=unlabelled, **QUICK).fit(X, y)
    sums = torch.cat(targets).sum(dim=1)
    n_steps = QUICK["n_pretrain"] + QUICK["n_steps"]
    assert (sums == 0).sum() == (16 * n_steps if unlabelled == "zeros" else 0)
    assert (sums == 1).sum() == 16 * (4 * n_steps + 2 * QUICK["n_steps"])
    other = np.where(y < 0, -1 - classes, y)  # any number below 0 stands for no class
    np.testing.assert_array_equal(
        DSHGAN(8, unlabelled=unlabelled, **QUICK).fit(X, other).project(X), hasher.project(X)
    )


class PowerCutError(Exception):
    """A training that was stopped from outside."""


def fit_until(step, hasher, X, y, monkeypatch):
    """Fit, keeping the state after each step, and be interrupted before one."""

    def progress(n_steps, description, start=0):  # noqa: ARG001
        for number in range(start, n_steps):
            if number == step:
                raise PowerCutError
            yield number

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "progress", progress)
        patch.setattr(training_module, "_SECONDS_BETWEEN_FILES", -1)
        with pytest.raises(PowerCutError):
            hasher.fit(X, y)
    return read_arrays(hasher.checkpoint, "training")[1]


def test_synthetic_images_make_triplets_after_pretraining_and_real_ones_at_once(
    images, monkeypatch
):
    X, _, y = images
    n_ranked = []

    def spy(h, near, far, margin):
        n_ranked.append((len(h), len(near), len(far)))
        return rank_loss(h, near, far, margin)

    monkeypatch.setattr(module, "rank_loss", spy)
    DSHGAN(8, **QUICK).fit(X, y)
    assert n_ranked == [(16, 16, 16)] * (QUICK["n_pretrain"] + 2 * QUICK["n_steps"])


@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("step", [2, 6])
def test_a_training_that_was_interrupted_ends_as_one_that_was_not(
    images, tmp_path, monkeypatch, synthetic, step
):
    X, _, y = images
    whole = DSHGAN(8, synthetic=synthetic, **QUICK).fit(X, y)
    hasher = DSHGAN(8, synthetic=synthetic, checkpoint=tmp_path / "state", **QUICK)
    fit_until(step, hasher, X, y, monkeypatch)
    hasher.fit(X, y)
    np.testing.assert_array_equal(hasher.project(X), whole.project(X))
    np.testing.assert_array_equal(hasher.samples_, whole.samples_)
    assert hasher.history_.keys() == whole.history_.keys()
    for name, curve in whole.history_.items():
        np.testing.assert_array_equal(hasher.history_[name], curve)


def test_a_checkpoint_of_other_labels_is_refused(images, tmp_path):
    X, classes, y = images
    DSHGAN(8, checkpoint=tmp_path / "state", **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="the state of another training"):
        DSHGAN(8, checkpoint=tmp_path / "state", **QUICK).fit(X, classes)


@pytest.mark.parametrize("unlabelled", UNLABELLED)
def test_synthetic_images_are_of_their_class(images, unlabelled):
    X, classes, y = images
    hasher = DSHGAN(
        8, unlabelled=unlabelled, n_pretrain=120, n_steps=10, width=8, n_latent=8, batch_size=32,
        random_state=0,
    ).fit(X, y)  # fmt: skip
    samples = hasher.samples_
    assert samples.shape == (3, 8, 9, 6)
    assert samples.dtype == np.uint8
    means = np.stack([X[classes == label].mean(axis=0) for label in range(3)])
    distances = np.square(samples[:, :, None].astype(float) - means).sum(axis=(3, 4))
    nearest = distances.argmin(axis=2)
    assert (nearest == np.arange(3)[:, None]).mean() > 0.8


def test_curves_are_kept_for_each_loss(images):
    X, _, y = images
    history = DSHGAN(8, **QUICK).fit(X, y).history_
    assert {name: len(curve) for name, curve in history.items()} == {
        "class": 8, "rank": 8, "real": 8, "generator": 8, "synthetic_class": 4, "synthetic_rank": 4
    }  # fmt: skip


def test_without_a_generator_nothing_is_drawn(images):
    X, _, y = images
    hasher = DSHGAN(8, synthetic=False, **QUICK).fit(X, y)
    assert {name: len(curve) for name, curve in hasher.history_.items()} == {
        "class": 8, "rank": 8
    }  # fmt: skip
    assert hasher.samples_.shape == (3, 0, 9, 6)


def mean_average_precision(hasher, X, y):
    index = HammingIndex(hasher.n_bits)
    index.add(hasher.encode(X))
    found = index.search(hasher.encode(X), len(index))
    return evaluate(found, LabelTruth(y, y), Protocol()).mean_average_precision


@pytest.mark.parametrize("options", [{}, {"unlabelled": "zeros"}, {"synthetic": False}])
def test_codes_follow_labels_where_the_vectors_spread_elsewhere(options):
    rng = np.random.default_rng(0)
    y = np.arange(400) % 4
    X = np.concatenate([2 * np.eye(4)[y], 2 * rng.normal(size=(400, 12))], axis=1)
    X[:, :4] += 0.3 * rng.normal(size=(400, 4))
    X = X.astype(np.float32)
    known = np.where(np.arange(400) < 200, y, -1)
    hasher = DSHGAN(
        12, n_pretrain=30, n_steps=150, width=8, n_latent=8, lr=0.003, random_state=0, **options
    ).fit(X[:300], known[:300])
    score = mean_average_precision(hasher, X[300:], y[300:])
    for name in ("lsh", "itq"):
        other = get_method(name)(12, random_state=0).fit(X[:300])
        assert score > mean_average_precision(other, X[300:], y[300:]) + 0.2


def test_images_may_have_several_labels(images):
    X, classes, _ = images
    Y = np.eye(3, dtype=int)[classes]
    Y[:, 0] |= np.arange(240) % 2
    Y[100:] = 0  # not labelled
    Y.flags.writeable = False
    hasher = DSHGAN(8, **QUICK).fit(X, Y)
    assert hasher.encode(X).shape == (240, 1)
    assert hasher.samples_.shape == (3, 8, 9, 6)


def test_labels_of_every_image_are_enough(images):
    X, classes, _ = images
    for unlabelled in UNLABELLED:
        hasher = DSHGAN(8, unlabelled=unlabelled, **QUICK).fit(X, classes)
        assert len(np.unique(hasher.encode(X))) > 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(240, -1), "2 classes or more, got 0"),
        (np.zeros((240, 3), int), "2 classes or more, got 0: 0 of 240 items are labelled"),
        (np.where(np.arange(240) < 9, 5, -1), "2 classes or more, got 1"),
        (np.eye(3, dtype=int)[np.zeros(240, int)], "got 1: 240 of 240"),
        (np.full((240, 2), 3), "0 and 1 only"),
    ],
)
def test_labels_in_which_no_images_differ_are_refused(images, y, message):
    with pytest.raises(ValueError, match=message):
        DSHGAN(8, **QUICK).fit(images[0], y)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"synthetic": 1}, TypeError, "synthetic"),
        ({"unlabelled": "one"}, ValueError, "unlabelled must be one of some-class, left-out, ze"),
        ({"margin": 0}, ValueError, "margin"),
        ({"rank_weight": -1}, ValueError, "rank_weight"),
        ({"class_weight": -1}, ValueError, "class_weight"),
        ({"adversary_weight": "much"}, TypeError, "adversary_weight"),
        ({"noise": -0.1}, ValueError, "noise"),
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"width": 1.5}, TypeError, "width"),
        ({"depth": 0}, ValueError, "depth"),
        ({"n_pretrain": -1}, ValueError, "n_pretrain"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    X, _, y = images
    with pytest.raises(error, match=message):
        DSHGAN(8, **{**QUICK, **options}).fit(X, y)


def test_training_that_diverges_says_so(images):
    X, _, y = images
    with pytest.raises(ValueError, match="diverged"):
        DSHGAN(8, **{**QUICK, "lr": 1e30}).fit(X, y)
