import math

import numpy as np
import pytest
import torch

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep import tbh as module
from hashlearn.hashers.deep.tbh import average, code_graph, draw_bits

TBH = get_method("tbh")
SMALL = {
    "width": 4, "n_latent": 8, "batch_size": 32, "lr": 0.005, "random_state": 0, "device": "cpu",
}  # fmt: skip


@pytest.fixture(autouse=True)
def fixture_seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


@pytest.fixture(name="vectors", scope="module")
def fixture_vectors():
    return np.random.default_rng(0).exponential(1, (1000, 8)).astype(np.float32)


def test_the_graph_is_that_of_loops():
    b = torch.randint(2, (5, 7)).double()
    for power in (1.0, 1.4, 20.0):
        expected = [
            [(sum(p == q for p, q in zip(a, c, strict=True)) / 7) ** power for c in b.tolist()]
            for a in b.tolist()
        ]
        np.testing.assert_allclose(code_graph(b, power), expected, atol=1e-7)


def test_the_average_is_that_of_loops():
    A, values = torch.rand(4, 4, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    A = A + A.T
    sums = [sum(row) for row in A.tolist()]
    expected = [
        [
            sum(
                A[i, j].item() / math.sqrt(sums[i] * sums[j]) * values[j, k].item()
                for j in range(4)
            )
            for k in range(3)
        ]
        for i in range(4)
    ]
    np.testing.assert_allclose(average(values, A), expected)


def test_equal_codes_give_equal_values_and_opposite_ones_keep_theirs():
    values = torch.tensor([[0.0], [1.0], [5.0], [7.0]])
    b = torch.tensor([[1.0, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]])
    got = average(values, code_graph(b, 2.0))
    np.testing.assert_allclose(got, [[0.5], [0.5], [6], [6]], atol=1e-4)
    apart = average(values[1:3], code_graph(b[1:3], 2.0))
    np.testing.assert_allclose(apart, values[1:3], atol=1e-4)


def test_bits_are_drawn_with_their_probabilities_and_the_slope_of_these():
    logits = torch.tensor([[-1.0, 0.0, 2.0, 200.0]]).repeat(4000, 1).requires_grad_()
    b = draw_bits(logits)
    assert set(b.unique().tolist()) == {0.0, 1.0}
    p = logits.detach().sigmoid()
    np.testing.assert_allclose(b.detach().mean(dim=0), p[0], atol=0.03)
    slopes = torch.randn(4000, 4)
    (b * slopes).sum().backward()
    np.testing.assert_allclose(logits.grad, slopes * p * (1 - p), atol=1e-6)


def test_a_graph_hands_slopes_to_the_codes_also_where_nothing_is_shared():
    b = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], requires_grad=True)
    for power in (0.5, 1.0, 20.0):
        average(torch.randn(3, 2), code_graph(b, power)).square().sum().backward()
        assert b.grad.isfinite().all()
        assert b.grad.any()
        b.grad = None


def distance_from_uniform(values):
    """Largest difference of a column's distribution function from that of [0, 1], their mean."""
    ordered = values.sort(dim=0).values
    ranks = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    return (ordered - ranks[:, None]).abs().amax(dim=0).mean().item()


def test_the_regularisers_make_bits_even_and_values_uniform(vectors, monkeypatch):
    """Both bottlenecks at the end of trainings with and without, of two seeds."""
    seen = []

    def spy(values, A):
        seen.append(average(values, A))
        return seen[-1]

    monkeypatch.setattr(module, "average", spy)
    unevenness, distance, spread = {}, {}, {}
    for weight in (0.0, 0.3):
        histories, distances = [], []
        for seed in (0, 1):
            seen.clear()
            options = {**SMALL, "random_state": seed, "batch_size": 64, "lr": 0.003}
            hasher = TBH(8, adversary_weight=weight, n_steps=500, **options).fit(vectors)
            histories.append(hasher.history_)
            distances.append(distance_from_uniform(torch.cat(seen[-20:]).detach().sigmoid()))
        unevenness[weight] = np.mean([h["balance"][-100:].mean() for h in histories])
        spread[weight] = np.mean([h["spread"][-100:].mean() for h in histories])
        distance[weight] = np.mean(distances)
    assert unevenness[0.3] < 0.97 * unevenness[0.0]
    assert distance[0.3] < 0.8 * distance[0.0]
    assert abs(spread[0.3] - 1 / 12) < abs(spread[0.0] - 1 / 12)


def test_without_weight_the_critics_change_nothing(vectors, monkeypatch):
    first = TBH(8, adversary_weight=0.0, n_steps=30, **SMALL).fit(vectors)
    monkeypatch.setattr(module, "generator_loss", lambda *_: torch.tensor(7.0))
    again = TBH(8, adversary_weight=0.0, n_steps=30, **SMALL).fit(vectors)
    np.testing.assert_array_equal(first.project(vectors), again.project(vectors))


@pytest.mark.parametrize("of_images", [True, False])
def test_items_alike_get_codes_alike(images, of_images):
    X = images if of_images else images.reshape(240, -1) / 255 - 0.5  # some are below 0
    hasher = TBH(16, n_steps=300, **SMALL).fit(X)
    bits = hasher.transform(X).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.5 * distances[~same].mean()
    assert hasher.layers_["0.weights"].ndim == (4 if of_images else 2)


def test_the_history_has_every_loss_of_every_step(vectors):
    history = TBH(8, n_steps=100, **SMALL).fit(vectors).history_
    assert set(history) == {"reconstruction", "bits", "values", "critics", "balance", "spread"}
    assert all(curve.shape == (100,) and curve.dtype == np.float32 for curve in history.values())
    assert history["reconstruction"][-20:].mean() < 0.95 * history["reconstruction"][:10].mean()


def test_codes_that_collapse_are_warned_of():
    X = np.zeros((300, 6), np.float32)
    X[0] = 1
    with pytest.warns(CollapseWarning, match="larger adversary_weight"):
        TBH(8, n_steps=5, **SMALL).fit(X)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_latent": 0}, ValueError, "n_latent"),
        ({"power": -1.0}, ValueError, "power"),
        ({"adversary_weight": "much"}, TypeError, "adversary_weight"),
        ({"width": 0}, ValueError, "width"),
        ({"depth": 0}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 1}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(vectors, options, error, message):
    with pytest.raises(error, match=message):
        TBH(4, **options).fit(vectors)


def test_training_that_diverges_says_so(vectors):
    with pytest.raises(ValueError, match="diverged"):
        TBH(4, **SMALL | {"lr": 1e30}, n_steps=5).fit(vectors)
