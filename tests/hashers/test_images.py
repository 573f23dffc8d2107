"""What hashers of images share."""

import numpy as np
import torch

from hashlearn.hashers.deep._images import bits_of, halve_bits, learn_statistics, values_of


def normalised():
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))


def test_normalisations_become_those_of_the_items_given():
    network, data = normalised(), torch.randn(50, 3) * 2 + 1
    network(10 * data)
    learn_statistics(network, data)
    values = network.eval()(data)
    torch.testing.assert_close(values.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(values.std(dim=0), torch.ones(4), atol=1e-4, rtol=0)
    assert network[1].momentum == 0.1


def test_values_outside_training_change_nothing_and_bits_are_their_signs():
    network, data = normalised(), torch.randn(2500, 3)
    before = network[1].running_mean.clone()
    values = values_of(network, data)
    torch.testing.assert_close(network[1].running_mean, before)
    assert network.training
    torch.testing.assert_close(values, network.eval()(data))
    np.testing.assert_array_equal(bits_of(values), (values.numpy() >= 0).astype(np.uint8))


def test_bits_are_halved_by_constants():
    network = torch.nn.Sequential(
        torch.nn.Linear(3, 6), torch.nn.LeakyReLU(), torch.nn.Linear(6, 4)
    )
    data = torch.randn(1000, 3) + 2
    weights = network[2].weight.clone()
    halve_bits(network, data)
    np.testing.assert_allclose((network(data) >= 0).float().mean(dim=0), 0.5, atol=0.002)
    torch.testing.assert_close(network[2].weight, weights)
