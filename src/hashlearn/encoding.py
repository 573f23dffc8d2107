"""Items to codes a batch at a time: in bounded memory, while the next items are read, resumable."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashlearn import models
from hashlearn.codefiles import write_codes
from hashlearn.codes import n_bytes
from hashlearn.data import Batch, Source, open_source
from hashlearn.data.catalog import NAMES
from hashlearn.data.dataset import Kind
from hashlearn.data.huggingface import HuggingFaceSource
from hashlearn.data.images import are_images
from hashlearn.data.tables import TableSource
from hashlearn.features import Backbone
from hashlearn.hashers.streams import StreamHasher
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.partial import Partial, Progress, Section, keep

T = TypeVar("T")

_AHEAD = 2  # batches that wait to be computed
_SIZES = {"vectors": 1 << 14, "texts": 1 << 10, "images": 1 << 10}
_FILES = 64  # images of any size, which may take 40 MB each


def fit(
    model: Model, source: Source, *, n_items: int | None = None, random_state: Any = None
) -> Model:
    """Fit a model to a source, in memory that does not grow with it if a sample is enough.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model.
    source : Source
        Items to learn from.
    n_items : int, default=None
        Learn from so many items at most, drawn at random. None takes all: a hasher alone that can
        learn from a stream gets vectors without labels a batch at a time, others get all at once.
    random_state : int, RandomState or None, default=None
        Source of the draw.

    Returns
    -------
    Hasher or Pipeline
        The model, fitted.

    Raises
    ------
    ValueError
        If the data are damaged, or not what the model takes.
    """
    if n_items is None and isinstance(model, StreamHasher):
        first = next(source.batches(1), None)
        if first is not None and first.labels is None:
            return model.fit_stream(batch.X for batch in source.batches(_SIZES[source.kind]))
    batch = source.sample(n_items, random_state)
    return model.fit(batch.X, source.number(batch.labels)[0])


def encoded(model: Model, batches: Iterable[Batch]) -> Iterator[tuple[Batch, NDArray[np.uint8]]]:
    """Encode batches, while the next ones are read and prepared in another thread.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    batches : iterable of Batch
        Items.

    Yields
    ------
    batch : Batch
        The items.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        Their packed codes.

    Raises
    ------
    ValueError
        If the items are not what the model takes, or cannot be read.
    """
    front, rest = divided(model)
    for batch, X in computed(front, batches):
        if len(batch):
            yield batch, models.encode(rest, X)
        else:
            yield batch, np.empty((0, n_bytes(hasher_of(model).n_bits)), np.uint8)


def computed(
    front: Backbone | None, batches: Iterable[Batch]
) -> Iterator[tuple[Batch, NDArray[Any]]]:
    """Compute a network's features of batches, while the next ones are read in another thread.

    Parameters
    ----------
    front : Backbone or None
        Network. None leaves the items as they are.
    batches : iterable of Batch
        Items.

    Yields
    ------
    batch : Batch
        The items.
    X : ndarray of shape (n, ...)
        Features of the items, or the items.

    Raises
    ------
    ValueError
        If the items are not what the network takes, or cannot be read.
    """

    def prepared() -> Iterator[tuple[Batch, Any]]:
        for batch in batches:
            yield batch, front.preprocess(batch.X) if front is not None and len(batch) else batch.X

    for batch, inputs in ahead(prepared()):
        yield batch, front.run(inputs) if front is not None and len(batch) else inputs


def divided(model: Model) -> tuple[Backbone | None, Model]:
    """Divide a model into the network that it begins with, if it does, and what follows.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model.

    Returns
    -------
    front : Backbone or None
        Network.
    rest : Hasher or Pipeline
        What follows.
    """
    first, *rest = steps_of(model)
    if not isinstance(first, Backbone):
        return None, model
    return first, models.make_model(rest[:-1], rest[-1])


def open_for(model: Model, data: Any, **options: Any) -> Source:
    """Open items for a fitted model; images are brought to the size and colours that it takes.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    data : str, path-like, Dataset, ndarray or datasets.Dataset
        What :func:`~hashlearn.data.open_source` takes.
    **options : object
        Its options but those of images.

    Returns
    -------
    Source
        The items.

    Raises
    ------
    ValueError
        If the data cannot be read, an option does not fit their kind, or they are images and the
        model takes none.
    """
    front, _ = divided(model)
    if front is not None:
        return open_source(data, same_size=False, **options)
    sizes = image_options(steps_of(model)[0])
    is_path = isinstance(data, str | os.PathLike) and data not in NAMES
    if is_path and are_images(Path(data)):
        if not sizes:
            raise ValueError(f"the model takes vectors, not images such as {data}")
        return open_source(data, **sizes, **options)
    source = open_source(data, **options)
    if isinstance(source, TableSource | HuggingFaceSource) and source.kind == "images" and sizes:
        return open_source(data, **sizes, **options)
    return source


def image_options(first: Any) -> dict[str, Any]:
    """Say to which size and colours images are brought for the first step of a fitted model.

    Parameters
    ----------
    first : transformer or Hasher
        Step.

    Returns
    -------
    dict
        Options of :func:`~hashlearn.data.open_source`; none if it takes no images, or any.
    """
    shape = tuple(getattr(first, "image_shape_", None) or getattr(first, "item_shape_", None) or ())
    if len(shape) < 2:
        return {}
    size = (int(shape[0]), int(shape[1]))
    return {"image_size": size, "mode": "grey" if len(shape) == 2 else "rgb"}


def item_kind(first: Any) -> Kind:
    """Say what the first step of a fitted model takes.

    Parameters
    ----------
    first : transformer or Hasher
        Step.

    Returns
    -------
    {"images", "texts", "vectors"}
        What it was fitted to.
    """
    named: Kind | None = getattr(first, "item_kind_", None)  # of networks
    if named is not None:
        return named
    if first.__sklearn_tags__().input_tags.string:
        return "texts"
    return "images" if image_options(first) else "vectors"


def rows_of(source: Source, front: Backbone | None) -> int:
    """Choose how many rows are computed together.

    Parameters
    ----------
    source : Source
        Items.
    front : Backbone or None
        Network that they go through.

    Returns
    -------
    int
        Rows of a batch: fewer images if they may be of any size.
    """
    return _FILES if front is not None and source.kind == "images" else _SIZES[source.kind]


def encode_source(
    model: Model, source: Source, output: Path, *, progress: Progress | None = None
) -> int:
    """Encode a source into a file of codes; an interrupted call goes on where it stopped.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    source : Source
        Items.
    output : pathlib.Path
        File for the codes, as :func:`~hashlearn.codefiles.write_codes` takes it. Until it is
        written, a folder beside it that ends in ``.partial`` holds what is done.
    progress : callable, default=None
        Called with what is made ("codes"), the number of rows that are done and that of all, if it
        is known.

    Returns
    -------
    int
        Number of codes.

    Raises
    ------
    ValueError
        If the items are not what the model takes, or cannot be read, or there are none.

    Notes
    -----
    An interrupted call is taken up if source and model are the same: the same files, as their
    sizes and times tell, and a model of the same content.
    """
    front, _ = divided(model)
    n_bits = hasher_of(model).n_bits
    question = None
    if source.identity is not None:
        question = {"source": source.identity, "model": digest(model)}
    with Partial(output, question) as work:
        section = Section(work, "codes")
        batches = source.batches(rows_of(source, front), work.state.get("codes", 0))
        keep(work, section, encoded(model, batches), source.n_rows, progress)
        codes = section.values(np.uint8, n_bytes(n_bits))
        if not len(codes):
            raise ValueError(f"{source.origin} holds no item that can be read")
        method = type(hasher_of(model)).__name__
        write_codes(output, codes, n_bits, section.names(), method=method)
        n_codes = len(codes)
        del codes  # before the file that it is mapped from
        return n_codes


def digest(model: Model) -> str:
    """Sum up what a fitted model holds.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.

    Returns
    -------
    str
        Checksum of its file, in hexadecimal.
    """
    return hashlib.sha256(models.file_bytes(model)).hexdigest()


def ahead(items: Iterable[T], n: int = _AHEAD) -> Iterator[T]:
    """Make items in another thread, some before they are asked for.

    Parameters
    ----------
    items : iterable
        What is made.
    n : int, default=2
        Items that may wait.

    Yields
    ------
    object
        The next item.

    Raises
    ------
    Exception
        What the making of an item raises, when its turn comes.
    """
    queue: Queue[tuple[bool, Any]] = Queue(n)
    stopped = False

    def make() -> None:
        try:
            for item in items:
                queue.put((True, item))
                if stopped:
                    return
        except BaseException as error:
            queue.put((False, error))
        else:
            queue.put((False, None))

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            is_item, item = queue.get()
            if is_item:
                yield item
            elif item is None:
                return
            else:
                raise item
    finally:
        stopped = True
        while thread.is_alive():
            while not queue.empty():
                queue.get()
            thread.join(0.01)
