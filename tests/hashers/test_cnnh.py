"""CNNH and CNNH+."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hashlearn._training import CollapseWarning
from hashlearn.benchmark.curves import count_blocks
from hashlearn.evaluation import Protocol, evaluate
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.cnnh import (
    CNNH,
    Groups,
    code_loss,
    factorise,
    keep_outputs,
    newton_step,
    similarity_loss,
    sweep,
)
from hashlearn.hashers.labels import indicator_matrix

SMALL = {"width": 4, "n_steps": 60, "lr": 0.01, "random_state": 0, "device": "cpu"}
TAGS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], float)


@pytest.fixture(name="labelled", scope="module")
def fixture_labelled():
    """Bright squares in one of four corners of noise."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 120, (400, 8, 8), np.uint8), np.arange(400) % 4
    for image, corner in zip(X, y, strict=True):
        top, left = 4 * (corner // 2), 4 * (corner % 2)
        image[top : top + 4, left : left + 4] += 60
    return X, y


def similarities(Y):
    return np.array([[1.0 if (a * b).any() else -1.0 for b in Y] for a in Y])


def test_groups_give_the_similarity_of_every_pair():
    groups = Groups.of(TAGS)
    found = groups.similar[groups.numbers][:, groups.numbers]
    np.testing.assert_array_equal(found, similarities(TAGS))
    assert len(groups.similar) == 5


@pytest.mark.parametrize("q", [1, 5])
def test_the_similarity_loss_is_that_of_loops(q):
    H = np.random.default_rng(0).uniform(-1, 1, (6, q))
    S = similarities(TAGS)
    expected = sum(
        (S[i, j] - sum(H[i, k] * H[j, k] for k in range(q)) / q) ** 2
        for i in range(6)
        for j in range(6)
    )
    assert similarity_loss(H, Groups.of(TAGS)) == pytest.approx(expected / 36)


@pytest.mark.parametrize("seed", range(5))
def test_a_sweep_takes_the_steps_of_one_that_writes_all_out(seed):
    """With L = H H^T - q S in full, its derivatives taken anew at each entry."""
    H = np.random.default_rng(seed).uniform(-1, 1, (6, 4))
    expected, S = H.copy(), similarities(TAGS)
    rng = np.random.RandomState(seed)
    for j in rng.permutation(4):
        for i in rng.permutation(6):
            L = expected @ expected.T - 4 * S
            slope = L[i] @ expected[:, j]
            curvature = (expected[:, j] ** 2).sum() + expected[i, j] ** 2 + L[i, i]
            expected[i, j] += newton_step(expected[i, j], slope, curvature)
    sweep(H, Groups.of(TAGS), np.random.RandomState(seed))
    np.testing.assert_allclose(H, expected, atol=1e-10)


def test_every_step_stays_in_the_box_and_never_raises_the_objective():
    groups, rng = Groups.of(TAGS), np.random.default_rng(0)
    S, n_moved = similarities(TAGS), 0
    for _ in range(300):
        H = rng.uniform(-1, 1, (6, 3)) * rng.choice([0.01, 1.0])
        i, j = rng.integers(6), rng.integers(3)
        L = H @ H.T - 3 * S
        slope = L[i] @ H[:, j]
        t = newton_step(H[i, j], slope, (H[:, j] ** 2).sum() + H[i, j] ** 2 + L[i, i])
        before = similarity_loss(H, groups)
        H[i, j] += t
        assert abs(H[i, j]) <= 1 + 1e-12
        assert similarity_loss(H, groups) <= before + 1e-12
        n_moved += t != 0
    assert n_moved > 250


def test_the_change_of_the_objective_is_the_polynomial_of_the_docstring():
    rng, S = np.random.default_rng(1), similarities(TAGS)
    H, t = rng.uniform(-1, 1, (6, 3)), 0.37
    L, x = H @ H.T - 3 * S, H[2, 1]
    slope, curvature = L[2] @ H[:, 1], (H[:, 1] ** 2).sum() + x**2 + L[2, 2]
    changed = H.copy()
    changed[2, 1] += t
    difference = np.square(changed @ changed.T - 3 * S).sum() - np.square(L).sum()
    expected = 4 * slope * t + 2 * curvature * t**2 + 4 * x * t**3 + t**4
    assert difference == pytest.approx(expected)


def test_a_parabola_that_opens_downwards_is_followed_to_the_end_of_the_box():
    """At x = 0.5 the objective falls on and on: 4 slope t - 2 t^2 + 2 t^3 + t^4."""
    assert newton_step(0.5, 1.0, -1.0) == -1.5
    assert newton_step(0.5, 0.0, -1.0) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_objective_never_rises(seed):
    groups = Groups.of(indicator_matrix(np.arange(60) % 7))
    H, losses = factorise(groups, 12, 6, np.random.RandomState(seed))
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[-1] < 0.9 * losses[0]
    assert losses[-1] == pytest.approx(similarity_loss(H, groups))


def test_two_classes_get_opposite_codes():
    y = np.arange(40) % 2
    H, losses = factorise(Groups.of(indicator_matrix(y)), 8, 10, np.random.RandomState(0))
    np.testing.assert_array_equal(np.sign(H), np.sign(H[0]) * np.where(y == y[0], 1, -1)[:, None])
    assert losses[-1] == pytest.approx(0, abs=1e-9)


def test_the_code_loss_is_that_of_loops():
    rng = np.random.default_rng(0)
    values, bits = rng.normal(size=(5, 3)), rng.integers(0, 2, (5, 3))
    expected = np.mean(
        [math.log1p(math.exp(-(2 * bits[i, k] - 1) * values[i, k]))
         for i in range(5) for k in range(3)]
    )  # fmt: skip
    assert code_loss(torch.tensor(values), torch.tensor(bits).double()).item() == pytest.approx(
        expected
    )


def test_a_network_that_is_cut_keeps_its_first_values():
    network = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 6))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    values = network(x)
    keep_outputs(network, 2)
    torch.testing.assert_close(network(x), values[:, :2])


@pytest.mark.parametrize("label_weight", [0, 0.5])
def test_the_network_learns_the_codes_of_the_first_stage(labelled, label_weight):
    X, y = labelled
    hasher = CNNH(12, label_weight=label_weight, **SMALL).fit(X[:200], y[:200])
    assert set(hasher.history_) == ({"code", "label"} if label_weight else {"code"})
    for curve in hasher.history_.values():
        assert curve[-10:].mean() < 0.5 * curve[:5].mean()
    assert (hasher.transform(X[:200]) == hasher.codes_).mean() > 0.97
    assert (np.diff(hasher.losses_) <= 1e-12).all()
    protocol = Protocol(truth="labels")
    truth = protocol.ground_truth(X[200:], X[:200], y[200:], y[:200])
    codes = hasher.encode(X[200:]), hasher.encode(X[:200])
    found = evaluate(count_blocks(*codes, 12, truth), truth, protocol)
    assert found.mean_average_precision > 0.9


def test_items_without_labels_are_left_out(labelled):
    X, y = labelled
    some = np.where(np.arange(len(y)) < 100, y, -1)
    all_in = CNNH(8, **SMALL).fit(X, some)
    left = CNNH(8, **SMALL).fit(X[:100], y[:100])
    assert len(all_in.codes_) == 100
    np.testing.assert_array_equal(all_in.project(X), left.project(X))


def test_items_may_have_several_labels(labelled):
    X, y = labelled
    Y = np.stack([y % 2 == 0, y < 2, np.ones(len(y), bool) & (y == 3)], axis=1).astype(int)
    hasher = CNNH(12, label_weight=0.5, **SMALL).fit(X, Y)
    bits = hasher.transform(X).astype(int)
    distance = np.abs(bits[:40, None] - bits[None, 40:200]).sum(axis=2)
    share = (Y[:40, None] & Y[None, 40:200]).any(axis=2)
    assert distance[share].mean() < 0.6 * distance[~share].mean()


def test_the_images_of_a_step_are_changed_as_asked(labelled):
    X, y = labelled
    shapes = []

    def darken(x):
        shapes.append(tuple(x.shape))
        return torch.full_like(x, -1)

    hasher = CNNH(8, augment=darken, batch_size=16, **{**SMALL, "lr": 1e-6}).fit(X, y)
    assert shapes == [(16, 1, 8, 8)] * 60
    assert np.ptp(hasher.history_["code"]) < 0.05


def test_codes_that_are_nearly_all_the_same_are_warned_of(labelled):
    X, _ = labelled
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        CNNH(8, **SMALL).fit(X, np.arange(len(X)) == 3)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label_weight": -1}, ValueError, "label_weight"),
        ({"n_sweeps": 1.5}, TypeError, "n_sweeps"),
        ({"augment": "crop"}, ValueError, "augment has no part"),
        ({"augment": 3}, TypeError, "augment must be"),
        ({"width": 0}, ValueError, "width"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0.0}, ValueError, "lr"),
    ],
)
def test_impossible_settings_are_refused(labelled, options, error, message):
    with pytest.raises(error, match=message):
        CNNH(8, **{**SMALL, **options}).fit(*labelled)


def test_labels_that_say_nothing_are_refused(labelled):
    X, _ = labelled
    with pytest.raises(ValueError, match="2 classes or more, got 1"):
        CNNH(8, **SMALL).fit(X, np.zeros(len(X), int))
    with pytest.raises(ValueError, match="2 classes or more, got 1"):
        CNNH(8, **SMALL).fit(X, np.tile([1, 0], (len(X), 1)))


def test_training_that_diverges_says_so(labelled):
    with pytest.raises(ValueError, match="diverged"):
        CNNH(8, **{**SMALL, "lr": 1e30}).fit(*labelled)


def test_the_table_finds_it():
    assert get_method("cnnh") is CNNH
