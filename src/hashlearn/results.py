"""What a search returns. The order is always (distance, id): nearest first, ties by smaller id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NO_ID = -1
"""Id that fills the places for which there was no item."""

_PAIRS_AT_ONCE = 1 << 22


@dataclass(frozen=True, eq=False)
class Neighbors:
    """Hold the k nearest items of each query.

    Parameters
    ----------
    ids : ndarray of shape (q, k), int64
        Ids in the order (distance, id). Where there were fewer than k items: -1.
    distances : ndarray of shape (q, k), int32
        Hamming distances in bits. Where there were fewer than k items: ``n_bits + 1``.

    Raises
    ------
    TypeError
        If the arrays do not hold integers.
    ValueError
        If the two arrays differ in shape or are not matrices.

    Examples
    --------
    >>> found = Neighbors(np.array([[7, 2]]), np.array([[0, 3]]))
    >>> found.k
    2
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.int32]

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.distances.shape:
            raise ValueError(
                "ids and distances must have the same shape (q, k), "
                f"got {self.ids.shape} and {self.distances.shape}"
            )
        object.__setattr__(self, "ids", _frozen(self.ids, np.int64, "ids"))
        object.__setattr__(self, "distances", _frozen(self.distances, np.int32, "distances"))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def k(self) -> int:
        """Number of places for each query."""
        return int(self.ids.shape[1])


@dataclass(frozen=True, eq=False)
class RadiusNeighbors:
    """Hold all items within a radius of each query, one query after the other.

    Parameters
    ----------
    ids : ndarray of shape (n_found,), int64
        Ids, for each query in the order (distance, id).
    distances : ndarray of shape (n_found,), int32
        Hamming distances in bits.
    offsets : ndarray of shape (q + 1,), int64
        Items of query i are at positions ``offsets[i]`` to ``offsets[i + 1]``, the last excluded.

    Raises
    ------
    TypeError
        If the arrays do not hold integers.
    ValueError
        If the arrays do not belong together.

    Examples
    --------
    >>> found = RadiusNeighbors(np.array([7, 2, 7]), np.array([0, 3, 1]), np.array([0, 2, 3]))
    >>> [ids.tolist() for ids, distances in found]
    [[7, 2], [7]]
    """

    ids: NDArray[np.int64]
    distances: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        fits = (
            self.ids.ndim == self.offsets.ndim == 1
            and self.ids.shape == self.distances.shape
            and len(self.offsets) >= 1
            and self.offsets[0] == 0
            and self.offsets[-1] == len(self.ids)
            and bool((self.offsets[1:] >= self.offsets[:-1]).all())
        )
        if not fits:
            raise ValueError(
                "ids and distances must be flat and equally long, and offsets must rise from 0 to "
                f"their length; got {self.ids.shape}, {self.distances.shape}, {self.offsets.shape}"
            )
        object.__setattr__(self, "ids", _frozen(self.ids, np.int64, "ids"))
        object.__setattr__(self, "distances", _frozen(self.distances, np.int32, "distances"))
        object.__setattr__(self, "offsets", _frozen(self.offsets, np.int64, "offsets"))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, query: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        if not -len(self) <= query < len(self):
            raise IndexError(f"there are {len(self)} queries, got number {query}")
        query %= len(self)
        part = slice(self.offsets[query], self.offsets[query + 1])
        return self.ids[part], self.distances[part]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        return (self[query] for query in range(len(self)))


@dataclass(frozen=True, eq=False)
class DistanceCounts:
    """Hold how many items lie at each distance from each query, and how many are relevant.

    A ranking by Hamming distance is full of ties. These counts describe it completely but for the
    order of tied items, so every metric that does not depend on that order follows from them.

    Parameters
    ----------
    retrieved : ndarray of shape (q, n_levels), int64
        Items at the distances 0, 1, 2, ... from each query.
    hits : ndarray of shape (q, n_levels), int64
        The relevant ones among them.
    gains : ndarray of shape (q, n_levels), int64, default=None
        The sum of their gains, where relevance is graded. None says that a relevant item gains 1.
    levels : ndarray of shape (n_levels,), float64, default=None
        The distances, rising, where they are not 0, 1, 2, ...: those of another distance than
        Hamming's. The last may be infinite.

    Raises
    ------
    TypeError
        If an array does not hold whole numbers.
    ValueError
        If the arrays are not matrices of one shape, a number is negative, a distance has more
        relevant items than items, or the levels are of another number or do not rise.

    Examples
    --------
    >>> counts = DistanceCounts(np.array([[1, 0, 3]]), np.array([[1, 0, 2]]))
    >>> len(counts), counts.n_levels
    (1, 3)
    """

    retrieved: NDArray[np.int64]
    hits: NDArray[np.int64]
    gains: NDArray[np.int64] | None = None
    levels: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        names = ("retrieved", "hits") if self.gains is None else ("retrieved", "hits", "gains")
        shapes = {np.shape(getattr(self, name)) for name in names}
        if len(shapes) != 1 or self.retrieved.ndim != 2:
            raise ValueError(f"counts need matrices of one shape (q, n_levels), got {shapes}")
        for name in names:
            object.__setattr__(self, name, _frozen(getattr(self, name), np.int64, name))
            if getattr(self, name).min(initial=0) < 0:
                raise ValueError(f"{name} holds a negative number")
        if (self.hits > self.retrieved).any():
            raise ValueError("a distance has more relevant items than items")
        if self.levels is not None:
            levels = np.asarray(self.levels, dtype=np.float64)
            if levels.shape != self.retrieved.shape[1:] or not (levels[1:] > levels[:-1]).all():
                raise ValueError(
                    f"levels must be {self.n_levels} rising distances, got the shape {levels.shape}"
                )
            object.__setattr__(self, "levels", levels)

    def __len__(self) -> int:
        return len(self.retrieved)

    @property
    def n_levels(self) -> int:
        """Number of distances: 0 to ``n_levels - 1``, or those of `levels`."""
        return int(self.retrieved.shape[1])


@dataclass(frozen=True, eq=False)
class Pairs:
    """Hold pairs of items that are near each other, each pair once.

    Parameters
    ----------
    first_ids : ndarray of shape (n_pairs,), int64
        The smaller id of each pair, rising.
    second_ids : ndarray of shape (n_pairs,), int64
        The larger id; for one first id in the order (distance, id).
    distances : ndarray of shape (n_pairs,), int32
        Hamming distances in bits.

    Raises
    ------
    ValueError
        If the arrays are not flat and equally long.
    TypeError
        If they are not whole numbers.

    Examples
    --------
    >>> near = Pairs(np.array([0, 0]), np.array([2, 1]), np.array([1, 3]))
    >>> len(near)
    2
    """

    first_ids: NDArray[np.int64]
    second_ids: NDArray[np.int64]
    distances: NDArray[np.int32]

    def __post_init__(self) -> None:
        shapes = self.first_ids.shape, self.second_ids.shape, self.distances.shape
        if len(set(shapes)) != 1 or self.first_ids.ndim != 1:
            raise ValueError(f"pairs need three flat arrays of one length, got the shapes {shapes}")
        for name, dtype in (
            ("first_ids", np.int64),
            ("second_ids", np.int64),
            ("distances", np.int32),
        ):
            object.__setattr__(self, name, _frozen(getattr(self, name), dtype, name))

    def __len__(self) -> int:
        return len(self.first_ids)


def group_pairs(parts: Iterable[Pairs]) -> list[NDArray[np.int64]]:
    """Join pairs into groups: items that a chain of pairs connects.

    Parameters
    ----------
    parts : iterable of Pairs
        Some pairs at a time.

    Returns
    -------
    list of ndarray of shape (n_items,), int64
        Ids of each group, rising; groups in the order of their first ids. Items without a pair are
        in none.

    Notes
    -----
    Two items of a group may be farther from each other than those of any pair. Memory grows with
    the number of items, not of pairs.

    Examples
    --------
    >>> near = Pairs(np.array([1, 2, 7]), np.array([2, 5, 9]), np.array([0, 3, 1]))
    >>> [group.tolist() for group in group_pairs([near])]
    [[1, 2, 5], [7, 9]]
    """
    ids, group_of = np.empty(0, np.int64), np.empty(0, np.int64)
    waiting: list[NDArray[np.int64]] = []
    n_waiting = 0
    for part in parts:
        waiting.append(np.stack([part.first_ids, part.second_ids]))
        n_waiting += len(part)
        if n_waiting > _PAIRS_AT_ONCE:
            ids, group_of = _join_groups(ids, group_of, waiting)
            waiting, n_waiting = [], 0
    ids, group_of = _join_groups(ids, group_of, waiting)
    order = np.argsort(group_of, kind="stable")
    starts = np.flatnonzero(np.diff(group_of[order])) + 1
    return np.split(ids[order], starts) if len(ids) else []


def _join_groups(
    ids: NDArray[np.int64], group_of: NDArray[np.int64], waiting: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Add pairs to groups: each id, rising, and the first id of its group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([np.stack([ids, group_of]), *waiting], axis=1)
    joined, places = np.unique(edges, return_inverse=True)
    first, second = places.reshape(2, -1)
    if not len(joined):
        return joined, joined
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(joined), len(joined)))
    _, numbers = connected_components(graph, directed=False)
    _, firsts = np.unique(numbers, return_index=True)
    return joined, joined[firsts[numbers]]


def _frozen(array: NDArray[Any], dtype: type[np.generic], name: str) -> NDArray[Any]:
    if array.dtype.kind not in "iu":  # a cast would cut off fractions in silence
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    view = array.astype(dtype, copy=False).view()
    view.flags.writeable = False
    return view
