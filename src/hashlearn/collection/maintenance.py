"""Work on a whole collection: another hasher, a check, a table of it."""

import json
import secrets
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from hashlearn import models, storage
from hashlearn.codefiles import column_of, schema
from hashlearn.collection.contents import original_of, prepared
from hashlearn.collection.database import (
    FILE,
    Database,
    about_in,
    checksum,
    contents_with,
    items_with,
)
from hashlearn.collection.items import Verification
from hashlearn.encoding import divided, item_kind
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.partial import Progress
from hashlearn.storage import replacing

if TYPE_CHECKING:
    from hashlearn.collection.collection import Collection

ROWS = """
SELECT items.id, key, source, caption, label, metadata, digest, items.checksum,
       code, codes.checksum, type, data, is_whole, in_file, contents.checksum
FROM items LEFT JOIN codes ON codes.id = items.id LEFT JOIN contents ON contents.id = items.id
"""
"""Query for all that there is of items."""

_TOGETHER = 1024  # items that are worked on at a time
_IMAGES = 64  # of any size
_EXPORTED = 1 << 14
_NAMED = 10  # problems that are told in full


def hasher_file() -> str:
    """Give a name for the file of a hasher, which no other has.

    Returns
    -------
    str
        Name.
    """
    return f"hasher-{secrets.token_hex(4)}.model"


def rebuild(
    collection: "Collection", database: Database, hasher: Model, progress: Progress | None
) -> None:
    """Encode all items with another hasher, and put it in the place of the present one.

    Parameters
    ----------
    collection : Collection
        Collection.
    database : Database
        Its database.
    hasher : Hasher or Pipeline
        Fitted model.
    progress : callable or None
        Is told how many codes are made.

    Raises
    ------
    ValueError
        If the model takes other items, items are not kept and stand in no file, or another process
        has put in another hasher in the meantime.
    """
    check_is_fitted(hasher_of(hasher))
    if (kind := item_kind(steps_of(hasher)[0])) != collection.kind:
        raise ValueError(f"the hasher takes {kind}, and the collection has {collection.kind}")
    ((n_lost,),) = database.read(
        "SELECT count(*) FROM items LEFT JOIN contents USING (id) "
        "WHERE NOT coalesce(is_whole OR in_file, 0)"
    )
    if n_lost:
        raise ValueError(
            f"{n_lost} of {len(collection)} items cannot be encoded anew: the collection was made "
            "without keeping originals"
        )
    before = database.about()
    path = collection.path / hasher_file()
    models.save(hasher, path)
    try:
        ids, codes = _encode(collection, database, hasher, 0, progress)
        with database.writing() as connection:
            if about_in(connection)["generation"] != before["generation"]:
                raise ValueError("another process has put in another hasher in the meantime")
            # what was added in the meantime; nobody else writes now
            last = int(ids.max(initial=0))
            more_ids, more = _encode(collection, database, hasher, last, None)
            every = np.concatenate([ids, more_ids]), np.concatenate([codes, more])
            _replace_codes(connection, *every)
            about = {
                "hasher": path.name,
                "n_bits": int(hasher_of(hasher).n_bits),
                "generation": before["generation"] + 1,
            }
            for name, value in about.items():
                connection.execute("UPDATE about SET value = ? WHERE name = ?", (value, name))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # it may be open
        (collection.path / before["hasher"]).unlink(missing_ok=True)


def _encode(
    collection: "Collection",
    database: Database,
    hasher: Model,
    after: int,
    progress: Progress | None,
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Encode the items with ids above one."""
    ids = collection.ids()
    ids = ids[ids > after]
    size = _IMAGES if collection.kind == "images" or divided(hasher)[0] else _TOGETHER
    n_bytes = -(-int(hasher_of(hasher).n_bits) // 8)
    kept, codes = [np.empty(0, np.int64)], [np.empty((0, n_bytes), np.uint8)]
    for start in range(0, len(ids), size):
        part = ids[start : start + size].tolist()
        with database.naming():
            contents = contents_with(database.reader, part)
            items = items_with(database.reader, part)  # without those removed in the meantime
        originals = [original_of(item, contents.get(id_)) for id_, item in items.items()]
        if originals:
            kept.append(np.array([*items], np.int64))
            codes.append(models.encode(hasher, prepared(hasher, originals)))
        if progress is not None:
            progress("codes", min(start + size, len(ids)), len(ids))
    return np.concatenate(kept), np.concatenate(codes)


def _replace_codes(
    connection: sqlite3.Connection, ids: NDArray[np.int64], codes: NDArray[np.uint8]
) -> None:
    present = {id_ for (id_,) in connection.execute("SELECT id FROM items")}
    connection.execute("DELETE FROM codes")
    pairs = zip(ids.tolist(), codes, strict=True)
    rows = ((id_, code.tobytes()) for id_, code in pairs if id_ in present)
    connection.executemany(
        "INSERT INTO codes VALUES (?, ?, ?)", ((id_, code, checksum(code)) for id_, code in rows)
    )


def verify(collection: "Collection", database: Database) -> Verification:
    """Check every file, every item and every code.

    Parameters
    ----------
    collection : Collection
        Collection.
    database : Database
        Its database.

    Returns
    -------
    Verification
        What is wrong.
    """
    problems: list[str] = []
    try:
        storage.verify(collection.path / database.about()["hasher"], "model")
    except (OSError, ValueError) as error:
        problems.append(str(error))
    reader = database.connect()
    n_items = n_good = 0
    found: list[str] = []
    try:
        reader.execute("BEGIN")
        found += [text for (text,) in reader.execute("PRAGMA integrity_check") if text != "ok"]
        (n_items,) = reader.execute("SELECT count(*) FROM items").fetchone()
        for row in reader.execute(f"{ROWS} ORDER BY items.id"):
            parts = damaged_parts(row)
            n_good += not parts
            if parts:
                found.append(f"damaged of item {row[0]}, {row[1]!r}: {', '.join(parts)}")
        found += _strays(reader)
        reader.execute("COMMIT")
        if _differs(collection, reader):
            found.append("the index in memory differs from the codes")
    except sqlite3.DatabaseError as error:
        found.append(str(error))
    finally:
        reader.close()
    if len(found) > _NAMED:
        found[_NAMED:] = [f"and {len(found) - _NAMED} more"]
    path = collection.path / FILE
    return Verification(n_items, n_good, (*problems, *(f"{path}: {text}" for text in found)))


def damaged_parts(row: tuple[Any, ...]) -> list[str]:
    """Tell which parts of an item are not as they were written.

    Parameters
    ----------
    row : tuple
        Row of `ROWS`.

    Returns
    -------
    list of str
        ``"item"``, ``"code"`` or ``"content"``.
    """
    _, *about, sum_, code, sum_of_code, kind, data, _, _, sum_of_data = row
    found = []
    if checksum(*about) != sum_:
        found.append("item")
    if code is None or checksum(code) != sum_of_code:
        found.append("code")
    if data is not None and checksum(kind, data) != sum_of_data:
        found.append("content")
    return found


def _strays(connection: sqlite3.Connection) -> list[str]:
    """Find rows that belong to no item."""
    found = []
    for table in ("codes", "contents", "fields"):
        (n,) = connection.execute(
            f"SELECT count(*) FROM {table} WHERE id NOT IN (SELECT id FROM items)"
        ).fetchone()
        if n:
            found.append(f"{n} rows of the table {table} belong to no item")
    return found


def _differs(collection: "Collection", connection: sqlite3.Connection) -> bool:
    """Tell whether the index in memory differs from the codes, at a moment when nobody writes."""
    while True:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        index = collection.index
        rows = connection.execute("SELECT id, code FROM codes ORDER BY id").fetchall()
        is_same = [id_ for id_, _ in rows] == index.ids.tolist()
        is_same = is_same and b"".join(code for _, code in rows) == index.codes.tobytes()
        if is_same or (version,) == connection.execute("PRAGMA data_version").fetchone():
            return not is_same


def export(collection: "Collection", database: Database, path: Path) -> None:
    """Write the items and their codes into a Parquet file.

    Parameters
    ----------
    collection : Collection
        Collection.
    database : Database
        Its database.
    path : pathlib.Path
        File.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "writing Parquet needs pyarrow: pip install 'hashlearn[parquet]'"
        ) from error
    texts = [
        pyarrow.field(name, pyarrow.string())
        for name in ("key", "source", "caption", "label", "metadata")
    ]
    about = {"n_bits": collection.n_bits, "method": type(hasher_of(collection.model)).__name__}
    kind = schema(-(-collection.n_bits // 8), about, *texts)
    ids = collection.ids()
    with replacing(path) as temporary, parquet.ParquetWriter(temporary, kind) as writer:
        for start in range(0, len(ids), 1 << 14):
            with database.naming():
                found = items_with(database.reader, ids[start : start + (1 << 14)].tolist())
            items = [found[id_] for id_ in sorted(found)]
            if not items:
                continue
            columns = [
                pyarrow.array([getattr(item, field.name) for item in items], pyarrow.string())
                for field in texts[:-1]
            ]
            columns.append(
                pyarrow.array(
                    [json.dumps(item.metadata, ensure_ascii=False) for item in items],
                    pyarrow.string(),
                )
            )
            columns.append(column_of(np.stack([item.code for item in items])))
            writer.write_table(pyarrow.table(columns, schema=kind))
