"""The papers' tables, with what was measured here beside what they print."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hashlearn.benchmark.papers import Paper, PrintedRow, Table
from hashlearn.benchmark.report.settings import Setting
from hashlearn.benchmark.report.words import is_protocol
from hashlearn.benchmark.summary import Summary
from hashlearn.hashers import methods

Verdict = Literal["ahead", "behind", "within", "none"]

_ROUNDING = 0.0005  # of numbers printed with three digits


@dataclass(frozen=True, eq=False)
class Cell:
    """Hold a printed number and ours.

    Parameters
    ----------
    printed : float
        What the paper prints; NaN for nothing.
    summary : Summary or None
        What was measured here; None for nothing.
    mean, deviation : float or None
        Ours, over the seeds.
    verdict : {"ahead", "behind", "within", "none"}
        Ours is above the paper's, below it, or within one standard deviation of it; ``"none"``
        where there is nothing to compare: a number is missing, is of other data, or is a time.
    """

    printed: float
    summary: Summary | None
    mean: float | None
    deviation: float | None
    verdict: Verdict

    @property
    def is_printed(self) -> bool:
        """Whether the paper prints a number."""
        return not math.isnan(self.printed)


@dataclass(frozen=True, eq=False)
class Line:
    """Hold a row of a paper's table.

    Parameters
    ----------
    row : PrintedRow
        What the paper prints.
    is_known : bool
        Whether the library has the method.
    cells : tuple of Cell or None
        One for each of the table's code lengths; None for one that the row does not have.
    """

    row: PrintedRow
    is_known: bool
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Hold a table of a paper, with ours beside it.

    Parameters
    ----------
    paper : Paper
        The paper.
    table : Table
        Its table.
    bits : tuple of int
        Code lengths of the columns.
    lines : tuple of Line
        Its rows.
    is_stand_in : bool
        Whether ours are of other data, so that only the order can be compared.
    """

    paper: Paper
    table: Table
    bits: tuple[int, ...]
    lines: tuple[Line, ...]
    is_stand_in: bool

    @property
    def n_filled(self) -> int:
        """Number of cells that hold a number of ours."""
        return sum(cell is not None and cell.mean is not None
                   for line in self.lines for cell in line.cells)  # fmt: skip

    @property
    def decimals(self) -> int:
        """Digits after the point that show all that the paper prints, at least 3."""
        numbers = [number for row in self.table.rows for number in row.printed if number == number]
        return 4 if any(abs(n - round(n, 3)) > 1e-9 for n in numbers) else 3


def compare_with_papers(
    settings: Sequence[Setting], papers: Sequence[Paper]
) -> tuple[list[Comparison], list[Comparison]]:
    """Put what was measured beside what papers print.

    Parameters
    ----------
    settings : sequence of Setting
        Results.
    papers : sequence of Paper
        Papers.

    Returns
    -------
    filled : list of Comparison
        Tables with at least one number of ours.
    empty : list of Comparison
        The others.
    """
    filled: list[Comparison] = []
    empty: list[Comparison] = []
    for paper in papers:
        for table in paper.tables:
            own = _matching(settings, table.dataset, table.features, table.protocol)
            found = _compare(paper, table, own, is_stand_in=False)
            if not found.n_filled and (other := table.stand_in) is not None:
                shared = _matching(settings, other.dataset, other.features, other.protocol)
                found = _compare(paper, table, shared, is_stand_in=True)
            (filled if found.n_filled else empty).append(found)
    return filled, empty


def verdict(
    printed: float, mean: float | None, deviation: float | None, *, is_comparable: bool
) -> Verdict:
    """Say who is ahead.

    Parameters
    ----------
    printed : float
        The paper's number; NaN for none.
    mean : float or None
        Ours.
    deviation : float or None
        Standard deviation of ours over the seeds. The rounding of the printed number counts too.
    is_comparable : bool
        Whether both are of the same data, and a larger one is better.

    Returns
    -------
    {"ahead", "behind", "within", "none"}
        Where ours stands.

    Examples
    --------
    >>> verdict(0.43, 0.45, 0.01, is_comparable=True)
    'ahead'
    """
    if not is_comparable or mean is None or math.isnan(printed):
        return "none"
    if abs(mean - printed) <= max(deviation or 0.0, _ROUNDING):
        return "within"
    return "ahead" if mean > printed else "behind"


def _matching(
    settings: Sequence[Setting], dataset: str, features: str, protocol: str
) -> list[Setting]:
    """Choose the settings that are a table's, the one with the newest row first."""
    found = [
        setting
        for setting in settings
        if setting.first["dataset"] == dataset
        and setting.first["features"] == features
        and is_protocol(setting.first.get("protocol", {}), protocol)
        and setting.has_usual_split(protocol)
    ]
    return sorted(found, key=_newest, reverse=True)


def _newest(setting: Setting) -> str:
    rows = (row for summary in setting.summaries for row in summary.rows)
    return max(str(row.get("provenance", {}).get("time", "")) for row in rows)


def _compare(
    paper: Paper, table: Table, settings: Sequence[Setting], *, is_stand_in: bool
) -> Comparison:
    bits = tuple(sorted({n_bits for row in table.rows for n_bits in row.bits} | set(table.bits)))
    known = {method.name for method in methods()}
    is_comparable = not is_stand_in and not table.metric.endswith("_seconds")
    lines = []
    for row in table.rows:
        cells: list[Cell | None] = []
        for n_bits in bits:
            if n_bits not in row.bits:
                cells.append(None)
                continue
            printed = row.printed[row.bits.index(n_bits)]
            summary = _find(settings, table, row, n_bits)
            mean = summary.mean(table.metric) if summary else None
            deviation = summary.deviation(table.metric) if summary else None
            who = verdict(printed, mean, deviation, is_comparable=is_comparable)
            cells.append(Cell(printed, summary, mean, deviation, who))
        lines.append(Line(row, row.method in known, tuple(cells)))
    return Comparison(paper, table, bits, tuple(lines), is_stand_in)


def _find(
    settings: Sequence[Setting], table: Table, row: PrintedRow, n_bits: int
) -> Summary | None:
    for setting in settings:
        for summary in setting.summaries:
            first = summary.first
            if (
                (first["method"], first["n_bits"]) == (row.method, n_bits)
                and first.get("given", {}) == dict(row.parameters)
                and first.get("distance", "hamming") == table.distance
                and summary.values(table.metric)
            ):
                return summary
    return None
