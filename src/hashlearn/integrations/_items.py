"""What a model takes: vectors, texts or images, and how images come to it."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.codefiles import COLUMN
from hashlearn.codes import n_bytes
from hashlearn.data.columns import Columns, choose_columns
from hashlearn.data.images import ImageSource, read_image
from hashlearn.data.source import objects
from hashlearn.encoding import image_options, item_kind
from hashlearn.models import Model, encode, hasher_of, load, steps_of

if TYPE_CHECKING:
    import pyarrow


def any_model(model: Model | str | os.PathLike[str] | bytes) -> Model:
    """Give a fitted model, from its file or from what its file holds."""
    if isinstance(model, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model")
            path.write_bytes(model)
            return load(path)
    return load(model) if isinstance(model, str | os.PathLike) else model


def columns_of(
    first: Any, schema: "pyarrow.Schema", column: str | None, keep: Sequence[str]
) -> Columns:
    """Choose the columns of the items, and refuse what the model does not take."""
    taken = item_kind(first)
    if missing := [name for name in keep if name not in schema.names]:
        raise ValueError(f"no column {missing[0]!r}; there are {', '.join(schema.names)}")
    if column is None:
        if taken == "texts":
            raise ValueError("the model takes texts: name the column that holds them")
        others = [name for name in schema.names if name not in keep]
        return choose_columns(schema.empty_table().select(others).schema, None, None, None)
    if taken == "images" and column in schema.names and is_text(schema.field(column).type):
        return Columns("texts", (column,), None, None, True)  # paths of images
    options = image_options(first) if taken == "images" else {}
    found = choose_columns(schema, column, None, None, **options)
    if found.kind != taken and not (found.kind == "vectors" and taken == "images"):
        kind = schema.field(column).type
        raise ValueError(f"the model takes {taken}, and the column {column!r} holds {kind}")
    return found


def is_text(kind: "pyarrow.DataType") -> bool:
    """Tell whether a column holds strings."""
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def list_images(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> tuple[list[str], list[str]]:
    """List the paths of images, and their names: from a folder on, or as they were given."""
    if not isinstance(source, str | os.PathLike):
        names = [os.fspath(path) for path in source]
        if not names:
            raise ValueError("source names no image")
        return [str(Path(name).absolute()) for name in names], names
    folder = Path(source)
    if not folder.exists():
        raise FileNotFoundError(f"there is no {folder}")
    images = ImageSource(folder)
    names = list(images.names_of(range(len(images.paths))))
    return [str(path.absolute()) for path in images.paths], names


def encode_table(
    model: Model, table: "pyarrow.Table", column: str | None, keep: Sequence[str]
) -> tuple["pyarrow.Table", list[str | None]]:
    """Give the columns to keep and the codes; and what was wrong with each row, for images."""
    import pyarrow

    first = steps_of(model)[0]
    columns = columns_of(first, table.schema, column, keep)
    (part,) = table.combine_chunks().to_batches() or [None]
    packed: list[bytes | None] = [None] * table.num_rows
    problems: list[str | None] = [None] * table.num_rows
    if part is not None:
        if columns.kind == "texts" and item_kind(first) == "images":
            rows, X = read_images(part.column(column).to_pylist(), problems, first)
        else:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                batch = columns.batch(part, 0)
            rows, X = batch.rows, batch.X
            left_out = np.setdiff1d(np.arange(table.num_rows), rows)
            for row, warning in zip(left_out.tolist(), caught, strict=True):
                problems[row] = str(warning.message).removeprefix("left out: ")
        if len(rows):
            for row, code in zip(rows.tolist(), encode(model, X), strict=True):
                packed[row] = code.tobytes()
    codes = pyarrow.array(packed, pyarrow.binary(n_bytes(hasher_of(model).n_bits)))
    return table.select(list(keep)).append_column(COLUMN, codes), problems


def read_images(
    paths: Sequence[str], problems: list[str | None], first: Any
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Read images from their paths; say for each file what was wrong with it."""
    options = image_options(first)
    rows, images = [], []
    for row, path in enumerate(paths):
        try:
            size, mode = options.get("image_size"), options.get("mode", "rgb")
            images.append(read_image(Path(path), size=size, mode=mode))
            rows.append(row)
        except ValueError as error:
            problems[row] = str(error)
    return np.array(rows, np.int64), np.stack(images) if options and images else objects(images)
