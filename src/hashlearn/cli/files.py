"""What commands read and write: items, codes, the names of items."""

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashlearn import codefiles
from hashlearn.cli.hashes import TEXTS, read_hashes
from hashlearn.cli.options import image_size
from hashlearn.cli.show import progress_bar
from hashlearn.codes import check_codes
from hashlearn.data import Dataset, load_dataset
from hashlearn.data.locations import naming
from hashlearn.encoding import divided, encoded, open_for, rows_of
from hashlearn.models import Model

Codes: TypeAlias = NDArray[np.uint8]
Names: TypeAlias = tuple[str, ...] | None

CODES = (*codefiles.SUFFIXES, *TEXTS)
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
    images = {"image_size": image_size(size), "mode": "grey" if grey else None}
    return load_dataset(data, **given({**columns, **images}))


def encode_items(model: Model, data: str, **columns: Any) -> tuple[Codes, Names]:
    """Encode items, at a terminal under a progress bar.

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
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    names : tuple of str or None
        Names of the items.

    Raises
    ------
    ValueError
        If the data cannot be read, an option does not fit its kind, they are images and the model
        takes vectors, or there are none.
    """
    source = open_for(model, data, **given(columns))
    batches = source.batches(rows_of(source, divided(model)[0]))
    codes: list[Codes] = []
    names: list[str] = []
    with progress_bar() as progress:
        for batch, part in encoded(model, batches):
            codes.append(part)
            names += batch.names or ()
            progress("encoding", batch.stop, source.n_rows)
    if not sum(map(len, codes)):
        raise ValueError(f"{data} holds no item that can be read")
    return np.concatenate(codes), tuple(names) or None


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out options that were not given.

    Parameters
    ----------
    options : dict
        Options, None where they were not given.

    Returns
    -------
    dict
        The others.
    """
    return {name: value for name, value in options.items() if value is not None}


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
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix not in CODES and not path.is_dir():
        raise ValueError(f"codes are read from files ending in {' or '.join(CODES)}, got {path}")
    stored: dict[str, NDArray[Any]]
    if path.suffix in TEXTS:
        codes, length, names = read_hashes(path)
        stored = {"codes": codes, "n_bits": np.array(length)}
        if names is not None:
            stored["names"] = np.array(names, dtype=str)
    else:
        stored = codefiles.read_codes(path)
    with naming(path):
        return _check_stored(stored, n_bits)


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
