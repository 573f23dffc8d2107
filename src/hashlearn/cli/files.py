"""What commands read and write: items, codes, the names of items."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.cli.hashes import TEXTS, read_hashes
from hashlearn.cli.options import image_size
from hashlearn.cli.show import tracked
from hashlearn.codes import check_codes
from hashlearn.data import Dataset, load_dataset
from hashlearn.data.arrays import read_npy, read_npz
from hashlearn.data.catalog import NAMES
from hashlearn.data.images import are_images
from hashlearn.data.locations import naming
from hashlearn.features import Backbone, Gist, Pixels
from hashlearn.models import Model, encode, hasher_of
from hashlearn.storage import replacing

ARRAYS = (".npz", ".npy")
"""Endings of files of codes that are written."""

CODES = (*ARRAYS, *TEXTS)
"""Endings of files of codes that are read."""


def load_items(
    data: str, *, size: str | None = None, grey: bool = False, **columns: Any
) -> Dataset:
    """Load items as the options of a command say.

    Parameters
    ----------
    data : str
        Name or path.
    size : str, optional
        Size of images, as ``"64x64"``.
    grey : bool, default=False
        Whether to read images as grey.
    **columns : str or None
        `column`, `label_column` and `name_column` of a Parquet file.

    Returns
    -------
    Dataset
        The items.

    Raises
    ------
    ValueError
        If the data cannot be read, or an option does not fit its kind.
    """
    options: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
    if (shape := image_size(size)) is not None:
        options["image_size"] = shape
    if grey:
        options["mode"] = "grey"
    return load_dataset(data, **options)


def load_items_for(model: Model, data: str, **columns: Any) -> Dataset:
    """Load items for a model; images are brought to the size and colours that it learned from.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    data : str
        Name or path.
    **columns : str or None
        As in :func:`load_items`.

    Returns
    -------
    Dataset
        The items.

    Raises
    ------
    ValueError
        If the data cannot be read, an option does not fit its kind, or they are images and the
        model takes vectors.
    """
    if data in NAMES or not are_images(Path(data)):
        return load_items(data, **columns)
    first = model if hasher_of(model) is model else model.steps[0][1]
    if isinstance(first, Backbone) and first.item_kind_ == "images" and not first.image_shape_:
        return load_items(data, **columns)  # it takes any size
    shape: tuple[int, ...] = ()
    if isinstance(first, Backbone | Gist | Pixels):
        shape = first.image_shape_ or ()
    shape = first.item_shape_ if getattr(first, "accepts_images", False) else shape
    if len(shape) < 2:
        raise ValueError(f"the model takes vectors, not images such as {data}")
    return load_items(data, size=f"{shape[0]}x{shape[1]}", grey=len(shape) == 2, **columns)


def encode_items(model: Model, X: NDArray[Any]) -> NDArray[np.uint8]:
    """Encode items in chunks, at a terminal under a progress bar.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    X : ndarray of shape (n, ...), numeric
        Items as the model takes them.

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    """
    rows = 8192
    starts = tracked(range(0, len(X), rows), "encoding")
    return np.concatenate([encode(model, X[i : i + rows]) for i in starts])


def write_codes(
    path: Path, codes: NDArray[np.uint8], n_bits: int, names: tuple[str, ...] | None
) -> None:
    """Write packed codes into a NumPy file, atomically.

    Parameters
    ----------
    path : Path
        A .npz file, which holds all, or a .npy file, which holds the codes alone.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length.
    names : tuple of str or None
        Names of the items.
    """
    extras: dict[str, Any] = {} if names is None else {"names": np.array(names, dtype=str)}
    with replacing(path) as temporary, temporary.open("wb") as file:
        if path.suffix == ".npy":
            np.save(file, codes)
        else:
            np.savez(file, codes=codes, n_bits=np.int64(n_bits), **extras)


def read_codes(
    path: Path, n_bits: int | None
) -> tuple[NDArray[np.uint8], int, tuple[str, ...] | None]:
    """Read codes from a NumPy file, or from hexadecimal numbers in a text file.

    Parameters
    ----------
    path : Path
        A .npz or .npy file, or a text as :func:`~hashlearn.cli.hashes.read_hashes` takes it.
    n_bits : int or None
        Length of the codes, if it is known.

    Returns
    -------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length: as the file or the caller says, otherwise 8 bits a byte or 4 a digit.
    names : tuple of str or None
        Names of the items, where the file has them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds something else, or codes of another length.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix not in CODES:
        raise ValueError(f"codes are read from files ending in {' or '.join(CODES)}, got {path}")
    stored: dict[str, NDArray[Any]]
    if path.suffix in TEXTS:
        codes, length, names = read_hashes(path)
        stored = {"codes": codes, "n_bits": np.array(length)}
        if names is not None:
            stored["names"] = np.array(names, dtype=str)
    else:
        stored = {"codes": read_npy(path)} if path.suffix == ".npy" else read_npz(path)
    with naming(path):
        return _check_stored(stored, n_bits)


def write_names(index: Path, names: tuple[str, ...] | None) -> None:
    """Write the names of an index's items into a text file beside it, one a line.

    Parameters
    ----------
    index : Path
        File of the index.
    names : tuple of str or None
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


def check_output(path: Path, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse before any work a file that could not be written after it.

    Parameters
    ----------
    path : Path
        File to write.
    suffixes : tuple of str, default=()
        Endings that are allowed; any when empty.

    Raises
    ------
    IsADirectoryError
        If it is a folder.
    FileNotFoundError
        If its folder does not exist.
    PermissionError
        If nothing may be written into its folder.
    ValueError
        If its ending is not allowed.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    if not os.access(path.absolute().parent, os.W_OK):
        raise PermissionError(f"nothing may be written into the folder {path.parent}")
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"the file must end in {' or '.join(suffixes)}, got {path}")


def _check_stored(
    stored: dict[str, NDArray[Any]], n_bits: int | None
) -> tuple[NDArray[np.uint8], int, tuple[str, ...] | None]:
    if "codes" not in stored:
        raise ValueError(f"it holds the arrays {', '.join(stored)}; expected one named codes")
    codes = stored["codes"]
    if codes.ndim == 1 and codes.dtype.kind == "u" and codes.itemsize == 8:
        codes = codes.astype("<u8").view(np.uint8).reshape(-1, 8)  # bit 0 is the lowest
    if codes.ndim != 2 or codes.dtype != np.uint8:
        raise ValueError(
            "codes must be packed bytes, uint8 of the shape (n, n_bytes), or 64-bit numbers, "
            f"uint64 of the shape (n,); got {codes.dtype} of the shape {codes.shape}"
        )
    length = 8 * codes.shape[1] if n_bits is None else n_bits
    if "n_bits" in stored:
        if stored["n_bits"].dtype.kind not in "iu" or stored["n_bits"].size != 1:
            raise ValueError("n_bits must be one whole number")
        length = stored["n_bits"].item()
        if n_bits is not None and length != n_bits:
            raise ValueError(f"its codes have {length} bits, expected {n_bits}")
    names: tuple[str, ...] | None = None
    if "names" in stored:
        if stored["names"].dtype.kind != "U" or stored["names"].shape != (len(codes),):
            raise ValueError(f"names must be strings, one for each of {len(codes)} codes")
        names = tuple(stored["names"].tolist())
    return check_codes(codes, length), length, names


def _names_file(index: Path) -> Path:
    return index.with_name(index.name + ".names.txt")
