"""Collections in Milvus, with the interface of a collection in a folder."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from hashlearn import models
from hashlearn.codes import n_bytes
from hashlearn.collection.base import BaseCollection
from hashlearn.collection.contents import check_items, content_of, digest_of, prepared
from hashlearn.collection.database import Row
from hashlearn.collection.entries import (
    check_keys,
    check_metadata,
    check_same,
    check_texts,
    make_entries,
    merged,
)
from hashlearn.collection.filters import Where, fields_of
from hashlearn.collection.items import Added, Content, Found, Item
from hashlearn.collection.searching import Query, hits_of
from hashlearn.index.ranking import candidates_for, weighted_distances
from hashlearn.integrations._milvus_client import MAX_HITS, Client
from hashlearn.integrations._milvus_parts import PART_FIELDS, Parts, place_of, sizes_in
from hashlearn.integrations._milvus_search import ALL, filter_of, ids_in_order, nearest
from hashlearn.integrations._milvus_tables import (
    ITEM,
    code_of,
    content_in,
    ids_after,
    item_fields,
    item_of,
    key_of,
    record_of,
    row_of,
)
from hashlearn.models import Model, hasher_of

FORMAT = 1
"""Number of the format that this version writes and reads."""

_LEVELS = ("Strong", "Bounded", "Session", "Eventually")
_ABOUT = "about"
_ABOUT_BYTES = 1024  # what is said of a collection, filled up with spaces


class MilvusCollection(BaseCollection):
    """Keep items, their codes and the hasher in Milvus, and search them by example.

    The methods are those of :class:`hashlearn.Collection`, with the same arguments, results and
    conditions; a file of Milvus Lite becomes a cluster by another `uri`. The tables are ``NAME``,
    the items with their codes, and ``NAME_parts``, the hasher and what is kept of the items. Any
    program that has the address opens the collection.

    Use :meth:`create` or :meth:`open`, not the constructor.

    Parameters
    ----------
    client : Client
        Connection, which the collection closes.
    name : str
        Name of the collection.

    Notes
    -----
    Milvus has no transactions. Input is checked before anything is written; if Milvus fails in the
    middle, what was written stays, and the same call again adds the rest. Two programs that add
    different items under one key at the same time leave the later one, and neither sees an error.
    With the consistency level ``"Strong"`` a search sees every write that was acknowledged.

    Hits are in the order (distance, order of adding) as in a folder, unless more than 16,384 items
    are as far as the last one: then Milvus chooses among those. The order of adding is that of the
    clocks of those who added.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name
        self._parts = Parts(client, f"{name}_parts")
        self._last_id = 0
        self._about = self._read_about()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "hasher"
            path.write_bytes(self._parts.read("hasher", self._about["hasher_bytes"]))
            self._model = models.load(path)

    @classmethod
    def create(
        cls,
        hasher: Model,
        uri: str,
        *,
        name: str = "items",
        token: str = "",
        keep_originals: bool = True,
        consistency_level: str = "Strong",
    ) -> Self:
        """Make an empty collection.

        Parameters
        ----------
        hasher : Hasher or Pipeline
            Fitted model that makes the codes.
        uri : str
            Address of a server, as ``"http://localhost:19530"``, or a file ``*.db`` for Milvus
            Lite, made where it is missing.
        name : str, default="items"
            Name of the collection: letters, digits and underscores.
        token : str, default=""
            What the server asks for, as ``"user:password"``.
        keep_originals : bool, default=True
            Whether vectors, and images that stand in no file, are kept as they are. They are needed
            to re-rank when searching by key. Texts are always kept.
        consistency_level : {"Strong", "Bounded", "Session", "Eventually"}, default="Strong"
            Which writes a search sees, as Milvus has it.

        Returns
        -------
        MilvusCollection
            The collection, open.

        Raises
        ------
        ImportError
            If pymilvus, or for a file milvus-lite, is not installed.
        FileExistsError
            If there is such a collection.
        FileNotFoundError
            If the folder around a file does not exist.
        TypeError
            If the model cannot be saved.
        ValueError
            If the name or the consistency level is not allowed.
        OSError
            If Milvus refuses or cannot be reached.
        sklearn.exceptions.NotFittedError
            If the model is not fitted.
        """
        check_is_fitted(hasher_of(hasher))
        data = models.file_bytes(hasher)
        client = _connect(uri, token, name, consistency_level)
        tables = [f"{name}_parts", name]
        try:
            for table in tables:
                if client.run("has_collection", table):
                    raise FileExistsError(f"{uri} has a collection {table} already")
            try:
                client.make_table(tables[0], PART_FIELDS)
                about: dict[str, Any] = {
                    "format": FORMAT,
                    "n_bits": int(hasher_of(hasher).n_bits),
                    "hasher_bytes": len(data),
                    "keep_originals": bool(keep_originals),
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                text = json.dumps(about).ljust(_ABOUT_BYTES).encode()
                Parts(client, tables[0]).write({"hasher": data, _ABOUT: text})
                client.make_table(name, item_fields(n_bytes(about["n_bits"])))
                return cls(client, name)
            except BaseException:
                for table in tables:
                    client.run("drop_collection", table)
                raise
        except BaseException:
            client.close()
            raise

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        name: str = "items",
        token: str = "",
        consistency_level: str = "Strong",
    ) -> Self:
        """Open a collection.

        Parameters
        ----------
        uri : str
            As for :meth:`create`.
        name : str, default="items"
            Name of the collection.
        token : str, default=""
            As for :meth:`create`.
        consistency_level : {"Strong", "Bounded", "Session", "Eventually"}, default="Strong"
            As for :meth:`create`, for what is read through this object.

        Returns
        -------
        MilvusCollection
            The collection. It must be closed, or used in a ``with`` block.

        Raises
        ------
        ImportError
            If pymilvus, or for a file milvus-lite, is not installed.
        FileNotFoundError
            If there is none.
        ValueError
            If it is damaged, foreign or of a newer format.
        OSError
            If Milvus refuses or cannot be reached.
        """
        if uri.endswith(".db") and not Path(uri).exists():
            raise FileNotFoundError(f"there is no file {uri}")
        client = _connect(uri, token, name, consistency_level)
        try:
            for table in (name, f"{name}_parts"):
                if not client.run("has_collection", table):
                    raise FileNotFoundError(f"{uri} has no collection {table}")
            return cls(client, name)
        except BaseException:
            client.close()
            raise

    def close(self) -> None:
        """Close the connection; of a file, end its server with the last collection in it."""
        self._client.close()

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and bool(self._records([key], ["id"]))

    def __repr__(self) -> str:
        method = type(hasher_of(self.model)).__name__
        return (
            f"<MilvusCollection of {self.kind}, {method} with {self.n_bits} bits: "
            f"{self.name} in {self._client.uri}>"
        )

    @property
    def model(self) -> Model:
        """The fitted hasher, or the pipeline that ends in it."""
        return self._model

    @property
    def n_bits(self) -> int:
        """Length of a code."""
        return int(self._about["n_bits"])

    def _read_about(self) -> dict[str, Any]:
        try:
            about = json.loads(self._parts.read(_ABOUT, _ABOUT_BYTES))
            number = about["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.name} in {self._client.uri} is not of hashlearn") from error
        if number > FORMAT:
            raise ValueError(
                f"{self.name} has format {number}, and this version reads up to {FORMAT}: it was "
                "written by a newer version"
            )
        return dict(about)

    def _check_writable(self) -> None:
        """Let everyone write: Milvus itself knows who may."""

    def _records(self, keys: Sequence[str], fields: list[str]) -> dict[str, dict[str, Any]]:
        """Read records by key, without those that are not there."""
        places = {key_of(key): key for key in keys}
        found = self._client.rows(self.name, list(places), fields)
        return {places[place]: record for place, record in found.items()}

    def _records_of(self, keys: Sequence[str], fields: list[str]) -> list[dict[str, Any]]:
        """Read records by key, all of them."""
        found = self._records(keys, fields)
        if missing := [key for key in keys if key not in found]:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise KeyError(f"there is no item {', '.join(map(repr, missing[:3]))}{more}")
        return [found[key] for key in keys]

    def _items(self, places: Sequence[str]) -> dict[str, Item]:
        """Read items by primary key."""
        found = self._client.rows(self.name, places, ITEM)
        return {place: item_of(found[place]) for place in places if place in found}

    def _write(
        self,
        rows: Sequence[Row],
        ids: Sequence[int],
        codes: Sequence[bytes],
        contents: Sequence[Content | None],
    ) -> None:
        """Write items; first what is kept of them, so that no row names what is not there."""
        owners = [f"{key_of(row[0])}-{id_}" for row, id_ in zip(rows, ids, strict=True)]
        named = [
            None if content is None else place_of(content, owner)
            for content, owner in zip(contents, owners, strict=True)
        ]
        records = [record_of(*one) for one in zip(rows, ids, codes, named, strict=True)]
        self._parts.write(
            {o: content.data for o, content in zip(owners, contents, strict=True) if content}
        )
        self._client.write(self.name, records)

    def _new_ids(self, n: int) -> list[int]:
        ids: list[int] = ids_after(self._last_id, n).tolist()
        self._last_id = ids[-1]
        return ids

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
        entries = make_entries(
            self.kind, items, keys=keys, sources=sources, captions=captions, labels=labels,
            metadata=metadata,
        )  # fmt: skip
        records = self._records(entries.keys, ["key", "item", "state"])
        known = {key: row_of(record) for key, record in records.items()}
        check_same(entries, known)
        new = entries.of([i for i, key in enumerate(entries.keys) if key not in known])
        if len(new):
            keep = self._about["keep_originals"]
            kept = new.contents(self.kind, keep=keep, in_files=in_files)
            codes = models.encode(self.model, prepared(self.model, new.items))
            self._write(new.rows, self._new_ids(len(new)), [c.tobytes() for c in codes], kept)
        return Added(len(new), len(entries) - len(new))

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
        names, n = check_keys(keys), len(keys)
        columns = (
            None if sources is None else check_texts("sources", sources, n),
            None if captions is None else check_texts("captions", captions, n),
            None if labels is None else check_texts("labels", labels, n),
            None if metadata is None else check_metadata(metadata, n),
        )
        checked = None if items is None else check_items(items, self.kind)
        if checked is not None and len(checked) != n:
            raise ValueError(f"there are {n} keys for {len(checked)} items")
        records = self._records_of(names, ["id", *ITEM, "state"])
        known = {record["key"]: row_of(record) for record in records}
        if checked is None:
            changed = [
                record_of(row, record["id"], code_of(record), content_in(record))
                for row, record in zip(merged(names, known, None, *columns), records, strict=True)
            ]
            self._client.write(self.name, changed)
            return
        rows = merged(names, known, [digest_of(item) for item in checked], *columns)
        keep = self._about["keep_originals"]
        kept = [content_of(item, self.kind, keep=keep, in_file=False) for item in checked]
        codes = models.encode(self.model, prepared(self.model, checked))
        self._write(rows, self._new_ids(n), [code.tobytes() for code in codes], kept)
        self._parts.delete(sizes_in(records))

    def remove(self, keys: Sequence[str]) -> None:  # noqa: D102 - inherited
        records = self._records_of(check_keys(keys), ["state"])
        self._client.delete(self.name, [record["pk"] for record in records])
        self._parts.delete(sizes_in(records))

    def get(self, keys: Sequence[str]) -> list[Item]:  # noqa: D102 - inherited
        return [item_of(record) for record in self._records_of(keys, ITEM)]

    def with_ids(self, ids: ArrayLike) -> dict[int, Item]:  # noqa: D102 - inherited
        wanted = np.asarray(ids, np.int64).tolist()
        found: dict[int, Item] = {}
        for start in range(0, len(wanted), 200):
            listed = ", ".join(map(str, wanted[start : start + 200]))
            rows = self._client.query(self.name, f"id in [{listed}]", ["id", *ITEM], MAX_HITS)
            found |= {row["id"]: item_of(row) for row in rows}
        return found

    def ids(self, where: Where | None = None) -> NDArray[np.int64]:  # noqa: D102 - inherited
        return np.array([id_ for id_, _ in self._in_order(where, -1, ALL)], np.int64)

    def count(self, where: Where | None = None) -> int:  # noqa: D102 - inherited
        return self._client.count(self.name, self._filter(where))

    def fields(self, n_values: int = 50) -> dict[str, dict[Any, int]]:  # noqa: D102 - inherited
        check_scalar(n_values, "n_values", Integral, min_val=1)
        counted: dict[str, Counter[Any]] = {}
        places = [place for _, place in self._in_order(None, -1, ALL)]
        for start in range(0, len(places), 1000):
            for item in self._items(places[start : start + 1000]).values():
                for field, value in fields_of(item.label, item.metadata):
                    counted.setdefault(field, Counter())[value] += 1

        def place(one: tuple[Any, int]) -> Any:
            return -one[1], isinstance(one[0], str), one[0]

        return {
            field: dict(sorted(counted[field].items(), key=place)[:n_values])
            for field in sorted(counted)
        }

    def content(self, key: str) -> Content | None:  # noqa: D102 - inherited
        (record,) = self._records_of([key], ["state"])
        said = content_in(record)
        if said is None:
            return None
        data = self._parts.read(said["data"], said.pop("n_bytes"))
        return Content(**{**said, "data": data})

    def _in_order(self, where: Where | None, after: int, n: int) -> list[Any]:
        return ids_in_order(self._client, self.name, self._filter(where), after, n)

    def _filter(self, where: Where | None) -> str:
        return filter_of(self._client, self.name, where or {}, self._items)

    def _find(
        self,
        query: Callable[[Model], Query],
        k: int | None,
        radius: int | None,
        where: Where | None,
    ) -> Found:
        asked = query(self.model)
        wanted = None if k is None else k + (asked.without is not None)
        if wanted is not None and wanted > MAX_HITS:
            raise ValueError(f"Milvus finds at most {MAX_HITS:,} items at once, got k={k}")
        filter = self._filter(where)
        start = perf_counter()
        n = wanted
        if wanted is not None and asked.values is not None:
            n = min(candidates_for(wanted), MAX_HITS)
        places, ids, distances = nearest(
            self._client, self.name, asked.code, k=n, radius=radius, filter=filter
        )
        seconds = perf_counter() - start
        found = self._items(places)  # without those removed in the meantime
        kept = [i for i, place in enumerate(places) if place in found]
        items, distances = [found[places[i]] for i in kept], distances[kept]
        if asked.values is not None and items:
            codes = np.stack([item.code for item in items])
            weighted = weighted_distances(asked.values.astype(np.float64), codes)
            order = np.lexsort((ids[kept], weighted))[:wanted]
            items, distances = [items[i] for i in order], distances[order]
        hits = hits_of(asked, items, distances)
        return Found(asked.code, self.n_bits, tuple(hits[:k]), seconds)

    def list(  # noqa: D102 - inherited
        self, n: int = 100, *, after: str | None = None, where: Where | None = None
    ) -> list[Item]:
        check_scalar(n, "n", Integral, min_val=0)
        first = -1 if after is None else self._records_of([after], ["id"])[0]["id"]
        places = [place for _, place in self._in_order(where, first, n)]
        return list(self._items(places).values())


def _connect(uri: str, token: str, name: str, consistency_level: str) -> Client:
    """Check where a collection is, and connect."""
    if not isinstance(uri, str):
        raise TypeError(f"uri must be a string, got {uri!r:.80}")
    if not re.fullmatch(r"[A-Za-z_]\w{0,200}", name, re.ASCII):
        raise ValueError(f"a name in Milvus has letters, digits and underscores, got {name!r:.80}")
    if consistency_level not in _LEVELS:
        raise ValueError(
            f"consistency_level is one of {', '.join(_LEVELS)}, got {consistency_level!r:.80}"
        )
    return Client(uri, token, consistency_level)
