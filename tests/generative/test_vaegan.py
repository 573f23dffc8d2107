"""VAEGAN: its losses, who learns from which, and its gates."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from hashlearn._training import Workers
from hashlearn.generative import vaegan
from hashlearn.generative.networks import bound
from hashlearn.generative.vaegan import VAEGAN, feature_error, hidden_layer, vaegan_losses

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
VECTORS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)


def make(n_latent=3, **options):
    options = {"width": 2, "n_steps": 2, "batch_size": 16, "device": "cpu", "random_state": 0} | (
        options
    )
    return VAEGAN(n_latent, **options)


@pytest.fixture(name="networks")
def fixture_networks():
    model = make()
    model.item_shape_ = (4,)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return model._build()


def losses(networks, x, layer=2):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return vaegan_losses(networks, x, layer)


def gradients(loss, network):
    """Sums of squares of gradients; None where there is none at all."""
    found = torch.autograd.grad(
        loss, list(network.parameters()), retain_graph=True, allow_unused=True
    )
    return [part if part is None else part.square().sum().item() for part in found]


def test_each_loss_has_gradients_for_whom_it_is_meant_only(networks):
    found = losses(networks, torch.randn(16, 4))
    encoder = nn.ModuleList([networks["encoder"], networks["log_variance"]])
    sides = {
        "encoder": encoder,
        "decoder": networks["decoder"],
        "discriminator": networks["discriminator"],
    }
    learners = {
        "divergence": {"encoder"},
        "reconstruction": {"encoder", "decoder"},
        "generator": {"decoder"},
        "discriminator": {"discriminator"},
    }
    for name, meant in learners.items():
        for side, network in sides.items():
            parts = gradients(getattr(found, name), network)
            if side in meant:
                assert sum(part for part in parts if part is not None) > 0, (name, side)
            else:
                assert parts == [None] * len(parts), (name, side)


def test_losses_are_those_of_loops(networks):
    networks.eval()  # so that an item's values do not depend on the others
    x = torch.randn(5, 4)
    found = losses(networks, x)
    encoder, decoder, D = (networks[name] for name in ("encoder", "decoder", "discriminator"))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        noise, prior = torch.randn(5, 3), torch.randn(5, 3)
    parts = {"divergence": 0.0, "reconstruction": 0.0, "real": 0.0, "made": 0.0, "generator": 0.0}
    for item, epsilon, z_p in zip(x, noise, prior, strict=True):
        h = encoder[:-1](item[None])
        mean, log_variance = encoder[-1](h)[0].tolist(), networks["log_variance"](h)[0].tolist()
        for m, v in zip(mean, log_variance, strict=True):
            parts["divergence"] += (m**2 + math.exp(v) - v - 1) / 2 / 5
        z = [m + math.exp(v / 2) * e for m, v, e in zip(mean, log_variance, epsilon, strict=True)]
        remade = bound(decoder(torch.tensor([z])))
        for a, b in zip(D[:-2](item[None])[0], D[:-2](remade)[0], strict=True):
            parts["reconstruction"] += (a.item() - b.item()) ** 2 / 2 / 5
        parts["real"] -= math.log(torch.sigmoid(D(item[None])).item()) / 5
        for made in (remade, bound(decoder(z_p[None]))):
            probability = torch.sigmoid(D(made)).item()
            parts["made"] -= math.log(1 - probability) / 10
            parts["generator"] -= math.log(probability) / 10
    assert found.divergence.item() == pytest.approx(parts["divergence"], rel=1e-4)
    assert found.reconstruction.item() == pytest.approx(parts["reconstruction"], rel=1e-4)
    assert found.generator.item() == pytest.approx(parts["generator"], rel=1e-4)
    assert found.costs.tolist() == pytest.approx([parts["real"], parts["made"]], rel=1e-4)
    assert found.discriminator.item() == pytest.approx(parts["real"] + parts["made"], rel=1e-4)


def test_the_decoder_descends_gamma_times_the_reconstruction_and_the_game(monkeypatch):
    gamma, expected, steps = 0.3, {}, []
    step = torch.optim.Adam.step

    def watched(networks, x, layer):
        frozen, state = copy.deepcopy(networks), torch.get_rng_state()
        found = vaegan_losses(frozen, x, layer)
        torch.set_rng_state(state)
        encoder = list(frozen["encoder"].parameters())
        decoder = list(frozen["decoder"].parameters())
        both = gamma * found.reconstruction + found.generator
        expected["decoder"] = torch.autograd.grad(both, decoder, retain_graph=True)
        both = found.divergence + found.reconstruction
        expected["encoder"] = torch.autograd.grad(both, encoder, retain_graph=True)
        expected["discriminator"] = torch.autograd.grad(
            found.discriminator, list(frozen["discriminator"].parameters())
        )
        return vaegan_losses(networks, x, layer)

    def watched_step(self, *arguments):
        side = ("encoder", "decoder", "discriminator")[len(steps)]
        own = self.param_groups[0]["params"]
        for p, gradient in zip(own, expected[side], strict=False):  # the variances' come after
            torch.testing.assert_close(p.grad, gradient, rtol=1e-4, atol=1e-6)
        steps.append(side)
        return step(self, *arguments)

    monkeypatch.setattr(vaegan, "vaegan_losses", watched)
    monkeypatch.setattr(torch.optim.Adam, "step", watched_step)
    make(gamma=gamma, n_steps=1).fit(VECTORS)
    assert steps == ["encoder", "decoder", "discriminator"]


def test_an_error_is_half_a_squared_distance():
    a, b = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    for one, p, q in zip(feature_error(a, b), a.flatten(1), b.flatten(1), strict=True):
        expected = sum((u - v) ** 2 for u, v in zip(p.tolist(), q.tolist(), strict=True)) / 2
        assert one.item() == pytest.approx(expected, rel=1e-5)


def test_a_hidden_layer_ends_in_its_activation():
    model = make(depth=3)
    model.item_shape_ = (8, 8)
    D = model._build()["discriminator"]
    for layer, shape in ((1, (2, 4, 4)), (2, (4, 2, 2)), (3, (8, 1, 1))):
        part = hidden_layer(D, layer)
        assert isinstance(part[-1], nn.LeakyReLU)
        assert part(torch.randn(2, 1, 8, 8)).shape == (2, *shape)


@pytest.mark.parametrize(
    ("costs", "moving"),
    [
        ((0.6, 0.7), {"decoder", "discriminator"}),
        ((0.2, 0.7), {"decoder"}),
        ((0.7, 0.2), {"decoder"}),
        ((0.6, 1.2), {"discriminator"}),
        ((1.2, 0.6), {"discriminator"}),
        ((0.2, 1.2), {"decoder", "discriminator"}),
    ],
)
def test_gates_stop_the_side_that_is_ahead(costs, moving):
    gated = make(margin=0.35)
    assert set(gated._moving(torch.tensor(costs), Workers("cpu"))) == moving
    assert set(make()._moving(torch.tensor(costs), Workers("cpu"))) == {
        "decoder",
        "discriminator",
    }


def test_closed_gates_leave_the_discriminator_as_it_was():
    """Costs never reach the centre, so that the discriminator is always ahead."""
    options = {"margin": 0.0, "equilibrium": 50.0, "lr": 0.01}
    one, many = (make(n_steps=n, **options).fit(VECTORS).networks_ for n in (1, 10))
    for name in ("discriminator.0.weight", "discriminator.2.weight"):
        np.testing.assert_array_equal(many[name], one[name])
    assert (many["decoder.0.weight"] != one["decoder.0.weight"]).any()
    assert (many["encoder.0.weight"] != one["encoder.0.weight"]).any()


@pytest.mark.parametrize("layer", [None, 1])
def test_reconstructions_come_near(layer):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) @ rng.normal(size=(2, 6))
    model = make(2, width=4, n_steps=500, lr=0.002, gamma=0.1, layer=layer, batch_size=64).fit(X)
    error = np.square(model.reconstruct(X) - X).sum(axis=1).mean()
    assert error < 0.4 * np.square(X - X.mean(axis=0)).sum(axis=1).mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 3}, "layer"),
        ({"layer": 0}, "layer"),
        ({"gamma": -1.0}, "gamma"),
        ({"margin": -0.1}, "margin"),
        ({"equilibrium": -0.1}, "equilibrium"),
        ({"batch_size": 1}, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options).fit(VECTORS)
