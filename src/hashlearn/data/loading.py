"""Named data sets and your own, read at once or a batch at a time."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hashlearn.data import images, tables, textfiles, vecs
from hashlearn.data.arrays import load_npz, map_npy
from hashlearn.data.catalog import NAMES, load_named
from hashlearn.data.dataset import Dataset
from hashlearn.data.huggingface import HuggingFaceSource, is_hugging_face
from hashlearn.data.images import ImageSource, Mode
from hashlearn.data.locations import files_in
from hashlearn.data.source import ArraySource, Source
from hashlearn.data.tables import TableSource
from hashlearn.data.textfiles import RecordSource, TextFileSource

_COLUMNS = ("column", "label_column", "name_column")
_IMAGES = ("image_size", "mode")
_ARRAYS: dict[str, Callable[[Path], Dataset]] = {
    ".npz": load_npz,
    **dict.fromkeys(vecs.SUFFIXES, vecs.load_vecs),
}
_RECORDS = ", ".join(textfiles.RECORDS)
_TABLES = ", ".join(tables.SUFFIXES)
_ALLOWED = (
    f"named data sets are {', '.join(NAMES)}; paths lead to a file of vectors (.npy, .npz, "
    f"{', '.join(vecs.SUFFIXES)}), a table ({_TABLES}), texts ({_RECORDS}, .txt), an image "
    f"({', '.join(images.SUFFIXES)}), or to a folder of tables, texts or images, or of a "
    "benchmark's vectors (*_base.fvecs, *_query.fvecs)"
)


def load_dataset(
    name_or_path: str | os.PathLike[str],
    *,
    download: bool = True,
    column: str | None = None,
    label_column: str | None = None,
    name_column: str | None = None,
    image_size: tuple[int, int] | None = None,
    mode: Mode = "rgb",
) -> Dataset:
    """Load a named data set, or your own from a file or folder.

    Parameters
    ----------
    name_or_path : str or path-like
        Name of one of `datasets`, or path of vectors (``.npy``, ``.npz``, ``.fvecs``, ``.bvecs``,
        ``.ivecs``), of a table (``.parquet``, ``.arrow``, ``.feather``), of texts (``.csv``,
        ``.tsv``, ``.jsonl``, ``.ndjson``, ``.txt``) or of an image; or of a folder of tables, texts
        or images, or of ``*_base.fvecs``, ``*_query.fvecs`` and perhaps ``*_learn.fvecs`` (or
        ``.bvecs``), which become the parts ``"train"``, ``"test"`` and ``"learn"``. A string that
        is a name means the named data set: write ``"./mnist"`` for a folder of that name.
    download : bool, default=True
        Whether a named data set that is not here may be downloaded to the user's cache.
    column : str, default=None
        Tables and records of texts: column of the items. Of a table, None takes all columns of
        numbers but the following two as one vector; of records, the only other column, or
        ``"text"``.
    label_column : str, default=None
        Tables and records: column of labels.
    name_column : str, default=None
        Tables and records: column of item names.
    image_size : tuple of int (height, width), default=None
        Images only: size to bring every image to. None keeps their size, which must be the same.
    mode : {"rgb", "grey"}, default="rgb"
        Images only: three channels, or none.

    Returns
    -------
    Dataset
        The data set.

    Raises
    ------
    TypeError
        If `name_or_path` is not a string or path, or `image_size` is not two integers.
    FileNotFoundError
        If there is nothing at the path, or the files of a named data set are not here, and may not
        or cannot be downloaded.
    ConnectionError
        If a download fails.
    PermissionError
        If a download cannot be written to the user's cache.
    ImportError
        If reading Parquet needs pyarrow and it is not installed.
    ValueError
        If the name or extension is unknown, an option does not belong to what is loaded, or the
        data are damaged (a single image too) or not what `Dataset` takes: NaN, nulls, lists of
        different lengths, no rows, a number of labels that is not that of the items.

    Warns
    -----
    UserWarning
        For each image of a folder that cannot be read; it is left out.

    Notes
    -----
    The files of a named data set are looked for in its sub-folder of the folder that the
    environment variable ``HASHLEARN_DATA`` names, then in the user's cache. Those in the former
    need not be the published bytes; downloads are compared with the published checksum. Nothing is
    ever unpickled.

    Examples
    --------
    >>> load_dataset("digits")
    Dataset('digits', X (1797, 8, 8) uint8, y (1797,) int64)
    """
    if not isinstance(name_or_path, str | os.PathLike):
        raise TypeError(f"name_or_path must be a string or a path, got {name_or_path!r}")
    return open_source(
        name_or_path,
        download=download,
        column=column,
        label_column=label_column,
        name_column=name_column,
        image_size=image_size,
        mode=mode,
    ).read()


def open_source(
    data: Any,
    *,
    download: bool = True,
    column: str | None = None,
    label_column: str | None = None,
    name_column: str | None = None,
    image_size: tuple[int, int] | None = None,
    mode: Mode = "rgb",
    same_size: bool = True,
) -> Source:
    """Open data to be read a batch at a time.

    Parameters
    ----------
    data : str, path-like, Dataset, ndarray or datasets.Dataset
        What :func:`load_dataset` takes; a `Dataset`, or its array `X`; or a data set of the library
        `datasets` of Hugging Face, streamed ones too.
    download : bool, default=True
        As in :func:`load_dataset`, as the following.
    column : str, default=None
        Column of the items.
    label_column : str, default=None
        Column of labels.
    name_column : str, default=None
        Column of item names.
    image_size : tuple of int (height, width), default=None
        Size to bring images to.
    mode : {"rgb", "grey"}, default="rgb"
        Whether images have three channels, or none.
    same_size : bool, default=True
        Whether image files must be of one size. If not, each comes in its own, unless `image_size`
        is given: for features that bring them to the size that they need.

    Returns
    -------
    Source
        The data. Tables, texts and images are read from their files a batch at a time, ``.npy``
        files are mapped; others are in memory.

    Raises
    ------
    TypeError
        If `data` is of no such type.
    FileNotFoundError
        As :func:`load_dataset`, as the following.
    ConnectionError
        If a download fails.
    PermissionError
        If a download cannot be written.
    ImportError
        If pyarrow is needed and is not installed.
    ValueError
        If the data are not what :func:`load_dataset` takes.

    Examples
    --------
    >>> source = open_source(np.eye(5))
    >>> [batch.X.shape for batch in source.batches(size=2)]
    [(2, 5), (2, 5), (1, 5)]
    """
    given: dict[str, Any] = {
        name: value
        for name, value in (
            ("column", column),
            ("label_column", label_column),
            ("name_column", name_column),
            ("image_size", image_size),
            ("mode", None if mode == "rgb" else mode),
        )
        if value is not None
    }
    if isinstance(data, Dataset | np.ndarray):
        _refuse(given, (), "items in memory")
        return ArraySource(data if isinstance(data, Dataset) else Dataset("array", data))
    if is_hugging_face(data):
        return HuggingFaceSource(data, **given)
    if not isinstance(data, str | os.PathLike):
        raise TypeError(f"data must be a name, a path, a Dataset or an array, got {type(data)}")
    if not os.fspath(data):  # pathlib would take it for the working directory
        raise ValueError(f"name_or_path is empty; {_ALLOWED}")
    if isinstance(data, str) and data in NAMES:
        _refuse(given, (), f"the named data set {data}")
        return ArraySource(load_named(data, download=download))
    path = Path(data)
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise FileNotFoundError(f"there is no file or folder {path}; {_ALLOWED}")
        raise ValueError(f"{str(path)!r} is no named data set, file or folder; {_ALLOWED}")
    if path.is_dir():
        return _open_folder(path, given, same_size)
    return _open_file(path, given, same_size)


def _open_file(path: Path, options: dict[str, Any], same_size: bool) -> Source:
    suffix = path.suffix.lower()
    if suffix in tables.SUFFIXES:
        _refuse(options, _COLUMNS + _IMAGES, "a table")
        return TableSource(path, **options)
    if suffix in textfiles.RECORDS:
        _refuse(options, _COLUMNS, f"a {suffix} file")
        return RecordSource(path, **options)
    if suffix in images.SUFFIXES:
        _refuse(options, _IMAGES, "an image")
        return ImageSource(path, **options, same_size=same_size)
    if suffix == ".npy":
        _refuse(options, (), "an .npy file")
        return ArraySource(map_npy(path), path)
    if suffix in _ARRAYS:
        _refuse(options, (), f"an {suffix} file")
        return ArraySource(_ARRAYS[suffix](path), path)
    if suffix in textfiles.TEXTS and suffix:
        _refuse(options, (), "a text")
        return TextFileSource(path)
    raise ValueError(f"{path} has the unknown extension {path.suffix!r}; {_ALLOWED}")


def _open_folder(folder: Path, options: dict[str, Any], same_size: bool) -> Source:
    """Open a folder of files of one kind; texts beside them, such as a list, are left alone."""
    kinds = {
        "images": images.SUFFIXES,
        "tables": tables.SUFFIXES,
        "vector files": vecs.SUFFIXES,
        "texts": textfiles.RECORDS,
        "text files": textfiles.TEXTS,
    }
    allowed = tuple(suffix for suffixes in kinds.values() for suffix in suffixes)
    read = ", ".join(filter(None, allowed))
    found = {file.suffix.lower() for file in files_in(folder, allowed)}
    here = [kind for kind, suffixes in kinds.items() if found & set(suffixes)]
    if not here:
        raise ValueError(f"{folder} holds no {', '.join(kinds)}; extensions read: {read}")
    first, *others = here
    if clash := [kind for kind in others if not kind.startswith("text")]:
        raise ValueError(f"{folder} holds both {first} and {clash[0]}; give a folder of one kind")
    what = f"a folder of {first}"
    if first == "tables":
        _refuse(options, _COLUMNS + _IMAGES, what)
        return TableSource(folder, **options)
    if first == "images":
        _refuse(options, _IMAGES, what)
        return ImageSource(folder, **options, same_size=same_size)
    if first == "texts":
        _refuse(options, _COLUMNS, what)
        return RecordSource(folder, **options)
    _refuse(options, (), what)
    return (
        ArraySource(vecs.load_vecs_folder(folder))
        if first == "vector files"
        else TextFileSource(folder)
    )


def _refuse(options: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    """Refuse options that would have no effect."""
    if wrong := [name for name in options if name not in allowed]:
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none of them"
        raise ValueError(f"{' and '.join(wrong)} cannot be given with {what}; {takes}")
