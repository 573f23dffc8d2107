"""Search in Milvus: conditions, the order of adding, and the nearest codes."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.collection.filters import Where
from hashlearn.collection.items import Item
from hashlearn.integrations._milvus_client import MAX_HITS, Client
from hashlearn.integrations._milvus_where import any_of, expressions, fulfilling

ALL = 2**62
"""More items than there are."""


def filter_of(
    client: Client, table: str, where: Where, items: Callable[[Sequence[str]], Mapping[str, Item]]
) -> str:
    """Write conditions as one expression; look at the items that Milvus cannot decide on.

    Parameters
    ----------
    client : Client
        Connection.
    table : str
        Table.
    where : mapping
        Conditions.
    items : callable
        Reads items by their primary keys.

    Returns
    -------
    str
        Expression; empty for all items.

    Raises
    ------
    TypeError
        If a condition has the wrong type.
    ValueError
        If a condition is malformed.
    """
    sure, doubtful = expressions(where, can_negate=not client.is_local)
    if doubtful is None:
        return sure
    places = [place for _, place in ids_in_order(client, table, doubtful, -1, ALL)]
    there = fulfilling(items(places), where)
    return f"({sure}) or {any_of('pk', there)}" if there else sure


def nearest(
    client: Client,
    table: str,
    code: NDArray[np.uint8],
    *,
    k: int | None,
    radius: int | None,
    filter: str,
) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64]]:
    """Find the items with the nearest codes.

    Milvus does not say which of the items at one distance it gives. So more are asked for, until
    all that are as far as the last one wanted are there, or there can be no more.

    Parameters
    ----------
    client : Client
        Connection.
    table : str
        Table.
    code : ndarray of shape (n_bytes,), uint8
        Packed code.
    k : int or None
        How many at most.
    radius : int or None
        Largest distance.
    filter : str
        Expression.

    Returns
    -------
    places : list of str
        Primary keys, ordered by distance and id.
    ids : ndarray of shape (n,), int64
        Ids.
    distances : ndarray of shape (n,), int64
        Distances.

    Raises
    ------
    ValueError
        If more are within the radius than Milvus finds at once.
    """
    n = MAX_HITS if k is None else min(2 * k + 100, MAX_HITS)
    while True:
        (rows,) = client.run(
            "search", table, data=[code.tobytes()], limit=n, filter=filter,
            output_fields=["pk", "id"], search_params={"metric_type": "HAMMING"},
            consistency_level=client.consistency_level,
        )  # fmt: skip
        found = sorted(
            (round(row["distance"]), row["entity"]["id"], row["entity"]["pk"]) for row in rows
        )
        if len(found) < n or n == MAX_HITS or (k and found[-1][0] > found[k - 1][0]):
            break
        n = min(4 * n, MAX_HITS)
    if radius is not None:
        within = [one for one in found if one[0] <= radius]
        if k is None and len(within) == MAX_HITS:
            raise ValueError(
                f"{MAX_HITS:,} items or more are within {radius} bits, and Milvus finds no more at "
                "once: give k, or a smaller radius"
            )
        found = within
    found = found[:k]
    ids = np.array([id_ for _, id_, _ in found], np.int64)
    return [place for *_, place in found], ids, np.array([d for d, *_ in found], np.int64)


def ids_in_order(client: Client, table: str, filter: str, after: int, n: int) -> list[Any]:
    """Find the items that were added first.

    Milvus does not sort. A bisection by counts finds a stretch of time with few enough items.

    Parameters
    ----------
    client : Client
        Connection.
    table : str
        Table.
    filter : str
        Expression; empty for all.
    after : int
        Id after which to begin.
    n : int
        How many at most.

    Returns
    -------
    list of (int, str)
        Ids and primary keys, in order.
    """
    found: list[tuple[int, str]] = []
    condition = f"({filter}) and " if filter else ""
    while len(found) < n:
        wanted = min(n - len(found), MAX_HITS)
        low, high = max(after, 0), max(time.time_ns(), after) * 2
        stretch = f"{condition}id > {after}"
        n_there = client.count(table, stretch)
        if n_there > MAX_HITS:
            while not wanted <= n_there <= MAX_HITS and high - low > 1:
                middle = (low + high) // 2
                stretch = f"{condition}id > {after} and id <= {middle}"
                n_there = client.count(table, stretch)
                low, high = (middle, high) if n_there < wanted else (low, middle)
        rows = client.query(table, stretch, ["pk", "id"], MAX_HITS) if n_there else []
        part = sorted((int(row["id"]), row["pk"]) for row in rows)
        if not part:
            break
        found += part
        after = part[-1][0]
    return found[:n]
