"""CSQ: central similarity quantization."""

import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.benchmark.curves import count_blocks
from hashlearn.evaluation import Protocol, evaluate
from hashlearn.hashers.deep.csq import (
    CSQ,
    center_loss,
    centers_of,
    hash_centers,
    quantization_loss,
)

SMALL = {"width": 4, "n_steps": 60, "lr": 0.01, "random_state": 0, "device": "cpu"}


@pytest.fixture(name="labelled", scope="module")
def fixture_labelled():
    """Bright squares in one of four corners of noise."""
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 120, (400, 8, 8), np.uint8), np.arange(400) % 4
    for image, corner in zip(X, y, strict=True):
        top, left = 4 * (corner // 2), 4 * (corner % 2)
        image[top : top + 4, left : left + 4] += 60
    return X, y


def distances(centers):
    return (centers[:, None] != centers[None]).sum(axis=2)


@pytest.mark.parametrize(("n_labels", "n_bits"), [(2, 1), (5, 8), (16, 16), (100, 64)])
def test_centres_of_a_power_of_two_bits_differ_in_half_of_them(n_labels, n_bits):
    found = distances(hash_centers(n_labels, n_bits, np.random.RandomState(0)))
    off = found[~np.eye(n_labels, dtype=bool)]
    allowed = {n_bits / 2} if n_labels <= n_bits else {n_bits / 2, n_bits}
    assert set(off.tolist()) == allowed & set(off.tolist())
    assert n_labels > n_bits or (off == n_bits / 2).all()
    assert (off > 0).all()


def test_other_centres_are_random_and_far_apart():
    centers = hash_centers(10, 24, np.random.RandomState(0))
    off = distances(centers)[~np.eye(10, dtype=bool)]
    one_draw = np.random.RandomState(0).randint(2, size=(10, 24))
    assert off.min() > distances(one_draw)[~np.eye(10, dtype=bool)].min()
    assert off.min() >= 8
    assert abs(off.mean() - 12) < 1.5
    assert hash_centers(9, 4, np.random.RandomState(0)).shape == (9, 4)  # more than 2 x 4
    assert (centers != hash_centers(10, 24, np.random.RandomState(1))).any()


def test_an_items_centre_is_the_majority_of_its_labels():
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 2, (5, 7), np.uint8)
    Y = np.array([[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0]])
    bits = centers_of(Y, centers, np.random.RandomState(0))
    for row, found in zip(Y, bits, strict=True):
        of_labels = centers[row == 1]
        for k in range(7):
            ones = int(of_labels[:, k].sum())
            if 2 * ones != len(of_labels):
                assert found[k] == (2 * ones > len(of_labels))
    np.testing.assert_array_equal(bits[2], bits[3])
    ties = np.concatenate(
        [centers_of(Y, centers, np.random.RandomState(seed))[2] for seed in range(30)]
    )[np.tile(centers[0] != centers[1], 30)]
    assert 0.3 < ties.mean() < 0.7


def test_the_center_loss_is_that_of_loops():
    rng = np.random.default_rng(0)
    v, c = rng.normal(size=(4, 3)), rng.integers(0, 2, (4, 3))
    h = 1 / (1 + np.exp(-v))
    expected = -np.mean([math.log(h[i, k] if c[i, k] else 1 - h[i, k])
                         for i in range(4) for k in range(3)])  # fmt: skip
    found = center_loss(torch.tensor(v), torch.tensor(c).double())
    assert found.item() == pytest.approx(expected)


def test_the_quantization_loss_is_that_of_loops():
    v = np.random.default_rng(0).normal(size=(4, 3)) * 3
    expected = np.mean(
        [math.log(math.cosh(abs(2 / (1 + math.exp(-x)) - 1) - 1)) for x in v.flatten()]
    )
    assert quantization_loss(torch.tensor(v)).item() == pytest.approx(expected)
    sure = quantization_loss(torch.tensor([[1e4, -1e4]], dtype=torch.float64))
    assert sure.item() == pytest.approx(0, abs=1e-12)
    unsure = quantization_loss(torch.zeros(1, 1, dtype=torch.float64))
    assert unsure.item() == pytest.approx(math.log(math.cosh(1)))


def test_codes_come_to_the_centres_of_their_labels(labelled):
    X, y = labelled
    hasher = CSQ(16, **SMALL).fit(X[:200], y[:200])
    for curve in hasher.history_.values():
        assert curve.shape == (60,)
        assert curve[-10:].mean() < 0.5 * curve[:5].mean()
    assert (hasher.transform(X[200:]) == hasher.centers_[y[200:]]).mean() > 0.95
    protocol = Protocol(truth="labels")
    truth = protocol.ground_truth(X[200:], X[:200], y[200:], y[:200])
    codes = hasher.encode(X[200:]), hasher.encode(X[:200])
    found = evaluate(count_blocks(*codes, 16, truth), truth, protocol)
    assert found.mean_average_precision > 0.9


def test_a_larger_weight_gives_surer_bits(labelled):
    X, y = labelled
    rng = np.random.default_rng(
        0
    )  # so that no network can be sure, a third of the labels are wrong
    y = np.where(rng.random(len(y)) < 1 / 3, rng.integers(0, 4, len(y)), y)
    plain, sure = (
        CSQ(16, quantization_weight=weight, **SMALL).fit(X, y).history_["quantization"][-10:].mean()
        for weight in (0.0, 0.3)
    )
    assert sure < 0.9 * plain


def test_items_without_labels_are_left_out(labelled):
    X, y = labelled
    some = np.where(np.arange(len(y)) < 100, y, -1)
    all_in, left = CSQ(8, **SMALL).fit(X, some), CSQ(8, **SMALL).fit(X[:100], y[:100])
    np.testing.assert_array_equal(all_in.project(X), left.project(X))


def test_items_that_share_labels_are_near(labelled):
    X, y = labelled
    Y = np.stack([y < 2, y % 2 == 0, y >= 2], axis=1).astype(int)
    bits = CSQ(16, **SMALL).fit(X, Y).transform(X).astype(int)
    distance = np.abs(bits[:40, None] - bits[None, 40:200]).sum(axis=2)
    shared = Y[:40] @ Y[40:200].T
    assert distance[shared == 2].mean() < distance[shared == 1].mean()
    assert distance[shared == 1].mean() < distance[shared == 0].mean()


def test_codes_that_are_nearly_all_the_same_are_warned_of(labelled):
    X, _ = labelled
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        CSQ(8, **SMALL).fit(X, np.arange(len(X)) == 3)


def test_bits_in_which_no_centres_differ_are_not_warned_of(labelled):
    X, y = labelled
    hasher = CSQ(16, **SMALL).fit(X, y < 2)  # the centres of two labels differ in 8 bits of 16
    assert (np.ptp(hasher.transform(X), axis=0) == 0).sum() == 8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantization_weight": -1}, ValueError, "quantization_weight"),
        ({"augment": "crop"}, ValueError, "augment has no part"),
        ({"depth": 0}, ValueError, "depth"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": "fast"}, TypeError, "lr"),
    ],
)
def test_impossible_settings_are_refused(labelled, options, error, message):
    with pytest.raises(error, match=message):
        CSQ(8, **{**SMALL, **options}).fit(*labelled)


def test_labels_that_say_nothing_are_refused(labelled):
    X, _ = labelled
    with pytest.raises(ValueError, match="2 classes or more"):
        CSQ(8, **SMALL).fit(X, np.tile([1, 0], (len(X), 1)))


def test_training_that_diverges_says_so(labelled):
    with pytest.raises(ValueError, match="diverged"):
        CSQ(8, **{**SMALL, "lr": 1e30}).fit(*labelled)
