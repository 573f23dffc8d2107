"""Directions to project on: those of most variance, and those that labels agree with most."""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, solve
from sklearn.decomposition import PCA

from hashlearn.hashers.blocks import each_block
from hashlearn.hashers.moments import Moments

Matrix = NDArray[np.float64]

_WIDEST = 2048
"""Features up to which a covariance matrix is quick to make and to decompose."""

_NO_CORRELATION = 1e-10
"""Squares of canonical correlations up to this are rounding."""


def principal_directions(
    X: NDArray[np.float32], n_directions: int, rng: np.random.RandomState
) -> tuple[Matrix, Matrix]:
    """Find the mean of rows and their directions of most variance.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Rows.
    n_directions : int
        How many, at most min(n, d).
    rng : RandomState
        Source of the first guess where the directions are not computed exactly.

    Returns
    -------
    mean : ndarray of shape (d,), float64
        Mean of the rows.
    directions : ndarray of shape (n_directions, d), float64
        Perpendicular unit vectors by falling variance; the largest entry of each is positive.

    Notes
    -----
    Up to 2,048 features by the covariance matrix in double precision, O(n d^2 + d^3); up to as many
    samples by the singular value decomposition of the rows. Both are exact. Where there are more of
    both, randomised in single precision, O(n d n_directions).
    """
    n, d = X.shape
    if d <= _WIDEST:
        moments = Moments(d).update(X)
        return moments.mean, leading_directions(moments.covariance, n_directions)
    solver = "full" if n <= _WIDEST else "randomized"
    pca = PCA(n_directions, svd_solver=solver, random_state=rng).fit(X)
    return pca.mean_.astype(np.float64), pca.components_.astype(np.float64)


def leading_directions(covariance: Matrix, n_directions: int) -> Matrix:
    """Find the eigenvectors of the largest eigenvalues.

    Parameters
    ----------
    covariance : ndarray of shape (d, d), float64
        Symmetric matrix.
    n_directions : int
        How many, at most d.

    Returns
    -------
    ndarray of shape (n_directions, d), float64
        Perpendicular unit vectors by falling eigenvalue; the largest entry of each is positive.
    """
    vectors = np.linalg.eigh(covariance)[1][:, ::-1]
    return _with_signs(vectors[:, :n_directions].T)


def canonical_directions(
    X: NDArray[np.float32], Y: Matrix, n_directions: int, regularisation: float
) -> tuple[Matrix, Matrix]:
    r"""Find the directions of rows that correlate most with their labels.

    With covariances :math:`C`, the leading solutions of

    .. math:: C_{xy} (C_{yy} + \rho_y I)^{-1} C_{yx} w = \lambda^2 (C_{xx} + \rho_x I) w,
              w^T (C_{xx} + \rho_x I) w = 1,

    each times its canonical correlation :math:`\lambda`.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Rows.
    Y : ndarray of shape (n, n_labels), float64
        Labels, 0 or 1.
    n_directions : int
        How many at most.
    regularisation : float
        :math:`\rho` over the mean variance of the features, and of the labels.

    Returns
    -------
    mean : ndarray of shape (d,), float64
        Mean of the rows.
    directions : ndarray of shape (n_found, d), float64
        By falling correlation; the largest entry of each is positive. There are no more than
        labels, one less if each row has exactly one of them, and none of correlation 0.
    """
    moments = Moments(X.shape[1]).update(X)
    centred = Y - Y.mean(axis=0)
    cross = np.zeros((X.shape[1], Y.shape[1]))
    for part in each_block(lambda rows: (X[rows] - moments.mean).T @ centred[rows], *X.shape):
        cross += part
    cross /= max(1, len(X) - 1)
    within = _regularised(moments.covariance, regularisation)
    labels = _regularised(centred.T @ centred / max(1, len(X) - 1), regularisation)
    explained = cross @ solve(labels, cross.T, assume_a="pos")
    d, n_found = len(within), min(n_directions, Y.shape[1], X.shape[1])
    squares, vectors = eigh(explained, within, subset_by_index=[d - n_found, d - 1])
    correlated = squares[::-1] > _NO_CORRELATION
    scaled = (vectors * np.sqrt(np.maximum(squares, 0))).T[::-1]
    return moments.mean, _with_signs(scaled[correlated])


def _regularised(covariance: Matrix, regularisation: float) -> Matrix:
    """Add to the diagonal a share of its mean, or of 1 where nothing varies."""
    size = len(covariance)
    mean = float(np.trace(covariance)) / size
    return covariance + regularisation * (mean or 1.0) * np.eye(size)


def _with_signs(directions: Matrix) -> Matrix:
    """Turn each direction so that its entry of the largest size is positive."""
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])
    return np.asarray(directions * signs[:, None])
