"""GAN: the game's value, its two losses, and who learns from which."""

import math

import numpy as np
import pytest
import torch

from hashlearn.generative.gan import GAN, discriminator_loss, generator_loss


def test_the_best_discriminator_gives_the_share_of_the_data():
    """On four points: p / (p + p_G), and then the objective is 2 JS - log 4."""
    p, p_G = np.array([4, 3, 2, 1]) / 10, np.array([1, 1, 4, 4]) / 10
    real = torch.tensor([0] * 4 + [1] * 3 + [2] * 2 + [3])
    fake = torch.tensor([0] + [1] + [2] * 4 + [3] * 4)
    logits = torch.zeros(4, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.1)
    for _ in range(300):
        optimiser.zero_grad()
        loss = discriminator_loss(logits[real], logits[fake])
        loss.backward()
        optimiser.step()
    np.testing.assert_allclose(torch.sigmoid(logits).detach(), p / (p + p_G), atol=1e-3)
    middle = (p + p_G) / 2
    divergence = (p @ np.log(p / middle) + p_G @ np.log(p_G / middle)) / 2
    assert -loss.item() == pytest.approx(2 * divergence - math.log(4), abs=1e-5)


def test_losses_are_those_of_loops():
    real, fake = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.5, -2.0])

    def sigmoid(value):
        return 1 / (1 + math.exp(-value))

    expected = -sum(math.log(sigmoid(v)) for v in real.tolist()) / 3
    expected -= sum(math.log(1 - sigmoid(v)) for v in fake.tolist()) / 2
    assert discriminator_loss(real, fake).item() == pytest.approx(expected, rel=1e-5)
    minimax = sum(math.log(1 - sigmoid(v)) for v in fake.tolist()) / 2
    assert generator_loss(fake, "minimax").item() == pytest.approx(minimax, rel=1e-5)
    other = -sum(math.log(sigmoid(v)) for v in fake.tolist()) / 2
    assert generator_loss(fake, "non-saturating").item() == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("D", [1e-2, 1e-4, 1e-6])
def test_near_0_one_gradient_vanishes_with_the_discriminator_and_the_other_does_not(D):
    slopes = {}
    for loss in ("minimax", "non-saturating"):
        logit = torch.tensor([math.log(D / (1 - D))], requires_grad=True)
        generator_loss(logit, loss).backward()
        slopes[loss] = logit.grad.item()
    assert slopes["minimax"] == pytest.approx(-D, rel=1e-3)
    assert slopes["non-saturating"] == pytest.approx(-(1 - D), rel=1e-3)


def test_each_side_learns_from_its_own_loss_only(monkeypatch):
    """No step moves the other side, and the discriminator's loss gives the generator nothing."""
    model = GAN(2, width=2, n_steps=3, batch_size=16, device="cpu", random_state=0)
    built = {}
    build, step = GAN._build, torch.optim.Adam.step

    def keep_build(self):
        built["networks"] = build(self)
        return built["networks"]

    sides = []

    def watched_step(self, *arguments):
        own = {id(p) for group in self.param_groups for p in group["params"]}
        networks = built["networks"]
        side = next(n for n in networks if id(next(networks[n].parameters())) in own)
        others = [p for n in networks if n != side for p in networks[n].parameters()]
        if not sides:
            assert side == "discriminator"
            assert all(p.grad is None for p in others)
        before = [p.detach().clone() for p in networks.parameters()]
        result = step(self, *arguments)
        for p, old in zip(networks.parameters(), before, strict=True):
            assert torch.equal(p, old) == (id(p) not in own)
        sides.append(side)
        return result

    monkeypatch.setattr(GAN, "_build", keep_build)
    monkeypatch.setattr(torch.optim.Adam, "step", watched_step)
    model.fit(np.random.default_rng(0).normal(size=(60, 4)))
    assert sides == ["discriminator", "generator"] * 3


@pytest.mark.parametrize("loss", ["non-saturating", "minimax"])
def test_samples_come_to_lie_where_the_data_lie(loss):
    rng = np.random.default_rng(0)
    X = (
        rng.normal(size=(500, 2)) * 0.3
        + np.array([[-2.0, 1.0], [2.0, 3.0]])[rng.integers(0, 2, 500)]
    )
    model = GAN(4, loss=loss, width=4, n_steps=800, lr=0.0005, device="cpu", random_state=0).fit(X)
    made = model.sample(500, random_state=0)
    assert np.abs(made.mean(axis=0) - X.mean(axis=0)).max() < 0.8
    nearest = np.linalg.norm(made[:, None] - X, axis=2).min(axis=1)
    assert np.median(nearest) < 0.3
    remade = model.reconstruct(X[:50])
    assert (
        np.linalg.norm(remade - X[:50], axis=1).mean()
        < np.linalg.norm(made[:50] - X[:50], axis=1).mean()
    )


def test_a_loss_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match='loss must be "non-saturating" or "minimax"'):
        GAN(loss="hinge").fit(np.ones((4, 3)))
