"""BA: binary autoencoder."""

from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.utils import check_scalar

from hashlearn.hashers.base import FloatArray, LinearHasher
from hashlearn.hashers.decoder import LinearDecoder
from hashlearn.hashers.quadratic import enumerate_codes, search_codes
from hashlearn.hashers.rotation import learn_rotation, random_rotation
from hashlearn.linear import linear_values, squared_distances

_ROWS = 4096
"""Rows that are worked on at a time."""
_ENUMERATED = 10
"""Bits up to which all codes are tried."""
_RIDGE = 1e-3
"""What the encoder adds to every feature's variance, beside their mean: pixels may be constant."""

_STEPS = 5
"""Steps of the support vectors in each turn."""
_ROTATIONS = 50
"""Rounds of the iterative quantisation that gives the first codes."""
_WATCHED = 10_000
"""Training vectors among which neighbours are watched."""

BoolArray = NDArray[np.bool_]


class BA(LinearDecoder, LinearHasher):
    r"""Reconstruct vectors from their codes, with the codes as variables of their own.

    An encoder :math:`h(x) = [W x + c \ge 0]` gives a vector a code, a decoder :math:`f(z) = A^T z +
    b` gives the vector back. Because :math:`h` is a step, its gradient is useless. The method of
    auxiliary coordinates [1]_ lets codes :math:`z_i` be free and draws them to the encoder's by a
    penalty that grows until they agree:

    .. math:: \min_{h, f, Z} \sum_i \|x_i - f(z_i)\|^2 + \mu \|z_i - h(x_i)\|^2,
              z_i \in \{0, 1\}^r.

    From the codes of iterative quantisation on, three steps take turns: the codes for a fixed
    encoder and decoder, one vector at a time; the decoder by least squares; the encoder as one
    linear classifier a bit, whose labels are the codes.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`, at most the number of features.
    encoder : {"svm", "ridge"}, default="svm"
        Classifier of a bit: linear support vectors with squared hinge loss, or ridge regression on
        -1/+1, which is faster. On MNIST the former reconstruct 1 % better, and neighbours are found
        alike. Paper: linear support vectors.
    penalty : float, default=0.02
        First :math:`\mu` above 0, beside what a bit is worth: the mean squared length of the
        decoder's columns. Paper: 0.005 or less for vectors scaled to [0, 1].
    growth : float, default=2.0
        Factor by which :math:`\mu` grows. Smaller is slower and nearer to the optimum. Paper: 1.2
        to 2.
    n_rounds : int, default=2
        Turns of the three steps at each :math:`\mu`, of which the first is 0. Paper: up to 4.
    n_validation : int, default=500
        Training vectors, at most a fifth, on which the precision of neighbours is watched: when it
        falls from one :math:`\mu` to the next, fitting stops and goes back by one. With 0 it goes
        on until codes and encoder agree. Paper: 200.
    random_state : int, RandomState instance or None, default=None
        Seed of the first rotation and of the draw of vectors to watch.

    Attributes
    ----------
    weights_ : ndarray of shape (n_bits, n_features), float32
        :math:`W`.
    bias_ : ndarray of shape (n_bits,), float32
        :math:`c`.
    decoder_weights_ : ndarray of shape (n_bits, n_features), float32
        :math:`A`, the least-squares decoder of the encoder's own codes.
    decoder_bias_ : ndarray of shape (n_features,), float32
        :math:`b`.
    losses_ : ndarray of shape (n_turns,), float64
        The penalised objective per training vector after each turn. It never rises while its
        :math:`\mu` stays.
    penalties_ : ndarray of shape (n_turns,), float64
        :math:`\mu` of each turn.
    precisions_ : ndarray of shape (n_penalties,), float64
        What was watched, at the end of each :math:`\mu`; empty where nothing was.
    agrees_ : bool
        Whether fitting ended because the codes were the encoder's.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Differences from the paper:

    1. The classifiers of all bits share one factorisation of the covariance :math:`S`, which bounds
       the curvature of the squared hinge loss. A step :math:`W + S^{-1} X^T r`, with :math:`r` the
       labels times what is missing to a margin of 1, never raises it; five steps, from the last
       solution on, stand for a run of LIBLINEAR. One step from 0 is ridge regression.
    2. A bit keeps its classifier where the new one errs as often or more. Otherwise the objective
       may rise, and with ridge regression the codes wither as :math:`\mu` grows.
    3. Up to 10 bits all codes are tried, as in the authors' help text. Beyond, the relaxed problem
       in :math:`[0, 1]^r` is solved by coordinate descent instead of ADMM and rounded, bits are
       turned one at a time while that pays, and the better of this and the same from the last codes
       is taken.
    4. :math:`\mu` is measured by the decoder, so that the scale of the vectors and the number of
       features have no say.

    Fit takes O(n d^2 + n_turns (n d r + n r^2)), encoding a vector O(d r).

    References
    ----------
    .. [1] M. A. Carreira-Perpinan and R. Raziperchikolaei, 2015, "Hashing with binary
       autoencoders", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = BA(n_bits=4, random_state=0).fit(X)
    >>> hasher.reconstruct(hasher.encode(X)).shape
    (100, 8)
    """

    losses_: NDArray[np.float64]
    penalties_: NDArray[np.float64]
    precisions_: NDArray[np.float64]
    agrees_: bool

    def __init__(
        self,
        n_bits: int = 32,
        *,
        encoder: Literal["svm", "ridge"] = "svm",
        penalty: float = 0.02,
        growth: float = 2.0,
        n_rounds: int = 2,
        n_validation: int = 500,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.encoder = encoder
        self.penalty = penalty
        self.growth = growth
        self.n_rounds = n_rounds
        self.n_validation = n_validation
        self.random_state = random_state

    def _check(self, X: FloatArray) -> None:
        if self.encoder not in ("svm", "ridge"):
            raise ValueError(f'encoder must be "svm" or "ridge", got {self.encoder!r}')
        check_scalar(self.penalty, "penalty", Real, min_val=0, include_boundaries="neither")
        check_scalar(self.growth, "growth", Real, min_val=1, include_boundaries="neither")
        check_scalar(self.n_rounds, "n_rounds", Integral, min_val=1)
        check_scalar(self.n_validation, "n_validation", Integral, min_val=0)
        if self.n_bits > min(X.shape):
            raise ValueError(
                f"BA takes at most as many bits as there are features and samples: n_bits="
                f"{self.n_bits}, n_features={X.shape[1]}, n_samples={len(X)}"
            )

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        self._check(X)
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = X - mean
        covariance = products(centred, centred)
        ridge = _RIDGE * np.trace(covariance) / len(covariance) or 1.0
        factor = cho_factor(covariance + ridge * np.eye(len(covariance)))
        W = iterative_quantisation(centred, covariance, self.n_bits, rng)
        encoder = W.astype(np.float32), (-W @ mean).astype(np.float32)
        H = linear_values(X, *encoder) >= 0
        watched = _Watched(X, min(self.n_validation, len(X) // 5), rng)

        Z, (A, b) = H, fit_decoder(centred, H)
        penalty, worth = 0.0, float(np.square(A).sum(axis=1).mean()) or 1.0
        classifiers = np.zeros_like(W), np.zeros(self.n_bits)
        losses, penalties, precisions = [], [], []
        while True:
            before = encoder, H
            for _ in range(self.n_rounds):
                Z = best_codes(centred, A, b, Z, H, penalty)
                A, b = fit_decoder(centred, Z)
                classifiers = self._fit_classifiers(centred, Z, factor, classifiers)
                W, c = classifiers
                fitted = W.astype(np.float32), (c - W @ mean).astype(np.float32)
                encoder, H = keep_better(Z, encoder, H, fitted, linear_values(X, *fitted) >= 0)
                losses.append(penalised_loss(centred, A, b, Z, H, penalty) / len(X))
                penalties.append(penalty)
            precisions.append(watched.precision(H))
            if len(precisions) > 1 and precisions[-1] < precisions[-2]:
                encoder, H = before
                break
            if (Z == H).all():
                break
            penalty = penalty * self.growth or self.penalty * worth
        self.weights_, self.bias_ = encoder
        A, b = fit_decoder(centred, H)
        self.decoder_weights_ = A.astype(np.float32)
        self.decoder_bias_ = (b + mean).astype(np.float32)
        self.agrees_ = bool((Z == H).all())
        self.losses_, self.penalties_ = np.array(losses), np.array(penalties)
        self.precisions_ = np.array(precisions)

    def _fit_classifiers(
        self, X: FloatArray, Z: BoolArray, factor: Any, last: tuple[Any, Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Fit the classifiers to codes: support vectors from the last ones on, a ridge from 0."""
        if self.encoder == "ridge":
            return hinge_steps(X, Z, factor, np.zeros_like(last[0]), np.zeros_like(last[1]), 1)
        return hinge_steps(X, Z, factor, *last, _STEPS)


class _Watched:
    """Neighbours of some training vectors among others: near ones should have near codes."""

    def __init__(self, X: FloatArray, n_queries: int, rng: np.random.RandomState) -> None:
        rows = rng.permutation(len(X))[: n_queries + _WATCHED]
        self.queries, self.others = rows[:n_queries], rows[n_queries:]
        self.n_neighbors = min(max(10, len(self.others) // 500), len(self.others))
        self.near = np.zeros((len(self.others), n_queries), bool)
        if n_queries:
            distances = squared_distances(X[self.others], X[self.queries])
            nearest = np.argsort(distances, axis=0, kind="stable")[: self.n_neighbors]
            np.put_along_axis(self.near, nearest, True, axis=0)

    def precision(self, H: BoolArray) -> float:
        """Compute the share of neighbours among as many vectors with the nearest codes."""
        if len(self.queries) == 0:
            return 0.0
        signs = np.where(H, np.float32(1), np.float32(-1))
        agreement = signs[self.others] @ signs[self.queries].T  # whole numbers, ties by place
        found = np.argsort(-agreement, axis=0, kind="stable")[: self.n_neighbors]
        return float(np.take_along_axis(self.near, found, axis=0).mean())


def products(L: NDArray[Any], X: FloatArray) -> NDArray[np.float64]:
    """Compute the products of columns, added up in float64.

    Parameters
    ----------
    L : ndarray of shape (n, r), bool or float32
        Left columns. Computed in float32.
    X : ndarray of shape (n, d), float32
        Right columns.

    Returns
    -------
    ndarray of shape (r, d), float64
        ``L.T @ X``.
    """
    total = np.zeros((L.shape[1], X.shape[1]))
    for start in range(0, len(X), _ROWS):
        part = slice(start, start + _ROWS)
        total += L[part].astype(np.float32, copy=False).T @ X[part]
    return total


def iterative_quantisation(
    X: FloatArray, covariance: NDArray[np.float64], n_bits: int, rng: np.random.RandomState
) -> NDArray[np.float64]:
    """Find the first encoder: principal directions, rotated towards the corners of the cube.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Centred training vectors.
    covariance : ndarray of shape (d, d), float64
        Their products.
    n_bits : int
        Number of directions.
    rng : RandomState
        Source of the first rotation.

    Returns
    -------
    ndarray of shape (n_bits, d), float64
        One linear function a bit.
    """
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :n_bits]
    V = X @ directions.astype(np.float32)
    R, _ = learn_rotation(V, random_rotation(n_bits, rng), _ROTATIONS)
    return np.asarray(R.T @ directions.T)


def fit_decoder(X: FloatArray, Z: BoolArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the decoder to codes by least squares.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Training vectors.
    Z : ndarray of shape (n, r), bool
        Their codes.

    Returns
    -------
    A : ndarray of shape (r, d), float64
        What each bit adds; the smallest solution where codes leave it open, as constant bits do.
    b : ndarray of shape (d,), float64
        What is always there.
    """
    share = Z.mean(axis=0)
    bits = Z - share.astype(np.float32)
    A = np.linalg.pinv(products(bits, bits), rcond=1e-6, hermitian=True) @ products(bits, X)
    return A, X.mean(axis=0, dtype=np.float64) - share @ A


def hinge_steps(
    X: FloatArray,
    Z: BoolArray,
    factor: Any,
    W: NDArray[np.float64],
    c: NDArray[np.float64],
    n_steps: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Improve linear classifiers of bits under the squared hinge loss.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Centred training vectors.
    Z : ndarray of shape (n, r), bool
        Labels, a column a classifier.
    factor : tuple
        Cholesky factor of their products plus a ridge, of ``scipy.linalg.cho_factor``.
    W : ndarray of shape (r, d), float64
        Classifiers to start from.
    c : ndarray of shape (r,), float64
        Their constants.
    n_steps : int
        Number of steps. One from 0 is ridge regression on the labels -1/+1.

    Returns
    -------
    W : ndarray of shape (r, d), float64
        Better classifiers.
    c : ndarray of shape (r,), float64
        Their constants.

    Notes
    -----
    The loss of labels :math:`t` is :math:`\sum_i \max(0, 1 - t_i v_i)^2` with
    :math:`v = W x + c`. Its curvature is at most that of least squares; a step minimises the bound
    that this gives, and so never raises the loss.
    """
    T = np.where(Z, np.float32(1), np.float32(-1))
    for _ in range(n_steps):
        values = linear_values(X, W.astype(np.float32), c.astype(np.float32))
        missing = T * np.maximum(0, 1 - T * values)
        W = W + cho_solve(factor, products(missing, X).T).T
        c = c + missing.mean(axis=0, dtype=np.float64)
    return W, c


def keep_better(
    Z: BoolArray,
    encoder: tuple[FloatArray, FloatArray],
    H: BoolArray,
    fitted: tuple[FloatArray, FloatArray],
    fitted_H: BoolArray,
) -> tuple[tuple[FloatArray, FloatArray], BoolArray]:
    """Take a new classifier for the bits on which it errs less often.

    Parameters
    ----------
    Z : ndarray of shape (n, r), bool
        What is right.
    encoder : tuple of ndarray of shape (r, d) and ndarray of shape (r,), float32
        Classifiers and constants so far.
    H : ndarray of shape (n, r), bool
        What they say.
    fitted : tuple of ndarray of shape (r, d) and ndarray of shape (r,), float32
        New ones.
    fitted_H : ndarray of shape (n, r), bool
        What the new ones say.

    Returns
    -------
    encoder : tuple of ndarray of shape (r, d) and ndarray of shape (r,), float32
        The better ones, bit by bit.
    H : ndarray of shape (n, r), bool
        What they say.
    """
    better = (fitted_H != Z).sum(axis=0) < (H != Z).sum(axis=0)
    weights = np.where(better[:, None], fitted[0], encoder[0])
    return (weights, np.where(better, fitted[1], encoder[1])), np.where(better, fitted_H, H)


def best_codes(
    X: FloatArray,
    A: NDArray[np.float64],
    b: NDArray[np.float64],
    Z: BoolArray,
    H: BoolArray,
    penalty: float,
) -> BoolArray:
    r"""Find the codes of least penalised loss for a fixed encoder and decoder.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Training vectors.
    A : ndarray of shape (r, d), float64
        Decoder's weights.
    b : ndarray of shape (d,), float64
        Decoder's constant.
    Z : ndarray of shape (n, r), bool
        Codes so far.
    H : ndarray of shape (n, r), bool
        The encoder's codes.
    penalty : float
        :math:`\mu`.

    Returns
    -------
    ndarray of shape (n, r), bool
        Codes; none is worse than it was. Up to 10 bits they are the best.

    Notes
    -----
    But for what does not depend on z, the loss of a vector is :math:`z^T G z + q^T z` with
    :math:`G = A A^T` and :math:`q = \mu (1 - 2 h) - 2 A (x - b)`.
    """
    G = A @ A.T
    linear = linear_values(X, A.astype(np.float32), (-A @ b).astype(np.float32))
    found = np.empty_like(Z)
    for start in range(0, len(X), _ROWS):
        part = slice(start, start + _ROWS)
        Q = np.ascontiguousarray((penalty * (1 - 2.0 * H[part]) - 2.0 * linear[part]).T)
        if len(G) <= _ENUMERATED:
            found[part] = enumerate_codes(G, Q).T
        else:
            found[part] = search_codes(Z[part].T, G, Q).T
    return found


def penalised_loss(
    X: FloatArray,
    A: NDArray[np.float64],
    b: NDArray[np.float64],
    Z: BoolArray,
    H: BoolArray,
    penalty: float,
) -> float:
    r"""Compute the objective.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Training vectors.
    A : ndarray of shape (r, d), float64
        Decoder's weights.
    b : ndarray of shape (d,), float64
        Decoder's constant.
    Z : ndarray of shape (n, r), bool
        Codes.
    H : ndarray of shape (n, r), bool
        The encoder's codes.
    penalty : float
        :math:`\mu`.

    Returns
    -------
    float
        :math:`\sum_i \|x_i - f(z_i)\|^2 + \mu \|z_i - h(x_i)\|^2`.
    """
    weights, constant = A.astype(np.float32), b.astype(np.float32)
    loss = penalty * float((Z != H).sum())
    for start in range(0, len(X), _ROWS):
        part = slice(start, start + _ROWS)
        error = X[part] - (Z[part].astype(np.float32) @ weights + constant)
        loss += float(np.square(error, dtype=np.float64).sum())
    return loss
