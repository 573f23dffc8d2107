"""Sets of positions: one bit each."""

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.uint64]
"""Bit ``i % 64`` of word ``i // 64`` tells whether position ``i`` is in the set."""


def as_bitmap(marks: NDArray[np.bool_]) -> Bitmap:
    """Pack marks.

    Parameters
    ----------
    marks : ndarray of shape (n,), bool
        Whether each position is in the set.

    Returns
    -------
    ndarray of shape (ceil(n / 64),), uint64
        The set.

    Examples
    --------
    >>> as_bitmap(np.array([True, False, True]))
    array([5], dtype=uint64)
    """
    words = np.zeros(-(-len(marks) // 64), dtype="<u8")
    words.view(np.uint8)[: -(-len(marks) // 8)] = np.packbits(marks, bitorder="little")
    return words


def as_marks(bitmap: Bitmap, n: int) -> NDArray[np.bool_]:
    """Unpack a set.

    Parameters
    ----------
    bitmap : ndarray of shape (ceil(n / 64),), uint64
        The set.
    n : int
        Number of positions.

    Returns
    -------
    ndarray of shape (n,), bool
        Whether each position is in the set.

    Examples
    --------
    >>> as_marks(np.array([5], dtype=np.uint64), 3)
    array([ True, False,  True])
    """
    return np.unpackbits(bitmap.view(np.uint8), count=n, bitorder="little").view(np.bool_)


def count_marks(bitmap: Bitmap) -> int:
    """Count the positions in a set.

    Parameters
    ----------
    bitmap : ndarray of shape (m,), uint64
        The set.

    Returns
    -------
    int
        Their number.

    Examples
    --------
    >>> count_marks(np.array([5], dtype=np.uint64))
    2
    """
    return int(np.bitwise_count(bitmap).sum(dtype=np.int64))


def is_marked(bitmap: Bitmap, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell which positions are in a set.

    Parameters
    ----------
    bitmap : ndarray of shape (m,), uint64
        The set.
    positions : ndarray of shape (q,), int64
        Positions.

    Returns
    -------
    ndarray of shape (q,), bool
        Whether each is in the set.

    Examples
    --------
    >>> is_marked(np.array([5], dtype=np.uint64), np.array([1, 2]))
    array([False,  True])
    """
    bits = bitmap[positions // 64] >> (positions % 64).astype(np.uint64)
    return (bits & np.uint64(1)).astype(np.bool_)


def unmark(bitmap: Bitmap, positions: NDArray[np.int64]) -> Bitmap:
    """Give a set without some positions.

    Parameters
    ----------
    bitmap : ndarray of shape (m,), uint64
        The set.
    positions : ndarray of shape (q,), int64
        Positions to leave out.

    Returns
    -------
    ndarray of shape (m,), uint64
        A copy without them.

    Examples
    --------
    >>> unmark(np.array([5], dtype=np.uint64), np.array([2]))
    array([1], dtype=uint64)
    """
    rest = bitmap.copy()
    gone = np.uint64(1) << (positions % 64).astype(np.uint64)
    np.bitwise_and.at(rest, positions // 64, ~gone)
    return rest
