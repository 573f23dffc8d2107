"""Columns of Arrow tables: which ones hold the items, and what NumPy makes of them."""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Kind
from hashlearn.data.images import Mode, read_image
from hashlearn.data.source import Batch, objects

if TYPE_CHECKING:
    import pyarrow

_PANDAS_INDEX = "__index_level_"  # row numbers that pandas adds: not part of the vectors


@dataclass(frozen=True)
class Columns:
    """Name the columns that are read.

    Parameters
    ----------
    kind : {"images", "texts", "vectors"}
        What the items are.
    items : tuple of str
        Columns of the items: one of lists, texts or images, or several of numbers.
    label : str or None
        Column of labels.
    name : str or None
        Column of names.
    one : bool
        Whether the items are in one column, which was named.
    image_size : tuple of int (height, width), default=None
        Size to bring images to.
    mode : {"rgb", "grey"}, default="rgb"
        Whether images have three channels, or none.
    """

    kind: Kind
    items: tuple[str, ...]
    label: str | None
    name: str | None
    one: bool
    image_size: tuple[int, int] | None = None
    mode: Mode = "rgb"

    @property
    def names(self) -> list[str]:
        """List all columns that are read.

        Returns
        -------
        list of str
            Their names.
        """
        return [*self.items, *(name for name in (self.label, self.name) if name is not None)]

    def batch(self, table: Any, start: int) -> Batch:
        """Make items of rows.

        Parameters
        ----------
        table : pyarrow.RecordBatch
            Rows.
        start : int
            Row of the source that is their first.

        Returns
        -------
        Batch
            The items.

        Raises
        ------
        ValueError
            If there is a null, lists differ in length, or a column holds something else than its
            type says.

        Warns
        -----
        UserWarning
            For each image that cannot be read; it is left out.
        """
        column = table.column
        kept = np.arange(len(table))
        X: NDArray[Any]
        if self.kind == "images":
            X, kept = self._images(column(self.items[0]), start)
        elif self.kind == "texts":
            X = objects(_strings(column(self.items[0]), self.items[0]))
        elif self.one:
            X = _matrix(column(self.items[0]), self.items[0])
        else:
            X = np.column_stack([_flat(column(name), name) for name in self.items])
        labels = None if self.label is None else _labels(column(self.label), self.label)[kept]
        names = None if self.name is None else _names(column(self.name), self.name)
        if names is not None:
            names = tuple(names[i] for i in kept)
        return Batch(X, start + kept, start + len(table), names, labels)

    def _images(self, values: Any, start: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Read the images that can be read, and say which those are."""
        kept, images = [], []
        for i, value in enumerate(values.to_pylist()):
            content = value["bytes"] if isinstance(value, dict) else value
            try:
                if content is None:
                    raise ValueError("it is null")
                file = io.BytesIO(content)
                images.append(read_image(file, size=self.image_size, mode=self.mode))
                kept.append(i)
            except ValueError as error:
                warnings.warn(f"left out: row {start + i}: {error}", UserWarning, stacklevel=3)
        X = objects(images) if self.image_size is None or not images else np.stack(images)
        return X, np.array(kept, np.int64)


def choose_columns(
    schema: "pyarrow.Schema",
    column: str | None,
    label_column: str | None,
    name_column: str | None,
    image_size: tuple[int, int] | None = None,
    mode: Mode = "rgb",
) -> Columns:
    """Choose the columns to read, and check that they are there.

    Parameters
    ----------
    schema : pyarrow.Schema
        What there is.
    column : str or None
        Column of the items. None takes the only column of lists of numbers, or without one all
        columns of numbers but the following two.
    label_column : str or None
        Column of labels.
    name_column : str or None
        Column of names.
    image_size : tuple of int (height, width), default=None
        Size to bring images to.
    mode : {"rgb", "grey"}, default="rgb"
        Whether images have three channels, or none.

    Returns
    -------
    Columns
        What to read.

    Raises
    ------
    ValueError
        If a column is missing, is there twice or is named for two things, or holds neither lists of
        numbers nor texts nor images, or none is named of several with lists of numbers.
    """
    wanted = [name for name in (column, label_column, name_column) if name is not None]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"column, label_column and name_column must differ, got {wanted}")
    if missing := [name for name in wanted if name not in schema.names]:
        raise ValueError(f"no column {missing[0]!r}; there are {', '.join(schema.names)}")
    if twice := [name for name, n in Counter(schema.names).items() if n > 1]:
        raise ValueError(f"more than one column is named {twice[0]!r}")
    if column is None:
        lists = [
            field.name for field in schema
            if field.name not in wanted
            and _is_list(field.type)
            and _is_number(field.type.value_type)
        ]  # fmt: skip
        if len(lists) > 1:
            raise ValueError(
                f"several columns hold lists of numbers, {', '.join(lists)}; name one: column=..."
            )
        column = lists[0] if lists else None
    if column is not None:
        kind = _kind_of(schema.field(column).type, column)
        if kind != "images" and (image_size is not None or mode != "rgb"):
            raise ValueError(f"image_size and mode cannot be given: {column!r} holds {kind}")
        return Columns(kind, (column,), label_column, name_column, True, image_size, mode)
    numbers = tuple(
        field.name
        for field in schema
        if field.name not in wanted
        and _is_number(field.type)
        and not field.name.startswith(_PANDAS_INDEX)
    )
    if image_size is not None or mode != "rgb":
        raise ValueError("image_size and mode cannot be given with vectors; name the column")
    if not numbers:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema)
        raise ValueError(f"no columns of numbers among {found}; name a column of lists: column=...")
    return Columns("vectors", numbers, label_column, name_column, False)


def _kind_of(kind: "pyarrow.DataType", name: str) -> Kind:
    from pyarrow import types

    plain = kind.value_type if types.is_dictionary(kind) else kind
    if _is_list(kind) and _is_number(kind.value_type):
        return "vectors"
    if types.is_string(plain) or types.is_large_string(plain):
        return "texts"
    is_file = types.is_struct(kind) and "bytes" in [field.name for field in kind]
    if is_file or types.is_binary(kind) or types.is_large_binary(kind):
        return "images"
    raise ValueError(
        f"the column {name!r} must hold lists of numbers, it holds {kind}; strings and files of "
        "images would do too"
    )


def _is_number(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind))


def _is_list(kind: "pyarrow.DataType") -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _flat(values: Any, name: str) -> NDArray[Any]:
    """Give a column as an array, after a look for nulls."""
    if values.null_count:
        raise ValueError(f"the column {name!r} has {values.null_count} null values")
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array


def _matrix(values: Any, name: str) -> NDArray[Any]:
    """Give a column of lists of numbers as a matrix, without a copy where it can be."""
    import pyarrow.compute

    if values.null_count:
        raise ValueError(f"the column {name!r} has {values.null_count} null values")
    lengths = pyarrow.compute.min_max(pyarrow.compute.list_value_length(values)).as_py()
    if lengths["min"] != lengths["max"]:
        raise ValueError(
            f"the lists of the column {name!r} have from {lengths['min']} to {lengths['max']} "
            "values; all must be equally long"
        )
    flat = values.flatten()
    if flat.null_count:
        raise ValueError(f"the lists of the column {name!r} have {flat.null_count} null values")
    array: NDArray[Any] = flat.to_numpy(zero_copy_only=False)
    return array.reshape(len(values), lengths["max"] or 0)


def _labels(values: Any, name: str) -> NDArray[Any]:
    if _is_list(values.type):
        return _matrix(values, name)
    array = _flat(values, name)
    return np.array(_checked(array, name), dtype=str) if array.dtype == object else array


def _names(values: Any, name: str) -> tuple[str, ...]:
    array = _flat(values, name)
    if array.dtype.kind in "iu":
        return tuple(map(str, array.tolist()))
    return tuple(_checked(array, name))


def _strings(values: Any, name: str) -> list[str]:
    return _checked(_flat(values, name), name)


def _checked(array: NDArray[Any], name: str) -> list[str]:
    texts: Sequence[Any] = array.tolist()
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the column {name!r} must hold strings or whole numbers")
    return list(texts)
