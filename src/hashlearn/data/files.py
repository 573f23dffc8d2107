"""Sources whose items are one file each."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Kind
from hashlearn.data.locations import files_in, stamp_of
from hashlearn.data.source import RowSource


class FileSource(RowSource):
    """Read a folder of files, or one file.

    The names of items are their paths from the folder on, in their order. If every file is in a
    sub-folder, those of the first level are the classes.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder. Its sub-folders are read too; hidden files and folders are left out.
    kind : {"images", "texts"}
        What the items are.
    suffixes : tuple of str
        Extensions of the files of a folder; others are left out.

    Raises
    ------
    ValueError
        If there are no files.
    """

    def __init__(self, path: Path, kind: Kind, suffixes: tuple[str, ...]) -> None:
        self.is_folder = path.is_dir()
        super().__init__(path.resolve().name if self.is_folder else path.stem, str(path), kind)
        self.paths = files_in(path, suffixes) if self.is_folder else [path]
        if not self.paths:
            raise ValueError(f"{path} has no {kind}; extensions read: {', '.join(suffixes)}")
        folder = path if self.is_folder else path.parent
        start = len(str(folder / "a")) - 1
        self._names = [str(file)[start:].replace(os.sep, "/") for file in self.paths]
        if all("/" in name for name in self._names):
            self._classes = tuple(sorted({name.partition("/")[0] for name in self._names}))

    def _count(self) -> int:
        return len(self.paths)

    def _identify(self) -> dict[str, Any]:
        return {self.kind: stamp_of(self.paths)}

    def names_of(self, rows: Sequence[int]) -> tuple[str, ...]:
        """Name items.

        Parameters
        ----------
        rows : sequence of int
            Their rows.

        Returns
        -------
        tuple of str
            Paths from the folder on, with slashes.
        """
        return tuple(self._names[row] for row in rows)

    def labels_of(self, rows: Sequence[int]) -> NDArray[Any] | None:
        """Name the classes of items.

        Parameters
        ----------
        rows : sequence of int
            Their rows.

        Returns
        -------
        ndarray of shape (n,), str, or None
            Sub-folders of the first level; None if some file is in none.
        """
        if self._classes is None:
            return None
        return np.array([self._names[row].partition("/")[0] for row in rows], dtype=str)
