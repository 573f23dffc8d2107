"""Sources: items that are read a batch at a time, so that they need not fit into memory."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from hashlearn.data.dataset import Dataset, Kind, kind_of
from hashlearn.data.labels import number_labels
from hashlearn.data.locations import naming, stamp_of

BATCH_ROWS = 1 << 13
"""Rows of a batch where nobody chose."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Hold some items of a source.

    Parameters
    ----------
    X : ndarray of shape (n, d), any real dtype; (n, h, w) or (n, h, w, c), uint8; (n,), object
        Vectors; images of one size; or texts, or images of any sizes, each uint8 of shape (h, w)
        or (h, w, c).
    rows : ndarray of shape (n,), int64
        Place of each item in the source, rising. What could not be read is missing.
    stop : int
        First row that comes after the batch.
    names : tuple of str, default=None
        Name of each item.
    labels : ndarray of shape (n,) or (n, n_labels), default=None
        Labels as they stand in the source: names, class numbers, or 0/1 columns.
    """

    X: NDArray[Any]
    rows: NDArray[np.int64]
    stop: int
    names: tuple[str, ...] | None = None
    labels: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, places: NDArray[Any]) -> "Batch":
        """Take some of the items.

        Parameters
        ----------
        places : ndarray of shape (n_taken,), int
            Their places in the batch.

        Returns
        -------
        Batch
            These items.
        """
        names = None if self.names is None else tuple(self.names[i] for i in places)
        labels = None if self.labels is None else self.labels[places]
        return Batch(self.X[places], self.rows[places], self.stop, names, labels)


class Source(ABC):
    """Read items a batch at a time.

    Parameters
    ----------
    name : str
        Name of the data.
    origin : str
        Where they come from.
    kind : {"images", "texts", "vectors"}
        What the items are.

    See Also
    --------
    open_source : Make one of a path or of an object.
    """

    def __init__(self, name: str, origin: str, kind: Kind) -> None:
        self.name = name
        self.origin = origin
        self.kind: Kind = kind
        self._classes: tuple[str, ...] | None = None

    @property
    def n_rows(self) -> int | None:
        """Count rows, those that cannot be read among them.

        Returns
        -------
        int or None
            Number of rows; None if it is known at the end only.
        """
        return self._count()

    @abstractmethod
    def _count(self) -> int | None:
        """Give the number of rows, if it is known."""

    @property
    def label_names(self) -> tuple[str, ...] | None:
        """Name the classes, where they are known before anything is read.

        Returns
        -------
        tuple of str or None
            Names in alphabetical order.
        """
        return self._classes

    @property
    def identity(self) -> dict[str, Any] | None:
        """Tell the source from others, and from itself after a change.

        Returns
        -------
        dict or None
            Values that JSON can hold; None if nothing is known that would tell.
        """
        return self._identify()

    def _identify(self) -> dict[str, Any] | None:
        """Give what tells the source from others, if there is something."""
        return None

    @abstractmethod
    def batches(self, size: int = BATCH_ROWS, start: int = 0) -> Iterator[Batch]:
        """Read all items in their order.

        Parameters
        ----------
        size : int, default=8192
            Rows of a batch at most.
        start : int, default=0
            First row.

        Yields
        ------
        Batch
            The next rows. One whose items cannot be read at all is empty.

        Raises
        ------
        ValueError
            If the data are damaged.

        Warns
        -----
        UserWarning
            For each image that cannot be read; it is left out.
        """

    def some(self, rows: NDArray[np.int64], size: int = BATCH_ROWS) -> Iterator[Batch]:
        """Read some rows.

        Parameters
        ----------
        rows : ndarray of shape (n,), int64
            Rows, rising.
        size : int, default=8192
            Rows of a batch at most.

        Yields
        ------
        Batch
            The next of them.

        Raises
        ------
        ValueError
            If the data are damaged.
        """
        if not len(rows):
            return
        done = 0
        for batch in self.batches(size, int(rows[0])):
            near = rows[done : (done := int(np.searchsorted(rows, batch.stop)))]
            found = batch.of(np.flatnonzero(np.isin(batch.rows, near)))
            if len(found):
                yield found
            if batch.stop > rows[-1]:
                return

    def choose(self, n_items: int, random_state: Any = None) -> NDArray[np.int64]:
        """Choose rows at random.

        Parameters
        ----------
        n_items : int
            How many at most.
        random_state : int, RandomState or None, default=None
            Source of the choice.

        Returns
        -------
        ndarray of shape (n,), int64
            Rows, rising; all of them if there are no more.

        Raises
        ------
        ValueError
            If it is not known how many rows there are.
        """
        if self.n_rows is None:
            raise ValueError(f"it is not known how many rows {self.origin} has")
        if self.n_rows <= n_items:
            return np.arange(self.n_rows)
        rng = check_random_state(random_state)
        return np.sort(rng.choice(self.n_rows, n_items, replace=False)).astype(np.int64)

    def sample(self, n_items: int | None, random_state: Any = None) -> Batch:
        """Read a uniform sample, in memory that does not grow with the source.

        Parameters
        ----------
        n_items : int or None
            Rows to read at most. None reads all.
        random_state : int, RandomState or None, default=None
            Source of the choice.

        Returns
        -------
        Batch
            The items of the chosen rows that can be read, in the order of their rows.

        Raises
        ------
        ValueError
            If the data are damaged, or none of the rows can be read.
        """
        if n_items is None or (self.n_rows is not None and self.n_rows <= n_items):
            return join(self.batches(), self.n_rows)
        if self.n_rows is not None:
            return join(self.some(self.choose(n_items, random_state)), n_items)
        rng = check_random_state(random_state)
        # Each row draws a number, and those of the smallest numbers are kept.
        kept, draws = [], np.empty(0)
        for batch in self.batches():
            kept.append(batch)
            draws = np.concatenate([draws, rng.random_sample(len(batch))])
            if len(draws) > n_items:
                chosen = np.sort(np.argpartition(draws, n_items)[:n_items])
                kept, draws = [join(kept).of(chosen)], draws[chosen]
        return join(kept)

    def read(self) -> Dataset:
        """Read everything into memory.

        Returns
        -------
        Dataset
            All items that can be read.

        Raises
        ------
        ValueError
            If the data are damaged, hold nothing, or are not what `Dataset` takes, such as images
            of different sizes.
        """
        batch = join(self.batches(), self.n_rows)
        with naming(Path(self.origin)):
            y, label_names = self.number(batch.labels)
            return Dataset(self.name, batch.X, y, label_names, batch.names, source=self.origin)

    def number(
        self, labels: NDArray[Any] | None
    ) -> tuple[NDArray[Any] | None, tuple[str, ...] | None]:
        """Make numbers of labels.

        Parameters
        ----------
        labels : ndarray of shape (n,) or (n, n_labels), or None
            Labels of items of this source.

        Returns
        -------
        y : ndarray of shape (n,), int64, or (n, n_labels), uint8, or None
            Class numbers, or 0/1 columns.
        label_names : tuple of str or None
            Names of the class numbers.
        """
        if labels is None:
            return None, None
        if self.label_names is None:
            return number_labels(labels)
        return np.searchsorted(np.array(self.label_names), labels), self.label_names


class RowSource(Source):
    """Read items any of which can be read without the others.

    Parameters
    ----------
    name : str
        Name of the data.
    origin : str
        Where they come from.
    kind : {"images", "texts", "vectors"}
        What the items are.
    """

    @abstractmethod
    def _count(self) -> int: ...

    @abstractmethod
    def _take(self, rows: NDArray[np.int64]) -> Batch:
        """Read the items of these rows, which are rising."""

    def batches(self, size: int = BATCH_ROWS, start: int = 0) -> Iterator[Batch]:  # noqa: D102
        yield from self.some(np.arange(start, self._count()), size)

    def some(self, rows: NDArray[np.int64], size: int = BATCH_ROWS) -> Iterator[Batch]:  # noqa: D102
        for first in range(0, len(rows), size):
            yield self._take(rows[first : first + size])


class ArraySource(RowSource):
    """Read items of a data set that is in memory, or of a mapped array.

    Parameters
    ----------
    dataset : Dataset
        The items.
    path : pathlib.Path, default=None
        File that they are in.
    """

    def __init__(self, dataset: Dataset, path: Path | None = None) -> None:
        super().__init__(dataset.name, dataset.source, kind_of(dataset.X))
        self.dataset = dataset
        self.path = path

    def _identify(self) -> dict[str, Any] | None:
        return None if self.path is None else {"array": stamp_of([self.path])}

    def _count(self) -> int:
        return len(self.dataset)

    def _take(self, rows: NDArray[np.int64]) -> Batch:
        data = self.dataset
        part: Any = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows
        names = None if data.item_names is None else tuple(data.item_names[i] for i in rows)
        labels = None if data.y is None else data.y[part]
        return Batch(data.X[part], rows, int(rows[-1]) + 1, names, labels)

    def read(self) -> Dataset:  # noqa: D102 - inherited
        if self.dataset.X.flags.writeable:
            return self.dataset
        return replace(self.dataset, X=np.array(self.dataset.X))  # it was mapped


def join(batches: Iterable[Batch], n_rows: int | None = None) -> Batch:
    """Put batches together.

    Parameters
    ----------
    batches : iterable of Batch
        Batches of one source, in their order.
    n_rows : int, default=None
        Items that they hold at most, if it is known; then none is in memory twice.

    Returns
    -------
    Batch
        All their items.

    Raises
    ------
    ValueError
        If there is no item, or items or labels differ in shape.
    """
    parts: list[Batch] = []
    X: NDArray[Any] | None = None
    n_items = stop = 0
    for batch in batches:
        stop = batch.stop
        if not len(batch):
            continue
        if parts and batch.X.shape[1:] != parts[0].X.shape[1:]:
            raise ValueError(
                f"row {batch.rows[0]} has the shape {batch.X.shape[1:]}, the rows before it have "
                f"{parts[0].X.shape[1:]}"
            )
        if n_rows is not None:
            X = np.empty((n_rows, *batch.X.shape[1:]), batch.X.dtype) if X is None else X
            X[n_items : n_items + len(batch)] = batch.X
            batch = replace(batch, X=X[n_items : n_items + len(batch)])
        parts.append(batch)
        n_items += len(batch)
    if not parts:
        some = "no item" if n_rows is None else f"none of {n_rows} items"
        raise ValueError(f"{some} can be read")
    names = [part.names for part in parts if part.names is not None]
    labels = [part.labels for part in parts if part.labels is not None]
    return Batch(
        np.concatenate([part.X for part in parts]) if X is None else X[:n_items],
        np.concatenate([part.rows for part in parts]),
        stop,
        tuple(name for part in names for name in part) if names else None,
        np.concatenate(labels) if labels else None,
    )


def objects(items: Sequence[Any]) -> NDArray[Any]:
    """Put texts, or images of any sizes, into an array of objects.

    Parameters
    ----------
    items : sequence
        Items.

    Returns
    -------
    ndarray of shape (n,), object
        The items; NumPy would otherwise make one array of images that happen to agree in size.
    """
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array
