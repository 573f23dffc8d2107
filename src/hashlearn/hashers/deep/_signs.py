"""What methods share that learn through the sign itself: its slope, its cost, cosines to keep."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hashlearn.generative.networks import Shape, make_encoder
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.deep._images import features_of


def straight_sign(h: Tensor) -> Tensor:
    r"""Compute the sign of values, with the slope of the identity.

    Parameters
    ----------
    h : Tensor of shape (...), float32
        Values.

    Returns
    -------
    Tensor of shape (...), float32
        1 where a value is at least 0, otherwise -1. Derivatives by it are handed on to `h` as they
        are.
    """
    return torch.where(h >= 0, 1.0, -1.0) + (h - h.detach())  # the difference is 0


def sign_penalty(h: Tensor) -> Tensor:
    r"""Compute how far values are from their signs.

    Parameters
    ----------
    h : Tensor of shape (n, r), float32
        Values.

    Returns
    -------
    Tensor of shape (), float32
        Mean of :math:`| |h_{ik}| - 1 |^3`.
    """
    return (h.abs() - 1).abs().pow(3).mean()


def unit_features(X: FloatArray, item_shape: tuple[int, ...], features: str | None) -> FloatArray:
    """Compute features of items whose scalar products are the cosines that codes should keep.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Items as rows.
    item_shape : tuple of int
        Shape of an item.
    features : str or None
        Features, as :func:`~hashlearn.features.make_features` takes them; items as they are if
        None.

    Returns
    -------
    ndarray of shape (n, n_values), float32
        Features less their means, each row of length 1; zeros for an item that is the mean.
    """
    rows = features_of(X, item_shape, features)
    centred = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(lengths > 0, lengths, 1), np.float32)


def even_encoder(shape: Shape, n_bits: int, width: int, depth: int) -> nn.Sequential:
    """Make a network from items to values, whose bits are even for centred items at the start.

    Parameters
    ----------
    shape : tuple of int
        Shape of an item as a tensor.
    n_bits : int
        Number of values.
    width : int
        As in :func:`~hashlearn.generative.networks.make_encoder`.
    depth : int
        Likewise.

    Returns
    -------
    nn.Sequential
        Network of ``make_encoder``; the constants of its last layer are 0.
    """
    network = make_encoder(shape, n_bits, width=width, depth=depth)
    nn.init.zeros_(cast(nn.Linear, network[-1]).bias)
    return network


def cosine_loss(b: Tensor, u: Tensor, pairs: str = "all") -> Tensor:
    r"""Compute how far the cosines of codes are from those of features.

    Parameters
    ----------
    b : Tensor of shape (n, r), float32
        Codes.
    u : Tensor of shape (n, d), float32
        Features, each of length 1.
    pairs : {"all", "halves"}, default="all"
        Pairs that count: all of different items, or item i with item i + floor(n / 2), of which
        the last has none if n is odd.

    Returns
    -------
    Tensor of shape (), float32
        Mean of the squared differences.
    """
    n = len(b)
    b = normalize(b)
    if pairs == "halves":
        half = n // 2
        cosines = (b[:half] * b[half : 2 * half]).sum(dim=1)
        return (cosines - (u[:half] * u[half : 2 * half]).sum(dim=1)).square().mean()
    squares = (b @ b.T - u @ u.T).square()
    return (squares.sum() - squares.diagonal().sum()) / (n * (n - 1))
