"""SpH: spherical hashing."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from hashlearn.codes import Distance
from hashlearn.hashers.base import FloatArray
from hashlearn.hashers.streams import Stream, StreamHasher
from hashlearn.linear import squared_distances

_FARTHEST = 1e4
"""Centres farther out than this many times the farthest training vector: balls are half-spaces."""


class SpH(StreamHasher):
    r"""Hash by whether a vector lies inside of balls that each hold half of the data.

    Bit :math:`k` of a vector :math:`x` is

    .. math:: b_k = [\|x - c_k\| \le t_k],

    with :math:`c_k` the centre and :math:`t_k` the radius of ball :math:`k` [1]_. The radius is the
    median distance of the training vectors from the centre, so that each bit is 1 for half of them.
    With :math:`o_{ij}` the number of training vectors inside both ball :math:`i` and ball
    :math:`j`, bits are independent in pairs where :math:`o_{ij} = n / 4`. Centres that overlap more
    push each other away, those that overlap less attract each other:

    .. math:: c_i \leftarrow c_i + \frac{1}{r} \sum_j \frac{o_{ij} - n / 4}{2 \, n / 4} (c_i - c_j)

    for all of the :math:`r` centres at once, until the mean of :math:`|o_{ij} - n / 4|` and the
    standard deviation of :math:`o_{ij}` over all pairs are small. A common 1 says that two vectors
    are in the same ball, a common 0 only that both are outside of it, so codes are compared by the
    spherical Hamming distance, the bits that differ divided by the common ones.

    Parameters
    ----------
    n_bits : int, default=32
        Length of the code :math:`r`. Any number, also more than there are features.
    n_iter : int, default=200
        Moves of the centres, at most. Ours; the paper has no limit.
    mean_tolerance : float, default=0.1
        Largest mean of :math:`|o_{ij} - n / 4|`, as a share of :math:`n / 4`. Paper: 0.1.
    deviation_tolerance : float, default=0.15
        Largest standard deviation of :math:`o_{ij}`, as a share of :math:`n / 4`. Paper: 0.15.
    n_averaged : int, default=5
        Random training vectors whose mean a centre is at first. Released code: 5.
    random_state : int, RandomState instance or None, default=None
        Seed of the first centres.

    Attributes
    ----------
    centers_ : ndarray of shape (n_bits, n_features), float32
        Centres of the balls.
    squared_radii_ : ndarray of shape (n_bits,), float64
        :math:`t_k^2`.
    losses_ : ndarray of shape (n_moves + 1,), float64
        Mean of :math:`|o_{ij} - n / 4|` as a share of :math:`n / 4`, at first and after each move.
        It may rise in between.
    deviations_ : ndarray of shape (n_moves + 1,), float64
        Standard deviation of :math:`o_{ij}` as a share of :math:`n / 4`.
    converged_ : bool
        Whether both are within their tolerances. Data of which half is one point never get there.
    n_features_in_ : int
        Number of features in ``fit``.

    Notes
    -----
    Values before the sign are :math:`t_k^2 - \|x - c_k\|^2`.

    Differences from the paper: (1) the number of moves is limited, and moves end where centres run
    away, since some data let no balls overlap in a quarter; `converged_` tells. (2) A radius lies
    half-way between the two middle distances if :math:`n` is even. Of the public code, one version
    sets a bit to 1 *outside* of the ball, which leaves Hamming distances as they are and spoils
    spherical ones; none ends where the tolerances cannot be met.

    Centres stay linear combinations of the first ones, so a move costs O(n r^2) whatever the number
    of features is: fit takes O(n d r + n_iter n r^2), encoding a vector O(d r). ``partial_fit``
    learns from its sample.

    References
    ----------
    .. [1] J.-P. Heo, Y. Lee, J. He, S.-F. Chang and S.-E. Yoon, 2012, "Spherical hashing", CVPR.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 8))
    >>> hasher = SpH(n_bits=4, random_state=0).fit(X)
    >>> hasher.transform(X).mean(axis=0)
    array([0.5, 0.5, 0.5, 0.5])
    """

    distance: ClassVar[Distance] = "spherical"
    needs_covariance = False

    centers_: FloatArray
    squared_radii_: NDArray[np.float64]
    losses_: NDArray[np.float64]
    deviations_: NDArray[np.float64]
    converged_: bool

    def __init__(
        self,
        n_bits: int = 32,
        *,
        n_iter: int = 200,
        mean_tolerance: float = 0.1,
        deviation_tolerance: float = 0.15,
        n_averaged: int = 5,
        random_state: Any = None,
    ) -> None:
        self.n_bits = n_bits
        self.n_iter = n_iter
        self.mean_tolerance = mean_tolerance
        self.deviation_tolerance = deviation_tolerance
        self.n_averaged = n_averaged
        self.random_state = random_state

    def _fit(
        self,
        X: FloatArray,
        y: NDArray[Any] | None,  # noqa: ARG002
        rng: np.random.RandomState,
    ) -> None:
        check_scalar(self.n_iter, "n_iter", Integral, min_val=0)
        check_scalar(self.mean_tolerance, "mean_tolerance", Real, min_val=0)
        check_scalar(self.deviation_tolerance, "deviation_tolerance", Real, min_val=0)
        check_scalar(self.n_averaged, "n_averaged", Integral, min_val=1)
        mean = X.mean(axis=0, dtype=np.float64).astype(np.float32)
        rows = X - mean
        n_averaged = min(self.n_averaged, len(rows))
        start = np.stack([
            rows[rng.choice(len(rows), n_averaged, replace=False)].mean(axis=0, dtype=np.float64)
            for _ in range(self.n_bits)
        ])  # fmt: skip
        moved, errors = self._move(rows, start)
        self.losses_, self.deviations_ = errors.T
        self.converged_ = self._is_near(errors[-1])
        self.centers_ = (moved @ start + mean).astype(np.float32)
        self.squared_radii_ = np.median(squared_distances(X, self.centers_), axis=0)

    def _fit_stream(self, stream: Stream, rng: np.random.RandomState) -> None:
        self._fit(stream.sample.rows, None, rng)

    def _move(
        self, rows: FloatArray, start: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move the centres; give them as combinations of the first, and the errors on the way."""
        products = (start.astype(np.float32) @ rows.T).astype(np.float64)
        squares = np.square(rows).sum(axis=1, dtype=np.float64)
        gram = start @ start.T
        combination = np.eye(len(start))
        errors = []
        while True:
            # The squared distances but for the squared length of the centre, alike for all rows.
            overlaps = count_overlaps(squares - 2 * (combination @ products))
            errors.append(overlap_errors(overlaps, len(rows)))
            lengths = np.einsum("ij,jk,ik->i", combination, gram, combination)
            ran_away = lengths.max() > _FARTHEST**2 * squares.max()
            if self._is_near(errors[-1]) or len(errors) > self.n_iter or ran_away:
                return combination, np.array(errors)
            combination = move_centers(combination, overlaps, len(rows))

    def _is_near(self, errors: tuple[float, float] | NDArray[np.float64]) -> bool:
        return bool(errors[0] <= self.mean_tolerance and errors[1] <= self.deviation_tolerance)

    def _project(self, X: FloatArray) -> FloatArray:
        values = self.squared_radii_ - squared_distances(X, self.centers_)
        return values.astype(np.float32)


def count_overlaps(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Count the vectors inside each pair of balls that hold half of them each.

    Parameters
    ----------
    distances : ndarray of shape (r, n), float64
        Distances of each centre from the vectors, or what rises with them.

    Returns
    -------
    ndarray of shape (r, r), float64
        Overlaps; on the diagonal the vectors in each ball.

    Examples
    --------
    >>> count_overlaps(np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 2.0, 3.0, 1.0]]))
    array([[2., 1.],
           [1., 2.]])
    """
    inside = (distances <= np.median(distances, axis=1)[:, None]).astype(np.float32)
    return (inside @ inside.T).astype(np.float64)  # whole numbers: exact up to 2 ** 24


def overlap_errors(overlaps: NDArray[np.float64], n: int) -> tuple[float, float]:
    r"""Measure how far pairs of balls are from overlapping in a quarter of the vectors.

    Parameters
    ----------
    overlaps : ndarray of shape (r, r), float64
        Vectors in both balls, :math:`o_{ij}`.
    n : int
        Number of vectors.

    Returns
    -------
    mean : float
        Mean of :math:`|o_{ij} - n / 4|` over the pairs :math:`i < j`, divided by :math:`n / 4`.
    deviation : float
        Standard deviation of :math:`o_{ij}`, divided by :math:`n / 4`. Both are 0 without a pair.
    """
    shares = overlaps[np.triu_indices(len(overlaps), 1)] / (n / 4)
    return (float(np.abs(shares - 1).mean()), float(shares.std())) if len(shares) else (0.0, 0.0)


def move_centers(
    centers: NDArray[np.float64], overlaps: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    r"""Apply the forces between all pairs of centres once.

    Parameters
    ----------
    centers : ndarray of shape (r, d), float64
        Centres.
    overlaps : ndarray of shape (r, r), float64
        Vectors in both balls, :math:`o_{ij}`.
    n : int
        Number of vectors.

    Returns
    -------
    ndarray of shape (r, d), float64
        :math:`c_i + \frac{1}{r} \sum_j \frac{o_{ij} - n / 4}{2 \, n / 4} (c_i - c_j)`.
    """
    weights = (overlaps / (n / 4) - 1) / (2 * len(centers))
    np.fill_diagonal(weights, 0.0)
    return np.asarray(centers + weights.sum(axis=1)[:, None] * centers - weights @ centers)
