"""Make the tables of docs/choosing.md from the rows of benchmarks/embeddings.py."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from search_report import read

FILE = "embeddings.jsonl"
DATA = {"newsgroups20_minilm": "20 Newsgroups", "stackoverflow": "StackOverflow titles"}
OURS, OTHERS = "NeighborMatching", ("ITQ", "PCA-sign", "sign", "RaBitQ", "PQ", "OPQ")

Row = dict[str, Any]


def tables() -> str:
    """Make a table of recalls for each data set."""
    parts = []
    for data, title in DATA.items():
        rows = [row for row in _last(data) if "contestant" in row]
        lengths = sorted({row["n_bits"] for row in rows})
        heads = ["codes", "ranked by", *(f"{n} bits" for n in lengths)]
        lines = [f"**{title}**", "", f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
        for name in (OURS, *OTHERS):
            found = {row["n_bits"]: row for row in rows if row["contestant"] == name}
            for ranking, words in _rankings(name):
                cells = [_cell(found.get(n), ranking) for n in lengths]
                if any(cell != "–" for cell in cells):
                    lines.append(f"| {name} | {words} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def differences() -> str:
    """Make the table of paired differences, ranked by the query's values or the estimate."""
    heads = ["data", "bits", "recall", *(f"less {name}" for name in OTHERS)]
    lines = [f"| {' | '.join(heads)} |", "| --- " * len(heads) + "|"]
    for data, title in DATA.items():
        rows = [row for row in _last(data) if row.get("ours") == OURS]
        for n_bits in sorted({row["n_bits"] for row in rows}):
            for ranking, words in (("hamming", "Hamming"), ("values/100", "of 100"),
                                   ("values", "all")):  # fmt: skip
                for k in (10, 100):
                    if (ranking, k) == ("values/100", 100):
                        continue  # 100 candidates are 100 whatever their order
                    cells = [_difference(rows, n_bits, name, ranking, k) for name in OTHERS]
                    lines.append(f"| {title} | {n_bits} | {words}, {k} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _last(data: str) -> list[Row]:
    """Give the rows of the last run on a data set."""
    rows = [row for row in read(FILE) if row["data"] == data]
    times = [row["provenance"]["time"] for row in rows]
    return [row for row in rows if row["provenance"]["time"] == max(times)]


def _rankings(name: str) -> Sequence[tuple[str, str]]:
    if name in ("RaBitQ", "PQ", "OPQ"):
        return (("estimate", "its estimate"),)
    return (
        ("hamming", "Hamming distance"),
        ("values/100", "values, of 100"),
        ("values", "values, all"),
        ("factors", "factors (+ 8 bytes)"),
    )


def _cell(row: Row | None, ranking: str) -> str:
    if row is None or f"{ranking}@10" not in row["recall"]:
        return "–"
    return " / ".join(_three(mean(row["recall"][f"{ranking}@{k}"])) for k in (10, 100))


def _difference(rows: list[Row], n_bits: int, other: str, ranking: str, k: int) -> str:
    for row in rows:
        if (row["n_bits"], row["other"], row["ranking"], row["k"]) == (n_bits, other, ranking, k):
            interval = f"{_three(row['low'], '+')} to {_three(row['high'], '+')}"
            return f"{_three(row['difference'], '+')} ({interval})"
    return "–"


def _three(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("0.", ".", 1)
