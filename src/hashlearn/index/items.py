"""The rows of an index: codes under ids, always in the order of the ids."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.index.ids import MAX_ID, are_known, as_ids, positions_of, some


class Items:
    """Keep codes sorted by id, so that the order of positions is the order of ties.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        Ids, rising; kept, not copied.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes; kept, not copied.
    next_id : int
        Id of the next item that comes without one, above all of `ids`.

    Notes
    -----
    The arrays are buffers with room to grow behind the items. A row that was filled is never
    written again: whatever is not an append makes new buffers. So arrays that are mapped from a
    file may be read-only, and views handed out earlier stay as they were.

    Examples
    --------
    >>> items = Items(np.array([2, 5]), np.array([[20], [50]], dtype=np.uint8), next_id=6)
    >>> items.add(np.array([4]), np.array([[40]], dtype=np.uint8))
    >>> items.ids, items.next_id
    (array([2, 4, 5]), 6)
    """

    def __init__(self, ids: NDArray[np.int64], codes: NDArray[np.uint8], next_id: int) -> None:
        self._size = len(ids)
        self._id_buffer = ids
        self._code_buffer = codes
        self.next_id = next_id

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> NDArray[np.int64]:
        """Ids, rising: shape (n,), int64, read-only."""
        view = self._id_buffer[: self._size]
        view.flags.writeable = False
        return view

    @property
    def codes(self) -> NDArray[np.uint8]:
        """Codes in the order of `ids`: shape (n, n_bytes), uint8, read-only."""
        view = self._code_buffer[: self._size]
        view.flags.writeable = False
        return view

    def take_next_ids(self, n: int) -> NDArray[np.int64]:
        """Give the ids of items that come without any.

        Parameters
        ----------
        n : int
            Number of items.

        Returns
        -------
        ndarray of shape (n,), int64
            The integers from `next_id` on.

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
        first = self.next_id if n else 0  # with no ids left it is 2**63, which int64 cannot hold
        return np.arange(n, dtype=np.int64) + first

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
        if (present := ids[are_known(ids, self.ids)]).size:
            raise ValueError(f"ids are already in the index: {some(present)}")

    def add(self, ids: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
        """Add items that :meth:`check_new` has let through.

        Parameters
        ----------
        ids : ndarray of shape (m,), int64
            Ids, rising.
        codes : ndarray of shape (m, n_bytes), uint8
            Their codes; copied.
        """
        if len(ids) == 0:
            return
        if self._size == 0 or ids[0] > self._id_buffer[self._size - 1]:
            self._append(ids, codes)
        else:
            places = np.searchsorted(self.ids, ids)
            all_codes = np.insert(self.codes, places, codes, axis=0)
            self._replace(np.insert(self.ids, places, ids), all_codes)
        self.next_id = max(self.next_id, int(ids[-1]) + 1)

    def remove(self, ids: ArrayLike) -> None:
        """Remove items.

        Parameters
        ----------
        ids : array-like of shape (m,), int
            Their ids, in any order; one that is repeated counts once.

        Raises
        ------
        KeyError
            If any is not present; nothing is removed then.
        """
        gone = positions_of(as_ids(ids, "ids"), self.ids, "ids")
        if len(gone):
            self._replace(np.delete(self.ids, gone), np.delete(self.codes, gone, axis=0))

    def allowed(self, mask: ArrayLike | None) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Select the items that a search may return.

        Parameters
        ----------
        mask : array-like of shape (n,), bool, or of shape (m,), int, or None
            Marks in the order of `ids`, or ids. None is all.

        Returns
        -------
        ids : ndarray of shape (n_allowed,), int64
            Ids, rising.
        codes : ndarray of shape (n_allowed, n_bytes), uint8
            Their codes.

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
            return self.ids, self.codes
        array = np.asarray(mask)
        if array.dtype == bool:
            if array.shape != (self._size,):
                raise ValueError(
                    f"a boolean mask must have one value for each of the {self._size} items, "
                    f"got the shape {array.shape}"
                )
            return self.ids[array], self.codes[array]
        wanted = np.unique(as_ids(mask, "mask"))
        positions = positions_of(wanted, self.ids, "mask")
        return wanted, self.codes[positions]

    def _append(self, ids: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
        size = self._size + len(ids)
        if size > len(self._id_buffer):
            # Growing by half makes the copies of many small additions cost O(1) an item.
            capacity = max(size, self._size + self._size // 2)
            id_buffer = np.empty(capacity, dtype=np.int64)
            code_buffer = np.empty((capacity, codes.shape[1]), dtype=np.uint8)
            id_buffer[: self._size], code_buffer[: self._size] = self.ids, self.codes
            self._id_buffer, self._code_buffer = id_buffer, code_buffer
        self._id_buffer[self._size : size] = ids
        self._code_buffer[self._size : size] = codes
        self._size = size

    def _replace(self, ids: NDArray[np.int64], codes: NDArray[np.uint8]) -> None:
        self._id_buffer, self._code_buffer, self._size = ids, codes, len(ids)


def saved_items(ids: NDArray[np.int64], codes: NDArray[np.uint8], next_id: object) -> Items:
    """Check what a file holds as carefully as what a caller gives.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        Ids, which must rise.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes.
    next_id : int
        Id of the next item that comes without one.

    Returns
    -------
    Items
        The items, in the memory of `ids` and `codes`.

    Raises
    ------
    ValueError
        If they do not belong together.
    """
    if ids.dtype != np.int64 or ids.shape != (len(codes),):
        raise ValueError(f"ids must be int64, one a code, got {ids.dtype} {ids.shape}")
    if (ids[:1] < 0).any() or not (ids[1:] > ids[:-1]).all():
        raise ValueError("ids must be 0 or more, and rising")
    smallest = int(ids[-1]) + 1 if len(ids) else 0
    if not isinstance(next_id, int) or not smallest <= next_id <= MAX_ID + 1:
        raise ValueError(f"next_id must be from {smallest} to 2**63, got {next_id!r}")
    return Items(ids.view(np.ndarray), codes, next_id)
