"""LSH: random hyperplanes."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers.base import LinearHasher
from hashlearn.hashers.streams import Stream, StreamHasher


class LSH(StreamHasher, LinearHasher):
    r"""Hash by the side of random hyperplanes.

    Nothing is learned but the centre. Bit :math:`k` of a vector :math:`x` is

    .. math:: b_k = [w_k^T (x - m) \ge t_k],   w_k \sim N(0, I),

    with :math:`m` the mean of the training vectors and :math:`t_k = 0` (or the median of the
    projections). Two centred vectors at the angle :math:`\theta` differ in each bit with
    probability :math:`\theta / \pi` [1]_, so Hamming distances estimate angles.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code. Any number, also more than there are features.
    orthogonal : bool, default=False
        Whether the hyperplanes of each group of `n_features` bits are perpendicular to one another
        (rows of a random rotation). The estimate of the angle has less variance.
    thresholds : {"mean", "median"}, default="mean"
        Where the hyperplanes lie: through the mean, or so that each bit halves the training set.
    random_state : int, RandomState instance or None, default=None
        Seed of the hyperplanes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        The hyperplanes' normals :math:`w_k`.
    bias_ : ndarray of shape (n_bits,), float32
        :math:`-w_k^T m - t_k`.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Differences from the paper: vectors are centred first. The paper's angles are about the origin;
    on non-negative features, where all angles are small, uncentred codes are almost constant.

    Fit takes O(n d), encoding a vector O(d b). ``partial_fit`` gives the same hyperplanes as
    ``fit``; medians are those of its sample.

    References
    ----------
    .. [1] M. Charikar, 2002, "Similarity estimation techniques from rounding algorithms", STOC.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = LSH(n_bits=16, random_state=0).fit(X)
    >>> hasher.encode(X).shape
    (100, 2)
    """

    needs_covariance = False
    accepts_sparse = True

    def __init__(
        self,
        n_bits: int = 32,
        *,
        orthogonal: bool = False,
        thresholds: Literal["mean", "median"] = "mean",
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.orthogonal = orthogonal
        self.thresholds = thresholds
        self.random_state = random_state

    def _fit(
        self,
        X: Any,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        mean = np.asarray(X.mean(axis=0, dtype=np.float64)).ravel()  # a matrix if X is sparse
        self._place(mean, X, rng)

    def _fit_stream(self, stream: Stream, rng: np.random.RandomState) -> None:
        self._place(stream.moments.mean, stream.sample.rows, rng)

    def _place(self, mean: NDArray[np.float64], X: Any, rng: np.random.RandomState) -> None:
        """Draw the hyperplanes, and let them go through the mean or the medians of some rows."""
        if self.thresholds not in ("mean", "median"):
            raise ValueError(f'thresholds must be "mean" or "median", got {self.thresholds!r}')
        n_features = X.shape[1]
        W = rng.standard_normal((self.n_bits, n_features))
        if self.orthogonal:
            W = np.concatenate(
                [
                    np.linalg.qr(W[start : start + n_features].T)[0].T
                    for start in range(0, self.n_bits, n_features)
                ]
            )
        bias = -W @ mean
        if self.thresholds == "median":
            bias = -np.median(X @ W.T, axis=0)
        self.weights_ = W.astype(np.float32)
        self.bias_ = bias.astype(np.float32)
