"""From data to scores: demo and evaluate."""

import json
import webbrowser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashlearn.cli.judging import judgement
from hashlearn.cli.options import (
    AsJson,
    Column,
    Distance,
    Features,
    Grey,
    ImageSize,
    LabelColumn,
    Methods,
    Parameters,
    Seed,
    distance_in,
    integers_in,
    names_in,
    settings_in,
)
from hashlearn.cli.options import Data as DataArgument
from hashlearn.cli.show import message, print_json, print_table, report

if TYPE_CHECKING:
    from hashlearn.data import Dataset

_COLUMNS = ["method", "bits", "mAP", "pooled area", "P@100", "bytes", "fit"]


def demo(
    data: Annotated[
        str, typer.Option(help="digits (bundled), mnist, or a folder of images.")
    ] = "digits",
    bits: Annotated[int, typer.Option(help="Length of the codes.")] = 32,
    methods: Annotated[
        str | None,
        typer.Option(
            help="Methods, joined by commas. Default: lsh,itq,sigah; with --serve itq,lsh."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the picture and the rows, or for the collections of --serve. "
            "Default: demo; of the collections a temporary one.",
        ),
    ] = None,
    seed: Seed = 0,
    image_size: ImageSize = None,
    serve: Annotated[
        bool,
        typer.Option(
            "--serve",
            help="Do not score: put the images into a collection of each method, and open the page "
            "that searches and compares them.",
        ),
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of --serve; 0: any free one.")
    ] = 8000,
    as_json: AsJson = False,
) -> None:
    """Fit, encode, index, search and score methods on images; print a table, draw a picture.

    Example: `hashlearn demo --data mnist`

    Example: `hashlearn demo --serve`
    """  # numpydoc ignore=PR01
    if output is not None and output.exists() and not output.is_dir():
        raise NotADirectoryError(f"{output} is a file; give the name of a folder")
    dataset = _labelled_images(data, image_size)
    if serve:
        names = names_in(methods or "itq,lsh")
        _serve(dataset, names, bits, seed, output, port=port, as_json=as_json)
    else:
        names = names_in(methods or "lsh,itq,sigah")
        _score(dataset, names, bits, seed, output or Path("demo"), as_json=as_json)


def _labelled_images(data: str, image_size: str | None) -> "Dataset":
    from hashlearn.cli.files import load_items

    dataset = load_items(data, size=image_size)
    if dataset.X.ndim < 3 or dataset.y is None:
        raise ValueError(f"the demo draws labelled images; {data} has none")
    return dataset


def _serve(
    dataset: "Dataset",
    methods: list[str],
    bits: int,
    seed: int,
    output: Path | None,
    *,
    port: int,
    as_json: bool,
) -> None:
    """Make a collection with each method, and open the page that compares the first two."""
    from hashlearn.demo import make_collections

    try:
        from hashlearn.web import server
    except ImportError as error:
        raise ImportError(f"--serve needs {error.name}: pip install 'hashlearn[serve]'") from error

    with ExitStack() as stack:
        listening = stack.enter_context(server.listen("127.0.0.1", port))
        if output is None:
            output = Path(stack.enter_context(TemporaryDirectory(prefix="hashlearn-demo-")))
        paths = make_collections(dataset, output, methods, n_bits=bits, seed=seed)
        served = [str(path) for path in paths]
        this, *others = server.names_of(served)
        beside = f"?with={others[0]}" if others else ""
        page = f"{server.address_of(listening)}/c/{this}{beside}"
        app = server.Served(tuple(served)).open()
        report({"address": page, "collections": served}, f"{page} (Ctrl-C ends)", as_json=as_json)
        webbrowser.open(page)
        server.serve(app, listening)


def _score(
    dataset: "Dataset", methods: list[str], bits: int, seed: int, output: Path, *, as_json: bool
) -> None:
    """Run methods, and print and draw what they reach."""
    from hashlearn.benchmark import default_protocol, default_recipe, rescore, run_methods
    from hashlearn.demo import draw_neighbors
    from hashlearn.evaluation import Protocol

    recipe = default_recipe(dataset, seed)
    n_neighbors = max(1, len(dataset.split(recipe).database) // 60)  # 1,000 of MNIST's 60,000
    protocol = Protocol(truth="euclidean", n_neighbors=n_neighbors)
    runs = []
    for run in run_methods(
        dataset, methods, [bits], protocol=protocol, recipe=recipe, seeds=[seed]
    ):
        message(f"{run.row['method']}: fitted in {run.row['fit_seconds']:.1f} s", style="dim")
        runs.append(run)
    rows = [run.row for run in runs]
    by_label = [rescore(run, dataset, default_protocol(dataset)) for run in runs]
    output.mkdir(parents=True, exist_ok=True)
    picture = output / f"{dataset.name}-{bits}-bits.png"
    draw_neighbors(dataset, runs, picture)
    append_rows(rows, output / "rows.jsonl")
    if as_json:
        print_json(rows)
        return
    print_table(
        [*_COLUMNS, "label mAP"],
        [
            [*_cells(row), scores.mean_average_precision]
            for row, scores in zip(rows, by_label, strict=True)
        ],
        title=f"{dataset.name}: {rows[0]['scores']['n_queries']:,} queries, "
        f"{rows[0]['n_database']:,} items, {n_neighbors:,} true neighbours by Euclidean distance",
    )
    message(f"picture: {picture}\nrows with their protocol: {output / 'rows.jsonl'}")


def evaluate(
    data: DataArgument,
    methods: Methods = "lsh,itq",
    bits: Annotated[str, typer.Option(help="Code lengths, joined by commas.")] = "32,64",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="sigah-mnist, cifar10-1k, cifar10-10k-at-1000, labels or euclidean-100. Default: "
            "labels if there are any, otherwise euclidean-100.",
        ),
    ] = None,
    neighbors: Annotated[
        int | None, typer.Option(help="Call this many Euclidean neighbours of a query relevant.")
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Number of queries to draw.")] = None,
    queries_from: Annotated[
        str | None,
        typer.Option(help="Where to draw queries: test, train (to choose settings on) or all."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds of the methods, joined by commas.")] = "0",
    split_seed: Annotated[int, typer.Option(help="Seed of the draw of queries.")] = 0,
    features: Features = None,
    parameters: Parameters = None,
    distance: Distance = None,
    column: Column = None,
    label_column: LabelColumn = None,
    image_size: ImageSize = None,
    grey: Grey = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Append the rows to this .jsonl file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit methods on a data set and score their codes on queries held out of it.

    Example: `hashlearn evaluate mnist --methods lsh,itq,sigah --protocol sigah-mnist`
    """  # numpydoc ignore=PR01
    from hashlearn.benchmark import run_methods
    from hashlearn.cli.files import check_output, load_items
    from hashlearn.evaluation import get_protocol

    if output is not None:
        check_output(output)
    jobs: dict[str, Any] = {
        "methods": names_in(methods),
        "bits": integers_in(bits, "--bits"),
        "seeds": integers_in(seeds, "--seeds"),
        "parameters": settings_in(parameters),
        "features": features,
        "distance": distance_in(distance),
    }
    if protocol is not None:
        get_protocol(protocol)  # an unknown name fails before anything is loaded
    dataset = load_items(data, size=image_size, grey=grey, column=column, label_column=label_column)
    asked = {"queries_from": queries_from, "n_queries": queries}
    judged, recipe = judgement(dataset, protocol, split_seed, asked)
    if neighbors is not None:
        judged = replace(judged, truth="euclidean", n_neighbors=neighbors)
    rows = []
    try:
        for run in run_methods(dataset, protocol=judged, recipe=recipe, **jobs):
            row = run.row
            message(
                f"{row['method']}, {row['n_bits']} bits, seed {row['seed']}: "
                f"{judged.metric} {run.scores.headline:.4f}, fitted in {row['fit_seconds']:.1f} s",
                style="dim",
            )
            rows.append(row)
            if output is not None:
                append_rows([row], output)
    finally:  # what is done is shown, also when a later method fails
        if rows and as_json:
            print_json(rows)
        elif rows:
            title = f"{rows[0]['scores']['n_queries']:,} queries, {rows[0]['n_database']:,} items"
            print_table(_COLUMNS, [_cells(row) for row in rows], f"{dataset.name}: {title}")
    message(f"protocol: {judged}\nsplit: {recipe}")


def append_rows(rows: list[dict[str, Any]], path: Path) -> None:
    """Append rows to a file of JSON lines.

    Parameters
    ----------
    rows : list of dict
        One object a line.
    path : Path
        File, made if it is not there.
    """
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _cells(row: dict[str, Any]) -> list[Any]:
    scores = row["scores"]
    return [
        row["method"],
        row["n_bits"],
        scores["mean_average_precision"],
        scores["pooled_pr_area"],
        scores["precision_at_100"],
        row["index_bytes"],
        f"{row['fit_seconds']:.1f} s",
    ]
