"""Images: a folder of them, or one."""

import struct
import warnings
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.data.dataset import Dataset
from hashlearn.data.labels import number_labels
from hashlearn.data.locations import files_in

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


def load_images(
    folder: Path, *, image_size: tuple[int, int] | None = None, mode: Mode = "rgb"
) -> Dataset:
    """Load a folder of images.

    Parameters
    ----------
    folder : pathlib.Path
        Folder; its sub-folders are read too. Files with other extensions, and hidden files and
        folders, are left out.
    image_size : tuple of int (height, width), default=None
        Size to bring every image to, without keeping its proportions. None keeps the size, which
        must then be the same for all.
    mode : {"rgb", "grey"}, default="rgb"
        Three channels, or none.

    Returns
    -------
    Dataset
        `X` uint8 of shape (n, h, w, 3), or (n, h, w) if grey, in the order of the paths; the paths
        from `folder` on as `item_names`. If every image is in a sub-folder, `y` numbers the
        sub-folders of the first level, in alphabetical order.

    Raises
    ------
    TypeError
        If `image_size` is not two integers.
    ValueError
        If `mode` is unknown, `image_size` is not positive, there are no images or none that can be
        read, or images differ in size and `image_size` is None.

    Warns
    -----
    UserWarning
        For each file that cannot be read, or has so many pixels that it may be an attack; it is
        left out.

    Notes
    -----
    Images are turned as their EXIF orientation says, transparent ones are laid on white, of moving
    ones the first picture is taken, 16-bit grey is cut to its upper 8 bits, and resizing is
    bilinear over all pixels that a new pixel covers. JPEGs of more than eight times the size in
    height and width are decoded at a half, a quarter or an eighth of their own.
    """
    size = _check_options(image_size, mode)
    paths = files_in(folder, SUFFIXES)
    if not paths:
        raise ValueError(f"{folder} has no images; extensions read: {', '.join(SUFFIXES)}")
    X, kept = _read_all(paths, size, mode)
    names = [path.relative_to(folder) for path in paths]
    y, label_names = None, None
    if all(len(name.parts) > 1 for name in names):
        # numbered before unreadable files are dropped: the numbers do not depend on those
        numbers, label_names = number_labels([name.parts[0] for name in names])
        y = numbers[kept]
    return Dataset(
        name=folder.resolve().name,
        X=X,
        y=y,
        label_names=label_names,
        item_names=tuple(names[i].as_posix() for i in kept),
        source=str(folder),
    )


def load_image(
    path: Path, *, image_size: tuple[int, int] | None = None, mode: Mode = "rgb"
) -> Dataset:
    """Load one image as a data set of one item.

    Parameters
    ----------
    path : pathlib.Path
        File with one of the extensions of `SUFFIXES`.
    image_size : tuple of int (height, width), default=None
        As in :func:`load_images`.
    mode : {"rgb", "grey"}, default="rgb"
        Three channels, or none.

    Returns
    -------
    Dataset
        `X` uint8 of shape (1, h, w, 3), or (1, h, w) if grey; the name of the file as
        `item_names`.

    Raises
    ------
    TypeError
        If `image_size` is not two integers.
    ValueError
        If `mode` is unknown, `image_size` is not positive, or the image cannot be read.
    """
    size = _check_options(image_size, mode)
    pixels = read_image(path, size=size, mode=mode)
    return Dataset(path.stem, pixels[None], item_names=(path.name,), source=str(path))


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


def read_image(path: Path, *, size: tuple[int, int] | None, mode: Mode) -> NDArray[np.uint8]:
    """Read an image.

    Parameters
    ----------
    path : pathlib.Path
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
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if size is not None:  # of a JPEG; it may still have to be turned
                    image.draft(None, (_DRAFT * max(size), _DRAFT * max(size)))
                flat = _flatten(ImageOps.exif_transpose(image), mode)
                if size is not None and flat.size != (size[1], size[0]):
                    flat = flat.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                return np.asarray(flat)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is too large: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise ValueError(f"{path} is damaged or not an image: {error}") from error


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


def _read_all(
    paths: list[Path], size: tuple[int, int] | None, mode: Mode
) -> tuple[NDArray[np.uint8], list[int]]:
    """Read the images that can be read, and say which those are."""
    X: NDArray[np.uint8] = np.empty((0, 0, 0), np.uint8)
    kept: list[int] = []
    for i, path in enumerate(paths):
        try:
            pixels = read_image(path, size=size, mode=mode)
        except ValueError as error:
            warnings.warn(f"left out: {error}", UserWarning, stacklevel=6)
            continue
        if not kept:
            X = np.empty((len(paths), *pixels.shape), np.uint8)
        if pixels.shape != X.shape[1:]:
            raise ValueError(
                f"{path} has {pixels.shape[0]} × {pixels.shape[1]} pixels (height × width) and "
                f"{paths[kept[0]]} has {X.shape[1]} × {X.shape[2]}; give image_size=(height, width)"
            )
        X[len(kept)] = pixels
        kept.append(i)
    if not kept:
        raise ValueError(f"none of {len(paths)} images can be read, the first is {paths[0]}")
    return X[: len(kept)], kept


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
