"""Labels as they stand in files, and the class numbers they become."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def number_labels(
    labels: Sequence[str] | NDArray[Any],
) -> tuple[NDArray[Any], tuple[str, ...] | None]:
    """Turn labels that are names into class numbers.

    Parameters
    ----------
    labels : sequence of str, or ndarray of shape (n,) or (n, n_labels)
        Names, or labels that are numbers already.

    Returns
    -------
    y : ndarray of shape (n,), int64; or `labels` unchanged where they are numbers
        The place of each name among the sorted names.
    label_names : tuple of str or None
        The sorted names; None where labels are numbers.

    Raises
    ------
    ValueError
        If names do not have the shape (n,).

    Examples
    --------
    >>> number_labels(["cat", "ant", "cat"])
    (array([1, 0, 1]), ('ant', 'cat'))
    """
    array = np.asarray(labels)
    if array.dtype.kind != "U":
        return array, None
    if array.ndim != 1:
        raise ValueError(f"labels that are names must have the shape (n,), got {array.shape}")
    names, y = np.unique(array, return_inverse=True)
    return y.astype(np.int64), tuple(names.tolist())
