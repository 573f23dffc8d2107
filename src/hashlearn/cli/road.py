"""From files to ranked neighbours: fit, encode, index, search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    Sample,
    Seed,
    settings_in,
)
from hashlearn.cli.show import (
    message,
    print_json,
    print_table,
    progress,
    progress_bar,
    report,
)

if TYPE_CHECKING:
    from hashlearn.data import Source

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
    sample: Sample = 100_000,
    as_json: AsJson = False,
) -> None:
    """Learn codes from the items of a data set and save the model.

    Example: `hashlearn fit photos/ --image-size 32x32 --method itq --bits 64 -o photos.model`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output
    from hashlearn.encoding import fit as fit_to
    from hashlearn.models import hasher_of, save

    check_output(output)
    source, model = _opened(
        data, method, bits, features, settings_in(parameters), seed,
        column=column, label_column=label_column, image_size=image_size, grey=grey,
    )  # fmt: skip
    n_rows = source.n_rows
    n_items = n_rows if n_rows is not None and not 0 < sample < n_rows else sample
    name = type(hasher_of(model)).__name__
    progress(f"fitting {name} to {n_items:,} items")
    fit_to(model, source, n_items=sample or None, random_state=seed)
    save(model, output)
    among = "" if n_items == n_rows else f" of {n_rows:,}, drawn at random"
    report(
        {"model": str(output), "method": method, "n_bits": bits, "n_samples": n_items},
        f"{name} with {bits} bits, fitted to {n_items:,} items{among}: {output}",
        as_json=as_json,
    )


def build(
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the index, such as photos.index.")
    ],
    method: Annotated[str, typer.Option(help="See `hashlearn methods`.")] = "itq",
    bits: Annotated[int, typer.Option(help="Length of the codes.")] = 64,
    features: Features = None,
    parameters: Parameters = None,
    seed: Seed = 0,
    sample: Sample = 100_000,
    column: Column = None,
    label_column: LabelColumn = None,
    name_column: NameColumn = None,
    image_size: ImageSize = None,
    grey: Grey = False,
    model_output: Annotated[
        Path | None,
        typer.Option("--model", help="File for the model. Default: beside the index, as .model."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit, encode and index in one go: from raw items to an index that can be searched.

    What a network computes is computed once for each item. When the command is interrupted, the
    same command goes on where it stopped.

    Example: `hashlearn build photos/ --features onnx:mobilenet_v2.onnx --bits 64 -o photos.index`
    """  # numpydoc ignore=PR01
    from hashlearn.building import build as build_index
    from hashlearn.cli.files import check_output

    model_output = output.with_suffix(".model") if model_output is None else model_output
    check_output(output)
    check_output(model_output)
    if model_output == output:
        raise ValueError(f"index and model cannot both be written to {output}")
    source, model = _opened(
        data, method, bits, features, settings_in(parameters), seed, name_column=name_column,
        column=column, label_column=label_column, image_size=image_size, grey=grey,
    )  # fmt: skip
    with progress_bar() as bar:
        built = build_index(
            model, source, output, model_output=model_output,
            n_items=sample or source.n_rows or 0, random_state=seed, progress=bar,
        )  # fmt: skip
    report(
        {
            "index": str(output),
            "model": str(model_output),
            "method": method,
            "n_bits": bits,
            "n_items": len(built),
            "bytes": built.index_bytes,
        },
        f"index of {len(built):,} codes of {bits} bits, {built.index_bytes:,} bytes: {output}; "
        f"model: {model_output}",
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
            help="File for the codes: .npz (codes, n_bits, names), .npy (codes) or .parquet "
            "(code, name).",
        ),
    ],
    column: Column = None,
    name_column: NameColumn = None,
    as_json: AsJson = False,
) -> None:
    """Encode items with a model into packed codes.

    Items are read a batch at a time. When the command is interrupted, the same command goes on
    where it stopped.

    Example: `hashlearn encode photos.model photos/ -o photos.npz`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output, given
    from hashlearn.codefiles import SUFFIXES
    from hashlearn.encoding import encode_source, open_for
    from hashlearn.models import hasher_of, load

    check_output(output, SUFFIXES)
    fitted = load(model)
    n_bits = hasher_of(fitted).n_bits
    source = open_for(fitted, data, **given({"column": column, "name_column": name_column}))
    with progress_bar() as bar:
        n_codes = encode_source(fitted, source, output, progress=bar)
    n_bytes = n_codes * -(-n_bits // 8)
    report(
        {"codes": str(output), "n_bits": n_bits, "n_samples": n_codes, "bytes": n_bytes},
        f"{n_codes:,} codes of {n_bits} bits, {n_bytes:,} bytes: {output}",
        as_json=as_json,
    )


def index(
    codes: Annotated[
        Path,
        typer.Argument(
            help="File of `hashlearn encode`, or codes made elsewhere: .npz, .npy, .parquet, or "
            "hexadecimal numbers in .txt or .csv (see `hashlearn duplicates --help`)."
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
    from hashlearn.cli.files import check_output, read_codes
    from hashlearn.codefiles import write_names
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
    from hashlearn.cli.files import CODES, encode_items, read_codes
    from hashlearn.codefiles import read_names
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
        codes, query_names = encode_items(fitted, queries, column=column, name_column=name_column)
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


def _opened(
    data: str,
    method: str,
    bits: int,
    features: str | None,
    parameters: dict[str, Any],
    seed: int,
    *,
    image_size: str | None,
    grey: bool,
    **columns: str | None,
) -> "tuple[Source, Any]":
    """Open items and make a model that is to be fitted to them."""
    from hashlearn.benchmark import default_features, make_hasher
    from hashlearn.cli.files import given
    from hashlearn.cli.options import image_size as size_in
    from hashlearn.data import open_source
    from hashlearn.encoding import divided
    from hashlearn.features import make_features
    from hashlearn.models import make_model

    hasher = make_hasher(method, bits, parameters, seed)
    front, _ = divided(make_model("" if features is None else features, hasher))
    images = given({"image_size": size_in(image_size), "mode": "grey" if grey else None})
    source = open_source(data, same_size=front is None, **images, **given(columns))
    names = default_features(source.kind, method) if features is None else features
    return source, make_model(make_features(names), hasher)


def _lists(
    index: Any, codes: NDArray[np.uint8], k: int, radius: int | None
) -> list[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    if radius is not None:
        return list(index.search_radius(codes, radius))
    found = index.search(codes, min(k, max(1, len(index))))  # more places would stay empty
    return list(zip(found.ids, found.distances, strict=True))
