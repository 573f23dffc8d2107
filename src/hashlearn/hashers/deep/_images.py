"""What hashers of images share: items in, a network that is exact outside PyTorch, its codes."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from hashlearn._training import Training, Workers, training_question
from hashlearn.features import make_features
from hashlearn.generative.items import TakesItems
from hashlearn.generative.networks import apply_layers, export_layers
from hashlearn.hashers.base import FloatArray, Hasher

ROWS_AT_A_TIME = 1000


class ImageHasher(TakesItems, Hasher):
    """Hash images, or vectors, by a network of ``make_encoder``'s kind.

    Attributes
    ----------
    layers_ : dict of str to ndarray, float32
        The network, as :func:`~hashlearn.generative.networks.export_layers` writes it: its values
        are at least 0 where a bit is 1.
    """

    accepts_images: ClassVar[bool] = True

    checkpoint: Any
    depth: Any
    layers_: dict[str, FloatArray]

    def _check_rows(self, X: ArrayLike, *, reset: bool = True, **checks: Any) -> FloatArray:
        self._refuse_texts(X)
        return self._rows(X, reset=reset, **checks)

    def _project(self, X: Any) -> FloatArray:
        return apply_layers(self.layers_, self._scaled(X), self._tensor_shape)

    def _depth_or(self, of_vectors: int) -> int:
        """Give the hidden layers that were asked for, or else these of vectors, 2 of images."""
        if self.depth is not None:
            return int(self.depth)
        return of_vectors if len(self._tensor_shape) == 1 else 2

    def _keep_network(self, network: nn.Sequential) -> None:
        """Keep the hash function that was learned; the caller has ended its training."""
        self.layers_ = export_layers(network, self._tensor_shape)

    def _training(
        self,
        networks: nn.Module,
        optimisers: Mapping[str, torch.optim.Optimizer],
        workers: Workers,
        *data: Tensor | None,
    ) -> Training:
        """Begin the training, or go on with the one in the checkpoint."""
        question = training_question(self, *data)
        return Training(networks, optimisers, workers, self.checkpoint, question)


def features_of(X: FloatArray, item_shape: tuple[int, ...], names: str | None) -> FloatArray:
    """Compute features of items.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Items as rows.
    item_shape : tuple of int
        Shape of an item.
    names : str or None
        Features, as :func:`~hashlearn.features.make_features` takes them; items as they are if
        None.

    Returns
    -------
    ndarray of shape (n, n_values), float32
        Features.
    """
    features: Any = X.reshape(len(X), *item_shape)
    for transformer in make_features(names or "none"):
        features = transformer.fit_transform(features)
    return np.asarray(features, np.float32).reshape(len(X), -1)


@torch.no_grad()
def values_of(network: nn.Module, data: Tensor) -> Tensor:
    """Compute a network's values for many items, as they are outside training.

    Parameters
    ----------
    network : nn.Module
        Network.
    data : Tensor of shape (n, ...), float32
        Scaled items.

    Returns
    -------
    Tensor of shape (n, n_outputs), float32
        Values.
    """
    was_training = network.training
    network.eval()
    values = torch.cat([network(part) for part in data.split(ROWS_AT_A_TIME)])
    network.train(was_training)
    return values


def bits_of(values: Tensor) -> NDArray[np.uint8]:
    """Give the bits of values: 1 where they are at least 0.

    Parameters
    ----------
    values : Tensor of shape (n, n_bits), float32
        Values before the sign.

    Returns
    -------
    ndarray of shape (n, n_bits), uint8
        Bits.
    """
    return (values >= 0).cpu().numpy().astype(np.uint8)


@torch.no_grad()
def halve_bits(network: nn.Sequential, data: Tensor) -> None:
    """Set the constants of a network's last layer such that each bit is 1 for half of the items.

    Without that a network may start with the same code for all, from which some losses cannot go.

    Parameters
    ----------
    network : nn.Sequential
        Network that ends with a linear layer, changed in place.
    data : Tensor of shape (n, ...), float32
        Scaled items.
    """
    last = network[-1]
    assert isinstance(last, nn.Linear)
    some = data[:: -(-len(data) // ROWS_AT_A_TIME)]
    last.bias.sub_(network(some).median(dim=0).values)


@torch.no_grad()
def learn_statistics(network: nn.Module, data: Tensor) -> None:
    """Give normalisations the means and variances of one large batch of real items.

    Those that a discriminator ends with are of made items too, and of all stages of its training.

    Parameters
    ----------
    network : nn.Module
        Network, whose normalisations are changed in place.
    data : Tensor of shape (n, ...), float32
        Scaled items.
    """
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    parts = [part for part in network.modules() if isinstance(part, kinds)]
    was_training, momenta = network.training, [part.momentum for part in parts]
    for part in parts:
        part.momentum = 1.0
    network.train()
    network(data[:: -(-len(data) // ROWS_AT_A_TIME)])
    for part, momentum in zip(parts, momenta, strict=True):
        part.momentum = momentum
    network.train(was_training)


def label_loss(logits: Tensor, Y: Tensor, one_class: bool) -> Tensor:
    """Compute the cross-entropy of labels.

    Parameters
    ----------
    logits : Tensor of shape (n, n_labels), float32
        Log odds of the labels, or up to a constant their log probabilities.
    Y : Tensor of shape (n, n_labels), float32
        Labels 0/1.
    one_class : bool
        Whether probabilities of an item add up to 1, or each label is judged by itself.

    Returns
    -------
    Tensor of shape (), float32
        Mean over the items, in nats; of labels by themselves over these too.
    """
    if one_class:
        return cross_entropy(logits, Y)
    return binary_cross_entropy_with_logits(logits, Y)
