"""The report's tables as plain Markdown, for a README."""

from collections.abc import Sequence
from typing import Any

from hashlearn.benchmark.report.contents import Contents
from hashlearn.benchmark.report.words import Metric

_SIGNS = {"ahead": " ▲", "behind": " ▼", "within": " ≈", "other": " ◇", "none": ""}


def markdown(contents: Contents) -> str:
    """Write the report's tables.

    Parameters
    ----------
    contents : Contents
        What a report shows.

    Returns
    -------
    str
        Markdown.
    """
    overview = contents.overview()
    parts = [
        "# Results",
        f"{overview['runs']} runs: {_text(', '.join(overview['data']))}; methods "
        f"{_text(', '.join(overview['methods']))}; {_listed(overview['bits'])} bits; seeds "
        f"{_listed(overview['seeds'])}; commits {_text(', '.join(overview['commits']))}.",
        *(f"**Note.** {_text(warning)}" for warning in overview["warnings"]),
    ]
    if tables := contents.tables():
        parts += ["## The papers' tables", _READING]
        for table in tables:
            parts += _paper_table(table)
    parts.append("## Our own tables")
    for setting in contents.own():
        parts += [f"### {_text(setting['title'])}", _text(setting["words"])]
        parts += [_own_table(contents, setting, measured) for measured in setting["metrics"][:2]]
        parts += [_differences(setting, found) for found in setting["differences"]]
    return "\n\n".join(parts) + "\n"


_READING = (
    "The paper's number, then ours: mean ± standard deviation over the seeds. ▲ ours is ahead, "
    "▼ the paper is ahead, ≈ within one standard deviation, ◇ on other data that stand in."
)


def _paper_table(table: dict[str, Any]) -> list[str]:
    heads = ["method", *(f"{n} bits: {side}" for n in table["bits"] for side in ("paper", "ours"))]
    lines = []
    for line in table["lines"]:
        cells = [line["label"] if line["is_known"] else f"{line['label']} (not here yet)"]
        for cell in line["cells"]:
            if cell is None:
                cells += ["", ""]
                continue
            ours = _with_deviation(cell["ours"], cell["deviation"])
            seeds = " (one seed)" if cell["summary"] is not None and not cell["deviation"] else ""
            cells += [cell["printed"], f"{ours}{seeds}{_SIGNS[cell['verdict']]}"]
        lines.append(cells)
    parts = [
        f"### {_text(table['title'])}",
        _text(f"{table['paper'].authors}, {table['paper'].year}. {table['note']}".strip()),
    ]
    if table["stand_in"]:
        stand_in = table["stand_in"]
        parts.append(_text(f"Ours are on {stand_in.dataset}, which stands in. {stand_in.why}"))
    return [*parts, _grid(heads, lines)]


def _own_table(contents: Contents, setting: dict[str, Any], measured: Metric) -> str:
    lines = []
    for line in setting["lines"]:
        cells = [line["label"]]
        for number in line["cells"]:
            summary = None if number is None else contents.summaries[number]
            mean = None if summary is None else summary.mean(measured.name)
            deviation = None if summary is None else summary.deviation(measured.name)
            spread = "" if deviation is None else measured.write(deviation)
            cells.append(_with_deviation(measured.write(mean), spread))
        lines.append(cells)
    return _grid([measured.label, *(f"{n} bits" for n in setting["bits"])], lines)


def _differences(setting: dict[str, Any], found: dict[str, Any]) -> str:
    head = f"{found['metric'].label}, difference to {setting['baseline']} (95 % interval)"
    lines = [
        [
            line["label"],
            *(
                "–" if cell is None else f"{cell['mean']} ({cell['interval'] or 'no details'})"
                for cell in line["cells"]
            ),
        ]
        for line in found["lines"]
    ]
    return _grid([head, *(f"{n} bits" for n in setting["bits"])], lines)


def _grid(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)], *lines]
    texts = [[_text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in texts)


def _with_deviation(mean: str, deviation: str) -> str:
    return f"{mean} ± {deviation}" if deviation else mean


def _text(text: str) -> str:
    """Keep names from being read as Markdown or HTML."""
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
