"""Which way a search goes: over all codes, or by tables. Results do not depend on it."""

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hashlearn.engine import choose_kernel
from hashlearn.index.ids import take
from hashlearn.index.items import Segment
from hashlearn.index.scan import scan_nearest, scan_radius
from hashlearn.index.tables import (
    SubstringTables,
    fewest_tables,
    radius_cost,
    substring_lengths,
)
from hashlearn.results import NO_ID, Neighbors, Pairs, RadiusNeighbors

Route = Literal["auto", "scan", "tables"]
"""``"scan"`` measures all distances, ``"tables"`` never does, ``"auto"`` takes the cheaper way."""

_BATCH = 8
"""From so many queries on, a scan reads the codes once for several of them."""

_BATCH_SCAN_COST = 0.035
"""Nanoseconds, roughly, to measure the distance in one word, in a batch."""

_SINGLE_SCAN_COST = 0.2
"""The same for one query, for which the codes come from memory."""

_CACHED_SCAN_COST = 0.1
"""The same for one query and codes that a processor's last cache can hold."""

_CACHED_WORDS = 1 << 21
"""16 MB of codes."""

_PILOTS = 16
"""Queries that try the tables before the others are sent one way."""

_MEMORY = 64
"""So many queries weigh as much as all that were seen before."""

_PATIENCE = 1000
"""After so many searches on one way, the other is tried again."""

_MIN_PART = 64
"""Where more than this part of all codes are wanted, a scan is always cheaper."""

_PAIR_ROWS = 1024
"""Codes whose pairs are found at a time."""

_BUILD_COST = 60.0
"""Nanoseconds, roughly, to put one code into one table."""


def check_route(route: object) -> None:
    """Check the name of a route.

    Parameters
    ----------
    route : object
        What was given.

    Raises
    ------
    ValueError
        If there is no such route.
    """
    if route not in get_args(Route):
        raise ValueError(f"route must be one of {', '.join(get_args(Route))}, got {route!r}")


def find_nearest(
    segments: Sequence[Segment],
    queries: NDArray[np.uint8],
    k: int,
    n_bits: int,
    threads: int,
    route: Route,
) -> Neighbors:
    """Find the `k` nearest items of each query.

    Parameters
    ----------
    segments : sequence of Segment
        The items; no id twice.
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    k : int
        Number of places for each query.
    n_bits : int
        Length of a code.
    threads : int
        Number of threads.
    route : {"auto", "scan", "tables"}
        Which way to go where there are tables.

    Returns
    -------
    Neighbors
        In the order (distance, id); places without an item hold -1 and ``n_bits + 1``.
    """
    if len(segments) == 1 and segments[0].n_present >= k:
        return _nearest_in(segments[0], queries, k, n_bits, threads, route)
    ids = [np.full((len(queries), 0), NO_ID, dtype=np.int64)]
    distances = [np.full((len(queries), 0), n_bits + 1, dtype=np.int32)]
    for segment in segments:
        found = _nearest_in(segment, queries, min(k, segment.n_present), n_bits, threads, route)
        ids.append(found.ids)
        distances.append(found.distances)
    all_ids, all_distances = np.concatenate(ids, axis=1), np.concatenate(distances, axis=1)
    if len(segments) > 1:
        order = np.lexsort((all_ids, all_distances), axis=1)[:, :k]
        all_ids = np.take_along_axis(all_ids, order, axis=1)
        all_distances = np.take_along_axis(all_distances, order, axis=1)
    missing = ((0, 0), (0, k - all_ids.shape[1]))
    return Neighbors(
        np.pad(all_ids, missing, constant_values=NO_ID),
        np.pad(all_distances, missing, constant_values=n_bits + 1),
    )


def find_radius(
    segments: Sequence[Segment],
    queries: NDArray[np.uint8],
    radius: int,
    threads: int,
    route: Route,
) -> RadiusNeighbors:
    """Find every item within a distance of each query.

    Parameters
    ----------
    segments : sequence of Segment
        The items; no id twice.
    queries : ndarray of shape (q, n_bytes), uint8
        Packed codes, C-contiguous.
    radius : int
        Largest distance, itself included.
    threads : int
        Number of threads.
    route : {"auto", "scan", "tables"}
        Which way to go where there are tables.

    Returns
    -------
    RadiusNeighbors
        For each query in the order (distance, id).
    """
    parts = [_radius_in(segment, queries, radius, threads, route) for segment in segments]
    if len(parts) == 1:
        return parts[0]
    rows = [np.repeat(np.arange(len(queries)), np.diff(part.offsets)) for part in parts]
    row = np.concatenate([np.empty(0, dtype=np.int64), *rows])
    ids = np.concatenate([np.empty(0, dtype=np.int64), *(part.ids for part in parts)])
    distances = np.concatenate([np.empty(0, dtype=np.int32), *(part.distances for part in parts)])
    order = np.lexsort((ids, distances, row))
    offsets = np.searchsorted(row[order], np.arange(len(queries) + 1)).astype(np.int64, copy=False)
    return RadiusNeighbors(ids[order], distances[order], offsets)


def find_pairs(segment: Segment, n_bits: int, radius: int, threads: int) -> Iterator[Pairs]:
    """Find all pairs of items that are within a distance of each other.

    Parameters
    ----------
    segment : Segment
        The items, none removed.
    n_bits : int
        Length of a code.
    radius : int
        Largest distance, itself included.
    threads : int
        Number of threads.

    Yields
    ------
    Pairs
        Pairs of some items with all after them, in the order (first id, distance, second id).
    """
    codes, tables = segment.codes, _usable_tables(segment, "auto")
    scan_cost = _scan_cost(segment, len(codes)) / 2  # of each code, with those after it
    if choose_kernel() != "numpy" and (tables is None or tables.radius_cost(radius) > scan_cost):
        tables = _tables_for_pairs(segment, n_bits, radius, scan_cost, threads)
    for start in range(0, len(codes), _PAIR_ROWS):
        block = codes[start : start + _PAIR_ROWS]
        if tables is not None:
            positions, distances, offsets = tables.radius(block, radius, None, threads)
        else:
            rest = range(start, len(codes))
            near = scan_radius(block, codes[start:], rest, radius, threads)
            positions, distances, offsets = near.ids, near.distances, near.offsets
        first = start + np.repeat(np.arange(len(block)), np.diff(offsets))
        later = positions > first  # each pair once, and none of a code with itself
        if later.any():
            second = positions[later]
            yield Pairs(
                take(segment.ids, first[later]), take(segment.ids, second), distances[later]
            )


def _tables_for_pairs(
    segment: Segment, n_bits: int, radius: int, scan_cost: float, threads: int
) -> SubstringTables | None:
    """Build tables for one join alone, if that pays."""
    n, n_words = len(segment.codes), -(-n_bits // 64)
    costs = {
        n_tables: n_tables * _BUILD_COST
        + radius_cost(n, substring_lengths(n_bits, n_tables), radius, n_words)
        for n_tables in range(fewest_tables(n_bits), min(n_bits, fewest_tables(n_bits) + 8) + 1)
    }
    best = min(costs, key=costs.__getitem__)
    if costs[best] > scan_cost:
        return None
    return SubstringTables.build(segment.codes, n_bits, best, threads=threads)


def _scan_cost(segment: Segment, n_queries: int) -> float:
    """Estimate the nanoseconds that a scan takes for each query."""
    n_words: int = -(-segment.codes.shape[1] // 8) * len(segment.codes)
    if n_queries >= _BATCH:
        return n_words * _BATCH_SCAN_COST
    return n_words * (_CACHED_SCAN_COST if n_words <= _CACHED_WORDS else _SINGLE_SCAN_COST)


def _usable_tables(segment: Segment, route: Route) -> SubstringTables | None:
    return None if route == "scan" or choose_kernel() == "numpy" else segment.tables


def _nearest_in(
    segment: Segment, queries: NDArray[np.uint8], k: int, n_bits: int, threads: int, route: Route
) -> Neighbors:
    """Search one segment, of which at least `k` items are there."""
    tables = _usable_tables(segment, route)
    if tables is not None and route == "tables":
        positions, distances, _ = tables.nearest(queries, k, segment.present, np.inf, threads)
        return Neighbors(take(segment.ids, positions), distances)
    if tables is not None and k <= len(segment.codes) // _MIN_PART:
        return _nearest_by_cost(segment, tables, queries, k, n_bits, threads)
    return scan_nearest(
        queries, segment.codes, segment.ids, k, n_bits, threads, allowed=segment.present
    )


def _nearest_by_cost(
    segment: Segment,
    tables: SubstringTables,
    queries: NDArray[np.uint8],
    k: int,
    n_bits: int,
    threads: int,
) -> Neighbors:
    """Use tables as long as what they cost, by what was seen before, is below a scan."""
    scan_cost = _scan_cost(segment, len(queries))
    kind = (k.bit_length(), segment.present is not None)
    cost, trust = tables.seen.get(kind, (0.0, 0))
    if trust > 0 and cost > scan_cost:
        tables.seen[kind] = cost, trust - 1
        return _nearest_in(segment, queries, k, n_bits, threads, "scan")
    n = len(queries) if trust > 0 else min(_PILOTS, len(queries))
    # Pilots stand for a batch; later a few that give up are scanned among themselves.
    budget = scan_cost if trust == 0 else _scan_cost(segment, 1)
    positions, near, spent = tables.nearest(queries[:n], k, segment.present, budget, threads)
    gave_up = spent < 0
    if n > 0:
        mean = float(np.where(gave_up, 2 * budget, spent).mean())
        weight = n / (n + _MEMORY) if trust > 0 else 1.0
        tables.seen[kind] = cost + weight * (mean - cost), _PATIENCE
    if n == len(queries) and not gave_up.any():
        return Neighbors(take(segment.ids, positions), near)
    ids = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.int32)
    ids[:n], distances[:n] = take(segment.ids, positions), near
    dear = np.flatnonzero(gave_up)
    for rows, route in ((dear, "scan"), (np.arange(n, len(queries)), "auto")):
        if len(rows):
            found = _nearest_in(segment, queries[rows], k, n_bits, threads, route)  # type: ignore[arg-type]
            ids[rows], distances[rows] = found.ids, found.distances
    return Neighbors(ids, distances)


def _radius_in(
    segment: Segment, queries: NDArray[np.uint8], radius: int, threads: int, route: Route
) -> RadiusNeighbors:
    """Search one segment."""
    tables = _usable_tables(segment, route)
    if tables is not None and (
        route == "tables" or tables.radius_cost(radius) < _scan_cost(segment, len(queries))
    ):
        positions, distances, offsets = tables.radius(queries, radius, segment.present, threads)
        return RadiusNeighbors(take(segment.ids, positions), distances, offsets)
    return scan_radius(
        queries, segment.codes, segment.ids, radius, threads, allowed=segment.present
    )
