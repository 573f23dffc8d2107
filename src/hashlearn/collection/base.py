"""What every collection does, wherever it keeps its items."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn import models
from hashlearn.codes import check_codes
from hashlearn.collection.contents import check_items, original_of, prepared
from hashlearn.collection.entries import files_of, labels_of
from hashlearn.collection.filters import Where
from hashlearn.collection.items import Added, Content, Found, Item
from hashlearn.collection.searching import Query, check_extent
from hashlearn.data import Source, open_source
from hashlearn.data.dataset import Kind
from hashlearn.encoding import ahead, divided, item_kind, rows_of
from hashlearn.models import Model, steps_of
from hashlearn.partial import Progress


class BaseCollection(ABC):
    """Search items by example, and take them in from sources.

    What keeps items writes the rest: a folder (:class:`~hashlearn.collection.Collection`), or a
    store (:class:`~hashlearn.integrations.milvus.MilvusCollection`).
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def kind(self) -> Kind:
        """What the items are: ``"images"``, ``"texts"`` or ``"vectors"``."""
        return item_kind(steps_of(self.model)[0])

    @property
    @abstractmethod
    def model(self) -> Model:
        """The fitted hasher, or the pipeline that ends in it."""

    @property
    @abstractmethod
    def n_bits(self) -> int:
        """Length of a code."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is open."""

    @abstractmethod
    def add(
        self,
        items: Any,
        *,
        keys: Sequence[str] | None = None,
        sources: Sequence[str | None] | None = None,
        captions: Sequence[str | None] | None = None,
        labels: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
        in_files: bool = False,
    ) -> Added:
        """Add items: all, or after an error none.

        Parameters
        ----------
        items : sequence of ndarray or of str, or ndarray
            Images, uint8 of shape (h, w) or (h, w, c), of any size; texts; or vectors, (n, d).
        keys : sequence of str, default=None
            A name for each. None makes one of what the item is, so that the same item is added
            once.
        sources : sequence of str or None, default=None
            Where each comes from.
        captions : sequence of str or None, default=None
            What people read of each.
        labels : sequence of str or None, default=None
            Class of each.
        metadata : sequence of mapping, default=None
            Whatever else is known of each, as values that JSON can hold.
        in_files : bool, default=False
            Whether `sources` are the paths of the images. Then the collection has no copy of them,
            only small pictures.

        Returns
        -------
        Added
            How many are new. Items that are there already, the same in everything, are left as they
            are and not encoded again.

        Raises
        ------
        TypeError
            If something has the wrong type.
        KeysTakenError
            If a key is there with another item.
        ValueError
            If a key is given twice, numbers do not agree, or the items are not what the hasher
            takes.
        OSError
            If nothing can be written: the collection is open for reading only, or what keeps it
            refuses or cannot be reached.
        """

    @abstractmethod
    def update(
        self,
        keys: Sequence[str],
        items: Any = None,
        *,
        sources: Sequence[str | None] | None = None,
        captions: Sequence[str | None] | None = None,
        labels: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Change items that are there: all, or after an error none.

        Parameters
        ----------
        keys : sequence of str
            Their keys.
        items : sequence of ndarray or of str, or ndarray, default=None
            The items anew, as in :meth:`add`. None leaves them.
        sources : sequence of str or None, default=None
            As in :meth:`add`. None leaves them, and so below.
        captions : sequence of str or None, default=None
            As in :meth:`add`.
        labels : sequence of str or None, default=None
            As in :meth:`add`.
        metadata : sequence of mapping, default=None
            As in :meth:`add`; replaces all metadata of an item.

        Raises
        ------
        KeyError
            If a key is not there; names some.
        TypeError
            If something has the wrong type.
        ValueError
            If a key is given twice, numbers do not agree, or the items are not what the hasher
            takes; or `sources` change of images that are in files, and not the items.
        OSError
            If nothing can be written: the collection is open for reading only, or what keeps it
            refuses or cannot be reached.
        """

    @abstractmethod
    def remove(self, keys: Sequence[str]) -> None:
        """Remove items: all, or after an error none.

        Parameters
        ----------
        keys : sequence of str
            Their keys.

        Raises
        ------
        KeyError
            If one is not there; names some.
        OSError
            If nothing can be written: the collection is open for reading only, or what keeps it
            refuses or cannot be reached.
        """

    @abstractmethod
    def get(self, keys: Sequence[str]) -> list[Item]:
        """Read items.

        Parameters
        ----------
        keys : sequence of str
            Their keys.

        Returns
        -------
        list of Item
            In the order of the keys.

        Raises
        ------
        KeyError
            If one is not there; names some.
        """

    @abstractmethod
    def list(
        self, n: int = 100, *, after: str | None = None, where: Where | None = None
    ) -> list[Item]:
        """Read items in the order in which they were added.

        Parameters
        ----------
        n : int, default=100
            How many at most.
        after : str, default=None
            Key of the item after which to begin. None begins with the first.
        where : mapping, default=None
            Conditions, as :func:`~hashlearn.collection.filters.select_ids` takes them.

        Returns
        -------
        list of Item
            The items.

        Raises
        ------
        KeyError
            If there is no item `after`.
        TypeError
            If a condition has the wrong type.
        ValueError
            If a condition is malformed.
        """

    @abstractmethod
    def with_ids(self, ids: ArrayLike) -> dict[int, Item]:
        """Read items by their ids in the index.

        Parameters
        ----------
        ids : array-like of shape (n,), int
            Ids.

        Returns
        -------
        dict of int to Item
            The items; those that are not there are left out.
        """

    @abstractmethod
    def ids(self, where: Where | None = None) -> NDArray[np.int64]:
        """Give the ids in the index of the items for which conditions hold.

        Parameters
        ----------
        where : mapping, default=None
            Conditions, as in :meth:`list`. None gives all.

        Returns
        -------
        ndarray of shape (n,), int64
            Ids, rising.

        Raises
        ------
        TypeError
            If a condition has the wrong type.
        ValueError
            If a condition is malformed.
        """

    @abstractmethod
    def count(self, where: Where | None = None) -> int:
        """Count items.

        Parameters
        ----------
        where : mapping, default=None
            Conditions, as in :meth:`list`. None counts all.

        Returns
        -------
        int
            Number of items.

        Raises
        ------
        TypeError
            If a condition has the wrong type.
        ValueError
            If a condition is malformed.
        """

    @abstractmethod
    def fields(self, n_values: int = 50) -> dict[str, dict[Any, int]]:
        """Count the values by which items can be found.

        Parameters
        ----------
        n_values : int, default=50
            How many values of a field at most, the most frequent ones.

        Returns
        -------
        dict of str to dict
            For ``label`` and each field of the metadata, values and how many items have them.
        """

    @abstractmethod
    def content(self, key: str) -> Content | None:
        """Read what is kept of an item itself.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        Content or None
            A picture, a text or a vector; None of a vector of which nothing is kept.

        Raises
        ------
        KeyError
            If there is no such item.
        """

    @abstractmethod
    def _check_writable(self) -> None:
        """Refuse to write where nothing may be written."""

    @abstractmethod
    def _find(
        self,
        query: Callable[[Model], Query],
        k: int | None,
        radius: int | None,
        where: Where | None,
    ) -> Found:
        """Search by what a function makes with the model."""

    def add_source(self, data: Any, *, progress: Progress | None = None, **options: Any) -> Added:
        """Add the items of a folder, file or data set a batch at a time, each batch as a whole.

        After an interruption the same call adds the rest: items that are there are not encoded
        again.

        Parameters
        ----------
        data : str, path-like, Dataset, ndarray, datasets.Dataset or Source
            What :func:`~hashlearn.data.open_source` takes. Names of the items, or else row numbers,
            are the keys.
        progress : callable, default=None
            Called with ``"items"``, the number of rows that are done and that of all, if it is
            known.
        **options : object
            Options of :func:`~hashlearn.data.open_source`.

        Returns
        -------
        Added
            How many are new.

        Raises
        ------
        ValueError
            If the data cannot be read, are not what the hasher takes, or a key is there with
            another item (`KeysTakenError`).
        OSError
            If nothing can be written: the collection is open for reading only, or what keeps it
            refuses or cannot be reached.
        """
        self._check_writable()
        if not isinstance(data, Source):
            data = open_source(data, same_size=False, **options)
        if data.kind != self.kind:
            raise ValueError(f"{data.origin} holds {data.kind}, and the hasher takes {self.kind}")
        n_added = n_known = 0
        for batch in ahead(data.batches(rows_of(data, divided(self.model)[0]))):
            if len(batch):
                labels, metadata = labels_of(data, batch.labels)
                files = files_of(data, batch) if data.kind == "images" else None
                added = self.add(
                    batch.X, keys=batch.names or [str(row) for row in batch.rows], sources=files,
                    labels=labels, metadata=metadata, in_files=files is not None,
                )  # fmt: skip
                n_added, n_known = n_added + added.n_added, n_known + added.n_known
            if progress is not None:
                progress("items", batch.stop, data.n_rows)
        return Added(n_added, n_known)

    def original(self, key: str) -> Any:
        """Read an item itself, from the collection or from its file.

        Parameters
        ----------
        key : str
            Its key.

        Returns
        -------
        ndarray of shape (h, w, 3), uint8, or (d,), float32; or str
            Image, vector or text.

        Raises
        ------
        KeyError
            If there is no such item.
        ValueError
            If neither the collection nor a file has all of it, or the file is damaged.
        """
        content = self.content(key)
        (item,) = self.get([key])
        return original_of(item, content)

    def search(
        self,
        item: Any,
        k: int | None = 10,
        *,
        radius: int | None = None,
        where: Where | None = None,
        rerank: bool = False,
    ) -> Found:
        """Find the items whose codes are nearest to that of a new image, text or vector.

        Parameters
        ----------
        item : ndarray of shape (h, w) or (h, w, c), uint8, or (d,), real; or str
            Image, vector or text.
        k : int, default=10
            How many at most. None takes all within `radius`.
        radius : int, default=None
            Largest distance in bits. None sets none.
        where : mapping, default=None
            Conditions on the items, as in :meth:`list`.
        rerank : bool, default=False
            Whether to rank the nearest ``10 k``, 100 at least, by their weighted distance, which
            tells what is lost by rounding the query to bits.

        Returns
        -------
        Found
            The items.

        Raises
        ------
        TypeError
            If something has the wrong type.
        ValueError
            If the item is not what the hasher takes, a number is out of range, a condition is
            malformed, or both `k` and `radius` are None.
        """
        check_extent(k, radius)
        checked = check_items([item], self.kind)

        def query(model: Model) -> Query:
            inputs = prepared(model, checked)
            values = models.project(model, inputs)[0] if rerank else None
            return Query(models.encode(model, inputs)[0], values)

        return self._find(query, k, radius, where)

    def search_key(
        self,
        key: str,
        k: int | None = 10,
        *,
        radius: int | None = None,
        where: Where | None = None,
        rerank: bool = False,
    ) -> Found:
        """Find the items whose codes are nearest to that of an item, without itself.

        Parameters
        ----------
        key : str
            Key of the item.
        k : int, default=10
            As in :meth:`search`.
        radius : int, default=None
            As in :meth:`search`.
        where : mapping, default=None
            As in :meth:`search`.
        rerank : bool, default=False
            As in :meth:`search`; the collection or a file must have all of the item.

        Returns
        -------
        Found
            The items.

        Raises
        ------
        KeyError
            If there is no such item.
        TypeError
            If something has the wrong type.
        ValueError
            If a number is out of range, a condition is malformed, both `k` and `radius` are None,
            or re-ranking needs an item that is not kept.
        """
        check_extent(k, radius)

        def query(model: Model) -> Query:
            (item,) = self.get([key])
            values = None
            if rerank:
                original = original_of(item, self.content(key))
                values = models.project(model, prepared(model, [original]))[0]
            return Query(item.code, values, key)

        return self._find(query, k, radius, where)

    def search_code(
        self,
        code: ArrayLike,
        k: int | None = 10,
        *,
        radius: int | None = None,
        where: Where | None = None,
    ) -> Found:
        """Find the items whose codes are nearest to a code.

        Parameters
        ----------
        code : array-like of shape (ceil(n_bits / 8),), uint8
            Packed code.
        k : int, default=10
            As in :meth:`search`.
        radius : int, default=None
            As in :meth:`search`.
        where : mapping, default=None
            As in :meth:`search`.

        Returns
        -------
        Found
            The items.

        Raises
        ------
        TypeError
            If something has the wrong type.
        ValueError
            If the code has another length, a number is out of range, a condition is malformed, or
            both `k` and `radius` are None.
        """
        check_extent(k, radius)
        (checked,) = check_codes(np.asarray(code)[None], self.n_bits)
        return self._find(lambda _: Query(checked), k, radius, where)
