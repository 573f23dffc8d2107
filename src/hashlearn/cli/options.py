"""Options that several commands share, and what turns their text into values."""

import json
from typing import Annotated, Any, cast, get_args

import typer

from hashlearn import codes

Data = Annotated[
    str,
    typer.Argument(
        help="A data set by name (see `hashlearn datasets`); vectors (.npy, .npz, .fvecs, .bvecs, "
        ".ivecs), a table (.parquet, .arrow, .feather), texts (.csv, .tsv, .jsonl, .txt) or an "
        "image; or a folder of images, of tables, of texts, or of *_base.fvecs and *_query.fvecs.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs, not a table.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Column = Annotated[
    str | None,
    typer.Option(
        help="Tables: column of vectors, texts or images. Default: all numeric columns. CSV and "
        "JSON Lines: column of texts. Default: text, or the only one."
    ),
]
NameColumn = Annotated[
    str | None,
    typer.Option(help="Tables, CSV and JSON Lines: column that names the rows in results."),
]
LabelColumn = Annotated[
    str | None, typer.Option(help="Tables, CSV and JSON Lines: column of labels.")
]
ImageSize = Annotated[
    str | None, typer.Option(help="Images: height and width to bring them to, as 64x64.")
]
Grey = Annotated[bool, typer.Option("--grey", help="Images: read them as grey.")]
Features = Annotated[
    str | None,
    typer.Option(
        help="What makes vectors of the items: pixels, gist, bagofwords, tfidf, topics, "
        "standardize, l2, none, or several joined by commas, some with a number, as "
        "bagofwords,topics:32; or a pretrained network, as onnx:FILE, transformers:FOLDER or "
        "sentence-transformers:NAME. Default: pixels for images, bagofwords,topics for texts, "
        "none for vectors.",
    ),
]
Sample = Annotated[
    int,
    typer.Option(
        min=0,
        help="Learn from so many items at most, drawn at random; 0: from all. Methods that can "
        "learn from a stream (lsh, itq, sph) then read them a batch at a time.",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", help="Argument of the method, as name=value. May be given again."),
]
Distance = Annotated[
    str | None,
    typer.Option(
        help="What codes are compared by: hamming, or spherical. Default: the method's own."
    ),
]
Methods = Annotated[str, typer.Option(help="Methods, joined by commas.")]


def distance_in(text: str | None) -> codes.Distance | None:
    """Read the name of a distance.

    Parameters
    ----------
    text : str or None
        As ``"spherical"``.

    Returns
    -------
    str or None
        The name.

    Raises
    ------
    ValueError
        If there is no such distance.
    """
    known = get_args(codes.Distance)
    if text is not None and text not in known:
        raise ValueError(f"--distance must be one of {', '.join(known)}; got {text!r}")
    return cast("codes.Distance | None", text)


def image_size(text: str | None) -> tuple[int, int] | None:
    """Read a size of images.

    Parameters
    ----------
    text : str or None
        Height and width, as ``"64x64"``.

    Returns
    -------
    tuple of int or None
        Height and width.

    Raises
    ------
    ValueError
        If the text is anything else.
    """
    if text is None:
        return None
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ValueError(f"--image-size must be as 64x64 (height x width), got {text!r}")
    return int(height), int(width)


def names_in(text: str) -> list[str]:
    """Read a list joined by commas.

    Parameters
    ----------
    text : str
        As ``"lsh,itq"``.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    ValueError
        If there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ValueError("an empty list was given; join several values by commas")
    return names


def integers_in(text: str, option: str) -> list[int]:
    """Read a list of whole numbers joined by commas.

    Parameters
    ----------
    text : str
        As ``"32,64"``.
    option : str
        Name of the option, for the error.

    Returns
    -------
    list of int
        The numbers.

    Raises
    ------
    ValueError
        If one is no whole number, or there is none.
    """
    try:
        return [int(name) for name in names_in(text)]
    except ValueError:
        raise ValueError(f"{option} takes whole numbers joined by commas, got {text!r}") from None


def settings_in(pairs: list[str] | None, *, of_methods: bool = False) -> dict[str, Any]:
    """Read arguments of a method, or of several.

    Parameters
    ----------
    pairs : list of str or None
        As ``"n_iter=100"``. Values are JSON where they can be and text otherwise.
    of_methods : bool, default=False
        Whether each says its method: ``"itq.n_iter=100"``.

    Returns
    -------
    dict of str to object
        The arguments.

    Raises
    ------
    ValueError
        If a pair is not of that form.
    """
    settings = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        method, dot, argument = name.rpartition(".")
        if not equals or not argument.isidentifier() or of_methods != bool(method and dot):
            form = "method.name=value, as itq.n_iter=100" if of_methods else "name=value"
            raise ValueError(f"--set takes {form}, got {pair!r}")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings
