"""Learning from a stream: rows that arrive in batches and need not fit into memory together."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from hashlearn.codes import n_bytes
from hashlearn.hashers.base import FloatArray, Hasher
from hashlearn.hashers.moments import Moments

SAMPLE_ROWS = 1 << 15
"""Rows of a stream that are kept."""


class Sample:
    """Keep a uniform sample of all rows so far.

    Each row draws a number, and those of the smallest numbers are kept, in the order in which they
    came: which ones does not depend on how the rows were divided into batches.

    Parameters
    ----------
    size : int
        Rows to keep at most.
    rng : RandomState
        Source of the numbers.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features), float32
        What is kept.
    """

    def __init__(self, size: int, rng: np.random.RandomState) -> None:
        self.size = size
        self.rows: FloatArray = np.empty((0, 0), np.float32)
        self._rng = rng
        self._draws: NDArray[np.float64] = np.empty(0)

    def update(self, X: FloatArray) -> Self:
        """Add a batch.

        Parameters
        ----------
        X : ndarray of shape (n_batch, n_features), float32
            Rows.

        Returns
        -------
        Self
            The sample of all rows so far.
        """
        before = len(self.rows)
        draws = np.concatenate([self._draws, self._rng.random_sample(len(X))])
        kept = np.arange(len(draws))
        if len(draws) > self.size:
            kept = np.sort(np.argpartition(draws, self.size)[: self.size])
        old, new = kept[kept < before], kept[kept >= before] - before
        self.rows = np.concatenate([self.rows[old], X[new]]) if before else X[new]
        self._draws = draws[kept]
        return self


class Stream:
    """Sum up what methods need to know of a stream, in memory that does not grow with it.

    Parameters
    ----------
    n_features : int
        Length of a row.
    covariance : bool
        Whether the covariance is needed besides the mean.
    rng : RandomState
        Source of the sample.

    Attributes
    ----------
    moments : Moments
        Mean, and covariance if it is needed, of all rows so far.
    sample : Sample
        Some of the rows.
    """

    def __init__(self, n_features: int, covariance: bool, rng: np.random.RandomState) -> None:
        self.moments = Moments(n_features, covariance)
        self.sample = Sample(SAMPLE_ROWS, rng)

    def update(self, X: FloatArray) -> Self:
        """Add a batch.

        Parameters
        ----------
        X : ndarray of shape (n_batch, n_features), float32
            Rows.

        Returns
        -------
        Self
            What is known of all rows so far.
        """
        self.moments.update(X)
        self.sample.update(X)
        return self


class StreamHasher(Hasher):
    """Hasher that can also learn from a stream.

    A method writes :meth:`_fit_stream` besides :meth:`_fit`.

    Attributes
    ----------
    needs_covariance : bool
        Whether the method needs the covariance of the stream, or its mean and the sample alone.
    """

    needs_covariance: ClassVar[bool] = True
    _stream: Stream | None = None

    @abstractmethod
    def _fit_stream(self, stream: Stream, rng: np.random.RandomState) -> None:
        """Learn from what is known of a stream, as `_fit` does from rows."""

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:  # noqa: D102 - inherited
        self.__dict__.pop("_stream", None)
        return super().fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:  # noqa: ARG002
        """Learn from one more batch of a stream.

        Parameters
        ----------
        X : array-like of shape (n, d), float
            The next rows. Computed in float32.
        y : None
            Not used.

        Returns
        -------
        Self
            The hasher, fitted to all rows that ``partial_fit`` has got so far.

        Raises
        ------
        ValueError
            If `X` is not what ``fit`` takes or has another number of features than the batches
            before, or if the first batch has too few rows.
        TypeError
            If `X` is sparse or not numeric, or a parameter has the wrong type.

        Notes
        -----
        What is kept of the stream takes as much memory after a billion rows as after 32,768: the
        mean, the covariance (8 d^2 bytes) if the method needs it, both exact, and a uniform sample
        of 32,768 rows for what needs rows. So the result is that of ``fit`` on all rows, up to
        rounding, while the sample holds all of them, and after that an estimate by the sample where
        a method says so.

        ``fit`` and ``save`` keep none of that. After them, and after reading from a file, the
        next batch is the first of a new stream, and what was learned before is forgotten.

        Each call learns anew, which costs as much as ``fit`` on the sample: batches of some
        thousand rows are better than single ones.
        """
        n_bytes(self.n_bits)
        stream = self._updated(self._stream, X)
        self._fit_stream(stream, check_random_state(self.random_state))
        self._stream = stream
        return self

    def fit_stream(self, batches: Iterable[ArrayLike]) -> Self:
        """Learn from a stream that is there as a whole, which costs one fit and not one a batch.

        Parameters
        ----------
        batches : iterable of array-like of shape (n_batch, d), float
            Rows, a batch at a time. Computed in float32.

        Returns
        -------
        Self
            The hasher, as after ``partial_fit`` of every batch.

        Raises
        ------
        ValueError
            If there is no batch, or one is not what ``partial_fit`` takes.
        TypeError
            If a batch is sparse or not numeric, or a parameter has the wrong type.
        """
        n_bytes(self.n_bits)
        stream: Stream | None = None
        for X in batches:
            stream = self._updated(stream, X)
        if stream is None:
            raise ValueError("the stream is empty")
        self._fit_stream(stream, check_random_state(self.random_state))
        self._stream = stream
        return self

    def _updated(self, stream: Stream | None, X: ArrayLike) -> Stream:
        """Add a batch to a stream, or begin one."""
        rows: FloatArray = validate_data(
            self,
            X,
            dtype=np.float32,
            reset=stream is None,
            ensure_min_samples=2 if stream is None else 1,
        )
        if stream is None:
            rng = check_random_state(self.random_state)
            stream = Stream(rows.shape[1], self.needs_covariance, rng)
        return stream.update(rows)
