"""ITQ: iterative quantization."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags, check_scalar

from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.blocks import each_block
from hashlearn.hashers.directions import (
    canonical_directions,
    leading_directions,
    principal_directions,
)
from hashlearn.hashers.labels import indicator_matrix
from hashlearn.hashers.rotation import learn_rotation, random_rotation
from hashlearn.hashers.streams import Stream, StreamHasher


class ITQ(StreamHasher, LinearHasher):
    r"""Rotate the principal components towards the corners of the binary cube.

    With :math:`V` the training vectors, centred and projected on their first :math:`r` principal
    directions, find the codes :math:`B` and the rotation :math:`R` of least quantisation error
    [1]_:

    .. math:: \min_{B, R} \| B - V R \|_F^2,   B \in \{-1, 1\}^{n \times r},   R^T R = I.

    Each half has a closed form, so the error never rises: :math:`B = sgn(V R)`, and
    :math:`R = W U^T` from the singular value decomposition :math:`B^T V = U S W^T`.

    With labels, the directions may be those of canonical correlation analysis [2]_: with
    covariances :math:`C` of vectors and labels, the leading solutions :math:`w` of

    .. math:: C_{xy} (C_{yy} + \rho I)^{-1} C_{yx} w = \lambda^2 (C_{xx} + \rho I) w,

    each times its canonical correlation :math:`\lambda`.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, at most the number of features and of training vectors.
    embedding : {"pca", "cca"}, default="pca"
        Directions: principal ones, without labels, or those that agree most with the labels
        of the vectors that have one (class -1, or a row of zeros, is none).
        The latter are as few as there are labels, one less where each vector has exactly one of
        them. More bits are further cuts through the same few dimensions.
    rotation : {"learned", "random", "identity"}, default="learned"
        Rotation of the directions: ITQ's; a random one; or none: PCA hashing, bit :math:`k` being
        the sign of the :math:`k`-th component, at most one a direction. The paper compares all
        three.
    regularisation : float, default=1e-4
        :math:`\rho` of ``"cca"``, over the mean variance of the features, and of the labels.
        Paper: 1e-4 [2]_.
    n_iter : int, default=50
        Rounds of alternation for ``"learned"``. Paper: 50. With 0 the rotation is random.
    random_state : int, RandomState instance or None, default=None
        Seed of the first rotation.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Rotated directions.
    bias_ : ndarray of shape (n_bits,), float32
        Minus the projections of the mean.
    losses_ : ndarray of shape (n_iter + 1,), float64
        Quantisation error per training vector, :math:`\|B - V R\|_F^2 / n` with
        :math:`B = sgn(V R)`, for the first rotation and after each round. It never rises. One
        entry if the rotation is not learned.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Differences from the paper:

    1. Where a round no longer lowers the error, which is computed from products in single
       precision, the rounds end; `losses_` goes on with the last value.
    2. Regularisation is relative to the variances, so that the scale of the vectors does not
       matter; the paper adds it to vectors whose scale it does not say.

    Two widely used ports transpose the update of the rotation, which then stays at the level of a
    random one; the test on `losses_` rules that out. A public port of the supervised variant
    divides the directions by their eigenvalues, which makes most of those that mean least.

    Fit takes O(n d^2 + d^3 + n_iter n r^2), O(n d r) instead of the first two terms where there are
    more than 2,048 features and samples: directions are then found at random, to about single
    precision. Encoding a vector takes O(d r). ``partial_fit`` finds the principal directions of
    the whole stream exactly, and the rotation by its sample; it knows no labels.

    References
    ----------
    .. [1] Y. Gong and S. Lazebnik, 2011, "Iterative quantization: a procrustean approach to
       learning binary codes", CVPR.
    .. [2] Y. Gong, S. Lazebnik, A. Gordo and F. Perronnin, 2013, "Iterative quantization: a
       procrustean approach to learning binary codes for large-scale image retrieval", TPAMI.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = ITQ(n_bits=4, random_state=0).fit(X)
    >>> bool(hasher.losses_[-1] < hasher.losses_[0])
    True
    >>> ITQ(n_bits=4, embedding="cca").fit(X, X[:, 0] > 0).encode(X).shape
    (100, 1)
    """

    losses_: NDArray[np.float64]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        embedding: Literal["pca", "cca"] = "pca",
        rotation: Literal["learned", "random", "identity"] = "learned",
        regularisation: float = 1e-4,
        n_iter: int = 50,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.embedding = embedding
        self.rotation = rotation
        self.regularisation = regularisation
        self.n_iter = n_iter
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,
        rng: np.random.RandomState,
    ) -> None:
        self._check_parameters(*X.shape)
        if self.embedding == "pca":
            mean, directions = principal_directions(X, self.n_bits, rng)
        elif y is None:
            raise ValueError('ITQ with embedding="cca" learns from labels: fit(X, y), y is missing')
        else:
            Y = indicator_matrix(y)
            known = Y.any(axis=1)
            labelled = (X, Y) if known.all() else (X[known], Y[known])
            mean, directions = canonical_directions(*labelled, self.n_bits, self.regularisation)
        self._rotate(X, mean, directions, rng)

    def _fit_stream(self, stream: Stream, rng: np.random.RandomState) -> None:
        rows, moments = stream.sample.rows, stream.moments
        self._check_parameters(*rows.shape)
        if self.embedding != "pca":
            raise ValueError('partial_fit of ITQ knows no labels: embedding must be "pca"')
        directions = leading_directions(moments.covariance, self.n_bits)
        self._rotate(rows, moments.mean, directions, rng)

    def _rotate(
        self,
        X: FloatArray,
        mean: NDArray[np.float64],
        directions: NDArray[np.float64],
        rng: np.random.RandomState,
    ) -> None:
        """Find the rotation of the directions by some rows, and set the functions."""
        if self.rotation == "identity" and len(directions) < self.n_bits:
            raise ValueError(
                f'without a rotation embedding="cca" gives one bit a direction, and the labels '
                f"have {len(directions)}: n_bits={self.n_bits}"
            )
        W = np.zeros((self.n_bits, X.shape[1]))  # directions that there are not are 0
        W[: len(directions)] = directions
        V = np.empty((len(X), self.n_bits), np.float32)
        columns, shift = W.T.astype(np.float32), mean.astype(np.float32)
        for rows, part in each_block(lambda rows: (rows, (X[rows] - shift) @ columns), *X.shape):
            V[rows] = part
        n_iter = self.n_iter if self.rotation == "learned" else 0
        start = (
            np.eye(self.n_bits)
            if self.rotation == "identity"
            else random_rotation(self.n_bits, rng)
        )
        R, self.losses_ = learn_rotation(V, start, n_iter)
        W = R.T @ W
        self.weights_ = W.astype(np.float32)
        self.bias_ = (-W @ mean).astype(np.float32)

    def _check_parameters(self, n_samples: int, n_features: int) -> None:
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        check_scalar(self.regularisation, "regularisation", Real, min_val=0)
        if self.embedding not in ("pca", "cca"):
            raise ValueError(f'embedding must be "pca" or "cca", got {self.embedding!r}')
        if self.rotation not in ("learned", "random", "identity"):
            raise ValueError(
                f'rotation must be "learned", "random" or "identity", got {self.rotation!r}'
            )
        if self.n_bits > min(n_samples, n_features):
            raise ValueError(
                f"ITQ takes at most as many bits as there are features and samples: n_bits="
                f"{self.n_bits}, n_features={n_features}, n_samples={n_samples}"
            )

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.embedding == "cca"
        return tags
