"""Exact neighbours among vectors that come a batch at a time, and how many of them are found."""

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers.base import FloatArray
from hashlearn.results import NO_ID


class NearestSoFar:
    """Keep the nearest of all vectors that came by.

    Parameters
    ----------
    queries : ndarray of shape (q, d), float32
        Vectors whose neighbours are sought.
    k : int
        How many neighbours.

    Notes
    -----
    Squared distances are computed in float32 by one matrix product a batch. Neighbours at
    distances that are equal up to its rounding may change places.

    Examples
    --------
    >>> near = NearestSoFar(np.zeros((1, 2), np.float32), 2)
    >>> near.add(np.array([[3, 0], [1, 0]], np.float32))
    >>> near.add(np.array([[0, 2]], np.float32))
    >>> near.ids
    array([[1, 2]])
    """

    def __init__(self, queries: FloatArray, k: int) -> None:
        self._queries = queries
        self._distances = np.full((len(queries), k), np.inf, np.float32)
        self._n_seen = 0
        self.ids = np.full((len(queries), k), -1, np.int64)
        """Nearest first, numbered in the order in which they came: shape (q, k), int64; or -1."""

    def add(self, X: FloatArray) -> None:
        """Let vectors come by.

        Parameters
        ----------
        X : ndarray of shape (n, d), float32
            Vectors.
        """
        # |x - q|^2 without |q|^2, which is the same for all vectors.
        distances = np.einsum("nd,nd->n", X, X) - 2 * (self._queries @ X.T)
        nearer = distances < self._distances[:, -1:]
        for row in np.flatnonzero(nearer.any(axis=1)):
            places = np.flatnonzero(nearer[row])
            values = np.concatenate([self._distances[row], distances[row, places]])
            ids = np.concatenate([self.ids[row], places + self._n_seen])
            order = np.argsort(values, kind="stable")[: len(self._distances[row])]
            self._distances[row], self.ids[row] = values[order], ids[order]
        self._n_seen += len(X)


def neighbor_recall(
    found: NDArray[np.int64], true: NDArray[np.int64], k: int
) -> NDArray[np.float64]:
    r"""Compute which part of the exact nearest neighbours of each query was found.

    .. math:: |found_k \cap true_k| / k

    Parameters
    ----------
    found : ndarray of shape (q, n_found), int64
        What was found, best first; -1 for nothing.
    true : ndarray of shape (q, n_true), int64
        Exact neighbours, nearest first; -1 for nothing.
    k : int
        Rank up to which both are taken.

    Returns
    -------
    ndarray of shape (q,), float64
        Recall at `k` of each query.

    Examples
    --------
    >>> neighbor_recall(np.array([[5, 2, 9]]), np.array([[2, 3, 5]]), 2)
    array([0.5])
    """
    hits = (found[:, :k, None] == true[:, None, :k]).any(axis=2) & (found[:, :k] != NO_ID)
    return np.asarray(hits.sum(axis=1) / k)
