"""Make the tables and the picture of docs/search.md from the rows in benchmarks/results.

Of every comparison (data, size, length, what is asked) the last run counts that measured one and
two threads, if any did, and for approximate routes the last in which they took part: all numbers of
a comparison were measured side by side. `python docs/search_report.py` writes the picture,
docs/search.svg; the tables are written by docs/generate.py.
"""

import json
from collections.abc import Iterable
from math import log
from pathlib import Path
from typing import Any

from hashlearn.storage import replacing

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PICTURE = ROOT / "docs" / "search.svg"
COLUMNS = [(kind, threads) for kind in ("batch", "single") for threads in (1, 2)]
HEADS = [f"{kind}, {threads} thread{'s' * (threads > 1)}" for kind, threads in COLUMNS]
EXACT_ORDER = ("tables", "auto", "scan", "avx512", "avx2", "popcnt", "numpy")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito
MARKERS = "os^Dv<"

Row = dict[str, Any]


def read(name: str) -> list[Row]:
    """Read the rows of a file of results, none if there is no such file."""
    path = RESULTS / name
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def runs(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """Group rows by comparison, sorted by size, length and data, and then by run, oldest first."""
    groups: dict[tuple, dict[str, list[Row]]] = {}
    for row in rows:
        if "data" in row:
            asked = (row.get("radius", -1), row.get("k", -1), row.get("tables", False))
            key = (row["n"], row["n_bits"], row["data"] != "random", asked)
            groups.setdefault(key, {}).setdefault(row["provenance"]["time"], []).append(row)
    return [list(group.values()) for _, group in sorted(groups.items())]


def last_runs(rows: Iterable[Row]) -> list[list[Row]]:
    """Keep the last run of each comparison that measured the most numbers of threads."""
    return [
        max(reversed(group), key=lambda run: len({row.get("threads") for row in run}))
        for group in runs(rows)
    ]


def last_approximate_runs(rows: Iterable[Row]) -> list[list[Row]]:
    """Keep the last run of each comparison in which approximate routes took part."""
    found = [[run for run in group if is_approximate(run)] for group in runs(rows)]
    return [group[-1] for group in found if group]


def report() -> str:
    """Make all tables, in Markdown."""
    rows = read("search.jsonl")
    groups = last_runs(rows)
    nearest = [group for group in groups if "k" in group[0]]
    within = [group for group in groups if "radius" in group[0]]
    approximate = last_approximate_runs(rows)
    parts = [exact_table(nearest, "nearest"), approximate_table(approximate)]
    parts.append(exact_table(within, "r"))
    parts += [billion_table(last_runs(read("billion.jsonl"))), rankings(rows)]
    parts.append(machines([*groups, *approximate]))
    return "\n\n".join(part for part in parts if part)


def exact_table(groups: list[list[Row]], asked: str) -> str:
    """Compare the exact routes: milliseconds of faiss, and how many times faster the others are."""
    lines = []
    for group in groups:
        what = f"{group[0]['k']} nearest" if asked == "nearest" else f"r = {group[0]['radius']}"
        cells = by_route(group)
        faiss = {column: fastest_of_faiss(group, column) for column in COLUMNS}
        names = [*about(group), what, "faiss"]
        lines.append([*names, *(in_milliseconds(faiss[column]) for column in COLUMNS)])
        for name in in_order(cells):
            some = [cells[name].get(column) for column in COLUMNS]
            lines.append(
                ["", "", "", "", name, *(times(row and row["ratio_to_faiss"]) for row in some)]
            )
    title = "### Exact routes" if asked == "nearest" else "### Within a radius"
    return section(title, ["codes", "bits", "data", "asked", "route", *HEADS], lines)


def in_order(cells: dict[str, Any]) -> list[str]:
    """Name the routes beside faiss's exact ones: ours, then the others."""
    ours = [name for name in EXACT_ORDER if name in cells]
    others = [name for name in ("usearch exact", "plain read") if name in cells]
    return ours + others


def approximate_table(groups: list[list[Row]]) -> str:
    """Compare recall, time, building and size, where approximate routes were measured."""
    lines = []
    for group in groups:
        names = about(group)
        for name, some in by_route(group).items():
            one = some.get(("single", 1))
            if one is None or one.get("recall") is None or name in EXACT_ORDER[3:]:
                continue
            milliseconds = [
                in_milliseconds(seconds(some.get((kind, 1)))) for kind, _ in COLUMNS[::2]
            ]
            cost = [number(one[fact]) for fact in ("build_seconds", "bytes_per_code")]
            lines.append([*names, name, f"{one['recall']:.3f}", *milliseconds, *cost])
            names = ["", "", ""]
    heads = [
        "codes",
        "bits",
        "data",
        "route",
        "recall",
        HEADS[0],
        HEADS[2],
        "build, s",
        "bytes a code",
    ]
    picture = f"![Milliseconds a query against recall]({PICTURE.name})"
    return section(f"### Beside approximate indexes\n\n{picture}", heads, lines)


def billion_table(groups: list[list[Row]]) -> str:
    """Compare single queries among a billion codes, before and after tables are built."""
    lines = []
    for group in groups:
        names = [size(group[0]["n"]), group[0]["data"], "with tables" if group[0]["tables"] else ""]
        cost = [number(group[0]["build_seconds"])]
        cost += [f"{group[0][f'{kind}_bytes'] / 1e9:.1f}" for kind in ("resident", "peak")]
        for row in group:
            ratio = times(row["ratio_to_faiss"])
            lines.append([*names, row["route"], in_milliseconds(seconds(row)), ratio, *cost])
            names, cost = ["", "", ""], ["", "", ""]
    heads = ["codes", "data", "", "route", "single", "to faiss", "build, s", "GB", "GB at the peak"]
    return section("### A billion codes, one query at a time", heads, lines)


def rankings(rows: list[Row]) -> str:
    """Say how long full rankings take."""
    found = [row for row in rows if row["kind"] == "full ranking"]
    if not found:
        return ""
    ms = {name: 1e3 * found[-1][name] for name in ("ours", "argsort", "stable argsort")}
    return (
        f"Full rankings of {found[-1]['n']:,} codes of 64 bits, as evaluations need them: "
        f"{ms['ours']:.2f} ms a query; `argsort` of a NumPy distance matrix {ms['argsort']:.2f}, "
        f"its stable form {ms['stable argsort']:.2f}."
    )


def machines(groups: list[list[Row]]) -> str:
    """Say on what and when the comparisons were measured."""
    lines = {}
    for group in groups:
        where = group[0]["provenance"]
        peers = [f"{name} {where['versions'].get(name, '')}" for name in ("faiss-cpu", "usearch")]
        quiet = [row["speedup"] for row in group if row["kind"] == "machine"]
        line = f"{where['processor']}, {where['cores']} cores, {where['time'][:10]}"
        line += (
            f", commit {where['commit']}, {', '.join(name for name in peers if name[-1] != ' ')}"
        )
        lines.setdefault(line.rstrip(", "), []).extend(quiet)
    return "\n".join(
        f"- Measured on {line}"
        + (f"; two plain threads did the work of {min(q):.2f} to {max(q):.2f}." if q else ".")
        for line, q in lines.items()
    )


def draw(groups: list[list[Row]], path: Path) -> None:
    """Draw milliseconds against recall where most indexes took part: single queries."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    most = max(len(curves(group)) for group in groups)
    groups = [group for group in groups if len(curves(group)) == most]
    with rc_context({"svg.hashsalt": "hashlearn", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(5.2 * len(groups), 4.2))
        panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axes, group in zip(panels, groups, strict=True):
            draw_panel(axes, curves(group))
            n, n_bits, data = about(group)
            axes.set_title(f"{data}, {n} codes of {n_bits} bits")
            axes.set_xlabel(f"recall of the {group[0]['k']} nearest")
        panels[0].set_ylabel("ms a query, one thread (log)")
        figure.tight_layout()
        with replacing(path) as temporary:
            figure.savefig(temporary, format="svg", metadata={"Date": None})


def curves(group: list[Row]) -> dict[str, list[tuple[float, float]]]:
    """Give recall and milliseconds of each index, one point a setting; ours come first."""
    found: dict[str, list[tuple[float, float]]] = {}
    fastest = fastest_of_faiss(group, ("single", 1))
    for row in group:
        if (row["kind"], row.get("threads")) != ("single", 1) or row.get("recall") is None:
            continue
        if (name := name_of_curve(row, fastest)) is not None:
            found.setdefault(name, []).append((row["recall"], 1e3 * row["seconds_per_query"]))
    return dict(sorted(found.items(), key=lambda item: not item[0].startswith("hashlearn")))


def name_of_curve(row: Row, fastest_of_faiss: float | None) -> str | None:
    """Name the curve that a row is a point of; None for what would only crowd the picture."""
    if row["route"] in EXACT_ORDER:
        return f"hashlearn {row['route']}" if row["route"] in ("tables", "scan") else None
    if row["exact"]:
        return "faiss flat" if row["seconds_per_query"] == fastest_of_faiss else None
    return row["route"] if row["route"] == "usearch exact" else row["route"].rsplit(" ", 2)[0]


def draw_panel(axes: Any, lines: dict[str, list[tuple[float, float]]]) -> None:
    """Draw each index as a line, and its name beside the frame at the height of its last point."""
    axes.set_yscale("log")
    styles = iter(zip(COLOURS, MARKERS, strict=True))
    colours = {}
    for name, points in lines.items():
        ours = name.startswith("hashlearn")
        fixed = ("black", "*") if ours else ("#666666", "P") if name == "faiss flat" else None
        colours[name], marker = fixed or next(styles)
        axes.plot(
            *zip(*points, strict=True), color=colours[name], marker=marker,
            markersize=11 if ours else 5, linewidth=1.2, clip_on=False, zorder=3,
        )  # fmt: skip
    axes.set_xlim(right=1.0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    ends = sorted((points[-1][1], name) for name, points in lines.items())
    heights = spread([relative(ms, *axes.get_ylim()) for ms, _ in ends], gap=0.05)
    for (ms, name), height in zip(ends, heights, strict=True):
        axes.annotate(
            name, xy=(lines[name][-1][0], ms), xytext=(1.05, height), textcoords="axes fraction",
            color=colours[name], va="center", fontsize=8,
            arrowprops={"arrowstyle": "-", "color": colours[name], "linewidth": 0.5},
        )  # fmt: skip


def relative(value: float, low: float, high: float) -> float:
    """Give the height of a value on a logarithmic axis, 0 to 1."""
    return log(value / low) / log(high / low)


def spread(heights: list[float], gap: float) -> list[float]:
    """Move rising heights apart until labels do not touch, and down again from above the top."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else max(height, 0.0))
    top = 1.0
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = min(placed[i], top)
        top = placed[i] - gap
    return placed


def is_approximate(group: list[Row]) -> bool:
    """Tell whether a comparison has routes that may miss neighbours: not usearch's exact one."""
    others = [row for row in group if not row.get("exact", True) and "recall" in row]
    return any(row["route"] != "usearch exact" and row["recall"] is not None for row in others)


def by_route(group: list[Row]) -> dict[str, dict[tuple[str, int], Row]]:
    """Give the row of each route, kind and number of threads."""
    found: dict[str, dict[tuple[str, int], Row]] = {}
    for row in group:
        if row["kind"] != "machine":
            found.setdefault(row["route"], {})[row["kind"], row["threads"]] = row
    return found


def fastest_of_faiss(group: list[Row], column: tuple[str, int]) -> float | None:
    """Give the seconds a query that the ratios are to."""
    found = [
        row["seconds_per_query"] for row in group
        if row["route"].startswith("faiss") and row.get("exact", True)
        and (row["kind"], row["threads"]) == column
    ]  # fmt: skip
    return min(found, default=None)


def about(group: list[Row]) -> list[str]:
    """Say what codes a comparison is of."""
    return [size(group[0]["n"]), str(group[0]["n_bits"]), group[0]["data"]]


def size(n: int) -> str:
    """Write a number of codes, millions as M."""
    return f"{n / 1e6:,.10g} M"


def seconds(row: Row | None) -> float | None:
    """Give the seconds a query, if there is such a row."""
    return row and row["seconds_per_query"]


def in_milliseconds(value: float | None) -> str:
    """Write seconds as milliseconds."""
    return "–" if value is None else f"{1e3 * value:.3f} ms"


def times(ratio: float | None) -> str:
    """Write a ratio: whole where it is large."""
    return "–" if ratio is None else f"{number(ratio)} ×"


def number(value: float | None) -> str:
    """Write a number with as many digits as can be told apart."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"


def section(title: str, heads: list[str], lines: list[list[str]]) -> str:
    """Make a titled table; nothing if it has no lines."""
    if not lines:
        return ""
    table = [heads, ["---"] * len(heads), *lines]
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in table)])


if __name__ == "__main__":
    if comparisons := last_approximate_runs(read("search.jsonl")):
        draw(comparisons, PICTURE)
