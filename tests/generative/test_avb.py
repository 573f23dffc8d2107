"""AVB: its parts by definition, known divergences, and posteriors that no Gaussian is near."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hashlearn.generative.avb import (
    AVB,
    Contrast,
    contrast_loss,
    contrast_to_prior,
    draw,
    standardised,
)
from hashlearn.generative.vae import VAE

VECTORS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def make(n_latent=2, **options):
    options = {"width": 2, "n_steps": 5, "device": "cpu", "random_state": 0} | options
    return AVB(n_latent, **options)


def test_losses_are_those_of_loops():
    torch.manual_seed(0)
    z, mean, variance = torch.randn(5, 3), torch.randn(5, 3), torch.rand(5, 3) + 0.5
    found = contrast_to_prior(z, mean, variance)
    for one, *row in zip(found, z.tolist(), mean.tolist(), variance.tolist(), strict=True):
        expected = 0.0
        for value, m, v in zip(*row, strict=True):
            v += 1e-4
            expected += -((value - m) ** 2) / (2 * v) - math.log(2 * math.pi * v) / 2
            expected -= -(value**2) / 2 - math.log(2 * math.pi) / 2
        assert one.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    posterior, prior = torch.tensor([0.3, -1.0]), torch.tensor([2.0, 0.1, -0.7])
    expected = sum(math.log(1 + math.exp(-t)) for t in posterior.tolist()) / 2
    expected += sum(math.log(1 + math.exp(t)) for t in prior.tolist()) / 3
    assert contrast_loss(posterior, prior).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("adaptive", [True, False])
def test_the_contrast_learns_a_divergence_that_is_known(adaptive):
    """Of Gaussians that depend on x; with adaptive contrast and without it is the same."""

    def gaussians(n):
        x = torch.rand(n, 1) * 2 - 1
        mean = torch.cat([x, -x / 2], dim=1)
        variance = torch.cat([torch.full_like(x, 0.25), 0.5 + 0.3 * x], dim=1)
        return x, mean + variance.sqrt() * torch.randn(n, 2), mean, variance

    with torch.random.fork_rng():
        torch.manual_seed(0)
        T = Contrast((1,), 2, width=4, depth=2)
        optimiser = torch.optim.Adam(T.parameters(), 0.003, betas=(0.5, 0.999))
        for step in range(700):
            optimiser.param_groups[0]["lr"] = 0.003 if step < 500 else 0.0003
            x, z, mean, variance = gaussians(400)
            seen = standardised(z, mean, variance) if adaptive else z
            loss = contrast_loss(T(x, seen), T(x, torch.randn_like(z)))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        x, z, mean, variance = gaussians(40_000)
        told = make(adaptive_contrast=adaptive)._divergence(T, x, z, mean, variance)
    known = (mean.square() + variance - variance.log() - 1).sum(dim=1) / 2
    assert told.mean().item() == pytest.approx(known.mean().item(), rel=0.05)
    for part in (x[:, 0] < -0.5, x[:, 0] > 0.5):
        assert told[part].mean().item() == pytest.approx(known[part].mean().item(), rel=0.1)


def test_the_mean_and_the_variance_of_draws_are_what_is_said():
    model = make(n_basis=3, n_steps=200, lr=0.003).fit(VECTORS)
    networks = model._networks()
    data = model._tensor(VECTORS[:10])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        z, mean, variance = draw(networks, data.repeat(10_000, 1))
    mean, variance = mean[:10], variance[:10]
    values = z.view(10_000, 10, 2)
    assert ((values.mean(dim=0) - mean).abs() < 0.05 * variance.sqrt()).all()
    np.testing.assert_allclose(values.var(dim=0), variance, rtol=0.1)
    np.testing.assert_allclose(mean, model.embed(VECTORS[:10]), rtol=1e-3, atol=1e-4)


def test_at_first_the_posterior_is_the_same_for_all_items():
    model = make(n_steps=1, lr=1e-9).fit(VECTORS)
    assert np.abs(model.embed(VECTORS)).max() < 1e-3


@pytest.mark.parametrize("adaptive", [True, False])
def test_neither_step_gives_the_other_side_a_gradient(adaptive, monkeypatch):
    model = make(adaptive_contrast=adaptive, n_steps=2, n_contrast_steps=2)
    built, sides = {}, []
    build, step = AVB._build, torch.optim.Adam.step

    def keep_build(self):
        built["networks"] = build(self)
        return built["networks"]

    def watched_step(self, *arguments):
        own = {id(p) for group in self.param_groups for p in group["params"]}
        has_gradient = {id(p) for p in built["networks"].parameters() if p.grad is not None}
        assert has_gradient == own
        result = step(self, *arguments)
        built["networks"].zero_grad()
        T = {id(p) for p in built["networks"]["contrast"].parameters()}
        assert own == T or not own & T
        sides.append("T" if own == T else "model")
        return result

    monkeypatch.setattr(AVB, "_build", keep_build)
    monkeypatch.setattr(torch.optim.Adam, "step", watched_step)
    model.fit(VECTORS)
    assert sides == ["T", "T", "model"] * 2


class Absolute(nn.Module):
    """A decoder that is known: the absolute value, in scaled units."""

    def __init__(self, shift, scale):
        super().__init__()
        self.shift, self.scale = float(shift[0]), scale

    def forward(self, z):
        return (z.abs() - self.shift) / self.scale


def with_known_decoder(cls, noise):
    class Known(cls):
        def _build(self):
            networks = super()._build()
            networks["decoder"] = Absolute(self.shift_, self.scale_)
            variance = torch.tensor(2 * math.log(noise / self.scale_))
            networks["likelihood"].log_variance = nn.Parameter(variance, requires_grad=False)
            return networks

    return Known


def test_a_posterior_of_two_modes_is_learned_which_no_gaussian_is_near():
    """Of x = |z| + noise: z is near x, or near -x."""
    rng = np.random.default_rng(0)
    noise = 0.4
    X = np.abs(rng.normal(size=(2000, 1))) + noise * rng.normal(size=(2000, 1))
    far = X[X[:, 0] > 1.2][:100]
    settings = {"width": 4, "batch_size": 256, "lr": 0.002, "device": "cpu", "random_state": 0}

    def shares(cls, **options):
        model = with_known_decoder(cls, noise)(1, **settings, **options).fit(X)
        z = model.sample_posterior(far, 300, random_state=0)[:, :, 0]
        return tuple((part).mean(axis=1) for part in (z > 0.5, z < -0.5, np.abs(z) < 0.3))

    right, left, between = shares(
        AVB, n_steps=800, n_basis=1, n_contrast_steps=2, contrast_lr=0.003
    )
    assert np.minimum(right, left).mean() > 0.25
    assert between.mean() < 0.15
    right, left, between = shares(VAE, n_steps=800)
    assert np.minimum(right, left).mean() < 0.05  # one mode; a wide Gaussian would fill the gap


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_basis": 0}, ValueError, "n_basis"),
        ({"n_contrast_steps": 0}, ValueError, "n_contrast_steps"),
        ({"contrast_lr": 0.0}, ValueError, "contrast_lr"),
        ({"adaptive_contrast": "yes"}, TypeError, "adaptive_contrast must be True or False"),
        ({"likelihood": "bernoulli"}, ValueError, "is for images"),
        ({"likelihood": "poisson"}, ValueError, "likelihood must be"),
        ({"batch_size": 1}, ValueError, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        make(**options).fit(VECTORS)
