import itertools
import math

import numpy as np
import pytest
import torch

from hashlearn.hashers import get_method
from hashlearn.hashers.deep.sgh import (
    Model,
    bit_slopes,
    description_length,
    divergence,
    draw_codes,
    estimate_gradient,
)

SGH = get_method("sgh")
CODES = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)), dtype=torch.float64)


@pytest.fixture(name="model")
def fixture_model():
    generator = torch.Generator().manual_seed(0)
    shapes = ((3, 2), (3,), (3, 2), (2,), (3,), ())
    return Model(
        *(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    )


@pytest.fixture(name="x")
def fixture_x():
    return torch.randn(6, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def loop_squared_error(model, x, h):
    U, c = model.U.tolist(), model.c.tolist()
    drawn = [c[j] + sum(h[k] * U[k][j] for k in range(len(h))) for j in range(len(c))]
    return sum((a - b) ** 2 for a, b in zip(drawn, x, strict=True))


def loop_description_length(model, x, odds, h):
    """-log p(x | h) - log p(h) + log q(h | x), term by term, for one vector and one code."""
    variance = math.exp(model.log_variance.item())
    length = loop_squared_error(model, x, h) / (2 * variance)
    length += len(x) / 2 * math.log(2 * math.pi * variance)
    for bit, logit, beta in zip(h, odds, model.beta.tolist(), strict=True):
        p, theta = sigmoid(logit), sigmoid(beta)
        length -= math.log(theta if bit else 1 - theta)
        length += math.log(p if bit else 1 - p)
    return length


def drawing_error(model, x, h):
    return h @ model.U + model.c - x


def probabilities(odds):
    """The probability of each code, for each vector."""
    p = torch.sigmoid(odds)[:, None]
    return torch.where(CODES == 1, p, 1 - p).prod(dim=2)


def expected_length(model, x, W=None):
    """The objective, by its definition: all codes with their probabilities."""
    odds = x @ (model.W if W is None else W).T + model.b
    return sum(
        (q * loop_description_length(model, row, logits, h))
        for row, logits, weights in zip(
            x.tolist(), odds.tolist(), probabilities(odds).tolist(), strict=True
        )
        for h, q in zip(CODES.tolist(), weights, strict=True)
    ) / len(x)


def expected_gradient(model, x, estimator):
    """The mean of the estimate over all codes with their probabilities."""
    odds = x @ model.W.T + model.b
    total = [torch.zeros_like(part) for part in model]
    for row, logits, weights in zip(x, odds, probabilities(odds), strict=True):
        for h, q in zip(CODES, weights, strict=True):
            error = drawing_error(model, row[None], h[None])
            slopes = estimate_gradient(model, row[None], logits[None], h[None], error, estimator)
            total = [a + q * b / len(x) for a, b in zip(total, slopes, strict=True)]
    return Model(*total)


def numerical_gradient(function, model):
    """Central differences of a function of the parameters."""
    slopes = []
    for place, part in enumerate(model):
        slope = torch.zeros_like(part)
        for i in np.ndindex(*part.shape):
            values = []
            for step in (1e-5, -1e-5):
                moved = part.clone()
                moved[i] += step
                values.append(function(model._replace(**{model._fields[place]: moved})))
            slope[i] = (values[0] - values[1]) / 2e-5
        slopes.append(slope)
    return Model(*slopes)


def test_the_description_length_is_that_of_its_definition(model, x):
    """Its mean over the codes, as the divergence is computed and not drawn."""
    odds = x @ model.W.T + model.b
    expected = 0.0
    for row, logits, weights in zip(x, odds, probabilities(odds), strict=True):
        for h, q in zip(CODES, weights, strict=True):
            error = drawing_error(model, row[None], h[None])
            expected += q * description_length(model, logits[None], error)[2] / 6
    assert expected.item() == pytest.approx(expected_length(model, x), rel=1e-9)


def test_the_parts_of_the_description_length_are_those_of_loops(model, x):
    odds, h = x @ model.W.T + model.b, CODES[:6]
    reconstruction, spent, total = description_length(model, odds, drawing_error(model, x, h))
    errors = [loop_squared_error(model, a, b) for a, b in zip(x.tolist(), h.tolist(), strict=True)]
    assert reconstruction.item() == pytest.approx(sum(errors) / 6)
    assert spent.item() == pytest.approx(divergence(odds, model.beta).mean().item())
    variance = math.exp(model.log_variance.item())
    density = sum(errors) / 6 / (2 * variance) + math.log(2 * math.pi * variance)
    assert total.item() == pytest.approx(density + spent.item())


def test_the_divergence_is_that_of_bernoulli_variables(model, x):
    odds = x @ model.W.T + model.b
    for row, got in zip(odds.tolist(), divergence(odds, model.beta).tolist(), strict=True):
        expected = 0.0
        for logit, beta in zip(row, model.beta.tolist(), strict=True):
            p, theta = sigmoid(logit), sigmoid(beta)
            expected += p * math.log(p / theta) + (1 - p) * math.log((1 - p) / (1 - theta))
        assert got == pytest.approx(expected)
    assert divergence(model.beta[None], model.beta).item() == pytest.approx(0)


def test_the_divergence_of_very_sure_bits_is_finite():
    got = divergence(torch.tensor([[200.0, -200.0]]), torch.zeros(2))
    assert got.item() == pytest.approx(2 * math.log(2))


def test_the_difference_is_what_a_bit_changes_and_the_derivative_is_off_by_half_its_square(
    model, x
):
    for row, h in itertools.product(x, CODES):
        error = drawing_error(model, row[None], h[None])
        difference = bit_slopes(error, h[None], model.U, "difference")[0].tolist()
        derivative = bit_slopes(error, h[None], model.U, "derivative")[0].tolist()
        for k in range(3):
            ends = []
            for bit in (1.0, 0.0):
                code = h.tolist()
                code[k] = bit
                ends.append(loop_squared_error(model, row.tolist(), code) / 2)
            assert difference[k] == pytest.approx(ends[0] - ends[1])
            square = sum(u * u for u in model.U[k].tolist())
            assert derivative[k] == pytest.approx(difference[k] + (h[k].item() - 0.5) * square)


def test_the_expected_difference_estimate_is_the_gradient_of_the_expected_description_length(
    model, x
):
    got = expected_gradient(model, x, "difference")
    expected = numerical_gradient(lambda moved: expected_length(moved, x), model)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)


def test_the_expected_derivative_estimate_is_the_encoders_gradient_at_the_mean_code(model, x):
    """It differs from the gradient by what (p - 1/2) |u|^2 / variance sends back, and no more."""

    def relaxed(moved):
        odds = x @ moved.W.T + moved.b
        error = torch.sigmoid(odds) @ moved.U + moved.c - x
        half = error.square().sum(dim=1) * torch.exp(-moved.log_variance) / 2
        return (half + divergence(odds, moved.beta)).mean()

    got = expected_gradient(model, x, "derivative")
    expected = numerical_gradient(relaxed, model)
    torch.testing.assert_close(got.W, expected.W, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(got.b, expected.b, rtol=1e-6, atol=1e-7)

    unbiased = expected_gradient(model, x, "difference")
    p = torch.sigmoid(x @ model.W.T + model.b)
    squares = model.U.square().sum(dim=1) * torch.exp(-model.log_variance)
    bias = p * (1 - p) * (p - 0.5) * squares / len(x)
    torch.testing.assert_close(got.W - unbiased.W, bias.T @ x)
    torch.testing.assert_close(got.b - unbiased.b, bias.sum(dim=0))
    assert (got.b - unbiased.b).abs().max() > 1e-3
    for place in (2, 3, 4, 5):  # decoder, prior and noise have no part in it
        torch.testing.assert_close(got[place], unbiased[place])


@pytest.mark.parametrize("estimator", ["difference", "derivative"])
def test_many_draws_agree_with_the_expectation_in_one_dimension(estimator):
    generator = torch.Generator().manual_seed(3)
    shapes = ((3, 1), (3,), (3, 1), (1,), (3,), ())
    model = Model(*(torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes))
    x = torch.tensor([[0.7]], dtype=torch.float64)
    many = x.expand(200_000, 1)
    odds = many @ model.W.T + model.b
    with torch.random.fork_rng():
        torch.manual_seed(0)
        h = draw_codes(odds)
    expected = expected_gradient(model, x, estimator)
    got = estimate_gradient(model, many, odds, h, drawing_error(model, many, h), estimator)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0.02, atol=0.02)


def test_bits_are_drawn_with_their_probabilities_or_are_the_more_probable_ones():
    odds = torch.tensor([-2.0, -0.1, 0.0, 0.1, 3.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = draw_codes(odds.expand(100_000, 5)).mean(dim=0).tolist()
    assert drawn == pytest.approx([sigmoid(value) for value in odds.tolist()], abs=0.01)
    assert draw_codes(odds, stochastic=False).tolist() == [0, 0, 1, 1, 1]


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 20))
    X = centres[rng.integers(0, 12, 600)] + 0.3 * rng.normal(size=(600, 20))
    return (5 * X + 3).astype(np.float32)


def test_codes_draw_their_vectors_better_than_the_mean_does(X):
    hasher = SGH(16, n_steps=500, batch_size=64, random_state=0).fit(X)
    error = np.square(hasher.reconstruct(hasher.encode(X)) - X).sum(axis=1).mean()
    spread = np.square(X - X.mean(axis=0)).sum(axis=1).mean()
    assert error < 0.3 * spread


def test_reconstruct_adds_up_the_rows_of_set_bits(X):
    hasher = SGH(5, n_steps=20, random_state=0).fit(X)
    expected = hasher.decoder_bias_ + hasher.decoder_weights_[[1, 2, 4]].sum(axis=0)
    got = hasher.reconstruct(np.array([[0b10110], [0]], np.uint8))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [expected, hasher.decoder_bias_], rtol=1e-5)


def test_training_shortens_the_description_and_keeps_its_history(X):
    hasher = SGH(8, n_steps=400, batch_size=100, random_state=0).fit(X)
    history = hasher.history_
    assert set(history) == {"reconstruction", "divergence", "description_length"}
    assert all(values.shape == (400,) for values in history.values())
    assert all(values.dtype == np.float32 for values in history.values())
    for name in ("reconstruction", "description_length"):
        assert history[name][-20:].mean() < history[name][:20].mean()
    assert history["reconstruction"][-20:].mean() < 0.6
    assert history["divergence"].min() >= 0


def test_noise_and_prior_become_those_of_the_data(X):
    """At the optimum they are the mean squared error and the mean probability of a bit."""
    hasher = SGH(8, batch_size=100, random_state=0).fit(X)
    error = hasher.history_["reconstruction"][-200:].mean() * X.var(axis=0).mean()
    assert hasher.noise_**2 == pytest.approx(error, rel=0.03)
    p = 1 / (1 + np.exp(-hasher.project(X)))
    np.testing.assert_allclose(hasher.prior_, p.mean(axis=0), atol=0.03)


def test_the_scale_and_place_of_the_vectors_do_not_matter(X):
    near = SGH(8, n_steps=200, random_state=0).fit(X)
    far = SGH(8, n_steps=200, random_state=0).fit(100 * X - 7)
    assert (near.transform(X) == far.transform(100 * X - 7)).mean() > 0.98
    assert far.noise_ == pytest.approx(100 * near.noise_, rel=0.05)


def test_a_constant_data_set_has_constant_codes():
    hasher = SGH(4, n_steps=3000, lr=0.1, random_state=0).fit(np.ones((20, 3)))
    assert len(np.unique(hasher.encode(np.ones((20, 3))), axis=0)) == 1


def test_it_starts_from_the_method_named_and_by_default_takes_more_bits_than_features(X):
    for init, name in (("random", "lsh"), ("lsh", "lsh"), ("itq", "itq")):
        start = get_method(name)(6, random_state=np.random.RandomState(0)).fit(X)
        hasher = SGH(6, init=init, n_steps=1, lr=1e-9, random_state=0).fit(X)
        assert (hasher.transform(X) == start.transform(X)).mean() > 0.99
    assert SGH(64, n_steps=2, random_state=0).fit(X).encode(X).shape == (600, 8)


def test_drawing_and_estimator_can_be_chosen(X):
    codes = [
        SGH(8, stochastic=stochastic, estimator=estimator, n_steps=50, random_state=0)
        .fit(X)
        .project(X)
        for stochastic in (True, False)
        for estimator in ("difference", "derivative")
    ]
    for first, second in itertools.combinations(codes, 2):
        assert not np.array_equal(first, second)


def test_batches_larger_than_the_data_are_cut(X):
    small = SGH(4, n_steps=5, batch_size=30, random_state=0).fit(X[:30])
    large = SGH(4, n_steps=5, batch_size=500, random_state=0).fit(X[:30])
    np.testing.assert_array_equal(small.weights_, large.weights_)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"estimator": "score"}, ValueError, "estimator must be"),
        ({"stochastic": 1}, TypeError, "stochastic"),
        ({"init": "pcah"}, ValueError, "cannot start from init='pcah': unknown method"),
        ({"init": "sh"}, ValueError, "init='sh': sh is not linear"),
        ({"n_bits": 21, "init": "itq"}, ValueError, "cannot start from init='itq'"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"n_steps": 1.5}, TypeError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"lr": "fast"}, TypeError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(X, options, error, message):
    with pytest.raises(error, match=message):
        SGH(**{"n_bits": 4, **options}).fit(X)


def test_training_that_diverges_says_so(X):
    with pytest.raises(ValueError, match="diverged"):
        SGH(4, lr=1e30, n_steps=5, random_state=0).fit(X)


def test_codes_that_are_none_are_refused(X):
    hasher = SGH(12, n_steps=2, random_state=0).fit(X)
    with pytest.raises(TypeError, match="uint8"):
        hasher.reconstruct(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="bytes"):
        hasher.reconstruct(np.zeros((1, 3), np.uint8))
