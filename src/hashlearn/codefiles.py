"""Files of codes: NumPy's, and Parquet for many items or for other programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.arrays import read_npy, read_npz
from hashlearn.data.locations import naming
from hashlearn.storage import replacing

PARQUET = ".parquet"
SUFFIXES = (".npz", ".npy", PARQUET)
"""Endings of the files that are read and written."""

COLUMN = "code"
"""Column of a Parquet file that holds the codes, each as so many bytes."""

NAMES = "name"
"""Column of a Parquet file that holds the names of the items."""

_METADATA = b"hashlearn"
_ROWS = 1 << 16  # of a group of rows


def write_codes(
    path: Path,
    codes: NDArray[np.uint8],
    n_bits: int,
    names: Iterable[str] | None = None,
    **about: Any,
) -> None:
    """Write packed codes into a file, atomically.

    Parameters
    ----------
    path : pathlib.Path
        A .npz file, with the arrays `codes`, `n_bits` and `names`; a .npy file, which holds the
        codes alone; or a .parquet file, with the columns ``code`` (binary of fixed length) and
        ``name``.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes; they may be mapped from a file.
    n_bits : int
        Their length.
    names : iterable of str, default=None
        Names of the items. Only Parquet takes them one by one.
    **about : object
        What a .parquet file shall say of the codes, as values that JSON can hold.

    Raises
    ------
    ImportError
        If Parquet needs pyarrow and it is not installed.
    """
    with replacing(path) as temporary:
        if path.suffix == PARQUET:
            _write_parquet(temporary, codes, names, {"n_bits": n_bits, **about})
            return
        extras: dict[str, Any] = {} if names is None else {"names": np.array([*names], dtype=str)}
        with temporary.open("wb") as file:
            if path.suffix == ".npy":
                np.save(file, codes)
            else:
                np.savez(file, codes=codes, n_bits=np.int64(n_bits), **extras)


def read_codes(path: Path) -> dict[str, NDArray[Any]]:
    """Read what a file of codes holds.

    Parameters
    ----------
    path : pathlib.Path
        File of :func:`write_codes`, or one made elsewhere; or a folder of Parquet files.

    Returns
    -------
    dict of str to ndarray
        As far as they are there: `codes`, `n_bits`, `names`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If Parquet needs pyarrow and it is not installed.
    ValueError
        If the file is damaged, or a Parquet file holds no codes.
    """
    if path.suffix == ".npy":
        return {"codes": read_npy(path)}
    if path.suffix == ".npz":
        return read_npz(path)
    return _read_parquet(path)


def write_names(index: Path, names: Sequence[str] | None) -> None:
    """Write the names of an index's items into a text file beside it, one a line.

    Parameters
    ----------
    index : Path
        File of the index.
    names : sequence of str or None
        Name of each item; None removes a file that an earlier index left.

    Raises
    ------
    ValueError
        If a name holds a line break.
    """
    path = _names_file(index)
    if names is None:
        path.unlink(missing_ok=True)
        return
    if broken := [name for name in names if "\n" in name or "\r" in name]:
        raise ValueError(f"the name {broken[0]!r} holds a line break; rename the item")
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def read_names(index: Path, ids: NDArray[np.int64]) -> dict[int, str] | None:
    """Read the names of an index's items.

    Parameters
    ----------
    index : Path
        File of the index.
    ids : ndarray of shape (n,), int64
        Ids of its items, rising.

    Returns
    -------
    dict of int to str, or None
        Name of each id; None if the index came without.

    Raises
    ------
    ValueError
        If the file is no text, or holds another number of names.
    """
    path = _names_file(index)
    if not path.is_file():
        return None
    with naming(path):
        text = path.read_text(encoding="utf-8")
    names = text.removesuffix("\n").split("\n") if text else []
    if len(names) != len(ids):
        raise ValueError(f"{path} holds {len(names)} names for {len(ids)} items; index again")
    return dict(zip(ids.tolist(), names, strict=True))


def schema(n_bytes: int, about: dict[str, Any], *others: Any) -> Any:
    """Say what a Parquet file of codes holds.

    Parameters
    ----------
    n_bytes : int
        Length of a code.
    about : dict
        What is known of the codes, such as their `n_bits`, as values that JSON can hold.
    *others : pyarrow.Field
        Columns before the codes.

    Returns
    -------
    pyarrow.Schema
        The columns, with what is known as metadata.
    """
    import pyarrow

    return pyarrow.schema(
        [*others, pyarrow.field(COLUMN, pyarrow.binary(n_bytes))],
        metadata=metadata(about),
    )


def metadata(about: dict[str, Any]) -> dict[bytes, bytes]:
    """Say what is known of codes, as the metadata of a Parquet file.

    Parameters
    ----------
    about : dict
        What is known, such as `n_bits`, as values that JSON can hold.

    Returns
    -------
    dict of bytes to bytes
        Metadata of a schema.
    """
    return {_METADATA: json.dumps(about).encode()}


def _names_file(index: Path) -> Path:
    return index.with_name(index.name + ".names.txt")


def column_of(codes: NDArray[np.uint8]) -> Any:
    """Make a column of codes, without a copy.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes.

    Returns
    -------
    pyarrow.FixedSizeBinaryArray
        The same bytes.
    """
    import pyarrow

    buffer = pyarrow.py_buffer(np.ascontiguousarray(codes))
    kind = pyarrow.binary(codes.shape[1])
    return pyarrow.Array.from_buffers(kind, len(codes), [None, buffer])


def _write_parquet(
    path: Path, codes: NDArray[np.uint8], names: Iterable[str] | None, about: dict[str, Any]
) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "writing Parquet needs pyarrow: pip install 'hashlearn[parquet]'"
        ) from error
    others = [] if names is None else [pyarrow.field(NAMES, pyarrow.string())]
    kind = schema(codes.shape[1], about, *others)
    left: Iterator[str] = iter(names or ())
    # codes are as good as random: neither a dictionary nor compression makes them smaller
    with parquet.ParquetWriter(path, kind, use_dictionary=False, compression="none") as writer:
        for start in range(0, len(codes), _ROWS):
            part = codes[start : start + _ROWS]
            columns = [column_of(part)]
            if names is not None:
                columns.insert(0, pyarrow.array(list(islice(left, len(part))), pyarrow.string()))
            writer.write_table(pyarrow.table(columns, schema=kind))


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    from hashlearn.data.tables import opened_tables

    parts: list[NDArray[np.uint8]] = []
    names: list[str] = []
    found: dict[str, NDArray[Any]] = {}
    for table in opened_tables(path):
        kind = table.schema.field(COLUMN).type if COLUMN in table.schema.names else None
        n_bytes = getattr(kind, "byte_width", None)
        if n_bytes is None:
            raise ValueError(
                f"{path} has no column {COLUMN!r} of binary values of one length; "
                f"there are {', '.join(table.schema.names)}"
            )
        about = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
        if "n_bits" in about:
            found["n_bits"] = np.array(about["n_bits"])
        wanted = [COLUMN, *([NAMES] if NAMES in table.schema.names else [])]
        for part in table.read(wanted, _ROWS, 0):
            column = part.column(COLUMN)
            if column.null_count:
                raise ValueError(f"the column {COLUMN!r} has {column.null_count} null values")
            first = column.offset * n_bytes
            content = np.frombuffer(column.buffers()[1], np.uint8)
            codes = content[first : first + len(column) * n_bytes].reshape(-1, n_bytes)
            if parts and codes.shape[1] != parts[0].shape[1]:
                raise ValueError(f"{path} holds codes of {n_bytes} and of other numbers of bytes")
            parts.append(codes)
            if len(wanted) > 1:
                names += part.column(NAMES).to_pylist()
    if not parts:
        raise ValueError(f"{path} holds no codes, or no Parquet files")
    found["codes"] = np.concatenate(parts)
    if names:
        found["names"] = np.array(names, dtype=str)
    return found
