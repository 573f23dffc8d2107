"""Labels as methods compute with them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def indicator_matrix(y: NDArray[Any]) -> NDArray[np.float64]:
    """Turn labels into a matrix that says which rows have which.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_labels), any
        One class a row, -1 (or any number below 0) for a row without one; or 0 and 1 for every
        label.

    Returns
    -------
    ndarray of shape (n, n_labels), float64
        0 and 1; a column a class, in the order of their sorted names. Zeros for a row without one.

    Raises
    ------
    ValueError
        If all rows have the same class, or a matrix holds anything but 0 and 1.

    Examples
    --------
    >>> indicator_matrix(np.array([7, 3, 7]))
    array([[0., 1.],
           [1., 0.],
           [0., 1.]])
    """
    if y.ndim == 2:
        if not np.isin(y, (0, 1)).all():
            raise ValueError("a matrix of labels must hold 0 and 1 only")
        return y.astype(np.float64)
    known = y >= 0 if y.dtype.kind in "if" else np.ones(len(y), dtype=bool)
    classes, numbers = np.unique(y[known], return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"labels must be of 2 classes or more, got {len(classes)}")
    indicators = np.zeros((len(y), len(classes)))
    indicators[np.flatnonzero(known), numbers] = 1
    return indicators


def known_labels(y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Turn the labels of the rows that have any into a matrix.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, n_labels), any
        Labels, as :func:`indicator_matrix` takes them.

    Returns
    -------
    Y : ndarray of shape (n_labelled, n_labels), float64
        0 and 1; every row has a 1.
    labelled : ndarray of shape (n,), bool
        Which rows these are.

    Raises
    ------
    ValueError
        If all labelled rows have the same labels, or a matrix holds anything but 0 and 1.

    Examples
    --------
    >>> known_labels(np.array([0, -1, 1]))[0]
    array([[1., 0.],
           [0., 1.]])
    """
    Y = indicator_matrix(y)
    labelled = np.asarray(Y.any(axis=1))
    n_sets = len(np.unique(Y[labelled], axis=0))
    if n_sets < 2:
        raise ValueError(
            f"labels must be of 2 classes or more, got {n_sets}: {labelled.sum()} of {len(Y)} "
            "items are labelled"
        )
    return Y[labelled], labelled
