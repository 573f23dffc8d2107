"""From vectors to a folder with the hasher, the codes and what they are worth."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import Normalizer
from sklearn.utils import check_random_state

from hashlearn.benchmark.provenance import provenance
from hashlearn.codefiles import write_codes
from hashlearn.codes import n_bytes
from hashlearn.compression.choosing import (
    HAMMING,
    RANKS,
    RERANKED,
    Say,
    Trial,
    best_of,
    fit_candidates,
    try_length,
)
from hashlearn.compression.contestants import Codes, Contestant, baselines
from hashlearn.compression.exact import NearestSoFar, neighbor_recall
from hashlearn.data import Source
from hashlearn.hashers.base import FloatArray
from hashlearn.models import Model, make_model
from hashlearn.originals import Kept, Originals
from hashlearn.partial import Progress
from hashlearn.storage import making_folder
from hashlearn.vectorindex import VectorIndex

Metric = Literal["euclidean", "cosine"]
METRICS: tuple[Metric, ...] = ("euclidean", "cosine")
"""Distances whose nearest neighbours are to be kept."""

CODES, REPORT, FIGURES = "codes.npz", "report.html", "report.json"
"""Files of the folder beside those of a :class:`~hashlearn.VectorIndex`."""

_CURVE_PART = 0.4
"""Part of the time for learning that the codes of other lengths get."""

_CURVE_ROWS = 20_000
_ROUNDS = 3
_FEWEST = 200
_SHARE_OF_QUERIES = 10


@dataclass(frozen=True)
class Measured:
    """Hold what one way to compress and to rank is worth.

    Parameters
    ----------
    name : str
        What compresses.
    ranking : str
        How it ranks.
    n_bits : int
        Length of the codes, or of what takes as many bytes.
    bytes_per_vector : int
        Bytes that it keeps.
    recall : dict of int to float
        Recall of the exact nearest neighbours at some ranks.
    query_seconds : float
        Time a query, of many at once: the median of several rounds.
    train_seconds : float
        What learning took.
    """

    name: str
    ranking: str
    n_bits: int
    bytes_per_vector: int
    recall: dict[int, float]
    query_seconds: float
    train_seconds: float


@dataclass(frozen=True)
class Compressed:
    """Hold what :func:`compress` made and measured.

    Parameters
    ----------
    folder : Path
        Where it is.
    n_vectors, n_features, n_bits : int
        Sizes.
    method : str
        Label of the method that was chosen.
    trials : list of dict
        What was tried, and how it did on the validation queries.
    measured : list of Measured
        What the codes and others of as many bytes are worth, on the test queries.
    curve : list of Measured
        The same at several lengths, in fewer vectors.
    protocol : dict
        How it was measured.
    seconds : dict of str to float
        What each part of the work took.
    """

    folder: Path
    n_vectors: int
    n_features: int
    n_bits: int
    method: str
    trials: list[dict[str, Any]]
    measured: list[Measured]
    curve: list[Measured]
    protocol: dict[str, Any]
    seconds: dict[str, float] = field(default_factory=dict)


def compress(
    source: Source,
    output: Path,
    n_bits: int = 256,
    *,
    metric: Metric = "euclidean",
    seconds: float = 180.0,
    factors: bool = False,
    originals: Kept | None = None,
    n_sample: int = 100_000,
    n_queries: int = 1000,
    n_judged: int = 1_000_000,
    random_state: int = 0,
    progress: Progress | None = None,
    say: Say = lambda _: None,
) -> Compressed:
    """Learn codes of vectors, encode them, and measure what they are worth.

    Vectors are held back as queries, half of them to choose the method by and half to report with.
    They are neither learned from nor searched in, but are encoded like all others.

    Parameters
    ----------
    source : Source
        Vectors; it must be known how many.
    output : Path
        Folder to make. It holds what :meth:`hashlearn.VectorIndex.open` opens, ``codes.npz``, the
        page ``report.html`` and its figures, ``report.json``.
    n_bits : int, default=256
        Length of the codes.
    metric : {"euclidean", "cosine"}, default="euclidean"
        Distance whose neighbours are to be found; ``"cosine"`` divides vectors by their lengths.
    seconds : float, default=180.0
        Time to learn in. Encoding and measuring come on top.
    factors : bool, default=False
        Whether correction factors are kept, 8 bytes a vector.
    originals : {"float32", "float16", "int8"} or None, default=None
        How the vectors themselves are kept, on the disk, for exact re-ranking.
    n_sample : int, default=100000
        Vectors to learn from, drawn at random.
    n_queries : int, default=1000
        Vectors held back to choose by, and as many to report with; a tenth of all at most.
    n_judged : int, default=1000000
        Vectors that neighbours are sought in, drawn at random.
    random_state : int, default=0
        Seed of all draws and of the methods.
    progress : callable, default=None
        Called with what is done ("codes", "report"), the number of rows and that of all.
    say : callable, default=None
        Told what is going on.

    Returns
    -------
    Compressed
        What was made and measured.

    Raises
    ------
    FileExistsError
        If there is something at `output`.
    ValueError
        If the items are no vectors, too few, or of the wrong size, or no method can make such
        codes.
    ImportError
        If the page needs an extra that is not installed.
    """
    from hashlearn.compression.report import environment, write_page

    page = environment()  # before any work
    n_bytes(n_bits)
    if metric not in METRICS:
        raise ValueError(f"metric must be one of {', '.join(METRICS)}; got {metric!r}")
    if originals is not None:
        Originals(originals)  # there is such a type
    numbers = {
        "n_sample": (n_sample, _FEWEST),
        "n_queries": (n_queries, 1),
        "seconds": (seconds, 0),
    }
    for name, (value, least) in (numbers | {"n_judged": (n_judged, 1)}).items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if source.kind != "vectors":
        raise ValueError(f"{source.origin} holds {source.kind}; vectors are compressed")
    n_rows = source.n_rows
    if n_rows is None or n_rows < _FEWEST:
        raise ValueError(f"{source.origin} has {n_rows} vectors; there must be {_FEWEST} at least")
    n_queries = min(n_queries, n_rows // (2 * _SHARE_OF_QUERIES))
    clock = _Clock()
    with making_folder(output) as folder:
        say("reading a sample")
        draw = _Draw.of(source, n_sample, n_queries, metric, random_state)
        clock.stop("reading a sample")
        trials = fit_candidates(
            draw.sample, n_bits,
            seconds=(1 - _CURVE_PART) * seconds, random_state=random_state, say=say,
        )  # fmt: skip
        clock.stop("learning")
        judged = _judged(source, draw, n_judged, metric, progress)
        best, measured = _compare(trials, n_bits, draw, judged, factors, say)
        clock.stop("comparing")
        steps = [Normalizer().fit(draw.sample[:2])] if metric == "cosine" else []
        model = make_model(steps, best.fitted)
        vectors, names = _encode(model, source, factors, originals, progress)
        vectors.write(folder)
        write_codes(folder / CODES, vectors.index.codes, n_bits, names)
        n_vectors = len(vectors)
        del vectors
        clock.stop("encoding")
        curve = _curve(best, n_bits, draw, _CURVE_PART * seconds, random_state, say)
        clock.stop("comparing lengths")
        result = Compressed(
            output, n_vectors, draw.sample.shape[1], n_bits, best.candidate.label,
            [_about(trial) for trial in trials], measured, curve,
            {
                "data": source.origin, "metric": metric, "n_queries": n_queries,
                "n_sample": len(draw.sample), "n_judged": min(n_judged, n_rows - 2 * n_queries),
                "n_curve": min(_CURVE_ROWS, len(draw.sample)), "random_state": random_state,
                "seconds": seconds,
            },
            clock.seconds,
        )  # fmt: skip
        write_page(page, folder / REPORT, result)
        figures = asdict(result) | {"folder": output.name, "provenance": provenance()}
        (folder / FIGURES).write_text(json.dumps(figures, indent=1), encoding="utf-8")
    return result


class _Clock:
    """Note what each part of the work takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def stop(self, part: str) -> None:
        now = perf_counter()
        self.seconds[part], self._last = now - self._last, now


@dataclass(frozen=True)
class _Draw:
    """Vectors drawn at random: some to learn from, and two sets of queries with their rows."""

    sample: FloatArray
    validation: FloatArray
    test: FloatArray
    query_rows: NDArray[np.int64]

    @classmethod
    def of(
        cls, source: Source, n_sample: int, n_queries: int, metric: Metric, random_state: int
    ) -> "_Draw":
        batch = source.sample(n_sample + 2 * n_queries, random_state)
        X = _prepared(batch.X, metric)
        if len(X) < _FEWEST:
            raise ValueError(f"{source.origin} has {len(X)} vectors that can be read")
        order = check_random_state(random_state).permutation(len(X))
        first, second = order[:n_queries], order[n_queries : 2 * n_queries]
        queries = np.sort(batch.rows[order[: 2 * n_queries]])
        return cls(X[order[2 * n_queries :]], X[first], X[second], queries)


def _prepared(X: NDArray[Any], metric: Metric) -> FloatArray:
    """Bring vectors to float32 and, for the cosine, to length 1."""
    rows = np.ascontiguousarray(X, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("vectors hold NaN or infinity")
    return Normalizer(copy=False).transform(rows) if metric == "cosine" else rows


def _encode(
    model: Model,
    source: Source,
    factors: bool,
    originals: Kept | None,
    progress: Progress | None,
) -> tuple[VectorIndex, list[str] | None]:
    """Encode all vectors, a batch at a time."""
    vectors = VectorIndex(model, factors=factors, originals=originals)
    names: list[str] = []
    for batch in source.batches():
        if len(batch):
            vectors.add(np.asarray(batch.X, dtype=np.float32))
            names += batch.names or ()
        if progress is not None:
            progress("codes", batch.stop, source.n_rows)
    return vectors, names if len(names) == len(vectors) else None


def _judged(
    source: Source, draw: _Draw, n_judged: int, metric: Metric, progress: Progress | None
) -> Iterator[FloatArray]:
    """Read the vectors that are searched in: all, or some, but no query."""
    rows = np.setdiff1d(np.arange(source.n_rows or 0), draw.query_rows, assume_unique=True)
    if len(rows) > n_judged:
        rows = np.sort(check_random_state(0).choice(rows, n_judged, replace=False))
    for batch in source.some(rows):
        yield _prepared(batch.X, metric)
        if progress is not None:
            progress("report", batch.stop, source.n_rows)


def _compare(
    trials: list[Trial],
    n_bits: int,
    draw: _Draw,
    judged: Iterator[FloatArray],
    factors: bool,
    say: Say,
) -> tuple[Trial, list[Measured]]:
    """Choose by the validation queries; compare with others on the test queries."""
    rankings = (HAMMING, RERANKED, "values", *(["factors"] if factors else []))
    tried = {trial.candidate.label: trial for trial in trials if trial.hasher is not None}
    own = {name: Codes(name, one.fitted, rankings, is_fitted=True) for name, one in tried.items()}
    others = {one.name: one for one in baselines(n_bits, draw.sample.shape[1], rotated=False)}
    contestants: dict[str, Contestant] = others | own
    seconds = _train(list(contestants.values()), draw.sample, say)
    seconds |= {name: trial.fit_seconds for name, trial in tried.items()}
    near = [NearestSoFar(queries, max(RANKS)) for queries in (draw.validation, draw.test)]
    for X in judged:
        for queries in near:
            queries.add(X)
        for contestant in contestants.values():
            contestant.add(X)
    say("searching")
    validation, test = near
    for name, codes in own.items():
        for ranking in (HAMMING, RERANKED):
            ids = codes.search(draw.validation, max(RANKS), ranking)
            for k in RANKS:
                recall = float(neighbor_recall(ids, validation.ids, k).mean())
                tried[name].recall[f"{ranking}@{k}"] = recall
    best = best_of(trials)
    label = best.candidate.label
    shown = [contestants[name] for name in dict.fromkeys([label, *others])]
    return best, _search(shown, n_bits, draw.test, test.ids, seconds)


def _train(contestants: list[Contestant], X: FloatArray, say: Say) -> dict[str, float]:
    seconds = {}
    for contestant in contestants:
        say(f"training {contestant.name}")
        start = perf_counter()
        contestant.train(X, 0)
        seconds[contestant.name] = perf_counter() - start
    return seconds


def _search(
    contestants: list[Contestant],
    n_bits: int,
    queries: FloatArray,
    neighbors: NDArray[np.int64],
    train_seconds: dict[str, float],
) -> list[Measured]:
    """Let all search for the same queries, round after round in turn."""
    ways = [(one, ranking) for one in contestants for ranking in one.rankings]
    spent: list[list[float]] = [[] for _ in ways]
    found: list[NDArray[np.int64]] = []
    for number in range(_ROUNDS):
        for place, (contestant, ranking) in enumerate(ways):
            start = perf_counter()
            ids = contestant.search(queries, neighbors.shape[1], ranking)
            spent[place].append(perf_counter() - start)
            if number == 0:
                found.append(ids)
    return [
        Measured(
            one.name, ranking, n_bits, one.bytes_per_vector + 8 * (ranking == "factors"),
            {k: float(neighbor_recall(ids, neighbors, k).mean()) for k in RANKS},
            median(times) / len(queries), train_seconds[one.name],
        )
        for (one, ranking), ids, times in zip(ways, found, spent, strict=True)
    ]  # fmt: skip


def _curve(
    best: Trial, n_bits: int, draw: _Draw, seconds: float, random_state: int, say: Say
) -> list[Measured]:
    """Compare lengths of codes, in some of the vectors that were learned from."""
    X = draw.sample[:_CURVE_ROWS]
    is_all = len(X) == len(draw.sample)  # then the codes that were chosen stand as they are
    near = NearestSoFar(draw.test, min(max(RANKS), len(X)))
    near.add(X)
    lengths = sorted({max(8, n_bits // 4), max(8, n_bits // 2), n_bits, 2 * n_bits})
    measured: list[Measured] = []
    for length in lengths:
        say(f"comparing codes of {length} bits")
        trial = best
        if length != n_bits or not is_all:
            trial = try_length(best, X, length, seconds / (len(lengths) - is_all), random_state)
        name = best.candidate.label
        others = baselines(length, X.shape[1], rotated=False)
        contestants = [other for other in others if other.name != name]
        if trial.hasher is not None:
            contestants.insert(0, Codes(name, trial.hasher, is_fitted=True))
        train_seconds = _train(contestants, X, lambda _: None) | {name: trial.fit_seconds}
        for contestant in contestants:
            contestant.add(X)
        measured += _search(contestants, length, draw.test, near.ids, train_seconds)
    return measured


def _about(trial: Trial) -> dict[str, Any]:
    """Sum up a trial as values that JSON can hold."""
    settings = {} if trial.hasher is None else trial.hasher.get_params(deep=False)
    return {
        "label": trial.candidate.label,
        "method": trial.candidate.method,
        "settings": {
            key: value for key, value in settings.items()
            if key in trial.candidate.options or key == "n_steps"
        },
        "recall": trial.recall,
        "fit_seconds": trial.fit_seconds,
        "note": trial.note,
    }  # fmt: skip
