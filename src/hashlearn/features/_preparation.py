"""Pixels to what a network of images takes, as a ``preprocessor_config.json`` says.

That file, of Hugging Face's convention, says how to resize, crop, rescale and normalise. One key is
ours: ``channel_order``, ``"rgb"`` or ``"bgr"``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.features.backbone import picture

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""Names of the ways to resize, and their numbers in the convention, which are Pillow's."""

# Keys that move pixels and are not followed here: better an error than other features.
_UNKNOWN = ("do_pad", "crop_pct", "rescale_offset", "do_thumbnail", "do_align_long_axis")


@dataclass(frozen=True)
class Target:
    """What the input of a network is: its name, type and shape.

    None stands for a size that the network leaves open.
    """

    name: str
    dtype: Any
    layout: Literal["nchw", "nhwc"]
    n_channels: int
    height: int | None
    width: int | None

    @property
    def is_float(self) -> bool:
        """Whether pixels must be brought to a scale."""
        return bool(np.dtype(self.dtype).kind == "f")


@dataclass(frozen=True)
class Preparation:
    """Resize, crop, rescale and normalise: in this order, each if it is not None."""

    target: Target
    size: int | tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: int
    scale: float | None
    mean: NDArray[np.float32] | None
    std: NDArray[np.float32] | None
    bgr: bool

    def __call__(self, images: list[NDArray[np.uint8]]) -> NDArray[Any]:
        """Make one batch of images.

        Parameters
        ----------
        images : list of ndarray of shape (h, w) or (h, w, channels), uint8
            Images of any sizes.

        Returns
        -------
        ndarray of shape (n, channels, h, w) or (n, h, w, channels)
            The network's input.
        """
        shaped = [self._shape(image) for image in images]
        if len({image.shape for image in shaped}) > 1:
            raise ValueError(
                "images differ in size and the network's preprocessing does not bring them to one: "
                "give size=(height, width)"
            )
        batch: NDArray[Any] = np.stack(shaped)
        if self.bgr:
            batch = batch[..., ::-1]
        if self.target.is_float:
            batch = batch.astype(np.float32)
            if self.scale is not None:
                batch *= np.float32(self.scale)
            if self.mean is not None and self.std is not None:
                batch -= self.mean
                batch /= self.std
        if self.target.layout == "nchw":
            batch = batch.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(batch, dtype=self.target.dtype)

    def _shape(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        from PIL import Image

        image = picture(pixels, "L" if self.target.n_channels == 1 else "RGB")
        width, height = self._size_of(image.width, image.height)
        if (width, height) != image.size:
            image = image.resize((width, height), Image.Resampling(self.resample))
        shaped = np.asarray(image).reshape(height, width, self.target.n_channels)
        if self.crop is None:
            return shaped
        rows, columns = self.crop
        if rows > height or columns > width:
            raise ValueError(
                f"an image of {height} × {width} pixels is smaller than the part to cut out, "
                f"{rows} × {columns}"
            )
        top, left = (height - rows) // 2, (width - columns) // 2
        return shaped[top : top + rows, left : left + columns]

    def _size_of(self, width: int, height: int) -> tuple[int, int]:
        if self.size is None:
            return width, height
        if isinstance(self.size, tuple):
            return self.size[1], self.size[0]
        short, long = min(width, height), max(width, height)
        other = int(self.size * long / short)
        return (self.size, other) if width <= height else (other, self.size)


def convention(
    size: Any = None,
    crop: Any = None,
    resample: Any = None,
    scale: Any = None,
    mean: Any = None,
    std: Any = None,
    channels: Any = None,
) -> dict[str, Any]:
    """Write what was chosen in the convention's words; None leaves a thing to the file."""
    chosen: dict[str, Any] = {}
    if size is not None:
        chosen |= {"do_resize": True, "size": _as_size(size, "size")}
    if crop is not None:
        rows, columns = (crop, crop) if isinstance(crop, int) else _pair(crop, "crop")
        chosen |= {"do_center_crop": True, "crop_size": {"height": rows, "width": columns}}
    if resample is not None:
        if resample not in RESAMPLE:
            raise ValueError(f"resample must be one of {', '.join(RESAMPLE)}; got {resample!r}")
        chosen["resample"] = RESAMPLE[resample]
    if scale is not None:
        chosen |= {"do_rescale": True, "rescale_factor": float(scale)}
    for name, values in (("image_mean", mean), ("image_std", std)):
        if values is not None:
            chosen |= {"do_normalize": True, name: np.atleast_1d(values).astype(float).tolist()}
    if channels is not None:
        chosen["channel_order"] = channels
    return chosen


def make_preparation(config: Mapping[str, Any], target: Target) -> Preparation:
    """Read a configuration for a network's input.

    Parameters
    ----------
    config : mapping
        As in the convention. A step is taken if it says so, or says nothing and has its numbers.
    target : Target
        The network's input.

    Returns
    -------
    Preparation
        What does it.

    Raises
    ------
    ValueError
        If something is missing, malformed, not known here, or does not fit the input.
    """
    if unknown := [key for key in _UNKNOWN if config.get(key)]:
        raise ValueError(f"the preprocessing asks for {unknown[0]}, which is not known here")
    crop = _read_size(config, "do_center_crop", "crop_size")
    crop = (crop, crop) if isinstance(crop, int) else crop
    size = _read_size(config, "do_resize", "size")
    if isinstance(config.get("size"), int) and isinstance(size, int) and crop is None:
        size = (size, size)  # in old files, where nothing is cut out, one number is both
    if size is None and crop is None and target.height and target.width:
        size = (target.height, target.width)  # the only one that the network takes
    mean, std = _read_channels(config, target)
    scaled = config.get("do_rescale", target.is_float)
    _check_complete(config, target, size=size, crop=crop, has_mean=mean is not None)
    if not target.is_float and (mean is not None or (scaled and "do_rescale" in config)):
        raise ValueError("the network takes whole numbers 0 to 255, and is to be given scaled ones")
    order = config.get("channel_order", "rgb")
    if order not in ("rgb", "bgr"):
        raise ValueError(f'channels must be "rgb" or "bgr", got {order!r}')
    resample = config.get("resample", RESAMPLE["bilinear"])
    if resample not in RESAMPLE.values():
        raise ValueError(f"resample is a number from 0 to 5 in the convention, got {resample!r}")
    scale = _number(config.get("rescale_factor", 1 / 255), "rescale_factor") if scaled else None
    return Preparation(target, size, crop, resample, scale, mean, std, order == "bgr")


def _check_complete(
    config: Mapping[str, Any], target: Target, *, size: Any, crop: Any, has_mean: bool
) -> None:
    missing = []
    if size is None and crop is None and config.get("do_resize") is not False:
        missing.append("size")
    if target.is_float and not has_mean and config.get("do_normalize") is not False:
        missing += ["mean", "std"]
    if missing:
        raise ValueError(
            f"nothing says how to prepare images for the network: give {', '.join(missing)}, or "
            "put its preprocessor_config.json beside it"
        )
    if isinstance(size, int) and crop is None:
        raise ValueError(
            f"size={size} is that of the shorter side: images would differ in size; give crop, or "
            "size=(height, width)"
        )
    found = crop or size or (None, None)
    wanted = (target.height, target.width)
    if any(w is not None and f is not None and f != w for f, w in zip(found, wanted, strict=True)):
        raise ValueError(
            f"the network takes images of {wanted[0]} × {wanted[1]} pixels, and they are to be "
            f"brought to {found[0]} × {found[1]}"
        )


def _read_channels(
    config: Mapping[str, Any], target: Target
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Read mean and deviation of each channel, in the order that the network takes."""
    wanted = config.get("do_normalize", "image_mean" in config or "image_std" in config)
    if not wanted:
        return None, None
    arrays = []
    for key in ("image_mean", "image_std"):
        values = config.get(key)
        if values is None:
            raise ValueError(f"pixels are to be normalised and {key.removeprefix('image_')} is not")
        values = values if isinstance(values, list | tuple) else [values]
        array = np.array([_number(value, key) for value in values], np.float32)
        if len(array) not in (1, target.n_channels):
            raise ValueError(
                f"{key} has {len(array)} numbers, for {target.n_channels} channels: {values}"
            )
        arrays.append(array)
    if not arrays[1].all():
        raise ValueError(f"image_std must not be 0, got {config['image_std']}")
    return arrays[0], arrays[1]


def _read_size(config: Mapping[str, Any], do: str, key: str) -> int | tuple[int, int] | None:
    if not config.get(do, key in config):
        return None
    value = config.get(key)
    if value is None:
        raise ValueError(f"the preprocessing has {do} and no {key}")
    if isinstance(value, dict) and set(value) == {"shortest_edge"}:
        value = value["shortest_edge"]
    elif isinstance(value, dict) and set(value) == {"height", "width"}:
        return _pair((value["height"], value["width"]), key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{key} must be a number of pixels, or height and width, got {value!r}")
    return value


def _as_size(size: Any, name: str) -> dict[str, int]:
    if isinstance(size, int | np.integer) and not isinstance(size, bool) and size >= 1:
        return {"shortest_edge": int(size)}
    rows, columns = _pair(size, name)
    return {"height": rows, "width": columns}


def _pair(value: Any, name: str) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, tuple | list) else ()
    if len(sides) != 2 or not all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and side >= 1
        for side in sides
    ):
        raise ValueError(f"{name} must be one number of pixels or (height, width), got {value!r}")
    return int(sides[0]), int(sides[1])


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a number, got {value!r}")
    return float(value)
