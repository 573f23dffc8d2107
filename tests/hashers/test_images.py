"""What hashers of images share."""

import math

import numpy as np
import pytest
import torch

from hashlearn.hashers.deep._images import (
    bits_of,
    halve_bits,
    label_loss,
    learn_statistics,
    values_of,
)

TAGS = np.array([[1, 0, 0], [0, 1, 1], [1, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]], float)


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


def test_the_label_loss_is_that_of_loops():
    rng = np.random.default_rng(0)
    scores, y = rng.normal(size=(6, 3)), np.array([0, 2, 1, 1, 0, 2])
    one = np.mean([math.log(np.exp(row).sum()) - row[k] for row, k in zip(scores, y, strict=True)])
    any_of = np.mean(
        [math.log1p(math.exp((1 - 2 * TAGS[i, k]) * scores[i, k]))
         for i in range(6) for k in range(3)]
    )  # fmt: skip
    values, labels = torch.tensor(scores), torch.eye(3, dtype=torch.float64)[y]
    assert label_loss(values, labels, True).item() == pytest.approx(one)
    assert label_loss(values, torch.tensor(TAGS), False).item() == pytest.approx(any_of)
