"""From raw items to a searchable index with learned codes: resumable, each item computed once."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashlearn import models
from hashlearn.codefiles import write_names
from hashlearn.codes import n_bytes
from hashlearn.data import Batch, Source
from hashlearn.encoding import computed, divided, encoded, rows_of
from hashlearn.features import Backbone
from hashlearn.index import HammingIndex
from hashlearn.models import Model, hasher_of, steps_of
from hashlearn.partial import Partial, Progress, Section, keep

SAMPLE_ITEMS = 100_000
"""Items that are learned from where nobody chose."""


def build(
    model: Model,
    source: Source,
    output: Path,
    *,
    model_output: Path,
    n_items: int = SAMPLE_ITEMS,
    random_state: int = 0,
    progress: Progress | None = None,
) -> HammingIndex:
    """Fit a model to a sample of a source, encode all of it and index the codes.

    If the model begins with a pretrained network, every item goes through it once: features of the
    sample wait on the disk until they are codes.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model; it is fitted here.
    source : Source
        Items.
    output : pathlib.Path
        File for the index, whose ids count the items that can be read. Their names go into a text
        file beside it, one a line. Until all is done, a folder that ends in ``.partial`` holds what
        is; after an interruption the same call goes on there.
    model_output : pathlib.Path
        File for the fitted model.
    n_items : int, default=100000
        Items to learn from at most, drawn at random.
    random_state : int, default=0
        Seed of the draw.
    progress : callable, default=None
        Called with what is made ("features" of the sample, or "codes"), the number of rows that are
        done and that of all.

    Returns
    -------
    HammingIndex
        The index.

    Raises
    ------
    ValueError
        If the items are not what the model takes, cannot be read, or it is not known how many there
        are.
    """
    front, rest = divided(model)
    chosen = source.choose(n_items, random_state)
    question = None
    if source.identity is not None:
        question = {
            "source": source.identity,
            "model": [
                [type(step).__name__, repr(step.get_params(deep=False))] for step in steps_of(model)
            ],
            "sample": [n_items, random_state],
        }
    with Partial(output, question) as work:
        sample, left = None, np.arange(source.n_rows or 0)
        if front is not None:
            sample = _features(work, front, source, chosen, progress)
            left = np.setdiff1d(left, chosen, assume_unique=True)
        fitted = _fit(work, front, rest, source, sample, (n_items, random_state))
        codes, rows, names = _encode(work, fitted, source, left, progress)
        if sample is not None:
            codes = np.concatenate([models.encode(divided(fitted)[1], sample.X), codes])
            rows = np.concatenate([sample.rows, rows])
            names = None if sample.names is None else [*sample.names, *(names or ())]
        order = np.argsort(rows)
        index = HammingIndex(hasher_of(fitted).n_bits)
        index.add(codes[order])
        models.save(fitted, model_output)
        write_names(output, None if names is None else [names[i] for i in order])
        index.save(output)
    return index


def _features(
    work: Partial,
    front: Backbone,
    source: Source,
    chosen: NDArray[np.int64],
    progress: Progress | None,
) -> Batch:
    """Compute features of the sample, or read those that are there."""
    section = Section(work, "features")
    left = chosen[chosen >= work.state.get(section.name, 0)]
    first = next((batch for batch in source.some(chosen, 1) if len(batch)), None)
    if first is None:
        raise ValueError(f"{source.origin} holds no item that can be read")
    front.fit(first.X)
    keep(
        work, section, computed(front, source.some(left, rows_of(source, front))),
        source.n_rows, progress,
    )  # fmt: skip
    values = section.values(np.float32, front.n_features_out_)
    names = section.names()
    return Batch(
        values, section.rows(), 0, None if names is None else tuple(names), section.labels()
    )


def _fit(
    work: Partial,
    front: Backbone | None,
    rest: Model,
    source: Source,
    sample: Batch | None,
    draw: tuple[int, int],
) -> Model:
    """Fit what follows the network, or read what was fitted."""
    path = work.folder / "model"
    if not work.state.get("fitted"):
        items = source.sample(*draw) if sample is None else sample
        rest.fit(np.asarray(items.X), source.number(items.labels)[0])
        models.save(rest, path)
        work.commit(fitted=True)
    rest = models.load(path)
    if front is None:
        return rest
    *steps, hasher = steps_of(rest)
    return models.make_model([front, *steps], hasher)


def _encode(
    work: Partial,
    model: Model,
    source: Source,
    rows: NDArray[np.int64],
    progress: Progress | None,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str] | None]:
    """Encode rows, or read their codes."""
    section = Section(work, "codes")
    left = rows[rows >= work.state.get(section.name, 0)]
    batches = source.some(left, rows_of(source, divided(model)[0]))
    keep(work, section, encoded(model, batches), source.n_rows, progress)
    codes = section.values(np.uint8, n_bytes(hasher_of(model).n_bits))
    names = section.names()
    return np.array(codes), section.rows(), None if names is None else list(names)
