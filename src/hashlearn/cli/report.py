"""A folder of results as a page for people."""

from pathlib import Path
from typing import Annotated

import typer

from hashlearn.cli.options import AsJson
from hashlearn.cli.show import report as say


def report(
    results: Annotated[
        Path, typer.Argument(help="Folder of results, as `hashlearn bench` writes.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the page and the Markdown.")
    ] = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Show results as one page: the papers' tables, ours, curves, maps of codes, what is found.

    The page, `index.html`, needs no other file and no network; `report.md` holds its tables. Data
    sets that are here and unchanged are read for the pictures.

    Example: `hashlearn report results -o report`
    """  # numpydoc ignore=PR01
    from hashlearn.benchmark.report import write_report

    page, tables = write_report(results, output)
    values = {"page": str(page), "markdown": str(tables)}
    say(values, f"Wrote {page} ({page.stat().st_size / 1e6:.1f} MB) and {tables}", as_json=as_json)
