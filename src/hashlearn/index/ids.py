"""Ids of items: what may be one, and where it stands in a sorted array of ids."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

MAX_ID = 2**63 - 1
"""Largest id: ids are int64."""

SortedIds = NDArray[np.int64] | range
"""Rising ids. Consecutive ones, which most are, take no memory as a range."""

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


def as_array(ids: SortedIds) -> NDArray[np.int64]:
    """Write ids out.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, or range
        Rising ids.

    Returns
    -------
    ndarray of shape (n,), int64
        The same ids; read-only where they were an array.

    Examples
    --------
    >>> as_array(range(3, 5))
    array([3, 4])
    """
    if isinstance(ids, range):
        # arange cannot stop at 2**63.
        return np.arange(len(ids), dtype=np.int64) + (ids.start if len(ids) else 0)
    view = ids.view(np.ndarray)
    view.flags.writeable = False
    return view


def shortened(ids: NDArray[np.int64]) -> SortedIds:
    """Keep consecutive ids as a range.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        Rising ids.

    Returns
    -------
    ndarray of shape (n,), int64, or range
        The same ids.

    Examples
    --------
    >>> shortened(np.array([3, 4])), shortened(np.array([3, 5]))
    (range(3, 5), array([3, 5]))
    """
    if len(ids) == 0:
        return range(0)
    first, last = int(ids[0]), int(ids[-1])
    return range(first, last + 1) if last - first == len(ids) - 1 else ids


def check_rising(ids: SortedIds) -> None:
    """Check ids that come from a file.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, or range
        Ids.

    Raises
    ------
    ValueError
        If they do not rise, or one is negative.

    Examples
    --------
    >>> check_rising(np.array([3, 5]))
    """
    if isinstance(ids, np.ndarray) and ((ids[:1] < 0).any() or not (ids[1:] > ids[:-1]).all()):
        raise ValueError("ids must be 0 or more, and rising")


def take(ids: SortedIds, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the ids at some positions.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, or range
        Rising ids.
    positions : ndarray of shape (...), int64
        Positions in them.

    Returns
    -------
    ndarray of shape (...), int64
        Their ids; `positions` itself where they are the same.

    Examples
    --------
    >>> take(range(10, 13), np.array([2, 0]))
    array([12, 10])
    """
    if isinstance(ids, range):
        return positions if not len(ids) or ids.start == 0 else positions + ids.start
    found: NDArray[np.int64] = ids[positions]
    return found


def are_known(wanted: NDArray[np.int64], known: SortedIds) -> NDArray[np.bool_]:
    """Tell which ids are among others.

    Parameters
    ----------
    wanted : ndarray of shape (m,), int64
        Ids, in any order.
    known : ndarray of shape (n,), int64, or range
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
    if isinstance(known, range):
        inside: NDArray[np.bool_] = (wanted >= known.start) & (wanted <= known[-1])
        return inside
    positions = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    found: NDArray[np.bool_] = known[positions] == wanted
    return found


def positions_of(wanted: NDArray[np.int64], known: SortedIds) -> NDArray[np.int64]:
    """Find ids among others.

    Parameters
    ----------
    wanted : ndarray of shape (m,), int64
        Ids to find, in any order; all must be known.
    known : ndarray of shape (n,), int64, or range
        Ids, rising.

    Returns
    -------
    ndarray of shape (m,), int64
        Position of each wanted id in `known`.

    Examples
    --------
    >>> positions_of(np.array([7, 2]), np.array([2, 5, 7]))
    array([2, 0])
    """
    if isinstance(known, range):
        return wanted - known.start if len(known) else wanted
    return np.searchsorted(known, wanted).astype(np.int64, copy=False)


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
