"""Collections: items, their codes and the hasher in one folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlearn.cli.finding import naming_keys, search
from hashlearn.cli.options import AsJson, Column, LabelColumn, NameColumn
from hashlearn.cli.show import print_json, print_table, progress_bar, report

if TYPE_CHECKING:
    from hashlearn.collection import Added, Collection

# The stations are imported inside the commands: `hashlearn --help` must answer at once.

app = typer.Typer(
    name="collection",
    help="Keep items, their codes and the model in a folder: create, add, search, verify.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command()(search)

Folder = Annotated[Path, typer.Argument(help="Folder of the collection.")]
Data = Annotated[
    str, typer.Argument(help="Items, as for `hashlearn fit`: a folder, a file or a data set.")
]
_MODEL = "File of `hashlearn fit`, whose model makes the codes."


@app.command()
def create(
    collection: Annotated[Path, typer.Argument(help="Folder to make.")],
    data: Annotated[
        str | None, typer.Argument(help="Items to add at once, as for `hashlearn fit`.")
    ] = None,
    model: Annotated[Path, typer.Option(help=_MODEL)] = ...,  # type: ignore[assignment]
    keep_originals: Annotated[
        bool,
        typer.Option(
            "--originals/--no-originals",
            help="Keep vectors, and images that stand in no file: needed to rebuild with another "
            "model.",
        ),
    ] = True,
    column: Column = None,
    name_column: NameColumn = None,
    label_column: LabelColumn = None,
    as_json: AsJson = False,
) -> None:
    """Make a collection for a fitted model, and add items to it.

    Images in files are not copied. When adding is interrupted, `hashlearn collection add` goes on.

    Example: `hashlearn collection create photos.collection photos/ --model photos.model`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import given
    from hashlearn.collection import Collection
    from hashlearn.data import open_source
    from hashlearn.models import load

    columns = {"column": column, "name_column": name_column, "label_column": label_column}
    if data is not None:  # told before a folder is made
        open_source(data, same_size=False, **given(columns))
    fitted = load(model)
    with Collection.create(fitted, collection, keep_originals=keep_originals) as made:
        if data is not None:
            _fill(made, data, **columns)
        n_items, n_bits, kind = len(made), made.n_bits, made.kind
    report(
        {"collection": str(collection), "kind": kind, "n_bits": n_bits, "n_items": n_items},
        f"collection of {n_items:,} {kind}, {n_bits} bits: {collection}",
        as_json=as_json,
    )


@app.command()
def add(
    collection: Folder,
    data: Data,
    column: Column = None,
    name_column: NameColumn = None,
    label_column: LabelColumn = None,
    as_json: AsJson = False,
) -> None:
    """Add items; those that are there already are left as they are.

    Names of the items, or else row numbers, are their keys. Items are added a batch at a time. When
    the command is interrupted, the same command goes on where it stopped.

    Example: `hashlearn collection add photos.collection more-photos/`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection

    with Collection.open(collection) as opened:
        added = _fill(
            opened, data, column=column, name_column=name_column, label_column=label_column
        )
        n_items = len(opened)
    report(
        {"n_added": added.n_added, "n_known": added.n_known, "n_items": n_items},
        f"{added.n_added:,} items added, {added.n_known:,} were there: {n_items:,} in {collection}",
        as_json=as_json,
    )


@app.command()
def remove(
    collection: Folder,
    keys: Annotated[list[str], typer.Argument(help="Keys of the items.")],
    as_json: AsJson = False,
) -> None:
    """Remove items: all, or after an error none.

    Example: `hashlearn collection remove photos.collection day/3.png night/7.png`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection

    with Collection.open(collection) as opened, naming_keys():
        opened.remove(keys)
        n_items = len(opened)
    report(
        {"n_removed": len(keys), "n_items": n_items},
        f"{len(keys):,} items removed: {n_items:,} in {collection}",
        as_json=as_json,
    )


@app.command()
def rebuild(
    collection: Folder,
    model: Annotated[Path, typer.Option(help=_MODEL)] = ...,  # type: ignore[assignment]
    as_json: AsJson = False,
) -> None:
    """Encode all items with another model. Until it is done, searches find what they found.

    Example: `hashlearn collection rebuild photos.collection --model better.model`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection
    from hashlearn.models import load

    fitted = load(model)
    with Collection.open(collection) as opened:
        with progress_bar() as bar:
            opened.rebuild(fitted, progress=bar)
        values = {
            "n_items": len(opened), "n_bits": opened.n_bits, "generation": opened.generation,
        }  # fmt: skip
    report(
        values,
        f"{values['n_items']:,} items have codes of {values['n_bits']} bits by {model}",
        as_json=as_json,
    )


@app.command()
def verify(collection: Folder, as_json: AsJson = False) -> None:
    """Check every file, every item and every code; exit code 1 if something is wrong.

    Example: `hashlearn collection verify photos.collection`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection

    with Collection.open(collection, read_only=True) as opened:
        found = opened.verify()
    values = {
        "is_whole": found.is_whole,
        "n_items": found.n_items,
        "n_readable": found.n_readable,
        "problems": list(found.problems),
    }
    sentence = f"{found.n_readable:,} of {found.n_items:,} items are as they were written"
    report(values, "\n".join([sentence, *found.problems]), as_json=as_json)
    if not found.is_whole:
        raise typer.Exit(1)


@app.command()
def export(
    collection: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="File that ends in .parquet.")],
    as_json: AsJson = False,
) -> None:
    """Write the items and their codes into a Parquet file.

    Example: `hashlearn collection export photos.collection -o photos.parquet`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output
    from hashlearn.collection import Collection

    check_output(output, (".parquet",))
    with Collection.open(collection, read_only=True) as opened:
        opened.export(output)
        n_items = len(opened)
    report(
        {"output": str(output), "n_items": n_items},
        f"{n_items:,} items: {output}",
        as_json=as_json,
    )


@app.command()
def salvage(
    collection: Folder,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.")],
    model: Annotated[
        Path | None, typer.Option(help="The model, if the collection's own is damaged.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what can be read of a damaged collection into a new one; exit code 1 if items are lost.

    Example: `hashlearn collection salvage photos.collection -o saved.collection`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import salvage as save
    from hashlearn.models import load

    saved = save(collection, output, hasher=None if model is None else load(model))
    values = {"collection": str(output), "n_saved": saved.n_saved, "lost": list(saved.lost)}
    lost = [f"lost: {key}" for key in saved.lost]
    report(values, "\n".join([f"{saved.n_saved:,} items saved: {output}", *lost]), as_json=as_json)
    if saved.lost:
        raise typer.Exit(1)


@app.command()
def info(collection: Folder, as_json: AsJson = False) -> None:
    """Say what a collection holds, and by which fields its items can be found.

    Example: `hashlearn collection info photos.collection`
    """  # numpydoc ignore=PR01
    from hashlearn.collection import Collection
    from hashlearn.models import hasher_of

    with Collection.open(collection, read_only=True) as opened:
        values = {
            "kind": opened.kind,
            "n_items": len(opened),
            "n_bits": opened.n_bits,
            "method": type(hasher_of(opened.model)).__name__,
            "generation": opened.generation,
        }
        fields = opened.fields()
    if as_json:
        told = {
            name: [{"value": value, "n": n} for value, n in counts.items()]
            for name, counts in fields.items()
        }
        print_json({**values, "fields": told})
        return
    rows: list[list[Any]] = [[name, str(value)] for name, value in values.items()]
    for name, counts in fields.items():
        some = ", ".join(f"{value} ({n})" for value, n in list(counts.items())[:8])
        rows.append([name, f"{some}, ..." if len(counts) > 8 else some])
    print_table(["what", "value"], rows)


def _fill(collection: "Collection", data: str, **columns: str | None) -> "Added":
    from hashlearn.cli.files import given

    with progress_bar() as bar:
        return collection.add_source(data, progress=bar, **given(columns))
