"""Multi-index hashing: tables from substrings of codes to the codes that hold them.

References
----------
Norouzi, M., Punjani, A. and Fleet, D. J. (2012). Fast search in Hamming space with multi-index
hashing. CVPR.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashlearn.engine import choose_kernel, native
from hashlearn.index.bitmaps import Bitmap
from hashlearn.index.scan import scan_nearest

MAX_CODES = 2**32 - 1
"""Tables hold positions as uint32."""

_MAX_SUBSTRING = 28
"""Bits of the longest substring: its table begins with 2**28 starts, 1 GB."""

_SAMPLE_QUERIES, _SAMPLE_CODES = 64, 10_000
"""Codes that are looked at to choose a number of tables."""

_VALUE_COST = 30.0
"""Nanoseconds to look up one value of a substring: two places of memory, asked for in advance."""

_CODE_COST = 0.7
"""Nanoseconds to read one word of a code in its bucket."""

_FETCH_COST = 4.0
"""Nanoseconds to fetch one code that the bucket only refers to."""

_HIT_COST = 250.0
"""Nanoseconds for each of the k nearest: some six times as many are taken on the way."""


class Table(NamedTuple):
    """Codes by the value of one substring: those with value v are starts[v] to starts[v + 1].

    Parameters
    ----------
    first_bit : int
        Where the substring begins.
    starts : ndarray of shape (2 ** n_bits + 1,), uint32
        Where the entries of each value begin.
    positions : ndarray of shape (n,), uint32, or None
        Positions of the codes; None: the codes lie in this order themselves.
    words : ndarray of shape (n, n_words), uint64, or None
        The codes; None: they are looked up by position.
    """

    first_bit: int
    starts: NDArray[np.uint32]
    positions: NDArray[np.uint32] | None
    words: NDArray[np.uint64] | None

    @property
    def n_bits(self) -> int:
        """Length of the substring."""
        return (len(self.starts) - 1).bit_length() - 1


@dataclass(frozen=True, eq=False)
class SubstringTables:
    """Tables over some codes that find near ones without looking at all.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        The codes.
    n_bits : int
        Length of a code.
    tables : tuple of Table
        One a substring.
    n_tables : int or None
        Number of tables that was asked for; None leaves it to the codes.
    lean : bool
        Whether the tables hold positions alone, and not the codes beside them.
    threads : int
        Threads to build with.
    seen : dict
        What searches cost so far, by kind of search: mean costs, and for how many more searches
        they are believed. It decides between routes only, never what is found.

    Notes
    -----
    If two codes differ in at most ``r = m * p + a`` bits (``a < m``), they differ in at most `p`
    bits of one of the substrings 0 to `a`, or in at most ``p - 1`` of another. So the values within
    these distances of the query's substrings lead to all codes within `r` bits, and `r` grows
    until enough are found.

    If the values of the first substring rise with the positions, as they do when the codes were
    sorted as little-endian numbers, then the codes themselves are its table.
    """

    codes: NDArray[np.uint8]
    n_bits: int
    tables: tuple[Table, ...]
    n_tables: int | None
    lean: bool
    threads: int
    seen: dict[tuple[int, bool], tuple[float, int]] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        codes: NDArray[np.uint8],
        n_bits: int,
        n_tables: int | None = None,
        lean: bool = False,
        threads: int = 1,
    ) -> "SubstringTables | None":
        """Make tables of codes.

        Parameters
        ----------
        codes : ndarray of shape (n, n_bytes), uint8
            Packed codes, C-contiguous.
        n_bits : int
            Length of a code.
        n_tables : int, default=None
            Number of tables; None chooses it by some of the codes.
        lean : bool, default=False
            Keep positions alone, and not the codes beside them.
        threads : int, default=1
            Number of threads.

        Returns
        -------
        SubstringTables or None
            None where nothing can be gained or done: no codes, too many, or no compiled engine.
        """
        if native is None or not 0 < len(codes) <= MAX_CODES:
            return None
        tables, end = [], n_bits
        n_wanted = n_tables or choose_n_tables(codes, n_bits, lean=lean, threads=threads)
        for length in substring_lengths(n_bits, n_wanted):
            end -= length
            tables.append(_build_table(codes, end, length, lean, threads))
        return cls(codes, n_bits, tuple(tables), n_tables, lean, threads)

    def rebuilt(self, codes: NDArray[np.uint8]) -> "SubstringTables | None":
        """Make tables of other codes in the same way.

        Parameters
        ----------
        codes : ndarray of shape (n, n_bytes), uint8
            Packed codes, C-contiguous.

        Returns
        -------
        SubstringTables or None
            As from :meth:`build`.
        """
        return self.build(codes, self.n_bits, self.n_tables, self.lean, self.threads)

    @property
    def nbytes(self) -> int:
        """Bytes that the tables take beside the codes."""
        return sum(array.nbytes for array in self.arrays().values())

    def nearest(
        self,
        queries: NDArray[np.uint8],
        k: int,
        allowed: Bitmap | None,
        budget: float,
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
        """Find the `k` nearest codes of each query, if that is cheap enough.

        Parameters
        ----------
        queries : ndarray of shape (q, n_bytes), uint8
            Packed codes, C-contiguous.
        k : int
            Number of codes, at most as many as are allowed.
        allowed : ndarray of shape (ceil(n / 64),), uint64, or None
            Bitmap of the positions that may be returned.
        budget : float
            Costs in nanoseconds, roughly, at which a query gives up.
        threads : int
            Number of threads.

        Returns
        -------
        positions : ndarray of shape (q, k), int64
            Positions in the order (distance, position); 0 for a query that gave up.
        distances : ndarray of shape (q, k), int32
            Their distances.
        spent : ndarray of shape (q,), float64
            Costs of each query; -1 for one that gave up.
        """
        positions = np.zeros((len(queries), k), dtype=np.int64)
        distances = np.zeros((len(queries), k), dtype=np.int32)
        spent = np.empty(len(queries))
        native.find_nearest(
            queries, self.codes, list(self.tables), allowed,
            (*self._costs(), budget - k * _HIT_COST), positions, distances, spent, threads,
            choose_kernel(),
        )  # fmt: skip
        spent[spent >= 0] += k * _HIT_COST
        return positions, distances, spent

    def radius(
        self, queries: NDArray[np.uint8], radius: int, allowed: Bitmap | None, threads: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
        """Find all codes within a distance of each query.

        Parameters
        ----------
        queries : ndarray of shape (q, n_bytes), uint8
            Packed codes, C-contiguous.
        radius : int
            Largest distance, itself included.
        allowed : ndarray of shape (ceil(n / 64),), uint64, or None
            Bitmap of the positions that may be returned.
        threads : int
            Number of threads.

        Returns
        -------
        positions : ndarray of shape (m,), int64
            Positions, for each query in the order (distance, position).
        distances : ndarray of shape (m,), int32
            Their distances.
        offsets : ndarray of shape (q + 1,), int64
            Where those of each query begin.
        """
        found: tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]] = native.find_radius(
            queries, self.codes, list(self.tables), allowed, radius, threads, choose_kernel()
        )
        return found

    def radius_cost(self, radius: int) -> float:
        """Estimate the costs of finding all codes within a distance of a query.

        Parameters
        ----------
        radius : int
            Largest distance, itself included.

        Returns
        -------
        float
            Nanoseconds, roughly, if the codes were spread evenly.
        """
        lengths = [table.n_bits for table in self.tables]
        n_words = -(-self.codes.shape[1] // 8)
        return radius_cost(len(self.codes), lengths, radius, n_words, lean=self._is_lean())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Give what a file must hold, under names.

        Returns
        -------
        dict of str to ndarray
            Starts, positions and words of each table; not the codes themselves.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for number, table in enumerate(self.tables):
            arrays[f"table{number}.starts"] = table.starts
            if table.positions is not None:
                arrays[f"table{number}.positions"] = table.positions
                if table.words is not None:
                    arrays[f"table{number}.words"] = table.words
        return arrays

    def header(self) -> dict[str, Any]:
        """Give what a file must tell beside the arrays.

        Returns
        -------
        dict
            Values that JSON can hold.
        """
        first_bits = [table.first_bit for table in self.tables]
        return {"first_bits": first_bits, "n_tables": self.n_tables, "lean": self.lean}

    @classmethod
    def from_file(
        cls,
        codes: NDArray[np.uint8],
        n_bits: int,
        header: Any,
        arrays: Mapping[str, NDArray[Any]],
        threads: int,
    ) -> "SubstringTables":
        """Put together what a file holds; damaged tables may miss codes, but do no other harm.

        Parameters
        ----------
        codes : ndarray of shape (n, n_bytes), uint8
            The codes.
        n_bits : int
            Length of a code.
        header : dict
            As from :meth:`header`.
        arrays : mapping of str to ndarray
            As from :meth:`arrays`.
        threads : int
            Threads to build with.

        Returns
        -------
        SubstringTables
            In the memory of the arrays.

        Raises
        ------
        KeyError
            If something is missing.
        TypeError
            If something has another type.
        ValueError
            If the tables do not fit the codes.
        """
        first_bits, n_tables, lean = header["first_bits"], header["n_tables"], header["lean"]
        if not isinstance(first_bits, list) or not 0 < len(first_bits) <= n_bits:
            raise ValueError(f"first_bits must be 1 to {n_bits} integers, got {first_bits!r}")
        tables, end = [], n_bits
        for number, first_bit in enumerate(first_bits):
            if type(first_bit) is not int or not 0 <= first_bit < end:
                raise ValueError(f"first_bits must fall from below {n_bits} to 0: {first_bits}")
            name = f"table{number}"
            starts, positions = arrays[f"{name}.starts"], arrays.get(f"{name}.positions")
            words = arrays.get(f"{name}.words") if positions is not None else _as_words(codes)
            if positions is None and words is None:
                raise KeyError(f"{name}.positions")
            _check_array(f"{name}.starts", starts, np.uint32, (2 ** (end - first_bit) + 1,))
            if positions is not None:
                _check_array(f"{name}.positions", positions, np.uint32, (len(codes),))
            if words is not None:
                _check_array(
                    f"{name}.words", words, np.uint64, (len(codes), -(-codes.shape[1] // 8))
                )
            tables.append(Table(first_bit, starts, positions, words))
            end = first_bit
        if end != 0:
            raise ValueError("the substrings do not cover the codes")
        if n_tables is not None and (type(n_tables) is not int or n_tables != len(tables)):
            raise ValueError(f"n_tables must be {len(tables)} or null, got {n_tables!r}")
        if type(lean) is not bool:
            raise ValueError(f"lean must be true or false, got {lean!r}")
        return cls(codes, n_bits, tuple(tables), n_tables, lean, threads)

    def _is_lean(self) -> bool:
        return any(table.words is None for table in self.tables)

    def _costs(self) -> tuple[float, float]:
        """Give the costs of looking up a value and of a code there."""
        return _costs(-(-self.codes.shape[1] // 8), self._is_lean())


def radius_cost(
    n: int, lengths: Sequence[int], radius: int, n_words: int, *, lean: bool = False
) -> float:
    """Estimate the costs of finding all codes within a distance of a query by tables.

    Parameters
    ----------
    n : int
        Number of codes.
    lengths : sequence of int
        Lengths of the substrings.
    radius : int
        Largest distance, itself included.
    n_words : int
        Words of a code.
    lean : bool, default=False
        Whether the tables hold positions alone.

    Returns
    -------
    float
        Nanoseconds, roughly, if the codes were spread evenly.

    Examples
    --------
    >>> radius_cost(0, [22, 21, 21], 3, 1)  # one value in two tables, and 1 + 22 in the first
    750.0
    """
    value_cost, code_cost = _costs(n_words, lean)
    cost = 0.0
    for step in range(radius + 1):
        length = lengths[step % len(lengths)]
        n_values = comb(length, step // len(lengths))
        cost += n_values * (value_cost + code_cost * n / 2.0**length)
    return cost


def substring_lengths(n_bits: int, n_tables: int) -> Sequence[int]:
    """Cut a code into substrings of nearly equal length.

    Parameters
    ----------
    n_bits : int
        Length of a code.
    n_tables : int
        Number of substrings.

    Returns
    -------
    sequence of int
        Their lengths, longer ones first.

    Examples
    --------
    >>> substring_lengths(64, 3)
    [22, 21, 21]
    """
    length, n_longer = divmod(n_bits, n_tables)
    return [length + (number < n_longer) for number in range(n_tables)]


def fewest_tables(n_bits: int) -> int:
    """Tell how many tables codes need at least.

    Parameters
    ----------
    n_bits : int
        Length of a code.

    Returns
    -------
    int
        Number of tables whose substrings have at most 28 bits.

    Examples
    --------
    >>> fewest_tables(64)
    3
    """
    return -(-n_bits // _MAX_SUBSTRING)


def choose_n_tables(
    codes: NDArray[np.uint8], n_bits: int, *, lean: bool = False, threads: int = 1
) -> int:
    """Choose the number of tables with which searches would cost least.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes, C-contiguous.
    n_bits : int
        Length of a code.
    lean : bool, default=False
        Whether the tables will hold positions alone.
    threads : int, default=1
        Number of threads.

    Returns
    -------
    int
        Number of tables.

    Notes
    -----
    Some of the codes serve as queries for their 100 nearest. How far these are tells how many steps
    a search takes; how many of some other codes are as near in each substring, how many codes a
    step would look at. Few long substrings are best where neighbours are near, more and shorter
    ones where they are far.
    """
    n, n_words = len(codes), -(-n_bits // 64)
    rng = np.random.default_rng(0)
    queries = codes[rng.choice(n, min(n, _SAMPLE_QUERIES), replace=False)]
    others = codes[rng.choice(n, min(n, _SAMPLE_CODES), replace=False)]
    k = min(100, n)
    found = scan_nearest(queries, codes, range(n), k, n_bits, threads)
    n_steps = found.distances[:, -1].astype(int) + 1
    value_cost, code_cost = _costs(n_words, lean)
    fewest = fewest_tables(n_bits)
    costs = dict.fromkeys(range(fewest, min(n_bits, fewest + 5) + 1), 0.0)
    for query, steps in zip(queries, n_steps, strict=True):
        differing = np.unpackbits(query ^ others, axis=1, bitorder="little")
        ones = np.cumsum(differing, axis=1, dtype=np.uint16)  # in the first bits of each code
        ones = np.pad(ones, ((0, 0), (1, 0)))
        for n_tables in costs:
            end = n_bits
            for number, length in enumerate(substring_lengths(n_bits, n_tables)):
                # Steps number, number + n_tables, ... look up what differs in 0, 1, ... bits.
                n_rounds = len(range(number, steps, n_tables))
                n_values = sum(comb(length, distance) for distance in range(n_rounds))
                near = ones[:, end] - ones[:, end - length] < n_rounds
                end -= length
                n_codes = n * np.count_nonzero(near) / len(others)
                costs[n_tables] += n_values * value_cost + n_codes * code_cost
    return min(costs, key=costs.__getitem__)


def _costs(n_words: int, lean: bool) -> tuple[float, float]:
    return _VALUE_COST, _FETCH_COST if lean else _CODE_COST * n_words


def _build_table(
    codes: NDArray[np.uint8], first_bit: int, n_bits: int, lean: bool, threads: int
) -> Table:
    starts = np.empty(2**n_bits + 1, dtype=np.uint32)
    if (words := _as_words(codes)) is not None and native.values_rise(codes, first_bit, n_bits):
        native.build_table(codes, first_bit, starts, None, None, threads)
        return Table(first_bit, starts, None, words)
    positions = np.empty(len(codes), dtype=np.uint32)
    n_words = -(-codes.shape[1] // 8)
    words = None if lean else np.empty((len(codes), n_words), dtype=np.uint64)
    native.build_table(codes, first_bit, starts, positions, words, threads)
    return Table(first_bit, starts, positions, words)


def _as_words(codes: NDArray[np.uint8]) -> NDArray[np.uint64] | None:
    """View codes of whole words as those; others cannot be."""
    return codes.view(np.uint64) if codes.shape[1] % 8 == 0 else None


def _check_array(
    name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]
) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {dtype.__name__} {shape}, got {array.dtype} {array.shape}"
        )
