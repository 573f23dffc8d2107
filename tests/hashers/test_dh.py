import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.dh import (
    decay_loss,
    make_network,
    orthogonality_loss,
    paper_sizes,
    quantization_loss,
    signs,
    start_layers,
    variance,
)

DH = get_method("dh")
QUICK = {"n_steps": 60, "random_state": 0, "device": "cpu"}


@pytest.fixture(name="X", scope="module")
def fixture_X():
    """Twelve clusters, far from 0, of features of very different spread."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 3, (12, 20))
    X = centers[np.arange(600) % 12] + rng.normal(size=(600, 20))
    return (X * np.linspace(3, 0.5, 20) + 50).astype(np.float32)


def draw(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_losses_are_those_of_loops():
    H, weights = draw((7, 3), 0).tanh(), [draw((4, 6), 1), draw((3, 4), 2)]
    lost = spread = 0.0
    for k in range(3):
        column = [row[k] for row in H.tolist()]
        mean = sum(column) / 7
        lost += sum((abs(h) - 1) ** 2 for h in column) / 14
        spread += sum((h - mean) ** 2 for h in column) / 14
    slanted = 0.0
    for W in weights:
        rows = W.tolist()
        for i, a in enumerate(rows):
            for j, b in enumerate(rows):
                slanted += (sum(p * q for p, q in zip(a, b, strict=True)) - (i == j)) ** 2 / 2
    assert quantization_loss(H, signs(H)).item() == pytest.approx(lost)
    assert variance(H).item() == pytest.approx(spread)
    assert orthogonality_loss(weights).item() == pytest.approx(slanted)
    entries = [p for W in weights for p in W.flatten().tolist()]
    assert decay_loss(weights).item() == pytest.approx(sum(p * p for p in entries) / 2)


def test_the_variance_as_printed_is_the_trace_of_the_products():
    H = draw((7, 3), 3)
    assert variance(H, centred=False).item() == pytest.approx(torch.trace(H.T @ H).item() / 14)
    constant = torch.ones(7, 3)
    assert variance(constant, centred=False) == 1.5
    assert variance(constant) == 0


def test_the_sign_of_0_is_that_of_its_bit():
    H = torch.tensor([[0.0, -0.0, 1e-30, -1e-30]])
    assert signs(H).tolist() == [[1, 1, 1, -1]]


def test_the_objective_of_a_fit_is_that_of_its_network(X):
    """One step, so that the history is that of the start, added up by loops."""
    hasher = DH(4, hidden=[6, 5], **QUICK | {"n_steps": 1}).fit(X)
    shift, scale, layers = start_layers(X, (6, 5, 4), np.random.RandomState(0))
    total = 0.0
    H = ((X - shift) / scale).astype(float)
    for W, c in layers:
        H = np.tanh(H @ W.T + c)
        total += 50 * np.square(W @ W.T - np.eye(len(W))).sum()
        total += 0.0005 * (np.square(W).sum() + np.square(c).sum())
    for h in H:
        total += sum((1 - abs(value)) ** 2 for value in h) / (2 * len(X))
        total -= sum((h - H.mean(axis=0)) ** 2) * 10 / (2 * len(X))
    assert hasher.history_["objective"][0] == pytest.approx(total, rel=1e-4)


def test_layers_start_at_the_principal_directions_of_what_they_are_given(X):
    shift, scale, layers = start_layers(X, (6, 4), np.random.RandomState(0))
    values = X.astype(float)
    for number, (W, c) in enumerate(layers):
        centred = values - values.mean(axis=0)
        _, vectors = np.linalg.eigh(centred.T @ centred)
        wanted = vectors[:, ::-1][:, : len(W)].T
        np.testing.assert_allclose(np.abs((wanted * W).sum(axis=1)), 1, atol=1e-4)
        sums = (values - shift) / scale @ W.T if number == 0 else values @ W.T + c
        np.testing.assert_allclose(sums.mean(axis=0), 0, atol=1e-4)
        if number == 0:
            assert np.square(sums).mean() == pytest.approx(1, rel=1e-4)
        values = np.tanh(sums)


def test_more_units_than_directions_start_from_a_tight_frame():
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    _, _, layers = start_layers(X, (9, 5), np.random.RandomState(0))
    W, V = layers[0][0], layers[1][0]
    np.testing.assert_allclose(W.T @ W, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(V @ V.T, np.eye(5), atol=1e-6)


@pytest.mark.parametrize(
    ("n_bits", "sizes"),
    [(16, (60, 30)), (32, (80, 50)), (64, (100, 80)), (24, (70, 40)), (128, (200, 160)),
     (1, (4, 2))],
)  # fmt: skip
def test_hidden_layers_have_the_papers_sizes(n_bits, sizes):
    assert paper_sizes(n_bits) == sizes


def test_the_values_are_those_of_the_network(X):
    hasher = DH(5, hidden=(7,), **QUICK).fit(X)
    layers = hasher.layers_
    assert {name: part.shape for name, part in layers.items()} == {
        "0.weights": (7, 20), "0.bias": (7,), "output.weights": (5, 7), "output.bias": (5,),
    }  # fmt: skip
    network = make_network(
        [(layers[f"{name}.weights"], layers[f"{name}.bias"]) for name in ("0", "output")]
    )
    with torch.no_grad():
        expected = network(torch.from_numpy((X - hasher.shift_) / np.float32(hasher.scale_)))
    np.testing.assert_allclose(np.tanh(hasher.project(X)), expected, atol=1e-5)


def test_training_lowers_the_objective(X):
    history = DH(8, **QUICK).fit(X).history_
    assert set(history) == {"objective", "quantization", "variance", "orthogonality", "decay"}
    assert all(curve.shape == (60,) and curve.dtype == np.float32 for curve in history.values())
    assert history["objective"][-1] < history["objective"][0] - 1
    assert (np.diff(history["objective"]) < 0).mean() > 0.9
    weights = {"variance": -10, "orthogonality": 100, "decay": 0.001}
    total = history["quantization"] + sum(w * history[name] for name, w in weights.items())
    np.testing.assert_allclose(history["objective"], total, rtol=1e-4, atol=1e-3)


def test_without_the_variance_bits_of_little_spread_become_constant():
    """The values are lengthened by their constants, and their signs freeze."""
    X = np.random.default_rng(1).exponential(size=(600, 30))

    def rarer(variance_weight):
        settings = QUICK | {"n_steps": 300, "lr": 0.005}
        means = DH(16, variance_weight=variance_weight, **settings).fit(X).transform(X).mean(axis=0)
        return np.minimum(means, 1 - means).min()

    assert rarer(0.0) < 0.05
    assert rarer(10.0) > 0.4


def test_a_variance_about_0_makes_bits_constant(X):
    settings = QUICK | {"n_steps": 800, "lr": 0.005}
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        DH(8, centred=False, **settings).fit(X)
    centred = DH(8, **settings).fit(X)
    assert np.abs(centred.transform(X).mean(axis=0) - 0.5).max() < 0.3


def test_vectors_alike_get_codes_alike(X):
    bits = DH(16, **QUICK | {"n_steps": 200}).fit(X).transform(X).astype(int)
    kind = np.arange(len(X)) % 12
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.35 * distances[~same].mean()
    assert np.abs(bits.mean(axis=0) - 0.5).mean() < 0.2


def test_constant_features_and_equal_vectors_are_no_error(X):
    padded = np.hstack([X, np.full((len(X), 3), 7, np.float32)])
    with_constants = DH(8, **QUICK).fit(padded)
    assert np.isfinite(with_constants.project(padded)).all()
    assert len(np.unique(with_constants.encode(padded))) > 5
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        equal = DH(4, **QUICK).fit(np.ones((30, 5)))
    assert np.isfinite(equal.project(np.ones((2, 5)))).all()


def test_a_drawn_part_is_learned_from(X):
    hasher = DH(4, **QUICK | {"n_steps": 1}, max_samples=100).fit(X)
    rows = np.sort(np.random.RandomState(0).choice(len(X), 100, replace=False))
    np.testing.assert_allclose(hasher.shift_, X[rows].mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden": 3}, TypeError, "hidden"),
        ({"hidden": [4, 0]}, ValueError, "a size in hidden"),
        ({"hidden": [2.5]}, TypeError, "a size in hidden"),
        ({"variance_weight": -1.0}, ValueError, "variance_weight"),
        ({"orthogonality_weight": "much"}, TypeError, "orthogonality_weight"),
        ({"decay": -1.0}, ValueError, "decay"),
        ({"centred": 1}, TypeError, "centred"),
        ({"max_samples": 1}, ValueError, "max_samples"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(X, options, error, message):
    with pytest.raises(error, match=message):
        DH(4, **options).fit(X)


def test_training_that_diverges_says_so(X):
    with pytest.raises(ValueError, match="diverged"):
        DH(4, **QUICK | {"lr": 1e30}).fit(X)


def test_a_network_of_one_layer_is_linear(X):
    hasher = DH(4, hidden=(), **QUICK).fit(X)
    assert set(hasher.layers_) == {"output.weights", "output.bias"}
    doubled = hasher.project(2 * X - hasher.shift_) - hasher.layers_["output.bias"]
    single = hasher.project(X) - hasher.layers_["output.bias"]
    np.testing.assert_allclose(doubled, 2 * single, atol=1e-4)
    assert math.isfinite(hasher.scale_)
