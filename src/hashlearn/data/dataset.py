"""A data set: items, and what is known about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.splits import Split, SplitRecipe, draw_split

Kind = Literal["images", "texts", "vectors"]
"""What items may be."""

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Hold the items of a data set, and their labels, names and published parts.

    Parameters
    ----------
    name : str
        Name of the data set.
    X : ndarray of shape (n, d), any real dtype; or (n, h, w) or (n, h, w, c), uint8; or (n,), str
        Vectors, or grey or colour images (channels last, c of 1, 3 or 4), or texts, which become
        an array of Python's strings (dtype object: NumPy's own would all be as long as the
        longest).
    y : ndarray of shape (n,), int; or (n, n_labels), 0/1, default=None
        Class numbers, -1 for an item without one; or one column a label, for items that may have
        several. They become int64 and uint8.
    label_names : tuple of str, default=None
        Name of each class number or column of `y`.
    item_names : tuple of str, default=None
        Name of each item: the path of its file, or its key in a database.
    splits : mapping of str to ndarray of shape (n_part,), int, default={}
        The published parts, such as ``"train"`` and ``"test"``: row numbers, which become int64.
        Empty if none were published.
    source : str, default=""
        Where the data come from.

    Raises
    ------
    TypeError
        If `splits` is not a mapping.
    ValueError
        If the data set is empty, lengths disagree, an array has a wrong shape or dtype, `X` holds
        NaN or infinity or texts and other things, or a part names rows that do not exist or one
        row twice.

    See Also
    --------
    load_dataset : Read a named data set, or your own.

    Examples
    --------
    >>> dataset = Dataset("corners", np.eye(3), np.array([0, 1, 1]))
    >>> dataset
    Dataset('corners', X (3, 3) float64, y (3,) int64)
    >>> len(dataset)
    3
    >>> Dataset("poems", np.array(["the rose is red", "the violet blue"]))
    Dataset('poems', X (2,) texts)
    """

    name: str
    X: NDArray[Any]
    y: NDArray[Any] | None = None
    label_names: tuple[str, ...] | None = None
    item_names: tuple[str, ...] | None = None
    splits: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    source: str = ""

    def __post_init__(self) -> None:
        X = _check_items(self.X)
        y = None if self.y is None else _check_labels(self.y, len(X))
        splits = _check_parts(self.splits, len(X))
        for name, value in (("X", X), ("y", y), ("splits", splits)):
            object.__setattr__(self, name, value)
        for name in ("label_names", "item_names"):
            if (names := getattr(self, name)) is not None:
                object.__setattr__(self, name, _check_names(names, name))
        if self.item_names is not None and len(self.item_names) != len(X):
            raise ValueError(f"{len(X)} items have {len(self.item_names)} item_names")
        if self.label_names is not None:
            _check_label_names(self.label_names, y)

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        kind = "texts" if holds_texts(self.X) else self.X.dtype
        parts = [repr(self.name), f"X {self.X.shape} {kind}"]
        if self.y is not None:
            parts.append(f"y {self.y.shape} {self.y.dtype}")
        parts += [f"{name} {len(rows)}" for name, rows in self.splits.items()]
        return f"Dataset({', '.join(parts)})"

    def split(self, recipe: SplitRecipe | None = None) -> Split:
        """Divide the data set into training set, database and queries.

        Parameters
        ----------
        recipe : SplitRecipe, default=None
            How to divide. None means ``SplitRecipe()``: all of the published test part asks, the
            published train part answers.

        Returns
        -------
        Split
            Row numbers of the three.

        Raises
        ------
        TypeError
            If `recipe` is not a `SplitRecipe`.
        ValueError
            If the recipe needs published parts, labels or more items than there are.

        Examples
        --------
        >>> dataset = Dataset("ten", np.arange(10.0)[:, None])
        >>> split = dataset.split(SplitRecipe("all", n_queries=2))
        >>> len(split.queries), len(split.database)
        (2, 8)
        """
        return draw_split(
            len(self), self.y, self.splits, SplitRecipe() if recipe is None else recipe
        )


def kind_of(X: NDArray[Any]) -> Kind:
    """Tell what the items of a data set are.

    Parameters
    ----------
    X : ndarray of shape (n, ...), any
        Items of a `Dataset`.

    Returns
    -------
    {"images", "texts", "vectors"}
        What they are.
    """
    if holds_texts(X):
        return "texts"
    return "vectors" if X.ndim == 2 else "images"


def holds_texts(X: NDArray[Any]) -> bool:
    """Tell whether the items of a data set are texts.

    Parameters
    ----------
    X : ndarray of shape (n, ...), any
        Items of a `Dataset`.

    Returns
    -------
    bool
        True for texts, False for vectors and images.
    """
    return X.dtype == object


def _check_items(X: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(X)
    if array.dtype.kind in "OTU" and array.ndim == 1:
        return _check_texts(array)
    if array.dtype.kind not in "buif":
        raise ValueError(f"X must hold real numbers, got the dtype {array.dtype}")
    if array.ndim not in (2, 3, 4):
        raise ValueError(
            "X must be vectors (n, d), images (n, height, width) or (n, height, width, channels), "
            f"or texts (n,), got the shape {array.shape} of {array.dtype}"
        )
    if array.size == 0:
        raise ValueError(f"X is empty: its shape is {array.shape}")
    if array.ndim > 2 and array.dtype != np.uint8:
        raise ValueError(
            f"images must be uint8, 0 to 255, got {array.dtype}; other numbers go in as vectors: "
            "X.reshape(len(X), -1)"
        )
    if array.ndim == 4 and array.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"images have 1, 3 or 4 channels in their last dimension, got the shape {array.shape}"
        )
    if array.dtype.kind == "f":
        _check_finite(array)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _check_texts(array: NDArray[Any]) -> NDArray[np.object_]:
    texts = array.astype(object)
    if not len(texts):
        raise ValueError(f"X is empty: its shape is {array.shape}")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"X must hold texts or real numbers, got {text!r} in row {row}")
    return texts


def _check_finite(X: NDArray[Any]) -> None:
    bad = np.zeros(len(X), dtype=bool)
    rows = max(1, _BLOCK_ENTRIES // X.shape[1])
    for start in range(0, len(X), rows):  # marks of all entries would take a quarter of X again
        block = X[start : start + rows]
        bad[start : start + rows] = ~np.isfinite(block).all(axis=1)
    if bad.any():
        raise ValueError(
            f"X holds NaN or infinity in {bad.sum()} of {len(X)} rows, first in row {bad.argmax()}"
        )


def _check_labels(y: NDArray[Any], n_samples: int) -> NDArray[Any]:
    array = np.asarray(y)
    if array.ndim not in (1, 2):
        raise ValueError(f"y must have the shape (n,) or (n, n_labels), got {array.shape}")
    if len(array) != n_samples:
        raise ValueError(f"X has {n_samples} rows and y has {len(array)}")
    if array.dtype.kind not in "bui":
        raise ValueError(f"y must hold whole numbers in an integer dtype, got {array.dtype}")
    if array.ndim == 1:
        if array.min() < -1:
            raise ValueError(
                f"class numbers are 0 or larger, or -1 for an item without one, got {array.min()}"
            )
        if array.max() > np.iinfo(np.int64).max:
            raise ValueError(f"class numbers must fit into int64, got {array.max()}")
        return array.astype(np.int64)
    if array.shape[1] == 0 or array.min() < 0 or array.max() > 1:
        raise ValueError(
            "y of the shape (n, n_labels) must hold 0 and 1 only; class numbers have the shape (n,)"
        )
    return array.astype(np.uint8)


def _check_names(names: Any, what: str) -> tuple[str, ...]:
    if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{what} must be a tuple of strings")
    return tuple(names)


def _check_label_names(names: tuple[str, ...], y: NDArray[Any] | None) -> None:
    if y is None:
        raise ValueError("label_names are given, but no labels y")
    if y.ndim == 1 and y.max() >= len(names):
        raise ValueError(f"y holds class number {y.max()}, there are {len(names)} label_names")
    if y.ndim == 2 and y.shape[1] != len(names):
        raise ValueError(f"y has {y.shape[1]} columns and there are {len(names)} label_names")


def _check_parts(
    splits: Mapping[str, NDArray[np.int64]], n_samples: int
) -> dict[str, NDArray[np.int64]]:
    if not isinstance(splits, Mapping):
        raise TypeError(f"splits must be a mapping of names to row numbers, got {type(splits)}")
    checked = {name: _check_part(name, rows, n_samples) for name, rows in splits.items()}
    if "train" in checked and "test" in checked:
        shared = np.intersect1d(checked["train"], checked["test"])
        if len(shared):
            raise ValueError(f"{len(shared)} rows are in both train and test, first {shared[0]}")
    return checked


def _check_part(name: str, rows: NDArray[np.int64], n_samples: int) -> NDArray[np.int64]:
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "ui" or not len(array):
        raise ValueError(
            f"the part {name!r} must be row numbers of the shape (n_part,), "
            f"got {array.dtype} of the shape {array.shape}"
        )
    if array.min() < 0 or array.max() >= n_samples:
        raise ValueError(
            f"the part {name!r} has the rows {array.min()} to {array.max()}; "
            f"there are the rows 0 to {n_samples - 1}"
        )
    if len(np.unique(array)) != len(array):
        raise ValueError(f"the part {name!r} names a row twice")
    return array.astype(np.int64)
