import math

import numpy as np
import pytest
import torch

from hashlearn._training import squared_distances
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.sigah import (
    discriminator_loss,
    draw_codes,
    energy,
    entropy_loss,
    graph_loss,
    orthogonality_loss,
    reconstruction_loss,
    sparsity_loss,
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


@pytest.mark.parametrize("bandwidth", [0.7, 2.0])
def test_the_graph_term_is_that_of_equation_17(points, bandwidth):
    x, v = points[0], points[1].tanh()
    pairs = [(i, j) for i in range(6) for j in range(6)]
    expected = 0.0
    for i, j in pairs:
        similarity = math.exp(-loop_squared_distance(x[i], x[j]) / (2 * bandwidth**2))
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


def test_entropy_is_the_divergence_from_fair_coins():
    u = torch.tensor([[-0.5, 0.0], [0.9, 3.0]])
    expected = 0.0
    for v in np.tanh([-0.5, 0.0, 0.9, 3.0]):
        for p in ((1 + v) / 2, (1 - v) / 2):
            expected += p * math.log(2 * p)
    assert entropy_loss(u).item() == pytest.approx(expected / 4, rel=1e-5)


def test_the_gradient_of_entropy_is_finite_where_a_bit_is_sure():
    u = torch.tensor([[-40.0, 0.3, 40.0]], requires_grad=True)
    entropy_loss(u).backward()
    assert u.grad.isfinite().all()


def test_orthogonality_adds_up_squared_cosines():
    W = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-4.0, 3.0]])
    expected = 0.0
    for i, j in np.ndindex(3, 3):
        norms = math.hypot(*W[i].tolist()) * math.hypot(*W[j].tolist())
        product = sum(p * q for p, q in zip(W[i].tolist(), W[j].tolist(), strict=True))
        expected += (product / norms) ** 2 * (i != j)
    assert orthogonality_loss(W).item() == pytest.approx(expected / 3, rel=1e-5)
    assert orthogonality_loss(torch.eye(4)).item() == 0


@pytest.mark.parametrize("binarisation", ["stochastic", "sign", "tanh"])
def test_codes_go_forward_and_the_gradient_of_tanh_goes_back(binarisation):
    u = torch.tensor([-2.0, -0.1, 0.0, 0.5], requires_grad=True)
    b = draw_codes(torch.tanh(u), binarisation)
    if binarisation == "sign":
        assert b.tolist() == pytest.approx([-1, -1, 1, 1])
    elif binarisation == "tanh":
        assert b.tolist() == pytest.approx(np.tanh([-2.0, -0.1, 0.0, 0.5]))
    else:
        assert b.abs().tolist() == pytest.approx([1, 1, 1, 1])
    b.sum().backward()
    expected = [1 - math.tanh(value) ** 2 for value in u.tolist()]
    assert u.grad.tolist() == pytest.approx(expected)


def test_a_bit_is_drawn_as_often_as_its_relaxed_code_says():
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(0)
    v = torch.tensor([-1.0, -0.5, 0.0, 0.8, 1.0])
    n = 20_000
    share = (draw_codes(v.expand(n, 5)) > 0).float().mean(dim=0)
    torch.random.set_rng_state(generator_state)
    for got, p in zip(share.tolist(), ((1 + v) / 2).tolist(), strict=True):
        assert abs(got - p) <= 4 * math.sqrt(p * (1 - p) / n)


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20))
    X = centres[rng.integers(0, 12, 600)] + 0.3 * rng.normal(size=(600, 20))
    return (5 * X + 3).astype(np.float32)


def test_codes_draw_their_vectors_better_than_the_mean_does(X):
    hasher = SiGAH(16, n_steps=400, batch_size=64, random_state=0).fit(X)
    error = np.square(hasher.reconstruct(hasher.encode(X)) - X).sum(axis=1).mean()
    spread = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    assert error < 0.35 * spread


@pytest.mark.parametrize("depth", [1, 3])
def test_reconstruct_computes_a_g_of_b(X, depth):
    hasher = SiGAH(
        5, n_steps=3, generator_depth=depth, generator_width=0.5, random_state=0
    ).fit(X)  # fmt: skip
    g = [-1, 1, 1, -1, 1]
    for number in range(1, depth + 1):
        layer = []
        parts = (hasher.generator_[f"{name}_{number}"] for name in ("weights", "bias"))
        for weights, bias in zip(*parts, strict=True):
            value = sum(w * bit for w, bit in zip(weights, g, strict=True)) + bias
            layer.append(value if value >= 0 else 0.2 * value)
        g = layer
    assert len(g) == 10
    expected = [
        sum(a * value for a, value in zip(row, g, strict=True)) + mean
        for row, mean in zip(hasher.dictionary_, hasher.mean_, strict=True)
    ]
    code = np.array([[0b10110]], np.uint8)
    np.testing.assert_allclose(hasher.reconstruct(code)[0], expected, rtol=1e-4, atol=1e-4)
    assert len(hasher.generator_) == 2 * depth


def test_the_dictionary_is_gaussian_in_every_direction():
    X = np.random.default_rng(0).normal(size=(500, 60)) * np.linspace(1, 3, 60)
    hasher = SiGAH(8, n_steps=1, random_state=0).fit(X)
    scale = np.sqrt(np.square(X - X.mean(axis=0)).sum(axis=1).mean())
    entries = hasher.dictionary_ / scale
    assert entries.shape == (60, 120)
    assert entries.std() == pytest.approx(60**-0.5, rel=0.05)
    assert abs(entries.mean()) < 4 * 60**-0.5 / math.sqrt(entries.size)


def test_training_lowers_the_reconstruction_error_and_keeps_its_history(X):
    hasher = SiGAH(8, n_steps=120, batch_size=100, orthogonality_weight=0.1, random_state=0).fit(X)
    history = hasher.history_
    assert set(history) == {
        "reconstruction", "sparsity", "graph", "entropy", "orthogonality", "real_energy",
        "synthetic_energy", "held_back",
    }  # fmt: skip
    assert all(values.shape == (120,) for values in history.values())
    assert all(values.any() for values in history.values())
    for name in ("reconstruction", "real_energy"):
        assert history[name][-6:].mean() < 0.9 * history[name][:6].mean()
    assert (np.diff(history["held_back"]) <= 0).all()
    assert history["held_back"][-1] < 0.9 * history["held_back"][0]


def test_without_its_weight_the_adversary_does_not_exist(X):
    hasher = SiGAH(8, adversary_weight=0, n_steps=20, random_state=0).fit(X)
    assert not hasher.history_["real_energy"].any()
    with_it = SiGAH(8, n_steps=20, random_state=0).fit(X)
    assert with_it.history_["real_energy"].all()
    assert not np.allclose(hasher.weights_, with_it.weights_)


def test_with_all_weights_zero_only_the_reconstruction_is_learned(X):
    weights = ("adversary", "graph", "sparsity", "entropy", "orthogonality")
    options = {f"{weight}_weight": 0 for weight in weights} | {"n_steps": 20, "random_state": 0}
    first = SiGAH(8, **options).fit(X)
    second = SiGAH(8, margin=9.0, bandwidth=5.0, **options).fit(X)
    np.testing.assert_array_equal(first.weights_, second.weights_)
    for name, values in first.history_.items():
        assert values.any() == (name in ("reconstruction", "held_back"))


@pytest.mark.parametrize("term", ["sparsity", "graph", "entropy", "orthogonality"])
def test_a_larger_weight_lowers_its_term(X, term):
    options = {"n_steps": 100, "batch_size": 100, "adversary_weight": 0, "random_state": 0}
    last = [
        SiGAH(8, **{f"{term}_weight": value}, **options).fit(X).history_[term][-6:].mean()
        for value in (0.001, 1.0)
    ]
    assert last[1] < last[0]


def test_training_stops_when_held_back_vectors_are_drawn_no_better(X):
    options = {"n_steps": 400, "lr": 3.0, "random_state": 0}  # far too large a step
    patient = SiGAH(8, patience=20, **options).fit(X)
    hasty = SiGAH(8, patience=1, **options).fit(X)
    assert len(patient.history_["held_back"]) == 400
    assert len(hasty.history_["held_back"]) < 200
    error = np.square(hasty.reconstruct(hasty.encode(X)) - X).sum(axis=1).mean()
    spread = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    assert error / spread == pytest.approx(hasty.history_["held_back"][-1], rel=0.3)


def test_the_discriminators_step_moves_only_the_discriminator_and_the_other_only_the_others(X):
    """The synthetic vectors are detached in one step; in the other only the learner steps."""
    x = torch.from_numpy(X[:50])
    encoder, decoder = torch.nn.Linear(20, 4), torch.nn.Linear(4, 20)
    discriminator = torch.nn.Linear(20, 20)
    synthetic = decoder(draw_codes(torch.tanh(encoder(x))))
    loss = discriminator_loss(
        energy(discriminator, x), energy(discriminator, synthetic.detach()), 1.0
    )
    loss.backward()
    assert discriminator.weight.grad is not None
    assert encoder.weight.grad is None
    assert decoder.weight.grad is None


def test_it_starts_from_the_method_named(X):
    options = {"n_steps": 1, "lr": 1e-9, "random_state": 0}
    pca = get_method("itq")(6, rotation="identity").fit(X)
    from_pca = SiGAH(6, init="pca", **options).fit(X)
    agreement = (from_pca.transform(X) == pca.transform(X)).mean(axis=0)
    assert np.maximum(agreement, 1 - agreement).min() > 0.98  # a direction has no sign
    default, itq = (SiGAH(6, **options, **init).fit(X) for init in ({}, {"init": "itq"}))
    np.testing.assert_array_equal(default.weights_, itq.weights_)


@pytest.mark.parametrize("n_bits", [20, 21, 64])
def test_there_may_be_more_bits_than_features(X, n_bits):
    hasher = SiGAH(n_bits, n_steps=30, random_state=0).fit(X)
    assert hasher.encode(X).shape == (600, -(-n_bits // 8))
    assert hasher.reconstruct(hasher.encode(X)).shape == X.shape


def test_inputs_may_be_of_any_scale_and_place(X):
    options = {"n_steps": 30, "random_state": 0}
    codes = [SiGAH(8, **options).fit(Y).encode(Y) for Y in (X, 1e-4 * X, 1e3 * X + 7)]
    for other in codes[1:]:
        assert (np.unpackbits(other ^ codes[0]).mean()) < 0.01


def test_the_paper_s_relaxation_and_every_activation_can_be_chosen(X):
    codes = []
    for options in (
        {"binarisation": "tanh"},
        {"activation": "relu"},
        {"activation": "silu"},
        {"activation": "tanh"},
        {"activation": "sigmoid"},
        {"binarisation": "sign"},
        {"generator_width": 0.5},
        {"discriminator_width": 3.0},
        {"generator_depth": 2},
        {"n_components": 10},
    ):
        hasher = SiGAH(8, n_steps=20, random_state=0, **options).fit(X)
        codes.append(hasher.project(X))
        width = options.get("generator_width", 2) * options.get("n_components", 20)
        assert hasher.dictionary_.shape == (20, width)
    for i, j in np.ndindex(len(codes), len(codes)):
        assert i == j or not np.array_equal(codes[i], codes[j])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"binarisation": "step"}, ValueError, "binarisation must be"),
        ({"activation": "cube"}, ValueError, "activation must be one of"),
        ({"init": "rotation"}, ValueError, "unknown method"),
        ({"init": "sph"}, ValueError, "not linear"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"n_steps": 1.5}, TypeError, "n_steps"),
        ({"generator_depth": 0}, ValueError, "generator_depth"),
        ({"n_components": 0}, ValueError, "n_components"),
        ({"patience": -1}, ValueError, "patience"),
        ({"entropy_weight": -0.1}, ValueError, "entropy_weight"),
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
        SiGAH(4, lr=1e30, n_steps=9, random_state=0).fit(X)
