"""Rotations of projected vectors towards the corners of the binary cube."""

import numpy as np
from numpy.typing import NDArray

from hashlearn.hashers.blocks import each_block


def random_rotation(size: int, rng: np.random.RandomState) -> NDArray[np.float64]:
    """Draw an orthogonal matrix.

    Parameters
    ----------
    size : int
        Its rows and columns.
    rng : RandomState
        Source.

    Returns
    -------
    ndarray of shape (size, size), float64
        Orthogonal matrix.
    """
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def learn_rotation(
    V: NDArray[np.floating], start: NDArray[np.float64], n_iter: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Find the rotation of least quantisation error by alternation.

    Parameters
    ----------
    V : ndarray of shape (n, r), float32 or float64
        Projected training vectors. Products are computed in this precision.
    start : ndarray of shape (r, r), float64
        First rotation.
    n_iter : int
        Rounds at most: they end when one does not lower the error.

    Returns
    -------
    R : ndarray of shape (r, r), float64
        Orthogonal matrix.
    losses : ndarray of shape (n_iter + 1,), float64
        :math:`\|sgn(V R) - V R\|_F^2 / n` before the first and after each round; the last value
        again for rounds that there were not.
    """
    squares = float(np.einsum("ij,ij", V, V, dtype=np.float64))
    sums = V.sum(axis=0, dtype=np.float64)
    R, C = start, sign_products(V, sums, start)
    losses = np.full(n_iter + 1, quantization_loss(V.shape, squares, C, R))
    for iteration in range(1, n_iter + 1):
        U, _, Wt = np.linalg.svd(C)
        new = Wt.T @ U.T
        products = sign_products(V, sums, new)
        loss = quantization_loss(V.shape, squares, products, new)
        if loss >= losses[iteration - 1]:
            break
        R, C = new, products
        losses[iteration:] = loss
    return R, losses


def sign_products(
    V: NDArray[np.floating], sums: NDArray[np.float64], R: NDArray[np.float64]
) -> NDArray[np.float64]:
    r"""Multiply the codes of a rotation with the projections.

    Parameters
    ----------
    V : ndarray of shape (n, r), float32 or float64
        Projected training vectors.
    sums : ndarray of shape (r,), float64
        Sums of their columns.
    R : ndarray of shape (r, r), float64
        Rotation.

    Returns
    -------
    ndarray of shape (r, r), float64
        :math:`B^T V` with :math:`B = sgn(V R)`, by way of :math:`B = 2 [V R \ge 0] - 1`. Products
        of blocks of rows are of the precision of `V`, their sums of double precision.
    """
    turned = R.astype(V.dtype)

    def product(rows: slice) -> NDArray[np.floating]:
        positive = (V[rows] @ turned >= 0).astype(V.dtype)
        return np.asarray(positive.T @ V[rows])

    total = np.zeros(R.shape)
    for part in each_block(product, *V.shape):
        total += part
    return 2 * total - sums


def quantization_loss(
    shape: tuple[int, ...], squares: float, C: NDArray[np.float64], R: NDArray[np.float64]
) -> float:
    r"""Compute the mean squared distance of the rotated projections from their codes.

    Parameters
    ----------
    shape : tuple of int
        That of :math:`V`, (n, r).
    squares : float
        :math:`\|V\|_F^2`.
    C : ndarray of shape (r, r), float64
        :math:`B^T V`.
    R : ndarray of shape (r, r), float64
        Rotation.

    Returns
    -------
    float
        :math:`\|B - V R\|_F^2 / n = r + (\|V\|_F^2 - 2 tr(B^T V R)) / n`.
    """
    n, r = shape
    return r + (squares - 2 * float(np.sum(C * R.T))) / n
