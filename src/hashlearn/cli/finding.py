"""Search in a collection."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlearn.cli.options import AsJson, Column, NameColumn
from hashlearn.cli.show import message, print_json, print_table

if TYPE_CHECKING:
    from hashlearn.collection import Collection, Found

# The stations are imported inside the commands: `hashlearn --help` must answer at once.


def search(
    collection: Annotated[Path, typer.Argument(help="Folder of the collection.")],
    queries: Annotated[
        str | None, typer.Argument(help="Items to search for, as for `hashlearn fit`.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Search for what is like this item.")] = None,
    text: Annotated[str | None, typer.Option(help="Search for this text.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Nearest items to show.")] = 10,
    radius: Annotated[
        int | None, typer.Option(min=0, help="Show none that is farther than so many bits.")
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(help='Conditions in JSON, such as {"label": "cat", "year": {"min": 2020}}.'),
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Rank by the weighted distance.")
    ] = False,
    column: Column = None,
    name_column: NameColumn = None,
    as_json: AsJson = False,
) -> None:
    """Find the items nearest to new ones, to a text, or to one that is there.

    Example: `hashlearn collection search photos.collection cat.jpg -k 5`

    Example: `hashlearn collection search photos.collection --key day/3.png --radius 4`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection

    if sum(value is not None for value in (queries, key, text)) != 1:
        raise ValueError("give exactly one of items to search for, --key and --text")
    options: dict[str, Any] = {"radius": radius, "where": _conditions(where), "rerank": rerank}
    with Collection.open(collection, read_only=True) as opened, naming_keys():
        found: Iterable[tuple[Any, Found]]
        if key is not None:
            found = [(key, opened.search_key(key, k, **options))]
        elif text is not None:
            found = [(text, opened.search(text, k, **options))]
        else:
            items = _items_in(opened, str(queries), column=column, name_column=name_column)
            found = ((name, opened.search(item, k, **options)) for name, item in items)
        rows = [row for query, one in found for row in _rows(query, one)]
    if as_json:
        print_json(rows)
    elif rows:
        shown = ["query", "rank", "key", "label", "distance"]
        print_table(shown, [[row[name] for name in shown] for row in rows], thousands="")
    else:
        message("nothing found")


@contextmanager
def naming_keys() -> Iterator[None]:
    """Turn the error of a key that is not there into one that the command line tells.

    Yields
    ------
    None
        While this lasts.

    Raises
    ------
    ValueError
        If a key is not there.
    """
    try:
        yield
    except KeyError as error:
        raise ValueError(error.args[0]) from error


def _conditions(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        where = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--where is not valid JSON: {error}") from error
    if not isinstance(where, dict):
        raise ValueError(f'--where takes conditions such as {{"label": "cat"}}, got {text!r}')
    return where


def _items_in(
    collection: "Collection", data: str, **columns: str | None
) -> Iterator[tuple[Any, Any]]:
    """Give items and their names or numbers."""
    from hashlearn.cli.files import given
    from hashlearn.data import open_source

    source = open_source(data, same_size=False, **given(columns))
    if source.kind != collection.kind:
        raise ValueError(f"{data} holds {source.kind}, and the collection {collection.kind}")
    for batch in source.batches():
        yield from zip(batch.names or batch.rows.tolist(), batch.X, strict=True)


def _rows(query: Any, found: "Found") -> list[dict[str, Any]]:
    return [
        {
            "query": query,
            "rank": rank,
            "key": hit.item.key,
            "source": hit.item.source,
            "caption": hit.item.caption,
            "label": hit.item.label,
            "metadata": dict(hit.item.metadata),
            "distance": hit.distance,
            "weighted_distance": hit.weighted_distance,
        }
        for rank, hit in enumerate(found.hits, start=1)
    ]
