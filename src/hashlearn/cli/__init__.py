"""The command line: from files to ranked neighbours and scores without writing Python.

Data go to standard output, messages and progress bars to standard error. Bad input ends with exit
code 2 and one line that says what was wrong.
"""

import sys
import warnings
from io import TextIOWrapper
from typing import Any

import typer

from hashlearn.cli import collection
from hashlearn.cli.bench import bench
from hashlearn.cli.compress import compress
from hashlearn.cli.export import export
from hashlearn.cli.hub import pull, push
from hashlearn.cli.pairs import duplicates
from hashlearn.cli.report import report
from hashlearn.cli.road import build, encode, fit, index, search
from hashlearn.cli.scores import demo, evaluate
from hashlearn.cli.serve import serve
from hashlearn.cli.show import message
from hashlearn.cli.tables import datasets, methods

__all__ = ["app", "main"]

app = typer.Typer(
    name="hashlearn",
    help="Learn short binary codes, search them exactly, measure what they are worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for command in (
    demo, datasets, methods, fit, encode, index, build, search, compress, duplicates, export, push,
    pull, serve, evaluate, bench, report,
):  # fmt: skip
    app.command()(command)
app.add_typer(collection.app)


def main() -> None:
    """Run the command line; turn bad input into exit code 2 and one line."""
    for stream in (sys.stdout, sys.stderr):  # names of files need not be valid text
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _show_warning  # type: ignore[assignment]  # only the first argument counts
    try:
        app(prog_name="hashlearn")
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        message(f"Error: {' '.join(str(error).split())}", style="bold red")
        sys.exit(2)


def _show_warning(warning: Warning | str, *_: Any, **__: Any) -> None:
    """Show what a warning says to a person, without the place in the code."""
    message(f"Warning: {warning}", style="yellow")
