"""Long work that can be interrupted: what is done so far, in a folder beside its result."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashlearn.data import Batch
from hashlearn.storage import replacing

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""What is told which part of the work is at which row, of how many."""

_STATE = "state.json"
_COMMIT_SECONDS = 10.0


class Partial:
    """Keep what long work has written, so that it goes on where it was interrupted.

    The folder holds files that only grow and a state that says how far each is good. A commit
    brings the files to the disk first and replaces the state then: after a crash, of the process or
    of the machine, the state of the last commit is there, and what was written after it is cut off.

    Parameters
    ----------
    output : pathlib.Path
        Result of the work. The folder has its name and the ending ``.partial``.
    question : dict or None
        What is asked, as values that JSON can hold. A folder that answers another question is
        begun anew. None means that it is not known whether the question is the same: every folder
        is begun anew.

    Attributes
    ----------
    state : dict
        What the last commit said, an empty dict at the beginning.
    """

    def __init__(self, output: Path, question: dict[str, Any] | None) -> None:
        self.folder = output.with_name(f"{output.name}.partial")
        self.state: dict[str, Any] = {}
        self._question = json.loads(json.dumps(question))
        self._lengths: dict[str, int] = {}
        self._files: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        found = self._read_state()
        if found is None:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            return self
        self.state, self._lengths = found["state"], found["lengths"]
        for path in self.folder.iterdir():
            if path.name.endswith(".bin"):
                os.truncate(path, self._lengths.get(path.stem, 0))
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        for file in self._files.values():
            file.close()
        began = (self.folder / _STATE).is_file()
        if kind is None or self._question is None or not began:
            shutil.rmtree(self.folder)

    def append(self, name: str, content: bytes | memoryview) -> None:
        """Write to the end of a file.

        Parameters
        ----------
        name : str
            Name of the file.
        content : bytes
            What to write.
        """
        if name not in self._files:
            self._files[name] = self.path(name).open("ab")
        self._files[name].write(content)

    def commit(self, **state: Any) -> None:
        """Bring to the disk what was written, and what state the work is in.

        Parameters
        ----------
        **state : object
            Parts of the state that changed, as values that JSON can hold.
        """
        self.state = self.state | state
        for name, file in self._files.items():
            file.flush()
            os.fsync(file.fileno())
            self._lengths[name] = file.tell()
        content = {"question": self._question, "state": self.state, "lengths": self._lengths}
        with replacing(self.folder / _STATE) as temporary:
            temporary.write_text(json.dumps(content), encoding="utf-8")

    def path(self, name: str) -> Path:
        """Name the path of a file.

        Parameters
        ----------
        name : str
            Name of the file.

        Returns
        -------
        pathlib.Path
            Its path, to read from after a commit.
        """
        return self.folder / f"{name}.bin"

    def _read_state(self) -> dict[str, Any] | None:
        """Read the state, if it answers the same question and all its files are there."""
        try:
            found: dict[str, Any] = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
            good = (
                self._question is not None
                and found["question"] == self._question
                and all(
                    self.path(name).stat().st_size >= length
                    for name, length in found["lengths"].items()
                )
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if good else None


class Section:
    """Values of items in files of unfinished work: the values, rows, names and labels.

    Parameters
    ----------
    work : Partial
        Work.
    name : str
        Name of the values.
    """

    def __init__(self, work: Partial, name: str) -> None:
        self._work = work
        self.name = name

    def append(self, values: NDArray[Any], batch: Batch) -> None:
        """Write values of more items.

        Parameters
        ----------
        values : ndarray of shape (n, n_values), any
            Values, of the same kind every time.
        batch : Batch
            The items.
        """
        if not len(batch):
            return
        self._work.append(self.name, np.ascontiguousarray(values).data.cast("B"))
        self._work.append(f"{self.name}-rows", batch.rows.astype(np.int64).data.cast("B"))
        for kind, items in (("names", batch.names), ("labels", batch.labels)):
            if items is not None:
                plain = items.tolist() if isinstance(items, np.ndarray) else items
                lines = "".join(f"{json.dumps(item)}\n" for item in plain)
                self._work.append(f"{self.name}-{kind}", lines.encode())

    def values(self, dtype: Any, n_values: int) -> NDArray[Any]:
        """Map the values of all items.

        Parameters
        ----------
        dtype : data type
            Their kind.
        n_values : int
            Values of an item.

        Returns
        -------
        ndarray of shape (n, n_values), of the kind that was asked for
            Values, read-only.
        """
        path = self._work.path(self.name)
        if not path.is_file() or not path.stat().st_size:
            return np.empty((0, n_values), dtype)
        return np.memmap(path, dtype, mode="r").reshape(-1, n_values)

    def rows(self) -> NDArray[np.int64]:
        """Read the rows of all items.

        Returns
        -------
        ndarray of shape (n,), int64
            Their places in the source.
        """
        path = self._work.path(f"{self.name}-rows")
        return np.fromfile(path, np.int64) if path.is_file() else np.empty(0, np.int64)

    def names(self) -> Iterator[str] | None:
        """Read the names of all items.

        Returns
        -------
        iterator of str, or None
            Names; None if the items have none.
        """
        return self._lines("names")

    def labels(self) -> NDArray[Any] | None:
        """Read the labels of all items.

        Returns
        -------
        ndarray of shape (n,) or (n, n_labels), or None
            Labels, as in a `Batch`; None if the items have none.
        """
        lines = self._lines("labels")
        return None if lines is None else np.array(list(lines))

    def _lines(self, kind: str) -> Iterator[Any] | None:
        path = self._work.path(f"{self.name}-{kind}")
        return _json_lines(path) if path.is_file() else None


def keep(
    work: Partial,
    section: Section,
    made: Iterable[tuple[Batch, NDArray[Any]]],
    n_rows: int | None,
    progress: Progress | None,
) -> None:
    """Write what is made of items into a section, which says from time to time how far it is.

    Parameters
    ----------
    work : Partial
        Work; its state gets the first row that is still to be done, by the section's name.
    section : Section
        Part of the work.
    made : iterable of (Batch, ndarray of shape (n, n_values))
        Items and what is made of them.
    n_rows : int or None
        Number of all rows, if it is known.
    progress : callable or None
        Called with what is made, the number of rows that are done and that of all.
    """
    last = monotonic()
    stop = work.state.get(section.name, 0)
    for batch, values in made:
        section.append(values, batch)
        stop = batch.stop
        if monotonic() - last > _COMMIT_SECONDS:
            work.commit(**{section.name: stop})
            last = monotonic()
        if progress is not None:
            progress(section.name, stop, n_rows)
    work.commit(**{section.name: stop})


def _json_lines(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
