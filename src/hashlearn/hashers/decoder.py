"""Decoders: from codes back to vectors."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from hashlearn.codes import unpack_bits
from hashlearn.hashers.base import FloatArray
from hashlearn.linear import linear_values


class Decoder(ABC):
    """Draw the vectors that codes stand for; mixed in with a hasher."""

    n_bits: int

    @abstractmethod
    def _draw(self, bits: FloatArray) -> FloatArray:
        """Draw vectors for bits 0/1, a code a row."""

    def reconstruct(self, codes: ArrayLike) -> FloatArray:
        """Draw the vectors that codes stand for.

        Parameters
        ----------
        codes : array-like of shape (n, ceil(n_bits / 8)), uint8
            Packed codes.

        Returns
        -------
        ndarray of shape (n, n_features), float32
            Vectors, on the scale of the training data.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the hasher is not fitted.
        TypeError
            If `codes` is not uint8.
        ValueError
            If `codes` are of another length.
        """
        check_is_fitted(self)
        return self._draw(unpack_bits(codes, self.n_bits).astype(np.float32))


class LinearDecoder(Decoder):
    """Draw vectors as sums of one row a bit.

    Attributes
    ----------
    decoder_weights_ : ndarray of shape (n_bits, n_features), float32
        What each bit adds where it is 1.
    decoder_bias_ : ndarray of shape (n_features,), float32
        The vector of the code without ones.
    """

    decoder_weights_: FloatArray
    decoder_bias_: FloatArray

    def _draw(self, bits: FloatArray) -> FloatArray:
        return linear_values(bits, self.decoder_weights_.T, self.decoder_bias_)
