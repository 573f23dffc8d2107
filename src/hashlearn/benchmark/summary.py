"""Rows of several seeds as one line: mean and standard deviation."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hashlearn.benchmark.records import Row

_SETTING = ("dataset", "fingerprint", "split", "protocol", "features")


@dataclass(frozen=True, eq=False)
class Summary:
    """Hold the rows that differ by the method's seed alone.

    Parameters
    ----------
    rows : tuple of dict
        One row a seed, at least one.

    Examples
    --------
    >>> rows = [{"seed": 0, "scores": {"map": 0.4}}, {"seed": 1, "scores": {"map": 0.6}}]
    >>> summary = Summary(tuple(rows))
    >>> summary.seeds, summary.mean("map"), round(summary.deviation("map"), 3)
    ([0, 1], 0.5, 0.141)
    """

    rows: tuple[Row, ...]

    @property
    def first(self) -> Row:
        """The first row: all agree in what was asked, but for the seed."""
        return self.rows[0]

    @property
    def name(self) -> str:
        """The method, the arguments that it was given, and a distance other than Hamming's."""
        return named(str(self.first["method"]), self.first)

    @property
    def setting(self) -> str:
        """Data set, split, protocol and features as text: equal where results can be compared."""
        return _text({name: self.first[name] for name in _SETTING})

    @property
    def seeds(self) -> list[int]:
        """Seeds of the rows."""
        return [row["seed"] for row in self.rows]

    def values(self, metric: str) -> list[float]:
        """Give a number of each row.

        Parameters
        ----------
        metric : str
            Name of a score, of a statistic of the bits, or of a plain number of the row such as
            ``"fit_seconds"``.

        Returns
        -------
        list of float
            One number a row that has it.
        """
        found = [value_of(row, metric) for row in self.rows]
        return [value for value in found if value is not None]

    def mean(self, metric: str) -> float | None:
        """Average a number over the seeds.

        Parameters
        ----------
        metric : str
            As for :meth:`values`.

        Returns
        -------
        float or None
            The mean; None if no row has the number.
        """
        values = self.values(metric)
        return float(np.mean(values)) if values else None

    def deviation(self, metric: str) -> float | None:
        """Compute the standard deviation of a number over the seeds.

        Parameters
        ----------
        metric : str
            As for :meth:`values`.

        Returns
        -------
        float or None
            Of a sample (divided by one less than the seeds); None for fewer than two seeds.
        """
        values = self.values(metric)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def named(title: str, row: Row) -> str:
    """Add to a method's name what tells its rows from others.

    Parameters
    ----------
    title : str
        Name of the method.
    row : dict
        A row.

    Returns
    -------
    str
        The name, with the arguments that were given and a distance other than Hamming's.

    Examples
    --------
    >>> named("SpH", {"given": {"n_iter": 9}, "distance": "spherical"})
    'SpH (n_iter=9, spherical)'
    """
    given = [f"{name}={value}" for name, value in row.get("given", {}).items()]
    if (distance := row.get("distance", "hamming")) != "hamming":
        given.append(distance)
    return f"{title} ({', '.join(given)})" if given else title


def value_of(row: Row, metric: str) -> float | None:
    """Look a number up in a row.

    Parameters
    ----------
    row : dict
        A row.
    metric : str
        Name of a score, of a statistic of the bits, or of a plain number of the row.

    Returns
    -------
    float or None
        The number; None if the row has no such number.
    """
    for place in (row.get("scores", {}), row.get("bit_statistics", {}), row):
        value = place.get(metric)
        if isinstance(value, int | float):
            return float(value)
    return None


def summarise(rows: Sequence[Row]) -> list[Summary]:
    """Join the rows that differ by the method's seed alone.

    Parameters
    ----------
    rows : sequence of dict
        Rows of :class:`~hashlearn.benchmark.Records`.

    Returns
    -------
    list of Summary
        In the order in which each was first met.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        asked = {name: row[name] for name in (*_SETTING, "method", "parameters", "n_bits")}
        asked["distance"] = row.get("distance", "hamming")
        groups.setdefault(_text(asked), []).append(row)
    return [Summary(tuple(sorted(group, key=lambda row: row["seed"]))) for group in groups.values()]


def _text(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
