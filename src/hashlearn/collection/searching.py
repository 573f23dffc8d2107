"""Search in a collection: codes in the index, conditions and items in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_scalar

from hashlearn.collection.database import Database, ids_with, items_with
from hashlearn.collection.filters import Where, select_ids
from hashlearn.collection.items import Found, Hit, Item
from hashlearn.index import HammingIndex
from hashlearn.index.ranking import candidates_for, weighted_distances
from hashlearn.results import NO_ID, Neighbors


@dataclass(frozen=True, eq=False)
class Query:
    """Hold what is searched for.

    Parameters
    ----------
    code : ndarray of shape (ceil(n_bits / 8),), uint8
        Packed code.
    values : ndarray of shape (n_bits,), float, or None, default=None
        Values before the sign, to rank by the weighted distance.
    without : str, default=None
        Key of an item to leave out: the query itself.
    """

    code: NDArray[np.uint8]
    values: NDArray[Any] | None = None
    without: str | None = None


def find(
    database: Database,
    index: HammingIndex,
    query: Query,
    *,
    k: int | None,
    radius: int | None,
    where: Where | None,
) -> Found | None:
    """Find the items nearest to a query.

    Parameters
    ----------
    database : Database
        The items.
    index : HammingIndex
        Their codes.
    query : Query
        What to search for.
    k : int or None
        How many at most.
    radius : int or None
        Largest distance.
    where : mapping or None
        Conditions.

    Returns
    -------
    Found or None
        The items; None if index and database have come to differ in the meantime.

    Raises
    ------
    TypeError
        If a number is none.
    ValueError
        If a number is out of range, a condition is malformed, or both `k` and `radius` are None.
    """
    wanted = None if k is None else k + (query.without is not None)
    mask = None if where is None else ids_where(database, where)
    start = perf_counter()
    try:
        ids, distances = _nearest(index, query, wanted, radius, mask)
    except KeyError:
        return None
    seconds = perf_counter() - start
    with database.naming():
        items = items_with(database.reader, ids.tolist())
    if len(items) < len(ids):
        return None
    hits = hits_of(query, [items[id_] for id_ in ids.tolist()], distances)
    return Found(query.code, index.n_bits, tuple(hits[:k]), seconds)


def hits_of(query: Query, items: Sequence[Item], distances: NDArray[Any]) -> list[Hit]:
    """Say of items how far they are, without the query itself.

    Parameters
    ----------
    query : Query
        What was searched for.
    items : sequence of Item
        What was found.
    distances : ndarray of shape (n,), int
        Hamming distance of each.

    Returns
    -------
    list of Hit
        In the order of the items; with weighted distances if the query has values.
    """
    weighted: list[float] | list[None] = [None] * len(items)
    if query.values is not None and items:
        codes = np.stack([item.code for item in items])
        weighted = weighted_distances(query.values.astype(np.float64), codes).tolist()
    return [
        Hit(item, distance, weight)
        for item, distance, weight in zip(items, distances.tolist(), weighted, strict=True)
        if item.key != query.without
    ]


def check_extent(k: Any, radius: Any) -> None:
    """Check how many items are asked for.

    Parameters
    ----------
    k : int or None
        How many at most.
    radius : int or None
        Largest distance.

    Raises
    ------
    TypeError
        If one is not an integer.
    ValueError
        If one is out of range, or both are None.
    """
    if k is None and radius is None:
        raise ValueError("give k, radius, or both")
    if k is not None:
        check_scalar(k, "k", Integral, min_val=1)
    if radius is not None:
        check_scalar(radius, "radius", Integral, min_val=0)


def ids_where(database: Database, where: Where) -> NDArray[np.int64]:
    """Give the ids of the items for which conditions hold.

    Parameters
    ----------
    database : Database
        The items.
    where : mapping
        Conditions.

    Returns
    -------
    ndarray of shape (n,), int64
        Ids, rising.

    Raises
    ------
    TypeError
        If a condition has the wrong type.
    ValueError
        If a condition is malformed.
    """
    with database.naming():
        return ids_with(database.reader, *select_ids(where))


def _nearest(
    index: HammingIndex,
    query: Query,
    k: int | None,
    radius: int | None,
    mask: NDArray[np.int64] | None,
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Search the index, and re-rank if the query has values."""
    if k is None:
        near = index.search_radius(query.code[None], min(radius or 0, index.n_bits), mask=mask)
        ids, distances = near.ids, near.distances
    else:
        least = k if query.values is None else candidates_for(k)
        nearest = index.search(query.code[None], least, mask=mask)
        ids, distances = nearest.ids[0], nearest.distances[0]
        kept = (ids != NO_ID) & (distances <= (index.n_bits if radius is None else radius))
        ids, distances = ids[kept], distances[kept]
    if query.values is not None:
        ranked = index.rerank(query.values[None], Neighbors(ids[None], distances[None]))
        ids, distances = ranked.ids[0], ranked.distances[0]
    return ids[:k], distances[:k]
