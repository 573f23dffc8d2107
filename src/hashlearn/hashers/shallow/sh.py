"""SH: spectral hashing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.blocks import each_block
from hashlearn.hashers.directions import leading_directions, principal_directions
from hashlearn.hashers.streams import Stream, StreamHasher
from hashlearn.linear import linear_values


class SH(StreamHasher):
    r"""Hash by the signs of the slowest waves that fit into a box around the data.

    Codes :math:`y_i \in \{-1, 1\}^r` should be close where vectors are, each bit balanced and no
    two correlated [1]_:

    .. math:: \min \sum_{ij} s_{ij} \|y_i - y_j\|^2,   \sum_i y_i = 0,
              \sum_i y_i y_i^T = n I,   s_{ij} = \exp(-\|x_i - x_j\|^2 / \epsilon^2).

    Without the signs, the solutions are the eigenvectors of the graph's Laplacian of least
    eigenvalue but the constant one. For vectors that are uniform in a box :math:`[a_i, b_i]` along
    the principal directions :math:`u_i` these are, in the limit, waves along one direction:

    .. math:: \Phi_{ik}(x) = \sin(\pi / 2 + k \pi (u_i^T x - a_i) / (b_i - a_i)),
              \lambda_{ik} = 1 - \exp(-\tfrac{1}{2} \epsilon^2 k^2 \pi^2 / (b_i - a_i)^2),
              k = 1, 2, ...

    Bits are the signs of the :math:`r` waves of least :math:`\lambda`, that is of least
    :math:`k / (b_i - a_i)`; :math:`\epsilon` does not matter. New vectors are hashed by the same
    formula.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`. Any number, also more than there are features.
    random_state : int, RandomState instance or None, default=None
        Seed where principal directions are found at random, with more than 2,048 features and
        samples, and of the sample of a stream. Otherwise nothing is random.

    Attributes
    ----------
    axes_ : ndarray of shape (n_bits,), int64
        Principal direction :math:`i` of each bit, by falling variance.
    frequencies_ : ndarray of shape (n_bits,), int64
        Its frequency :math:`k`: how often the bit changes between :math:`a_i` and :math:`b_i`.
    weights_ : ndarray of shape (n_bits, n_features), float32
        :math:`k u_i / (b_i - a_i)`.
    bias_ : ndarray of shape (n_bits,), float32
        :math:`-k a_i / (b_i - a_i)`: the wave of a bit is the cosine of :math:`\pi` times this plus
        the product with its weights.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Differences from the paper:

    1. It does not say how the box is found. Here, as in the authors' code, it runs from the least
       to the greatest projection of a training vector.
    2. Waves are sorted by :math:`k / (b_i - a_i)` among all frequencies up to :math:`r`. The
       authors' code lists fewer, which never leaves out one of the first :math:`r`.
    3. Directions without variance get no bits; the authors' code divides by their range.

    Waves across several directions are products of these in the paper, which leaves them out: as
    functions of the others they tell nothing new.

    A test vector outside the box is hashed by the wave that goes on there. Outliers widen the box,
    and with many bits, high frequencies part near vectors: scores may fall as bits are added.

    Fit takes O(n d^2 + d^3), encoding a vector O(d r). ``partial_fit`` takes the box of its sample.

    References
    ----------
    .. [1] Y. Weiss, A. Torralba and R. Fergus, 2008, "Spectral hashing", NIPS.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(0, 1, 9)[:, None]
    >>> SH(n_bits=2).fit(X).transform(X).T
    array([[1, 1, 1, 1, 1, 0, 0, 0, 0],
           [1, 1, 1, 0, 0, 0, 1, 1, 1]], dtype=uint8)
    """

    axes_: NDArray[np.int64]
    frequencies_: NDArray[np.int64]
    weights_: FloatArray
    bias_: FloatArray

    def __init__(self, n_bits: int = 32, *, random_state: Any = None) -> None:
        self.n_bits = n_bits
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        mean, directions = principal_directions(X, min(self.n_bits, *X.shape), rng)
        self._choose_waves(X, mean, directions)

    def _fit_stream(self, stream: Stream, rng: np.random.RandomState) -> None:  # noqa: ARG002
        rows, moments = stream.sample.rows, stream.moments
        directions = leading_directions(moments.covariance, min(self.n_bits, *rows.shape))
        self._choose_waves(rows, moments.mean, directions)

    def _choose_waves(
        self, X: FloatArray, mean: NDArray[np.float64], directions: NDArray[np.float64]
    ) -> None:
        """Fit the box around some rows, and take the slowest waves in it."""
        low, high = projected_box(X, mean, directions)
        self.axes_, self.frequencies_ = slowest_waves(high - low, self.n_bits)
        extents = (high - low)[self.axes_]
        scale = np.divide(self.frequencies_, extents, out=np.zeros(self.n_bits), where=extents > 0)
        W = scale[:, None] * directions[self.axes_]
        self.weights_ = W.astype(np.float32)
        self.bias_ = (-W @ mean - scale * low[self.axes_]).astype(np.float32)

    def _project(self, X: FloatArray) -> FloatArray:
        return waves(linear_values(X, self.weights_, self.bias_))


def projected_box(
    X: FloatArray, mean: NDArray[np.float64], directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the range of the centred rows along each direction.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Rows.
    mean : ndarray of shape (d,), float64
        What is subtracted from them.
    directions : ndarray of shape (n_directions, d), float64
        Unit vectors.

    Returns
    -------
    low : ndarray of shape (n_directions,), float64
        Least projections.
    high : ndarray of shape (n_directions,), float64
        Greatest projections.
    """
    low, high = np.full(len(directions), np.inf), np.full(len(directions), -np.inf)
    columns, shift = directions.T.astype(np.float32), mean.astype(np.float32)
    for projections in each_block(lambda rows: (X[rows] - shift) @ columns, *X.shape):
        low = np.minimum(low, projections.min(axis=0))
        high = np.maximum(high, projections.max(axis=0))
    moved = directions @ (shift - mean)
    return low + moved, high + moved


def slowest_waves(
    extents: NDArray[np.float64], n_waves: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    r"""Choose the waves of least eigenvalue.

    Parameters
    ----------
    extents : ndarray of shape (n_directions,), float64
        :math:`b_i - a_i`.
    n_waves : int
        How many.

    Returns
    -------
    axes : ndarray of shape (n_waves,), int64
        Direction of each, by rising :math:`k / (b_i - a_i)`; among equal ones the first direction.
    frequencies : ndarray of shape (n_waves,), int64
        Frequency :math:`k` of each, from 1.

    Examples
    --------
    >>> axes, frequencies = slowest_waves(np.array([4.0, 2.5]), 4)
    >>> [(int(axis), int(k)) for axis, k in zip(axes, frequencies)]
    [(0, 1), (1, 1), (0, 2), (0, 3)]
    """
    candidates = np.arange(1, n_waves + 1)
    shape = (len(extents), n_waves)
    slowness = np.divide(
        candidates, extents[:, None], out=np.full(shape, np.inf), where=extents[:, None] > 0
    )
    chosen = np.argsort(slowness, axis=None, kind="stable")[:n_waves]
    axes, columns = np.unravel_index(chosen, shape)
    return axes.astype(np.int64), candidates[columns].astype(np.int64)


def waves(phases: FloatArray) -> FloatArray:
    r"""Compute :math:`\cos \pi p` with a sign that no processor rounds differently.

    Parameters
    ----------
    phases : ndarray of shape (n, n_bits), float32
        Phases :math:`p` in half turns.

    Returns
    -------
    ndarray of shape (n, n_bits), float32
        Waves, from -1 to 1.

    Notes
    -----
    The phase is brought to an odd multiple of a half turn plus :math:`q \in [-1/2, 1/2]`, where
    the wave is :math:`\sin \pi q` and has the sign of :math:`q`; that takes no rounding. Only the
    size of the value depends on the library's sine.

    Examples
    --------
    >>> waves(np.float32([[0, 0.25, 0.5, 1, 1.5, 2]])).round(3)
    array([[ 1.   ,  0.707,  0.   , -1.   ,  0.   ,  1.   ]], dtype=float32)
    """
    turned = np.abs(np.mod(phases.astype(np.float64), 2.0) - 1.0) - 0.5
    return np.sin(np.pi * turned).astype(np.float32)
