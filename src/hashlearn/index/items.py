"""What an index holds: codes under ids, as it was at one moment."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.index.bitmaps import Bitmap, as_bitmap, as_marks, count_marks, is_marked, unmark
from hashlearn.index.ids import (
    MAX_ID,
    SortedIds,
    are_known,
    as_array,
    as_ids,
    check_rising,
    positions_of,
    shortened,
    some,
    take,
)
from hashlearn.index.tables import SubstringTables

_SMALL = 1 << 16
"""Up to so many items, copying them costs less than keeping track of changes."""

_TAIL_PART = 8
"""The tail is merged when it exceeds this part of the base; scanning it costs less until then."""

_GAP_PART = 4
"""Removed items are squeezed out when they exceed this part of a segment."""

_SPARSE_PART = 8
"""A mask that allows less than this part is followed by copying the codes that it allows."""


Build = Callable[[NDArray[np.uint8]], SubstringTables | None]
"""Makes tables of codes, uint8 (n, n_bytes), where that can be done."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Codes under rising ids, of which some may have been removed.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, or range
        Ids, rising.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes.
    present : ndarray of shape (ceil(n / 64),), uint64, default=None
        Bitmap of those that are there; None: all.
    tables : SubstringTables, default=None
        Tables over all codes, removed ones among them.
    id_buffer : ndarray of shape (m,), int64, default=None
        Array with room to grow of which `ids` is the beginning.
    code_buffer : ndarray of shape (m, n_bytes), uint8, default=None
        The same for `codes`; None if nothing can be appended to them.
    """

    ids: SortedIds
    codes: NDArray[np.uint8]
    present: Bitmap | None = None
    tables: SubstringTables | None = None
    id_buffer: NDArray[np.int64] | None = None
    code_buffer: NDArray[np.uint8] | None = None

    @cached_property
    def n_present(self) -> int:
        """Number of items that are there."""
        return len(self.codes) if self.present is None else count_marks(self.present)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes, room to grow not counted."""
        ids = 0 if isinstance(self.ids, range) else self.ids.nbytes
        present = 0 if self.present is None else self.present.nbytes
        return ids + self.codes.nbytes + present + (self.tables.nbytes if self.tables else 0)

    @property
    def present_ids(self) -> NDArray[np.int64]:
        """Ids of those that are there: shape (n_present,), int64."""
        ids = as_array(self.ids)
        return ids if self.present is None else ids[as_marks(self.present, len(ids))]

    def are_present(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which ids are there.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids, in any order.

        Returns
        -------
        ndarray of shape (m,), bool
            Whether each is there.
        """
        found = are_known(ids, self.ids)
        if self.present is not None:
            found[found] = is_marked(self.present, positions_of(ids[found], self.ids))
        return found

    def squeezed(self) -> "Segment":
        """Give the segment without removed items and without tables.

        Returns
        -------
        Segment
            With all of its items there.
        """
        if self.present is None:
            return replace(self, tables=None)
        codes = self.codes[as_marks(self.present, len(self.codes))]
        return Segment(shortened(self.present_ids), codes)

    def appended(self, ids: SortedIds, codes: NDArray[np.uint8]) -> "Segment":
        """Give the segment with items behind.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64, or range
            Ids, rising, above all of its own.
        codes : ndarray of shape (m, n_bytes), uint8
            Their codes; copied.

        Returns
        -------
        Segment
            With room to grow.
        """
        size, all_ids = len(self.codes) + len(codes), _joined(self.ids, ids)
        id_buffer = None
        if not isinstance(all_ids, range):
            id_buffer = _with_room(as_array(self.ids), self.id_buffer, size)
            id_buffer[len(self.codes) : size] = as_array(ids)
            all_ids = id_buffer[:size]
        code_buffer = _with_room(self.codes, self.code_buffer, size)
        code_buffer[len(self.codes) : size] = codes
        return Segment(all_ids, code_buffer[:size], id_buffer=id_buffer, code_buffer=code_buffer)

    def inserted(self, ids: SortedIds, codes: NDArray[np.uint8]) -> "Segment":
        """Give the segment with items in between.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64, or range
            Ids, rising, none of its own.
        codes : ndarray of shape (m, n_bytes), uint8
            Their codes.

        Returns
        -------
        Segment
            A copy with them.
        """
        places = np.searchsorted(as_array(self.ids), as_array(ids))
        all_ids = np.insert(as_array(self.ids), places, as_array(ids))
        return Segment(shortened(all_ids), np.insert(self.codes, places, codes, axis=0))

    def without(self, ids: NDArray[np.int64]) -> "Segment":
        """Give the segment without some items.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids that are there.

        Returns
        -------
        Segment
            With these marked as removed, or a copy without them if it is small or much is gone.
        """
        if len(ids) == 0:
            return self
        present = (
            as_bitmap(np.ones(len(self.codes), bool)) if self.present is None else self.present
        )
        rest = replace(self, present=unmark(present, positions_of(ids, self.ids)), code_buffer=None)
        n_gaps = len(rest.codes) - rest.n_present
        is_small = len(rest.codes) <= _SMALL and rest.tables is None
        return rest.squeezed() if is_small or n_gaps > len(rest.codes) // _GAP_PART else rest

    def restricted(self, marks: NDArray[np.bool_]) -> "Segment":
        """Give the segment with only some of its items.

        Parameters
        ----------
        marks : ndarray of shape (n,), bool
            Which to keep, none of those that were removed.

        Returns
        -------
        Segment
            A copy of these, or all with a bitmap of these.
        """
        n = int(np.count_nonzero(marks))
        if n < len(self.codes) // _SPARSE_PART:
            # Whatever was removed is in no mask.
            return Segment(as_array(self.ids)[marks], self.codes[marks])
        return replace(self, present=as_bitmap(marks), code_buffer=None)

    def at(self, positions: NDArray[np.int64]) -> "Segment":
        """Give the segment with only the items at some places.

        Parameters
        ----------
        positions : ndarray of shape (m,), int64
            Places, rising, none of items that were removed.

        Returns
        -------
        Segment
            As :meth:`restricted`; a few items cost no look at the others.
        """
        if len(positions) < len(self.codes) // _SPARSE_PART:
            return Segment(take(self.ids, positions), self.codes[positions])
        marks = np.zeros(len(self.codes), dtype=bool)
        marks[positions] = True
        return self.restricted(marks)


@dataclass(frozen=True, eq=False)
class Items:
    """Codes under ids at one moment; adding and removing give new items.

    Parameters
    ----------
    n_bytes : int
        Bytes of a code.
    segments : tuple of Segment, default=()
        At most two, none empty: the base and a small tail of what was added later.
    next_id : int, default=0
        Id of the next item that comes without one, above all ids that ever were there.
    build : callable, default=None
        Makes tables of codes for the base; None: it is to have none. It may give None.

    Notes
    -----
    A row that was filled is never written again: what is appended goes behind the rows that older
    items see, everything else makes new arrays. So a search may go on with what it started with
    while others add and remove, arrays may be mapped from a file, and views that were handed out
    stay as they were. Only the latest items may be added to: older ones share their room to grow.

    Examples
    --------
    >>> items = Items(n_bytes=1).added(np.array([2, 5]), np.array([[20], [50]], dtype=np.uint8))
    >>> items = items.added(np.array([4]), np.array([[40]], dtype=np.uint8))
    >>> items.ids, items.next_id
    (array([2, 4, 5]), 6)
    """

    n_bytes: int
    segments: tuple[Segment, ...] = ()
    next_id: int = 0
    build: Build | None = None

    def __len__(self) -> int:
        return sum(segment.n_present for segment in self.segments)

    @property
    def whole(self) -> Segment:
        """All items in one segment without gaps; what is one already keeps its tables."""
        if len(self.segments) == 1 and self.segments[0].present is None:
            return self.segments[0]
        whole = Segment(range(0), np.empty((0, self.n_bytes), dtype=np.uint8))
        for segment in self.segments:
            whole = _merged(whole, segment.squeezed())
        return whole

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids, rising: shape (n,), int64, read-only."""
        parts = [segment.present_ids for segment in self.segments]
        ids = (
            parts[0]
            if len(parts) == 1
            else np.sort(np.concatenate([np.empty(0, np.int64), *parts]))
        )
        ids.flags.writeable = False
        return ids

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Codes in the order of `ids`: shape (n, n_bytes), uint8, read-only."""
        codes = self.whole.codes.view(np.ndarray)
        codes.flags.writeable = False
        return codes

    @property
    def tables(self) -> SubstringTables | None:
        """Tables of the base, if it has any."""
        return self.segments[0].tables if self.segments else None

    def take_next_ids(self, n: int) -> range:
        """Give the ids of items that come without any.

        Parameters
        ----------
        n : int
            Number of ids.

        Returns
        -------
        range
            The `n` integers from `next_id` on.

        Raises
        ------
        ValueError
            If that many are not left below 2**63.
        """
        if self.next_id + n > MAX_ID + 1:
            raise ValueError(
                f"there are not {n} integers left above the largest id, {self.next_id - 1}: "
                "give ids"
            )
        return range(self.next_id, self.next_id + n)

    def are_known(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which ids are there.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids, in any order.

        Returns
        -------
        ndarray of shape (m,), bool
            Whether each is there.
        """
        known = np.zeros(len(ids), dtype=bool)
        for segment in self.segments:
            known |= segment.are_present(ids)
        return known

    def check_new(self, ids: NDArray[np.int64]) -> None:
        """Check that ids can be added.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids, sorted.

        Raises
        ------
        ValueError
            If one is negative, repeated, or already present; names some.
        """
        if (negative := ids[ids < 0]).size:
            raise ValueError(f"ids must be 0 or more, got {some(negative)}")
        if (repeated := ids[1:][ids[1:] == ids[:-1]]).size:
            raise ValueError(f"ids must be distinct, given more than once: {some(repeated)}")
        if (present := ids[self.are_known(ids)]).size:
            raise ValueError(f"ids are already in the index: {some(present)}")

    def check_known(self, ids: NDArray[np.int64], name: str) -> None:
        """Check that ids are there.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids, in any order.
        name : str
            What the caller calls them, for the error.

        Raises
        ------
        KeyError
            If any is not there; names some.
        """
        known = self.are_known(ids)
        if not known.all():
            raise KeyError(f"{name} holds ids that are not in the index: {some(ids[~known])}")

    def codes_of(self, ids: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Give the codes of some items.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids that are there, in any order.

        Returns
        -------
        ndarray of shape (m, n_bytes), uint8
            Their codes.
        """
        codes = np.empty((len(ids), self.n_bytes), dtype=np.uint8)
        for segment in self.segments:
            found = segment.are_present(ids)
            codes[found] = segment.codes[positions_of(ids[found], segment.ids)]
        return codes

    def added(self, ids: SortedIds, codes: NDArray[np.uint8]) -> "Items":
        """Give the items with more of them.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64, or range
            Ids, rising, that :meth:`check_new` has let through.
        codes : ndarray of shape (m, n_bytes), uint8
            Their codes; copied.

        Returns
        -------
        Items
            With them.
        """
        if len(ids) == 0:
            return self
        next_id = max(self.next_id, int(ids[-1]) + 1)
        nothing = Segment(range(0), np.empty((0, self.n_bytes), dtype=np.uint8))
        *kept, last = self.segments or (nothing,)
        has_room = last.code_buffer is not None or not len(last.codes)
        if has_room and _is_above(ids, last.ids):
            segments = [*kept, last.appended(ids, codes)]
        elif kept or (last.tables is None and len(last.codes) <= _SMALL):
            segments = [*kept, _merged(last.squeezed(), Segment(ids, codes))]
        else:
            segments = [last, nothing.appended(ids, codes)]
        items = replace(self, segments=tuple(segments), next_id=next_id)
        return items._tail_merged()._base_with_tables()

    def _tail_merged(self) -> "Items":
        """Give the items with a tail that has become large merged into the base."""
        if len(self.segments) < 2:
            return self
        base, tail = self.segments
        if len(tail.codes) <= max(_SMALL, len(base.codes) // _TAIL_PART):
            return self
        return replace(self, segments=(_merged(base.squeezed(), tail.squeezed()),))

    def _base_with_tables(self) -> "Items":
        """Give the items with the tables that their base is to have."""
        if self.build is None or not self.segments or self.segments[0].tables is not None:
            return self
        base, *tail = self.segments
        tables = self.build(base.squeezed().codes)
        if tables is None:
            return self
        base = replace(base.squeezed(), tables=tables, code_buffer=None)
        return replace(self, segments=(base, *tail))

    def removed(self, ids: NDArray[np.int64]) -> "Items":
        """Give the items without some of them.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids that are there, in any order.

        Returns
        -------
        Items
            Without them.
        """
        ids = np.unique(ids)
        segments = [s.without(ids[s.are_present(ids)]) for s in self.segments]
        rest = replace(self, segments=_not_empty(*segments))
        return rest._base_with_tables()

    def with_tables(self, build: Build) -> "Items":
        """Give the items in one segment with tables.

        Parameters
        ----------
        build : callable
            Makes tables of codes, now and whenever the base has changed.

        Returns
        -------
        Items
            The same items.
        """
        segments = _not_empty(replace(self.whole, tables=None))
        return replace(self, segments=segments, build=build)._base_with_tables()

    def restricted(self, mask: ArrayLike | None) -> tuple[Segment, ...]:
        """Give segments with only the items that a search may return.

        Parameters
        ----------
        mask : array-like of shape (n,), bool, or of shape (m,), int, or None
            Marks in the order of `ids`, or ids. None is all.

        Returns
        -------
        tuple of Segment
            The segments, none empty.

        Raises
        ------
        TypeError
            If `mask` is neither boolean nor integer.
        ValueError
            If a boolean mask does not have one value for each item.
        KeyError
            If an id is not present.
        """
        if mask is None:
            return self.segments
        marks = np.asarray(mask)
        if marks.dtype != bool:
            wanted = as_ids(mask, "mask")
            if not (wanted[1:] > wanted[:-1]).all():
                wanted = np.unique(wanted)  # takes longer than the search
            self.check_known(wanted, "mask")
        elif marks.shape != (len(self),):
            raise ValueError(
                f"a boolean mask must have one value for each of the {len(self)} items, "
                f"got the shape {marks.shape}"
            )
        elif len(self.segments) == 1 and self.segments[0].present is None:
            return _not_empty(self.segments[0].restricted(marks))
        else:
            wanted = self.ids[marks]
        restricted = []
        for segment in self.segments:
            here = wanted[segment.are_present(wanted)]
            restricted.append(segment.at(positions_of(here, segment.ids)))
        return _not_empty(*restricted)


def _not_empty(*segments: Segment) -> tuple[Segment, ...]:
    return tuple(segment for segment in segments if segment.n_present)


def _is_above(ids: SortedIds, others: SortedIds) -> bool:
    return len(others) == 0 or int(ids[0]) > int(others[-1])


def _joined(ids: SortedIds, others: SortedIds) -> SortedIds:
    """Join ids with others above them: only ranges stay one, others are left to the caller."""
    if len(ids) == 0:
        return others
    if isinstance(ids, range) and isinstance(others, range) and ids.stop == others.start:
        return range(ids.start, others.stop)
    return as_array(ids)


def _merged(segment: Segment, other: Segment) -> Segment:
    """Merge two segments without gaps."""
    if _is_above(other.ids, segment.ids):
        return segment.appended(other.ids, other.codes)
    return segment.inserted(other.ids, other.codes)


def _with_room(rows: NDArray[Any], buffer: NDArray[Any] | None, size: int) -> NDArray[Any]:
    """Give an array with room for `size` rows that begins with some rows."""
    if buffer is not None and size <= len(buffer):
        return buffer
    # Growing by half makes the copies of many small additions cost O(1) an item.
    capacity = size if len(rows) == 0 else max(size, len(rows) + len(rows) // 2)
    grown = np.empty((capacity, *rows.shape[1:]), dtype=rows.dtype)
    grown[: len(rows)] = rows
    return grown


def saved_items(
    ids: NDArray[np.int64] | None,
    codes: NDArray[np.uint8],
    next_id: object,
    first_id: object,
    tables: SubstringTables | None,
    *,
    check_ids: bool,
) -> Items:
    """Check what a file holds as carefully as what a caller gives.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, or None
        Ids, which must rise. None: the integers from `first_id` on.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes.
    next_id : int
        Id of the next item that comes without one.
    first_id : int
        The first id, if there are no `ids`.
    tables : SubstringTables or None
        Tables over the codes.
    check_ids : bool
        Whether to check every id, which reads them all.

    Returns
    -------
    Items
        The items, in the memory of `ids` and `codes`.

    Raises
    ------
    ValueError
        If they do not belong together.
    """
    known: SortedIds
    if ids is None:
        if type(first_id) is not int or not 0 <= first_id <= MAX_ID + 1 - len(codes):
            raise ValueError(
                f"first_id must be from 0 to {MAX_ID + 1 - len(codes)}, got {first_id!r}"
            )
        known = range(first_id, first_id + len(codes))
    else:
        if ids.dtype != np.int64 or ids.shape != (len(codes),):
            raise ValueError(f"ids must be int64, one a code, got {ids.dtype} {ids.shape}")
        if check_ids:
            check_rising(ids)
        known = ids
    smallest = int(known[-1]) + 1 if len(known) else 0
    if type(next_id) is not int or not smallest <= next_id <= MAX_ID + 1:
        raise ValueError(f"next_id must be from {smallest} to 2**63, got {next_id!r}")
    segments = (Segment(known, codes, tables=tables),) if len(codes) else ()
    return Items(codes.shape[1], segments, next_id, None if tables is None else tables.rebuilt)
