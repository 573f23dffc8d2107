"""NumPy's files: one array (.npy) or several with names (.npz). Nothing is ever unpickled."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Dataset
from hashlearn.data.labels import number_labels
from hashlearn.data.locations import naming

_NPZ_ARRAYS = ("X", "y", "label_names", "item_names")


def map_npy(path: Path) -> Dataset:
    """Map vectors or images of an ``.npy`` file.

    Parameters
    ----------
    path : pathlib.Path
        File with an array of shape (n, d), (n, h, w) or (n, h, w, c), as in `Dataset`.

    Returns
    -------
    Dataset
        The array as `X`, without labels. It is read where it is used, and cannot be written into.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or its array is not what `Dataset` takes.
    """
    X = _mapped(path)
    with naming(path):
        return Dataset(path.stem, X, source=str(path))


def load_npz(path: Path) -> Dataset:
    """Load vectors or images, and what is known about them, from an ``.npz`` file.

    Parameters
    ----------
    path : pathlib.Path
        File with the array `X` and, where known, `y` (class numbers, 0/1 columns, or names),
        `label_names` and `item_names` (strings), each as in `Dataset`.

    Returns
    -------
    Dataset
        What the file holds.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, lacks `X`, holds arrays of other names, or its arrays are not what
        `Dataset` takes.
    """
    arrays = read_npz(path)
    if "X" not in arrays or not set(arrays) <= set(_NPZ_ARRAYS):
        raise ValueError(
            f"{path} holds the arrays {', '.join(sorted(arrays)) or '(none)'}; it must hold X, and "
            "may hold y, label_names and item_names"
        )
    with naming(path):
        return _assemble(path, arrays)


def read_npy(path: Path) -> NDArray[Any]:
    """Read an array.

    Parameters
    ----------
    path : pathlib.Path
        An ``.npy`` file.

    Returns
    -------
    ndarray of shape (...), any dtype but object
        Its array.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, cut off, or holds Python objects.
    """
    return np.array(_mapped(path))


def _mapped(path: Path) -> NDArray[Any]:
    try:
        # mapping compares the size that the header asks for with the file before memory is taken
        with np.errstate(over="raise"):
            return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise
    except (ValueError, ArithmeticError, OSError) as error:
        raise ValueError(
            f"{path} is not an .npy file, is damaged, or holds Python objects: {error}"
        ) from error


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file.

    Parameters
    ----------
    path : pathlib.Path
        An ``.npz`` file.

    Returns
    -------
    dict of str to ndarray
        Its arrays by their names.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, cut off, or holds Python objects.
    """
    try:
        with path.open("rb") as file:  # opened here: NumPy leaves a damaged file open
            arrays = np.load(file, allow_pickle=False)
            if isinstance(arrays, np.lib.npyio.NpzFile):
                # a member that is no array comes as bytes
                return {name: np.asarray(array) for name, array in arrays.items()}
    except FileNotFoundError:
        raise
    except (ValueError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is not an .npz file, is damaged, or holds Python objects: {error}"
        ) from error
    raise ValueError(f"{path} is an .npy file under another name")


def _assemble(path: Path, arrays: dict[str, NDArray[Any]]) -> Dataset:
    y, found = number_labels(arrays["y"]) if "y" in arrays else (None, None)
    given = _strings(arrays, "label_names")
    if found and given:
        raise ValueError("y holds names already, and label_names are given too")
    return Dataset(
        name=path.stem,
        X=arrays["X"],
        y=y,
        label_names=found or given,
        item_names=_strings(arrays, "item_names"),
        source=str(path),
    )


def _strings(arrays: dict[str, NDArray[Any]], name: str) -> tuple[str, ...] | None:
    if name not in arrays:
        return None
    if arrays[name].dtype.kind != "U" or arrays[name].ndim != 1:
        raise ValueError(f"{name} must be strings of the shape (n,)")
    return tuple(arrays[name].tolist())
