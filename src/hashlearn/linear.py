"""Linear functions and distances of vectors, rounded alike whatever is computed together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hashlearn.engine import available_threads, choose_kernel, native

FloatArray = NDArray[np.float32]

_BLOCK_ENTRIES = 1 << 13
"""Sums that NumPy holds at a time; with their terms they stay in a core's cache."""

_SPARSE_ENTRIES = 1 << 25
"""Weights, or sums, of functions that are computed together for sparse rows."""


def linear_values(X: Any, weights: FloatArray, bias: FloatArray) -> FloatArray:
    r"""Compute linear functions of rows, each rounded independently of the others.

    .. math:: v_{ij} = fl_{32}((((x_{i0} w_{j0} + x_{i1} w_{j1}) + x_{i2} w_{j2}) + ...) + b_j)

    in double precision and in this order, rounded to single precision at the end.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d), float32
        Rows. A sparse matrix must have the columns of a row in order, none of them twice; its
        values are those of the dense one, which is never made.
    weights : ndarray of shape (n_functions, d), float32
        One function a row.
    bias : ndarray of shape (n_functions,), float32
        What each function adds.

    Returns
    -------
    ndarray of shape (n, n_functions), float32
        Values.

    Notes
    -----
    ``X @ weights.T`` is another number in the last bits for a row in another place, among other
    rows or on another processor. Here the order is fixed, and a product of two float32 is exact in
    double precision, so that fused and separate additions round alike: every kernel and every
    processor gives the same bits. SciPy multiplies a sparse matrix in this order too, and leaving
    out a zero changes no sum.

    Examples
    --------
    >>> linear_values(np.ones((1, 2), np.float32), np.eye(2, dtype=np.float32), np.float32([0, 2]))
    array([[1., 3.]], dtype=float32)
    """
    if issparse(X):
        return _sparse_values(X, weights, bias)
    X, weights, bias = (np.ascontiguousarray(part, np.float32) for part in (X, weights, bias))
    values = np.empty((len(X), len(weights)), dtype=np.float32)
    if (kernel := choose_kernel()) != "numpy":
        native.project(X, weights, bias, values, available_threads(), kernel)
        return values
    columns = weights.T.astype(np.float64)
    rows = max(1, _BLOCK_ENTRIES // len(weights))
    for start in range(0, len(X), rows):
        entries = X[start : start + rows].T.astype(np.float64)
        sums = np.zeros((entries.shape[1], len(weights)))
        terms = np.empty_like(sums)
        for entry, column in zip(entries, columns, strict=True):
            sums += np.multiply.outer(entry, column, out=terms)
        with np.errstate(over="ignore"):  # beyond float32 is infinity
            values[start : start + rows] = sums + bias
    return values


def _sparse_values(X: Any, weights: FloatArray, bias: FloatArray) -> FloatArray:
    """Compute linear functions of sparse rows, a few at a time, so that they take little memory."""
    values = np.empty((X.shape[0], len(weights)), dtype=np.float32)
    rows = X.astype(np.float64)
    step = max(1, _SPARSE_ENTRIES // max(X.shape))
    for start in range(0, len(weights), step):
        part = slice(start, start + step)
        sums = rows @ np.ascontiguousarray(weights[part].T, dtype=np.float64)
        with np.errstate(over="ignore"):
            values[:, part] = sums + bias[part]
    return values


def squared_distances(X: FloatArray, centers: FloatArray) -> NDArray[np.float64]:
    r"""Compute squared Euclidean distances, each rounded independently of the others.

    .. math:: \|x - c\|^2 = \|x - s\|^2 - 2 (x - s)^T (c - s) + \|c - s\|^2

    with :math:`s` the mean of the centres, so that little is lost where all vectors are far from 0.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Rows.
    centers : ndarray of shape (n_centers, d), float32
        Points to measure from.

    Returns
    -------
    ndarray of shape (n, n_centers), float64
        Squared distances, at least 0.

    Examples
    --------
    >>> squared_distances(np.zeros((1, 2), np.float32), np.array([[3, 4]], np.float32))
    array([[25.]])
    """
    shift = centers.mean(axis=0, dtype=np.float32)
    rows, points = X - shift, centers - shift
    products = linear_values(rows, points, np.zeros(len(points), np.float32))
    # A sum along a contiguous axis adds up in an order that its length alone decides.
    norms = np.square(rows, dtype=np.float64).sum(axis=1)
    others = np.square(points, dtype=np.float64).sum(axis=1)
    return np.asarray(np.maximum(norms[:, None] - 2.0 * products + others, 0.0))
