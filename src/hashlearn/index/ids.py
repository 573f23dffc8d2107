"""Ids of items: what may be one, and where it stands in a sorted array of ids."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_ID = 2**63 - 1
"""Largest id: ids are int64."""

_N_NAMED = 5


def as_ids(ids: ArrayLike, name: str) -> NDArray[np.int64]:
    """Check that something is a flat sequence of whole numbers that fit int64.

    Parameters
    ----------
    ids : array-like of shape (n,), int
        Ids in any order. An empty list is taken as no ids.
    name : str
        What the caller calls them, for the error.

    Returns
    -------
    ndarray of shape (n,), int64
        The ids.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If they are not flat, or one is above :data:`MAX_ID`.

    Examples
    --------
    >>> as_ids([3, 1], "ids")
    array([3, 1])
    """
    array = np.asarray(ids)
    if array.ndim != 1:
        raise ValueError(f"{name} must be flat, of the shape (n,), got the shape {array.shape}")
    if array.dtype.kind not in "iu" and not (isinstance(ids, list | tuple) and array.size == 0):
        raise TypeError(f"{name} must be integers from 0 to 2**63 - 1, got {array.dtype}")
    if array.dtype.kind == "u" and array.size and array.max() > MAX_ID:
        raise ValueError(f"{name} must be at most 2**63 - 1, got {array.max()}")
    return array.astype(np.int64, copy=False)


def are_known(wanted: NDArray[np.int64], known: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which ids are in a sorted array.

    Parameters
    ----------
    wanted : ndarray of shape (m,), int64
        Ids, in any order.
    known : ndarray of shape (n,), int64
        Ids, rising.

    Returns
    -------
    ndarray of shape (m,), bool
        Whether each wanted id is in `known`.

    Examples
    --------
    >>> are_known(np.array([7, 3]), np.array([2, 5, 7]))
    array([ True, False])
    """
    if len(known) == 0:
        return np.zeros(len(wanted), dtype=bool)
    positions = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: NDArray[np.bool_] = known[positions] == wanted
    return found


def positions_of(
    wanted: NDArray[np.int64], known: NDArray[np.int64], name: str
) -> NDArray[np.intp]:
    """Find ids in a sorted array.

    Parameters
    ----------
    wanted : ndarray of shape (m,), int64
        Ids to find, in any order.
    known : ndarray of shape (n,), int64
        Ids, rising.
    name : str
        What the caller calls the wanted ids, for the error.

    Returns
    -------
    ndarray of shape (m,), intp
        Position of each wanted id in `known`.

    Raises
    ------
    KeyError
        If any is not there; names some.

    Examples
    --------
    >>> positions_of(np.array([7, 2]), np.array([2, 5, 7]), "ids")
    array([2, 0])
    """
    is_known = are_known(wanted, known)
    if not is_known.all():
        raise KeyError(f"{name} holds ids that are not in the index: {some(wanted[~is_known])}")
    return np.searchsorted(known, wanted)


def some(ids: NDArray[np.int64]) -> str:
    """Name a few ids and count the rest.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        Ids.

    Returns
    -------
    str
        At most five ids, each once, smallest first.

    Examples
    --------
    >>> some(np.arange(7))
    '0, 1, 2, 3, 4 and 2 more'
    """
    distinct = np.unique(ids)
    text = ", ".join(str(number) for number in distinct[:_N_NAMED])
    rest = len(distinct) - _N_NAMED
    return f"{text} and {rest} more" if rest > 0 else text
