"""What commands read and write: items, codes, the names of items."""

from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hashlearn.cli.options import image_size
from hashlearn.codes import check_codes
from hashlearn.data import Dataset, load_dataset
from hashlearn.features import Pixels
from hashlearn.models import Model, hasher_of
from hashlearn.storage import replacing


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


def load_items_for(
    model: Model, data: str, *, size: str | None, grey: bool, **columns: Any
) -> Dataset:
    """Load items for a model; images are brought to the size that it learned from.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    data : str
        Name or path.
    size : str or None
        Size of images; None stands for the model's.
    grey : bool
        Whether to read images as grey; the model may ask for it too.
    **columns : str or None
        As in :func:`load_items`.

    Returns
    -------
    Dataset
        The items.
    """
    first = model if hasher_of(model) is model else model.steps[0][1]
    path = Path(data)
    is_images = path.is_dir() or (
        path.is_file() and path.suffix not in (".npy", ".npz", ".parquet")
    )
    if isinstance(first, Pixels) and len(first.image_shape_) > 1 and is_images:
        size = size or "x".join(map(str, first.image_shape_[:2]))
        grey = grey or len(first.image_shape_) == 2
    return load_items(data, size=size, grey=grey, **columns)


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
    """Read packed codes from a NumPy file.

    Parameters
    ----------
    path : Path
        A .npz or .npy file.
    n_bits : int or None
        Length of the codes, if it is known.

    Returns
    -------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    n_bits : int
        Their length: as the file or the caller says, otherwise 8 bits a byte.
    names : tuple of str or None
        Names of the items, where the file has them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged, holds something else, or codes of another length.
    TypeError
        If its codes are not uint8.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        read = np.load(path, allow_pickle=False)
        stored = {"codes": read} if isinstance(read, np.ndarray) else dict(read)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} is no .npz or .npy file of codes: {error}") from error
    if "codes" not in stored:
        raise ValueError(f"{path} holds {', '.join(stored)}; expected an array named codes")
    codes = stored["codes"]
    length = int(stored["n_bits"]) if "n_bits" in stored else n_bits or 8 * codes.shape[-1]
    if n_bits is not None and length != n_bits:
        raise ValueError(f"{path} holds codes of {length} bits, expected {n_bits}")
    checked = check_codes(codes, length)
    names = tuple(map(str, stored["names"])) if "names" in stored else None
    if names is not None and len(names) != len(checked):
        raise ValueError(f"{path} holds {len(checked)} codes and {len(names)} names")
    return checked, length, names


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


def read_names(index: Path, n_items: int) -> list[str] | None:
    """Read the names of an index's items.

    Parameters
    ----------
    index : Path
        File of the index.
    n_items : int
        Number of its items.

    Returns
    -------
    list of str or None
        Name of each item; None if the index came without.

    Raises
    ------
    ValueError
        If the file holds another number of names.
    """
    path = _names_file(index)
    if not path.is_file():
        return None
    names = path.read_text(encoding="utf-8").split("\n")[:-1]
    if len(names) != n_items:
        raise ValueError(f"{path} holds {len(names)} names for {n_items} items; index again")
    return names


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
    ValueError
        If its ending is not allowed.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"the file must end in {' or '.join(suffixes)}, got {path}")


def _names_file(index: Path) -> Path:
    return index.with_name(index.name + ".names.txt")
