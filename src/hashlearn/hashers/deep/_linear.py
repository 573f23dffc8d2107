"""What the PyTorch methods that learn linear functions share: their space and their start."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers import get_method
from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.blocks import each_block
from hashlearn.hashers.directions import principal_directions

_START_ROUNDS = 300
_START_ROWS = 1 << 14


@dataclass(frozen=True)
class Coordinates:
    """Centre vectors, turn them to their principal directions and scale them.

    Parameters
    ----------
    mean : ndarray of shape (d,), float64
        Mean of the training vectors.
    directions : ndarray of shape (p, d), float64
        Principal directions, perpendicular unit vectors.
    scale : float
        Root of the mean squared norm that the training vectors have in these directions.
    """

    mean: NDArray[np.float64] = field(repr=False)
    directions: NDArray[np.float64] = field(repr=False)
    scale: float

    @classmethod
    def of(
        cls, X: FloatArray, n_components: int, rng: np.random.RandomState
    ) -> tuple["Coordinates", FloatArray]:
        """Find the coordinates of training vectors.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32
            Training vectors.
        n_components : int
            Principal directions, as many as there can be at most.
        rng : RandomState
            Source, as ``principal_directions`` needs one.

        Returns
        -------
        coordinates : Coordinates
            The coordinates.
        Z : ndarray of shape (n, p), float32
            Training vectors in them, of mean 0 and mean squared norm 1.
        """
        mean, directions = principal_directions(X, min(n_components, *X.shape), rng)
        Z = cls(mean, directions, 1.0).transform(X)
        scale = float(np.sqrt(np.einsum("ij,ij", Z, Z, dtype=np.float64) / len(Z))) or 1.0
        Z /= np.float32(scale)
        return cls(mean, directions, scale), Z

    def transform(self, X: FloatArray) -> FloatArray:
        """Turn vectors to coordinates.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32
            Vectors.

        Returns
        -------
        ndarray of shape (n, p), float32
            Their coordinates.
        """
        columns = (self.directions.T / self.scale).astype(np.float32)
        mean = self.mean.astype(np.float32)
        Z = np.empty((len(X), columns.shape[1]), np.float32)
        for rows, part in each_block(lambda rows: (rows, (X[rows] - mean) @ columns), *X.shape):
            Z[rows] = part
        return Z

    def inverse_transform(self, Z: FloatArray) -> FloatArray:
        """Turn coordinates to vectors.

        Parameters
        ----------
        Z : ndarray of shape (n, p), float32
            Coordinates.

        Returns
        -------
        ndarray of shape (n, d), float32
            Vectors.
        """
        return np.asarray(Z * self.scale @ self.directions + self.mean, dtype=np.float32)

    def functions(self, W: NDArray[Any], b: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Express linear functions of coordinates as functions of vectors.

        Parameters
        ----------
        W : ndarray of shape (r, p), float
            One function of coordinates a row.
        b : ndarray of shape (r,), float
            Their constants.

        Returns
        -------
        weights : ndarray of shape (r, d), float32
            The functions.
        bias : ndarray of shape (r,), float32
            Their constants.
        """
        weights = W.astype(np.float64) / self.scale @ self.directions
        return weights.astype(np.float32), (b - weights @ self.mean).astype(np.float32)


def start_functions(
    init: str, n_bits: int, Z: FloatArray, rng: np.random.RandomState
) -> tuple[FloatArray, FloatArray]:
    """Find the linear functions that training starts from.

    Parameters
    ----------
    init : str
        ``"random"`` Gaussian functions; ``"frame"``, perpendicular ones at random, or more of them
        than dimensions that cover all directions evenly (a tight frame); ``"pca"``; ``"itq"``; or
        another linear method of the table, with its defaults. ``"auto"`` is ITQ up to as many bits
        as there are dimensions and vectors, then a frame.
    n_bits : int
        Number of functions.
    Z : ndarray of shape (n, p), float32
        Training vectors, centred.
    rng : RandomState
        Source.

    Returns
    -------
    W : ndarray of shape (n_bits, p), float32
        The functions, all of them scaled alike to values of mean square 1.
    b : ndarray of shape (n_bits,), float32
        Their constants.

    Raises
    ------
    ValueError
        If there is no such method, it is not linear, or it takes no such number of bits.
    """
    if len(Z) > _START_ROWS:
        Z = Z[rng.choice(len(Z), _START_ROWS, replace=False)]
    if init == "auto":
        init = "itq" if n_bits <= min(Z.shape) else "frame"
    if init == "frame":
        W, b = random_frame(n_bits, Z.shape[1], rng), np.zeros(n_bits, np.float32)
    else:
        try:
            start = _start(init, n_bits, rng)
            W, b = start.fit(Z).weights_, start.bias_
        except ValueError as error:
            raise ValueError(f"training cannot start from init={init!r}: {error}") from error
    gain = np.float32(1 / (float(np.sqrt(np.square(Z @ W.T + b).mean())) or 1.0))
    return gain * W, gain * b


def random_frame(n_bits: int, size: int, rng: np.random.RandomState) -> FloatArray:
    """Draw directions that are as far from one another as they can be on the whole.

    Parameters
    ----------
    n_bits : int
        Number of directions.
    size : int
        Dimensions.
    rng : RandomState
        Source.

    Returns
    -------
    ndarray of shape (n_bits, size), float32
        A matrix of perpendicular unit rows, or, if there are more rows than columns, columns: the
        rows are then a tight frame.
    """
    drawn = rng.standard_normal((max(n_bits, size), min(n_bits, size)))
    frame = np.linalg.qr(drawn)[0].astype(np.float32)
    return frame if n_bits > size else frame.T


def _start(init: str, n_bits: int, rng: np.random.RandomState) -> LinearHasher:
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "random": ("lsh", {}),
        "pca": ("itq", {"rotation": "identity"}),
        "itq": ("itq", {"n_iter": _START_ROUNDS}),
    }
    name, parameters = options.get(init, (init, {}))
    start = get_method(name)(n_bits, random_state=rng, **parameters)
    if not isinstance(start, LinearHasher):
        raise ValueError(f"{name} is not linear")
    return start
