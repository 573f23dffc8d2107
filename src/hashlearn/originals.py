"""Vectors as they came, in fewer bits and on the disk, for exact re-ranking."""

import os
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.storage import read_arrays, write_arrays

Kept = Literal["float32", "float16", "int8"]
KEPT: Sequence[Kept] = ("float32", "float16", "int8")
"""How vectors may be kept."""

_KIND = "originals"
_LEVELS = 127


class Rows:
    """Keep rows that come in batches, in few arrays.

    Batches are joined like the digits of a binary number: each array is longer than the one behind
    it. So adding n rows, one by one, copies each about log2(n) times, and what is mapped from a
    file stays there until as much has come behind it.

    Parameters
    ----------
    rows : ndarray of shape (n, ...), any dtype
        What is there already, or nothing of its shape; it is not copied.

    Examples
    --------
    >>> rows = Rows(np.array([10, 11, 12]))
    >>> rows.append(np.array([13]))
    >>> len(rows), rows.take(np.array([3, 0]))
    (4, array([13, 10]))
    """

    def __init__(self, rows: NDArray[Any]) -> None:
        self._parts = [rows]

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows.

        Parameters
        ----------
        rows : ndarray of shape (n, ...), any dtype
            Rows like those before. The array is kept.
        """
        self._parts.append(rows)
        n_joined, n_rows = 1, len(rows)
        while n_joined < len(self._parts) and len(self._parts[-n_joined - 1]) <= n_rows:
            n_joined += 1
            n_rows += len(self._parts[-n_joined])
        if n_joined > 1:
            self._parts[-n_joined:] = [np.concatenate(self._parts[-n_joined:])]

    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Give some rows.

        Parameters
        ----------
        places : ndarray of shape (m,), int64
            Their numbers, from 0, in any order.

        Returns
        -------
        ndarray of shape (m, ...), any dtype
            A copy of them.
        """
        taken = np.empty((len(places), *self._parts[0].shape[1:]), self._parts[0].dtype)
        start = 0
        for part in self._parts:
            here = (start <= places) & (places < start + len(part))
            taken[here] = part[places[here] - start]
            start += len(part)
        return taken

    def whole(self) -> NDArray[Any]:
        """Give all rows.

        Returns
        -------
        ndarray of shape (n, ...), any dtype
            One array; a copy only if there are several.
        """
        return self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)


class Originals:
    r"""Keep vectors in fewer bits.

    As ``"int8"`` a vector is kept as whole numbers from -127 to 127 and their step, the largest
    absolute entry over 127: each entry is off by half a step at most.

    Parameters
    ----------
    kept : {"float32", "float16", "int8"}
        Type of the entries.

    Raises
    ------
    ValueError
        If there is no such type.

    Examples
    --------
    >>> originals = Originals("int8")
    >>> originals.add(np.array([[1.0, -2.54], [0.0, 0.0]]))
    >>> originals.rows(np.array([0]))
    array([[ 1.  , -2.54]], dtype=float32)
    """

    def __init__(self, kept: Kept) -> None:
        if kept not in KEPT:
            raise ValueError(f"vectors are kept as {', '.join(KEPT)}; got {kept!r}")
        self.kept: Kept = kept
        self._entries: Rows | None = None
        self._steps = Rows(np.empty(0, np.float32))
        self._n_features = 0

    def __len__(self) -> int:
        return 0 if self._entries is None else len(self._entries)

    @property
    def n_features(self) -> int:
        """Entries of a vector; 0 before there is one."""
        return self._n_features

    def add(self, X: ArrayLike) -> None:
        """Add vectors.

        Parameters
        ----------
        X : array-like of shape (n, d), real
            Vectors, finite.

        Raises
        ------
        ValueError
            If they are not a matrix of finite numbers, have another number of entries than those
            before, or are too large for the type. Nothing is added then.
        """
        rows = self._checked(X)
        if not len(rows):
            return
        if self.kept == "int8":
            largest = np.abs(rows).max(axis=1)
            # Below, steps would have few digits, or none.
            steps = np.maximum(largest / _LEVELS, np.finfo(np.float32).tiny)
            rows = np.rint(rows / steps[:, None]).astype(np.int8)
            self._steps.append(steps)
        if self._entries is None:
            self._entries, self._n_features = Rows(rows), rows.shape[1]
        else:
            self._entries.append(rows)

    def _checked(self, X: ArrayLike) -> NDArray[Any]:
        """Give a copy of vectors in the floating-point type that holds or leads to the kept one."""
        given = np.asarray(X)
        if given.ndim != 2 or not given.shape[1] or given.dtype.kind not in "fiu":
            raise ValueError(
                f"vectors must be a matrix of numbers, got the shape {given.shape} of {given.dtype}"
            )
        if self._n_features not in (0, given.shape[1]):
            raise ValueError(f"vectors have {self._n_features} entries here, got {given.shape[1]}")
        dtype = "float16" if self.kept == "float16" else "float32"
        with np.errstate(over="ignore"):
            rows = given.astype(dtype)
        wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(wrong):
            raise ValueError(
                f"vectors must be finite and not too large for {dtype}, of at most "
                f"{np.finfo(dtype).max:.3g}; row {wrong[0]} has the largest absolute entry "
                f"{np.abs(given[wrong[0]]).max():.3g}"
            )
        return rows

    def rows(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors back.

        Parameters
        ----------
        places : ndarray of shape (m,), int64
            Their numbers, in the order in which they were added.

        Returns
        -------
        ndarray of shape (m, d), float32
            The vectors, rounded as they were kept.

        Raises
        ------
        IndexError
            If there is no vector of a number.
        """
        wrong = places[(places < 0) | (places >= len(self))]
        if len(wrong):
            raise IndexError(f"there are {len(self)} vectors, got number {wrong[0]}")
        if self._entries is None:
            return np.empty((0, 0), np.float32)
        rows = self._entries.take(places).astype(np.float32)
        return rows * self._steps.take(places)[:, None] if self.kept == "int8" else rows

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vectors to a file, atomically.

        Parameters
        ----------
        path : path-like
            File to create or replace.
        """
        empty = np.empty((0, 0), self.kept)
        arrays = {"entries": empty if self._entries is None else self._entries.whole()}
        if self.kept == "int8":
            arrays["steps"] = self._steps.whole()
        write_arrays(path, _KIND, {"kept": self.kept}, arrays)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a file; what is not asked for is not read.

        Parameters
        ----------
        path : path-like
            File of :meth:`save`.

        Returns
        -------
        Originals
            The vectors.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is foreign or damaged.
        """
        header, arrays = read_arrays(path, _KIND, mmap=True)
        try:
            made = cls(header["kept"])
            made._take_over(**arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} holds no valid originals: {error}") from error
        return made

    def _take_over(self, entries: NDArray[Any], steps: NDArray[Any] | None = None) -> None:
        """Take arrays from a file, if they belong together."""
        if entries.ndim != 2 or entries.dtype != self.kept:
            raise ValueError(f"its entries are {entries.dtype} of the shape {entries.shape}")
        if (steps is not None) != (self.kept == "int8"):
            raise ValueError(f"steps belong to int8 alone, its entries are {self.kept}")
        if steps is not None:
            if steps.dtype != np.float32 or steps.shape != (len(entries),):
                raise ValueError(f"it has steps of the shape {steps.shape} for {len(entries)} rows")
            self._steps = Rows(steps)
        if len(entries):
            self._entries, self._n_features = Rows(entries), entries.shape[1]
