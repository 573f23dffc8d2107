"""Talk to Milvus: connect, make tables, write and read rows in parts of bounded size."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashlearn.integrations._milvus_where import any_of

MAX_HITS = 16_384
"""Most hits of one search, and most rows of one query."""

_WRITTEN, _READ = 1000, 200  # rows at a time
_BYTES = 2 << 20  # of what is written at a time; Milvus takes 64 MiB, Milvus Lite 4
_SECONDS = 120.0

_files: dict[str, int] = {}  # collections that are open in each file whose server we started
_opening = threading.Lock()


class Client:
    """Connect to Milvus, and turn its errors into ones that name it.

    Parameters
    ----------
    uri : str
        Address of a server, or a file ``*.db`` for Milvus Lite.
    token : str
        What the server asks for.
    consistency_level : str
        As Milvus names it.

    Raises
    ------
    ImportError
        If pymilvus, or for a file milvus-lite, is not installed.
    ConnectionError
        If there is no such server.
    """

    def __init__(self, uri: str, token: str, consistency_level: str) -> None:
        self.uri, self.consistency_level = uri, consistency_level
        self.pymilvus = _import_pymilvus()
        self.is_local = uri.endswith(".db")
        with _opening:
            self._file = _start(uri) if self.is_local else None
        try:
            self._client: Any = self.pymilvus.MilvusClient(uri, token=token, timeout=_SECONDS)
        except self.pymilvus.MilvusException as error:
            self._release()
            raise ConnectionError(f"{uri}: {error.message}") from error

    def close(self) -> None:
        """Close the connection, and end the server of a file with the last one."""
        if self._client is not None:
            self._client.close()
            self._client = None
            self._release()

    def _release(self) -> None:
        with _opening:
            if self._file is None:
                return
            _files[self._file] -= 1
            if not _files[self._file]:
                del _files[self._file]
                _manager().release_server(self._file)
            self._file = None

    def run(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client.

        Parameters
        ----------
        name : str
            Method.
        *arguments : object
            Its arguments.
        **options : object
            Its options.

        Returns
        -------
        object
            What it gives.

        Raises
        ------
        ValueError
            If the connection is closed.
        OSError
            If Milvus refuses or cannot be reached.
        """
        if self._client is None:
            raise ValueError(f"the collection in {self.uri} is closed")
        with self._naming():
            return getattr(self._client, name)(*arguments, **options, timeout=_SECONDS)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except self.pymilvus.MilvusException as error:
            raise OSError(f"Milvus at {self.uri}: {error.message}") from error

    def make_table(self, table: str, fields: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
        """Make a table, with an index on its vectors.

        Parameters
        ----------
        table : str
            Name.
        fields : sequence of (str, str, dict)
            Name, type and options of each field, the primary key first.

        Raises
        ------
        OSError
            If Milvus refuses.
        """
        schema = self.pymilvus.MilvusClient.create_schema(auto_id=False)
        index = self.pymilvus.MilvusClient.prepare_index_params()
        for place, (name, kind, options) in enumerate(fields):
            given = dict(options)
            if element := given.pop("element", None):
                given["element_type"] = self.pymilvus.DataType[element]
            schema.add_field(name, self.pymilvus.DataType[kind], is_primary=not place, **given)
            if kind == "BINARY_VECTOR":
                index.add_index(name, index_type="BIN_FLAT", metric_type="HAMMING")
        try:
            self.run(
                "create_collection", table, schema=schema, index_params=index,
                consistency_level=self.consistency_level,
            )  # fmt: skip
        except OSError as error:
            if "BinaryVector" in str(error) or "BINARY" in str(error):
                raise OSError(
                    f"{error}; Milvus Lite 3 takes no binary vectors: pip install "
                    "'milvus-lite==2.5.1' 'setuptools<81', or name a server"
                ) from error
            raise

    def write(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, in the place of those with the same primary keys.

        Parameters
        ----------
        table : str
            Table.
        rows : sequence of mapping
            The rows.
        """
        part: list[Mapping[str, Any]] = []
        n_bytes = 0
        for row in rows:
            size = sum(len(str(value)) for value in row.values())
            if part and (len(part) == _WRITTEN or n_bytes + size > _BYTES):
                self.run("upsert", table, part)
                part, n_bytes = [], 0
            part.append(row)
            n_bytes += size
        if part:
            self.run("upsert", table, part)

    def delete(self, table: str, keys: Sequence[str]) -> None:
        """Delete rows.

        Parameters
        ----------
        table : str
            Table.
        keys : sequence of str
            Primary keys.
        """
        for start in range(0, len(keys), _WRITTEN):
            self.run("delete", table, ids=list(keys[start : start + _WRITTEN]))

    def rows(self, table: str, keys: Sequence[str], fields: list[str]) -> dict[str, dict[str, Any]]:
        """Read rows.

        Parameters
        ----------
        table : str
            Table.
        keys : sequence of str
            Primary keys ``pk``; those that are not there are left out.
        fields : list of str
            Which fields.

        Returns
        -------
        dict of str to dict
            Rows by key.
        """
        found = {}
        for start in range(0, len(keys), _READ):
            wanted = any_of("pk", keys[start : start + _READ])
            for row in self.query(table, wanted, ["pk", *fields], _READ):
                found[row["pk"]] = row
        return found

    def query(self, table: str, filter: str, fields: list[str], limit: int) -> list[Any]:
        """Read rows by an expression.

        Parameters
        ----------
        table : str
            Table.
        filter : str
            Expression.
        fields : list of str
            Which fields.
        limit : int
            How many at most.

        Returns
        -------
        list of dict
            The rows.
        """
        return list(
            self.run(
                "query", table, filter=filter, output_fields=fields, limit=limit,
                consistency_level=self.consistency_level,
            )
        )  # fmt: skip

    def count(self, table: str, filter: str) -> int:
        """Count rows.

        Parameters
        ----------
        table : str
            Table.
        filter : str
            Expression; empty for all.

        Returns
        -------
        int
            Number of rows.
        """
        (row,) = self.run(
            "query", table, filter=filter, output_fields=["count(*)"],
            consistency_level=self.consistency_level,
        )  # fmt: skip
        return int(row["count(*)"])


def _start(uri: str) -> str | None:
    """Count one more user of a file; None if a program has opened it by itself."""
    if not Path(uri).absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {Path(uri).absolute().parent} does not exist")
    path = str(Path(uri).absolute().resolve())
    if path in _manager()._servers and path not in _files:
        return None
    _files[path] = _files.get(path, 0) + 1
    return path


def _manager() -> Any:
    try:
        from milvus_lite.server_manager import server_manager_instance
    except ImportError as error:
        raise ImportError(
            "a collection in a file needs Milvus Lite: pip install 'milvus-lite==2.5.1' "
            "'setuptools<81'"
        ) from error
    return server_manager_instance


def _import_pymilvus() -> Any:
    try:
        import pymilvus
    except ImportError as error:
        raise ImportError(
            "a collection in Milvus needs pymilvus: pip install 'hashlearn[milvus]'"
        ) from error
    return pymilvus
