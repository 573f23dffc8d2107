"""Asymmetric distances: real-valued queries against stored bits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import pack_bits
from hashlearn.index.items import Items
from hashlearn.results import NO_ID, Neighbors


def check_values(values: ArrayLike, n_bits: int) -> NDArray[np.float64]:
    """Check that an array holds the values before the sign of codes of a length.

    Parameters
    ----------
    values : array-like of shape (q, n_bits), real
        Values before the sign.
    n_bits : int
        Length of a code.

    Returns
    -------
    ndarray of shape (q, n_bits), float64
        The values.

    Raises
    ------
    TypeError
        If they are not real numbers.
    ValueError
        If they have another shape, or are not finite, or too large to be summed.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"values must be real numbers, got {array.dtype}")
    if array.ndim != 2 or array.shape[1] != n_bits:
        raise ValueError(f"values must have the shape (q, {n_bits}), got {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64, copy=False)
        sums = np.abs(array).sum(axis=1)
    if not np.isfinite(sums).all():
        row = int(np.flatnonzero(~np.isfinite(sums))[0])
        raise ValueError(f"values must be finite, and so must their sums; row {row} is not")
    return array


def weighted_distances(
    values: NDArray[np.float64], codes: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Sum the absolute values of a query over the bits in which a code differs from its signs.

    Parameters
    ----------
    values : ndarray of shape (n_bits,), float64
        Values of one query; its bits are ``values >= 0``.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.

    Returns
    -------
    ndarray of shape (n,), float64
        Weighted distances. Equal codes have exactly equal distances: the sums are taken in the
        same order, bit by bit and byte by byte, for every code.

    Examples
    --------
    >>> weighted_distances(np.array([0.5, -2.0]), np.array([[0b01], [0b10]], dtype=np.uint8))
    array([0. , 2.5])
    """
    weights = np.zeros((codes.shape[1], 8))
    weights.reshape(-1)[: len(values)] = np.abs(values)
    # tables[i, x] becomes the sum for byte i where the differing bits are those of x.
    tables = np.zeros((codes.shape[1], 1))
    for bit in range(8):
        tables = np.concatenate([tables, tables + weights[:, bit, None]], axis=1)
    differing = codes ^ pack_bits(values[None] >= 0)
    distances = np.zeros(len(codes))
    for table, byte in zip(tables, differing.T, strict=True):
        distances += table[byte]
    return distances


def order_by_weight(
    values: NDArray[np.float64],
    neighbors: Neighbors,
    items: Items,
) -> Neighbors:
    """Order found items by their weighted distance to the queries.

    Parameters
    ----------
    values : ndarray of shape (q, n_bits), float64
        Values of the queries.
    neighbors : Neighbors
        What was found for them.
    items : Items
        The items.

    Returns
    -------
    Neighbors
        Each row in the order (weighted distance, id), places without an item last.

    Raises
    ------
    KeyError
        If `neighbors` holds an id that is not among the items.
    """
    ordered, distances = neighbors.ids.copy(), neighbors.distances.copy()
    for row, row_values in enumerate(values):
        row_ids = ordered[row]
        weighted = np.full(len(row_ids), np.inf)  # places without an item come last
        present = row_ids != NO_ID
        items.check_known(row_ids[present], "neighbors")
        weighted[present] = weighted_distances(row_values, items.codes_of(row_ids[present]))
        order = np.lexsort((row_ids, weighted))
        ordered[row], distances[row] = row_ids[order], distances[row, order]
    return Neighbors(ordered, distances)
