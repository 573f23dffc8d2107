"""CIFAR-10: 60,000 colour images of 32 × 32 in ten classes.

Three layouts are read: the published binary files, unpacked or in their archive, and lossless WebP
mosaics of 10,000 images each. The published pickles are not: unpickling runs what a file says.
"""

import lzma
import math
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.arrays import read_npy
from hashlearn.data.dataset import Dataset
from hashlearn.data.download import RemoteFile, fetch
from hashlearn.data.locations import find_file, search_folders

FOLDER = "cifar10"
"""Sub-folder that the files are looked for in."""

ARCHIVE = RemoteFile(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    "md5:c32a1d4ab5d03f1284b67883e8d87530",
)
"""The published binary version."""

LABEL_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""Name of each class."""

CITATION = "Krizhevsky: Learning multiple layers of features from tiny images, 2009"
"""Where the data come from."""

MOSAIC = (250, 40)
"""Rows and columns of images in a mosaic; also, multiplied, the number of images in any file."""

_SIDE = 32
_BINARY_FOLDER = "cifar-10-batches-bin"
_BINARY_FILES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
_MOSAIC_FILES = (*(f"train_{i}.webp" for i in range(1, 6)), "test.webp")
_LABEL_FILE = "labels.npy"
_NAME_FILE = "filenames.txt.xz"

_Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def is_local() -> bool:
    """Tell whether the images are here already, in any of the layouts.

    Returns
    -------
    bool
        True if loading needs no download.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return _find() is not None or find_file(FOLDER, ARCHIVE.name) is not None


def has_labels() -> bool:
    """Tell whether the labels are here already, alone or with the images.

    Returns
    -------
    bool
        True if loading them needs no download.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return find_file(FOLDER, _LABEL_FILE) is not None or is_local()


def load_cifar10(*, download: bool = True) -> Dataset:
    """Load CIFAR-10.

    Parameters
    ----------
    download : bool, default=True
        Whether the published archive may be downloaded if no layout is here.

    Returns
    -------
    Dataset
        `X` uint8 of shape (60000, 32, 32, 3), red, green, blue, the 50,000 training images first;
        `y` int64; the published parts ``"train"`` and ``"test"``; the original file names as
        `item_names` where the layout has them (the mosaics do).

    Raises
    ------
    FileNotFoundError
        If the data are not here and may not be downloaded.
    ConnectionError
        If the download fails.
    ValueError
        If a file is damaged or not what it should be.
    """
    place = _find() or fetch(FOLDER, ARCHIVE, names=(ARCHIVE.name,), download=download)
    names = None
    if place.name == ARCHIVE.name:
        batches = _archive_batches(place)
    elif place.name == _BINARY_FOLDER:
        batches = (read_binary((place / name).read_bytes(), place / name) for name in _BINARY_FILES)
    else:
        batches = _mosaic_batches(place)
        names = _read_names(place / _NAME_FILE)
    n = math.prod(MOSAIC)
    X = np.empty((6 * n, _SIDE, _SIDE, 3), np.uint8)
    y = np.empty(6 * n, np.uint8)
    for i, (images, labels) in enumerate(batches):
        X[i * n : (i + 1) * n], y[i * n : (i + 1) * n] = images, labels
    rows = np.arange(6 * n)
    return Dataset(
        name="cifar10",
        X=X,
        y=y,
        label_names=LABEL_NAMES,
        item_names=names,
        splits={"train": rows[: 5 * n], "test": rows[5 * n :]},
        source=f"https://www.cs.toronto.edu/~kriz/cifar.html ({CITATION})",
    )


def load_cifar10_labels(*, download: bool = True) -> NDArray[np.int64]:
    """Load the labels alone, from a file of their own if there is one.

    Parameters
    ----------
    download : bool, default=True
        Whether the published archive may be downloaded if no layout is here.

    Returns
    -------
    ndarray of shape (60000,), int64
        Class numbers, the 50,000 training images first.

    Raises
    ------
    FileNotFoundError
        If the data are not here and may not be downloaded.
    ConnectionError
        If the download fails.
    ValueError
        If a file is damaged or not what it should be.
    """
    if path := find_file(FOLDER, _LABEL_FILE):
        return _read_labels(path).astype(np.int64)
    y = load_cifar10(download=download).y
    assert y is not None  # for the type checker: CIFAR-10 has labels
    return y


def read_binary(data: bytes, origin: Path) -> _Batch:
    """Read one of the published binary files.

    Parameters
    ----------
    data : bytes
        What is in the file: for each image its label in a byte, then its red, green and blue
        values, each 32 × 32.
    origin : pathlib.Path
        Its name, for errors.

    Returns
    -------
    images : ndarray of shape (10000, 32, 32, 3), uint8
        Images, channels last.
    labels : ndarray of shape (10000,), uint8
        Class numbers.

    Raises
    ------
    ValueError
        If there are more or fewer bytes than that, or a label is not a class number.
    """
    if len(data) != _binary_size():
        raise ValueError(f"{origin} holds {len(data)} bytes, expected {_binary_size()}")
    n = math.prod(MOSAIC)
    records = np.frombuffer(data, np.uint8).reshape(n, -1)
    labels = _check_labels(records[:, 0], origin)
    return records[:, 1:].reshape(n, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1), labels


def read_mosaic(path: Path) -> NDArray[np.uint8]:
    """Read a mosaic: 10,000 images, row after row, as tiles of one picture.

    Parameters
    ----------
    path : pathlib.Path
        Lossless WebP picture of 250 rows and 40 columns of images.

    Returns
    -------
    ndarray of shape (10000, 32, 32, 3), uint8
        Images, channels last.

    Raises
    ------
    ValueError
        If it is not a WebP picture, is damaged, or has another size.
    """
    from PIL import Image

    rows, columns = MOSAIC
    try:
        with Image.open(path, formats=["WEBP"]) as image:
            size, pixels = image.size, np.asarray(image.convert("RGB"))
    except (OSError, EOFError, ValueError) as error:
        raise ValueError(f"{path} is damaged or not a WebP picture: {error}") from error
    if size != (columns * _SIDE, rows * _SIDE):
        raise ValueError(
            f"{path} has {size[0]} × {size[1]} pixels, expected {columns * _SIDE} × {rows * _SIDE}"
        )
    tiles = pixels.reshape(rows, _SIDE, columns, _SIDE, 3).swapaxes(1, 2)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)


def _binary_size() -> int:
    return math.prod(MOSAIC) * (1 + 3 * _SIDE * _SIDE)


def _find() -> Path | None:
    """Find a folder that has the binary files or the mosaics, all of them."""
    for folder in search_folders(FOLDER):
        for place, names in (
            (folder / _BINARY_FOLDER, _BINARY_FILES),
            (folder, (*_MOSAIC_FILES, _LABEL_FILE)),
        ):
            if all((place / name).is_file() for name in names):
                return place
    return None


def _archive_batches(path: Path) -> Iterator[_Batch]:
    """Read the binary files from the archive in one pass, and give them in their order."""
    batches: dict[str, _Batch] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name in _BINARY_FILES and (file := archive.extractfile(member)):
                    # one byte more than there ought to be shows that the file is too long
                    batches[name] = read_binary(file.read(_binary_size() + 1), path / name)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or cut off: {error}") from error
    if missing := [name for name in _BINARY_FILES if name not in batches]:
        raise ValueError(f"{path} does not hold {', '.join(missing)}")
    return (batches[name] for name in _BINARY_FILES)


def _mosaic_batches(folder: Path) -> Iterator[_Batch]:
    n = math.prod(MOSAIC)
    labels = _read_labels(folder / _LABEL_FILE)
    for i, name in enumerate(_MOSAIC_FILES):
        yield read_mosaic(folder / name), labels[i * n : (i + 1) * n]


def _read_labels(path: Path) -> NDArray[np.uint8]:
    n = 6 * math.prod(MOSAIC)
    labels = read_npy(path)
    if labels.dtype != np.uint8 or labels.shape != (n,):
        raise ValueError(f"{path} does not hold uint8 of the shape ({n},)")
    return _check_labels(labels, path)


def _check_labels(labels: NDArray[np.uint8], origin: Path) -> NDArray[np.uint8]:
    if labels.max() >= len(LABEL_NAMES):
        raise ValueError(f"{origin} holds class number {labels.max()}; the largest is 9")
    return labels


def _read_names(path: Path) -> tuple[str, ...] | None:
    if not path.is_file():
        return None
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            names = tuple(file.read().splitlines())
    except (lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or cut off: {error}") from error
    if len(names) != 6 * math.prod(MOSAIC):
        raise ValueError(f"{path} holds {len(names)} names, expected {6 * math.prod(MOSAIC)}")
    return names
