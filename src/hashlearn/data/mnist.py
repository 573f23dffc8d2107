"""MNIST and Fashion-MNIST: 70,000 grey images of 28 × 28 in ten classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashlearn.data.dataset import Dataset
from hashlearn.data.download import RemoteFile, fetch
from hashlearn.data.idx import read_idx
from hashlearn.data.locations import find_file

SIDE = 28
"""Height and width of an image."""


@dataclass(frozen=True)
class IdxSource:
    """Say where the four IDX files of a data set are, and what they hold.

    Parameters
    ----------
    name : str
        Name of the data set and of its sub-folder.
    url : str
        Address of the folder that the files are published in, with its last ``/``.
    md5 : mapping of str to str
        Published MD5 of each ``.gz`` file, by its name without ``.gz``.
    label_names : tuple of str
        Name of each class.
    citation : str
        Where the data come from.
    n_train : int, default=60000
        Number of training images.
    n_test : int, default=10000
        Number of test images.
    """

    name: str
    url: str
    md5: Mapping[str, str]
    label_names: tuple[str, ...]
    citation: str
    n_train: int = 60_000
    n_test: int = 10_000


MNIST = IdxSource(
    name="mnist",
    url="https://ossci-datasets.s3.amazonaws.com/mnist/",
    md5={
        "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    label_names=tuple("0123456789"),
    citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document "
    "recognition, 1998",
)
"""Where MNIST is published."""

FASHION_MNIST = IdxSource(
    name="fashion-mnist",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    md5={
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    label_names=(
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
    citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, 2017",
)  # fmt: skip
"""Where Fashion-MNIST is published."""


def is_local(source: IdxSource) -> bool:
    """Tell whether all four files are here already.

    Parameters
    ----------
    source : IdxSource
        The data set.

    Returns
    -------
    bool
        True if loading needs no download.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return all(find_file(source.name, *_names(stem)) for stem in source.md5)


def load_idx_source(source: IdxSource, *, download: bool = True) -> Dataset:
    """Load a data set that is published as four IDX files.

    Parameters
    ----------
    source : IdxSource
        The data set.
    download : bool, default=True
        Whether files that are not here may be downloaded.

    Returns
    -------
    Dataset
        `X` uint8 of shape (n_train + n_test, 28, 28), training images first; `y` int64; the
        published parts ``"train"`` and ``"test"``.

    Raises
    ------
    FileNotFoundError
        If a file is not here and may not be downloaded.
    ConnectionError
        If a download fails.
    ValueError
        If a file is damaged or not what it should be.
    """
    X, y = [], []
    for part, n in (("train", source.n_train), ("t10k", source.n_test)):
        images = _fetch(source, f"{part}-images-idx3-ubyte", download)
        labels = _fetch(source, f"{part}-labels-idx1-ubyte", download)
        X.append(read_idx(images, (n, SIDE, SIDE)))
        y.append(read_idx(labels, (n,)))
        if y[-1].max() >= len(source.label_names):
            raise ValueError(
                f"{labels} holds class number {y[-1].max()}; there are {len(source.label_names)}"
            )
    rows = np.arange(source.n_train + source.n_test)
    return Dataset(
        name=source.name,
        X=np.concatenate(X),
        y=np.concatenate(y),
        label_names=source.label_names,
        splits={"train": rows[: source.n_train], "test": rows[source.n_train :]},
        source=f"{source.url} ({source.citation})",
    )


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.gz", stem


def _fetch(source: IdxSource, stem: str, download: bool) -> Path:
    remote = RemoteFile(f"{source.url}{stem}.gz", f"md5:{source.md5[stem]}")
    return fetch(source.name, remote, names=_names(stem), download=download)
