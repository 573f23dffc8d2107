"""One page and one Markdown file from a folder of results."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hashlearn.benchmark.papers import Paper, load_paper, papers
from hashlearn.benchmark.records import Records
from hashlearn.benchmark.report.contents import Contents, made_by
from hashlearn.benchmark.report.markdown import markdown
from hashlearn.storage import replacing

FOLDER = Path(__file__).parent
FILES = ("index.html.j2", "page.css", "page.js")
"""What the page is made of."""


def write_report(
    results: str | Path, output: str | Path, *, compare_with: Sequence[Paper] | None = None
) -> tuple[Path, Path]:
    """Write a folder of results as a page that opens from disk, and as Markdown.

    Parameters
    ----------
    results : path-like
        Folder of :class:`~hashlearn.benchmark.Records`.
    output : path-like
        Folder for the report; it is made if its parent exists.
    compare_with : sequence of Paper, optional
        Papers whose tables are shown. None takes all that the library has.

    Returns
    -------
    tuple of pathlib.Path
        ``index.html``, which needs no other file and no network, and ``report.md``.

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or the parent of `output` is missing.
    NotADirectoryError
        If one of the two is a file.
    ValueError
        If the folder holds no results, or they are damaged.
    ImportError
        If Jinja2 is not installed.
    """
    folder, target = Path(results), Path(output)
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}")
    records = Records(folder)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is a file; a report is a folder")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"cannot make {target}: the folder {target.parent} does not exist")
    if not records.rows():
        raise ValueError(
            f"{folder} holds no results: there is no row in {records.path.name}; "
            f"`hashlearn bench -o {folder}` writes some"
        )
    environment = _environment()
    known = [load_paper(name) for name in papers()] if compare_with is None else compare_with
    contents = Contents(records, known)
    page = render(environment, contents, folder.name, target.name)
    target.mkdir(exist_ok=True)
    written = target / "index.html", target / "report.md"
    for path, text in zip(written, (page, markdown(contents)), strict=True):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return written


def render(environment: Any, contents: Contents, source: str, target: str) -> str:
    """Render the page.

    Parameters
    ----------
    environment : jinja2.Environment
        Templates.
    contents : Contents
        What it shows.
    source, target : str
        Names of the folders of results and report, for the line that makes the page again.

    Returns
    -------
    str
        HTML.
    """
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    data = contents.for_script()
    views = contents.views()
    data["maps"] = [view["maps"] for view in views]
    page: str = environment.get_template("index.html.j2").render(
        overview=contents.overview(),
        tables=contents.tables(),
        missing=contents.missing(),
        own=contents.own(),
        summaries=data["summaries"],
        views=views,
        data=data,
        has=_parts(data),
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        digest=digest,
        made=made_by(),
        source=source,
        target=target,
    )
    return page


def _parts(data: dict[str, Any]) -> dict[str, bool]:
    """Say which parts of the page have something to show."""
    summaries = data["summaries"]
    return {
        "curves": any(summary["curves"] for summary in summaries),
        "history": any(summary["history"] for summary in summaries),
        "distances": any(summary["distances"] for summary in summaries),
        "weights": bool(data["weights"]),
        "maps": any(data["maps"]),
    }


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise ImportError("a report needs Jinja2: pip install 'hashlearn[report]'") from error
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment
