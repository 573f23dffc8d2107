"""The index: packed codes under ids, searched exactly."""

import os
from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes, n_bytes
from hashlearn.index.ids import MAX_ID, are_known, as_ids
from hashlearn.index.items import Items, saved_items
from hashlearn.index.limits import MAX_BITS, MAX_K, check_integer, check_threads
from hashlearn.index.ranking import check_values, order_by_weight
from hashlearn.index.scan import available_threads, scan_nearest, scan_pairs, scan_radius
from hashlearn.results import Neighbors, Pairs, RadiusNeighbors
from hashlearn.storage import read_arrays, write_arrays

_KIND = "index"


class HammingIndex:
    """Keep packed codes under ids and find the nearest ones exactly.

    Parameters
    ----------
    n_bits : int
        Length of a code, 1 to 65,528.
    threads : int or None, default=None
        Number of threads for a search, 1 to 1024; None takes every processor that the process
        may use. Results are the same for any number.

    Raises
    ------
    TypeError
        If `n_bits` or `threads` is not an integer.
    ValueError
        If `n_bits` or `threads` is out of range.

    Notes
    -----
    Results have the order (distance, id), whatever the order in which items were added.

    A search measures every distance: time grows with queries × items, and beside the codes and
    the results it holds a few megabytes a thread, or one row of distances where that is more.
    Adding ids above all present ones costs only the new items on average; ids in between, and
    removing, copy the index once.

    Several threads may search one index at once. Adding and removing are not safe beside anything
    else: protect them with a lock.

    Examples
    --------
    >>> index = HammingIndex(n_bits=4)
    >>> index.add([[0b0000], [0b0001], [0b1111]])
    >>> found = index.search([[0b0011]], k=2)
    >>> found.ids, found.distances
    (array([[1, 0]]), array([[1, 2]], dtype=int32))
    """

    def __init__(self, n_bits: int, threads: int | None = None) -> None:
        self._n_bits = check_integer(n_bits, "n_bits", 1, MAX_BITS)
        self._threads = check_threads(threads)
        no_codes = np.empty((0, n_bytes(n_bits)), dtype=np.uint8)
        self._items = Items(np.empty(0, dtype=np.int64), no_codes, next_id=0)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, id_: object) -> bool:
        if not isinstance(id_, int | np.integer) or not 0 <= id_ <= MAX_ID:
            return False
        return bool(are_known(np.array([id_], dtype=np.int64), self.ids)[0])

    def __repr__(self) -> str:
        return f"<HammingIndex of {len(self)} codes of {self._n_bits} bits>"

    @property
    def n_bits(self) -> int:
        """Length of a code."""
        return self._n_bits

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids of the items, rising: shape (n,), int64, read-only."""
        return self._items.ids

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Codes in the order of `ids`: shape (n, ceil(n_bits / 8)), uint8, read-only."""
        return self._items.codes

    @property
    def index_bytes(self) -> int:
        """Bytes that the ids and the codes take, room to grow not counted."""
        return self.ids.nbytes + self.codes.nbytes

    def add(self, codes: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Add items.

        Parameters
        ----------
        codes : array-like of shape (n, ceil(n_bits / 8)), uint8
            Packed codes.
        ids : array-like of shape (n,), int, default=None
            Their ids, in any order: distinct, new to the index, 0 to 2**63 - 1. None takes the
            next integers above the largest id that the index ever had, so that the id of a removed
            item is not given to another one.

        Raises
        ------
        TypeError
            If `codes` is not uint8 or `ids` is not integer.
        ValueError
            If `codes` has another length than the index, or `ids` another length than `codes`, or
            an id is negative, repeated or already present. Nothing is added then.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[1], [2]], ids=[20, 10])
        >>> index.add([[3]])
        >>> index.ids
        array([10, 20, 21])
        """
        new_codes = check_codes(codes, self._n_bits)
        if ids is None:
            self._items.add(self._items.take_next_ids(len(new_codes)), new_codes)
            return
        new_ids = as_ids(ids, "ids")
        if len(new_ids) != len(new_codes):
            raise ValueError(
                f"codes and ids must be equally many, got {len(new_codes)} and {len(new_ids)}"
            )
        order = np.argsort(new_ids, kind="stable")
        self._items.check_new(new_ids[order])
        self._items.add(new_ids[order], new_codes[order])

    def remove(self, ids: ArrayLike) -> None:
        """Remove items.

        Parameters
        ----------
        ids : array-like of shape (m,), int
            Their ids, in any order; one that is repeated counts once.

        Raises
        ------
        TypeError
            If `ids` is not integer.
        ValueError
            If `ids` is not flat.
        KeyError
            If any is not in the index. Nothing is removed then.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[1], [2], [3]])
        >>> index.remove([1])
        >>> index.ids
        array([0, 2])
        """
        self._items.remove(ids)

    def search(self, queries: ArrayLike, k: int, *, mask: ArrayLike | None = None) -> Neighbors:
        """Find the `k` nearest items of each query.

        Parameters
        ----------
        queries : array-like of shape (q, ceil(n_bits / 8)), uint8
            Packed codes.
        k : int
            Number of items to return, 1 to 2**31 - 1. It may be larger than the index.
        mask : array-like of shape (n,), bool, or of shape (m,), int, default=None
            Items that may be returned: marks in the order of `ids`, or their ids. None allows all.

        Returns
        -------
        Neighbors
            Ids and distances of shape (q, k) in the order (distance, id). Where there were fewer
            than `k` items: id -1 and distance ``n_bits + 1``.

        Raises
        ------
        TypeError
            If `queries` is not uint8, or `k` is not an integer, or `mask` is neither boolean nor
            integer.
        ValueError
            If `queries` has another length than the index, `k` is out of range, or a boolean
            `mask` does not have one value for each item.
        KeyError
            If `mask` holds an id that is not in the index.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[0], [1], [3]])
        >>> index.search([[0]], k=3, mask=[2, 1]).ids
        array([[ 1,  2, -1]])
        """
        checked = check_codes(queries, self._n_bits)
        k = check_integer(k, "k", 1, MAX_K)
        ids, codes = self._items.allowed(mask)
        return scan_nearest(checked, codes, ids, k, self._n_bits, self._n_threads())

    def search_radius(
        self, queries: ArrayLike, radius: int, *, mask: ArrayLike | None = None
    ) -> RadiusNeighbors:
        """Find every item within a distance of each query.

        Parameters
        ----------
        queries : array-like of shape (q, ceil(n_bits / 8)), uint8
            Packed codes.
        radius : int
            Largest distance in bits, itself included, 0 to `n_bits`.
        mask : array-like of shape (n,), bool, or of shape (m,), int, default=None
            As in :meth:`search`.

        Returns
        -------
        RadiusNeighbors
            Ids and distances, for each query in the order (distance, id).

        Raises
        ------
        TypeError
            If `queries` is not uint8, or `radius` is not an integer, or `mask` is neither boolean
            nor integer.
        ValueError
            If `queries` has another length than the index, `radius` is out of range, or a boolean
            `mask` does not have one value for each item.
        KeyError
            If `mask` holds an id that is not in the index.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[0], [1], [3]])
        >>> [ids.tolist() for ids, distances in index.search_radius([[0], [7]], radius=1)]
        [[0, 1], [2]]
        """
        checked = check_codes(queries, self._n_bits)
        radius = check_integer(radius, "radius", 0, self._n_bits)
        ids, codes = self._items.allowed(mask)
        return scan_radius(checked, codes, ids, radius, self._n_threads())

    def pairs_within(self, radius: int) -> Iterator[Pairs]:
        """Find all pairs of items that are near each other: duplicates and near-duplicates.

        Parameters
        ----------
        radius : int
            Largest distance in bits, itself included, 0 to `n_bits`.

        Returns
        -------
        iterator of Pairs
            Some pairs at a time, by rising first id; every pair once. Parts without a pair are
            left out.

        Raises
        ------
        TypeError
            If `radius` is not an integer.
        ValueError
            If `radius` is out of range.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[0], [7], [1], [7]])
        >>> [(near.first_ids.tolist(), near.second_ids.tolist()) for near in index.pairs_within(1)]
        [([0, 1], [2, 3])]
        """
        radius = check_integer(radius, "radius", 0, self._n_bits)
        return scan_pairs(self.codes, self.ids, radius, self._n_threads())

    def rerank(self, values: ArrayLike, neighbors: Neighbors) -> Neighbors:
        """Order found items by their distance to queries that were not yet rounded to bits.

        Parameters
        ----------
        values : array-like of shape (q, n_bits), real
            Values before the sign, as ``Hasher.project`` gives them; their bits are
            ``values >= 0``.
        neighbors : Neighbors
            What :meth:`search` found for the same queries.

        Returns
        -------
        Neighbors
            The same ids and their Hamming distances, each row in the order (weighted distance,
            id); places without an item stay last. The Hamming distances are therefore not sorted.

        Raises
        ------
        TypeError
            If `values` is not real or `neighbors` is not :class:`~hashlearn.results.Neighbors`.
        ValueError
            If `values` has another shape than the index and `neighbors` ask for, or holds NaN or
            infinity.
        KeyError
            If `neighbors` holds an id that is not in the index.

        Notes
        -----
        The weighted distance is the sum of ``abs(value)`` over the bits in which the stored code
        differs from the query: a bit that was nearly the other one costs little. Sums are taken in
        float64.

        Examples
        --------
        >>> index = HammingIndex(n_bits=2)
        >>> index.add([[0b10], [0b01]])
        >>> found = index.search([[0b11]], k=2)
        >>> index.rerank([[2.0, 0.1]], found).ids
        array([[1, 0]])
        """
        if not isinstance(neighbors, Neighbors):
            raise TypeError(f"neighbors must be Neighbors, got {type(neighbors).__name__}")
        checked = check_values(values, self._n_bits)
        if len(checked) != len(neighbors):
            raise ValueError(
                f"values and neighbors must be of the same queries, got {len(checked)} and "
                f"{len(neighbors)}"
            )
        return order_by_weight(checked, neighbors, self.ids, self.codes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, atomically.

        Parameters
        ----------
        path : path-like
            File to create or replace. Its folder must exist.

        Raises
        ------
        FileNotFoundError
            If the folder of `path` does not exist.
        IsADirectoryError
            If `path` is a folder.
        """
        header = {"n_bits": self._n_bits, "next_id": self._items.next_id}
        write_arrays(path, _KIND, header, {"ids": self.ids, "codes": self.codes})

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], mmap: bool = True, threads: int | None = None
    ) -> Self:
        """Open a saved index.

        Parameters
        ----------
        path : path-like
            File of :meth:`save`.
        mmap : bool, default=True
            Map the arrays from the file, read-only, until the first change copies them into
            memory. False reads them at once.
        threads : int or None, default=None
            As in the constructor; it is not saved.

        Returns
        -------
        HammingIndex
            The index as it was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not an index, or is truncated, damaged, inconsistent, or of another
            format.

        Notes
        -----
        The checksums of ids and codes are compared where they are read, not where they are mapped;
        :func:`hashlearn.storage.verify` compares those of any file.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "codes.index"
        >>> index = HammingIndex(n_bits=8)
        >>> index.add([[1], [2]])
        >>> index.save(path)
        >>> HammingIndex.open(path)
        <HammingIndex of 2 codes of 8 bits>
        """
        threads = check_threads(threads)
        header, arrays = read_arrays(path, _KIND, mmap=mmap)
        try:
            index = cls(header["n_bits"], threads)
            codes = check_codes(arrays["codes"], index.n_bits)
            index._items = saved_items(arrays["ids"], codes, header["next_id"])
        except KeyError as error:
            raise ValueError(f"{path} is not a valid index: it has no {error}") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a valid index: {error}") from error
        return index

    def _n_threads(self) -> int:
        return available_threads() if self._threads is None else self._threads
