"""OCH: ordinal constraint hashing."""

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar
from threadpoolctl import threadpool_limits

from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.linear import squared_distances

DoubleArray = NDArray[np.float64]

_ROWS_A_LANDMARK = 30
_SUFFICIENT_FALL = 0.1


class OCH(LinearHasher):
    r"""Keep the order of distances: of two items, the nearer one gets the nearer code.

    Orders of all items are too many, so those of a few landmarks stand for them (ordinal constraint
    projection [1]_). A triplet :math:`(a, i, j)` says that landmark :math:`i` is nearer to landmark
    :math:`a` than landmark :math:`j` is. With :math:`u` a landmark's first principal components and
    :math:`h = \tanh(W^T u)` its relaxed code, find the hash functions :math:`W` that turn fewest
    orders around:

    .. math::

        \min_W \frac{1}{|T|} \sum_{(a, i, j) \in T}
        \sigma\left(\frac{\gamma}{r} (h_a^T h_j - h_a^T h_i)\right),   W^T W = I,

    where :math:`T` are the triplets, :math:`r` is the number of bits and :math:`\sigma` the
    logistic function: for codes :math:`h \in \{-1, 1\}^r` the term in brackets is twice the
    difference of the Hamming distances :math:`d(a, i) - d(a, j)`, and a steep :math:`\sigma` counts
    the orders that are wrong. :math:`W` goes down the gradient on the Stiefel manifold.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, at most the number of features.
    n_landmarks : int, default=1000
        Landmarks, the means of as many clusters. Public code: 300.
    n_neighbors : int, default=10
        The nearer one of a triplet is among this many nearest landmarks. Public code: 10, but see
        difference 3.
    n_triplets : int, default=100000
        Triplets to draw.
    slope : float, default=16.0
        :math:`\gamma`, the slope of the loss: small values count all orders alike, large ones
        those that are still undecided. Public code: :math:`\gamma = r`.
    n_iter : int, default=150
        Steps at most. Public code: 300.
    random_state : int, RandomState instance or None, default=None
        Seed of the landmarks, the triplets and the first :math:`W`.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        Hash functions: :math:`W^T` times the principal directions; orthonormal.
    bias_ : ndarray of shape (n_bits,), float32
        Minus the projections of the mean.
    losses_ : ndarray of shape (n_steps + 1,), float64
        The loss before the first and after each step. It never rises. 0 without triplets.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Of the paper only the summary was at hand; its formulas were not. Kept from it are ordinal
    relations of a small set, such as clusters, instead of those of all items, relaxed codes, and
    gradient descent on the Stiefel manifold. The code that its authors released, which they call
    another implementation, adds the tanh, the logistic function, the similarities and the principal
    components, which are kept too. Differences from the paper: 1; others cannot be ruled out. From
    the code: all.

    1. One set of triplets is drawn and kept, so that there is one objective, and its loss can be
       seen to fall. The paper descends stochastically; the code takes the triplets of one landmark
       a step.
    2. Nearness is Euclidean distance, which is what a search of vectors is asked for. The code
       scales distances by those of each landmark's 17th neighbour, which changes their order.
    3. Triplets come from each landmark's sorted neighbours: the nearer one from the first
       `n_neighbors`, the other from all that are farther; equal distances make none. The code takes
       landmarks by their number, in the order in which k-means left them.
    4. All triplets count. The code leaves out those on one side of a margin, which it sets to 0.
    5. The slope is divided by the number of bits, so that it means the same at any.
    6. :math:`u` is scaled so that the mean square of the first :math:`r` components is 1, where
       tanh is neither linear nor flat; the code takes data as they come.
    7. :math:`u` has as many components as there are bits, at least 20 (or all that there are). The
       code always takes 20, and with more bits than that :math:`W^T W = I` cannot hold.
    8. The line search looks at the loss itself (the code: at another function), with Armijo's rule,
       and the retraction is by QR decomposition. The search ends where no step lowers the loss, and
       steps are counted (the code can repeat one for ever).
    9. k-means sees at most 30 training vectors a landmark, drawn at random.
    10. 1,000 landmarks: with 300, as in the code, all scores are lower on MNIST.

    Fit takes O(n d^2) for the components, O(L^2 d) for the landmarks :math:`L` and O(L^2 r + |T|) a
    step, with O(L^2 + |T|) memory; encoding a vector O(d r). The defaults were chosen on queries
    held out of MNIST's training images.

    References
    ----------
    .. [1] H. Liu, R. Ji, Y. Wu, and F. Huang, 2017, "Ordinal constrained binary code learning for
       nearest neighbor search", AAAI.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = OCH(n_bits=4, random_state=0).fit(X)
    >>> bool(hasher.losses_[-1] < hasher.losses_[0])
    True
    """

    losses_: DoubleArray

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_landmarks: int = 1000,
        n_neighbors: int = 10,
        n_triplets: int = 100_000,
        slope: float = 16.0,
        n_iter: int = 150,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_landmarks = n_landmarks
        self.n_neighbors = n_neighbors
        self.n_triplets = n_triplets
        self.slope = slope
        self.n_iter = n_iter
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        n_components = self._check(X)
        with np.errstate(invalid="ignore"):  # shares of a variance of 0
            pca = PCA(n_components, svd_solver="covariance_eigh").fit(X)
        directions = pca.components_.astype(np.float64)
        landmarks = find_landmarks(X, self.n_landmarks, rng)
        triplets = draw_triplets(landmarks, self.n_triplets, self.n_neighbors, rng)
        U = (landmarks - pca.mean_.astype(np.float64)) @ directions.T
        spread = np.sqrt(pca.explained_variance_[: self.n_bits].mean(dtype=np.float64))
        U /= spread if spread > 0 else 1.0
        W = retract(rng.standard_normal((n_components, self.n_bits)))
        W, self.losses_ = descend(W, U, triplets, self.slope / self.n_bits, self.n_iter)
        functions = W.T @ directions
        self.weights_ = functions.astype(np.float32)
        self.bias_ = (-functions @ pca.mean_).astype(np.float32)

    def _check(self, X: FloatArray) -> int:
        """Check the parameters; give the number of components."""
        for name in ("n_landmarks", "n_neighbors", "n_triplets"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        check_scalar(self.slope, "slope", Real, min_val=0, include_boundaries="neither")
        most = min(X.shape)
        if self.n_bits > most:
            raise ValueError(
                f"OCH takes at most as many bits as there are features and samples: n_bits="
                f"{self.n_bits}, n_features={X.shape[1]}, n_samples={len(X)}"
            )
        return int(min(max(self.n_bits, 20), most))


def find_landmarks(X: FloatArray, n_landmarks: int, rng: np.random.RandomState) -> FloatArray:
    """Find the means of clusters.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Training vectors.
    n_landmarks : int
        Clusters; fewer are made of fewer distinct vectors.
    rng : RandomState
        Source of the sample and of the first means.

    Returns
    -------
    ndarray of shape (at most n_landmarks, d), float32
        Distinct means.
    """
    if len(X) > (most := _ROWS_A_LANDMARK * n_landmarks):
        X = X[rng.choice(len(X), most, replace=False)]
    kmeans = KMeans(
        min(n_landmarks, len(X)), init="random", n_init=1, max_iter=10, random_state=rng
    )
    # Threads would add up their parts of the means in the order in which they finish.
    with threadpool_limits(1, "openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct vectors than clusters
        means: FloatArray = kmeans.fit(X).cluster_centers_
    return np.unique(means, axis=0)


def draw_triplets(
    landmarks: FloatArray, n_triplets: int, n_neighbors: int, rng: np.random.RandomState
) -> NDArray[np.intp]:
    r"""Draw triplets of landmarks that distance puts in order.

    Parameters
    ----------
    landmarks : ndarray of shape (n_landmarks, d), float32
        Landmarks.
    n_triplets : int
        Draws. Those of two equal distances are left out.
    n_neighbors : int
        The second of a triplet is among this many nearest of the first.
    rng : RandomState
        Source of the draws.

    Returns
    -------
    ndarray of shape (at most n_triplets, 3), intp
        Rows :math:`(a, i, j)`, three different landmarks of which :math:`i` is nearer to :math:`a`.
        None of fewer than three landmarks.
    """
    n_others = len(landmarks) - 1
    if n_others < 2:
        return np.empty((0, 3), np.intp)
    distances = squared_distances(landmarks, landmarks)
    np.fill_diagonal(distances, -1.0)  # first in its own row
    order = np.argsort(distances, axis=1, kind="stable")[:, 1:]
    a = rng.randint(len(landmarks), size=n_triplets)
    near = rng.randint(min(n_neighbors, n_others - 1), size=n_triplets)
    far = near + 1 + rng.randint(n_others - 1 - near)
    i, j = order[a, near], order[a, far]
    is_ordered = distances[a, i] < distances[a, j]
    return np.stack([a[is_ordered], i[is_ordered], j[is_ordered]], axis=1)


def ordinal_loss(H: DoubleArray, triplets: NDArray[np.intp], slope: float) -> float:
    r"""Compute how far orders are turned around: 0 for none, 1 for all.

    Parameters
    ----------
    H : ndarray of shape (n_landmarks, r), float64
        Relaxed codes.
    triplets : ndarray of shape (n_triplets, 3), intp
        Rows :math:`(a, i, j)`, of which :math:`i` should be nearer to :math:`a`.
    slope : float
        :math:`s`.

    Returns
    -------
    float
        Mean of :math:`\sigma(s (h_a^T h_j - h_a^T h_i))`; 0 without triplets.
    """
    a, i, j = triplets.T
    products = H @ H.T
    wrong = expit(slope * (products[a, j] - products[a, i]))
    return float(wrong.sum() / max(1, len(wrong)))


def ordinal_gradient(H: DoubleArray, triplets: NDArray[np.intp], slope: float) -> DoubleArray:
    """Compute the gradient of :func:`ordinal_loss` with respect to the codes.

    Parameters
    ----------
    H : ndarray of shape (n_landmarks, r), float64
        Relaxed codes.
    triplets : ndarray of shape (n_triplets, 3), intp
        As in :func:`ordinal_loss`.
    slope : float
        As in :func:`ordinal_loss`.

    Returns
    -------
    ndarray of shape (n_landmarks, r), float64
        Derivatives.
    """
    n = len(H)
    a, i, j = triplets.T
    products = H @ H.T
    wrong = expit(slope * (products[a, j] - products[a, i]))
    pull = slope * wrong * (1 - wrong) / max(1, len(wrong))
    P = np.bincount(a * n + j, pull, n * n) - np.bincount(a * n + i, pull, n * n)
    P = P.reshape(n, n)  # derivatives with respect to the products
    return P @ H + P.T @ H


def tangent(W: DoubleArray, G: DoubleArray) -> DoubleArray:
    r"""Project a gradient to the tangent space of the Stiefel manifold.

    Parameters
    ----------
    W : ndarray of shape (q, r), float64
        Point, :math:`W^T W = I`.
    G : ndarray of shape (q, r), float64
        Gradient.

    Returns
    -------
    ndarray of shape (q, r), float64
        :math:`Z = G - W (W^T G + G^T W) / 2`, for which :math:`W^T Z + Z^T W = 0`.
    """
    S = W.T @ G
    return G - W @ ((S + S.T) / 2)


def retract(M: DoubleArray) -> DoubleArray:
    r"""Bring a matrix of full rank back to the Stiefel manifold.

    Parameters
    ----------
    M : ndarray of shape (q, r), float64
        Matrix, q at least r.

    Returns
    -------
    ndarray of shape (q, r), float64
        Q of the QR decomposition whose R has a positive diagonal, so that :math:`M` is its own
        retraction where :math:`M^T M = I`.
    """
    Q, R = np.linalg.qr(M)
    return Q * np.where(np.diag(R) < 0, -1.0, 1.0)


def descend(
    W: DoubleArray, U: DoubleArray, triplets: NDArray[np.intp], slope: float, n_iter: int
) -> tuple[DoubleArray, DoubleArray]:
    r"""Go down the loss on the Stiefel manifold.

    Parameters
    ----------
    W : ndarray of shape (q, r), float64
        Start, :math:`W^T W = I`.
    U : ndarray of shape (n_landmarks, q), float64
        Components of the landmarks.
    triplets : ndarray of shape (n_triplets, 3), intp
        As in :func:`ordinal_loss`.
    slope : float
        As in :func:`ordinal_loss`.
    n_iter : int
        Steps at most.

    Returns
    -------
    W : ndarray of shape (q, r), float64
        End.
    losses : ndarray of shape (n_steps + 1,), float64
        The loss at the start and after each step.
    """
    H = np.tanh(U @ W)
    losses = [ordinal_loss(H, triplets, slope)]
    step = 1.0
    for _ in range(n_iter):
        G = U.T @ (ordinal_gradient(H, triplets, slope) * (1 - H * H))
        Z = tangent(W, G)
        steepness = float(np.square(Z).sum())
        step *= 2
        while (least := _SUFFICIENT_FALL * step * steepness) > 1e-12:
            W_next = retract(W - step * Z)
            H_next = np.tanh(U @ W_next)
            loss = ordinal_loss(H_next, triplets, slope)
            if loss <= losses[-1] - least:
                break
            step /= 2
        else:  # at a minimum
            break
        W, H = W_next, H_next
        losses.append(loss)
    return W, np.array(losses)
