"""Mean and covariance of rows that arrive in batches."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers.blocks import each_block


class Moments:
    r"""Sum up rows of single precision in double precision, batch by batch.

    Two parts of :math:`n_a` and :math:`n_b` rows are joined exactly [1]_, with
    :math:`\delta = m_b - m_a`, means :math:`m` and scatters
    :math:`S = \sum_i (x_i - m)(x_i - m)^T`:

    .. math:: m = m_a + \tfrac{n_b}{n_a + n_b} \delta,
              S = S_a + S_b + \tfrac{n_a n_b}{n_a + n_b} \delta \delta^T,

    so that the sizes of the batches matter to rounding alone. No squares of rows far from the
    origin are subtracted from one another.

    Parameters
    ----------
    n_features : int
        Length of a row.
    covariance : bool, default=True
        Whether to sum up the scatter too: 8 d^2 bytes, O(d^2) operations a row. Without it there
        is the mean alone.

    Attributes
    ----------
    n : int
        Rows so far.
    mean : ndarray of shape (n_features,), float64
        Their mean.
    scatter : ndarray of shape (n_features, n_features) or (0, 0), float64
        Their scatter :math:`S`.

    References
    ----------
    .. [1] T. Chan, G. Golub and R. LeVeque, 1983, "Algorithms for computing the sample variance:
       analysis and recommendations", The American Statistician.

    Examples
    --------
    >>> X = np.float32([[0, 0], [2, 0], [4, 6]])
    >>> moments = Moments(2).update(X[:1]).update(X[1:])
    >>> moments.mean
    array([2., 2.])
    >>> moments.covariance
    array([[ 4.,  6.],
           [ 6., 12.]])
    """

    def __init__(self, n_features: int, covariance: bool = True) -> None:
        size = n_features if covariance else 0
        self.n = 0
        self.mean = np.zeros(n_features)
        self.scatter = np.zeros((size, size))

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Scatter over n - 1, or over 1 where there is one row."""
        return self.scatter / max(1, self.n - 1)

    def update(self, X: NDArray[np.float32]) -> Self:
        """Add a batch.

        Parameters
        ----------
        X : ndarray of shape (n_batch, n_features), float32
            Rows, at least one. Read in blocks, never copied whole, so that they may be mapped from
            a file.

        Returns
        -------
        Self
            The moments of all rows so far.
        """
        mean = X.mean(axis=0, dtype=np.float64)
        step = mean - self.mean
        total = self.n + len(X)
        if self.scatter.size:
            for part in each_block(lambda rows: _gram(X[rows] - mean), *X.shape):
                self.scatter += part
            self.scatter += np.outer(step, step * (self.n * len(X) / total))
        self.mean = self.mean + step * (len(X) / total)
        self.n = total
        return self


def _gram(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows.T @ rows  # NumPy sees that both are one, and computes half of it
