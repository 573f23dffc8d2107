"""Items as requests bring them: decoded only once it is known how large they are."""

import base64
import binascii
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from io import BytesIO
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException

from hashlearn.data.dataset import Kind
from hashlearn.data.images import image_shape, read_image

_LARGE_PIXELS = 4_000_000
_LARGE = threading.Lock()
"""Held while large images are worked on: one request at a time, or memory would run out."""


@contextmanager
def decoded(contents: Sequence[tuple[str, Any]], kind: Kind, max_pixels: int) -> Iterator[Any]:
    """Decode the items of a request.

    Parameters
    ----------
    contents : sequence of (str, object)
        Of each item what it is, ``"image"``, ``"text"`` or ``"vector"``, and its value.
    kind : {"images", "texts", "vectors"}
        What the collection holds.
    max_pixels : int
        Most pixels of all images together.

    Yields
    ------
    sequence of ndarray or of str, or ndarray of shape (n, d), float32
        The items.

    Raises
    ------
    HTTPException
        With 413 if there are too many pixels, 422 if something is not what it should be.
    """
    for number, (name, _) in enumerate(contents):
        if f"{name}s" != kind:
            raise HTTPException(
                422, f"item {number} is given as {name}, and the collection holds {kind}"
            )
    values = [value for _, value in contents]
    if kind == "texts":
        yield values
    elif kind == "vectors":
        yield _vectors(values)
    else:
        files = [_bytes(number, value) for number, value in enumerate(values)]
        n_pixels = _count_pixels(files, max_pixels)
        with _LARGE if n_pixels > _LARGE_PIXELS else nullcontext():
            yield [_image(number, file) for number, file in enumerate(files)]


def _vectors(values: list[list[float]]) -> Any:
    lengths = {len(value) for value in values}
    if len(lengths) > 1:
        raise HTTPException(422, f"vectors must have one length, got {sorted(lengths)[:5]}")
    with np.errstate(over="ignore"):  # the collection refuses infinity
        return np.array(values, np.float64).astype(np.float32)


def _bytes(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise HTTPException(422, f"image {number} is not base64: {error}") from error


def _count_pixels(files: Sequence[bytes], most: int) -> int:
    """Count pixels by what the heads of files say, and refuse too many."""
    n_pixels = 0
    for number, file in enumerate(files):
        try:
            height, width = image_shape(BytesIO(file))
        except ValueError as error:
            raise _refused(number, error) from error
        n_pixels += height * width
        if n_pixels > most:
            raise HTTPException(413, f"images have at most {most:,} pixels together")
    return n_pixels


def _image(number: int, file: bytes) -> Any:
    try:
        return read_image(BytesIO(file), size=None, mode="rgb")
    except ValueError as error:
        raise _refused(number, error) from error


def _refused(number: int, error: ValueError) -> HTTPException:
    return HTTPException(422, f"image {number}: {' '.join(str(error).split())[:200]}")
