"""Codes as tables of LanceDB, and back from them."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import hashlearn
from hashlearn.codefiles import COLUMN, metadata
from hashlearn.codes import n_bytes
from hashlearn.data.tables import opened_tables
from hashlearn.index import HammingIndex
from hashlearn.integrations._coded import Source, coded, indexed

ID = "id"
"""Column of a table that holds the ids."""

_METADATA = b"hashlearn"
_OWN = (ID, COLUMN, "_distance", "_rowid", "_score")
_ROWS = 1 << 16


def to_lancedb(
    source: Source,
    database: Any,
    name: str,
    ids: ArrayLike | None = None,
    *,
    n_bits: int | None = None,
    columns: Mapping[str, Any] | None = None,
    replace: bool = False,
) -> Any:
    """Make a table of LanceDB of codes, ids and what else is known of the items.

    Parameters
    ----------
    source : HammingIndex or array-like of shape (n, ceil(n_bits / 8)), uint8
        Index, or packed codes.
    database : lancedb.DBConnection, str or path-like
        Connection, or what ``lancedb.connect`` takes: a folder or an address.
    name : str
        Name of the table.
    ids : array-like of shape (n,), int, default=None
        Distinct ids of packed codes, 0 to 2**63 - 1; None numbers them from 0. An index brings its
        own.
    n_bits : int, default=None
        Length of packed codes; None takes all bits of the bytes.
    columns : mapping of str to array-like, default=None
        More columns: n values each, in the order of the codes (with an index, of its ``ids``). A
        matrix becomes a column of vectors, which are there to re-rank by.
    replace : bool, default=False
        Whether a table of this name is replaced.

    Returns
    -------
    lancedb.table.Table
        Table with the columns ``id`` (int64), ``code`` (fixed-size list of uint8), which
        ``search`` compares under the distance type ``hamming``, and the others.

    Raises
    ------
    ImportError
        If LanceDB is not installed.
    TypeError
        If the codes are not uint8, or ids or `n_bits` are not integer.
    ValueError
        If codes, ids or `n_bits` do not fit together, a column has another number of values or the
        name of one of ours, or there is such a table and it shall not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = to_lancedb(codes, folder, "codes", columns={"title": ["a", "b", "c"]})
    ...     search = table.search(codes[0], vector_column_name="code").distance_type("hamming")
    ...     [row["title"] for row in search.where("title != 'b'").to_list()]
    ['a', 'c']
    """
    lancedb = _import_lancedb()
    import pyarrow

    items = coded(source, ids, n_bits)
    arrays = {ID: pyarrow.array(items.ids), COLUMN: _lists(items.codes)}
    for label, values in (columns or {}).items():
        if label in _OWN:
            raise ValueError(f"a column cannot be named {label!r}; {', '.join(_OWN)} are taken")
        arrays[label] = _column(values)
        if len(arrays[label]) != len(items.ids):
            raise ValueError(
                f"the column {label!r} has {len(arrays[label])} values for {len(items.ids)} codes"
            )
    about = {"n_bits": items.n_bits, "version": hashlearn.__version__}
    table = pyarrow.table(arrays).replace_schema_metadata(metadata(about))
    return _create(lancedb, database, name, table.schema, table.to_batches, replace)


def parquet_to_lancedb(
    path: str | os.PathLike[str], database: Any, name: str, *, replace: bool = False
) -> Any:
    """Make a table of LanceDB of a file of codes, as ``hashlearn encode -o codes.parquet`` writes.

    Some rows are read at a time, so that the file may be larger than the memory.

    Parameters
    ----------
    path : path-like
        Parquet file with a column ``code`` of binary values of one length; or a folder of such
        files, as :func:`hashlearn.integrations.ray.encode_parquet` writes.
    database : lancedb.DBConnection, str or path-like
        As for :func:`to_lancedb`.
    name : str
        Name of the table.
    replace : bool, default=False
        Whether a table of this name is replaced.

    Returns
    -------
    lancedb.table.Table
        Table of the file's columns. ``code`` becomes a fixed-size list of uint8; rows without a
        code keep their place, and searches do not find them. Without a column ``id``, the rows
        are numbered from 0 in one.

    Raises
    ------
    ImportError
        If LanceDB is not installed.
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or has no such column, files have different columns, or there is
        such a table and it shall not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from hashlearn.codefiles import write_codes
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "codes.parquet"
    ...     write_codes(file, np.array([[0], [1], [3]], np.uint8), n_bits=8, names=["a", "b", "c"])
    ...     parquet_to_lancedb(file, folder, "codes").schema.names
    ['id', 'name', 'code']
    """
    lancedb = _import_lancedb()
    source = Path(path)
    if not source.exists():
        raise FileNotFoundError(f"there is no file or folder {source}")
    schema = None
    for file in opened_tables(source):
        found = _schema_of(file.schema, source)
        if schema is not None and not found.equals(schema):
            raise ValueError(f"{source} has files with different columns")
        schema = schema or found
    if schema is None:
        raise ValueError(f"{source} holds no Parquet files")
    return _create(lancedb, database, name, schema, lambda: _batches(source, schema), replace)


def from_lancedb(table: Any, n_bits: int | None = None) -> HammingIndex:
    """Read the codes and ids of a table of LanceDB.

    Parameters
    ----------
    table : lancedb.table.Table
        Table with a column ``id`` of integers and a column ``code``, a fixed-size list of uint8.
    n_bits : int, default=None
        Length of a code. None takes what the table's metadata say, else all bits of the bytes.

    Returns
    -------
    HammingIndex
        The codes under their ids, but for rows without a code.

    Raises
    ------
    ImportError
        If LanceDB is not installed.
    TypeError
        If `table` is none of LanceDB, or the ids or `n_bits` are not integer.
    ValueError
        If a column is missing or holds something else, `n_bits` asks for another number of bytes,
        a bit beyond it is 1, or an id is negative or repeated.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> codes = np.array([[0], [1], [3]], np.uint8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     from_lancedb(to_lancedb(codes, folder, "codes", n_bits=2))
    <HammingIndex of 3 codes of 2 bits>
    """
    lancedb = _import_lancedb()
    if not isinstance(table, lancedb.table.Table):
        raise TypeError(f"table must be a table of LanceDB, got {type(table).__name__}")
    schema = table.schema
    width = _bytes_of_codes(schema)
    if ID not in schema.names:
        raise ValueError(f"the table has no column {ID!r}; there are {', '.join(schema.names)}")
    about = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
    length = about.get("n_bits", 8 * width) if n_bits is None else n_bits
    if n_bytes(length) != width:
        raise ValueError(f"the codes have {width} bytes, n_bits={length} has others")
    rows = table.search().where(f"{COLUMN} IS NOT NULL").select([ID, COLUMN]).to_arrow()
    codes = rows[COLUMN].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return indexed(codes.reshape(-1, width), rows[ID].to_numpy(), length)


def _bytes_of_codes(schema: Any) -> int:
    import pyarrow

    if COLUMN in schema.names:
        kind = schema.field(COLUMN).type
        if pyarrow.types.is_fixed_size_list(kind) and kind.value_type == pyarrow.uint8():
            return int(kind.list_size)
    raise ValueError(
        f"the table has no column {COLUMN!r} of fixed-size lists of uint8; there are {schema}"
    )


def _create(
    lancedb: Any,
    database: Any,
    name: str,
    schema: Any,
    batches: Callable[[], Any],
    replace: bool,
) -> Any:
    """Write a table whole or not at all: LanceDB leaves an empty one where a batch fails."""
    import pyarrow

    connection = database
    if isinstance(database, str | os.PathLike):
        connection = lancedb.connect(database)
    is_new = not _has_table(connection, name)
    if not is_new and not replace:
        raise ValueError(f"there is a table {name!r} already; replace=True replaces it")
    reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
    try:
        return connection.create_table(name, reader, mode="overwrite" if replace else "create")
    except BaseException:
        if is_new:
            connection.drop_table(name, ignore_missing=True)
        raise


def _has_table(connection: Any, name: str) -> bool:
    try:
        connection.open_table(name)
    except (ValueError, FileNotFoundError):  # as local and remote databases say it
        return False
    return True


def _lists(codes: Any) -> Any:
    """Make a column of codes, as LanceDB compares them."""
    import pyarrow

    flat = pyarrow.array(np.ascontiguousarray(codes).ravel())
    return pyarrow.FixedSizeListArray.from_arrays(flat, codes.shape[1])


def _column(values: Any) -> Any:
    import pyarrow

    if isinstance(values, np.ndarray) and values.ndim == 2:
        flat = pyarrow.array(np.ascontiguousarray(values).ravel())
        return pyarrow.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pyarrow.array(values) if not isinstance(values, pyarrow.ChunkedArray) else values


def _schema_of(schema: Any, path: Path) -> Any:
    """Say what the table of a file of codes has for columns."""
    import pyarrow

    kind = schema.field(COLUMN).type if COLUMN in schema.names else None
    if kind is None or not pyarrow.types.is_fixed_size_binary(kind):
        raise ValueError(
            f"{path} has no column {COLUMN!r} of binary values of one length; there are "
            f"{', '.join(schema.names)}"
        )
    lists = pyarrow.list_(pyarrow.field("item", pyarrow.uint8()), kind.byte_width)
    place = schema.names.index(COLUMN)
    schema = schema.set(place, pyarrow.field(COLUMN, lists))
    return schema if ID in schema.names else schema.insert(0, pyarrow.field(ID, pyarrow.int64()))


def _batches(path: Path, schema: Any) -> Iterator[Any]:
    import pyarrow

    first = 0
    for file in opened_tables(path):
        for batch in file.read(file.schema.names, _ROWS, 0):
            numbers = pyarrow.array(np.arange(first, first + len(batch)))
            columns = {ID: numbers, **dict(zip(batch.schema.names, batch.columns, strict=True))}
            columns[COLUMN] = _as_lists(batch.column(COLUMN))
            first += len(batch)
            yield pyarrow.record_batch([columns[name] for name in schema.names], schema=schema)


def _as_lists(column: Any) -> Any:
    """View a column of binary values as lists of their bytes, missing ones included."""
    import pyarrow

    width = column.type.byte_width
    values = pyarrow.Array.from_buffers(
        pyarrow.uint8(),
        len(column) * width,
        [None, column.buffers()[1]],
        offset=column.offset * width,
    )
    mask = column.is_null() if column.null_count else None
    return pyarrow.FixedSizeListArray.from_arrays(values, width, mask=mask)


def _import_lancedb() -> Any:
    try:
        import lancedb
        import lancedb.table
    except ModuleNotFoundError as error:
        raise ImportError("this needs LanceDB: pip install 'hashlearn[lancedb]'") from error
    return lancedb
