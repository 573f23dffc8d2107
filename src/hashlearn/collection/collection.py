"""A collection: what an application keeps to search by example."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar

from hashlearn import models
from hashlearn.collection.base import BaseCollection
from hashlearn.collection.contents import check_items, content_of, digest_of, prepared
from hashlearn.collection.database import (
    Change,
    Changes,
    Database,
    about_in,
    change,
    contents_with,
    delete,
    ids_of,
    insert,
    items_with,
    known_rows,
)
from hashlearn.collection.entries import (
    Entries,
    check_keys,
    check_metadata,
    check_same,
    check_texts,
    make_entries,
    merged,
)
from hashlearn.collection.filters import Where, select_ids
from hashlearn.collection.items import Added, Content, Found, Item, Verification
from hashlearn.collection.maintenance import export, hasher_file, rebuild, verify
from hashlearn.collection.searching import Query, find, ids_where
from hashlearn.encoding import item_kind
from hashlearn.index import HammingIndex
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.partial import Progress
from hashlearn.storage import making_folder


@dataclass(frozen=True)
class _State:
    """What a search needs: they belong together, and a rebuild replaces them together."""

    model: Model
    index: HammingIndex
    generation: int


class Collection(BaseCollection):
    """Keep items, their codes and the hasher in a folder, and search them by example.

    The folder holds a SQLite database of the items (key, source, caption, label, metadata, code,
    and of the items themselves what stands in no file) and the file of the hasher. An index over
    the codes is in memory. Every write is a transaction: it is on the disk when the call returns,
    and after a crash it is there as a whole or not at all. One process writes at a time, and others
    wait for it; any number read, and see what was written at their next call.

    Use :meth:`create` or :meth:`open`, not the constructor.

    Parameters
    ----------
    path : pathlib.Path
        Folder.
    read_only : bool
        Whether nothing may be written.
    threads : int or None
        Threads of a search; None takes every processor.

    Examples
    --------
    >>> import tempfile, hashlearn
    >>> X = np.random.default_rng(0).normal(size=(50, 8))
    >>> hasher = hashlearn.get_method("itq")(8).fit(X)
    >>> with Collection.create(hasher, Path(tempfile.mkdtemp()) / "points.collection") as points:
    ...     added = points.add(X, keys=[f"p{i}" for i in range(50)])
    ...     points.search(X[7], k=1).hits[0].distance
    0
    """

    def __init__(self, path: Path, *, read_only: bool, threads: int | None) -> None:
        self.path = path
        self._threads = threads
        self._database = Database(path, read_only=read_only)
        self._changes = Changes(self._database)
        self._following = threading.Lock()
        self._present: _State | None = None
        try:
            self._state()  # reads the codes, so that errors come now
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(
        cls,
        hasher: Model,
        path: str | os.PathLike[str],
        *,
        keep_originals: bool = True,
        threads: int | None = None,
    ) -> Self:
        """Make an empty collection.

        Parameters
        ----------
        hasher : Hasher or Pipeline
            Fitted model that makes the codes.
        path : path-like
            Folder to make.
        keep_originals : bool, default=True
            Whether vectors, and images that stand in no file, are kept as they are. They are needed
            to rebuild the collection with another hasher, and to re-rank when searching by key.
            Texts are always kept.
        threads : int, default=None
            Threads of a search. None takes every processor.

        Returns
        -------
        Collection
            The collection, open.

        Raises
        ------
        FileExistsError
            If there is something at `path`.
        FileNotFoundError
            If the folder around it does not exist.
        TypeError
            If the model cannot be saved.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        """
        with making_folder(path) as made:
            model_file = hasher_file()
            models.save(hasher, made / model_file)
            Database.create(
                made,
                {
                    "kind": item_kind(steps_of(hasher)[0]),
                    "n_bits": int(hasher_of(hasher).n_bits),
                    "hasher": model_file,
                    "generation": 1,
                    "keep_originals": int(bool(keep_originals)),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                },
            )
        return cls.open(path, threads=threads)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        threads: int | None = None,
    ) -> Self:
        """Open a collection.

        Parameters
        ----------
        path : path-like
            Its folder.
        read_only : bool, default=False
            Whether nothing may be written.
        threads : int, default=None
            Threads of a search. None takes every processor.

        Returns
        -------
        Collection
            The collection. It must be closed, or used in a ``with`` block.

        Raises
        ------
        FileNotFoundError
            If there is none.
        ValueError
            If a file of it is damaged, foreign or of a newer format; names the file.
        """
        return cls(Path(path), read_only=read_only, threads=threads)

    def close(self) -> None:
        """Wait for what is being written, and close the database."""
        with self._following:
            self._changes.close()
            self._database.close()

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(
            self._database.read("SELECT 1 FROM items WHERE key = ?", [key])
        )

    def __repr__(self) -> str:
        name = type(hasher_of(self.model)).__name__
        return (
            f"<Collection of {len(self)} {self.kind}, {name} with {self.n_bits} bits: {self.path}>"
        )

    @property
    def read_only(self) -> bool:
        """Whether nothing may be written."""
        return self._database.read_only

    @property
    def model(self) -> Model:
        """The fitted hasher, or the pipeline that ends in it."""
        return self._state().model

    @property
    def index(self) -> HammingIndex:
        """The codes as they are now, under the ids of the database."""
        return self._state().index

    @property
    def n_bits(self) -> int:
        """Length of a code."""
        return self.index.n_bits

    @property
    def generation(self) -> int:
        """Number of the hasher: 1 at first, one more after each rebuild."""
        return self._state().generation

    def _state(self) -> _State:
        """Take in what was written since, by this process or another."""
        with self._following, self._database.naming():
            while self._present is None or self._changes.are_there:
                change = self._changes.read()
                if self._present is None or change.is_all:
                    self._present = self._started(change)
                index = self._present.index
                index.add(change.codes, change.ids)
                index.remove([id_ for id_ in change.removed if id_ in index])
            return self._present

    def _started(self, change: Change) -> _State:
        """Begin anew with the hasher of a change."""
        generation = int(change.about["generation"])
        before = self._present
        if before is not None and before.generation == generation:
            model = before.model
        else:
            model = models.load(self.path / change.about["hasher"])
        n_bits = int(change.about["n_bits"])
        if hasher_of(model).n_bits != n_bits:
            raise ValueError(
                f"{self.path / change.about['hasher']} makes codes of {hasher_of(model).n_bits} "
                f"bits, and the collection has {n_bits}"
            )
        return _State(model, HammingIndex(n_bits, threads=self._threads), generation)

    def add(  # noqa: D102 - inherited
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
        self._database.check_writable()
        entries = make_entries(
            self.kind, items, keys=keys, sources=sources, captions=captions, labels=labels,
            metadata=metadata,
        )  # fmt: skip
        with self._database.naming():
            known = known_rows(self._database.reader, entries.keys)
        check_same(entries, known)
        new = entries.of([i for i, key in enumerate(entries.keys) if key not in known])
        n_added = self._insert(new, in_files) if len(new) else 0
        return Added(n_added, len(entries) - n_added)

    def _insert(self, entries: Entries, in_files: bool) -> int:
        """Encode entries and insert those whose keys are still free; give their number."""
        keep = bool(self._database.about()["keep_originals"])
        kept = entries.contents(self.kind, keep=keep, in_files=in_files)
        with self._writing(entries.items) as (connection, codes):
            known = known_rows(connection, entries.keys)
            check_same(entries, known)
            places = [i for i, key in enumerate(entries.keys) if key not in known]
            insert(connection, entries.of(places).rows, codes[places], [kept[i] for i in places])
        return len(places)

    def update(  # noqa: D102 - inherited
        self,
        keys: Sequence[str],
        items: Any = None,
        *,
        sources: Sequence[str | None] | None = None,
        captions: Sequence[str | None] | None = None,
        labels: Sequence[str | None] | None = None,
        metadata: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self._database.check_writable()
        names, n = check_keys(keys), len(keys)
        columns = (
            None if sources is None else check_texts("sources", sources, n),
            None if captions is None else check_texts("captions", captions, n),
            None if labels is None else check_texts("labels", labels, n),
            None if metadata is None else check_metadata(metadata, n),
        )
        if items is None:
            with self._database.writing() as connection:
                ids = ids_of(connection, names)
                known = known_rows(connection, names)
                change(connection, ids, merged(names, known, None, *columns))
            return
        checked = check_items(items, self.kind)
        if len(checked) != n:
            raise ValueError(f"there are {n} keys for {len(checked)} items")
        digests = [digest_of(item) for item in checked]
        keep = bool(self._database.about()["keep_originals"])
        kept = [content_of(item, self.kind, keep=keep, in_file=False) for item in checked]
        with self._writing(checked) as (connection, codes):
            ids = ids_of(connection, names)
            known = known_rows(connection, names)
            delete(connection, ids)
            insert(connection, merged(names, known, digests, *columns), codes, kept)

    def remove(self, keys: Sequence[str]) -> None:  # noqa: D102 - inherited
        names = check_keys(keys)
        with self._database.writing() as connection:
            delete(connection, ids_of(connection, names))

    @contextmanager
    def _writing(
        self, items: Sequence[Any]
    ) -> Iterator[tuple[sqlite3.Connection, NDArray[np.uint8]]]:
        """Encode items and write in one transaction, by the hasher that is in place then."""
        while True:
            state = self._state()
            codes = models.encode(state.model, prepared(state.model, items))
            with self._database.writing() as connection:
                if about_in(connection)["generation"] == state.generation:
                    yield connection, codes
                    return
                # another process has put in another hasher in the meantime

    def get(self, keys: Sequence[str]) -> list[Item]:  # noqa: D102 - inherited
        with self._database.naming():
            ids = ids_of(self._database.reader, keys)
            found = items_with(self._database.reader, ids)
        if missing := [key for key, id_ in zip(keys, ids, strict=True) if id_ not in found]:
            raise KeyError(f"there is no item {missing[0]!r}")  # it went between the two
        return [found[id_] for id_ in ids]

    def list(  # noqa: D102 - inherited
        self, n: int = 100, *, after: str | None = None, where: Where | None = None
    ) -> list[Item]:
        check_scalar(n, "n", Integral, min_val=0)
        with self._database.naming():
            first = -1 if after is None else ids_of(self._database.reader, [after])[0]
            sql, parameters = select_ids(where or {})
            rows = self._database.read(
                f"SELECT id FROM ({sql}) WHERE id > ? ORDER BY id LIMIT ?", [*parameters, first, n]
            )
            found = items_with(self._database.reader, [id_ for (id_,) in rows])
        return [found[id_] for (id_,) in rows if id_ in found]

    def with_ids(self, ids: ArrayLike) -> dict[int, Item]:  # noqa: D102 - inherited
        with self._database.naming():
            return items_with(self._database.reader, np.asarray(ids, np.int64).tolist())

    def ids(self, where: Where | None = None) -> NDArray[np.int64]:  # noqa: D102 - inherited
        return ids_where(self._database, where or {})

    def count(self, where: Where | None = None) -> int:  # noqa: D102 - inherited
        sql, parameters = select_ids(where or {})
        return int(self._database.read(f"SELECT count(*) FROM ({sql})", parameters)[0][0])

    def fields(self, n_values: int = 50) -> dict[str, dict[Any, int]]:  # noqa: D102 - inherited
        rows = self._database.read(
            "SELECT name, value, n FROM (SELECT name, value, count(*) AS n, row_number() OVER "
            "(PARTITION BY name ORDER BY count(*) DESC, value) AS place FROM fields "
            "GROUP BY name, value) WHERE place <= ? ORDER BY name, place",
            [check_scalar(n_values, "n_values", Integral, min_val=1)],
        )
        found: dict[str, dict[Any, int]] = {}
        for name, value, n in rows:
            found.setdefault(name, {})[value] = n
        return found

    def content(self, key: str) -> Content | None:  # noqa: D102 - inherited
        with self._database.naming():
            (id_,) = ids_of(self._database.reader, [key])
            return contents_with(self._database.reader, [id_]).get(id_)

    def _check_writable(self) -> None:
        self._database.check_writable()

    def _find(
        self,
        query: Callable[[Model], Query],
        k: int | None,
        radius: int | None,
        where: Where | None,
    ) -> Found:
        """Search until index and database agree: others may write in between."""
        while True:
            state = self._state()
            asked = query(state.model)
            found = find(
                self._database, state.index, asked, k=k, radius=radius, where=where or None
            )
            if found is not None and self._state() is state:
                return found

    def rebuild(self, hasher: Model, *, progress: Progress | None = None) -> None:
        """Encode all items with another hasher, and put it in the place of the present one.

        Until it is done, searches find what they found before; a crash leaves the collection as it
        was. Items that others add in the meantime are encoded too.

        Parameters
        ----------
        hasher : Hasher or Pipeline
            Fitted model that takes the same items.
        progress : callable, default=None
            Called with ``"codes"``, the number of items that are done and that of all.

        Raises
        ------
        TypeError
            If the model cannot be saved.
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        ValueError
            If it takes other items, or items are not kept and stand in no file.
        PermissionError
            If the collection is open for reading only.
        """
        self._database.check_writable()
        rebuild(self, self._database, hasher, progress)

    def verify(self) -> Verification:
        """Check every file, every item and every code.

        Returns
        -------
        Verification
            What is wrong, if something is.
        """
        return verify(self, self._database)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write the items and their codes into a Parquet file.

        Parameters
        ----------
        path : path-like
            File to create or replace, with the columns ``key``, ``source``, ``caption``, ``label``,
            ``metadata`` (JSON) and ``code`` (binary of fixed length).

        Raises
        ------
        ImportError
            If pyarrow is not installed.
        """
        export(self, self._database, Path(path))
