"""What can be saved of a damaged collection, into a new one."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn import models
from hashlearn.collection.collection import Collection
from hashlearn.collection.contents import decoded, prepared
from hashlearn.collection.database import Database, Row, insert
from hashlearn.collection.items import Content
from hashlearn.collection.maintenance import ROWS, damaged_parts
from hashlearn.models import Model, hasher_of

_ROWS = 1024  # items that are written together


@dataclass(frozen=True)
class Salvaged:
    """Count what was saved of a damaged collection.

    Parameters
    ----------
    n_saved : int
        Items that are in the new collection as they were written.
    lost : tuple of str
        What is lost: items by their keys, or their ids where not even these can be read.
    """

    n_saved: int
    lost: tuple[str, ...]


def salvage(path: Path, output: Path, *, hasher: Model | None = None) -> Salvaged:
    """Write the items of a damaged collection that can be read into a new one.

    The damaged one is left as it is.

    Parameters
    ----------
    path : pathlib.Path
        Folder of the damaged collection.
    output : pathlib.Path
        Folder to make.
    hasher : Hasher or Pipeline, default=None
        Fitted model that made the codes, if its file is damaged. None reads that file.

    Returns
    -------
    Salvaged
        What was saved and what is lost. An item whose code is damaged is encoded anew if all of it
        is there; one whose picture is damaged is kept without.

    Raises
    ------
    FileExistsError
        If there is something at `output`.
    FileNotFoundError
        If there is no collection at `path`.
    ValueError
        If nothing of the database can be read, or the file of the hasher is damaged and none was
        given.
    """
    database = Database(path, read_only=True)
    with closing(database):
        about = database.about()
        model = models.load(path / about["hasher"]) if hasher is None else hasher
        if hasher_of(model).n_bits != about["n_bits"]:
            raise ValueError(
                f"the codes have {about['n_bits']} bits, and the hasher makes "
                f"{hasher_of(model).n_bits}"
            )
        reader = database.reader
        n_saved, lost, waiting = 0, [], []
        Collection.create(model, output, keep_originals=bool(about["keep_originals"])).close()
        with closing(Database(output, read_only=False)) as made:
            for id_ in _ids(reader):
                row = _row(reader, id_)
                entry = None if row is None else _entry(row, model)
                if entry is None:
                    lost.append(str(id_) if row is None else row[1])
                    continue
                waiting.append(entry)
                n_saved += 1
                if len(waiting) == _ROWS:
                    _insert(made, waiting)
                    waiting = []
            _insert(made, waiting)
    return Salvaged(n_saved, tuple(lost))


def _insert(database: Database, entries: list[tuple[Any, ...]]) -> None:
    if entries:
        rows, codes, contents = zip(*entries, strict=True)
        with database.writing() as connection:
            insert(connection, rows, np.stack(codes), contents)


def _ids(connection: sqlite3.Connection) -> list[int]:
    """List ids from both ends of both tables: a damaged page hides only what is on it."""
    found: set[int] = set()
    for table in ("items", "codes"):
        for order in ("ASC", "DESC"):
            with suppress(sqlite3.DatabaseError):
                for (id_,) in connection.execute(f"SELECT id FROM {table} ORDER BY id {order}"):
                    found.add(id_)
    return sorted(found)


def _row(connection: sqlite3.Connection, id_: int) -> tuple[Any, ...] | None:
    """Read all that there is of an item, without its picture if that cannot be read."""
    nothing = "NULL AS type, NULL AS data, NULL AS is_whole, NULL AS in_file, NULL"
    alone = ROWS.replace("type, data, is_whole, in_file, contents.checksum", nothing)
    alone = alone.replace("LEFT JOIN contents ON contents.id = items.id", "")
    for query in (ROWS, alone):
        with suppress(sqlite3.DatabaseError):
            row: tuple[Any, ...] | None = connection.execute(
                f"{query} WHERE items.id = ?", (id_,)
            ).fetchone()
            return row
    return None


def _entry(row: tuple[Any, ...], model: Model) -> tuple[Row, NDArray[Any], Content | None] | None:
    """Give what is to be inserted, if enough of an item is whole."""
    damaged = damaged_parts(row)
    _, *about, _, code, _, kind, data, is_whole, in_file, _ = row
    content = None
    if data is not None and "content" not in damaged:
        content = Content(kind, data, bool(is_whole), bool(in_file))
    if "item" in damaged:
        return None
    if "code" not in damaged:
        return tuple(about), np.frombuffer(code, np.uint8), content
    if content is None or not content.is_whole:
        return None
    (made,) = models.encode(model, prepared(model, [decoded(content)]))
    return tuple(about), made, content
