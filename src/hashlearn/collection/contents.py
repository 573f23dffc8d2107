"""Items themselves: what a model takes, and what a collection keeps of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.items import Content, Item
from hashlearn.data.dataset import Kind
from hashlearn.data.images import image_shape, read_image, resize_image
from hashlearn.data.source import objects
from hashlearn.encoding import divided, image_options, item_kind
from hashlearn.models import Model, steps_of

THUMBNAIL = 160
"""Longest side of the small picture of an image, in pixels. Images up to this are kept whole."""

_QUALITY = 85


def check_items(items: Any, kind: Kind) -> Any:
    """Check that items are what a collection takes.

    Parameters
    ----------
    items : sequence
        Items.
    kind : {"images", "texts", "vectors"}
        What they must be.

    Returns
    -------
    sequence of ndarray or of str, or ndarray
        The items: images as uint8 of shape (h, w) or (h, w, c), vectors as float32 of shape (d,).

    Raises
    ------
    TypeError
        If they are of another kind.
    ValueError
        If there are none, a vector holds NaN or infinity, or images have a wrong shape.
    """
    if isinstance(items, str | bytes) or not hasattr(items, "__len__"):
        raise TypeError(f"items must be a sequence of {kind}, got {type(items).__name__}")
    if not len(items):
        raise ValueError("there are no items")
    if kind == "vectors":
        return _check_vectors(items)
    for number, item in enumerate(items):
        if kind == "texts":
            if not isinstance(item, str):
                raise TypeError(f"item {number} must be a text, got {type(item).__name__}")
            _check_text(item, number)
        else:
            _check_image(item, number)
    return items if isinstance(items, Sequence) else list(items)


def _check_vectors(items: Any) -> NDArray[np.float32]:
    try:
        X = np.asarray(items)
        vectors = X.astype(np.float32, copy=False) if X.dtype.kind in "fiub" else None
    except ValueError:
        vectors = None
    if vectors is None or vectors.ndim != 2:
        raise TypeError("items must be vectors of numbers, of one length each")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise ValueError(f"item {int(np.argmin(finite))} holds NaN or infinity in float32")
    return vectors


def _check_text(text: str, number: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"item {number} is not valid text: {error}") from error


def _check_image(image: Any, number: int) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"item {number} must be an image, an array of uint8, got {found}")
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(f"item {number} must have the shape (h, w) or (h, w, c): {image.shape}")
    if image.ndim == 3 and image.shape[2] not in (1, 3, 4):
        raise ValueError(f"item {number} has {image.shape[2]} channels; images have 1, 3 or 4")


def prepared(model: Model, items: Sequence[Any]) -> NDArray[Any]:
    """Bring items to the form that a model takes.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    items : sequence of ndarray or of str
        Items that :func:`check_items` has let through.

    Returns
    -------
    ndarray of shape (n, d), float32; (n, h, w) or (n, h, w, 3), uint8; or (n,), object
        Vectors; images of the size that the model takes; or texts, or images that a network will
        bring to its size.
    """
    first = steps_of(model)[0]
    kind = item_kind(first)
    if kind == "vectors":
        return np.asarray(items)
    if kind == "images" and divided(model)[0] is None:
        options = image_options(first)
        size, mode = options["image_size"], options["mode"]
        return np.stack([resize_image(image, size=size, mode=mode) for image in items])
    return objects(list(items))


def content_of(item: Any, kind: Kind, *, keep: bool, in_file: bool) -> Content | None:
    """Give what is kept of an item.

    Parameters
    ----------
    item : ndarray of shape (h, w), (h, w, c) or (d,), or str
        Item.
    kind : {"images", "texts", "vectors"}
        What it is.
    keep : bool
        Whether to keep all of what stands in no file.
    in_file : bool
        Whether it stands in a file.

    Returns
    -------
    Content or None
        Texts, and images up to `THUMBNAIL`: all. Other images: all or a small picture. Vectors: all
        or nothing.
    """
    if kind == "texts":
        return Content("text/plain", item.encode(), True)
    whole = keep and not in_file
    if kind == "vectors":
        return Content("application/octet-stream", _bytes(item, "<f4"), True) if whole else None
    if whole or max(item.shape[:2]) <= THUMBNAIL:
        return Content("image/png", encode_image(item, "PNG"), True)
    return replace(thumbnail(item), in_file=in_file)


def thumbnail(image: NDArray[np.uint8]) -> Content:
    """Make a small picture of an image.

    Parameters
    ----------
    image : ndarray of shape (h, w) or (h, w, c), uint8
        Image.

    Returns
    -------
    Content
        JPEG of at most `THUMBNAIL` pixels in height and width.
    """
    height, width = image.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    small = resize_image(image, size=size, mode="rgb")
    return Content("image/jpeg", encode_image(small, "JPEG"), False)


def small_picture(content: Content) -> Content:
    """Give a small picture of an image.

    Parameters
    ----------
    content : Content
        What is kept of an item.

    Returns
    -------
    Content
        A small picture of a large image, anything else as it is.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if not (content.is_whole and content.type.startswith("image/")):
        return content
    if max(image_shape(BytesIO(content.data))) <= THUMBNAIL:
        return content
    return thumbnail(decoded(content))


def encode_image(image: NDArray[np.uint8], form: str) -> bytes:
    """Write an image into a file in memory.

    Parameters
    ----------
    image : ndarray of shape (h, w) or (h, w, c), uint8
        Image.
    form : {"PNG", "JPEG"}
        Format.

    Returns
    -------
    bytes
        The file.
    """
    from PIL import Image

    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, form, quality=_QUALITY)
    return file.getvalue()


def decoded(content: Content) -> Any:
    """Read an item from what was kept of it.

    Parameters
    ----------
    content : Content
        What :func:`content_of` gave.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8, or (d,), float32; or str
        The item.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    if content.type == "text/plain":
        return content.data.decode()
    if content.type.startswith("image/"):
        return read_image(BytesIO(content.data), size=None, mode="rgb")
    return np.frombuffer(content.data, "<f4").astype(np.float32)


def original_of(item: Item, content: Content | None) -> Any:
    """Read an item itself, from what was kept of it or from its file.

    Parameters
    ----------
    item : Item
        Item.
    content : Content or None
        What is kept of it.

    Returns
    -------
    ndarray of shape (h, w, 3), uint8, or (d,), float32; or str
        Image, vector or text.

    Raises
    ------
    ValueError
        If neither has all of it, or it is damaged.
    """
    if content is not None and content.is_whole:
        return decoded(content)
    if content is None or not content.in_file:
        raise ValueError(f"the collection has not kept all of the item {item.key!r}")
    return read_image(Path(item.source or ""), size=None, mode="rgb")


def digest_of(item: Any) -> bytes:
    """Sum up an item.

    Parameters
    ----------
    item : ndarray of shape (h, w), (h, w, c) or (d,), or str
        Item that :func:`check_items` has let through.

    Returns
    -------
    bytes
        16 bytes, which no other item has.
    """
    if isinstance(item, str):
        return hashlib.sha256(b"text" + item.encode()).digest()[:16]
    form = f"{item.dtype.str} {item.shape}".encode()
    return hashlib.sha256(form + _bytes(item, item.dtype)).digest()[:16]


def _bytes(array: NDArray[Any], dtype: Any) -> bytes:
    return np.ascontiguousarray(array, dtype).tobytes()
