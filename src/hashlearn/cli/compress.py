"""Vectors to the codes that lose least."""

from pathlib import Path
from typing import Annotated

import typer

from hashlearn.cli.options import AsJson, Column, Data, NameColumn, Seed
from hashlearn.cli.show import print_table, progress, progress_bar, report


def compress(
    data: Data,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder to make. Default: name of the data and .compressed."
        ),
    ] = None,
    bits: Annotated[int, typer.Option(help="Length of the codes.")] = 256,
    metric: Annotated[
        str, typer.Option(help="Whose nearest neighbours are to be kept: euclidean or cosine.")
    ] = "euclidean",
    seconds: Annotated[
        float, typer.Option(help="Time to learn in; encoding and measuring come on top.", min=0)
    ] = 180.0,
    factors: Annotated[
        bool, typer.Option(help="Keep correction factors too, 8 bytes a vector.")
    ] = False,
    originals: Annotated[
        str | None,
        typer.Option(help="Keep the vectors for exact re-ranking: float32, float16 or int8."),
    ] = None,
    sample: Annotated[int, typer.Option(help="Vectors to learn from at most.", min=1)] = 100_000,
    queries: Annotated[int, typer.Option(help="Vectors to hold back, twice.", min=1)] = 1000,
    judged: Annotated[
        int, typer.Option(help="Vectors to seek neighbours in, at most.", min=1)
    ] = 1_000_000,
    seed: Seed = 0,
    column: Column = None,
    name_column: NameColumn = None,
    as_json: AsJson = False,
) -> None:
    """Shrink vectors to codes: choose the method that loses least, and show what is lost.

    Methods are tried on neighbours of some of the vectors, which are held back. The folder gets the
    hasher, the codes, and a page that compares them with signs, RaBitQ and product quantisation of
    as many bytes. `hashlearn.VectorIndex.open` searches it.

    Example: `hashlearn compress vectors.parquet --bits 256 --metric cosine -o vectors.compressed`
    """  # numpydoc ignore=PR01
    from hashlearn.cli.files import given
    from hashlearn.compression import compress as compress_source
    from hashlearn.compression.report import ranking_words
    from hashlearn.data import open_source

    folder = Path(f"{Path(data).name}.compressed") if output is None else output
    if folder.exists():
        raise FileExistsError(f"{folder} is there already; choose another name with -o")
    source = open_source(data, **given({"column": column, "name_column": name_column}))
    with progress_bar() as bar:
        made = compress_source(
            source, folder, bits, metric=metric, seconds=seconds,  # type: ignore[arg-type]
            factors=factors, originals=originals, n_sample=sample,  # type: ignore[arg-type]
            n_queries=queries, n_judged=judged, random_state=seed, progress=bar, say=progress,
        )  # fmt: skip
    rows = sorted(made.measured, key=lambda row: -row.recall[10])
    if not as_json:
        print_table(
            ["name", "ranked by", "recall@10", "recall@100", "bytes", "ms a query"],
            [
                [
                    row.name, ranking_words(row.ranking), row.recall[10], row.recall[100],
                    row.bytes_per_vector, 1000 * row.query_seconds,
                ]
                for row in rows
            ],
        )  # fmt: skip
    report(
        {
            "folder": str(folder),
            "method": made.method,
            "n_bits": bits,
            "n_vectors": made.n_vectors,
            "measured": [
                {
                    "name": row.name, "ranking": row.ranking, "bytes": row.bytes_per_vector,
                    "recall_at_10": row.recall[10], "recall_at_100": row.recall[100],
                }
                for row in rows
            ],
        },
        f"{made.n_vectors:,} vectors in {bits} bits each by {made.method}: {folder}; "
        f"what they are worth: {folder / 'report.html'}",
        as_json=as_json,
    )  # fmt: skip
