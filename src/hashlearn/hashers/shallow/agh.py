"""AGH: anchor graph hashing."""

from numbers import Integral
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.utils import check_scalar

from hashlearn.hashers.base import FloatArray, Hasher
from hashlearn.linear import squared_distances

_ROWS = 4096
"""Rows whose distances from the anchors are held at a time."""
_SMALLEST = 1e-10
"""What is less is 0 but for rounding, beside 1."""


class AGH(Hasher):
    r"""Threshold the smoothest functions on a graph that joins vectors through anchors.

    Anchors :math:`u_1, ..., u_m` are centres of clusters. A vector is a mean of its :math:`s`
    nearest ones, with weights that fall with the distance [1]_:

    .. math:: Z_{ij} = \frac{\exp(-\|x_i - u_j\|^2 / \sigma^2)}
                            {\sum_{k \in nearest(i)} \exp(-\|x_i - u_k\|^2 / \sigma^2)}

    and 0 for the others. Vectors are as similar as they share anchors: :math:`A = Z \Lambda^{-1}
    Z^T` with :math:`\Lambda = diag(Z^T 1)`, whose rows sum to 1. Codes should differ little between
    similar vectors; relaxed, their columns are the eigenvectors of :math:`A` of the largest
    eigenvalues but the constant one. The small matrix :math:`M = \Lambda^{-1/2} Z^T Z
    \Lambda^{-1/2} = V \Sigma V^T` gives them, and with them functions of any vector:

    .. math:: y(x) = z(x)^T W,   W = \sqrt{n} \Lambda^{-1/2} V \Sigma^{-1/2}.

    With one layer (1-AGH) a bit is :math:`[y_k(x) \ge 0]`. With two (2-AGH), half as many functions
    give two bits each: the second one cuts each side again, at the thresholds :math:`T_1, T_2` for
    which the values :math:`f_i = y_i - T_1` (where :math:`y_i \ge 0`; :math:`T_2 - y_i` elsewhere)
    sum to 0 and differ least between similar vectors, :math:`\min f^T (I - A) f`.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code. A layer takes fewer bits than there are anchors.
    n_layers : {1, 2}, default=2
        Bits of a function. Paper: both, and two are better at the same length of the code.
    n_anchors : int, default=300
        Number of anchors :math:`m`; at most the number of training vectors is used. More follow the
        data more closely. Paper: 300.
    n_nearest : int, default=2
        Anchors of a vector, :math:`s`. More smooth the graph, which serves Euclidean neighbours
        and harms labels. Paper: 2 or more, by data set.
    n_iter : int, default=5
        Rounds of k-means that move the anchors from random training vectors.
    random_state : int, RandomState instance or None, default=None
        Seed of the first anchors.

    Attributes
    ----------
    anchors_ : ndarray of shape (m, n_features), float32
        The anchors; those that are nobody's nearest, or equal to others, have been left out.
    bandwidth_ : float
        :math:`\sigma`, the mean distance of the training vectors from their :math:`s`-th anchor.
    eigenvalues_ : ndarray of shape (n_functions,), float64
        :math:`\Sigma`, falling; the trivial 1 has been left out.
    functions_ : ndarray of shape (m, n_functions), float64
        :math:`W`, one function a column: as many as bits, or half of them.
    thresholds_ : ndarray of shape (2, n_functions), float64
        :math:`T_1` and :math:`T_2` of each function; not used with one layer.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Bits are signs in both layers: ``project`` gives :math:`y` for the first bits of all functions,
    then :math:`f` for the second ones.

    Differences from the paper:

    1. It assumes a connected graph, whose eigenvalue 1 is single, and the public code drops all
       eigenvalues above 0.999. Here only the constant function is taken out of :math:`M`, so that
       functions which tell apart the components of a graph are kept: they are the best ones.
    2. Where :math:`T_1 + T_2` makes no difference, because a function's sides share no anchor, it
       is 0.
    3. An odd code of two layers leaves out the last function's second bit.
    4. :math:`\sigma^2` in the exponent has no factor of 2, as in the authors' code.

    Fit takes O(n m d n_iter + m^3), encoding a vector O(d m + s b).

    References
    ----------
    .. [1] W. Liu, J. Wang, S. Kumar and S.-F. Chang, 2011, "Hashing with graphs", ICML.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = AGH(n_bits=6, n_anchors=20, random_state=0).fit(X)
    >>> hasher.functions_.shape
    (20, 3)
    """

    anchors_: FloatArray
    bandwidth_: float
    eigenvalues_: NDArray[np.float64]
    functions_: NDArray[np.float64]
    thresholds_: NDArray[np.float64]

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_layers: Literal[1, 2] = 2,
        n_anchors: int = 300,
        n_nearest: int = 2,
        n_iter: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_layers = n_layers
        self.n_anchors = n_anchors
        self.n_nearest = n_nearest
        self.n_iter = n_iter
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        if self.n_layers not in (1, 2):
            raise ValueError(f"n_layers must be 1 or 2, got {self.n_layers!r}")
        check_scalar(self.n_anchors, "n_anchors", Integral, min_val=2)
        check_scalar(self.n_nearest, "n_nearest", Integral, min_val=1)
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        anchors = learn_anchors(X, min(self.n_anchors, len(X)), self.n_iter, rng)
        nearest, squared = nearest_anchors(X, anchors, self.n_nearest)
        self.bandwidth_ = float(np.sqrt(squared[:, -1]).mean())
        Z = anchor_graph(nearest, anchor_weights(squared, self.bandwidth_), len(anchors))
        used = np.asarray(Z.sum(axis=0)) > 0
        self.anchors_, Z = anchors[used], Z[:, used]
        n_functions = -(-self.n_bits // self.n_layers)
        self.eigenvalues_, self.functions_ = smoothest_functions(Z, n_functions)
        if len(self.eigenvalues_) < n_functions:
            raise ValueError(
                f"n_bits={self.n_bits} in n_layers={self.n_layers} takes {n_functions} functions, "
                f"and the graph of {len(self.anchors_)} anchors has {len(self.eigenvalues_)}: take "
                f"fewer bits or more of n_anchors={self.n_anchors} (n_samples={len(X)}, "
                f"n_features={X.shape[1]})"
            )
        self.thresholds_ = second_thresholds(self._functions(X), Z)

    def _project(self, X: FloatArray) -> FloatArray:
        values = self._functions(X)
        if self.n_layers == 1:
            return values
        return np.concatenate([values, second_values(values, self.thresholds_)], axis=1)[
            :, : self.n_bits
        ]

    def _functions(self, X: FloatArray) -> FloatArray:
        """Compute the functions of rows, summed over their anchors from the nearest on."""
        nearest, squared = nearest_anchors(X, self.anchors_, self.n_nearest)
        weights = anchor_weights(squared, self.bandwidth_)
        values = np.zeros((len(X), self.functions_.shape[1]))
        for anchor, weight in zip(nearest.T, weights.T, strict=True):
            values += weight[:, None] * self.functions_[anchor]
        return values.astype(np.float32)


def learn_anchors(
    X: FloatArray, n_anchors: int, n_iter: int, rng: np.random.RandomState
) -> FloatArray:
    """Find anchors by k-means.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Training vectors.
    n_anchors : int
        Number of clusters, at most n.
    n_iter : int
        Rounds.
    rng : RandomState
        Draws the training vectors that are the first anchors.

    Returns
    -------
    ndarray of shape (m, d), float32
        Centres, each once: fewer than `n_anchors` where training vectors are equal.

    Notes
    -----
    The class of scikit-learn adds up in an order that depends on how its threads are timed, and
    warns of equal vectors. Clusters without vectors are dropped.
    """
    anchors = X[rng.choice(len(X), n_anchors, replace=False)]
    mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
    ones, columns = np.ones(len(X), np.float32), np.arange(len(X))
    nearest = np.empty(len(X), np.intp)
    for _ in range(n_iter):
        centers = anchors - mean  # little is lost where all vectors are far from 0
        norms = np.square(centers).sum(axis=1)
        for start in range(0, len(X), _ROWS):
            part = slice(start, start + _ROWS)
            nearest[part] = (norms - 2 * (X[part] - mean) @ centers.T).argmin(axis=1)
        sizes = np.bincount(nearest, minlength=len(anchors))
        members = csr_array((ones, (nearest, columns)), shape=(len(anchors), len(X)))
        some = sizes > 0
        anchors = (members @ X)[some] / sizes[some, None].astype(np.float32)
    return np.unique(anchors, axis=0)


def nearest_anchors(
    X: FloatArray, anchors: FloatArray, n_nearest: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the nearest anchors of rows, each row independently of the others.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Rows.
    anchors : ndarray of shape (m, d), float32
        Anchors.
    n_nearest : int
        How many to find; all, if there are fewer.

    Returns
    -------
    nearest : ndarray of shape (n, min(n_nearest, m)), intp
        Their numbers, by (distance, number).
    squared : ndarray of shape (n, min(n_nearest, m)), float64
        Squared distances.
    """
    n_nearest = min(n_nearest, len(anchors))
    nearest = np.empty((len(X), n_nearest), np.intp)
    squared = np.empty((len(X), n_nearest))
    for start in range(0, len(X), _ROWS):
        D = squared_distances(X[start : start + _ROWS], anchors)
        rows = np.arange(len(D))
        for rank in range(n_nearest):
            found = D.argmin(axis=1)
            nearest[start + rows, rank] = found
            squared[start + rows, rank] = D[rows, found]
            D[rows, found] = np.inf
    return nearest, squared


def anchor_weights(squared: NDArray[np.float64], bandwidth: float) -> NDArray[np.float64]:
    r"""Compute the weights of a vector's nearest anchors.

    Parameters
    ----------
    squared : ndarray of shape (n, s), float64
        Squared distances from them, rising.
    bandwidth : float
        :math:`\sigma`. With 0 all training vectors are anchors, and the nearest takes all.

    Returns
    -------
    ndarray of shape (n, s), float64
        Weights that sum to 1.
    """
    beyond = squared - squared[:, :1]  # the common factor exp(-first) cannot vanish
    if bandwidth == 0:
        weights = (beyond == 0).astype(np.float64)
    else:
        weights = np.exp(-beyond / bandwidth**2)
    total = np.zeros(len(weights))
    for column in weights.T:
        total += column
    return np.asarray(weights / total[:, None])


def anchor_graph(
    nearest: NDArray[np.intp], weights: NDArray[np.float64], n_anchors: int
) -> csr_array:
    """Make the sparse matrix Z of the weights.

    Parameters
    ----------
    nearest : ndarray of shape (n, s), intp
        Numbers of the nearest anchors.
    weights : ndarray of shape (n, s), float64
        Their weights.
    n_anchors : int
        Number of all anchors.

    Returns
    -------
    scipy.sparse.csr_array of shape (n, n_anchors), float64
        Z, whose rows sum to 1.
    """
    n, n_nearest = nearest.shape
    starts = np.arange(0, n * n_nearest + 1, n_nearest)
    return csr_array((weights.ravel(), nearest.ravel(), starts), shape=(n, n_anchors))


def smoothest_functions(
    Z: csr_array, n_functions: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Find the eigenvectors of :math:`Z \Lambda^{-1} Z^T` next to the constant one.

    Parameters
    ----------
    Z : scipy.sparse.csr_array of shape (n, m), float64
        Rows sum to 1, columns to more than 0.
    n_functions : int
        How many to find.

    Returns
    -------
    eigenvalues : ndarray of shape (k,), float64
        The largest ones but the constant vector's, falling, above 0; k is less than `n_functions`
        where there are fewer.
    W : ndarray of shape (m, k), float64
        ``Z @ W`` are the eigenvectors, of squared length n.
    """
    roots = np.sqrt(np.asarray(Z.sum(axis=0)))  # of the diagonal of Lambda
    M = (Z.T @ Z).toarray() / np.outer(roots, roots)
    # Z 1 = 1 makes roots / sqrt(n) the eigenvector of M for the constant function, with 1.
    eigenvalues, V = np.linalg.eigh(M - np.outer(roots, roots) / Z.shape[0])
    order = np.argsort(-eigenvalues, kind="stable")[:n_functions]
    order = order[eigenvalues[order] > _SMALLEST]
    W = np.sqrt(Z.shape[0] / eigenvalues[order]) * V[:, order] / roots[:, None]
    return eigenvalues[order], W


def second_thresholds(values: FloatArray, Z: csr_array) -> NDArray[np.float64]:
    r"""Find where to cut the sides of functions again.

    Parameters
    ----------
    values : ndarray of shape (n, k), float32
        Functions :math:`y` of the training vectors.
    Z : scipy.sparse.csr_array of shape (n, m), float64
        The graph.

    Returns
    -------
    ndarray of shape (2, k), float64
        :math:`T_1` and :math:`T_2` of each function.

    Notes
    -----
    With :math:`p` the indicator of :math:`y \ge 0`, of :math:`n_1` vectors, the values are
    :math:`f = |y| + T_2 1 - (T_1 + T_2) p`, and :math:`L = I - A` takes 1 to 0. So
    :math:`f^T L f` is least at :math:`T_1 + T_2 = p^T L |y| / p^T L p`, and :math:`1^T f = 0`
    gives :math:`n T_2 = n_1 (T_1 + T_2) - 1^T |y|`.
    """
    n = len(values)
    degrees = np.asarray(Z.sum(axis=0))[:, None]
    p, magnitude = (values >= 0).astype(np.float64), np.abs(values, dtype=np.float64)
    side, other = Z.T @ p, (Z.T @ magnitude) / degrees
    n_positive = p.sum(axis=0)
    cut = n_positive - (side * side / degrees).sum(axis=0)
    pull = (p * magnitude).sum(axis=0) - (side * other).sum(axis=0)
    total = np.divide(pull, cut, out=np.zeros_like(cut), where=cut > _SMALLEST * n)
    T2 = (n_positive * total - magnitude.sum(axis=0)) / n
    return np.stack([total - T2, T2])


def second_values(values: FloatArray, thresholds: NDArray[np.float64]) -> FloatArray:
    """Compute the values whose signs are the second bits.

    Parameters
    ----------
    values : ndarray of shape (n, k), float32
        Functions y.
    thresholds : ndarray of shape (2, k), float64
        T1 and T2 of each.

    Returns
    -------
    ndarray of shape (n, k), float32
        Where y >= 0, y - T1; elsewhere T2 - y.
    """
    T1, T2 = thresholds
    return np.asarray(np.where(values >= 0, values - T1, T2 - values), np.float32)
