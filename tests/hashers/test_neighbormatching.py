import itertools
import math

import numpy as np
import pytest
import torch

from hashlearn.data import load_dataset
from hashlearn.evaluation import NeighborTruth, Protocol, euclidean_neighbors, evaluate
from hashlearn.hashers import get_method
from hashlearn.hashers.deep._linear import Coordinates
from hashlearn.hashers.deep.neighbormatching import (
    _signs,
    asymmetric_loss,
    asymmetric_slopes,
    code_probabilities,
    matching_loss,
    matching_slopes,
    neighbor_probabilities,
)
from hashlearn.index import HammingIndex

NeighborMatching = get_method("neighbormatching")
SHAPES = [(7, 5), (2, 3), (8, 20), (9, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_weight = pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])


def draw(shape, seed=0):
    """Probabilities with a zero diagonal, and codes."""
    generator = torch.Generator().manual_seed(seed)
    n = shape[0]
    P = torch.rand(n, n, generator=generator, dtype=torch.float64).square().fill_diagonal_(0)
    B = _signs(torch.randn(shape, generator=generator, dtype=torch.float64))
    return P / P.sum(dim=1, keepdim=True), B


def double(value):
    return torch.tensor(value, dtype=torch.float64)


def loop_neighbor_probabilities(x, fraction, beta):
    rows, expected = x.tolist(), []
    for i, a in enumerate(rows):
        squares = [sum((s - t) ** 2 for s, t in zip(a, b, strict=True)) for b in rows]
        others = sorted(squares[:i] + squares[i + 1 :])
        k = max(1, round(fraction * len(others)))
        width = max(beta * (others[k - 1] - others[0]), 1e-6)
        weights = [
            0.0 if j == i else math.exp((others[0] - square) / width)
            for j, square in enumerate(squares)
        ]
        expected.append([weight / sum(weights) for weight in weights])
    return double(expected)


def loop_loss(P, B, tau, rho):
    """The objective, term by term, as the docstring has it."""
    P, B, n = P.tolist(), B.tolist(), len(B)
    h = [[sum(s != t for s, t in zip(a, b, strict=True)) for b in B] for a in B]
    e = [[math.exp(-tau * h[i][j]) if i != j else 0.0 for j in range(n)] for i in range(n)]
    total, loss = sum(map(sum, e)), 0.0
    for i, j in itertools.permutations(range(n), 2):
        q, Q = e[i][j] / sum(e[i]), n * e[i][j] / total
        loss -= P[i][j] * ((1 - rho) * math.log(q) + rho * math.log(Q)) / n
    return loss


def relaxed_loss(P, B, tau, rho):
    """The objective of codes that need not be signs, with 2 h_ij = r - b_i.b_j."""
    n, r = B.shape
    h = (r - B @ B.T) / 2
    others = ~torch.eye(n, dtype=torch.bool)
    logits = torch.where(others, -tau * h, -math.inf)
    log_q = logits - logits.logsumexp(dim=1, keepdim=True)
    log_Q = math.log(n) + logits - logits.logsumexp(dim=(0, 1))
    mixed = (1 - rho) * log_q + rho * log_Q
    return -(P[others] * mixed[others]).sum() / n


def half_differences(P, B, tau, rho):
    """Half the loss with each bit at +1 less half that with it at -1."""
    expected = torch.empty_like(B)
    for i, k in np.ndindex(*B.shape):
        ends = []
        for bit in (1.0, -1.0):
            moved = B.clone()
            moved[i, k] = bit
            ends.append(loop_loss(P, moved, tau, rho))
        expected[i, k] = (ends[0] - ends[1]) / 2
    return expected


def derivatives(P, B, tau, rho):
    """Slope and curvature of the objective in each bit, by automatic differentiation."""
    slope = torch.func.grad(relaxed_loss, argnums=1)(P, B, tau, rho)
    curvature = torch.empty_like(B)
    for i, k in np.ndindex(*B.shape):
        place = torch.zeros_like(B)
        place[i, k] = 1

        def along(step, place=place):
            return relaxed_loss(P, B + step * place, tau, rho)

        curvature[i, k] = torch.func.grad(torch.func.grad(along))(double(0.0))
    return slope, curvature


@pytest.mark.parametrize("fraction", [1e-9, 0.3, 0.999])
@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_the_probabilities_of_neighbours_are_those_of_loops(fraction, beta):
    x = torch.randn(11, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = neighbor_probabilities(x, fraction, beta)
    torch.testing.assert_close(got, loop_neighbor_probabilities(x, fraction, beta))
    assert got.diagonal().eq(0).all()


def test_with_one_neighbour_all_others_are_too_far():
    x = double([[0.0], [1.0], [3.0], [7.0]])
    expected = double([[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    torch.testing.assert_close(neighbor_probabilities(x, 1 / 3, 0.3), expected)


def test_vectors_that_are_equally_near_are_equally_probable():
    x = double([[2.0, 1.0]] * 4 + [[5.0, 1.0]])
    got = neighbor_probabilities(x, 0.5, 0.3)  # the bandwidth is 0 in the first rows
    torch.testing.assert_close(got, loop_neighbor_probabilities(x, 0.5, 0.3))
    torch.testing.assert_close(got[0], double([0, 1 / 3, 1 / 3, 1 / 3, 0]))
    torch.testing.assert_close(got[4], double([0.25, 0.25, 0.25, 0.25, 0]))
    same = neighbor_probabilities(torch.zeros(6, 3), 0.2, 0.3)
    torch.testing.assert_close(same, (1 - torch.eye(6)) / 5)


def test_of_two_vectors_each_picks_the_other():
    got = neighbor_probabilities(double([[1.0], [4.0]]), 0.01, 0.3)
    torch.testing.assert_close(got, double([[0, 1], [1, 0]]))


def test_single_precision_is_near_double_precision():
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    single = neighbor_probabilities(x.float(), 0.1, 0.3)
    torch.testing.assert_close(
        single, neighbor_probabilities(x, 0.1, 0.3).float(), rtol=1e-3, atol=1e-6
    )


@every_shape
@pytest.mark.parametrize("tau", [0.05, 1.0, 3.0])
def test_the_probabilities_of_codes_are_those_of_loops(shape, tau):
    _, B = draw(shape)
    q, logits, log_sums = code_probabilities(B, double(tau))
    for i, a in enumerate(B.tolist()):
        weights = [
            0.0
            if j == i
            else math.exp(tau * (len(a) / 2 - sum(s != t for s, t in zip(a, b, strict=True))))
            for j, b in enumerate(B.tolist())
        ]
        torch.testing.assert_close(q[i], double(weights) / sum(weights))
        assert log_sums[i].item() == pytest.approx(math.log(sum(weights)))
        logs = [math.log(weight) if weight else 0.0 for weight in weights]
        torch.testing.assert_close(logits[i], double(logs))


@every_shape
@every_weight
def test_the_loss_is_that_of_loops(shape, weight):
    P, B = draw(shape)
    for tau in (0.1, 1.3):
        expected = loop_loss(P, B, tau, weight)
        assert matching_loss(P, B, double(tau), weight).item() == pytest.approx(expected)
        assert matching_slopes(P, B, double(tau), weight)[0].item() == pytest.approx(expected)
        assert relaxed_loss(P, B, double(tau), weight).item() == pytest.approx(expected)


@every_shape
@every_weight
def test_the_slope_is_the_derivative_less_the_bit_times_the_curvature(shape, weight):
    P, B = draw(shape)
    for tau in (double(0.2), double(1.1)):
        slope, curvature = derivatives(P, B, tau, weight)
        got = matching_slopes(P, B, tau, weight)[1]
        torch.testing.assert_close(got, slope - B * curvature)
        assert shape[0] == 2 or curvature.min() > 0


@every_shape
@every_weight
def test_the_slope_is_half_the_difference_that_a_bit_makes_to_second_order(shape, weight):
    """The error falls as the third power of tau, that of the derivative as the second."""
    P, B = draw(shape)
    errors = {"slope": [], "derivative": []}
    for tau in (0.02, 0.01):
        expected = half_differences(P, B, tau, weight)
        slope = matching_slopes(P, B, double(tau), weight)[1]
        derivative = derivatives(P, B, double(tau), weight)[0]
        errors["slope"].append((slope - expected).abs().max().item())
        errors["derivative"].append((derivative - expected).abs().max().item())
    if shape[0] == 2:  # whoever is alone with another picks it for certain
        assert max(errors["slope"]) < 1e-12
        return
    assert errors["derivative"][0] / errors["derivative"][1] == pytest.approx(4, rel=0.1)
    assert errors["slope"][0] / errors["slope"][1] > 7
    assert errors["slope"][1] < errors["derivative"][1] / 20


@pytest.mark.parametrize("tau", [0.3, 0.7])
def test_the_slope_is_nearer_to_the_difference_than_the_derivative_is_where_training_is(tau):
    P, B = draw((12, 16))
    expected = half_differences(P, B, tau, 0.1)
    slope = matching_slopes(P, B, double(tau), 0.1)[1]
    derivative = derivatives(P, B, double(tau), 0.1)[0]
    assert (slope - expected).norm() < 0.5 * (derivative - expected).norm()


@every_shape
@every_weight
def test_the_slope_of_tau_is_its_derivative(shape, weight):
    P, B = draw(shape)
    for tau in (double(0.2), double(1.1)):
        expected = torch.func.grad(relaxed_loss, argnums=2)(P, B, tau, weight)
        got = matching_slopes(P, B, tau, weight)[2]
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_probabilities_and_codes_are_not_written_into():
    P, B = draw((6, 4))
    before = P.clone(), B.clone()
    matching_slopes(P, B, double(0.5), 0.1)
    assert torch.equal(P, before[0])
    assert torch.equal(B, before[1])


def test_equal_codes_pick_each_other_with_one_chance():
    P = draw((5, 3))[0]
    B = torch.ones(5, 3, dtype=torch.float64)
    loss, slope, slope_tau = matching_slopes(P, B, double(0.8), 0.1)
    assert loss.item() == pytest.approx(math.log(4))  # each of the others, with the same chance
    slopes, curvature = derivatives(P, B, double(0.8), 0.1)
    torch.testing.assert_close(slope, slopes - B * curvature)
    assert slope_tau.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("tau", [0.5, 5.0])
def test_codes_that_are_far_from_all_others_keep_finite_slopes(tau):
    """exp(-tau h) is below the least float32 here, and so is its square before it."""
    B = torch.ones(6, 1024)
    B[0] = -1
    B[1:, :5] = _signs(torch.arange(25.0).reshape(5, 5) % 3 - 1)
    P = torch.full((6, 6), 0.2).fill_diagonal_(0)
    single = matching_slopes(P, B, torch.tensor(tau), 0.1)
    exact = matching_slopes(P.double(), B.double(), double(tau), 0.1)
    for got, expected in zip(single, exact, strict=True):
        assert got.isfinite().all()
        torch.testing.assert_close(got.double(), expected, rtol=1e-3, atol=1e-5)
    expected = relaxed_loss(P.double(), B.double(), double(tau), 0.1)
    assert single[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_of_many_vectors_is_exact_in_single_precision():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 20, generator=generator)
    B = _signs(x @ torch.randn(20, 32, generator=generator))
    P = neighbor_probabilities(x, 0.01, 0.3)
    expected = matching_loss(P.double(), B.double(), double(0.7), 0.1).item()
    assert matching_loss(P, B, torch.tensor(0.7), 0.1).item() == pytest.approx(expected, rel=2e-6)


def test_the_sign_of_0_is_1():
    assert _signs(torch.tensor([0.0, -0.0, 1e-30, -1e-30])).tolist() == [1, 1, 1, -1]


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20))
    X = centres[rng.integers(0, 12, 900)] + 0.3 * rng.normal(size=(900, 20))
    return (5 * X + 3).astype(np.float32)


def fit(X, n_bits=12, **options):
    settings = {"n_steps": 60, "batch_size": 128, "random_state": 0, **options}
    return NeighborMatching(n_bits, **settings).fit(X)


def test_training_lowers_the_loss_and_keeps_its_history(X):
    hasher = fit(X, init="random")
    history = hasher.history_
    assert set(history) == {"loss", "held_back", "temperature"}
    assert {len(values) for values in history.values()} == {60}
    assert all(values.dtype == np.float32 for values in history.values())
    assert history["loss"][-10:].mean() < history["loss"][:10].mean() - 0.05
    assert (np.diff(history["held_back"]) <= 0).all()
    assert history["temperature"][0] == 1
    assert history["temperature"].min() > 0
    assert fit(X, n_bits=64).history_["temperature"][0] == pytest.approx(0.25)


def test_the_functions_kept_are_those_of_the_lowest_held_back_loss(X, monkeypatch):
    """Keep the functions after each step, and look up which they are."""
    seen = []
    step = torch.optim.Adam.step

    def spy(optimiser, *arguments):
        result = step(optimiser, *arguments)
        seen.append([part.clone() for part in optimiser.param_groups[0]["params"]])
        return result

    monkeypatch.setattr(torch.optim.Adam, "step", spy)
    hasher = fit(X, lr=0.3, patience=100)
    history = hasher.history_["held_back"]
    lowest = int(np.argmin(history))  # the first step with the value that stays
    assert 0 < lowest < 57  # else so large a step size makes nothing worse, and this says nothing
    assert (lowest + 1) % 3 == 0  # 20 checks in 60 steps
    W, c, log_tau, _ = (part.numpy() for part in seen[lowest])
    weights, bias = Coordinates.of(X, 20, np.random.RandomState(0))[0].functions(W, c)
    np.testing.assert_array_equal(hasher.weights_, weights)
    np.testing.assert_array_equal(hasher.bias_, bias)
    assert hasher.temperature_ == pytest.approx(np.exp(log_tau))


def test_a_start_that_is_never_improved_on_is_kept(X):
    hasher = fit(X, lr=30, patience=3)
    start = fit(X, n_steps=1, lr=1e-12)
    np.testing.assert_allclose(hasher.weights_, start.weights_, rtol=1e-5)
    np.testing.assert_allclose(hasher.bias_, start.bias_, rtol=1e-5)
    assert hasher.temperature_ == 1


@pytest.mark.parametrize("patience", [0, 3])
def test_training_stops_when_patience_is_at_its_end(X, patience):
    history = fit(X, lr=30, patience=patience).history_
    assert len(history["loss"]) == 3 * (patience + 1)  # a check each third step
    assert np.ptp(history["held_back"]) == 0


@pytest.mark.parametrize(("n_steps", "n_checks"), [(7, 7), (39, 20), (45, 15), (60, 20)])
def test_there_are_at_most_20_checks_and_one_after_the_last_step(X, monkeypatch, n_steps, n_checks):
    losses = iter([3.0] * n_checks + [1.5])  # that of the start is the first
    monkeypatch.setattr(
        "hashlearn.hashers.deep.neighbormatching.matching_loss", lambda *_: next(losses)
    )
    history = fit(X, n_steps=n_steps, patience=100).history_["held_back"]
    assert history[:-1].tolist() == [3.0] * (n_steps - 1)
    assert history[-1] == 1.5
    assert next(losses, None) is None


def test_held_back_vectors_are_checked_in_batches_of_the_size_of_training(X, monkeypatch):
    """Who is near, and so the loss, depends on how many there are."""
    from hashlearn.hashers.deep import neighbormatching

    sizes = []
    compute = neighbormatching.neighbor_probabilities

    def counted(x, *others):
        sizes.append(len(x))
        return compute(x, *others)

    monkeypatch.setattr(neighbormatching, "neighbor_probabilities", counted)
    fit(X, batch_size=14, n_steps=5)
    assert set(sizes) == {14}
    assert len(sizes) == 5 + len(X) // 10 // 14


def test_few_vectors_are_all_learned_from_to_the_last_step(X):
    history = fit(X[:300], lr=30, patience=0).history_
    assert len(history["loss"]) == 60
    assert set(history) == {"loss", "temperature"}
    assert np.isfinite(fit(X[:320]).history_["held_back"]).all()


@pytest.mark.parametrize("n_samples", [2, 3, 10])
def test_very_few_vectors_are_enough(X, n_samples):
    for n_bits in (2, 33):
        hasher = fit(X[:n_samples], n_bits, n_neighbors=1)
        assert np.isfinite(hasher.project(X)).all()
        assert len(np.unique(hasher.encode(X[:n_samples]), axis=0)) > 1


def test_constant_vectors_and_constant_features_are_harmless(X):
    constant = np.full((50, 4), 7.0)
    assert len(np.unique(fit(constant).encode(constant), axis=0)) == 1
    wide = np.concatenate([X, np.full((len(X), 3), -2.5, np.float32)], axis=1)
    assert np.isfinite(fit(wide).weights_).all()
    assert len(np.unique(fit(wide).encode(wide), axis=0)) > 10


def test_codes_may_be_longer_than_vectors(X):
    assert fit(X, n_bits=64).encode(X).shape == (900, 8)


def test_neighbours_may_be_a_number_or_a_fraction(X):
    number, fraction = fit(X, n_neighbors=9), fit(X, n_neighbors=9 / 899)
    np.testing.assert_array_equal(number.weights_, fraction.weights_)
    assert not np.array_equal(number.weights_, fit(X, n_neighbors=90).weights_)


def test_the_number_of_neighbours_is_one_of_all_vectors_where_not_all_are_drawn(X, monkeypatch):
    asked = []

    def spy(x, fraction, bandwidth):
        asked.append((len(x), fraction))
        return neighbor_probabilities(x, fraction, bandwidth)

    monkeypatch.setattr("hashlearn.hashers.deep.neighbormatching.neighbor_probabilities", spy)
    monkeypatch.setattr("hashlearn.hashers.deep.neighbormatching.MOST_HELD_BACK", 40)
    fit(X, n_steps=2, batch_size=64, n_neighbors=30)
    # 2 batches of 64 and 40 to hold back are 168 vectors: a tenth is too few to hold back.
    assert asked == [(64, 30 / 899), (64, 30 / 899)]


def test_the_scale_and_place_of_the_vectors_do_not_matter(X):
    near, far = fit(X), fit(100 * X - 7)
    assert (near.transform(X) == far.transform(100 * X - 7)).mean() > 0.97


def test_training_vectors_are_reduced_to_their_principal_components(X):
    hasher = fit(X, n_bits=4, n_components=5)
    directions = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[2][:5]
    outside = hasher.weights_ - hasher.weights_ @ directions.T @ directions
    assert np.abs(outside).max() < 1e-4 * np.abs(hasher.weights_).max()
    assert np.linalg.matrix_rank(fit(X, n_bits=8, n_components=5).weights_) == 8


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors"),
        ({"n_neighbors": 900}, ValueError, "n_neighbors"),
        ({"n_neighbors": 0.0}, ValueError, "n_neighbors"),
        ({"n_neighbors": 1.0}, ValueError, "n_neighbors"),
        ({"n_neighbors": "few"}, TypeError, "n_neighbors"),
        ({"init": "pcah"}, ValueError, "cannot start from init='pcah': unknown method"),
        ({"init": "sh"}, ValueError, "init='sh': sh is not linear"),
        ({"n_bits": 21, "init": "itq"}, ValueError, "cannot start from init='itq'"),
        ({"n_components": 0}, ValueError, "n_components"),
        ({"pooled_weight": -0.1}, ValueError, "pooled_weight"),
        ({"pooled_weight": 1.1}, ValueError, "pooled_weight"),
        ({"bandwidth": 0}, ValueError, "bandwidth"),
        ({"sharpness": 0}, ValueError, "sharpness"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"n_steps": 1.5}, TypeError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"lr": "fast"}, TypeError, "lr"),
        ({"patience": -1}, ValueError, "patience"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(X, options, error, message):
    with pytest.raises(error, match=message):
        fit(X, **options)


@pytest.mark.parametrize("n_samples", [200, 900])
def test_training_that_diverges_says_so(X, n_samples):
    with pytest.raises(ValueError, match="diverged"):
        fit(X[:n_samples], lr=1e3)


def mean_average_precision(hasher, database, queries):
    index = HammingIndex(hasher.n_bits)
    index.add(hasher.encode(database))
    found = index.search(hasher.encode(queries), len(index))
    truth = NeighborTruth(euclidean_neighbors(queries, database, 16), len(index))
    return evaluate(found, truth, Protocol()).mean_average_precision


def test_codes_of_digits_find_more_neighbours_than_those_of_itq():
    digits = load_dataset("digits").X
    X = digits.reshape(len(digits), -1).astype(np.float32)
    queries, database = X[:300], X[300:]
    scores = {
        name: np.mean(
            [
                mean_average_precision(
                    get_method(name)(32, random_state=seed, **options).fit(database),
                    database, queries,
                )
                for seed in range(2)
            ]
        )
        for name, options in (
            ("itq", {}), ("neighbormatching", {"n_steps": 300, "batch_size": 512}),
        )
    }  # fmt: skip
    assert scores["neighbormatching"] > scores["itq"] + 0.03


def loop_asymmetric_loss(P, v, B, kappa):
    """The third part of the objective, by weighted distances."""
    P, v, B, n = P.tolist(), v.tolist(), B.tolist(), len(B)
    loss = 0.0
    for i in range(n):
        signs = [1.0 if value >= 0 else -1.0 for value in v[i]]
        a = [sum(abs(w) for w, s, b in zip(v[i], signs, code, strict=True) if s != b) for code in B]
        e = [math.exp(-kappa * a[j]) if j != i else 0.0 for j in range(n)]
        loss -= sum(P[i][j] * math.log(e[j] / sum(e)) for j in range(n) if j != i) / n
    return loss


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_loss_of_real_valued_queries_is_that_of_loops(shape):
    P, B = draw(shape)
    v = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    kappa = double(0.7)
    expected = loop_asymmetric_loss(P, v, B, 0.7)
    assert float(asymmetric_loss(P, v, B, kappa)) == pytest.approx(expected)
    loss, *slopes = asymmetric_slopes(P, v, B, kappa)
    assert float(loss) == pytest.approx(expected)
    derivatives = torch.func.grad(asymmetric_reference, argnums=(1, 2, 3))(P, v, B, kappa)
    for slope, derivative in zip(slopes, derivatives, strict=True):
        torch.testing.assert_close(slope, derivative)


def asymmetric_reference(P, v, B, kappa):
    others = ~torch.eye(len(B), dtype=torch.bool)
    logits = torch.where(others, kappa / 2 * (v @ B.T), -math.inf)
    log_r = logits - logits.logsumexp(dim=1, keepdim=True)
    return -(P[others] * log_r[others]).sum() / len(B)


@pytest.mark.real
def test_the_asymmetric_part_helps_real_valued_queries_find_neighbours():
    """Recall of the 10 nearest after re-ranking, of embeddings of texts."""
    X = load_dataset("newsgroups20_minilm").X.astype(np.float32)
    X = X[np.random.default_rng(0).permutation(len(X))[:6500]]
    database, queries = X[:6000], X[6000:]
    truth = np.argsort(-(queries @ database.T), axis=1)[:, :10]
    recalls = []
    for weight in (0.0, 0.5):
        hasher = NeighborMatching(
            64, n_neighbors=20, pooled_weight=0.0, asymmetric_weight=weight, n_steps=500,
            random_state=0,
        ).fit(database)  # fmt: skip
        index = HammingIndex(64)
        index.add(hasher.encode(database))
        found = index.search(hasher.encode(queries), 100)
        best = index.rerank(hasher.project(queries), found).ids[:, :10]
        recalls.append(np.mean([len(set(a) & set(b)) for a, b in zip(best, truth, strict=True)]))
    assert recalls[1] > recalls[0] + 0.1
