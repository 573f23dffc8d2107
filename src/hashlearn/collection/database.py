"""The database of a collection: one SQLite file, one writer at a time, any number of readers.

Ids are given in rising order and never twice. An item whose code changes gets a new one. So what
has happened since a reader last looked is: the codes above the last id that it knows, and the new
rows of ``removed``, unless the hasher is another (``generation``).
"""

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.filters import fields_of
from hashlearn.collection.items import Content, Item

FILE = "items.sqlite"
"""Name of the database in the folder of a collection."""

FORMAT = 1
"""Number of the format that this version writes and reads."""

_APPLICATION = 0x68736C6E  # "hsln", in the header of the file

_BUSY_SECONDS = 20.0
_PLACES = 500  # parameters of one statement
_LOG_ROWS = 1_000_000  # removals that readers may be behind before they read all codes again

ABOUT = ("kind", "n_bits", "hasher", "generation", "keep_originals", "created")
"""What a database says of its collection: names of the values."""

Row = tuple[str, str | None, str | None, str | None, str, bytes]
"""Key, source, caption, label, metadata in JSON, and digest of an item."""

Ids = NDArray[np.int64]

_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {FORMAT};
CREATE TABLE about (name TEXT PRIMARY KEY, value ANY) WITHOUT ROWID, STRICT;
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    source TEXT,
    caption TEXT,
    label TEXT,
    metadata TEXT NOT NULL,
    digest BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE codes (id INTEGER PRIMARY KEY, code BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
CREATE TABLE contents (
    id INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    data BLOB NOT NULL,
    is_whole INTEGER NOT NULL,
    in_file INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;
CREATE TABLE fields (
    name TEXT NOT NULL, value ANY NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (name, value, id)
) WITHOUT ROWID, STRICT;
CREATE INDEX fields_of_item ON fields (id);
CREATE TABLE removed (n INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER NOT NULL) STRICT;
"""

# All in one row of JSON: Python gives its lock away for each row, and where several threads search
# has to wait for it each time.
_ITEMS = """
SELECT json_group_array(
    json_array(items.id, key, source, caption, label, json(metadata), hex(code))
) FROM items JOIN codes ON codes.id = items.id WHERE items.id IN ({})
"""

# two queries, each of which looks at one end; min and max together read the whole table
_REMOVALS_KEPT = "SELECT (SELECT min(n) FROM removed), (SELECT max(n) FROM removed)"

_REMOVALS = tuple(
    f"DELETE FROM {table} WHERE id = ?" for table in ("items", "codes", "contents", "fields")
)


class Database:
    """Open the database of a collection.

    Connections are made as threads need them, and closed together.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the collection.
    read_only : bool
        Whether nothing may be written.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, foreign or of a newer format.
    """

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self.path = folder / FILE
        self.read_only = read_only
        if not self.path.is_file():
            raise FileNotFoundError(f"{folder} is not a collection: it has no {FILE}")
        self._readers: dict[threading.Thread, sqlite3.Connection] = {}
        self._listing = threading.Lock()
        self._writing = threading.RLock()
        self._writer: sqlite3.Connection | None = None
        self._is_closed = False
        with self.naming():
            (application,) = self.reader.execute("PRAGMA application_id").fetchone()
            (number,) = self.reader.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION or number > FORMAT:
            self.close()
            if application != _APPLICATION:
                raise ValueError(f"{self.path} is not the database of a collection")
            raise ValueError(
                f"{self.path} has format {number}, and this version reads up to {FORMAT}: it was "
                "written by a newer version"
            )

    @staticmethod
    def create(folder: Path, about: dict[str, Any]) -> None:
        """Make an empty database.

        Parameters
        ----------
        folder : pathlib.Path
            Folder for it.
        about : dict
            What it shall say of the collection.
        """
        connection = sqlite3.connect(folder / FILE, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)
            connection.executemany("INSERT INTO about VALUES (?, ?)", list(about.items()))
        finally:
            connection.close()

    def connect(self, *, write: bool = False) -> sqlite3.Connection:
        """Open one more connection.

        Parameters
        ----------
        write : bool, default=False
            Whether it shall write.

        Returns
        -------
        sqlite3.Connection
            The connection, which the caller closes; any thread may use it, one at a time.
        """
        if self._is_closed:
            raise ValueError(f"the collection {self.path.parent} is closed")
        mode = "rw" if write else "ro"
        if not write and self.read_only and not os.access(self.path.parent, os.W_OK):
            wal = self.path.with_name(f"{FILE}-wal")
            mode = "ro" if wal.is_file() else "ro&immutable=1"  # WAL needs a file beside it
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False,
        )  # fmt: skip
        if write:
            # an acknowledged write is on the disk
            connection.execute("PRAGMA synchronous = FULL")
        return connection

    def close(self) -> None:
        """Wait for the transaction that is being written, and close all connections."""
        with self._writing, self._listing:
            self._is_closed = True
            # the writer last: who closes last brings the log into the database, if it may write
            for connection in (*self._readers.values(), self._writer):
                if connection is not None:
                    connection.close()
            self._readers.clear()
            self._writer = None

    @property
    def reader(self) -> sqlite3.Connection:
        """Connection of this thread, to read."""
        thread = threading.current_thread()
        connection = self._readers.get(thread)
        if connection is None:
            with self._listing:
                for ended in [one for one in self._readers if not one.is_alive()]:
                    self._readers.pop(ended).close()
                connection = self._readers[thread] = self.connect()
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Write in one transaction: all of it, or, after an error or a crash, nothing.

        Yields
        ------
        sqlite3.Connection
            Connection, in a transaction that no other writer shares.

        Raises
        ------
        PermissionError
            If the collection is open for reading only.
        TimeoutError
            If another process writes for 20 s.
        """
        self.check_writable()
        with self._writing, self.naming():
            if self._writer is None:
                self._writer = self.connect(write=True)
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Turn errors of SQLite into ones that name the file.

        Yields
        ------
        None
            While this lasts.

        Raises
        ------
        TimeoutError
            If another process writes for 20 s.
        OSError
            If the file cannot be read or written.
        ValueError
            If it is damaged.
        """
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.ProgrammingError as error:  # another thread has closed the connection
            raise ValueError(f"the collection {self.path.parent} is closed") from error
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError) or "malformed" in str(error):
                raise ValueError(
                    f"{self.path} is damaged: {error}; `hashlearn collection salvage` writes what "
                    "can be read into a new collection"
                ) from error
            if "locked" in str(error):
                raise TimeoutError(
                    f"another process has been writing to {self.path} for {_BUSY_SECONDS:.0f} s"
                ) from error
            raise OSError(f"{self.path}: {error}") from error

    def about(self) -> dict[str, Any]:
        """Read what the database says of the collection.

        Returns
        -------
        dict of str to object
            Values by name.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        with self.naming():
            return about_in(self.reader)

    def check_writable(self) -> None:
        """Refuse to write where nothing may be written.

        Raises
        ------
        PermissionError
            If the collection is open for reading only.
        """
        if self.read_only:
            raise PermissionError(f"the collection {self.path.parent} is open for reading only")

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Read rows.

        Parameters
        ----------
        sql : str
            Query.
        parameters : sequence, default=()
            Its parameters.

        Returns
        -------
        list of tuple
            The rows.

        Raises
        ------
        ValueError
            If the file is damaged.
        """
        with self.naming():
            return self.reader.execute(sql, parameters).fetchall()


def rows_with(
    connection: sqlite3.Connection, select: str, column: str, wanted: Sequence[Any]
) -> list[tuple[Any, ...]]:
    """Read the rows with certain values.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    select : str
        Query, up to its condition.
    column : str
        Column that has the values.
    wanted : sequence
        The values; those that are not there are left out.

    Returns
    -------
    list of tuple
        Rows, in any order.
    """
    found: list[tuple[Any, ...]] = []
    for i in range(0, len(wanted), _PLACES):
        part = list(wanted[i : i + _PLACES])
        places = ", ".join("?" * len(part))
        found += connection.execute(f"{select} WHERE {column} IN ({places})", part)
    return found


def known_rows(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Row]:
    """Read what the database says of items.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    keys : sequence of str
        Keys; those that are not there are left out.

    Returns
    -------
    dict of str to tuple
        Rows by key.
    """
    select = "SELECT key, source, caption, label, metadata, digest FROM items"
    return {row[0]: row for row in rows_with(connection, select, "key", keys)}


def items_with(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Item]:
    """Read items.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    ids : sequence of int
        Their ids; those that are not there are left out.

    Returns
    -------
    dict of int to Item
        Items by id.
    """
    found = {}
    for i in range(0, len(ids), _PLACES):
        part = ids[i : i + _PLACES]
        (text,) = connection.execute(_ITEMS.format(", ".join("?" * len(part))), part).fetchone()
        for id_, key, source, caption, label, metadata, code in json.loads(text):
            packed = np.frombuffer(bytes.fromhex(code), np.uint8)
            found[id_] = Item(key, source, caption, label, metadata, packed)
    return found


def ids_with(connection: sqlite3.Connection, query: str, parameters: Sequence[Any]) -> Ids:
    """Read ids.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    query : str
        Query for ids.
    parameters : sequence
        Its parameters.

    Returns
    -------
    ndarray of shape (n,), int64
        Ids, rising.
    """
    (text,) = connection.execute(f"SELECT group_concat(id) FROM ({query})", parameters).fetchone()
    return np.sort(np.fromstring(text, np.int64, sep=",")) if text else np.empty(0, np.int64)


def contents_with(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[int, Content]:
    """Read what is kept of items themselves.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    ids : sequence of int
        Their ids; those of which nothing is kept are left out.

    Returns
    -------
    dict of int to Content
        Contents by id.
    """
    select = "SELECT id, type, data, is_whole, in_file FROM contents"
    return {
        id_: Content(kind, data, bool(is_whole), bool(in_file))
        for id_, kind, data, is_whole, in_file in rows_with(connection, select, "id", ids)
    }


def about_in(connection: sqlite3.Connection) -> dict[str, Any]:
    """Read what a database says of its collection.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.

    Returns
    -------
    dict of str to object
        Values by name.

    Raises
    ------
    sqlite3.DatabaseError
        If something is missing.
    """
    found = dict(connection.execute("SELECT name, value FROM about").fetchall())
    if missing := [name for name in ABOUT if name not in found]:
        raise sqlite3.DatabaseError(f"it does not say its {missing[0]}")
    return found


def ids_of(connection: sqlite3.Connection, keys: Sequence[str]) -> list[int]:
    """Read the ids of items.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection.
    keys : sequence of str
        Keys.

    Returns
    -------
    list of int
        Id of each.

    Raises
    ------
    KeyError
        If a key is not there; names some.
    """
    found = dict(rows_with(connection, "SELECT key, id FROM items", "key", keys))
    if missing := [key for key in keys if key not in found]:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise KeyError(f"there is no item {', '.join(map(repr, missing[:3]))}{more}")
    return [found[key] for key in keys]


def insert(
    connection: sqlite3.Connection,
    rows: Sequence[Row],
    codes: NDArray[np.uint8],
    contents: Sequence[Content | None],
) -> None:
    """Insert items.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection in a transaction.
    rows : sequence of tuple
        What there is to say of each.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes.
    contents : sequence of Content or None
        What is kept of each.
    """
    for row, code, content in zip(rows, codes, contents, strict=True):
        id_ = connection.execute(
            "INSERT INTO items (key, source, caption, label, metadata, digest, checksum) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*row, checksum(*row)),
        ).lastrowid
        packed = code.tobytes()
        connection.execute("INSERT INTO codes VALUES (?, ?, ?)", (id_, packed, checksum(packed)))
        if content is not None:
            connection.execute(
                "INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?)",
                (
                    id_, content.type, content.data, content.is_whole, content.in_file,
                    checksum(content.type, content.data),
                ),
            )  # fmt: skip
        _insert_fields(connection, id_, row)


def change(connection: sqlite3.Connection, ids: Sequence[int], rows: Sequence[Row]) -> None:
    """Change what the database says of items whose codes stay.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection in a transaction.
    ids : sequence of int
        Their ids.
    rows : sequence of tuple
        What there is to say of each.
    """
    for id_, row in zip(ids, rows, strict=True):
        connection.execute(
            "UPDATE items SET key = ?, source = ?, caption = ?, label = ?, metadata = ?, "
            "digest = ?, checksum = ? WHERE id = ?",
            (*row, checksum(*row), id_),
        )
        connection.execute("DELETE FROM fields WHERE id = ?", (id_,))
        _insert_fields(connection, id_, row)


def _insert_fields(connection: sqlite3.Connection, id_: int | None, row: Row) -> None:
    fields = fields_of(row[3], json.loads(row[4]))
    connection.executemany("INSERT INTO fields VALUES (?, ?, ?)", [(*one, id_) for one in fields])


def delete(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete items, and leave a note for readers.

    Parameters
    ----------
    connection : sqlite3.Connection
        Connection in a transaction.
    ids : sequence of int
        Their ids.
    """
    places = [(id_,) for id_ in ids]
    for sql in _REMOVALS:
        connection.executemany(sql, places)
    connection.executemany("INSERT INTO removed (id) VALUES (?)", places)
    connection.execute(
        "DELETE FROM removed WHERE n <= (SELECT max(n) FROM removed) - ?", (_LOG_ROWS,)
    )


@dataclass(frozen=True)
class Change:
    """Hold what has happened to the codes since a reader last looked.

    Parameters
    ----------
    about : dict
        What the database says of the collection.
    is_all : bool
        Whether these are all codes there are, and nothing from before is good.
    ids : ndarray of shape (n,), int64
        New ids, rising.
    codes : ndarray of shape (n, n_bytes), uint8
        Their codes.
    removed : list of int
        Ids that were removed, among them perhaps some that the reader has never seen.
    """

    about: dict[str, Any]
    is_all: bool
    ids: NDArray[np.int64]
    codes: NDArray[np.uint8]
    removed: list[int]


class Changes:
    """Follow what happens to the codes of a database.

    Parameters
    ----------
    database : Database
        The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connect()
        self._version: int | None = None
        self._generation: int | None = None
        self._last_id = self._last_removal = 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def are_there(self) -> bool:
        """Whether someone has written since :meth:`read`."""
        return self._version != self._current()

    def _current(self) -> int:
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        return int(version)

    def read(self) -> Change:
        """Read what has changed.

        Returns
        -------
        Change
            New codes and removed ids.

        Raises
        ------
        sqlite3.DatabaseError
            If the database is damaged.
        """
        run = self._connection.execute
        version = self._current()
        run("BEGIN")
        try:
            about = about_in(self._connection)
            first, last = run(_REMOVALS_KEPT).fetchone()
            is_all = about["generation"] != self._generation or (
                first is not None and first > self._last_removal + 1
            )
            known, removal = (0, last or 0) if is_all else (self._last_id, self._last_removal)
            found = run("SELECT id, code FROM codes WHERE id > ? ORDER BY id", (known,)).fetchall()
            removed = run("SELECT id FROM removed WHERE n > ?", (removal,)).fetchall()
        finally:
            run("COMMIT")
        n_bytes = -(-int(about["n_bits"]) // 8)
        codes = b"".join(code for _, code in found)
        if len(codes) != n_bytes * len(found):
            raise sqlite3.DatabaseError("it has codes of another length")
        ids = np.fromiter((id_ for id_, _ in found), np.int64, len(found))
        self._version, self._generation = version, about["generation"]
        self._last_id = int(ids[-1]) if len(ids) else known
        self._last_removal = last or removal
        rows = np.frombuffer(codes, np.uint8).reshape(-1, n_bytes)
        return Change(about, is_all, ids, rows, [id_ for (id_,) in removed])


def checksum(*parts: str | bytes | None) -> int:
    """Sum up what a row holds.

    Parameters
    ----------
    *parts : str, bytes or None
        Its values.

    Returns
    -------
    int
        CRC-32 of the values and their lengths.
    """
    found = 0
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found = zlib.crc32(b"-" if data is None else b"%d " % len(data) + data, found)
    return found
