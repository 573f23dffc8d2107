"""The index: packed codes under ids, searched exactly."""

import os
import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.codes import check_codes, n_bytes
from hashlearn.engine import available_threads
from hashlearn.index.ids import MAX_ID, as_ids, check_rising, shortened
from hashlearn.index.items import Items, saved_items
from hashlearn.index.limits import MAX_BITS, MAX_K, check_integer, check_threads
from hashlearn.index.ranking import order_by, spherical_distances, weighted_distances
from hashlearn.index.routes import Route, check_route, find_nearest, find_pairs, find_radius
from hashlearn.index.tables import SubstringTables, fewest_tables
from hashlearn.index.weighted import check_values, find_weighted
from hashlearn.results import Neighbors, Pairs, RadiusNeighbors
from hashlearn.storage import read_arrays, verify, write_arrays

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
    Results have the order (distance, id), whatever the order in which items were added, the route
    and the number of threads.

    A search measures every distance: its time grows with queries × items, and beside the codes and
    the results it holds a few megabytes a thread, or one row of distances where that is more.
    After :meth:`build_tables` it looks only where near codes can be, which pays from some million
    codes on.

    Ids that are consecutive take no memory. Adding ids above all present ones costs only the new
    items on average. What is added in between, or to tables or a mapped file, waits in a small
    tail, which is merged when it has grown to an eighth of the rest.

    Several threads may search, add and remove at once. A search sees the index as it was when the
    search began.

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
        self._items = Items(n_bytes(self._n_bits))
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, id_: object) -> bool:
        if not isinstance(id_, int | np.integer) or not 0 <= id_ <= MAX_ID:
            return False
        return bool(self._items.are_known(np.array([id_], dtype=np.int64))[0])

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
        """Codes in the order of `ids`: shape (n, ceil(n_bits / 8)), uint8, read-only.

        They are copied where some wait in a tail or were removed; otherwise not.
        """
        return self._items.codes

    @property
    def n_tables(self) -> int:
        """Number of tables; 0 before :meth:`build_tables`."""
        tables = self._items.tables
        return 0 if tables is None else len(tables.tables)

    @property
    def index_bytes(self) -> int:
        """Bytes that the ids, the codes and the tables take, room to grow not counted."""
        return sum(segment.nbytes for segment in self._items.segments)

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
            with self._changing:
                new_ids = self._items.take_next_ids(len(new_codes))
                self._items = self._items.added(new_ids, new_codes)
            return
        given = as_ids(ids, "ids")
        if len(given) != len(new_codes):
            raise ValueError(
                f"codes and ids must be equally many, got {len(new_codes)} and {len(given)}"
            )
        if not (given[1:] > given[:-1]).all():
            order = np.argsort(given, kind="stable")
            given, new_codes = given[order], new_codes[order]
        with self._changing:
            self._items.check_new(given)
            self._items = self._items.added(shortened(given), new_codes)

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
        gone = as_ids(ids, "ids")
        with self._changing:
            self._items.check_known(gone, "ids")
            self._items = self._items.removed(gone)

    def build_tables(self, n_tables: int | None = None, *, lean: bool = False) -> None:
        """Build tables that lead a search to near codes without looking at all.

        Searches then take whichever way costs less, by what earlier ones did. Later changes to the
        index keep the tables up to date.

        Parameters
        ----------
        n_tables : int, default=None
            Number of substrings that a code is cut into, each with a table: at least
            ``ceil(n_bits / 28)``, at most `n_bits`. None chooses it by what
            searches for some of the codes would cost.
        lean : bool, default=False
            Take 4 bytes for each code and table, and not the codes once more. Searches then take
            several times as long. Codes that were added in rising order, read as little-endian
            numbers, need nothing for the first table.

        Raises
        ------
        TypeError
            If `n_tables` is not an integer.
        ValueError
            If `n_tables` is out of range.

        Notes
        -----
        Multi-index hashing [1]_: exact, and faster than a scan from some million codes on, the
        more so the nearer the neighbours are. Without the compiled engine, or above 2**32 - 1
        codes, this does nothing and searches scan.

        References
        ----------
        .. [1] Norouzi, M., Punjani, A. and Fleet, D. J. (2012). Fast search in Hamming space with
           multi-index hashing. CVPR.

        Examples
        --------
        >>> index = HammingIndex(n_bits=8)
        >>> index.add(np.arange(256, dtype=np.uint8)[:, None])
        >>> index.build_tables()
        >>> index.search([[7]], k=3).ids
        array([[7, 3, 5]])
        """
        if n_tables is not None:
            check_integer(n_tables, "n_tables", fewest_tables(self._n_bits), self._n_bits)

        def build(codes: NDArray[np.uint8]) -> SubstringTables | None:
            return SubstringTables.build(codes, self._n_bits, n_tables, lean, self._n_threads())

        with self._changing:
            self._items = self._items.with_tables(build)

    def search(
        self,
        queries: ArrayLike,
        k: int,
        *,
        mask: ArrayLike | None = None,
        route: Route = "auto",
    ) -> Neighbors:
        """Find the `k` nearest items of each query.

        Parameters
        ----------
        queries : array-like of shape (q, ceil(n_bits / 8)), uint8
            Packed codes.
        k : int
            Number of items to return, 1 to 2**31 - 1. It may be larger than the index.
        mask : array-like of shape (n,), bool, or of shape (m,), int, default=None
            Items that may be returned: marks in the order of `ids`, or their ids. None allows all.
        route : {"auto", "scan", "tables"}, default="auto"
            Whether to measure all distances, to use the tables where there are any, or to decide by
            what searches cost so far. Results are the same.

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
            If `queries` has another length than the index, `k` is out of range, a boolean `mask`
            does not have one value for each item, or there is no such `route`.
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
        check_route(route)
        segments = self._items.restricted(mask)
        return find_nearest(segments, checked, k, self._n_bits, self._n_threads(), route)

    def search_radius(
        self,
        queries: ArrayLike,
        radius: int,
        *,
        mask: ArrayLike | None = None,
        route: Route = "auto",
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
        route : {"auto", "scan", "tables"}, default="auto"
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
            If `queries` has another length than the index, `radius` is out of range, a boolean
            `mask` does not have one value for each item, or there is no such `route`.
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
        check_route(route)
        segments = self._items.restricted(mask)
        return find_radius(segments, checked, radius, self._n_threads(), route)

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
        return find_pairs(self._items.whole, self._n_bits, radius, self._n_threads())

    def search_values(
        self, values: ArrayLike, k: int, *, mask: ArrayLike | None = None
    ) -> Neighbors:
        """Find the `k` nearest items of queries that were not yet rounded to bits.

        Parameters
        ----------
        values : array-like of shape (q, n_bits), real
            Values before the sign, as ``Hasher.project`` gives them; their bits are
            ``values >= 0``.
        k : int
            Number of items to return, 1 to 2**31 - 1. It may be larger than the index.
        mask : array-like of shape (n,), bool, or of shape (m,), int, default=None
            As in :meth:`search`.

        Returns
        -------
        Neighbors
            Ids of shape (q, k) in the order (weighted distance, id), and their Hamming distances,
            which are therefore not sorted. Where there were fewer than `k` items: id -1 and
            distance ``n_bits + 1``.

        Raises
        ------
        TypeError
            If `values` is not real, or `k` is not an integer, or `mask` is neither boolean nor
            integer.
        ValueError
            If `values` has another length than the index, or holds NaN or infinity, `k` is out of
            range, or a boolean `mask` does not have one value for each item.
        KeyError
            If `mask` holds an id that is not in the index.

        Notes
        -----
        All items are looked at. What is found is what :meth:`rerank`, where the weighted distance
        is defined, would put first of all of them; a shortlist of :meth:`search` costs less, but
        may miss some of it.

        Examples
        --------
        >>> index = HammingIndex(n_bits=2)
        >>> index.add([[0b10], [0b01]])
        >>> found = index.search_values([[2.0, 0.1]], k=1)
        >>> found.ids, found.distances
        (array([[1]]), array([[1]], dtype=int32))
        """
        checked = check_values(values, self._n_bits)
        k = check_integer(k, "k", 1, MAX_K)
        segments = self._items.restricted(mask)
        return find_weighted(segments, checked, k, self._n_bits, self._n_threads())

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
        differs from the query: a bit that was nearly the other one costs little. Values are rounded
        to whole numbers times a power of two, so that sums are exact: all absolute values of a
        query add up to less than 2**31 of its units, and to at least nearly half of that.

        Examples
        --------
        >>> index = HammingIndex(n_bits=2)
        >>> index.add([[0b10], [0b01]])
        >>> found = index.search([[0b11]], k=2)
        >>> index.rerank([[2.0, 0.1]], found).ids
        array([[1, 0]])
        """
        checked = check_values(values, self._n_bits)
        self._check_neighbors(neighbors, len(checked), "values")
        return order_by(
            neighbors, self._items, lambda row, codes: weighted_distances(checked[row], codes)
        )

    def rerank_spherical(self, queries: ArrayLike, neighbors: Neighbors) -> Neighbors:
        """Order found items by their spherical Hamming distance.

        Parameters
        ----------
        queries : array-like of shape (q, ceil(n_bits / 8)), uint8
            Packed codes.
        neighbors : Neighbors
            What :meth:`search` found for the same queries.

        Returns
        -------
        Neighbors
            The same ids and their Hamming distances, each row in the order (spherical distance,
            id); places without an item stay last. The Hamming distances are therefore not sorted.

        Raises
        ------
        TypeError
            If `queries` is not uint8 or `neighbors` is not :class:`~hashlearn.results.Neighbors`.
        ValueError
            If `queries` has another length than the index, or another number than `neighbors`.
        KeyError
            If `neighbors` holds an id that is not in the index.

        Notes
        -----
        The spherical Hamming distance [1]_ is the number of bits that differ, divided by the number
        of bits that are 1 in both codes; without such bits it is infinite. With hyperspheres for
        bits, a common 1 says more than a common 0.

        References
        ----------
        .. [1] Heo, J.-P., Lee, Y., He, J., Chang, S.-F. and Yoon, S.-E. (2012). Spherical hashing.
           CVPR.

        Examples
        --------
        >>> index = HammingIndex(n_bits=4)
        >>> index.add([[0b0000], [0b1111]])
        >>> found = index.search([[0b0001]], k=2)
        >>> found.ids, index.rerank_spherical([[0b0001]], found).ids
        (array([[0, 1]]), array([[1, 0]]))
        """
        checked = check_codes(queries, self._n_bits)
        self._check_neighbors(neighbors, len(checked), "queries")
        return order_by(
            neighbors, self._items, lambda row, codes: spherical_distances(checked[row], codes)
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, atomically, tables included.

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
        items = self._items
        whole = items.whole
        tables = whole.tables
        if tables is None and items.build is not None:  # something waited in a tail or was removed
            tables = items.build(whole.codes)
        header: dict[str, Any] = {"n_bits": self._n_bits, "next_id": items.next_id}
        arrays: dict[str, NDArray[Any]] = {"codes": whole.codes}
        if isinstance(whole.ids, range):
            header["first_id"] = whole.ids.start
        else:
            arrays["ids"] = whole.ids
        if tables is not None:
            header["tables"] = tables.header()
            arrays |= tables.arrays()
        write_arrays(path, _KIND, header, arrays)

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
            Map the arrays from the file, read-only: opening takes no time, and what is not searched
            is not read. False reads and checks them at once.
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
        A mapped file stays as it is: what is added later is kept in memory, what is removed is
        only marked, until so much has changed that all is copied. It may be opened by several
        processes, replaced and deleted, but must not be written to. What mapped arrays hold is not
        checked, as that would read them: see :meth:`verify`.

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
            codes = arrays["codes"]
            check_codes(codes[:0] if mmap and codes.ndim else codes, index.n_bits)
            tables = None
            if "tables" in header:
                tables = SubstringTables.from_file(
                    codes, index.n_bits, header["tables"], arrays, index._n_threads()
                )
            index._items = saved_items(
                arrays.get("ids"), codes, header["next_id"], header.get("first_id"), tables,
                check_ids=not mmap,
            )  # fmt: skip
        except KeyError as error:
            raise ValueError(f"{path} is not a valid index: it has no {error}") from error
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a valid index: {error}") from error
        return index

    @classmethod
    def verify(cls, path: str | os.PathLike[str]) -> None:
        """Check everything in a saved index.

        Parameters
        ----------
        path : path-like
            File of :meth:`save`.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is not an index, or is truncated, damaged, inconsistent, or of another
            format.

        Notes
        -----
        It reads the whole file twice, without holding the codes in memory.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "codes.index"
        >>> HammingIndex(n_bits=8).save(path)
        >>> HammingIndex.verify(path)
        """
        verify(path, _KIND)
        index = cls.open(path)
        if len(index):
            (segment,) = index._items.segments
            try:
                check_codes(segment.codes, index.n_bits)
                check_rising(segment.ids)
            except ValueError as error:
                raise ValueError(f"{path} is not a valid index: {error}") from error

    def _check_neighbors(self, neighbors: object, n_queries: int, name: str) -> None:
        if not isinstance(neighbors, Neighbors):
            raise TypeError(f"neighbors must be Neighbors, got {type(neighbors).__name__}")
        if n_queries != len(neighbors):
            raise ValueError(
                f"{name} and neighbors must be of the same queries, got {n_queries} and "
                f"{len(neighbors)}"
            )

    def _n_threads(self) -> int:
        return available_threads() if self._threads is None else self._threads
