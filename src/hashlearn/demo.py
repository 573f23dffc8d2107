"""The demonstration: a picture of what each method finds, and collections to search by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hashlearn.benchmark import Run
from hashlearn.collection import Collection
from hashlearn.collection.entries import labels_of
from hashlearn.data import Dataset
from hashlearn.data.source import ArraySource
from hashlearn.evaluation import LabelTruth
from hashlearn.hashers import get_method, methods
from hashlearn.models import make_model
from hashlearn.storage import replacing

_RIGHT, _WRONG, _QUERY = "#1a7f37", "#cf222e", "#57606a"
_FEW_LEVELS = 64  # of grey, such as the 17 of the digits


def draw_neighbors(
    dataset: Dataset, runs: Sequence[Run], path: Path, *, n_queries: int = 10, k: int = 8
) -> None:
    """Draw queries of different classes, each beside its nearest codes under every method.

    An item that shares a label with the query has a green frame and a tick, another a red frame
    and a cross, so that the picture reads without colours too. The number is the Hamming distance.

    Parameters
    ----------
    dataset : Dataset
        Labelled images.
    runs : sequence of Run
        One panel each.
    path : Path
        File for the picture, PNG.
    n_queries : int, default=10
        Rows: one query of each class in turn.
    k : int, default=8
        Nearest items a row.
    """
    assert dataset.y is not None
    labels = dataset.y[runs[0].split.queries]
    rows = _one_of_each_class(labels, n_queries)
    marks = LabelTruth(labels[rows], dataset.y[runs[0].split.database]).relevant(0, len(rows))
    width, height = len(runs) * (k + 1.6), len(rows) + 1.3
    figure = Figure(figsize=(0.62 * width, 0.72 * height), dpi=150, facecolor="white")
    panels = figure.subfigures(1, len(runs), squeeze=False)[0]
    titles = {method.name: method.class_name for method in methods()}
    for panel, run in zip(panels, runs, strict=True):
        share = _draw_panel(panel, dataset, run, rows, marks, k)
        name, n_bits = titles[run.row["method"]], run.row["n_bits"]
        panel.suptitle(f"{name}, {n_bits} bits: {share:.0%} of these right", fontsize=11, y=0.985)
    FigureCanvasAgg(figure)
    with replacing(path) as temporary:
        figure.savefig(temporary)


def make_collections(
    dataset: Dataset, folder: Path, names: Sequence[str], *, n_bits: int, seed: int
) -> list[Path]:
    """Make a collection of the same images with each of several methods, to compare them.

    Parameters
    ----------
    dataset : Dataset
        Labelled images.
    folder : Path
        Folder to make them in; it is made too.
    names : sequence of str
        Names of methods.
    n_bits : int
        Length of the codes.
    seed : int
        Seed of the methods.

    Returns
    -------
    list of pathlib.Path
        Folders of the collections. Each item has its label, and its ink: how much of the picture
        is dark, in percent.

    Raises
    ------
    FileExistsError
        If a collection is there already.
    ValueError
        If a method is unknown or cannot learn from the images; then nothing is made.
    """
    assert dataset.y is not None
    paths = [folder / f"{dataset.name}-{name}-{n_bits}.collection" for name in names]
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} is there already: `hashlearn serve {path}` serves it")
    images = as_on_paper(dataset.X)
    models = [
        make_model("pixels", get_method(name)(n_bits, random_state=seed)).fit(images)
        for name in names
    ]
    labels, several = labels_of(ArraySource(dataset), dataset.y)
    darkness = 100 * (1 - images.reshape(len(images), -1).mean(axis=1) / 255)
    about: list[dict[str, Any]] = [{"ink": round(share)} for share in darkness.tolist()]
    if several is not None:
        about = [ink | own for ink, own in zip(about, several, strict=True)]
    keys = [f"{dataset.name}/{row:05d}" for row in range(len(images))]
    folder.mkdir(parents=True, exist_ok=True)
    for model, path in zip(models, paths, strict=True):
        with Collection.create(model, path) as collection:
            collection.add(images, keys=keys, labels=labels, metadata=about)
    return paths


def as_on_paper(images: NDArray[Any]) -> NDArray[np.uint8]:
    """Show grey strokes on black, as scans of digits are stored, as ink on white paper.

    Parameters
    ----------
    images : ndarray of shape (n, height, width) or (n, height, width, channels), uint8
        Images.

    Returns
    -------
    ndarray of shape (n, height, width) or (n, height, width, channels), uint8
        The images with their full range of grey, turned to their negatives if they are grey and
        mostly black; others as they are.
    """
    brightest = int(images.max())
    if images.ndim > 3 or images.mean() > brightest / 2:
        return images
    scale = 255 / brightest if 0 < brightest < _FEW_LEVELS else 1.0
    return 255 - (images * scale).round().astype(np.uint8)


def _draw_panel(
    panel: Figure, dataset: Dataset, run: Run, rows: list[int], marks: NDArray[np.bool_], k: int
) -> float:
    """Draw the rows of one method; give the share of items that are marked as right."""
    found = run.index.search(run.query_codes[rows], k)
    axes = panel.subplots(
        len(rows), k + 2, squeeze=False,
        gridspec_kw={
            "width_ratios": [1, 0.15] + [1] * k, "wspace": 0.12, "hspace": 0.34,
            "left": 0.02, "right": 0.98, "top": 0.925, "bottom": 0.02,
        },
    )  # fmt: skip
    n_right = 0
    for line, row, right, ids, distances in zip(
        axes, rows, marks, found.ids, found.distances, strict=True
    ):
        query = run.split.queries[row]
        for axis in line:
            axis.axis("off")
        _draw_image(line[0], dataset.X[query], _QUERY, "query")
        for axis, id_, distance in zip(line[2:], ids, distances, strict=True):
            if id_ < 0:
                continue
            image = dataset.X[run.split.database[id_]]
            n_right += int(right[id_])
            colour, mark = (_RIGHT, "✓") if right[id_] else (_WRONG, "✗")
            _draw_image(axis, image, colour, f"{distance} {mark}")
    return n_right / max(1, int((found.ids >= 0).sum()))


def _draw_image(axis, image, colour: str, title: str) -> None:  # type: ignore[no-untyped-def]
    axis.axis("on")
    axis.imshow(image, cmap="gray_r", interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_title(title, fontsize=6, pad=1.5, color=colour)
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=1.4)


def _one_of_each_class(labels: NDArray[np.integer], n: int) -> list[int]:
    """Choose the first query of each class, then the second of each, and so on."""
    keys = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
    turns = np.array([(keys[:i] == key).sum() for i, key in enumerate(keys)])
    return [int(row) for row in np.lexsort((keys, turns))[:n]]
