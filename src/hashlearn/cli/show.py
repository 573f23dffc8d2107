"""What commands print: tables and JSON on standard output, messages on standard error."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Table

T = TypeVar("T")

_WHOLE = 24
"""Characters of a name that a table of 80 has room for in one line."""


def message(text: str, style: str | None = None) -> None:
    """Print a line for a person on standard error.

    Parameters
    ----------
    text : str
        The line, printed as it is.
    style : str, optional
        Rich's name of a style.
    """
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def progress(text: str) -> None:
    """Say what is going on, to a person who waits at a terminal.

    Parameters
    ----------
    text : str
        The line.
    """
    if sys.stderr.isatty():
        message(text, style="dim")


def tracked(items: Iterable[T], doing: str, total: int | None = None) -> Iterable[T]:
    """Show a progress bar to a person who waits at a terminal.

    Parameters
    ----------
    items : iterable
        What is worked through.
    doing : str
        What is being done.
    total : int, optional
        Number of items, if they do not know it.

    Returns
    -------
    iterable
        The items.
    """
    if not sys.stderr.isatty():
        return items
    return track(items, doing, total, console=Console(stderr=True), transient=True)


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a progress bar to a person who waits at a terminal.

    Yields
    ------
    callable
        Takes what is being done, how much of it is done and how much there is, if that is known.
    """
    if not sys.stderr.isatty():
        yield lambda _doing, _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(doing: str, done: int, total: int | None) -> None:
            if doing not in tasks:
                tasks[doing] = bar.add_task(doing, total=total)
            bar.update(tasks[doing], completed=done)

        yield show


def print_json(values: Any) -> None:
    """Print values for a program on standard output.

    Parameters
    ----------
    values : object
        What JSON can hold.
    """
    sys.stdout.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def print_json_lines(rows: list[dict[str, Any]]) -> None:
    """Print rows for a program on standard output, each on a line of its own.

    Parameters
    ----------
    rows : list of dict
        What JSON can hold.
    """
    sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def report(values: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    """Say what a command did, to a program or to a person.

    Parameters
    ----------
    values : dict
        The facts, for a program.
    sentence : str
        The same for a person.
    as_json : bool
        Who asks.
    """
    if as_json:
        print_json(values)
    else:
        message(sentence)


def print_table(
    columns: list[str], rows: list[list[Any]], title: str | None = None, thousands: str = ","
) -> None:
    """Print a table on standard output; numbers are aligned to the right.

    Parameters
    ----------
    columns : list of str
        Heads.
    rows : list of list
        Cells; floats are shown with three digits.
    title : str, optional
        Line above the table.
    thousands : str, default=","
        What separates the thousands of whole numbers; nothing for numbers that are names.
    """
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        # Names are copied from here, so that those that can stay whole do.
        is_short = column == "name" and all(len(str(row[number])) <= _WHOLE for row in rows)
        table.add_column(
            column,
            justify="right" if is_number else "left",
            overflow="fold",
            no_wrap=is_number or is_short,
        )
    for row in rows:
        table.add_row(*(_cell(value, thousands) for value in row))
    Console().print(table)


def _cell(value: Any, thousands: str) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return f"{value:,}".replace(",", thousands)
    return escape(str(value))
