import math

import numpy as np
import pytest
import torch

from hashlearn.hashers import get_method
from hashlearn.hashers.deep.sigah import (
    discriminator_loss,
    energy,
    graph_loss,
    reconstruction_loss,
    sign_through,
    sparsity_loss,
    squared_distances,
)

SiGAH = get_method("sigah")


@pytest.fixture(name="points")
def fixture_points():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, generator=generator), torch.randn(6, 4, generator=generator)


def loop_squared_distance(a, b):
    return sum((p - q) ** 2 for p, q in zip(a.tolist(), b.tolist(), strict=True))


def test_reconstruction_is_the_mean_squared_norm_of_the_difference(points):
    x, other = points[0], points[1][:, :3]
    expected = sum(loop_squared_distance(a, b) for a, b in zip(x, other, strict=True)) / 6
    assert reconstruction_loss(x, other).item() == pytest.approx(expected, rel=1e-5)


def test_sparsity_is_the_mean_sum_of_absolute_values(points):
    expected = sum(sum(abs(value) for value in row) for row in points[1].tolist()) / 6
    assert sparsity_loss(points[1]).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("bandwidth", [0.7, 2.0, None])
def test_the_graph_term_is_that_of_equation_17(points, bandwidth):
    x, v = points[0], points[1].tanh()
    pairs = [(i, j) for i in range(6) for j in range(6)]
    if bandwidth is None:
        distances = sorted(loop_squared_distance(x[i], x[j]) for i, j in pairs)
        width = distances[(len(distances) - 1) // 2]  # PyTorch's median is the lower one
    else:
        width = bandwidth**2
    expected = 0.0
    for i, j in pairs:
        similarity = math.exp(-loop_squared_distance(x[i], x[j]) / (2 * width))
        expected += similarity * loop_squared_distance(v[i], v[j])
    assert graph_loss(x, v, bandwidth).item() == pytest.approx(expected / 36, rel=1e-4)


def test_squared_distances_are_those_of_loops(points):
    got = squared_distances(points[0])
    for i, j in np.ndindex(6, 6):
        expected = loop_squared_distance(points[0][i], points[0][j])
        assert got[i, j].item() == pytest.approx(expected, abs=1e-5)


def test_energy_is_the_squared_error_of_the_auto_encoder(points):
    x = points[0]
    halve = torch.nn.Linear(3, 3, bias=False)
    halve.weight.data = 0.5 * torch.eye(3)
    expected = [sum((0.5 * value) ** 2 for value in row) for row in x.tolist()]
    assert energy(halve, x).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_wants_low_real_energy_and_synthetic_energy_up_to_the_margin():
    real, synthetic = [0.5, 1.5], [0.2, 3.0, 1.0]
    expected = sum(real) / 2 + sum(max(0.0, 1.1 - value) for value in synthetic) / 3
    got = discriminator_loss(torch.tensor(real), torch.tensor(synthetic), 1.1)
    assert got.item() == pytest.approx(expected)


def test_signs_go_forward_and_the_gradient_of_tanh_goes_back():
    u = torch.tensor([-2.0, -0.1, 0.0, 0.5], requires_grad=True)
    b = sign_through(torch.tanh(u))
    assert b.tolist() == pytest.approx([-1, -1, 1, 1])
    b.sum().backward()
    expected = [1 - math.tanh(value) ** 2 for value in u.tolist()]
    assert u.grad.tolist() == pytest.approx(expected)


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20))
    X = centres[rng.integers(0, 12, 600)] + 0.3 * rng.normal(size=(600, 20))
    return (5 * X + 3).astype(np.float32)


def test_codes_draw_their_vectors_better_than_the_mean_does(X):
    hasher = SiGAH(16, n_epochs=40, batch_size=64, random_state=0).fit(X)
    error = np.square(hasher.reconstruct(hasher.encode(X)) - X).sum(axis=1).mean()
    spread = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    assert error < 0.35 * spread


def test_reconstruct_computes_a_g_of_b(X):
    hasher = SiGAH(5, n_epochs=1, random_state=0).fit(X)
    code = np.array([[0b10110]], np.uint8)
    b = [-1, 1, 1, -1, 1]
    expected = []
    g = []
    for weights, bias in zip(hasher.generator_weights_, hasher.generator_bias_, strict=True):
        value = sum(w * bit for w, bit in zip(weights, b, strict=True)) + bias
        g.append(value if value >= 0 else 0.2 * value)
    for row, mean in zip(hasher.gaussian_, hasher.mean_, strict=True):
        expected.append(sum(a * value for a, value in zip(row, g, strict=True)))
        expected[-1] = expected[-1] * hasher.scale_ + mean
    np.testing.assert_allclose(hasher.reconstruct(code)[0], expected, rtol=1e-4, atol=1e-4)


def test_training_lowers_the_reconstruction_error_and_keeps_its_history(X):
    hasher = SiGAH(8, n_epochs=20, batch_size=100, random_state=0).fit(X)
    history = hasher.history_
    names = {"reconstruction", "sparsity", "graph", "real_energy", "synthetic_energy"}
    assert set(history) == names
    assert all(values.shape == (20 * 6,) for values in history.values())
    reconstruction = history["reconstruction"]
    assert reconstruction[-6:].mean() < 0.7 * reconstruction[:6].mean()
    assert history["real_energy"][-6:].mean() < 0.9 * history["real_energy"][:6].mean()


def test_without_its_weight_the_adversary_does_not_exist(X):
    hasher = SiGAH(8, adversary_weight=0, n_epochs=2, random_state=0).fit(X)
    assert not hasher.history_["real_energy"].any()
    with_it = SiGAH(8, n_epochs=2, random_state=0).fit(X)
    assert with_it.history_["real_energy"].all()
    assert not np.allclose(hasher.weights_, with_it.weights_)


def test_with_all_weights_zero_only_the_reconstruction_is_learned(X):
    options = {"n_epochs": 3, "random_state": 0, "adversary_weight": 0, "graph_weight": 0}
    first = SiGAH(8, sparsity_weight=0, **options).fit(X)
    second = SiGAH(8, sparsity_weight=0, margin=9.0, bandwidth=5.0, **options).fit(X)
    np.testing.assert_array_equal(first.weights_, second.weights_)
    assert not first.history_["graph"].any()


@pytest.mark.parametrize("weight", ["sparsity_weight", "graph_weight"])
def test_a_larger_weight_lowers_its_term(X, weight):
    options = {"n_epochs": 15, "batch_size": 100, "adversary_weight": 0, "random_state": 0}
    term = weight.removesuffix("_weight")
    last = [
        SiGAH(8, **{weight: value}, **options).fit(X).history_[term][-6:].mean()
        for value in (0.001, 0.3)
    ]
    assert last[1] < last[0]


def test_the_discriminators_step_moves_only_the_discriminator_and_the_other_only_the_others(X):
    """The synthetic vectors are detached in one step; in the other only the learner steps."""
    x = torch.from_numpy(X[:50])
    encoder, decoder = torch.nn.Linear(20, 4), torch.nn.Linear(4, 20)
    discriminator = torch.nn.Linear(20, 20)
    synthetic = decoder(sign_through(torch.tanh(encoder(x))))
    loss = discriminator_loss(
        energy(discriminator, x), energy(discriminator, synthetic.detach()), 1.0
    )
    loss.backward()
    assert discriminator.weight.grad is not None
    assert encoder.weight.grad is None
    assert decoder.weight.grad is None


def test_it_starts_from_the_method_named_and_needs_itq_for_neither_more_bits_than_features(X):
    itq = get_method("itq")(6, random_state=np.random.RandomState(0)).fit(X)
    hasher = SiGAH(6, n_epochs=1, lr=1e-9, weight_decay=0, random_state=0).fit(X)
    assert (hasher.transform(X) == itq.transform(X)).mean() > 0.99
    long = SiGAH(64, init="lsh", n_epochs=1, random_state=0).fit(X)
    assert long.encode(X).shape == (600, 8)


def test_the_paper_s_relaxation_and_every_activation_can_be_chosen(X):
    codes = []
    for options in (
        {"binarisation": "tanh"},
        {"activation": "relu"},
        {"activation": "silu"},
        {"activation": "tanh"},
        {"activation": "sigmoid"},
        {"generator_width": 7, "discriminator_width": 3},
    ):
        hasher = SiGAH(8, n_epochs=2, random_state=0, **options).fit(X)
        codes.append(hasher.project(X))
        assert hasher.gaussian_.shape == (20, options.get("generator_width", 40))
    for i, j in np.ndindex(len(codes), len(codes)):
        assert i == j or not np.array_equal(codes[i], codes[j])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"binarisation": "step"}, ValueError, "binarisation must be"),
        ({"activation": "cube"}, ValueError, "activation must be one of"),
        ({"init": "pca"}, ValueError, "unknown method"),
        ({"n_epochs": 0}, ValueError, "n_epochs"),
        ({"n_epochs": 1.5}, TypeError, "n_epochs"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"lr": "fast"}, TypeError, "lr"),
        ({"graph_weight": -1}, ValueError, "graph_weight"),
        ({"margin": 0}, ValueError, "margin"),
        ({"bandwidth": -1.0}, ValueError, "bandwidth"),
        ({"generator_width": 0}, ValueError, "generator_width"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(X, options, error, message):
    with pytest.raises(error, match=message):
        SiGAH(4, **options).fit(X)


def test_training_that_diverges_says_so(X):
    with pytest.raises(ValueError, match="diverged"):
        SiGAH(4, lr=1e30, n_epochs=3, random_state=0).fit(X)
