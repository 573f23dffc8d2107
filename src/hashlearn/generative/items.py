"""Items as users hold them, images or vectors, and as networks take them."""

from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor

from hashlearn.generative.networks import Shape

FloatArray = NDArray[np.float32]


class TakesItems:
    """Take images or vectors, and scale them for networks.

    Images are arrays with three axes (grey) or four (channels last), or rows of pixels whose
    `image_shape` the constructor was told. Whole numbers are divided by the largest of their type,
    255 for uint8. What the training images span becomes -1 to 1. Vectors are centred and divided by
    the root of the mean variance of their features.

    Attributes
    ----------
    item_shape_ : tuple of int
        Shape of an item: (height, width), (height, width, channels) or (d,).
    item_dtype_ : str
        Kind of the numbers in ``fit``.
    shift_ : ndarray of shape (1,) or (d,), float32
        What is subtracted from a row.
    scale_ : float
        What the difference is divided by.
    n_features_in_ : int
        Numbers of an item.
    """

    image_shape: tuple[int, ...] | None
    item_shape_: tuple[int, ...]
    item_dtype_: str
    shift_: FloatArray
    scale_: float
    n_features_in_: int

    def _rows(self, X: ArrayLike, *, reset: bool = False, **checks: Any) -> FloatArray:
        """Check items and make float32 rows of them, whole numbers divided by their largest."""
        items: Any = X
        if not hasattr(X, "dtype") and not hasattr(X, "iloc"):
            items = np.asarray(X)
        dtype = getattr(items, "dtype", None)
        if getattr(items, "ndim", 2) in (3, 4):
            shape = tuple(items.shape[1:])
            if 0 in shape:
                raise ValueError(f"images have the shape {shape}, which holds no pixel")
            items = items.reshape(len(items), prod(shape))  # -1 cannot be told of no items
        else:
            shape = self._shape_of_rows(items)
        if not reset and shape != (learned := tuple(self.item_shape_)):
            is_rows = len(shape) == 1 and shape[0] == prod(learned)
            if not is_rows and len(shape) + len(learned) > 2:
                raise ValueError(f"items have the shape {shape}, in fit they had {learned}")
        rows = validate_data(self, items, reset=reset, dtype=np.float32, **checks)
        if reset:
            self.item_shape_ = shape if len(shape) > 1 else (rows.shape[1],)
            self.item_dtype_ = str(np.dtype(dtype)) if isinstance(dtype, np.dtype) else "float32"
        if len(self.item_shape_) > 1 and isinstance(dtype, np.dtype) and dtype.kind in "iu":
            rows = rows / np.float32(np.iinfo(dtype).max)
        return np.asarray(rows, np.float32)

    def _shape_of_rows(self, items: Any) -> tuple[int, ...]:
        if self.image_shape is None:
            return tuple(getattr(items, "shape", (0, 0))[1:2])
        shape = tuple(int(side) for side in self.image_shape)
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError(
                f"image_shape must be (height, width) or (height, width, channels), got {shape}"
            )
        found = getattr(items, "shape", (0, prod(shape)))
        if len(found) == 2 and found[1] != prod(shape):
            raise ValueError(f"rows have {found[1]} pixels, an image of the shape {shape} has "
                             f"{prod(shape)}")  # fmt: skip
        return shape

    def _learn_scale(self, rows: FloatArray) -> None:
        if len(self.item_shape_) > 1:
            low, high = float(rows.min()), float(rows.max())
            self.shift_ = np.array([(low + high) / 2], np.float32)
            self.scale_ = (high - low) / 2 or 1.0
        else:
            mean = rows.mean(axis=0, dtype=np.float64)
            self.shift_ = mean.astype(np.float32)
            self.scale_ = (
                float(np.sqrt(np.square(rows - self.shift_, dtype=np.float64).mean())) or 1.0
            )

    @property
    def _tensor_shape(self) -> Shape:
        """Shape of an item as a tensor: channels first."""
        shape = tuple(self.item_shape_)
        if len(shape) == 1:
            return shape
        return (shape[2] if len(shape) == 3 else 1, *shape[:2])

    def _scaled(self, rows: FloatArray) -> FloatArray:
        return np.asarray((rows - self.shift_) / np.float32(self.scale_), np.float32)

    def _tensor(self, rows: FloatArray) -> Tensor:
        """Make a tensor of rows, scaled, images with their channels first."""
        scaled = torch.from_numpy(self._scaled(rows))
        if len(self.item_shape_) == 1:
            return scaled
        channels, height, width = self._tensor_shape
        images = scaled.view(-1, height, width, channels)
        return images.permute(0, 3, 1, 2).contiguous()

    def _items(self, tensor: Tensor) -> NDArray[Any]:
        """Make items of a tensor, in the units, shape and kind of numbers that came in."""
        values = tensor.detach().cpu()
        if len(self.item_shape_) > 1:
            values = values.permute(0, 2, 3, 1)
        rows = values.flatten(1).numpy() * np.float32(self.scale_) + self.shift_
        dtype = np.dtype(self.item_dtype_)
        if len(self.item_shape_) > 1 and dtype.kind in "iu":
            most = np.iinfo(dtype).max
            rows = np.clip(np.rint(rows * most), 0, most).astype(dtype)
        return np.asarray(rows).reshape(len(rows), *self.item_shape_)
