"""ITQ: iterative quantization."""

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.utils import check_scalar

from hashlearn.hashers.base import FloatArray, LinearHasher


class ITQ(LinearHasher):
    r"""Rotate the principal components towards the corners of the binary cube.

    With :math:`V` the training vectors, centred and projected on their first :math:`r` principal
    directions, find the codes :math:`B` and the rotation :math:`R` of least quantisation error
    [1]_:

    .. math:: \min_{B, R} \| B - V R \|_F^2,   B \in \{-1, 1\}^{n \times r},   R^T R = I.

    Each half has a closed form, so the error never rises: :math:`B = sgn(V R)`, and
    :math:`R = W U^T` from the singular value decomposition :math:`B^T V = U S W^T`.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, at most the number of features.
    n_iter : int, default=50
        Rounds of alternation. Paper: 50. With 0 the rotation is random, see Notes.
    random_state : int, RandomState instance or None, default=None
        Seed of the first rotation.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Rotated principal directions.
    bias_ : ndarray of shape (n_bits,), float32
        Minus the projections of the mean.
    losses_ : ndarray of shape (n_iter + 1,), float64
        Quantisation error per training vector, :math:`\|B - V R\|_F^2 / n` with
        :math:`B = sgn(V R)`, for the first rotation and after each round. It never rises.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Differences from the paper: none known. Two widely used ports transpose the update of the
    rotation, which then stays at the level of a random one; the test on `losses_` rules that out.

    PCA hashing with a random rotation is ``n_iter=0``. Fit takes O(n d^2 + n_iter n r^2), encoding
    a vector O(d r).

    References
    ----------
    .. [1] Y. Gong and S. Lazebnik, 2011, "Iterative quantization: a procrustean approach to
       learning binary codes", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = ITQ(n_bits=4, random_state=0).fit(X)
    >>> bool(hasher.losses_[-1] < hasher.losses_[0])
    True
    """

    losses_: NDArray[np.float64]

    def __init__(self, n_bits: int = 32, *, n_iter: int = 50, random_state: Any = None) -> None:
        self.n_bits = n_bits
        self.n_iter = n_iter
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        if self.n_bits > min(X.shape):
            raise ValueError(
                f"ITQ takes at most as many bits as there are features and samples: n_bits="
                f"{self.n_bits}, n_features={X.shape[1]}, n_samples={len(X)}"
            )
        pca = PCA(self.n_bits, svd_solver="covariance_eigh").fit(X)
        V = pca.transform(X).astype(np.float64)
        R, self.losses_ = learn_rotation(V, self.n_iter, rng)
        W = R.T @ pca.components_
        self.weights_ = W.astype(np.float32)
        self.bias_ = (-W @ pca.mean_).astype(np.float32)


def learn_rotation(
    V: NDArray[np.float64], n_iter: int, rng: np.random.RandomState
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Find the rotation of least quantisation error by alternation.

    Parameters
    ----------
    V : ndarray of shape (n, r), float64
        Projected training vectors.
    n_iter : int
        Rounds.
    rng : RandomState
        Source of the first rotation.

    Returns
    -------
    R : ndarray of shape (r, r), float64
        Orthogonal matrix.
    losses : ndarray of shape (n_iter + 1,), float64
        :math:`\|sgn(V R) - V R\|_F^2 / n` before the first and after each round.
    """
    R = np.linalg.qr(rng.standard_normal((V.shape[1], V.shape[1])))[0]
    losses = np.empty(n_iter + 1)
    for iteration in range(n_iter + 1):
        Z = V @ R
        B = np.where(Z >= 0, 1.0, -1.0)
        losses[iteration] = quantisation_loss(B, Z)
        if iteration < n_iter:
            U, _, Wt = np.linalg.svd(B.T @ V)
            R = Wt.T @ U.T
    return R, losses


def quantisation_loss(B: NDArray[np.float64], Z: NDArray[np.float64]) -> float:
    r"""Compute the mean squared distance of the projections from the codes.

    Parameters
    ----------
    B : ndarray of shape (n, r), float64
        Codes -1/+1.
    Z : ndarray of shape (n, r), float64
        Rotated projections :math:`V R`.

    Returns
    -------
    float
        :math:`\|B - Z\|_F^2 / n`.
    """
    return float(np.square(B - Z).sum() / len(B))
