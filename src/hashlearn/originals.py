"""Vectors as they came, in fewer bits and on the disk, for exact re-ranking."""

import os
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hashlearn.storage import read_arrays, write_arrays

Kept = Literal["float32", "float16", "int8"]
KEPT: Sequence[Kept] = ("float32", "float16", "int8")
"""How vectors may be kept."""

_KIND = "originals"
_LEVELS = 127


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
        self._entries: list[NDArray[Any]] = []
        self._steps: list[NDArray[np.float32]] = []

    def __len__(self) -> int:
        return sum(map(len, self._entries))

    def add(self, X: NDArray[Any]) -> None:
        """Add vectors.

        Parameters
        ----------
        X : ndarray of shape (n, d), float
            Vectors, finite.

        Raises
        ------
        ValueError
            If they have another number of entries than those before, or are too large for float16.
        """
        if self._entries and X.shape[1:] != self._entries[0].shape[1:]:
            raise ValueError(
                f"vectors have {self._entries[0].shape[1]} entries here, got {X.shape[1]}"
            )
        if self.kept == "int8":
            steps = (np.abs(X).max(axis=1) / _LEVELS).astype(np.float32)
            scaled = np.divide(X, steps[:, None], out=np.zeros(X.shape), where=steps[:, None] > 0)
            self._steps.append(steps)
            self._entries.append(np.rint(scaled).clip(-_LEVELS, _LEVELS).astype(np.int8))
            return
        with np.errstate(over="ignore"):
            entries = X.astype(self.kept)
        if not np.isfinite(entries).all():
            raise ValueError(f"vectors are too large for {self.kept}: up to {np.abs(X).max():.3g}")
        self._entries.append(entries)

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
        """
        entries, steps = self._whole()
        rows = np.asarray(entries[places], dtype=np.float32)
        return rows if steps is None else rows * steps[places, None]

    def _whole(self) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        if len(self._entries) > 1:
            self._entries = [np.concatenate(self._entries)]
            self._steps = [np.concatenate(self._steps)] if self._steps else []
        entries = self._entries[0] if self._entries else np.empty((0, 0), self.kept)
        return entries, self._steps[0] if self._steps else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vectors to a file, atomically.

        Parameters
        ----------
        path : path-like
            File to create or replace.
        """
        entries, steps = self._whole()
        arrays = {"entries": entries} | ({} if steps is None else {"steps": steps})
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
            made._entries = [arrays["entries"]]
            made._steps = [arrays["steps"]] if made.kept == "int8" else []
        except KeyError as error:
            raise ValueError(f"{path} holds no originals: it has no {error}") from error
        return made
