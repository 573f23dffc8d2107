"""Ground truth: which database items are relevant to a query, for a block of queries at a time.

Nothing here ever holds a matrix of all queries by all database items.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray

_BLOCK_ENTRIES = 1 << 24


class GroundTruth(ABC):
    """Know which database items, numbered from 0, are relevant to each query.

    Attributes
    ----------
    n_queries : int
        Number of queries.
    n_database : int
        Number of database items.
    """

    n_queries: int
    n_database: int

    @abstractmethod
    def relevant(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Mark the relevant items of a block of queries.

        Parameters
        ----------
        start : int
            First query.
        stop : int
            One past the last query.

        Returns
        -------
        ndarray of shape (stop - start, n_database), bool
            Whether each item is relevant to each query.
        """


class LabelTruth(GroundTruth):
    """Call an item relevant if it shares a label with the query.

    Parameters
    ----------
    query_labels : array-like of shape (q,) or (q, n_labels), int
        Class numbers, or one 0/1 column a label.
    database_labels : array-like of shape (n,) or (n, n_labels), int
        Likewise. Class numbers below 0 mark unlabelled items, which are relevant to nothing.

    Raises
    ------
    ValueError
        If the two have different kinds of labels, are empty, or 0/1 labels hold another number.

    Examples
    --------
    >>> LabelTruth([1, 2], [2, 1, 1]).relevant(0, 2)
    array([[False,  True,  True],
           [ True, False, False]])
    """

    def __init__(self, query_labels: ArrayLike, database_labels: ArrayLike) -> None:
        queries, database = np.asarray(query_labels), np.asarray(database_labels)
        for name, labels in (("query_labels", queries), ("database_labels", database)):
            if labels.ndim not in (1, 2) or not labels.size:
                raise ValueError(f"{name} must have the shape (n,) or (n, n_labels), none empty")
            if labels.dtype.kind not in "iub":
                raise ValueError(f"{name} must be whole numbers, got {labels.dtype}")
            if labels.ndim == 2 and not np.isin(labels, (0, 1)).all():
                raise ValueError(f"{name} of shape (n, n_labels) must hold only 0 and 1")
        if queries.shape[1:] != database.shape[1:]:
            raise ValueError(
                f"labels of shapes {queries.shape} and {database.shape} cannot be compared"
            )
        self._queries, self._database = queries, database
        self.n_queries, self.n_database = len(queries), len(database)

    def relevant(self, start: int, stop: int) -> NDArray[np.bool_]:  # noqa: D102 - inherited
        block = self._queries[start:stop]
        if block.ndim == 1:
            return np.asarray((block[:, None] == self._database) & (block[:, None] >= 0))
        return np.asarray(block.astype(np.float32) @ self._database.T.astype(np.float32) > 0)


class NeighborTruth(GroundTruth):
    """Call an item relevant if it is in the query's list.

    Parameters
    ----------
    ids : array-like of shape (q, k), int
        Relevant items of each query, numbered from 0; -1 fills unused places.
    n_database : int
        Number of database items.

    Raises
    ------
    ValueError
        If an id is outside the database or a list names an item twice.

    Examples
    --------
    >>> NeighborTruth([[2, 0]], 4).relevant(0, 1)
    array([[ True, False,  True, False]])
    """

    def __init__(self, ids: ArrayLike, n_database: int) -> None:
        array = np.asarray(ids)
        if array.ndim != 2 or array.dtype.kind not in "iu" or not array.size:
            raise ValueError(f"ids must be whole numbers of shape (q, k), got {array.shape}")
        if array.min() < -1 or array.max() >= n_database:
            raise ValueError(
                f"ids must lie from 0 to {n_database - 1}, got {array.min()} to {array.max()}"
            )
        ordered = np.sort(array, axis=1)
        if ((np.diff(ordered, axis=1) == 0) & (ordered[:, 1:] >= 0)).any():
            raise ValueError("a query's list names an item twice")
        self.ids = array
        self.n_queries, self.n_database = len(array), int(n_database)

    def relevant(self, start: int, stop: int) -> NDArray[np.bool_]:  # noqa: D102 - inherited
        block = self.ids[start:stop]
        marks = np.zeros((len(block), self.n_database + 1), dtype=bool)  # the last column takes -1
        np.put_along_axis(marks, block, True, axis=1)
        return marks[:, :-1]


def euclidean_neighbors(
    queries: ArrayLike, database: ArrayLike, n_neighbors: int
) -> NDArray[np.int64]:
    """Find the exact nearest items of each query by Euclidean distance.

    Parameters
    ----------
    queries : array-like of shape (q, d), float
        Query vectors.
    database : array-like of shape (n, d), float
        Database vectors.
    n_neighbors : int
        Items to find for each query, from 1 to n.

    Returns
    -------
    ndarray of shape (q, n_neighbors), int64
        Items in the order (distance, number).

    Raises
    ------
    ValueError
        If shapes do not match, a value is not finite, or `n_neighbors` is not from 1 to n.

    Notes
    -----
    Squared distances are computed in float64, in blocks of queries, so they are exact for pixels
    and the memory stays bounded.

    Examples
    --------
    >>> euclidean_neighbors([[0.0]], [[3.0], [-1.0], [1.0]], 2)
    array([[1, 2]])
    """
    left, right = np.asarray(queries, np.float64), np.asarray(database, np.float64)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(
            f"vectors must have the shapes (q, d) and (n, d), got {left.shape} and {right.shape}"
        )
    if not 1 <= n_neighbors <= len(right):
        raise ValueError(f"n_neighbors must be from 1 to {len(right)}, got {n_neighbors}")
    norms = np.einsum("nd,nd->n", right, right)
    if not (np.isfinite(norms).all() and np.isfinite(left).all()):
        raise ValueError("vectors hold NaN or infinity")
    found = np.empty((len(left), n_neighbors), dtype=np.int64)
    rows = max(1, _BLOCK_ENTRIES // len(right))
    for start in range(0, len(left), rows):
        block = left[start : start + rows]
        # |x - q|^2 without |q|^2, which is the same for all items.
        distances = norms - 2.0 * (block @ right.T)
        for row, values in enumerate(distances, start=start):
            found[row] = _smallest(values, n_neighbors)
    return found


def _smallest(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Find the positions of the k smallest values in the order (value, position)."""
    bound = np.partition(values, k - 1)[k - 1]
    candidates = np.flatnonzero(values <= bound)
    order = np.argsort(values[candidates], kind="stable")[:k]
    return candidates[order]
