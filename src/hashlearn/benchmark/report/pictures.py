"""What a person sees of the codes: retrieved items, and maps of codes in the plane."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark.report.queries import Details
from hashlearn.benchmark.report.settings import Setting
from hashlearn.codes import hamming_distances
from hashlearn.data import Dataset, Split

_N_FOUND = 10
_LARGEST_SIDE = 64
_N_COLUMNS = 24
_GRID = 1000
_N_STEPS = 500


@dataclass(frozen=True)
class Shot:
    """Hold an item that is shown.

    Parameters
    ----------
    place : int
        Its place in the sprite, or -1 for no picture.
    text : str
        Its label, or its name.
    distance : int, default=-1
        Hamming distance from the query; -1 for the query itself.
    is_right : bool, default=True
        Whether it answers the query.
    """

    place: int
    text: str
    distance: int = -1
    is_right: bool = True


@dataclass(frozen=True)
class Answer:
    """Hold what methods find for a query.

    Parameters
    ----------
    query : Shot
        The query.
    found : tuple of (label, tuple of Shot)
        Nearest items under each method.
    """

    query: Shot
    found: tuple[tuple[str, tuple[Shot, ...]], ...]


@dataclass(frozen=True)
class Gallery:
    """Hold the queries of a setting and their answers.

    Parameters
    ----------
    answers : tuple of Answer
        One a query.
    n_bits : int
        Length of the codes.
    by_labels : bool
        Whether labels say what is right; otherwise the protocol does.
    sprite : str
        All pictures in one PNG, as a data URI; "" without pictures.
    columns, rows : int
        Pictures in the sprite, across and down.
    aspect : float
        Width of a picture divided by its height.
    """

    answers: tuple[Answer, ...]
    n_bits: int
    by_labels: bool
    sprite: str
    columns: int
    rows: int
    aspect: float


def make_gallery(
    setting: Setting, n_bits: int, runs: Sequence[tuple[str, Details]]
) -> Gallery | None:
    """Gather what methods find for the same queries.

    Parameters
    ----------
    setting : Setting
        What was run.
    n_bits : int
        Length of the codes.
    runs : sequence of (label, details)
        One run of each method.

    Returns
    -------
    Gallery or None
        None without the data set, or without details.
    """
    needed = {"shown_queries", "shown_ids", "shown_distances", "shown_relevant"}
    runs = [(label, details) for label, details in runs if needed <= details.keys()]
    dataset, split = setting.dataset, setting.split
    if dataset is None or split is None or not runs or not _has_content(dataset):
        return None
    asked = runs[0][1]["shown_queries"]
    runs = [run for run in runs if np.array_equal(run[1]["shown_queries"], asked)]
    rows = [split.queries[asked], *(split.database[d["shown_ids"][:, :_N_FOUND]] for _, d in runs)]
    shown = np.unique(np.concatenate([part.ravel() for part in rows]))
    sprite, columns, lines = "", 1, 1
    if dataset.X.ndim > 2:
        sprite, columns, lines = _sprite(dataset.X[shown])
    places = {int(row): place if sprite else -1 for place, row in enumerate(shown)}
    answers = tuple(
        Answer(
            Shot(places[int(split.queries[query])], _text(dataset, int(split.queries[query]))),
            tuple((label, _shots(dataset, split, places, d, i)) for label, d in runs),
        )
        for i, query in enumerate(asked)
    )
    aspect = dataset.X.shape[2] / dataset.X.shape[1] if dataset.X.ndim > 2 else 1.0
    return Gallery(answers, n_bits, dataset.y is not None, sprite, columns, lines, aspect)


def make_map(codes: NDArray[np.uint8]) -> list[list[int]]:
    """Lay codes out in the plane so that near codes lie near one another.

    Parameters
    ----------
    codes : ndarray of shape (n, n_bytes), uint8
        Packed codes.

    Returns
    -------
    list of list of int
        Coordinates x and y of each, from 0 to 1000.

    Notes
    -----
    t-SNE on the Hamming distances, from a random start with a fixed seed.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    distances = hamming_distances(codes, codes).astype(np.float32)
    perplexity = min(30.0, max(1.0, (len(codes) - 1) / 3))
    model = TSNE(
        metric="precomputed",
        init="random",
        perplexity=perplexity,
        max_iter=_N_STEPS,
        random_state=0,
    )
    with threadpool_limits(1):  # threads wait for one another in its short steps
        plane = model.fit_transform(distances)
    low, high = plane.min(axis=0), plane.max(axis=0)
    scaled = (plane - low) / np.maximum(high - low, 1e-9) * _GRID
    points: list[list[int]] = scaled.round().astype(int).tolist()
    return points


def map_labels(setting: Setting, items: NDArray[np.int64]) -> tuple[list[int], list[str]]:
    """Look up the labels of the items on a map.

    Parameters
    ----------
    setting : Setting
        What was run.
    items : ndarray of shape (n,), int64
        Positions in the split's database.

    Returns
    -------
    labels : list of int
        Number of each item's label in `names`; -1 without one.
    names : list of str
        Labels that occur, most frequent first where there are more than ten.
    """
    dataset, split = setting.dataset, setting.split
    if dataset is None or split is None or dataset.y is None:
        return [-1] * len(items), []
    y = dataset.y[split.database[items]]
    numbers = y if y.ndim == 1 else np.where(y.any(axis=1), y.argmax(axis=1), -1)
    values, counts = np.unique(numbers[numbers >= 0], return_counts=True)
    if len(values) > 10:
        values = values[np.argsort(-counts, kind="stable")][:10]
    order = {int(value): place for place, value in enumerate(values)}
    return [order.get(int(n), -1) for n in numbers], [_label(dataset, int(v)) for v in values]


def _shots(
    dataset: Dataset, split: Split, places: dict[int, int], details: Details, i: int
) -> tuple[Shot, ...]:
    query = int(split.queries[details["shown_queries"][i]])
    shots = []
    for id_, distance, relevant in zip(
        details["shown_ids"][i, :_N_FOUND],
        details["shown_distances"][i],
        details["shown_relevant"][i],
        strict=False,
    ):
        row = int(split.database[id_])
        right = bool(relevant) if dataset.y is None else _shares_label(dataset.y, query, row)
        shots.append(Shot(places[row], _text(dataset, row), int(distance), right))
    return tuple(shots)


def _shares_label(y: NDArray[Any], query: int, row: int) -> bool:
    if y.ndim == 1:
        return bool(y[query] == y[row])
    return bool((y[query] & y[row]).any())


def _has_content(dataset: Dataset) -> bool:
    return dataset.X.ndim > 2 or dataset.y is not None or dataset.item_names is not None


def _text(dataset: Dataset, row: int) -> str:
    """Name an item: by its name where it has no picture, by its labels otherwise."""
    if dataset.X.ndim == 2 and dataset.item_names is not None:
        return dataset.item_names[row]
    if dataset.y is None:
        return f"item {row}"
    if dataset.y.ndim == 1:
        return _label(dataset, int(dataset.y[row]))
    return ", ".join(_label(dataset, int(n)) for n in np.flatnonzero(dataset.y[row])) or "no label"


def _label(dataset: Dataset, number: int) -> str:
    if dataset.label_names is not None and 0 <= number < len(dataset.label_names):
        return dataset.label_names[number]
    return str(number)


def _sprite(images: NDArray[Any]) -> tuple[str, int, int]:
    """Pack images into one PNG."""
    from PIL import Image

    height, width = images.shape[1:3]
    scale = min(1.0, _LARGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    columns = min(_N_COLUMNS, len(images))
    lines = math.ceil(len(images) / columns)
    is_grey = images.ndim == 3 or images.shape[3] == 1
    whole = Image.new("L" if is_grey else "RGB", (columns * size[0], lines * size[1]))
    for place, pixels in enumerate(images):
        image = Image.fromarray(pixels[..., 0] if pixels.ndim == 3 and is_grey else pixels)
        if image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        whole.paste(image, (place % columns * size[0], place // columns * size[1]))
    brightest = max(1, int(images.max()))
    if is_grey and brightest < 64:  # few grey levels, such as scans of 16
        whole = whole.point([min(255, level * 255 // brightest) for level in range(256)])
    buffer = io.BytesIO()
    whole.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}", columns, lines
