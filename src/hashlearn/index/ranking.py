"""Other distances for items that were found: by real-valued queries, or by shared ones."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hashlearn.index.items import Items
from hashlearn.index.weighted import as_whole, weighted_sums
from hashlearn.results import NO_ID, Neighbors


def candidates_for(k: int) -> int:
    """Choose how many of the nearest codes another distance orders anew.

    Parameters
    ----------
    k : int
        How many items are wanted.

    Returns
    -------
    int
        Ten for each, a hundred at least.

    Examples
    --------
    >>> candidates_for(5), candidates_for(50)
    (100, 500)
    """
    return max(10 * k, 100)


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
        Weighted distances: exact sums of values that were rounded to whole numbers times a power of
        two, ``2**-e`` with the largest `e` for which all of them add up to less than 2**31. They
        differ from sums of the values as they were by ``n_bits * 2**-e / 2`` at most.

    Examples
    --------
    >>> weighted_distances(np.array([0.5, -2.0]), np.array([[0b01], [0b10]], dtype=np.uint8))
    array([0. , 2.5])
    """
    whole, exponents = as_whole(values[None])
    distances: NDArray[np.float64] = np.ldexp(
        weighted_sums(whole[0], codes).astype(np.float64), -exponents[0]
    )
    return distances


def spherical_distances(query: NDArray[np.uint8], codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Divide the number of bits that differ by the number of ones that two codes share.

    Parameters
    ----------
    query : ndarray of shape (ceil(n_bits / 8),), uint8
        One packed code.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.

    Returns
    -------
    ndarray of shape (n,), float64
        Spherical Hamming distances; infinite where no ones are shared. Equal fractions are equal
        numbers: a quotient of such small whole numbers is rounded the same way.

    Examples
    --------
    >>> spherical_distances(np.array([3], np.uint8), np.array([[1], [3], [4]], np.uint8))
    array([ 1.,  0., inf])
    """
    differing = np.bitwise_count(codes ^ query).sum(axis=1, dtype=np.int64)
    shared = np.bitwise_count(codes & query).sum(axis=1, dtype=np.int64)
    return spherical_quotients(differing, shared)


def spherical_quotients(
    differing: NDArray[np.int64], shared: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Divide numbers of bits that differ by numbers of ones that are shared.

    Parameters
    ----------
    differing : ndarray of shape (...), int64
        Bits that differ.
    shared : ndarray of shape (...), int64
        Ones in both codes; the two are broadcast.

    Returns
    -------
    ndarray of shape (...), float64
        Spherical Hamming distances; infinite where no ones are shared, also between equal codes.

    Examples
    --------
    >>> spherical_quotients(np.array([2, 4, 0]), np.array([1, 2, 0]))
    array([ 2.,  2., inf])
    """
    distances = np.full(np.broadcast_shapes(differing.shape, shared.shape), np.inf)
    np.divide(differing, shared, out=distances, where=shared > 0)
    return distances


def order_by(
    neighbors: Neighbors,
    items: Items,
    distances_of: Callable[[int, NDArray[np.uint8]], NDArray[np.float64]],
) -> Neighbors:
    """Order found items by another distance.

    Parameters
    ----------
    neighbors : Neighbors
        What was found.
    items : Items
        The items.
    distances_of : callable
        Gives the distances, float64 (m,), of query number ``row`` to codes, uint8 (m, n_bytes).

    Returns
    -------
    Neighbors
        Each row in the order (that distance, id), places without an item last.

    Raises
    ------
    KeyError
        If `neighbors` holds an id that is not among the items.
    """
    ids, distances = neighbors.ids.copy(), neighbors.distances.copy()
    for row, row_ids in enumerate(neighbors.ids):
        is_empty = row_ids == NO_ID
        found = row_ids[~is_empty]
        items.check_known(found, "neighbors")
        other = np.zeros(len(row_ids))
        other[~is_empty] = distances_of(row, items.codes_of(found))
        order = np.lexsort((row_ids, other, is_empty))
        ids[row], distances[row] = row_ids[order], distances[row, order]
    return Neighbors(ids, distances)
