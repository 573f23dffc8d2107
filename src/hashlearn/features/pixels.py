"""Images to rows of centred pixels."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted, validate_data


class Pixels(TransformerMixin, BaseEstimator):
    """Flatten images to rows, scale them to 0-1 and subtract the mean image.

    Whole numbers are divided by the largest of their type (255 for uint8); floats stay as they are.
    Vectors pass too, as images of one row.

    Parameters
    ----------
    center : bool, default=True
        Whether to subtract the mean of the training images. Methods that hash by the sign of
        projections need centred data; those of this library centre by themselves.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,), float32
        Mean of the scaled training images, or zeros.
    image_shape_ : tuple of int
        Shape of one image in ``fit``.
    n_features_in_ : int
        Number of pixels.

    Examples
    --------
    >>> Pixels().fit_transform(np.array([[[0, 255]], [[255, 255]]], dtype=np.uint8))
    array([[-0.5,  0. ],
           [ 0.5,  0. ]], dtype=float32)
    """

    mean_: NDArray[np.float32]
    image_shape_: tuple[int, ...]
    n_features_in_: int

    def __init__(self, *, center: bool = True) -> None:
        self.center = center

    def fit(self, X: ArrayLike, y: Any = None) -> Self:  # noqa: ARG002
        """Learn the mean image.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, channels) or (n, d)
            Training images, whole numbers or floats.
        y : None
            Ignored.

        Returns
        -------
        Self
            The fitted transformer.

        Raises
        ------
        ValueError
            If `X` is empty, has fewer than 2 axes, or holds NaN or infinity.
        """
        images = self._check_images(X, reset=True)
        rows = _scaled_rows(images)
        self.image_shape_ = tuple(images.shape[1:])
        self.n_features_in_ = rows.shape[1]
        self.mean_ = (
            rows.mean(axis=0, dtype=np.float64).astype(np.float32)
            if self.center
            else np.zeros(rows.shape[1], np.float32)
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Turn images into rows.

        Parameters
        ----------
        X : array-like of shape (n, *image_shape_), numeric
            Images like those of ``fit``.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Scaled, centred pixels.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        ValueError
            If the images have another shape than in ``fit``, or hold NaN or infinity.
        """
        check_is_fitted(self)
        images = self._check_images(X, reset=False)
        learned = tuple(self.image_shape_)  # a list after it was saved and loaded
        if images.shape[1:] != learned:
            raise ValueError(f"images have the shape {images.shape[1:]}, in fit they had {learned}")
        rows = _scaled_rows(images)
        rows -= self.mean_
        return rows

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Name the columns of the output.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_features,), object
            ``"pixel0"``, ``"pixel1"``, ...
        """
        return np.array([f"pixel{i}" for i in range(self.n_features_in_)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]  # which everything else becomes
        return tags

    def _check_images(self, X: ArrayLike, *, reset: bool) -> NDArray[Any]:
        images: NDArray[Any] = check_array(X, dtype="numeric", allow_nd=True)
        if images.ndim == 2:  # of images, the height would be taken for the number of features
            validate_data(self, X, reset=reset, skip_check_array=True)
        return images


def _scaled_rows(images: NDArray[Any]) -> NDArray[np.float32]:
    rows = images.reshape(len(images), -1).astype(np.float32)
    if images.dtype.kind in "iu":
        rows /= np.iinfo(images.dtype).max
    return rows
