"""From files to pairs and groups of near items: duplicates."""

import csv
import warnings
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlearn.cli.options import AsJson, Column, NameColumn
from hashlearn.cli.show import message, print_json_lines, print_table, tracked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashlearn.index import HammingIndex
    from hashlearn.results import Pairs

# The stations are imported inside the commands: `hashlearn --help` must answer at once.

_DEFAULT_HASH = "phash"
_DEFAULT_RADIUS = 4  # of perceptual hashes


def duplicates(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder of images; a file of codes made here or elsewhere: .npz, .npy (uint8 "
            "bytes or uint64 numbers), .txt (a hexadecimal hash a line) or .csv (path,hash); a "
            "file of `hashlearn index`; or with --model items.",
        ),
    ],
    hash_name: Annotated[
        str | None,
        typer.Option(
            "--hash",
            help="Images: perceptual hash of 64 bits to compare, phash, dhash or ahash. Default: "
            f"{_DEFAULT_HASH}.",
        ),
    ] = None,
    radius: Annotated[
        int | None,
        typer.Option(
            help="Largest distance in bits between two items of a pair. Default: "
            f"{_DEFAULT_RADIUS} for a folder of images, 0 (equal codes) otherwise."
        ),
    ] = None,
    groups: Annotated[
        bool,
        typer.Option(
            "--groups",
            help="List groups, not pairs: items that a chain of pairs connects.",
        ),
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="Model that encodes the items, instead of --hash.")
    ] = None,
    column: Column = None,
    name_column: NameColumn = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the rows to this .csv file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find items that are equal or nearly so: copies of images, or any near codes.

    A folder of images needs no model. Images that cannot be read are named and left out; the exit
    code is then 1. With --json one pair, or one item of a group, a line.

    Example: `hashlearn duplicates photos/ --groups`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import check_output
    from hashlearn.results import group_pairs

    if output is not None:
        check_output(output, (".csv",))
        if as_json:
            raise ValueError("--json prints the rows and --output writes them; give one of the two")
    is_hashed = model is None and Path(data).is_dir()
    if hash_name is not None and not is_hashed:
        raise ValueError(f"--hash is for a folder of images, and without --model; got {data}")
    if radius is None:
        radius = _DEFAULT_RADIUS if is_hashed else 0
    unread: list[str] = []
    names: Mapping[int, str] | None
    if is_hashed:
        searched, names, unread = _hash_images(Path(data), hash_name or _DEFAULT_HASH, radius)
    else:
        searched, names = _open_codes(data, model, column, name_column)
    parts = searched.pairs_within(radius)
    among = f"within {radius} bits among {len(searched):,} items"
    if groups:
        joined = group_pairs(parts)
        n_rows = _write_rows([_group_rows(joined, names)], ["group", "item"], output, as_json)
        message(f"{len(joined):,} groups, of {n_rows:,} items, joined by pairs {among}")
    else:
        rows = (_pair_rows(part, names) for part in parts)
        n_rows = _write_rows(rows, ["first", "second", "distance"], output, as_json)
        message(f"{n_rows:,} pairs {among}")
    if unread:
        message(
            f"{len(unread):,} of {len(unread) + len(searched):,} images could not be read and were "
            "left out",
            style="yellow",
        )
        raise typer.Exit(1)


def _open_codes(
    data: str, model: Path | None, column: str | None, name_column: str | None
) -> "tuple[HammingIndex, Mapping[int, str] | None]":
    """Open an index, or put codes or encoded items into one."""
    from hashlearn.cli.files import CODES, encode_items, read_codes
    from hashlearn.codefiles import read_names
    from hashlearn.index import HammingIndex
    from hashlearn.models import hasher_of, load

    if model is not None:
        fitted = load(model)
        n_bits = hasher_of(fitted).n_bits
        codes, item_names = encode_items(fitted, data, column=column, name_column=name_column)
    elif Path(data).suffix in CODES:
        codes, n_bits, item_names = read_codes(Path(data), None)
    else:
        opened = HammingIndex.open(data)
        return opened, read_names(Path(data), opened.ids)
    searched = HammingIndex(n_bits)
    searched.add(codes)
    return searched, dict(enumerate(item_names)) if item_names else None


def _hash_images(
    folder: Path, name: str, radius: int
) -> "tuple[HammingIndex, Mapping[int, str], list[str]]":
    """Hash the images of a folder; say which cannot be read."""
    import numpy as np

    from hashlearn.data.images import SUFFIXES
    from hashlearn.data.locations import files_in
    from hashlearn.hashers.perceptual import HASHES
    from hashlearn.index import HammingIndex

    if name not in HASHES:
        raise ValueError(f"unknown hash {name!r}; there are: {', '.join(HASHES)}")
    compute, size = HASHES[name]
    searched = HammingIndex(64)
    searched.pairs_within(radius)  # refuses one out of range before images are read
    paths = files_in(folder, SUFFIXES)
    if not paths:
        raise ValueError(
            f"{folder} has no images, extensions read: {', '.join(SUFFIXES)}; other items are "
            "compared with --model"
        )
    images, names, unread = [], [], []
    for path, image in zip(paths, _read_images(paths, size), strict=True):
        if isinstance(image, ValueError):
            unread.append(f"left out: {image}")
        else:
            images.append(image)
            names.append(path.relative_to(folder).as_posix())
    for text in unread:
        message(f"Warning: {text}", style="yellow")
    if not images:
        raise ValueError(f"none of {len(paths):,} images can be read")
    searched.add(compute(np.stack(images)))
    return searched, dict(enumerate(names)), unread


def _read_images(
    paths: list[Path], size: tuple[int, int]
) -> "list[NDArray[np.uint8] | ValueError]":
    """Read small grey images in several threads, or say why one cannot be read."""
    from PIL import Image

    from hashlearn.data.images import read_image
    from hashlearn.engine import available_threads

    def read(path: Path) -> "NDArray[np.uint8] | ValueError":
        try:
            return read_image(path, size=size, mode="grey")
        except ValueError as error:
            return error

    # read_image sets this filter while it works, for all threads: set around them it stays set
    with warnings.catch_warnings(), ThreadPoolExecutor(available_threads()) as pool:
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return list(tracked(pool.map(read, paths), "reading images", len(paths)))


def _pair_rows(part: "Pairs", names: Mapping[int, str] | None) -> list[dict[str, Any]]:
    columns = part.first_ids.tolist(), part.second_ids.tolist(), part.distances.tolist()
    return [
        {
            "first": first if names is None else names[first],
            "second": second if names is None else names[second],
            "distance": distance,
        }
        for first, second, distance in zip(*columns, strict=True)
    ]


def _group_rows(
    groups: "list[NDArray[np.int64]]", names: Mapping[int, str] | None
) -> list[dict[str, Any]]:
    return [
        {"group": number, "item": id_ if names is None else names[id_]}
        for number, group in enumerate(groups, start=1)
        for id_ in group.tolist()
    ]


def _write_rows(
    parts: Iterable[list[dict[str, Any]]], columns: list[str], output: Path | None, as_json: bool
) -> int:
    """Write rows, some at a time, into a file or onto standard output; count them."""
    from hashlearn.storage import replacing

    n_rows = 0
    with ExitStack() as stack:
        if output is not None:
            temporary = stack.enter_context(replacing(output))
            opened = temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="")
            writer = csv.DictWriter(stack.enter_context(opened), columns)
            writer.writeheader()
        for rows in parts:
            n_rows += len(rows)
            if output is not None:
                writer.writerows(rows)
            elif as_json:
                print_json_lines(rows)
            elif rows:
                print_table(columns, [list(row.values()) for row in rows], thousands="")
    return n_rows
