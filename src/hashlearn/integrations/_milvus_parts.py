"""Bytes of any length, the hasher and originals, in a table of texts up to 65,535."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hashlearn.collection.items import Content
from hashlearn.integrations._milvus_client import Client
from hashlearn.integrations._milvus_tables import content_in

_PART = 45_000  # bytes, 60,000 characters in base 64

PART_FIELDS: list[tuple[str, str, dict[str, Any]]] = [
    ("pk", "VARCHAR", {"max_length": 80}),
    ("data", "VARCHAR", {"max_length": 65_535}),
    ("unused", "BINARY_VECTOR", {"dim": 8}),  # Milvus has no table without vectors
]
"""The table of bytes."""


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
