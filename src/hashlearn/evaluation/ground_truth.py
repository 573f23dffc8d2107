"""Ground truth: which database items are relevant to a query, for a block of queries at a time.

Nothing here ever holds a matrix of all queries by all database items.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlearn.evaluation.conventions import (
    FloatArray,
    Gain,
    check_option,
    check_rank,
    summed_discounts,
)

_BLOCK_ENTRIES = 1 << 24
_MOST_SHARED = 16  # 2 ** 16 - 1 is the largest gain that fits


class GroundTruth(ABC):
    """Know which database items, numbered from 0, are relevant to each query.

    Attributes
    ----------
    n_queries : int
        Number of queries.
    n_database : int
        Number of database items.
    graded : bool
        Whether some relevant items are worth more than others.
    """

    n_queries: int
    n_database: int
    graded: bool = False

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

    def gains(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Say what each item is worth to a block of queries.

        Parameters
        ----------
        start : int
            First query.
        stop : int
            One past the last query.

        Returns
        -------
        ndarray of shape (stop - start, n_database), uint16
            Gains of discounted cumulative gain: 0 for an item that is not relevant, more for one
            that is; 1 unless relevance is graded.
        """
        return self.relevant(start, stop).astype(np.uint16)

    def ideal_dcg(self, k: int) -> FloatArray:
        """Compute the discounted cumulative gain of the best ranking of each query.

        Parameters
        ----------
        k : int
            Number of ranks, at least 1.

        Returns
        -------
        ndarray of shape (n_queries,), float64
            Sums of gain / log2(1 + rank) over the first k ranks, the largest gains first.

        Raises
        ------
        ValueError
            If k is below 1.

        Notes
        -----
        It looks at the gains of all pairs once, and is kept: many methods are judged against one
        ground truth.
        """
        check_rank(k)
        k = min(k, self.n_database)
        if k not in self._ideal_dcgs:
            discounts = np.diff(summed_discounts(k))
            rows = max(1, _BLOCK_ENTRIES // self.n_database)
            parts = []
            for start in range(0, self.n_queries, rows):
                gains = self.gains(start, min(start + rows, self.n_queries))
                largest = np.partition(gains, self.n_database - k, axis=1)[:, -k:]
                parts.append(np.sort(largest, axis=1)[:, ::-1] @ discounts)
            self._ideal_dcgs[k] = np.concatenate(parts)
        return self._ideal_dcgs[k]

    @cached_property
    def _ideal_dcgs(self) -> dict[int, FloatArray]:
        return {}


class LabelTruth(GroundTruth):
    """Call an item relevant if it shares a label with the query.

    Parameters
    ----------
    query_labels : array-like of shape (q,) or (q, n_labels), int
        Class numbers, or one 0/1 column a label.
    database_labels : array-like of shape (n,) or (n, n_labels), int
        Likewise. Class numbers below 0 mark unlabelled items, which are relevant to nothing.
    gain : {"exponential", "linear", "binary"}, default="exponential"
        What an item is worth that shares r labels with the query: 2^r - 1, r, or 1.

    Raises
    ------
    ValueError
        If the two have different kinds of labels, are empty, or 0/1 labels hold another number.

    Examples
    --------
    >>> LabelTruth([1, 2], [2, 1, 1]).relevant(0, 2)
    array([[False,  True,  True],
           [ True, False, False]])
    >>> LabelTruth([[1, 1, 0]], [[1, 1, 1], [0, 1, 0], [0, 0, 1]]).gains(0, 1)
    array([[3, 1, 0]], dtype=uint16)
    """

    def __init__(
        self,
        query_labels: ArrayLike,
        database_labels: ArrayLike,
        gain: Gain = "exponential",
    ) -> None:
        check_option("gain", gain, ("exponential", "linear", "binary"))
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
        if queries.ndim == 1:
            queries, database = _class_numbers(queries, database)
        self._queries, self._database, self._gain = queries, database, gain
        self.n_queries, self.n_database = len(queries), len(database)
        self.graded = queries.ndim == 2 and gain != "binary"

    def relevant(self, start: int, stop: int) -> NDArray[np.bool_]:  # noqa: D102 - inherited
        block = self._queries[start:stop]
        if block.ndim == 1:
            return np.asarray(block[:, None] == self._database)
        return np.asarray(self._shared(block) > 0)

    def gains(self, start: int, stop: int) -> NDArray[np.uint16]:
        """Say what each item is worth to a block of queries.

        Parameters
        ----------
        start : int
            First query.
        stop : int
            One past the last query.

        Returns
        -------
        ndarray of shape (stop - start, n_database), uint16
            2^r - 1, r or 1 for an item that shares r labels, as `gain` says; 0 for r = 0.

        Raises
        ------
        ValueError
            If an item shares more than 16 labels and the gain is exponential.
        """
        if not self.graded:
            return super().gains(start, stop)
        shared = self._shared(self._queries[start:stop]).astype(np.uint16)
        if self._gain == "linear":
            return shared
        if (most := int(shared.max(initial=0))) > _MOST_SHARED:
            raise ValueError(
                f"two items share {most} labels; exponential gains are for {_MOST_SHARED} at most, "
                "take gain='linear' or 'binary'"
            )
        return np.asarray((1 << np.arange(_MOST_SHARED + 1)) - 1, np.uint16)[shared]

    def _shared(self, block: NDArray[np.integer]) -> NDArray[np.float32]:
        return np.asarray(block.astype(np.float32) @ self._database.T.astype(np.float32))


def _class_numbers(
    queries: NDArray[np.integer], database: NDArray[np.integer]
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Renumber the classes in as few bytes as will do: every query is compared with all."""
    both = np.concatenate([queries.astype(np.int64), database.astype(np.int64)])
    classes, numbers = np.unique(both, return_inverse=True)
    numbers = numbers.astype(np.min_scalar_type(len(classes) + 1))
    left, right = numbers[: len(queries)], numbers[len(queries) :]
    left[queries < 0], right[database < 0] = len(classes), len(classes) + 1  # relevant to nothing
    return left, right


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

    def nearest(self, k: int) -> "NeighborTruth":
        """Keep only the first items of each list.

        From one search for 1,000 neighbours, nearest first, follow the ground truths of the
        published curves R-1, R-10, R-100 and R-1K.

        Parameters
        ----------
        k : int
            Items to keep, from 1 to the length of the lists.

        Returns
        -------
        NeighborTruth
            The first k items of each list, in their order, are relevant.

        Raises
        ------
        ValueError
            If k is out of range.

        Examples
        --------
        >>> NeighborTruth([[2, 0, 3]], 4).nearest(2).relevant(0, 1)
        array([[ True, False,  True, False]])
        """
        if not 1 <= k <= self.ids.shape[1]:
            raise ValueError(f"k must be from 1 to {self.ids.shape[1]}, got {k}")
        return NeighborTruth(self.ids[:, :k], self.n_database)


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
    Squared distances are computed in float64, so they are exact for pixels, in blocks of queries
    and of database vectors: beside the vectors as they came, memory stays bounded.

    Examples
    --------
    >>> euclidean_neighbors([[0.0]], [[3.0], [-1.0], [1.0]], 2)
    array([[1, 2]])
    """
    left, right = np.asarray(queries), np.asarray(database)
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(
            f"vectors must have the shapes (q, d) and (n, d), got {left.shape} and {right.shape}"
        )
    if not 1 <= n_neighbors <= len(right):
        raise ValueError(f"n_neighbors must be from 1 to {len(right)}, got {n_neighbors}")
    columns = min(len(right), max(1, _BLOCK_ENTRIES // max(1, right.shape[1])))
    rows = max(1, _BLOCK_ENTRIES // max(columns, right.shape[1]))
    norms = np.concatenate([np.einsum("nd,nd->n", x, x) for _, x in _blocks(right, columns)])
    finite = (np.isfinite(block).all() for _, block in _blocks(left, rows))
    if not (np.isfinite(norms).all() and all(finite)):
        raise ValueError("vectors hold NaN or infinity")
    found = np.empty((len(left), n_neighbors), dtype=np.int64)
    for start, asking in _blocks(left, rows):
        ids = np.empty((len(asking), 0), dtype=np.int64)
        kept = np.empty((len(asking), 0))
        for first, block in _blocks(right, columns):
            # |x - q|^2 without |q|^2, which is the same for all items.
            values = norms[first : first + len(block)] - 2.0 * (asking @ block.T)
            # What was kept has smaller numbers and comes first: ties stay in the order of numbers.
            values = np.concatenate([kept, values], axis=1)
            k = min(n_neighbors, values.shape[1])
            best = np.stack([_smallest(row, k) for row in values])
            fresh = np.broadcast_to(np.arange(first, first + len(block)), (len(ids), len(block)))
            ids = np.take_along_axis(np.concatenate([ids, fresh], axis=1), best, axis=1)
            kept = np.take_along_axis(values, best, axis=1)
        found[start : start + len(ids)] = ids
    return found


def _blocks(X: NDArray[Any], rows: int) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Give the first row and the float64 values of one block of rows after another."""
    for start in range(0, len(X), rows):
        yield start, np.asarray(X[start : start + rows], np.float64)


def _smallest(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Find the positions of the k smallest values in the order (value, position)."""
    bound = np.partition(values, k - 1)[k - 1]
    candidates = np.flatnonzero(values <= bound)
    order = np.argsort(values[candidates], kind="stable")[:k]
    return candidates[order]
