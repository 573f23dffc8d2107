"""The page on what was compressed, and to what."""

import io
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashlearn.storage import replacing

if TYPE_CHECKING:
    from hashlearn.compression.compressing import Compressed, Measured

_FOLDER = Path(__file__).parent
_RANKINGS = {
    "hamming": "Hamming distance",
    "values": "query’s values, all codes",
    "factors": "correction factors",
    "estimate": "estimated distance",
}
_COLOURS = ("#0072b2", "#c94f00", "#00815f", "#b0508a", "#7a6200", "#3a8fc4", "#6b4fb3")


def environment() -> Any:
    """Load the template.

    Returns
    -------
    jinja2.Template
        The page.

    Raises
    ------
    ImportError
        If Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ImportError("a report needs Jinja2: pip install 'hashlearn[report]'") from error
    made = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["ranking"] = ranking_words
    made.filters["seconds"] = lambda value: f"{value:.{0 if value >= 10 else 1}f} s"
    return made.get_template("page.html.j2")


def ranking_words(ranking: str) -> str:
    """Say in words how something ranks.

    Parameters
    ----------
    ranking : str
        Name, with the number of candidates.

    Returns
    -------
    str
        Words.
    """
    name, _, n_candidates = ranking.partition("/")
    if n_candidates:
        return f"the {n_candidates} nearest codes, re-ranked by the query’s values"
    return _RANKINGS[name]


def write_page(template: Any, path: Path, result: "Compressed") -> None:
    """Write the page.

    Parameters
    ----------
    template : jinja2.Template
        What :func:`environment` gave.
    path : pathlib.Path
        File to create or replace.
    result : Compressed
        What it shows.
    """
    text = template.render(
        result=result,
        rows=sorted(result.measured, key=lambda row: -row.recall[10]),
        by_bytes=picture(result.curve, "bytes_per_vector", "bytes a vector"),
        by_speed=picture(result.curve, "query_seconds", "milliseconds a query", 1e3),
        lengths=sorted({row.n_bits for row in result.curve}),
        version=version("hashlearn"),
    )
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def picture(curve: "list[Measured]", field: str, label: str, scale: float = 1.0) -> str:
    """Draw recall against a cost, a line for each way to compress.

    Parameters
    ----------
    curve : list of Measured
        What was measured.
    field : str
        Name of the cost.
    label : str
        Its name for people.
    scale : float, default=1.0
        Factor of the cost.

    Returns
    -------
    str
        An ``svg`` element.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 4.2), layout="constrained")
    axes = figure.add_subplot()
    names = list(dict.fromkeys(row.name for row in curve))
    for name, colour in zip(names, _COLOURS * len(names), strict=False):
        shown: str | None = name
        for ranking, style in (("values", "-"), ("estimate", "-"), ("hamming", "--")):
            points = [
                (getattr(row, field) * scale, row.recall[10])
                for row in sorted(curve, key=lambda row: row.n_bits)
                if row.name == name and row.ranking == ranking
            ]
            if points:
                axes.plot(
                    *zip(*points, strict=True), style, marker="o", markersize=4, color=colour,
                    label=shown, linewidth=1.4,
                )  # fmt: skip
                shown = None
    axes.set_xscale("log", base=2 if field == "bytes_per_vector" else 10)
    if field == "bytes_per_vector":
        ticks = sorted({getattr(row, field) for row in curve})
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("recall of the 10 nearest")
    axes.set_ylim(0, 1)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :]
