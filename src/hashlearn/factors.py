"""Correction factors: what makes up for the lengths and angles that bits do not keep."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.storage import read_arrays, write_arrays

_KIND = "correction factors"


def correction_factors(values: ArrayLike) -> NDArray[np.float32]:
    r"""Compute what makes up for the lengths and angles that bits do not keep.

    For the values before the sign :math:`v` of a vector and the signs :math:`s`, the inner product
    with the values :math:`u` of a query is estimated as in RaBitQ [1]_:

    .. math:: u^T v \approx \gamma \, u^T s, \qquad \gamma = \|v\|_2^2 / \|v\|_1,

    which is exact for :math:`u = v`, and unbiased for values that are rotated at random. The
    squared distance is then :math:`\|u\|_2^2 + \|v\|_2^2 - 2 \gamma \, u^T s`.

    Parameters
    ----------
    values : array-like of shape (n, n_bits), float
        Values before the sign.

    Returns
    -------
    ndarray of shape (n, 2), float32
        :math:`\gamma` and :math:`\|v\|_2^2` of each vector.

    Raises
    ------
    ValueError
        If `values` is not a matrix, or a vector's squared length is not finite in float32.

    Notes
    -----
    In the paper :math:`v` is a vector less its centre, rotated at random. Here it is what the
    hasher projects to: with the principal directions, or learned ones, distances are those in
    their space.

    References
    ----------
    .. [1] J. Gao and C. Long, 2024, "RaBitQ: quantizing high-dimensional vectors with a theoretical
       error bound for approximate nearest neighbor search", SIGMOD.

    Examples
    --------
    >>> correction_factors([[3.0, -4.0], [0.0, 0.0]])
    array([[ 3.5714285, 25.       ],
           [ 0.       ,  0.       ]], dtype=float32)
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 2:
        raise ValueError(f"values must have the shape (n, n_bits), got {v.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        squares, sums = np.square(v).sum(axis=1), np.abs(v).sum(axis=1)
        gains = np.divide(squares, sums, out=np.zeros_like(sums), where=sums > 0)
        factors = np.stack([gains, squares], axis=1).astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(factors).all(axis=1))
    if len(wrong):
        raise ValueError(
            f"values must be finite, and their squared length must be so in float32; that of row "
            f"{wrong[0]} is {squares[wrong[0]]:.3g}"
        )
    return factors


def write_factors(path: Path, factors: NDArray[np.float32]) -> None:
    """Write correction factors to a file, atomically.

    Parameters
    ----------
    path : pathlib.Path
        File to create or replace.
    factors : ndarray of shape (n, 2), float32
        Factors of :func:`correction_factors`.
    """
    write_arrays(path, _KIND, {}, {"factors": factors})


def read_factors(path: Path) -> NDArray[np.float32]:
    """Map correction factors from a file.

    Parameters
    ----------
    path : pathlib.Path
        File of :func:`write_factors`.

    Returns
    -------
    ndarray of shape (n, 2), float32
        The factors, read-only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is foreign or damaged.
    """
    _, arrays = read_arrays(path, _KIND, mmap=True)
    factors = arrays.get("factors")
    if factors is None or factors.dtype != np.float32 or factors.shape[1:] != (2,):
        raise ValueError(f"{path} holds no correction factors of the shape (n, 2)")
    return factors
