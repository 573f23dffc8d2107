"""What pretrained networks have in common: items in, batches, a network run over them, rows out."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_scalar
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from PIL.Image import Image

Items = Sequence[str] | Sequence[NDArray[np.uint8]] | NDArray[Any]
Kind = Literal["images", "texts"]
Batch = Mapping[str, NDArray[Any]]

ROWS = "row numbers"
"""Key in a batch: the rows of its items among those that ``preprocess`` was given, int64."""

_CHUNK = 16
"""Batches that ``transform`` prepares at a time: memory does not grow with the items."""

_LOADING = RLock()  # two threads that need the same network load it once


class Network(ABC):
    """A network in memory: what a backbone loads, and neither saves, copies nor pickles."""

    fixed_batch: int | None = None
    """Number of items that a batch must have, if the network takes no other."""

    @abstractmethod
    def prepare(self, items: list[Any]) -> dict[str, NDArray[Any]]:
        """Turn the items of one batch into the network's inputs.

        Parameters
        ----------
        items : list of ndarray or of str
            Items of one batch.

        Returns
        -------
        dict of str to ndarray
            The inputs by name.
        """

    @abstractmethod
    def compute(self, inputs: Batch) -> NDArray[Any]:
        """Run the network over one batch.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            What ``prepare`` gave.

        Returns
        -------
        ndarray of shape (n, n_features), float
            One row an item.
        """


class Backbone(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """Compute features of images or texts with a pretrained network.

    Nothing is learned from the items of ``fit``: it loads the network, sees whether it takes such
    items, and runs it over the first.

    Attributes
    ----------
    item_kind_ : str
        What the network is given: ``"images"`` or ``"texts"``.
    n_features_out_ : int
        Number of features.

    Notes
    -----
    ``transform(X)`` is ``run(preprocess(X))``, some batches at a time. The two may be called in
    different threads: while one thread runs the network, another can prepare what comes next.

    A network adds up in float32 in an order that depends on the batch and on the number of threads,
    so the last digits of a row do too.
    """

    item_kind_: Kind
    n_features_out_: int

    model: Any
    batch_size: int
    _network: Network | None

    @abstractmethod
    def _learn(self, kind: Kind) -> Network:
        """Read the source, and set what is needed to load the network again."""

    @abstractmethod
    def _load(self) -> Network:
        """Load the network of a fitted backbone."""

    @abstractmethod
    def check_source(self) -> None:
        """Look whether the network is there, without loading it.

        Raises
        ------
        FileNotFoundError
            If it is not.
        """

    def fit(self, X: Items, y: Any = None) -> Self:  # noqa: ARG002
        """Load the network and see that it takes such items.

        Parameters
        ----------
        X : ndarray of shape (n, height, width) or (n, height, width, channels), uint8, or sequence
            Images, of 1, 3 or 4 channels (the fourth is opacity, over white); or a sequence of
            images of any sizes; or a sequence of texts.
        y : None
            Ignored.

        Returns
        -------
        Self
            The fitted backbone.

        Raises
        ------
        FileNotFoundError
            If the network is not there.
        ImportError
            If the extra that runs it is not installed.
        TypeError
            If `X` is one text, or a parameter has the wrong type.
        ValueError
            If `X` is empty or holds neither images nor texts, the network does not take what it
            holds or cannot be loaded, or a parameter is out of range.
        """
        check_scalar(self.batch_size, "batch_size", Integral, min_val=1)
        kind, items = check_items(X)
        self.check_source()
        self._network = None
        self.item_kind_ = kind
        self._network = self._learn(kind)
        first = self._network.compute(self._network.prepare(items[:1]))
        if first.ndim != 2:
            raise ValueError(
                f"{self.model} gives an output of the shape {first.shape} for one item; features "
                "are one row an item"
            )
        self.n_features_out_ = first.shape[1]
        return self

    def preprocess(self, X: Items) -> list[Batch]:
        """Turn items into the inputs of the network: all that is done before it runs.

        Parameters
        ----------
        X : ndarray of shape (n, height, width) or (n, height, width, channels), uint8, or sequence
            Items of the kind of ``fit``.

        Returns
        -------
        list of mapping of str to ndarray
            Batches of up to ``batch_size`` items: arrays by name, and under ``ROWS`` the rows of
            its items. Texts of like length share a batch.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        TypeError
            If `X` is one text.
        ValueError
            If `X` is empty or holds something else than the items of ``fit``.
        """
        network = self._ready()
        kind, items = check_items(X)
        if kind != self.item_kind_:
            raise ValueError(
                f"{type(self).__name__} was fitted to {self.item_kind_}, and these are {kind}"
            )
        order = np.arange(len(items))
        if kind == "texts":  # a batch is as long as its longest text; the longest batch comes first
            order = np.argsort([-len(text) for text in items], kind="stable")
        size = network.fixed_batch or self.batch_size
        return [
            {**network.prepare([items[row] for row in rows]), ROWS: rows}
            for rows in (order[i : i + size] for i in range(0, len(order), size))
        ]

    def run(self, batches: Iterable[Batch]) -> NDArray[np.float32]:
        """Run the network.

        Parameters
        ----------
        batches : iterable of mapping of str to ndarray
            What one call of ``preprocess`` gave.

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Features, in the order of the items that ``preprocess`` was given.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        """
        network = self._ready()
        values, rows = [np.empty((0, self.n_features_out_), np.float32)], [np.empty(0, np.int64)]
        for batch in batches:
            inputs = {name: array for name, array in batch.items() if name != ROWS}
            values.append(np.asarray(network.compute(inputs), dtype=np.float32))
            rows.append(batch[ROWS])
        order = np.argsort(np.concatenate(rows), kind="stable")
        features: NDArray[np.float32] = np.concatenate(values)[order]
        return features

    def transform(self, X: Items) -> NDArray[np.float32]:
        """Compute features.

        Parameters
        ----------
        X : ndarray of shape (n, height, width) or (n, height, width, channels), uint8, or sequence
            Items of the kind of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_features_out_), float32
            Features, one row an item.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        TypeError
            If `X` is one text.
        ValueError
            If `X` is empty or holds something else than the items of ``fit``.
        """
        check_is_fitted(self)
        _, items = check_items(X)
        features = np.empty((len(items), self.n_features_out_), np.float32)
        step = _CHUNK * self.batch_size
        for i in range(0, len(items), step):
            features[i : i + step] = self.run(self.preprocess(items[i : i + step]))
        return features

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        state.pop("_network", None)  # a copy loads its own
        return state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.three_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _ready(self) -> Network:
        check_is_fitted(self)
        with _LOADING:
            network = getattr(self, "_network", None)
            if network is None:
                network = self._network = self._load()
        return cast(Network, network)

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_


def check_items(X: Items) -> tuple[Kind, list[Any]]:
    """Tell images from texts, and refuse everything else.

    Parameters
    ----------
    X : ndarray of shape (n, height, width) or (n, height, width, channels), uint8, or sequence
        Images of one size, or a sequence of images of any sizes, or of texts.

    Returns
    -------
    kind : {"images", "texts"}
        What they are.
    items : list of ndarray or of str
        The items.

    Raises
    ------
    TypeError
        If `X` is one text or no sequence.
    ValueError
        If `X` is empty, or holds something else.
    """
    if isinstance(X, str | bytes):
        raise TypeError(f"a backbone takes a list of texts, got one text: {X[:40]!r}")
    if isinstance(X, np.ndarray) and X.ndim == 3 and X.shape[2] in (3, 4):
        raise ValueError(f"X has the shape {X.shape}, that of one image; of one, give X[None]")
    if isinstance(X, np.ndarray) and X.ndim not in (1, 3, 4):
        raise ValueError(
            f"a backbone takes images or texts, got an array of the shape {X.shape}; vectors need "
            "no backbone"
        )
    items = X.tolist() if isinstance(X, np.ndarray) and X.ndim == 1 else list(X)
    if not items:
        raise ValueError("a backbone takes at least one item, got none")
    kind: Kind = "texts" if isinstance(items[0], str) else "images"
    for row, item in enumerate(items):
        if kind == "texts" and not isinstance(item, str):
            raise ValueError(f"row 0 is a text, and row {row} is {type(item).__name__}")
        if kind == "images":
            _check_image(item, row)
    return kind, items


def picture(pixels: NDArray[np.uint8], mode: Literal["RGB", "L"]) -> "Image":
    """Make a picture of an array, in colour or grey as a network wants it.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, channels), uint8
        Grey, colours, or colours and opacity, which are laid on white.
    mode : {"RGB", "L"}
        Colour or grey.

    Returns
    -------
    PIL.Image.Image
        The picture.
    """
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image if image.mode == mode else image.convert(mode)


def _check_image(item: Any, row: int) -> None:
    if not isinstance(item, np.ndarray):
        raise ValueError(f"a backbone takes images as arrays, or texts; row {row} is {item!r:.60}")
    if item.dtype != np.uint8:
        raise ValueError(f"images must be uint8, 0 to 255; row {row} is {item.dtype}")
    if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] not in (1, 3, 4)):
        raise ValueError(
            "images have the shape (height, width) or (height, width, channels) with 1, 3 or 4 "
            f"channels; row {row} has {item.shape}"
        )
    if not item.size:
        raise ValueError(f"row {row} is an image without pixels: its shape is {item.shape}")
