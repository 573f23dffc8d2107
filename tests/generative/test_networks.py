"""Networks outside PyTorch, and the sizes of images that they take."""

import numpy as np
import pytest
import torch
from torch import nn

from hashlearn.generative.networks import (
    apply_layers,
    bound,
    export_layers,
    make_encoder,
    make_generator,
)

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 7, 10), (12,)]


def trained_a_little(network, shape):
    """Give a network's normalisations means and variances of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(3):
            network(torch.randn(40, *shape) * 2 + 1)
    return network.eval()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("normalize", [True, False])
def test_exported_layers_have_the_values_of_the_network(shape, depth, normalize):
    network = make_encoder(shape, 5, width=4, depth=depth, normalize=normalize)
    trained_a_little(network, shape)
    x = torch.randn(20, *shape)
    rows = x.numpy() if len(shape) == 1 else x.permute(0, 2, 3, 1).reshape(20, -1).numpy()
    found = apply_layers(export_layers(network, shape), rows, shape)
    np.testing.assert_allclose(found, network(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    hidden = network[:-2](x)
    if hidden.ndim == 4:
        hidden = hidden.permute(0, 2, 3, 1)
    found = apply_layers(export_layers(network[:-1], shape), rows, shape)
    np.testing.assert_allclose(found, hidden.detach().reshape(20, -1), rtol=1e-4, atol=1e-5)


def test_values_of_an_item_do_not_depend_on_its_company():
    shape = (1, 28, 28)
    network = trained_a_little(make_encoder(shape, 7, width=8), shape)
    layers = export_layers(network, shape)
    rows = np.random.default_rng(0).standard_normal((300, 784)).astype(np.float32)
    whole = apply_layers(layers, rows, shape)
    alone = np.concatenate([apply_layers(layers, row[None], shape) for row in rows])
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(apply_layers(layers, rows[::-1], shape), whole[::-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_generators_make_items_of_any_size(shape, depth):
    network = make_generator(shape, 6, width=4, depth=depth)
    items = bound(network(torch.randn(3, 6) * 50))
    assert items.shape == (3, *shape)
    assert len(shape) == 1 or items.abs().max() <= 1
    assert isinstance(network[0], nn.Linear)
