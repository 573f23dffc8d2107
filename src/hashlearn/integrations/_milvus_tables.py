"""The table of a collection in Milvus: its items with their codes.

The primary key of an item is a digest of its key. Milvus does not keep keys apart by itself, but a
row takes the place of another with the same primary key: two programs that add the same key at the
same time leave one item, not two. The order of adding is in ``id``: nanoseconds since 1970, rising.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.database import Row
from hashlearn.collection.items import Item
from hashlearn.integrations._milvus_where import MAX_TERMS, TERM, bounds_of, terms_of

ITEM = ["key", "item", "code"]
"""Fields that make an item."""

_MAX_JSON = 65_000


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
