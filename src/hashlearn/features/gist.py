"""Images to GIST descriptors: which directions and scales their parts hold."""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags, check_scalar
from sklearn.utils.validation import check_array, check_is_fitted

Array = NDArray[np.float32]
Filter = tuple[NDArray[np.intp], Array]

_CONTRAST_MARGIN = 5  # pixels
_FILTER_MARGIN = 32  # pixels
_CHUNK_VALUES = 2**18
"""Values of a filtered chunk of images: few enough to stay in a processor's cache."""


class Gist(TransformerMixin, BaseEstimator):
    r"""Describe images by GIST: how much of each direction and scale each part of them holds [1]_.

    An image is made grey by the mean of its channels, and its darkest pixel 0, its brightest 255.
    Its contrast is evened out: of :math:`L = \log(1 + I)` and a Gaussian low-pass filter :math:`g`
    with half its height at :math:`f_c` cycles an image and its margins,

    .. math::

        H = L - g * L, \qquad O = H / (\epsilon + \sqrt{|g * H^2|}).

    Filter :math:`(s, j)` of scale :math:`s` and direction :math:`j`, one of :math:`n_s`, has the
    transfer function

    .. math::

        G_{sj}(f, \theta) = \exp\bigl(-3.5 (f / f_s - 1)^2
        - 2 \pi (n_s / 8)^2 \cdot (\theta + \pi j / n_s)^2\bigr), \quad f_s = 0.3 / 1.85^s,

    of frequencies :math:`f` in cycles a pixel and their directions :math:`\theta`, of which the
    one in brackets is brought to :math:`[-\pi, \pi]`. It answers to waves that run from left to
    right, turned by :math:`\pi j / n_s` against the clock. A descriptor holds the means of
    :math:`|G_{sj} * O|` over blocks of the image: with the defaults
    :math:`32 \cdot 4 \cdot 4 = 512`.

    Parameters
    ----------
    orientations : sequence of int, default=(8, 8, 8, 8)
        Numbers of directions, one for each scale, from fine to coarse. Default: LMgist [2]_.
    n_blocks : int, default=4
        Blocks in height and in width. More say better where something is. Default: LMgist.
    contrast_frequency : float, default=4.0
        Frequency :math:`f_c`, above 0. Larger values even out smaller parts of the image. Default:
        LMgist.
    contrast_floor : float, default=0.2
        The summand :math:`\epsilon`, above 0. Larger values leave parts of little contrast weak.
        Default: LMgist.

    Attributes
    ----------
    image_shape_ : tuple of int
        Shape of one image in ``fit``.

    Notes
    -----
    This follows LMgist, the MATLAB program of the authors [2]_, also in its margins: the image is
    continued by 5 mirrored pixels, and to a square of even size, before its contrast is evened out,
    and by 32 before it is filtered. The differences:

    1. Images keep their size; LMgist can bring them to one before. A descriptor of 32 × 32 pixels
       is not that of the same image at 256 × 256, which has other frequencies a pixel.
    2. Images need not be square. LMgist divides both frequencies by the width, so that the filters
       of an oblong image are stretched; here both are in cycles a pixel. Square ones are the same.
    3. An image of one colour has a descriptor of zeros. LMgist divides 0 by 0.
    4. The numbers go by filter, then by row of blocks, then by column of blocks; in LMgist by
       filter, then by column, then by row.
    5. Odd sizes have the frequencies of their Fourier transform; LMgist's are half a step off.
    6. Numbers are rounded to float32 on the way, and transfer functions to 0 below its precision.

    Nothing is learned but the shape of an image. Brightness and contrast of the whole image do not
    matter, and so neither does the type of its numbers. A row depends on its image alone and not
    on what is computed with it: no sum goes over images, and no BLAS is used. The time is that of
    a Fourier transform of the continued image for each filter, together about a millisecond for
    32 × 32 pixels. Images are taken in chunks of bounded memory.

    References
    ----------
    .. [1] A. Oliva and A. Torralba, 2001, "Modeling the shape of the scene: a holistic
       representation of the spatial envelope", IJCV 42(3).
    .. [2] A. Oliva and A. Torralba, "Spatial envelope", LMgist,
       https://people.csail.mit.edu/torralba/code/spatialenvelope/

    Examples
    --------
    >>> stripes = np.zeros((1, 32, 32), np.uint8)
    >>> stripes[:, :, ::4] = 255
    >>> rows = Gist().fit_transform(stripes)
    >>> rows.shape, rows.dtype
    ((1, 512), dtype('float32'))
    >>> scale, direction = np.unravel_index(rows.reshape(4, 8, 16).mean(axis=2).argmax(), (4, 8))
    >>> int(scale), int(direction)  # 0.25 cycles a pixel, from left to right
    (0, 0)
    """

    image_shape_: tuple[int, ...]

    def __init__(
        self,
        *,
        orientations: Sequence[int] = (8, 8, 8, 8),
        n_blocks: int = 4,
        contrast_frequency: float = 4.0,
        contrast_floor: float = 0.2,
    ) -> None:
        self.orientations = orientations
        self.n_blocks = n_blocks
        self.contrast_frequency = contrast_frequency
        self.contrast_floor = contrast_floor

    def fit(self, X: ArrayLike, y: Any = None) -> Self:  # noqa: ARG002
        """Learn the shape of an image.

        Parameters
        ----------
        X : array-like of shape (n, height, width), (n, height, width, 1) or (n, height, width, 3)
            Images, whole numbers or floats.
        y : None
            Ignored.

        Returns
        -------
        Self
            The fitted transformer.

        Raises
        ------
        TypeError
            If a parameter has the wrong type.
        ValueError
            If `X` is empty, does not hold images of at least `n_blocks` × `n_blocks` pixels, or
            holds NaN or infinity, or a parameter is out of range.
        """
        self._check_parameters()
        self.image_shape_ = tuple(self._check_images(X).shape[1:])
        return self

    def transform(self, X: ArrayLike) -> Array:
        """Describe images.

        Parameters
        ----------
        X : array-like of shape (n, *image_shape_), numeric
            Images like those of ``fit``.

        Returns
        -------
        ndarray of shape (n, sum(orientations) * n_blocks ** 2), float32
            Descriptors: reshaped to ``(n, sum(orientations), n_blocks, n_blocks)``, the answers of
            each filter in each block. They are at least 0.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If ``fit`` was not called.
        ValueError
            If the images have another shape than in ``fit``, or hold NaN or infinity.
        """
        check_is_fitted(self)
        images = self._check_images(X)
        learned = tuple(self.image_shape_)  # a list after it was saved and loaded
        if images.shape[1:] != learned:
            raise ValueError(f"images have the shape {images.shape[1:]}, in fit they had {learned}")
        height, width = learned[:2]
        sides = height + 2 * _FILTER_MARGIN, width + 2 * _FILTER_MARGIN
        filters = _filters(tuple(self.orientations), *sides)
        rows = np.empty((len(images), len(filters), self.n_blocks, self.n_blocks), np.float32)
        size = max(1, _CHUNK_VALUES // math.prod(sides))
        for start in range(0, len(images), size):
            chunk = _grey(images[start : start + size])
            chunk = _even_contrast(chunk, self.contrast_frequency, self.contrast_floor)
            for number, values in enumerate(_answers(chunk, filters)):
                rows[start : start + size, number] = _block_means(values, self.n_blocks)
        return rows.reshape(len(images), -1)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:  # noqa: ARG002
        """Name the columns of the output.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of shape (sum(orientations) * n_blocks ** 2,), object
            ``"gist0"``, ``"gist1"``, ...
        """
        n_columns = sum(self.orientations) * self.n_blocks**2
        return np.array([f"gist{i}" for i in range(n_columns)], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_parameters(self) -> None:
        check_scalar(self.n_blocks, "n_blocks", Integral, min_val=1)
        for name in ("contrast_frequency", "contrast_floor"):
            value = getattr(self, name)
            check_scalar(value, name, Real, min_val=0, include_boundaries="neither")
        orientations: Any = self.orientations
        if not isinstance(orientations, tuple | list):
            raise TypeError(f"orientations must be a tuple or a list, got {orientations!r}")
        if not orientations:
            raise ValueError("orientations must hold a number for each scale, got none")
        for number in orientations:
            check_scalar(number, "orientations", Integral, min_val=1)

    def _check_images(self, X: ArrayLike) -> NDArray[Any]:
        images: NDArray[Any] = check_array(X, dtype="numeric", allow_nd=True)
        if images.ndim not in (3, 4) or images.shape[3:] not in ((), (1,), (3,)):
            raise ValueError(
                "GIST takes images of the shape (n, height, width), (n, height, width, 1) or "
                f"(n, height, width, 3), got {images.shape}"
            )
        if min(images.shape[1:3]) < self.n_blocks:
            raise ValueError(
                f"{self.n_blocks} × {self.n_blocks} blocks need images of as many pixels or more, "
                f"got {images.shape[1]} × {images.shape[2]}"
            )
        return images


def _grey(images: NDArray[Any]) -> Array:
    """Average the channels, and bring each image to the range from 0 to 255."""
    grey: NDArray[np.float64] = (
        images.astype(np.float64) if images.ndim == 3 else images.mean(axis=3, dtype=np.float64)
    )
    grey -= grey.min(axis=(1, 2), keepdims=True)
    largest = grey.max(axis=(1, 2), keepdims=True)
    grey /= np.where(largest > 0, largest / 255, 1)
    return grey.astype(np.float32)


def _even_contrast(grey: Array, frequency: float, floor: float) -> Array:
    """Subtract what changes slowly, and divide by how much the rest varies near each pixel."""
    _, height, width = grey.shape
    margin = _CONTRAST_MARGIN
    side = max(height, width) + 2 * margin
    side += side % 2
    # in two steps, as mirroring a mirrored image is not the same as mirroring further
    padded = _mirror(np.log1p(grey), (margin, margin), (margin, margin))
    padded = _mirror(padded, (0, side - padded.shape[1]), (0, side - padded.shape[2]))
    fy = fft.fftfreq(side, 1 / side)[:, np.newaxis]
    fx = fft.rfftfreq(side, 1 / side)
    low_pass = np.exp(-np.log(2) * (fy**2 + fx**2) / frequency**2).astype(np.float32)

    def smooth(values: Array) -> Array:
        spectrum = fft.rfft2(values)
        spectrum *= low_pass
        return fft.irfft2(spectrum, s=(side, side))  # type: ignore[no-any-return]

    detail: Array = padded - smooth(padded)
    deviation: Array = np.sqrt(np.abs(smooth(detail**2)))
    even: Array = detail / (deviation + np.float32(floor))
    return even[:, margin : margin + height, margin : margin + width]


def _mirror(images: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    return np.pad(images, ((0, 0), rows, columns), mode="symmetric")


def _transfer_functions(orientations: tuple[int, ...], height: int, width: int) -> Iterator[Array]:
    fy = fft.fftfreq(height)[:, np.newaxis]
    fx = fft.fftfreq(width)
    radius, angle = np.hypot(fx, fy), np.arctan2(fy, fx)
    for scale, n in enumerate(orientations):
        away = 3.5 * (radius * 1.85**scale / 0.3 - 1) ** 2
        for j in range(n):
            turned = angle + np.pi * j / n
            turned[turned > np.pi] -= 2 * np.pi
            transfer = np.exp(-away - 2 * np.pi * (n / 8 * turned) ** 2).astype(np.float32)
            transfer[transfer < np.finfo(np.float32).eps] = 0  # nothing beside the peak, which is 1
            yield transfer


@lru_cache(maxsize=2)  # one image after another does not make them again
def _filters(orientations: tuple[int, ...], height: int, width: int) -> tuple[Filter, ...]:
    """Find the rows of each transfer function that are not 0, and their values.

    Each value stands there twice: for the real and for the imaginary part that it multiplies.
    """
    filters = []
    for transfer in _transfer_functions(orientations, height, width):
        rows = np.flatnonzero(transfer.any(axis=1))
        filters.append((rows, np.repeat(transfer[rows], 2, axis=1)))
    return tuple(filters)


def _answers(images: Array, filters: tuple[Filter, ...]) -> Iterator[Array]:
    """Filter images; give the magnitudes of one filter after the other."""
    n, height, width = images.shape
    margin = _FILTER_MARGIN
    inside_rows, inside_columns = slice(margin, margin + height), slice(margin, margin + width)
    margins = (margin, margin)
    spectrum = fft.fft2(_mirror(images, margins, margins))
    for rows, transfer in filters:
        product = np.take(spectrum, rows, axis=1)
        product.view(np.float32)[...] *= transfer
        # a transform of rows and then of columns, without the rows of zeros and without the margins
        values = np.zeros((n, spectrum.shape[1], width), np.complex64)
        values[:, rows] = fft.ifft(product, axis=2, overwrite_x=True)[:, :, inside_columns]
        yield np.abs(fft.ifft(values, axis=1, overwrite_x=True)[:, inside_rows])


def _block_means(values: Array, n_blocks: int) -> Array:
    """Average images over blocks, whose sizes differ by at most one pixel, as in LMgist."""
    sums = values
    sizes: Any = np.float32(1)
    for axis in (1, 2):
        edges = np.arange(n_blocks + 1) * values.shape[axis] // n_blocks
        sums = np.add.reduceat(sums, edges[:-1], axis=axis)
        sizes = np.multiply.outer(sizes, np.diff(edges).astype(np.float32))
    means: Array = sums / sizes
    return means
