"""From files to ranked neighbours: fit, encode, index, search."""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from hashlearn.cli.options import (
    AsJson,
    Column,
    Data,
    Features,
    Grey,
    ImageSize,
    LabelColumn,
    NameColumn,
    Parameters,
    Seed,
    settings_in,
)
from hashlearn.cli.show import (
    message,
    print_json,
    print_table,
    progress,
    report,
)

# The stations are imported inside the commands: `hashlearn --help` must answer at once.


def fit(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the model.")],
    method: Annotated[str, typer.Option(help="See `hashlearn methods`.")] = "itq",
    bits: Annotated[int, typer.Option(help="Length of the codes.")] = 64,
    features: Features = None,
    parameters: Parameters = None,
    seed: Seed = 0,
    column: Column = None,
    label_column: LabelColumn = None,
    image_size: ImageSize = None,
    grey: Grey = False,
    as_json: AsJson = False,
) -> None:
    """Learn codes from all items of a data set and save the model.

    Example: `hashlearn fit photos/ --image-size 32x32 --method itq --bits 64 -o photos.model`
    """  # numpydoc ignore=PR01
    from hashlearn.benchmark import default_features, make_hasher
    from hashlearn.cli.files import check_output, load_items
    from hashlearn.features import make_features
    from hashlearn.models import make_model, save

    check_output(output)
    hasher = make_hasher(method, bits, settings_in(parameters), seed)
    steps = None if features is None else make_features(features)  # before the items are read
    dataset = load_items(data, size=image_size, grey=grey, column=column, label_column=label_column)
    model = make_model(default_features(dataset.X, method) if steps is None else steps, hasher)
    progress(f"fitting {type(hasher).__name__} to {len(dataset):,} items")
    model.fit(dataset.X, dataset.y)
    save(model, output)
    report(
        {"model": str(output), "method": method, "n_bits": bits, "n_samples": len(dataset)},
        f"{type(hasher).__name__} with {bits} bits, fitted to {len(dataset):,} items: {output}",
        as_json=as_json,
    )


def encode(
    model: Annotated[Path, typer.Argument(help="File of `hashlearn fit`.")],
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="File for the codes: .npz (codes, n_bits, names) or .npy (codes).",
        ),
    ],
    column: Column = None,
    name_column: NameColumn = None,
    as_json: AsJson = False,
) -> None:
    """Encode items with a model into packed codes.

    Example: `hashlearn encode photos.model photos/ -o photos.npz`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import ARRAYS, check_output, encode_items, load_items_for, write_codes
    from hashlearn.models import hasher_of, load

    check_output(output, ARRAYS)
    fitted = load(model)
    n_bits = hasher_of(fitted).n_bits
    dataset = load_items_for(fitted, data, column=column, name_column=name_column)
    codes = encode_items(fitted, dataset.X)
    write_codes(output, codes, n_bits, dataset.item_names)
    report(
        {"codes": str(output), "n_bits": n_bits, "n_samples": len(codes), "bytes": codes.nbytes},
        f"{len(codes):,} codes of {n_bits} bits, {codes.nbytes:,} bytes: {output}",
        as_json=as_json,
    )


def index(
    codes: Annotated[
        Path,
        typer.Argument(
            help="File of `hashlearn encode`, or codes made elsewhere: .npz, .npy, or hexadecimal "
            "numbers in .txt or .csv (see `hashlearn duplicates --help`)."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the index.")],
    bits: Annotated[
        int | None, typer.Option(help="Length of the codes, if the file does not say.")
    ] = None,
    tables: Annotated[
        bool,
        typer.Option(
            help="Build tables that lead a search to near codes without looking at all: worth "
            "their memory, some 12 bytes a code and table, from some million codes on."
        ),
    ] = False,
    lean: Annotated[
        bool, typer.Option(help="Build tables of 4 bytes a code and table instead; slower.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put codes into an index that can be opened at once and searched.

    Names of the items go into a text file beside the index, one a line.

    Example: `hashlearn index photos.npz -o photos.index --tables`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output, read_codes, write_names
    from hashlearn.index import HammingIndex

    check_output(output)
    packed, n_bits, names = read_codes(codes, bits)
    built = HammingIndex(n_bits)
    built.add(packed)
    if tables or lean:
        built.build_tables(lean=lean)
    write_names(output, names)
    built.save(output)
    report(
        {
            "index": str(output),
            "n_bits": n_bits,
            "n_items": len(built),
            "n_tables": built.n_tables,
            "bytes": built.index_bytes,
        },
        f"index of {len(built):,} codes of {n_bits} bits"
        + (f" with {built.n_tables} tables" if built.n_tables else "")
        + f", {built.index_bytes:,} bytes: {output}",
        as_json=as_json,
    )


def search(
    index: Annotated[Path, typer.Argument(help="File of `hashlearn index`.")],
    queries: Annotated[
        str, typer.Argument(help="Items like those that were encoded, or a file of codes.")
    ],
    model: Annotated[
        Path | None, typer.Option(help="Model that encodes the queries; not needed for codes.")
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Nearest items to show for each query.")] = 10,
    radius: Annotated[
        int | None, typer.Option(help="Show all items within this many bits instead.")
    ] = None,
    column: Column = None,
    name_column: NameColumn = None,
    as_json: AsJson = False,
) -> None:
    """Find the items nearest to each query, nearest first.

    Example: `hashlearn search photos.index cat.jpg --model photos.model -k 5`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import CODES, encode_items, load_items_for, read_codes, read_names
    from hashlearn.index import HammingIndex
    from hashlearn.models import hasher_of, load

    opened = HammingIndex.open(index)
    names = read_names(index, opened.ids)
    query_names: tuple[str, ...] | None
    if model is None:
        if Path(queries).suffix not in CODES:
            raise ValueError(f"--model is needed to encode {queries}")
        codes, _, query_names = read_codes(Path(queries), opened.n_bits)
    else:
        fitted = load(model)
        if (n_bits := hasher_of(fitted).n_bits) != opened.n_bits:
            raise ValueError(f"the model gives {n_bits} bits, the index holds {opened.n_bits}")
        dataset = load_items_for(fitted, queries, column=column, name_column=name_column)
        codes, query_names = encode_items(fitted, dataset.X), dataset.item_names
    rows = [
        {
            "query": query_names[number] if query_names else number,
            "rank": rank,
            "id": int(id_),
            **({} if names is None else {"name": names[int(id_)]}),
            "distance": int(distance),
        }
        for number, (ids, distances) in enumerate(_lists(opened, codes, k, radius))
        for rank, (id_, distance) in enumerate(zip(ids, distances, strict=True), start=1)
        if id_ >= 0
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows], thousands="")
    else:
        message("nothing found")


def _lists(
    index: Any, codes: NDArray[np.uint8], k: int, radius: int | None
) -> list[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    if radius is not None:
        return list(index.search_radius(codes, radius))
    found = index.search(codes, min(k, max(1, len(index))))  # more places would stay empty
    return list(zip(found.ids, found.distances, strict=True))
