"""Named data sets of ready-made vectors: features of CIFAR-10, embeddings of 20 Newsgroups."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.data import cifar10
from hashlearn.data.arrays import read_npz
from hashlearn.data.dataset import Dataset
from hashlearn.data.locations import find_file, not_found

CIFAR10_FEATURES = ("cifar10_mobilenetv2", "features_pca256.npz")
"""Sub-folder and file of the features of CIFAR-10."""

NEWSGROUPS = ("newsgroups20_minilm", "embeddings.npz")
"""Sub-folder and file of the embeddings of 20 Newsgroups."""

NEWSGROUP_NAMES = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware", "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles",
    "rec.sport.baseball", "rec.sport.hockey", "sci.crypt", "sci.electronics", "sci.med",
    "sci.space", "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast",
    "talk.politics.misc", "talk.religion.misc",
)  # fmt: skip
"""Name of each newsgroup, in alphabetical order."""

N_CIFAR10, N_CIFAR10_TRAIN, N_NEWSGROUPS = 60_000, 50_000, 18_846
"""Number of images, of training images, and of posts."""


def cifar10_features_are_local() -> bool:
    """Tell whether the features and the labels of CIFAR-10 are here already.

    Returns
    -------
    bool
        True if loading needs nothing more.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return find_file(*CIFAR10_FEATURES) is not None and cifar10.has_labels()


def newsgroups_are_local() -> bool:
    """Tell whether the embeddings of 20 Newsgroups are here already.

    Returns
    -------
    bool
        True if loading needs nothing more.

    Raises
    ------
    FileNotFoundError
        If ``HASHLEARN_DATA`` names something that is not a folder.
    """
    return find_file(*NEWSGROUPS) is not None


def load_cifar10_features(*, download: bool = True) -> Dataset:
    """Load MobileNet v2 features of CIFAR-10: 256 principal directions.

    Parameters
    ----------
    download : bool, default=True
        Whether CIFAR-10, whose labels these are, may be downloaded. The features have no download.

    Returns
    -------
    Dataset
        `X` float32 of shape (60000, 256), in the order of CIFAR-10; `y` int64; the published parts
        ``"train"`` and ``"test"``.

    Raises
    ------
    FileNotFoundError
        If the features are not here, or the labels are not and may not be downloaded.
    ConnectionError
        If the download fails.
    ValueError
        If a file is damaged or not what it should be.
    """
    path = _locate(*CIFAR10_FEATURES)
    features, scale = _read_arrays(path, ("features", "scale"))
    _check(path, "features", features, np.int8, (N_CIFAR10, 256))
    _check(path, "scale", scale, np.float32, ())
    rows = np.arange(N_CIFAR10)
    return Dataset(
        name="cifar10_mobilenetv2",
        X=features * scale,
        y=cifar10.load_cifar10_labels(download=download),
        label_names=cifar10.LABEL_NAMES,
        splits={"train": rows[:N_CIFAR10_TRAIN], "test": rows[N_CIFAR10_TRAIN:]},
        source=f"MobileNet v2 (ImageNet) features of CIFAR-10 ({cifar10.CITATION})",
    )


def load_newsgroups() -> Dataset:
    """Load all-MiniLM-L6-v2 embeddings of the posts of 20 Newsgroups, "bydate" version.

    Returns
    -------
    Dataset
        `X` float32 of shape (18846, 384) and unit length, `y` int64, the published parts
        ``"train"`` (11,314 posts) and ``"test"`` (7,532).

    Raises
    ------
    FileNotFoundError
        If the file is not here; it has no download.
    ValueError
        If it is damaged or not what it should be.
    """
    path = _locate(*NEWSGROUPS)
    X, y, is_test = _read_arrays(path, ("embeddings", "labels", "is_test"))
    _check(path, "embeddings", X, np.float16, (N_NEWSGROUPS, 384))
    _check(path, "labels", y, np.uint8, (N_NEWSGROUPS,))
    _check(path, "is_test", is_test, np.bool_, (N_NEWSGROUPS,))
    return Dataset(
        name="newsgroups20_minilm",
        X=X.astype(np.float32),
        y=y,
        label_names=NEWSGROUP_NAMES,
        splits={"train": np.flatnonzero(~is_test), "test": np.flatnonzero(is_test)},
        source="all-MiniLM-L6-v2 embeddings of 20 Newsgroups, bydate version "
        "(http://qwone.com/~jason/20Newsgroups/)",
    )


def _locate(folder: str, name: str) -> Path:
    if found := find_file(folder, name):
        return found
    raise not_found(folder, name, "it has no download: put the file in one of them")


def _read_arrays(path: Path, names: tuple[str, ...]) -> list[NDArray[Any]]:
    arrays = read_npz(path)
    if missing := [name for name in names if name not in arrays]:
        raise ValueError(f"{path} lacks the array {missing[0]!r}; it needs {', '.join(names)}")
    return [arrays[name] for name in names]


def _check(
    path: Path,
    name: str,
    array: NDArray[Any],
    dtype: type[np.generic],
    shape: tuple[int, ...],
) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"the array {name!r} of {path} is {array.dtype} of the shape {array.shape}, expected "
            f"{np.dtype(dtype)} of the shape {shape}"
        )
