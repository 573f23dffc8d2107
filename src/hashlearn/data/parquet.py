"""Parquet: vectors in one column of lists, or spread over numeric columns."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Dataset
from hashlearn.data.labels import number_labels
from hashlearn.data.locations import files_in, naming

if TYPE_CHECKING:
    import pyarrow

SUFFIX = ".parquet"
"""Extension of the files that are read."""

_PANDAS_INDEX = "__index_level_"  # row numbers that pandas adds: not part of the vectors


def load_parquet(
    path: Path,
    *,
    column: str | None = None,
    label_column: str | None = None,
    name_column: str | None = None,
) -> Dataset:
    """Load vectors from a Parquet file or a folder of such files.

    Parameters
    ----------
    path : pathlib.Path
        File, or folder whose ``.parquet`` files, nested ones too, are read in the order of their
        paths.
    column : str, default=None
        Column of lists of numbers, all equally long. None takes all columns of numbers, in their
        order, but for `label_column` and `name_column`.
    label_column : str, default=None
        Column of labels: whole numbers, strings, booleans, or lists of 0 and 1.
    name_column : str, default=None
        Column of item names: strings, or whole numbers, which become strings.

    Returns
    -------
    Dataset
        `X` of shape (n, d) in the dtype of the column, or one that holds those of all columns.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If a file is damaged, a column is missing or holds something else, a value is null, lists
        differ in length, files differ in their columns, or there are no rows.
    """
    wanted = [name for name in (column, label_column, name_column) if name is not None]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"column, label_column and name_column must differ, got {wanted}")
    table = _read(path, wanted, everything=column is None)
    with naming(path):
        if column is None:
            numbers = [name for name in table.column_names if name not in wanted]
            X = np.column_stack([_flat(table, name) for name in numbers])
        else:
            X = _matrix(table, column)
        y, label_names = _labels(table, label_column) if label_column else (None, None)
        names = _names(table, name_column) if name_column else None
        return Dataset(path.stem, X, y, label_names, names, source=str(path))


def _read(path: Path, wanted: list[str], *, everything: bool) -> "pyarrow.Table":
    """Read the wanted columns, and all columns of numbers if `everything` is asked for."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ImportError(
            "reading Parquet needs pyarrow: pip install 'hashlearn[parquet]'"
        ) from error
    tables: list[pyarrow.Table] = []
    for file in files_in(path, (SUFFIX,)) if path.is_dir() else [path]:
        try:
            with parquet.ParquetFile(file) as opened, naming(file):
                names = _columns(opened.schema_arrow, wanted, everything=everything)
                tables.append(opened.read(columns=names))
        except (pyarrow.ArrowException, OSError) as error:
            raise ValueError(f"{file} is damaged or not a Parquet file: {error}") from error
        if not tables[-1].schema.equals(tables[0].schema):
            raise ValueError(f"{file} has other columns or types than the files before it")
    table = pyarrow.concat_tables(tables)
    if not table.num_rows:
        raise ValueError(f"{path} has no rows")
    return table


def _columns(schema: "pyarrow.Schema", wanted: list[str], *, everything: bool) -> list[str]:
    """Name the columns to read, and check that they are there."""
    if missing := [name for name in wanted if name not in schema.names]:
        raise ValueError(f"no column {missing[0]!r}; there are {', '.join(schema.names)}")
    if twice := [name for name, n in Counter(schema.names).items() if n > 1]:
        raise ValueError(f"more than one column is named {twice[0]!r}")
    if not everything:
        return wanted
    numbers = [
        field.name
        for field in schema
        if field.name not in wanted
        and _is_number(field.type)
        and not field.name.startswith(_PANDAS_INDEX)
    ]
    if not numbers:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise ValueError(f"no columns of numbers among {found}; name a column of lists: column=...")
    return numbers + wanted


def _is_number(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_list(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _flat(table: "pyarrow.Table", name: str) -> NDArray[Any]:
    """Give a column as an array, after a look for nulls."""
    values = table.column(name)
    if values.null_count:
        raise ValueError(f"the column {name!r} has {values.null_count} null values")
    array: NDArray[Any] = values.to_numpy()
    return array


def _matrix(table: "pyarrow.Table", name: str) -> NDArray[Any]:
    """Give a column of lists of numbers as a matrix."""
    import pyarrow.compute

    values = table.column(name)
    if not _is_list(values.type) or not _is_number(values.type.value_type):
        raise ValueError(f"the column {name!r} must hold lists of numbers, it holds {values.type}")
    if values.null_count:
        raise ValueError(f"the column {name!r} has {values.null_count} null values")
    lengths = pyarrow.compute.list_value_length(values).to_numpy()
    if (lengths != lengths[0]).any():
        raise ValueError(
            f"the lists of the column {name!r} have from {lengths.min()} to {lengths.max()} "
            "values; all must be equally long"
        )
    flat = pyarrow.compute.list_flatten(values)
    if flat.null_count:
        raise ValueError(f"the lists of the column {name!r} have {flat.null_count} null values")
    array: NDArray[Any] = flat.to_numpy()
    return array.reshape(table.num_rows, int(lengths[0]))


def _labels(table: "pyarrow.Table", name: str) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    if _is_list(table.schema.field(name).type):
        return _matrix(table, name), None
    array = _flat(table, name)
    if array.dtype == object:
        return number_labels(_texts(array, name))
    return array, None


def _names(table: "pyarrow.Table", name: str) -> tuple[str, ...]:
    array = _flat(table, name)
    if array.dtype.kind in "iu":
        return tuple(map(str, array.tolist()))
    return tuple(_texts(array, name))


def _texts(array: NDArray[Any], name: str) -> list[str]:
    texts: list[str] = array.tolist()
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the column {name!r} must hold strings or whole numbers")
    return texts
