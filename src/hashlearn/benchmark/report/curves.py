"""Curves of several seeds as one, ready to be drawn."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hashlearn.benchmark.records import Row
from hashlearn.benchmark.summary import Summary

Line = dict[str, list[float]]


def lines_of(summary: Summary) -> dict[str, Line]:
    """Average each curve over the seeds.

    Parameters
    ----------
    summary : Summary
        Rows.

    Returns
    -------
    dict of str to dict
        For each curve that the rows have, ``"x"`` and ``"y"``; for those by rank also ``"low"`` and
        ``"high"``, the least and the largest of the seeds.
    """
    rows = [row["curves"] for row in summary.rows if row.get("curves")]
    lines: dict[str, Line] = {}
    for name in dict.fromkeys(n for row in rows for n in row.get("recall_at_ranks", {})):
        _add(
            lines,
            f"recall:{name}",
            _by_rank([(r, r.get("recall_at_ranks", {}).get(name)) for r in rows]),
        )
    _add(lines, "precision", _by_rank([(row, row.get("precision_at_ranks")) for row in rows]))
    _add(lines, "by_rank", _pairs([(_widest(r), r.get("precision_at_ranks")) for r in rows]))
    for key, name in (("radius", "by_radius"), ("pooled", "pooled")):
        parts = [row.get(key, {}) for row in rows]
        _add(lines, name, _pairs([(part.get("recall"), part.get("precision")) for part in parts]))
    return lines


def distances_of(summary: Summary) -> dict[str, list[float]]:
    """Average the distributions of the distance over the seeds.

    Parameters
    ----------
    summary : Summary
        Rows.

    Returns
    -------
    dict of str to list of float
        Share of relevant and of irrelevant pairs at each distance; empty if no row has them.
    """
    found = [row.get("curves", {}).get("distances") for row in summary.rows]
    kept = [part for part in found if part]
    return {
        name: _rounded(np.mean([part[name] for part in kept], axis=0))
        for name in ("relevant", "irrelevant")
        if kept and all(name in part for part in kept)
    }


def history_of(summary: Summary) -> dict[str, list[float]]:
    """Average the learning curves over the seeds.

    Parameters
    ----------
    summary : Summary
        Rows.

    Returns
    -------
    dict of str to list of float
        One curve for each quantity that the method keeps; cut to the shortest of the seeds.
    """
    kept = [row["history"] for row in summary.rows if row.get("history")]
    names = dict.fromkeys(name for part in kept for name in part)
    return {
        name: _rounded(np.mean(_cut([part[name] for part in kept if name in part]), axis=0))
        for name in names
        if min(len(part[name]) for part in kept if name in part) > 1
    }


def _add(lines: dict[str, Line], name: str, line: Line | None) -> None:
    if line:
        lines[name] = line


def _by_rank(found: Sequence[tuple[Row, list[float] | None]]) -> Line | None:
    kept = [(row.get("ranks"), values) for row, values in found if values]
    if not kept or any(ranks != kept[0][0] for ranks, _ in kept) or not kept[0][0]:
        return None
    values = np.array([values for _, values in kept])
    return {
        "x": kept[0][0],
        "y": _rounded(values.mean(axis=0)),
        "low": _rounded(values.min(axis=0)),
        "high": _rounded(values.max(axis=0)),
    }


def _widest(row: Row) -> list[float] | None:
    """Give the recall of all relevant items, not only of the nearest."""
    found: dict[str, list[float]] = row.get("recall_at_ranks", {})
    if "all" in found or not found:
        return found.get("all")
    return found[max(found, key=int)]


def _pairs(found: Sequence[tuple[list[float] | None, list[float] | None]]) -> Line | None:
    """Average both coordinates; the pooled curve leaves out small radii that find nothing."""
    kept = [(x, y) for x, y in found if x and y and len(x) == len(y)]
    if not kept:
        return None
    x, y = (np.mean(_cut([pair[i][::-1] for pair in kept]), axis=0)[::-1] for i in (0, 1))
    return {"x": _rounded(x), "y": _rounded(y)}


def _cut(rows: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    shortest = min(map(len, rows))
    return [row[:shortest] for row in rows]


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.4g}") for value in np.asarray(values, dtype=np.float64)]
