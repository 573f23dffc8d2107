"""CGAN: conditions in, items of these out."""

import math

import numpy as np
import pytest
import torch

from hashlearn.generative.cgan import CGAN, conditional_logits

CENTERS = np.array([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
LABELS = np.arange(300) % 3
X = CENTERS[LABELS] + np.random.default_rng(0).normal(size=(300, 2)) * 0.3


def make(**options):
    settings = {"n_latent": 2, "width": 4, "n_steps": 5, "device": "cpu", "random_state": 0}
    return CGAN(**settings | options)


@pytest.mark.parametrize("joining", ["projection", "features"])
def test_logits_are_those_of_loops(joining):
    model = make(joining=joining).fit(X, LABELS)
    networks = model._networks()
    x, y = torch.randn(4, 2), torch.eye(3)[torch.tensor([0, 2, 1, 1])]
    with torch.no_grad():
        found = conditional_logits(networks, x, y)
        features = networks["discriminator"][:-1](x)
    assert found.shape == (4, 1)
    for logit, phi, condition in zip(found, features.tolist(), y.tolist(), strict=True):
        if joining == "projection":
            w, b = networks["discriminator"][-1].weight[0].tolist(), networks["discriminator"][-1]
            expected = b.bias.item() + sum(a * c for a, c in zip(w, phi, strict=True))
            for j, row in enumerate(networks["joint"].weight.T.tolist()):
                expected += condition[j] * sum(a * c for a, c in zip(row, phi, strict=True))
        else:
            first, _, last = networks["joint"]
            seen, expected = phi + condition, last.bias.item()
            for weights, bias, out in zip(
                first.weight.tolist(), first.bias.tolist(), last.weight[0].tolist(), strict=True
            ):
                unit = bias + sum(a * c for a, c in zip(weights, seen, strict=True))
                expected += out * (unit if unit >= 0 else 0.2 * unit)
        assert logit.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("joining", ["projection", "features"])
def test_items_are_of_the_class_that_was_asked_for(joining):
    model = make(joining=joining, n_steps=400, lr=0.002).fit(X, LABELS * 10)
    np.testing.assert_array_equal(model.classes_, [0, 10, 20])
    for number, center in enumerate(CENTERS):
        made = model.sample(50, np.full(50, number * 10), random_state=0)
        distances = np.linalg.norm(made[:, None] - CENTERS, axis=2)
        assert (distances.argmin(axis=1) == number).mean() > 0.9, center


def test_items_are_of_the_code_that_was_asked_for():
    codes = np.stack([LABELS == 0, LABELS != 2], axis=1).astype(np.uint8)
    model = make(n_steps=400, lr=0.002).fit(X, codes)
    assert model.n_conditions_ == 2
    assert len(model.classes_) == 0
    for code, center in (([1, 1], 0), ([0, 1], 1), ([0, 0], 2)):
        made = model.sample(50, np.tile(code, (50, 1)), random_state=0)
        distances = np.linalg.norm(made[:, None] - CENTERS, axis=2)
        assert (distances.argmin(axis=1) == center).mean() > 0.9


def test_a_reconstruction_finds_noise_and_condition():
    model = make(n_steps=400, lr=0.002).fit(X, LABELS)
    remade = model.reconstruct(X[:30])
    assert np.linalg.norm(remade - X[:30], axis=1).mean() < 0.8


def test_conditions_reach_the_networks_as_single_ones():
    model = make().fit(X, LABELS + 5)
    rows = model._conditions(np.array([7, 5, 6]), reset=False)
    np.testing.assert_array_equal(rows, np.eye(3)[[2, 0, 1]])
    assert rows.dtype == np.float32
    as_floats = model._conditions(np.array([7.0, 5.0]), reset=False)
    np.testing.assert_array_equal(as_floats, np.eye(3)[[2, 0]])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "CGAN needs y: labels or codes"),
        (LABELS[:-1], r"y has the shape \(299,\), for 300 samples"),
        (LABELS - 1, "class numbers must be at least 0, got -1"),
        (LABELS + 0.5, "class numbers, or 0 and 1, got float64"),
        (np.array(["a", "b", "c"])[LABELS], "class numbers, or 0 and 1"),
        (np.stack([LABELS, LABELS], axis=1), "0 and 1 only"),
        (np.zeros((300, 2, 2), int), "one axis or two"),
        (np.zeros((300, 0), int), "one axis or two"),
    ],
)
def test_conditions_that_mean_nothing_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)


def test_conditions_unlike_those_of_fit_are_refused():
    of_classes = make().fit(X, LABELS)
    of_codes = make().fit(X, np.eye(3, dtype=int)[LABELS])
    for model, y, message in (
        (of_classes, [3, 0], "the class 3, which was not seen in fit"),
        (of_classes, np.eye(3, dtype=int)[:2], "in fit it had class numbers"),
        (of_codes, [0, 1], "in fit it was a matrix of 3 columns"),
        (of_codes, [[0, 1], [1, 0]], "in fit it had 3 columns"),
        (of_codes, None, "CGAN needs y"),
        (of_codes, np.eye(3, dtype=int), "for 2 samples"),
    ):
        with pytest.raises(ValueError, match=message):
            model.sample(2, y)


def test_fewer_items_than_are_kept_give_all_samples():
    assert make().fit(X[:20], LABELS[:20]).samples_.shape == (64, 2)


def test_the_losses_are_finite_and_their_means_probabilities():
    history = make(n_steps=20).fit(X, LABELS).history_
    for name in ("real", "fake"):
        assert (history[name] > 0).all()
        assert (history[name] < 1).all()
    assert history["discriminator"][0] == pytest.approx(2 * math.log(2), abs=0.7)


@pytest.mark.parametrize("options", [{"joining": "input"}, {"loss": "hinge"}])
def test_settings_that_are_not_there_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        make(**options).fit(X, LABELS)
