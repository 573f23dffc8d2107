"""One function that loads the named data sets and your own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hashlearn.data import images, parquet, vecs
from hashlearn.data.arrays import load_npy, load_npz
from hashlearn.data.catalog import NAMES, load_named
from hashlearn.data.dataset import Dataset
from hashlearn.data.images import Mode
from hashlearn.data.locations import files_in

_PARQUET_OPTIONS = ("column", "label_column", "name_column")
_IMAGE_OPTIONS = ("image_size", "mode")
_ARRAYS: dict[str, Callable[[Path], Dataset]] = {
    ".npy": load_npy,
    ".npz": load_npz,
    **dict.fromkeys(vecs.SUFFIXES, vecs.load_vecs),
}
_ALLOWED = (
    f"named data sets are {', '.join(NAMES)}; paths lead to a file ending in .npy, .npz, "
    f"{', '.join(vecs.SUFFIXES)} or .parquet, to an image ({', '.join(images.SUFFIXES)}), or to a "
    "folder of images, of .parquet files, or of a benchmark's vectors (*_base.fvecs, *_query.fvecs)"
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
        Name of one of `datasets`, or path of an ``.npy``, ``.npz``, ``.fvecs``, ``.bvecs``,
        ``.ivecs`` or ``.parquet`` file, a folder of Parquet files, an image, a folder of images, or
        one of ``*_base.fvecs``, ``*_query.fvecs`` and perhaps ``*_learn.fvecs`` (or ``.bvecs``),
        which become the parts ``"train"``, ``"test"`` and ``"learn"``. A string that is a name
        means the named data set: write ``"./mnist"`` for a folder of that name.
    download : bool, default=True
        Whether a named data set that is not here may be downloaded to the user's cache.
    column : str, default=None
        Parquet only: column of lists of numbers. None takes all columns of numbers but the
        following two.
    label_column : str, default=None
        Parquet only: column of labels.
    name_column : str, default=None
        Parquet only: column of item names.
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
    if not os.fspath(name_or_path):  # pathlib would take it for the working directory
        raise ValueError(f"name_or_path is empty; {_ALLOWED}")
    given = {
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
    if isinstance(name_or_path, str) and name_or_path in NAMES:
        _refuse(given, (), f"the named data set {name_or_path}")
        return load_named(name_or_path, download=download)
    return _load_path(Path(name_or_path), given)


def _load_path(path: Path, options: dict[str, Any]) -> Dataset:
    if not path.exists():
        if path.suffix or len(path.parts) > 1:
            raise FileNotFoundError(f"there is no file or folder {path}; {_ALLOWED}")
        raise ValueError(f"{str(path)!r} is no named data set, file or folder; {_ALLOWED}")
    if path.is_dir():
        return _load_folder(path, options)
    suffix = path.suffix.lower()
    if suffix == parquet.SUFFIX:
        _refuse(options, _PARQUET_OPTIONS, "a Parquet file")
        return parquet.load_parquet(path, **options)
    if suffix in images.SUFFIXES:
        _refuse(options, _IMAGE_OPTIONS, "an image")
        return images.load_image(path, **options)
    if suffix in _ARRAYS:
        _refuse(options, (), f"an {suffix} file")
        return _ARRAYS[suffix](path)
    raise ValueError(f"{path} has the unknown extension {path.suffix!r}; {_ALLOWED}")


def _load_folder(folder: Path, options: dict[str, Any]) -> Dataset:
    kinds = {
        "images": images.SUFFIXES,
        "Parquet files": (parquet.SUFFIX,),
        "vector files": vecs.SUFFIXES,
    }
    allowed = tuple(suffix for suffixes in kinds.values() for suffix in suffixes)
    found = {file.suffix.lower() for file in files_in(folder, allowed)}
    here = [kind for kind, suffixes in kinds.items() if found & set(suffixes)]
    if not here:
        raise ValueError(
            f"{folder} holds no {', '.join(kinds)}; extensions read: {', '.join(allowed)}"
        )
    if len(here) > 1:
        raise ValueError(f"{folder} holds both {' and '.join(here)}; give a folder of one kind")
    what = f"a folder of {here[0]}"
    if here == ["Parquet files"]:
        _refuse(options, _PARQUET_OPTIONS, what)
        return parquet.load_parquet(folder, **options)
    if here == ["images"]:
        _refuse(options, _IMAGE_OPTIONS, what)
        return images.load_images(folder, **options)
    _refuse(options, (), what)
    return vecs.load_vecs_folder(folder)


def _refuse(options: dict[str, Any], allowed: tuple[str, ...], what: str) -> None:
    """Refuse options that would have no effect."""
    if wrong := [name for name in options if name not in allowed]:
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none of them"
        raise ValueError(f"{' and '.join(wrong)} cannot be given with {what}; {takes}")
