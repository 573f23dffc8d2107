"""Small networks for images and vectors, and their exact values outside PyTorch.

Images pass through strided convolutions and come out of transposed ones, as in DCGAN [1]_; vectors
pass through dense layers.

References
----------
.. [1] A. Radford, L. Metz and S. Chintala, 2016, "Unsupervised representation learning with deep
   convolutional generative adversarial networks", ICLR.
"""

from collections.abc import Mapping
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashlearn.linear import linear_values

FloatArray = NDArray[np.float32]
Shape = tuple[int, ...]
"""Shape of an item as a tensor: (channels, height, width) of an image, (d,) of a vector."""

SLOPE = 0.2
"""Of the leaky rectifier below 0, in every network that takes items."""

_KERNEL = 5
_DENSE = 8
"""Units of a hidden layer for vectors, for each channel of the first layer for images."""

_PATCH_ENTRIES = 1 << 23


def make_encoder(
    shape: Shape, n_outputs: int, *, width: int = 32, depth: int = 2, normalize: bool = True
) -> nn.Sequential:
    """Make a network from items to a few values, such as a discriminator or a hash function.

    Parameters
    ----------
    shape : tuple of int
        Shape of an item: (channels, height, width), or (d,).
    n_outputs : int
        Number of values.
    width : int, default=32
        Channels of the first layer; each further layer has twice as many. Vectors: an eighth of the
        units of every hidden layer.
    depth : int, default=2
        Hidden layers. Each halves an image's height and width.
    normalize : bool, default=True
        Whether hidden layers but the first are normalised over the batch.

    Returns
    -------
    nn.Sequential
        Hidden layers, a flattening, and a linear last layer: ``network[:-1]`` gives the features.
    """
    layers: list[nn.Module] = []
    if len(shape) == 1:
        n_inputs = shape[0]
        for layer in range(depth):
            layers += [nn.Linear(n_inputs, _DENSE * width)]
            layers += [nn.BatchNorm1d(_DENSE * width)] if normalize and layer else []
            layers += [nn.LeakyReLU(SLOPE)]
            n_inputs = _DENSE * width
    else:
        channels, height, side = shape
        for layer in range(depth):
            wide = width << layer
            layers += [nn.Conv2d(channels, wide, _KERNEL, stride=2, padding=_KERNEL // 2)]
            layers += [nn.BatchNorm2d(wide)] if normalize and layer else []
            layers += [nn.LeakyReLU(SLOPE)]
            channels, height, side = wide, -(-height // 2), -(-side // 2)
        n_inputs = channels * height * side
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_inputs, n_outputs))


def make_generator(
    shape: Shape, n_inputs: int, *, width: int = 32, depth: int = 2, normalize: bool = True
) -> nn.Sequential:
    """Make a network from a few values to items, such as a generator or a decoder.

    Parameters
    ----------
    shape : tuple of int
        Shape of an item: (channels, height, width), or (d,).
    n_inputs : int
        Number of values.
    width : int, default=32
        Channels of the last hidden layer; each before it has twice as many. Vectors: an eighth of
        the units of every hidden layer.
    depth : int, default=2
        Hidden layers. Each but the first doubles height and width, as the last layer does.
    normalize : bool, default=True
        Whether hidden layers are normalised over the batch.

    Returns
    -------
    nn.Sequential
        Network without a last activation: :func:`bound` makes pixels of its values.
    """
    layers: list[nn.Module] = []
    if len(shape) == 1:
        for _ in range(depth):
            layers += [nn.Linear(n_inputs, _DENSE * width)]
            layers += [nn.BatchNorm1d(_DENSE * width)] if normalize else []
            layers += [nn.ReLU()]
            n_inputs = _DENSE * width
        return nn.Sequential(*layers, nn.Linear(n_inputs, shape[0]))
    channels, height, side = shape
    first = (width << depth - 1, -(-height // 2**depth), -(-side // 2**depth))
    layers = [nn.Linear(n_inputs, prod(first)), nn.Unflatten(1, first)]
    for layer in range(depth):
        wide = width << depth - 1 - layer
        layers += [nn.BatchNorm2d(wide)] if normalize else []
        layers += [nn.ReLU()]
        after = channels if layer == depth - 1 else wide // 2
        layers += [nn.ConvTranspose2d(wide, after, 4, stride=2, padding=1)]
    return nn.Sequential(*layers, _Crop(height, side))


class _Crop(nn.Module):
    """Cut images to a height and a width, as much from either side."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width]


def bound(values: Tensor) -> Tensor:
    """Map a generator's values to items: those of images to (-1, 1), vectors as they are.

    Parameters
    ----------
    values : Tensor of shape (n, channels, height, width) or (n, d), float32
        Values of a network of :func:`make_generator`.

    Returns
    -------
    Tensor of shape (n, channels, height, width) or (n, d), float32
        Items.
    """
    return torch.tanh(values) if values.ndim == 4 else values


def start_as_dcgan(network: nn.Module) -> None:
    """Draw weights as DCGAN does: from N(0, 0.02^2), and scales of normalisation from N(1, 0.02^2).

    Parameters
    ----------
    network : nn.Module
        Network, changed in place.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)


def export_layers(network: nn.Sequential, shape: Shape) -> dict[str, FloatArray]:
    """Write a network of :func:`make_encoder` as arrays, its normalisations as linear functions.

    Parameters
    ----------
    network : nn.Sequential
        Network, or what it has before its last layer.
    shape : tuple of int
        Shape of the items that it takes.

    Returns
    -------
    dict of str to ndarray, float32
        ``"0.weights"``, ``"0.bias"``, ``"1.weights"``, ... of the hidden layers; the weights of a
        convolution have four axes, those of a linear layer two. ``"output.weights"`` and
        ``"output.bias"`` of the last layer, if it is there.
    """
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    names: list[str] = []
    for part in network:
        if isinstance(part, nn.Conv2d | nn.Linear):
            bias = np.zeros(len(part.weight)) if part.bias is None else _array(part.bias)
            layers.append((_array(part.weight), bias))
            names.append("output")
        elif isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            layers.append(_normalized(*layers.pop(), part))
        elif isinstance(part, nn.LeakyReLU):
            names[-1] = str(len(names) - 1)
    if len(shape) == 3 and names[-1] == "output":
        layers.append(_channels_last(*layers.pop(), layers, shape))
    return {
        f"{name}.{kind}": array.astype(np.float32)
        for name, layer in zip(names, layers, strict=True)
        for kind, array in zip(("weights", "bias"), layer, strict=True)
    }


def _normalized(
    weights: NDArray[np.float64], bias: NDArray[np.float64], part: nn.BatchNorm1d | nn.BatchNorm2d
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Take the normalisation that follows a layer into its linear functions."""
    scale = 1 / np.sqrt(_array(part.running_var) + part.eps)
    shift = np.zeros(len(scale))
    if part.affine:
        scale, shift = scale * _array(part.weight), _array(part.bias)
    each = scale.reshape(-1, *[1] * (weights.ndim - 1))
    return weights * each, (bias - _array(part.running_mean)) * scale + shift


def _channels_last(
    weights: NDArray[np.float64],
    bias: NDArray[np.float64],
    hidden: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    shape: Shape,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Order a last layer's inputs by height, width and channel; tensors begin with the channel."""
    channels, height, side = shape
    for kernels, _ in hidden:
        channels, height, side = len(kernels), -(-height // 2), -(-side // 2)
    weights = weights.reshape(len(weights), channels, height, side).transpose(0, 2, 3, 1)
    return weights.reshape(len(weights), -1), bias


def apply_layers(layers: Mapping[str, FloatArray], rows: FloatArray, shape: Shape) -> FloatArray:
    """Compute the values of a network, each rounded independently of the other items.

    Every sum is one of :func:`~hashlearn.linear.linear_values`.

    Parameters
    ----------
    layers : dict of str to ndarray, float32
        Arrays of :func:`export_layers`.
    rows : ndarray of shape (n, d), float32
        Items as rows, an image's by height, width and channel.
    shape : tuple of int
        Shape of an item as a tensor.

    Returns
    -------
    ndarray of shape (n, n_outputs), float32
        Values of the last layer; without one those of the last hidden layer, an image's by height,
        width and channel.
    """
    n_hidden = sum(name.endswith("weights") for name in layers) - ("output.weights" in layers)
    hidden = [(layers[f"{i}.weights"], layers[f"{i}.bias"]) for i in range(n_hidden)]
    entries, size = prod(shape), shape[1:]
    for weights, _ in hidden:
        size = tuple(-(-side // 2) for side in size)
        entries = max(entries, prod(size) * prod(weights.shape[1:]))
    step = max(1, _PATCH_ENTRIES // entries)
    parts = []
    for start in range(0, len(rows), step):
        x = rows[start : start + step]
        if len(shape) == 3:
            x = x.reshape(-1, shape[1], shape[2], shape[0])
        for weights, bias in hidden:
            x = _convolve(x, weights, bias) if x.ndim == 4 else linear_values(x, weights, bias)
            x = np.where(x >= 0, x, x * np.float32(SLOPE))
        x = x.reshape(len(x), -1)
        if "output.weights" in layers:
            x = linear_values(x, layers["output.weights"], layers["output.bias"])
        parts.append(x)
    return np.concatenate(parts)


def _convolve(x: FloatArray, weights: FloatArray, bias: FloatArray) -> FloatArray:
    """Convolve images (n, height, width, channels) with stride 2, zeros around them."""
    n_outputs, _, size, _ = weights.shape
    edge = size // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    patches = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    patches = patches[:, ::2, ::2]
    n, height, side = patches.shape[:3]
    rows = patches.reshape(n * height * side, -1)
    values = linear_values(rows, weights.reshape(n_outputs, -1), bias)
    return values.reshape(n, height, side, n_outputs)


def _array(part: Tensor | None) -> NDArray[np.float64]:
    assert part is not None
    return part.detach().cpu().numpy().astype(np.float64)
