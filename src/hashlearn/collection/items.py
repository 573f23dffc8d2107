"""What a collection keeps, and what a search in it gives."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.codes import unpack_bits


class KeysTakenError(ValueError):
    """Says that keys are there already with other items.

    Parameters
    ----------
    message : str
        Which keys.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True, eq=False)
class Item:
    """Hold one item of a collection.

    Parameters
    ----------
    key : str
        Its name, which no other item has.
    source : str or None
        Where it comes from, such as the path of its file.
    caption : str or None
        What people read of it.
    label : str or None
        Its class.
    metadata : mapping of str to object
        Whatever else is known of it, as values that JSON can hold.
    code : ndarray of shape (ceil(n_bits / 8),), uint8
        Its packed code.
    """

    key: str
    source: str | None
    caption: str | None
    label: str | None
    metadata: Mapping[str, Any]
    code: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Content:
    """Hold what a collection has of an item itself.

    Parameters
    ----------
    type : str
        Media type: ``"image/png"``, ``"image/jpeg"``, ``"text/plain"``, or
        ``"application/octet-stream"`` for the float32 numbers of a vector, little-endian.
    data : bytes
        The image file, the text in UTF-8, or the numbers.
    is_whole : bool
        Whether this is all of the item; otherwise it is a small picture of it.
    in_file : bool, default=False
        Whether the file that the item's source names holds all of it.
    """

    type: str
    data: bytes
    is_whole: bool
    in_file: bool = False


@dataclass(frozen=True, eq=False)
class Hit:
    """Hold one item that a search found.

    Parameters
    ----------
    item : Item
        The item.
    distance : int
        Hamming distance of its code to that of the query, in bits.
    weighted_distance : float or None, default=None
        Sum of the query's absolute values before the sign over the bits that differ, if the search
        ranked by it.
    """

    item: Item
    distance: int
    weighted_distance: float | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """Hold what a search found.

    Parameters
    ----------
    code : ndarray of shape (ceil(n_bits / 8),), uint8
        Packed code of the query.
    n_bits : int
        Length of a code.
    hits : tuple of Hit
        Nearest first; of items at the same distance, the one first that was added first.
    index_seconds : float
        What the search in the index took, without filters, encoding and reading items.
    """

    code: NDArray[np.uint8]
    n_bits: int
    hits: tuple[Hit, ...]
    index_seconds: float

    def __len__(self) -> int:
        return len(self.hits)

    def differing_bits(self, item: Item) -> list[int]:
        """Tell in which bits an item differs from the query.

        Parameters
        ----------
        item : Item
            The item.

        Returns
        -------
        list of int
            Numbers of the bits, from 0, rising.
        """
        return differing_bits(self.code, item.code[None], self.n_bits)[0]


def differing_bits(
    code: NDArray[np.uint8], codes: NDArray[np.uint8], n_bits: int
) -> list[list[int]]:
    """Tell in which bits codes differ from one: of many at once sooner than one by one.

    Parameters
    ----------
    code : ndarray of shape (ceil(n_bits / 8),), uint8
        Packed code.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length.

    Returns
    -------
    list of list of int
        For each code numbers of the bits, from 0, rising.
    """
    rows, bits = np.nonzero(unpack_bits(codes ^ code, n_bits))
    ends = np.searchsorted(rows, np.arange(1, len(codes)))
    return [part.tolist() for part in np.split(bits, ends)]


@dataclass(frozen=True)
class Added:
    """Count what became of items that were to be added.

    Parameters
    ----------
    n_added : int
        Items that are new.
    n_known : int
        Items that were there already, the same in everything.
    """

    n_added: int
    n_known: int


@dataclass(frozen=True)
class Verification:
    """Tell what a check of a collection found.

    Parameters
    ----------
    n_items : int
        Items that the collection counts.
    n_readable : int
        Items of them that can be read, with codes, and are as they were written.
    problems : tuple of str
        What is wrong, each with the file that it is in. Empty if all is well.
    """

    n_items: int
    n_readable: int
    problems: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems
