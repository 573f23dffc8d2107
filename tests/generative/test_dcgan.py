"""DCGAN: the paper's networks for images of any size."""

import numpy as np
import pytest
import torch
from torch import nn

from hashlearn.generative.dcgan import DCGAN
from hashlearn.generative.gan import GAN


@pytest.mark.parametrize(
    ("shape", "depth"),
    [((28, 28), 3), ((32, 32, 3), 3), ((64, 64, 3), 4), ((8, 8), 1), ((3, 5), 1)],
)
def test_the_depth_suits_the_images(shape, depth):
    model = DCGAN(width=1, image_shape=shape)
    model.item_shape_ = shape
    networks = model._build()
    kinds = [type(part) for part in networks["discriminator"]]
    assert kinds.count(nn.Conv2d) == depth
    kinds = [type(part) for part in networks["generator"]]
    assert kinds.count(nn.ConvTranspose2d) == depth
    z = torch.randn(2, 100)
    assert networks["generator"](z).shape == (2, *model._tensor_shape)


def test_a_depth_can_be_asked_for():
    model = DCGAN(width=1, depth=2)
    model.item_shape_ = (28, 28)
    assert [type(part) for part in model._build()["discriminator"]].count(nn.Conv2d) == 2


def test_networks_are_normalised_and_start_as_in_the_paper():
    model = DCGAN(width=8)
    model.item_shape_ = (28, 28)
    torch.manual_seed(0)
    networks = model._build()
    first, *_, last = (p for p in networks["discriminator"] if isinstance(p, nn.Conv2d))
    for layer in (first, last):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15)
        assert not layer.bias.any()
    parts = list(networks["discriminator"])
    assert isinstance(parts[1], nn.LeakyReLU)
    assert parts[1].negative_slope == 0.2
    assert [type(part) for part in parts].count(nn.BatchNorm2d) == 2
    assert [type(part) for part in networks["generator"]].count(nn.BatchNorm2d) == 3
    assert isinstance(networks["generator"][-2], nn.ConvTranspose2d)


def test_only_the_networks_differ_from_a_gan():
    X = np.random.default_rng(0).integers(0, 256, (30, 12, 12), np.uint8)
    settings = {"width": 2, "n_steps": 40, "lr": 0.01, "device": "cpu", "random_state": 0}
    deep = DCGAN(8, **settings).fit(X)
    plain = GAN(8, depth=2, **settings).fit(X)
    np.testing.assert_array_equal(deep.sample(5, random_state=0), plain.sample(5, random_state=0))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="DCGAN takes images, and these are vectors of 6 values"):
        DCGAN().fit(np.ones((5, 6)))
