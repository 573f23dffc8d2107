"""Images: a folder of them, or one."""

import struct
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.files import FileSource
from hashlearn.data.locations import files_in
from hashlearn.data.source import Batch, objects
from hashlearn.engine import available_threads

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Extensions of the files that are read."""

# those of the extensions alone: Pillow opens others by what is in the file, whatever its name, and
# starts Ghostscript for some
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# A JPEG is decoded at a half, a quarter or an eighth of its size, by the means of its blocks, if
# this leaves so many pixels in height and width for each that is asked for: seven times as fast.
_DRAFT = 8

Mode = Literal["rgb", "grey"]

_OPENING = Lock()
"""Held while a header is read: what to do about a warning is one setting for all threads."""


def are_images(path: Path) -> bool:
    """Tell whether a path leads to images, going by extensions alone.

    Parameters
    ----------
    path : pathlib.Path
        File or folder.

    Returns
    -------
    bool
        Whether it is an image, or a folder that holds at least one.
    """
    if path.is_dir():
        return bool(files_in(path, SUFFIXES))
    return path.suffix.lower() in SUFFIXES


class ImageSource(FileSource):
    """Read a folder of images, or one, a batch at a time.

    Parameters
    ----------
    path : pathlib.Path
        Image, or folder of files that end in one of `SUFFIXES`.
    image_size : tuple of int (height, width), default=None
        Size to bring every image to, without keeping its proportions. None keeps the size.
    mode : {"rgb", "grey"}, default="rgb"
        Three channels, or none.
    same_size : bool, default=True
        Whether images must be of one size, and come in one array.

    Raises
    ------
    TypeError
        If `image_size` is not two integers.
    ValueError
        If `mode` is unknown, `image_size` is not positive, or there are no images.

    Notes
    -----
    Files that cannot be read, or have so many pixels that they may be an attack, are left out with
    a warning; one image alone is refused. Images are turned as their EXIF orientation says,
    transparent ones are laid on white, of moving ones the first picture is taken, 16-bit grey is
    cut to its upper 8 bits, and resizing is bilinear over all pixels that a new pixel covers. JPEGs
    of more than eight times the size in height and width are decoded at a half, a quarter or an
    eighth of their own.
    """

    def __init__(
        self,
        path: Path,
        *,
        image_size: tuple[int, int] | None = None,
        mode: Mode = "rgb",
        same_size: bool = True,
    ) -> None:
        self.size = _check_options(image_size, mode)
        super().__init__(path, "images", SUFFIXES)
        self.mode = mode
        self.same_size = same_size
        self._first: tuple[Path, tuple[int, ...]] | None = None

    def _identify(self) -> dict[str, Any]:
        return super()._identify() | {"size": self.size, "mode": self.mode}

    def _take(self, rows: NDArray[np.int64]) -> Batch:
        shares = np.array_split(rows, available_threads())  # one by one, small images take turns
        with ThreadPoolExecutor(len(shares)) as pool:
            found = [pixels for share in pool.map(self._try, shares) for pixels in share]
        kept, images = [], []
        for row, pixels in zip(rows.tolist(), found, strict=True):
            if isinstance(pixels, ValueError):
                if not self.is_folder:
                    raise pixels
                warnings.warn(f"left out: {pixels}", UserWarning, stacklevel=7)
                continue
            if self.same_size:
                self._first = self._first or (self.paths[row], pixels.shape)
                _check_same(self.paths[row], pixels.shape, *self._first)
            kept.append(row)
            images.append(pixels)
        return Batch(
            np.stack(images) if self.same_size and images else objects(images),
            np.array(kept, np.int64),
            int(rows[-1]) + 1,
            self.names_of(kept),
            self.labels_of(kept),
        )

    def _try(self, rows: NDArray[np.int64]) -> list[NDArray[np.uint8] | ValueError]:
        found: list[NDArray[np.uint8] | ValueError] = []
        for row in rows:
            try:
                found.append(read_image(self.paths[row], size=self.size, mode=self.mode))
            except ValueError as error:
                found.append(error)
        return found


def read_image(
    path: Path | IO[bytes],
    *,
    size: tuple[int, int] | None,
    mode: Mode,
) -> NDArray[np.uint8]:
    """Read an image.

    Parameters
    ----------
    path : pathlib.Path or file of bytes
        File to read.
    size : tuple of int (height, width) or None
        Size to bring it to; None keeps its own.
    mode : {"rgb", "grey"}
        Three channels, or none.

    Returns
    -------
    ndarray of shape (h, w, 3) or (h, w), uint8
        Its pixels.

    Raises
    ------
    ValueError
        If it is damaged, not an image, has 32-bit pixels, or so many pixels that it may be an
        attack.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        if size is not None:  # of a JPEG; it may still have to be turned
            image.draft(None, (_DRAFT * max(size), _DRAFT * max(size)))
        return _resized(_flatten(ImageOps.exif_transpose(image), mode), size)


def image_shape(path: Path | IO[bytes]) -> tuple[int, int]:
    """Read the size of an image from the head of its file, without decoding it.

    Parameters
    ----------
    path : pathlib.Path or file of bytes
        File to read.

    Returns
    -------
    height : int
        Height in pixels.
    width : int
        Width in pixels.

    Raises
    ------
    ValueError
        If it is damaged, not an image, or has so many pixels that it may be an attack.
    """
    with _opened(path) as image:
        return image.height, image.width


@contextmanager
def _opened(path: Path | IO[bytes]) -> "Iterator[Image]":
    """Open an image, and turn what may happen while it is read into one error."""
    from PIL import Image

    what = str(path) if isinstance(path, Path) else "it"
    try:
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_FORMATS)
        with image:
            yield image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"{what} is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise ValueError(f"{what} is damaged or not an image: {error}") from error


def resize_image(
    pixels: NDArray[np.uint8], *, size: tuple[int, int] | None, mode: Mode
) -> NDArray[np.uint8]:
    """Bring an image to a size and colours, as `read_image` does.

    Parameters
    ----------
    pixels : ndarray of shape (h, w) or (h, w, c), uint8
        Image of 1, 3 or 4 channels; the fourth is opacity, over white.
    size : tuple of int (height, width) or None
        Size to bring it to; None keeps its own.
    mode : {"rgb", "grey"}
        Three channels, or none.

    Returns
    -------
    ndarray of shape (h, w, 3) or (h, w), uint8
        The image.
    """
    from PIL import Image

    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return _resized(_flatten(Image.fromarray(np.ascontiguousarray(pixels)), mode), size)


def _resized(image: "Image", size: tuple[int, int] | None) -> NDArray[np.uint8]:
    from PIL import Image

    if size is not None and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image)


def _flatten(image: "Image", mode: Mode) -> "Image":
    """Bring an image of any mode to 8-bit colour or grey."""
    from PIL import Image

    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits; convert it to 8 bits first")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB" if mode == "rgb" else "L")


def _check_same(path: Path, shape: tuple[int, ...], first: Path, expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(
            f"{path} has {shape[0]} × {shape[1]} pixels (height × width) and {first} has "
            f"{expected[0]} × {expected[1]}; give image_size=(height, width)"
        )


def _check_options(image_size: Any, mode: Any) -> tuple[int, int] | None:
    if mode not in ("rgb", "grey"):
        raise ValueError(f'mode must be "rgb" or "grey", got {mode!r}')
    return None if image_size is None else _check_size(image_size)


def _check_size(image_size: Any) -> tuple[int, int]:
    sides = tuple(image_size) if isinstance(image_size, tuple | list) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) for side in sides):
        raise TypeError(f"image_size must be two integers (height, width), got {image_size!r}")
    if min(sides) < 1:
        raise ValueError(f"image_size must be positive, got {image_size!r}")
    return int(sides[0]), int(sides[1])
