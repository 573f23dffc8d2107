"""Encoding on many processes, or many machines, by Ray Data.

Each worker reads a piece of the data, encodes it and sends back the codes, which the process that
asked writes into Parquet files, in the order of the data.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from sklearn.utils import check_scalar

import hashlearn
from hashlearn.codefiles import COLUMN
from hashlearn.data.locations import naming
from hashlearn.encoding import item_kind
from hashlearn.integrations._cluster import connected, import_ray
from hashlearn.integrations._items import (
    any_model,
    columns_of,
    encode_table,
    list_images,
)
from hashlearn.integrations._parquet import (
    Source,
    Writer,
    check_columns,
    divide,
    find_files,
    read_footers,
    whole_folder,
)
from hashlearn.integrations._workers import load_in_worker, run
from hashlearn.models import Model, hasher_of, steps_of


@dataclass(frozen=True)
class Encoded:
    """What was encoded.

    Parameters
    ----------
    n_rows : int
        Rows that were written.
    seconds : float
        Time from the first piece that was handed out to the last row that was written.
    files : tuple of str
        Names of the files in the output folder, in order.
    left_out : tuple of str
        What was wrong with each image that could not be read.
    """

    n_rows: int
    seconds: float
    files: tuple[str, ...]
    left_out: tuple[str, ...]


class Encoder:
    """Encode tables of items: a function for ``map_batches`` of a Ray data set.

    Ray makes one in each worker, so that the model is loaded once a worker. The threads that a
    worker takes are as many as the CPUs that Ray gives it.

    Parameters
    ----------
    model : path-like, bytes, Hasher or Pipeline
        File of a saved model, what such a file holds, or a fitted model.
    column : str, default=None
        Column of lists of numbers; or of texts, if the model takes texts; or, if it takes images,
        of the bytes of image files (binary) or of their paths (strings). None takes all columns of
        numbers but those to keep.
    keep : sequence of str, default=()
        Columns to give beside the codes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged.

    Examples
    --------
    >>> import numpy as np
    >>> import pyarrow
    >>> from hashlearn.hashers import get_method
    >>> vectors = np.random.default_rng(0).standard_normal((9, 4))
    >>> encoder = Encoder(get_method("lsh")(12, random_state=0).fit(vectors), column="vector")
    >>> encoder(pyarrow.table({"vector": list(vectors)})).schema.field("code").type
    FixedSizeBinaryType(fixed_size_binary[2])
    """

    def __init__(self, model: Any, *, column: str | None = None, keep: Sequence[str] = ()) -> None:
        self.model = load_in_worker(model)
        self.column = column
        self.keep = list(keep)

    def __call__(self, batch: Any) -> Any:
        """Encode a table.

        Parameters
        ----------
        batch : pyarrow.Table
            Items.

        Returns
        -------
        pyarrow.Table
            The columns to keep, and ``code``, binary of ceil(n_bits / 8) bytes: null for images
            that cannot be read.

        Raises
        ------
        ValueError
            If a column is missing or holds something else, or the model does not take the items.
        """
        return encode_table(self.model, batch, self.column, self.keep)[0]


def encode_parquet(
    model: Model | str | os.PathLike[str],
    source: Source,
    output: str | os.PathLike[str],
    *,
    column: str | None = None,
    keep: Sequence[str] | None = None,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    batch_size: int = 1024,
    address: str | None = None,
) -> Encoded:
    """Encode Parquet files on several processes or machines.

    Parameters
    ----------
    model : Hasher, Pipeline or path-like
        Fitted model, or its file. It is sent to the workers, which need no such file.
    source : str, path-like or sequence of these
        Parquet file, folder, pattern such as ``"data/*.parquet"``, or address such as
        ``"s3://bucket/folder"``; the workers read them, so each machine must reach them.
    output : str or path-like
        New folder for Parquet files of codes, or its address; this process writes it.
    column : str, default=None
        Column of items, as for :class:`Encoder`.
    keep : sequence of str, default=None
        Columns to write beside the codes. None keeps none.
    workers : int, default=None
        Number of processes that encode. None takes as many as the CPUs (or GPUs) are enough for.
    cpus_per_worker : float, default=1
        CPUs, and so threads, of each.
    gpus_per_worker : float, default=0
        GPUs of each.
    batch_size : int, default=1024
        Rows that a worker encodes at a time.
    address : str, default=None
        Address of a cluster; ``"auto"`` is one that runs on this machine. None takes the one of
        the environment variable ``RAY_ADDRESS``, or that Ray is connected to already; otherwise
        Ray is started here, and ended when all is done.

    Returns
    -------
    Encoded
        Rows, seconds, files. Row i of the files, one after the other, is row i of the source.

    Raises
    ------
    ImportError
        If Ray or pyarrow is not installed.
    FileNotFoundError
        If there is no such model or source, or no folder to make the output in.
    FileExistsError
        If `output` is a file, or a folder that is not empty.
    TypeError
        If the model cannot be saved, or a number has the wrong type.
    ValueError
        If a file is damaged or lacks a column, the model does not take what a column holds, a
        number is too small, or the cluster is.
    RuntimeError
        If workers were lost again and again over the same rows.
    """
    _check_numbers(workers, cpus_per_worker, gpus_per_worker, batch_size)
    import_ray()
    loaded = any_model(model)
    kept = list(keep or ())
    if COLUMN in kept:
        raise ValueError(f"a column to keep cannot be named {COLUMN!r}, as the codes are")
    system, files = find_files(source)
    footers = read_footers(system, files)
    n_rows = sum(sum(footer.rows) for footer in footers)
    if not n_rows:
        raise ValueError(f"{source} has no rows")
    first = steps_of(loaded)[0]
    with naming(Path(footers[0].path)):
        check_columns(footers[:1], [*([] if column is None else [column]), *kept])
        items = columns_of(first, footers[0].schema, column, kept).items
    columns = list(dict.fromkeys([*items, *kept]))
    check_columns(footers, columns)

    task = {
        "column": column, "keep": kept, "system": system, "columns": columns,
        "batch_size": batch_size,
    }  # fmt: skip
    with (
        whole_folder(output) as folder,
        connected(address, workers, cpus_per_worker, gpus_per_worker) as resources,
    ):
        writer = Writer(folder, _about(loaded))
        pieces = divide(footers, resources.workers, batch_size)
        seconds, left_out = run(loaded, task, pieces, n_rows, writer, resources)
    return Encoded(writer.n_rows, seconds, tuple(writer.files), tuple(left_out))


def encode_images(
    model: Model | str | os.PathLike[str],
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    workers: int | None = None,
    cpus_per_worker: float = 1,
    gpus_per_worker: float = 0,
    batch_size: int = 128,
    address: str | None = None,
) -> Encoded:
    """Encode files of images on several processes or machines.

    Images are brought to the size that the model learned from; a network behind which the model
    stands gets them as they are.

    Parameters
    ----------
    model : Hasher, Pipeline or path-like
        Fitted model, or its file.
    source : str, path-like or sequence of these
        Folder, sub-folders included, or paths of images. The workers read them: on a cluster every
        machine must see them under these paths.
    output : str or path-like
        New folder for Parquet files of ``name`` and ``code``, or its address. Names are paths from
        the folder on, or as given.
    workers : int, default=None
        As for :func:`encode_parquet`.
    cpus_per_worker : float, default=1
        CPUs, and so threads, of each.
    gpus_per_worker : float, default=0
        GPUs of each.
    batch_size : int, default=128
        Images that a worker holds at a time.
    address : str, default=None
        As for :func:`encode_parquet`.

    Returns
    -------
    Encoded
        Rows, seconds, files, and what was wrong with images that are left out.

    Raises
    ------
    ImportError
        If Ray or pyarrow is not installed.
    FileNotFoundError
        If there is no such model or source, or no folder to make the output in.
    FileExistsError
        If `output` is a file, or a folder that is not empty.
    TypeError
        If the model cannot be saved, or a number has the wrong type.
    ValueError
        If there are no images or none can be read, the model takes something else, a number is too
        small, or the cluster is.
    RuntimeError
        If workers were lost again and again over the same images.

    Warns
    -----
    UserWarning
        If images cannot be read; they are left out.
    """
    _check_numbers(workers, cpus_per_worker, gpus_per_worker, batch_size)
    import_ray()
    loaded = any_model(model)
    if item_kind(steps_of(loaded)[0]) != "images":
        raise ValueError(f"the model takes {item_kind(steps_of(loaded)[0])}, not images")
    paths, names = list_images(source)
    pieces = [
        {"number": number, "paths": paths[i : i + batch_size], "names": names[i : i + batch_size]}
        for number, i in enumerate(range(0, len(paths), batch_size))
    ]
    task = {"column": "path", "keep": ["name"], "leave_out": True}
    with (
        whole_folder(output) as folder,
        connected(address, workers, cpus_per_worker, gpus_per_worker) as resources,
    ):
        writer = Writer(folder, _about(loaded))
        seconds, left_out = run(loaded, task, pieces, len(paths), writer, resources)
        if not writer.n_rows:
            raise ValueError(f"none of {len(paths)} images can be read: {left_out[0]}")
    if left_out:
        warnings.warn(
            f"left out {len(left_out)} of {len(paths)} images, the first: {left_out[0]}",
            UserWarning,
            stacklevel=2,
        )
    return Encoded(writer.n_rows, seconds, tuple(writer.files), tuple(left_out))


def _about(model: Model) -> dict[str, Any]:
    """Say in the files how their codes were made."""
    hasher = hasher_of(model)
    return {
        "n_bits": int(hasher.n_bits),
        "method": type(hasher).__name__,
        "version": hashlearn.__version__,
    }


def _check_numbers(workers: Any, cpus: Any, gpus: Any, batch_size: Any) -> None:
    if workers is not None:
        check_scalar(workers, "workers", Integral, min_val=1)
    check_scalar(cpus, "cpus_per_worker", Real, min_val=0, include_boundaries="neither")
    check_scalar(gpus, "gpus_per_worker", Real, min_val=0)
    check_scalar(batch_size, "batch_size", Integral, min_val=1)
