"""The contract of every method: vectors in, bits out."""

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from hashlearn.codes import Distance, n_bytes, pack_bits
from hashlearn.linear import linear_values
from hashlearn.storage import read_estimators, write_estimators

FloatArray = NDArray[np.float32]


class Hasher(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """Learn a function from vectors to short binary codes.

    Base class of all methods. A method writes its constructor, :meth:`_fit` and :meth:`_project`;
    everything else, from validation to saving, is here.

    Attributes
    ----------
    supervised : bool
        Whether ``fit`` needs labels.
    distance : {"hamming", "spherical"}
        How the method's paper compares its codes: by the bits that differ, or by these divided by
        the ones that two codes share.
    accepts_sparse : bool
        Whether vectors may come as a sparse matrix, which then reaches :meth:`_fit` and
        :meth:`_project` as float32 in rows (CSR), its columns in order.
    accepts_images : bool
        Whether items may also come as images, arrays of shape (n, height, width) or
        (n, height, width, channels).
    """

    supervised: ClassVar[bool] = False
    distance: ClassVar[Distance] = "hamming"
    accepts_sparse: ClassVar[bool] = False
    accepts_images: ClassVar[bool] = False

    n_bits: int
    random_state: Any
    n_features_in_: int

    @abstractmethod
    def _fit(self, X: Any, y: NDArray[Any] | None, rng: np.random.RandomState) -> None:
        """Learn from validated rows; set attributes that end in an underscore."""

    @abstractmethod
    def _project(self, X: Any) -> FloatArray:
        """Compute the real values whose signs are the bits, for validated rows.

        To the last bit, those of a row must depend neither on the other rows nor on its place among
        them. ``@`` does not promise that, nor does PyTorch; ``linear_values`` does.
        """

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn the hash function.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            Training vectors. Computed in float32.
        y : array-like of shape (n,) or (n, n_labels), int, optional
            Labels, for supervised methods; the others ignore them.

        Returns
        -------
        Self
            The fitted hasher.

        Raises
        ------
        ValueError
            If `X` is empty, not a matrix, holds NaN or infinity, if a parameter is out of range,
            or if labels are needed and missing or of the wrong length.
        TypeError
            If `X` is not numeric, or sparse and the method does not accept that, or a parameter has
            the wrong type.
        """
        n_bytes(self.n_bits)  # an integer and at least 1
        if y is None and self.supervised:
            raise ValueError(  # in scikit-learn's words, which its checks want
                f"{type(self).__name__} requires y to be passed, but the target y is None: it "
                "learns from labels"
            )
        rows = self._check_rows(X, ensure_min_samples=2)
        labels = None if y is None else np.asarray(y)
        if labels is not None and (labels.ndim not in (1, 2) or len(labels) != rows.shape[0]):
            raise ValueError(f"y has the shape {labels.shape}, for {rows.shape[0]} samples")
        self._fit(rows, labels, check_random_state(self.random_state))
        return self

    def project(self, X: ArrayLike) -> FloatArray:
        """Compute the real values whose signs are the bits.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            Vectors.

        Returns
        -------
        ndarray of shape (n, n_bits), float32
            Values before the sign.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        ValueError
            If `X` is empty, has another number of features than in ``fit``, or holds NaN or
            infinity.
        """
        check_is_fitted(self)
        return self._project(self._check_rows(X, reset=False))

    def transform(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Compute the bits, one a column.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            Vectors.

        Returns
        -------
        ndarray of shape (n, n_bits), uint8
            Bits 0/1: ``project(X) >= 0``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        ValueError
            If `X` is not what ``project`` takes.
        """
        return (self.project(X) >= 0).astype(np.uint8)

    def encode(self, X: ArrayLike) -> NDArray[np.uint8]:
        """Compute packed codes, as an index stores them.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            Vectors.

        Returns
        -------
        ndarray of shape (n, ceil(n_bits / 8)), uint8
            Packed codes, bit j in bit j % 8 of byte j // 8.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        ValueError
            If `X` is not what ``project`` takes.
        """
        return pack_bits(self.transform(X).astype(bool))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted hasher to one file: JSON and arrays, never a pickle.

        Parameters
        ----------
        path : path-like
            File to create or replace.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        """
        check_is_fitted(self)
        write_estimators(path, [self])

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a hasher of this class.

        Parameters
        ----------
        path : path-like
            File of :meth:`save`.

        Returns
        -------
        Self
            The fitted hasher; its codes are those of the one that was saved.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file is foreign, damaged, of a newer format, or holds another method.
        """

        def find_class(name: str) -> type[Self]:
            if name != cls.__name__:
                raise ValueError(f"{path} holds {name}, not {cls.__name__} alone")
            return cls

        steps = read_estimators(path, find_class)
        if len(steps) != 1:
            raise ValueError(f"{path} holds {len(steps)} steps, not {cls.__name__} alone")
        return cast(Self, steps[0])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.supervised
        tags.input_tags.sparse = self.accepts_sparse
        tags.transformer_tags.preserves_dtype = []  # bits are uint8 whatever came in
        return tags

    def _check_rows(self, X: ArrayLike, **checks: Any) -> Any:
        self._refuse_texts(X)
        sparse = "csr" if self.accepts_sparse else False
        rows = validate_data(self, X, dtype=np.float32, accept_sparse=sparse, **checks)
        if issparse(rows) and not rows.has_canonical_format:
            rows = rows.copy()  # the caller's stays as it is
            rows.sum_duplicates()
        return rows

    def _refuse_texts(self, X: ArrayLike) -> None:
        if isinstance(X, np.ndarray) and X.ndim == 1 and len(X) and isinstance(X[0], str):
            raise ValueError(
                f"{type(self).__name__} takes vectors, and these are texts: put features before "
                "it, such as bagofwords,topics"
            )

    @property
    def _n_features_out(self) -> int:
        return self.n_bits


class LinearHasher(Hasher):
    """Hash by the signs of linear functions.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        One linear function a bit.
    bias_ : ndarray of shape (n_bits,), float32
        Its constant: the values are ``X @ weights_.T + bias_``, by ``linear_values``.
    """

    weights_: FloatArray
    bias_: FloatArray

    def project(self, X: ArrayLike) -> FloatArray:  # noqa: D102 - inherited
        check_is_fitted(self)
        values = self._project(self._check_rows(X, reset=False, ensure_all_finite=False))
        if not np.isfinite(values).all():  # NaN and infinity go through sums, and these are fewer
            self._check_rows(X, reset=False)
        return values

    def _project(self, X: Any) -> FloatArray:
        return linear_values(X, self.weights_, self.bias_)
