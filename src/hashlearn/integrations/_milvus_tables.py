"""The two tables of a collection in Milvus: items with their codes, and bytes in parts.

The primary key of an item is a digest of its key. Milvus does not keep keys apart by itself, but a
row takes the place of another with the same primary key: two programs that add the same key at the
same time leave one item, not two. The order of adding is in ``id``: nanoseconds since 1970, rising.
"""

import base64
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.database import Row
from hashlearn.collection.items import Content, Item
from hashlearn.integrations._milvus_client import MAX_HITS, Client
from hashlearn.integrations._milvus_where import MAX_TERMS, TERM, bounds_of, terms_of

ITEM = ["key", "item", "code"]
"""Fields that make an item."""

_MAX_JSON = 65_000
_PART = 45_000  # bytes, 60,000 characters in base 64
_LAST = 2**63 - 1


def item_fields(n_bytes: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Describe the table of items.

    Parameters
    ----------
    n_bytes : int
        Bytes of a code.

    Returns
    -------
    list of (str, str, dict)
        Name, type and options of each field.
    """
    terms = {"element": "VARCHAR", "max_capacity": MAX_TERMS, "max_length": TERM}
    return [
        ("pk", "VARCHAR", {"max_length": 32}),
        ("id", "INT64", {}),
        ("key", "VARCHAR", {"max_length": 4096}),
        ("item", "JSON", {}),
        ("state", "VARCHAR", {"max_length": 400}),
        ("terms", "ARRAY", terms),
        ("bounds", "JSON", {}),
        ("code", "BINARY_VECTOR", {"dim": 8 * n_bytes}),
    ]


PART_FIELDS: list[tuple[str, str, dict[str, Any]]] = [
    ("pk", "VARCHAR", {"max_length": 80}),
    ("data", "VARCHAR", {"max_length": 65_535}),
    ("unused", "BINARY_VECTOR", {"dim": 8}),  # Milvus has no table without vectors
]
"""The table of bytes."""


def key_of(key: str) -> str:
    """Give the primary key of an item.

    Parameters
    ----------
    key : str
        Its key.

    Returns
    -------
    str
        Digest.
    """
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def record_of(row: Row, id_: int, code: bytes, content: Mapping[str, Any] | None) -> dict[str, Any]:
    """Make the record of an item.

    Parameters
    ----------
    row : tuple
        What there is to say of it.
    id_ : int
        Its id.
    code : bytes
        Its packed code.
    content : mapping or None
        What is kept of it, and where.

    Returns
    -------
    dict of str to object
        Values by field.

    Raises
    ------
    ValueError
        If something is too long for Milvus.
    """
    key, source, caption, label, metadata, digest = row
    said = {"source": source, "caption": caption, "label": label, "metadata": json.loads(metadata)}
    length = len(json.dumps(said, ensure_ascii=False).encode())
    if length > _MAX_JSON:
        raise ValueError(
            f"source, caption, label and metadata of an item in Milvus have at most {_MAX_JSON:,} "
            f"bytes, and those of {key!r:.80} {length:,}"
        )
    item = Item(key, **said, code=np.frombuffer(code, np.uint8))
    return {
        "pk": key_of(key), "id": id_, "key": key, "item": said,
        "state": json.dumps({"digest": digest.hex(), "content": content}),
        "terms": terms_of(item), "bounds": bounds_of(item), "code": code,
    }  # fmt: skip


def item_of(record: Mapping[str, Any]) -> Item:
    """Read an item from its record.

    Parameters
    ----------
    record : mapping
        Values of the fields `ITEM`.

    Returns
    -------
    Item
        The item.
    """
    code = np.frombuffer(code_of(record), np.uint8)
    return Item(record["key"], **record["item"], code=code)


def code_of(record: Mapping[str, Any]) -> bytes:
    """Read the code of an item from its record.

    Parameters
    ----------
    record : mapping
        Values of fields, ``code`` among them.

    Returns
    -------
    bytes
        Packed code.
    """
    code = record["code"]
    return bytes(code[0] if isinstance(code, list) else code)


def row_of(record: Mapping[str, Any]) -> Row:
    """Read what there is to say of an item from its record.

    Parameters
    ----------
    record : mapping
        Values of the fields ``key``, ``item`` and ``state``.

    Returns
    -------
    tuple
        Key, source, caption, label, metadata in JSON, and digest.
    """
    said = record["item"]
    metadata = json.dumps(said["metadata"], ensure_ascii=False, sort_keys=True)
    digest = bytes.fromhex(json.loads(record["state"])["digest"])
    return record["key"], said["source"], said["caption"], said["label"], metadata, digest


def content_in(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read from the record of an item what is kept of it.

    Parameters
    ----------
    record : mapping
        Values of fields, ``state`` among them.

    Returns
    -------
    dict or None
        As :func:`record_of` takes it.
    """
    found: dict[str, Any] | None = json.loads(record["state"])["content"]
    return found


def ids_after(last: int, n: int) -> NDArray[np.int64]:
    """Give new ids.

    Parameters
    ----------
    last : int
        The last one that was given.
    n : int
        How many.

    Returns
    -------
    ndarray of shape (n,), int64
        Ids, rising.
    """
    return max(time.time_ns(), last + 1) + np.arange(n, dtype=np.int64)


def ids_in_order(client: Client, table: str, filter: str, after: int, n: int) -> list[Any]:
    """Find the items that were added first.

    Milvus does not sort. A bisection by counts finds a stretch of time with few enough items.

    Parameters
    ----------
    client : Client
        Connection.
    table : str
        Table.
    filter : str
        Expression; empty for all.
    after : int
        Id after which to begin.
    n : int
        How many at most.

    Returns
    -------
    list of (int, str)
        Ids and primary keys, in order.
    """
    found: list[tuple[int, str]] = []
    condition = f"({filter}) and " if filter else ""
    while len(found) < n:
        wanted = min(n - len(found), MAX_HITS)
        low, high = after, _LAST
        stretch = f"{condition}id > {after}"
        n_there = client.count(table, stretch)
        if n_there > MAX_HITS:
            low, high = max(low, 0), max(time.time_ns(), after) * 2
            while not wanted <= n_there <= MAX_HITS and high - low > 1:
                middle = (low + high) // 2
                stretch = f"{condition}id > {after} and id <= {middle}"
                n_there = client.count(table, stretch)
                low, high = (middle, high) if n_there < wanted else (low, middle)
        rows = client.query(table, stretch, ["pk", "id"], MAX_HITS) if n_there else []
        part = sorted((int(row["id"]), row["pk"]) for row in rows)
        if not part:
            break
        found += part
        after = part[-1][0]
    return found[:n]


class Parts:
    """Keep bytes of any length.

    Parameters
    ----------
    client : Client
        Connection.
    table : str
        Table of :data:`PART_FIELDS`.
    """

    def __init__(self, client: Client, table: str) -> None:
        self._client, self._table = client, table

    def write(self, whole: Mapping[str, bytes]) -> None:
        """Write bytes.

        Parameters
        ----------
        whole : mapping of str to bytes
            Bytes by name.
        """
        rows = [
            {
                "pk": key,
                "data": base64.b64encode(data[place * _PART :][:_PART]).decode(),
                "unused": b"\0",
            }
            for name, data in whole.items()
            for place, key in enumerate(_part_keys(name, len(data)))
        ]
        self._client.write(self._table, rows)

    def read(self, name: str, n_bytes: int) -> bytes:
        """Read bytes.

        Parameters
        ----------
        name : str
            Their name.
        n_bytes : int
            Their number.

        Returns
        -------
        bytes
            The bytes.

        Raises
        ------
        ValueError
            If they are not all there.
        """
        keys = _part_keys(name, n_bytes)
        found: dict[str, Any] = {}
        for start in range(0, len(keys), 16):
            found |= self._client.rows(self._table, keys[start : start + 16], ["data"])
        data = b"".join(base64.b64decode(found[key]["data"]) for key in keys if key in found)
        if len(data) != n_bytes:
            raise ValueError(f"parts of {name!r} are missing in the table {self._table}")
        return data

    def delete(self, sizes: Mapping[str, int]) -> None:
        """Delete bytes.

        Parameters
        ----------
        sizes : mapping of str to int
            Numbers of bytes by name.
        """
        keys = [key for name, n_bytes in sizes.items() for key in _part_keys(name, n_bytes)]
        self._client.delete(self._table, keys)


def place_of(content: Content, owner: str) -> dict[str, Any]:
    """Say what is kept of an item, and where.

    Parameters
    ----------
    content : Content
        What is kept.
    owner : str
        Name of its bytes.

    Returns
    -------
    dict
        As :func:`record_of` takes it.
    """
    said = asdict(content)
    return {**said, "data": owner, "n_bytes": len(said["data"])}


def sizes_in(records: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """List the bytes that records name.

    Parameters
    ----------
    records : sequence of mapping
        Records of items.

    Returns
    -------
    dict of str to int
        Numbers of bytes by name.
    """
    contents = [content_in(record) for record in records]
    return {one["data"]: one["n_bytes"] for one in contents if one}


def _part_keys(name: str, n_bytes: int) -> list[str]:
    return [f"{name}/{place:06d}" for place in range(-(-n_bytes // _PART))]
