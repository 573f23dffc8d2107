"""Codes that minimise a quadratic function, many problems of one matrix at a time.

The function is z^T G z + q^T z over z in {0, 1}^r; a column of `Q` is the q of one problem.
"""

import numpy as np
from numpy.typing import NDArray

_RELAXATIONS = 10
"""Sweeps over the bits of the relaxed problem."""

BoolArray = NDArray[np.bool_]


def enumerate_codes(G: NDArray[np.float64], Q: NDArray[np.float64]) -> BoolArray:
    """Try all codes.

    Parameters
    ----------
    G : ndarray of shape (r, r), float64
        Symmetric matrix, positive semidefinite.
    Q : ndarray of shape (r, n), float64
        Linear parts, a column a problem.

    Returns
    -------
    ndarray of shape (r, n), bool
        The best codes.
    """
    codes = (np.arange(1 << len(G))[:, None] >> np.arange(len(G)) & 1).astype(np.float64)
    values = quadratic_values(codes.T, G, np.zeros((len(G), 1)))[:, None] + codes @ Q
    return np.asarray(codes[values.argmin(axis=0)].T == 1)


def search_codes(Z: BoolArray, G: NDArray[np.float64], Q: NDArray[np.float64]) -> BoolArray:
    """Search for good codes from the relaxed problem's and from the last ones.

    Parameters
    ----------
    Z : ndarray of shape (r, n), bool
        Codes so far.
    G : ndarray of shape (r, r), float64
        Symmetric matrix, positive semidefinite.
    Q : ndarray of shape (r, n), float64
        Linear parts, a column a problem.

    Returns
    -------
    ndarray of shape (r, n), bool
        Codes, none worse than before, that no turn of one bit improves.
    """
    relaxed = np.full(Q.shape, 0.5)
    for _ in range(_RELAXATIONS):
        for bit in np.flatnonzero(G.diagonal()):
            step = (G[bit] @ relaxed + Q[bit] / 2) / G[bit, bit]
            relaxed[bit] = np.clip(relaxed[bit] - step, 0, 1)
    rounded = turn_bits((relaxed >= 0.5).astype(np.float64), G, Q)
    warm = turn_bits(Z.astype(np.float64), G, Q)
    better = quadratic_values(rounded, G, Q) < quadratic_values(warm, G, Q)
    return np.asarray(np.where(better, rounded, warm) == 1)


def turn_bits(
    Z: NDArray[np.float64], G: NDArray[np.float64], Q: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn single bits while that pays.

    Parameters
    ----------
    Z : ndarray of shape (r, n), float64
        Codes 0/1.
    G : ndarray of shape (r, r), float64
        Symmetric matrix, positive semidefinite.
    Q : ndarray of shape (r, n), float64
        Linear parts, a column a problem.

    Returns
    -------
    ndarray of shape (r, n), float64
        Codes that no turn of one bit improves by more than rounding.
    """
    Z = Z.copy()
    active = np.arange(Z.shape[1])  # problems with a bit that was turned in the last sweep
    smallest = 1e-12 * np.abs(G).max()
    while len(active):
        codes, linear = Z[:, active], Q[:, active]
        for bit, row in enumerate(G):
            # What 1 costs more than 0, the other bits as they are.
            cost = 2 * (row @ codes - row[bit] * codes[bit]) + row[bit] + linear[bit]
            codes[bit] = np.where(np.abs(cost) > smallest, cost < 0, codes[bit])
        turned = (codes != Z[:, active]).any(axis=0)
        Z[:, active] = codes
        active = active[turned]
    return Z


def quadratic_values(
    Z: NDArray[np.float64], G: NDArray[np.float64], Q: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the function.

    Parameters
    ----------
    Z : ndarray of shape (r, n), float64
        Codes 0/1.
    G : ndarray of shape (r, r), float64
        Symmetric matrix.
    Q : ndarray of shape (r, n) or (r, 1), float64
        Linear parts.

    Returns
    -------
    ndarray of shape (n,), float64
        Value of each column.
    """
    return np.asarray((Z * (G @ Z + Q)).sum(axis=0))
