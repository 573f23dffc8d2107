"""Codes under ids, as the stores take them: from an index, or from arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes
from hashlearn.index import HammingIndex
from hashlearn.index.ids import as_ids

Source = HammingIndex | ArrayLike


@dataclass(frozen=True)
class Coded:
    """Checked codes of shape (n, ceil(n_bits / 8)) and their distinct ids."""

    codes: NDArray[np.uint8]
    ids: NDArray[np.int64]
    n_bits: int

    @property
    def are_numbered(self) -> bool:
        """Whether the ids are 0, 1, 2 and so on, in this order."""
        return np.array_equal(self.ids, np.arange(len(self.ids)))


def coded(source: Source, ids: ArrayLike | None, n_bits: int | None) -> Coded:
    """Check what shall go into a store.

    Parameters
    ----------
    source : HammingIndex or array-like of shape (n, ceil(n_bits / 8)), uint8
        Index, or packed codes.
    ids : array-like of shape (n,), int, or None
        Ids of the codes; None numbers them from 0. An index brings its own.
    n_bits : int or None
        Length of a code; None takes all bits of the bytes. An index brings its own.

    Returns
    -------
    Coded
        Codes, ids and length.

    Raises
    ------
    TypeError
        If the codes are not uint8, or the ids or the length are not integer.
    ValueError
        If the codes have another shape than `n_bits` asks for, the ids are not as many, one of
        them is negative or repeated, or ids or another length come with an index.
    """
    if isinstance(source, HammingIndex):
        if ids is not None:
            raise ValueError("the index has ids of its own; leave ids out, or give its codes")
        if n_bits not in (None, source.n_bits):
            raise ValueError(f"the index has codes of {source.n_bits} bits, got n_bits={n_bits!r}")
        return Coded(source.codes, source.ids, source.n_bits)
    length = _all_bits(source) if n_bits is None else n_bits
    codes = check_codes(source, length)
    if ids is None:
        return Coded(codes, np.arange(len(codes), dtype=np.int64), int(length))
    given = as_ids(ids, "ids")
    if len(given) != len(codes):
        raise ValueError(f"codes and ids must be equally many, got {len(codes)} and {len(given)}")
    _check_distinct(given)
    return Coded(codes, given, int(length))


def indexed(codes: NDArray[np.uint8], ids: NDArray[Any], n_bits: int) -> HammingIndex:
    """Make an index of what a store holds, which may be ids that an index refuses."""
    index = HammingIndex(n_bits)
    index.add(codes, ids)
    return index


def _all_bits(codes: ArrayLike) -> int:
    shape = np.shape(codes)
    if len(shape) != 2 or not shape[1]:
        raise ValueError(f"packed codes must have the shape (n, n_bytes), got {shape}")
    return 8 * int(shape[1])


def _check_distinct(ids: NDArray[np.int64]) -> None:
    if len(ids) and ids.min() < 0:
        raise ValueError(f"ids must be 0 or more, got {ids.min()}")
    values, counts = np.unique(ids, return_counts=True)
    if len(repeated := values[counts > 1]):
        raise ValueError(f"ids must be distinct, got {repeated[0]} more than once")
