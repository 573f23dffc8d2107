"""QoLSH: quantisation-optimised LSH."""

from itertools import count
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.utils import check_scalar

from hashlearn.hashers.base import FloatArray, Hasher
from hashlearn.linear import linear_values

_BLOCK_ENTRIES = 1 << 18
"""Bits that are worked on at a time; a few arrays of so many doubles stay in the caches."""

_LEAST_GAIN = 1e-6
"""Share by which a flip must raise the objective; less is the rounding of float32."""

_SHORTEST = 1e-6
"""Squared length of W b below which it is rounding; it is d on average over all codes."""


class QoLSH(Hasher):
    r"""Project on more directions than there are dimensions, and choose the bits together.

    With :math:`L` bits and a tight frame :math:`W \in R^{d \times L}`, :math:`L \ge d`,
    :math:`W W^T = I`, a code :math:`b \in \{-1, 1\}^L` stands for the direction of :math:`W b`.
    The signs of :math:`W^T x` are the best code if :math:`L = d`; if there are more bits than
    dimensions, others point closer to :math:`x` [1]_:

    .. math:: \max_b \frac{x^T W b}{\|W b\|},   b \in \{-1, 1\}^L.

    The search starts at the signs and flips the bit that raises the objective most, until no flip
    raises it. Columns of :math:`W` are :math:`L` random directions; its rows are orthonormal.

    Parameters
    ----------
    n_bits : int, default=64
        Length of the code :math:`L`, at least the number of dimensions.
    n_components : int or None, default=None
        Dimensions :math:`d`: so many principal components are taken first. None takes the features
        as they are. Ours.
    n_flips : int or None, default=2
        Flips of a code, at most. None flips until no flip raises the objective; with 0 the codes
        are signs. See Notes.
    random_state : int, RandomState instance or None, default=None
        Seed of the frame.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        :math:`W^T`, after the projection on principal components if there is one.
    bias_ : ndarray of shape (n_bits,), float32
        Minus the projections of the mean of the training vectors.
    gram_ : ndarray of shape (n_bits, n_bits), float32
        :math:`W^T W`.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    A bit is no sign of one linear function here. The values of ``project`` are what the objective
    loses if the bit alone is flipped, with the sign of the bit, at least the smallest normal
    float32: bits are their signs, as for every method, and where a value is close to 0 the bit
    matters little.

    The first flips help Hamming distances too: neighbours tend to take the same. The last ones no
    longer do, as there are many codes that are nearly as good. On 32 principal components of MNIST,
    with queries from the training part, 2 flips are best for 64 bits and 4 or 5 for 128, and codes
    without a limit are worse than signs. Where a query's own vector is compared with :math:`W b`,
    more flips are always better.

    Differences from the paper: (1) vectors are centred first, as for LSH here. (2) Principal
    components can be taken by the method itself. (3) Codes are compared by the Hamming distance,
    which is why the default limits the flips; the paper compares a query's own vector with
    :math:`W b`, by the cosine. No public code is known; which flip comes first was reconstructed
    from descriptions of the method.

    Fit takes O(L d^2), with `n_components` also O(n d^2). Encoding a vector takes
    O(d L + L^2), and O(L) for each flip.

    References
    ----------
    .. [1] R. Balu, T. Furon and H. Jegou, 2014, "Beyond 'project and sign' for cosine estimation
       with binary codes", ICASSP.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> signs = QoLSH(n_bits=16, n_flips=0, random_state=0).fit(X)
    >>> better = QoLSH(n_bits=16, random_state=0).fit(X)
    >>> bool((signs.transform(X) != better.transform(X)).any())
    True
    """

    weights_: FloatArray
    bias_: FloatArray
    gram_: FloatArray

    def __init__(
        self,
        n_bits: int = 64,
        *,
        n_components: int | None = None,
        n_flips: int | None = 2,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_components = n_components
        self.n_flips = n_flips
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        if self.n_flips is not None:
            check_scalar(self.n_flips, "n_flips", Integral, min_val=0)
        if self.n_components is not None:
            check_scalar(self.n_components, "n_components", Integral, min_val=1)
            if self.n_components > min(X.shape):
                raise ValueError(
                    f"there are no more principal components than features and samples: "
                    f"n_components={self.n_components}, n_features={X.shape[1]}, "
                    f"n_samples={len(X)}"
                )
        n_dimensions = self.n_components or X.shape[1]
        if self.n_bits < n_dimensions:
            raise ValueError(
                f"QoLSH takes at least as many bits as dimensions: n_bits={self.n_bits}, "
                f"n_features={X.shape[1]}, n_components={self.n_components}; give more bits, or "
                f"take principal components first: n_components={self.n_bits} or less"
            )
        W = np.linalg.qr(rng.standard_normal((self.n_bits, n_dimensions)))[0].T
        self.gram_ = (W.T @ W).astype(np.float32)
        mean, directions = X.mean(axis=0, dtype=np.float64), W.T
        if self.n_components is not None:
            pca = PCA(self.n_components, svd_solver="covariance_eigh").fit(X)
            mean, directions = pca.mean_, W.T @ pca.components_
        self.weights_ = directions.astype(np.float32)
        self.bias_ = (-directions @ mean).astype(np.float32)

    def _project(self, X: FloatArray) -> FloatArray:
        values = linear_values(X, self.weights_, self.bias_)
        rows = max(1, _BLOCK_ENTRIES // self.n_bits)
        for start in range(0, len(X), rows):
            part = values[start : start + rows]
            signs, losses = flip_signs(part, self.gram_, self.n_flips)
            # At 0, of either sign, a value would not tell the bit.
            part[:] = signs * np.maximum(losses, np.finfo(np.float32).tiny).astype(np.float32)
        return values


def flip_signs(
    V: FloatArray, gram: FloatArray, n_flips: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Flip the bit that raises :math:`v^T b / \|W b\|` most, for each row, until none does.

    Parameters
    ----------
    V : ndarray of shape (n, L), float32
        Projections :math:`v = W^T x`.
    gram : ndarray of shape (L, L), float32
        :math:`W^T W`.
    n_flips : int or None, default=None
        Flips of each row, at most. None stands for as many as raise the objective.

    Returns
    -------
    B : ndarray of shape (n, L), float64
        Codes -1/+1.
    losses : ndarray of shape (n, L), float64
        What the objective loses if this bit alone is flipped.

    Notes
    -----
    With :math:`g = W^T W b`, flipping bit :math:`k` takes :math:`2 b_k v_k` from the product,
    and turns :math:`\|W b\|^2` into :math:`\|W b\|^2 - 4 b_k g_k + 4 \|w_k\|^2`. Sums run along
    rows alone, in an order that the number of bits decides.
    """
    B = np.where(V >= 0, 1.0, -1.0)
    G = linear_values(B.astype(np.float32), gram, np.zeros(len(gram), np.float32)).astype(float)
    squares = np.diag(gram).astype(float)
    objective, gains = flip_gains(B, V, G, squares)
    moving = np.arange(len(B))
    for _ in count() if n_flips is None else range(n_flips):
        bits = gains[moving].argmax(axis=1)
        improves = gains[moving, bits] > _LEAST_GAIN * objective[moving]
        moving, bits = moving[improves], bits[improves]
        if not len(moving):
            break
        B[moving, bits] *= -1
        G[moving] += 2 * B[moving, bits, None] * gram[bits]
        objective[moving], gains[moving] = flip_gains(B[moving], V[moving], G[moving], squares)
    return B, -gains


def flip_gains(
    B: NDArray[np.float64],
    V: FloatArray,
    G: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Compute the objective of codes, and what it gains by each flip of a single bit.

    Parameters
    ----------
    B : ndarray of shape (n, L), float64
        Codes -1/+1.
    V : ndarray of shape (n, L), float32
        Projections :math:`v = W^T x`.
    G : ndarray of shape (n, L), float64
        What the codes stand for, in the frame again: :math:`g = W^T W b`.
    squares : ndarray of shape (L,), float64
        Squared lengths :math:`\|w_k\|^2` of the frame's columns.

    Returns
    -------
    objective : ndarray of shape (n,), float64
        :math:`v^T b / \|W b\|`: the length of :math:`x` times the cosine of its angle to
        :math:`W b`.
    gains : ndarray of shape (n, L), float64
        What is added to it if this bit alone is flipped.
    """
    products, lengths = B * V, B * G
    product, length = products.sum(axis=1), lengths.sum(axis=1)
    objective = product / np.sqrt(np.maximum(length, _SHORTEST))
    others = product[:, None] - 2 * products
    others /= np.sqrt(np.maximum(length[:, None] - 4 * lengths + 4 * squares, _SHORTEST))
    return objective, others - objective[:, None]
