"""VAE: its objective by definition, and by what is known of linear models."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from hashlearn.generative.latent import Likelihood, gaussian_divergence
from hashlearn.generative.vae import VAE


def make(n_latent=2, **options):
    options = {"width": 4, "device": "cpu", "random_state": 0} | options
    return VAE(n_latent, **options)


@pytest.fixture(name="X", scope="module")
def fixture_X():
    rng = np.random.default_rng(0)
    W = rng.normal(size=(2, 5))
    return (rng.normal(size=(1000, 2)) @ W + 0.3 * rng.normal(size=(1000, 5)) + 1) * 3


def test_the_divergence_is_the_integral_of_its_definition():
    grid = np.linspace(-30, 30, 200_001)

    def log_density(mean, variance):
        return -((grid - mean) ** 2) / (2 * variance) - math.log(2 * math.pi * variance) / 2

    cases = [(0.0, 1.0), (1.5, 0.2), (-0.7, 3.0)]
    total = 0.0
    for mean, variance in cases:
        q = log_density(mean, variance)
        integral = np.trapezoid(np.exp(q) * (q - log_density(0, 1)), grid)
        one = gaussian_divergence(torch.tensor([[mean]]), torch.tensor([[variance]]).log())
        assert one.item() == pytest.approx(integral, rel=1e-5, abs=1e-7)
        total += integral
    means, variances = (torch.tensor([column]) for column in zip(*cases, strict=True))
    assert gaussian_divergence(means, variances.log()).item() == pytest.approx(total, rel=1e-5)


def test_bernoulli_pixels_are_shares_of_their_range():
    torch.manual_seed(0)
    values, data = torch.randn(4, 1, 2, 3), torch.rand(4, 1, 2, 3) * 2 - 1
    found = Likelihood("bernoulli")(values, data)
    for one, v, x in zip(found, values.flatten(1).tolist(), data.flatten(1).tolist(), strict=True):
        expected = 0.0
        for value, pixel in zip(v, x, strict=True):
            p, share = (math.tanh(value) + 1) / 2, (pixel + 1) / 2
            expected += share * math.log(p) + (1 - share) * math.log(1 - p)
        assert one.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(3,), (1, 1, 3)])
def test_gaussian_values_have_one_variance(shape):
    torch.manual_seed(0)
    values, data = torch.randn(4, *shape), torch.randn(4, *shape)
    likelihood = Likelihood("gaussian")
    likelihood.log_variance.data.fill_(-1.5)
    variance = math.exp(-1.5)
    for one, v, x in zip(
        likelihood(values, data), values.flatten(1).tolist(), data.flatten(1).tolist(), strict=True
    ):
        expected = 0.0
        for value, entry in zip(v, x, strict=True):
            mean = math.tanh(value) if len(shape) == 3 else value
            expected -= (entry - mean) ** 2 / (2 * variance)
            expected -= math.log(2 * math.pi * variance) / 2
        assert one.item() == pytest.approx(expected, rel=1e-4)


def test_of_linear_models_the_bound_comes_near_the_exact_likelihood(X):
    """Probabilistic principal components have a diagonal posterior: the bound can be tight."""
    exact = PCA(2).fit(X).score(X)
    model = make(depth=0, n_steps=700, batch_size=256, lr=0.01).fit(X)
    bound = model.lower_bound(X, n_draws=20, random_state=0)
    assert bound.shape == (1000,)
    assert bound.dtype == np.float64
    assert exact - 0.1 < bound.mean() < exact + 0.01
    start = make(depth=0, n_steps=1, batch_size=256).fit(X).lower_bound(X, random_state=0)
    assert start.mean() < exact - 1


def test_the_bound_is_of_densities_in_the_units_of_the_items(X):
    bounds = [
        make(n_steps=30).fit(scale * X).lower_bound(scale * X, random_state=0) for scale in (1, 8)
    ]
    np.testing.assert_allclose(bounds[1], bounds[0] - 5 * math.log(8), rtol=1e-4)


def test_more_draws_make_the_bound_steadier_and_do_not_move_it(X):
    model = make(n_steps=30).fit(X)
    few = [model.lower_bound(X[:1], n_draws=1, random_state=seed)[0] for seed in range(60)]
    many = [model.lower_bound(X[:1], n_draws=25, random_state=seed)[0] for seed in range(15)]
    assert np.std(many) < np.std(few) / 2
    assert np.mean(few) == pytest.approx(np.mean(many), abs=4 * np.std(few) / math.sqrt(60))
    with pytest.raises(ValueError, match="n_draws"):
        model.lower_bound(X, n_draws=0)


def test_the_embedding_is_the_mean_of_the_posterior(X):
    model = make(n_steps=60).fit(X)
    draws = model.sample_posterior(X[:20], 400, random_state=0)
    assert draws.shape == (20, 400, 2)
    assert draws.dtype == np.float32
    error = np.abs(draws.mean(axis=1) - model.embed(X[:20]))
    assert (error < 5 * draws.std(axis=1) / math.sqrt(400)).all()
    assert draws.std(axis=1).min() > 0


def test_curves_add_up_and_a_larger_beta_lowers_the_divergence(X):
    plain, squeezed = (make(beta=beta, n_steps=150, lr=0.01).fit(X) for beta in (1.0, 20.0))
    curves = plain.history_
    np.testing.assert_allclose(
        curves["elbo"], curves["reconstruction"] - curves["divergence"], rtol=1e-4, atol=1e-4
    )
    assert curves["elbo"][-20:].mean() > curves["elbo"][:20].mean()
    ends = [model.history_["divergence"][-20:].mean() for model in (plain, squeezed)]
    assert ends[1] < ends[0] / 2


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"likelihood": "bernoulli"}, ValueError, "is for images.*5 values"),
        ({"likelihood": "poisson"}, ValueError, "likelihood must be"),
        ({"beta": -1.0}, ValueError, "beta"),
        ({"batch_size": 1}, ValueError, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(X, options, error, message):
    with pytest.raises(error, match=message):
        make(**options).fit(X)


def test_images_are_not_linear():
    with pytest.raises(ValueError, match="depth=0 is for vectors"):
        make(depth=0).fit(np.random.default_rng(0).random((10, 4, 4)))
