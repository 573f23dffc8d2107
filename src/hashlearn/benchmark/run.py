"""Fit, encode, index, search and score methods on one data set under one protocol."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from time import perf_counter
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark.curves import count_blocks, run_curves
from hashlearn.benchmark.defaults import default_features
from hashlearn.benchmark.memory import PeakMemory
from hashlearn.benchmark.provenance import provenance
from hashlearn.benchmark.records import fingerprint, run_id
from hashlearn.codes import Distance, n_bytes
from hashlearn.data import Dataset, Split, SplitRecipe
from hashlearn.evaluation import GroundTruth, Protocol, Scores, bit_statistics, evaluate
from hashlearn.features import make_features
from hashlearn.hashers import get_method
from hashlearn.hashers.base import Hasher
from hashlearn.index import HammingIndex
from hashlearn.models import Model, hasher_of, make_model

_BLOCK_ENTRIES = 1 << 22


@dataclass(frozen=True)
class Job:
    """Ask for one fit.

    Parameters
    ----------
    method : str
        Name in the table of methods.
    n_bits : int
        Length of the code.
    seed : int, default=0
        The method's `random_state`.
    parameters : mapping of str to object, default={}
        Its other constructor arguments.
    distance : {"hamming", "spherical"}, optional
        What its codes are compared by. None stands for the method's own distance.
    """

    method: str
    n_bits: int
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    distance: Distance | None = None

    def __str__(self) -> str:
        given = "".join(f", {name}={value}" for name, value in self.parameters.items())
        compared = "" if self.distance is None else f", {self.distance} distance"
        return f"{self.method}{given}, {self.n_bits} bits{compared}, seed {self.seed}"


@dataclass(frozen=True, eq=False)
class Run:
    """Hold one method's fit and what it scored.

    Parameters
    ----------
    row : dict
        Everything worth keeping as plain values: scores, settings, times, provenance.
    model : Hasher or Pipeline
        Features and hasher, fitted.
    split : Split
        Rows of the data set for training, database and queries.
    index : HammingIndex
        The database's codes; ids are positions in the split's database.
    database_codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
        The database's codes.
    query_codes : ndarray of shape (q, ceil(n_bits / 8)), uint8
        The queries' codes.
    scores : Scores
        Scores with the counts by distance that they follow from.
    truth : GroundTruth
        What was relevant.
    """

    row: dict[str, Any]
    model: Model = field(repr=False)
    split: Split = field(repr=False)
    index: HammingIndex = field(repr=False)
    database_codes: NDArray[np.uint8] = field(repr=False)
    query_codes: NDArray[np.uint8] = field(repr=False)
    scores: Scores = field(repr=False)
    truth: GroundTruth = field(repr=False)


def run_methods(
    dataset: Dataset,
    methods: Sequence[str],
    bits: Sequence[int],
    *,
    protocol: Protocol,
    recipe: SplitRecipe,
    features: str | None = None,
    seeds: Sequence[int] = (0,),
    parameters: Mapping[str, Any] | None = None,
    distance: Distance | None = None,
) -> Iterator[Run]:
    """Run every method at every code length with every seed.

    Parameters
    ----------
    dataset : Dataset
        Items, and labels if the protocol or a method needs them.
    methods : sequence of str
        Names of the table of methods.
    bits : sequence of int
        Code lengths.
    protocol : Protocol
        How to judge.
    recipe : SplitRecipe
        How to split into training set, database and queries.
    features : str, optional
        Features before the hasher, as :func:`~hashlearn.features.make_features` takes them. None
        stands for :func:`default_features` of each method.
    seeds : sequence of int, default=(0,)
        Seeds of the methods. The split has its own, in the recipe.
    parameters : mapping of str to object, optional
        Constructor arguments for every method, besides `n_bits` and `random_state`.
    distance : {"hamming", "spherical"}, optional
        What codes are compared by. None stands for each method's own distance.

    Yields
    ------
    Run
        One fit and its scores, as soon as it is there.

    Raises
    ------
    ValueError
        If a name is unknown, or a setting does not fit the data.
    ImportError
        If a method needs an extra that is not installed.
    """
    jobs = [
        Job(name, int(n_bits), int(seed), parameters or {}, distance)
        for name in methods
        for n_bits in bits
        for seed in seeds
    ]
    yield from run_jobs(dataset, jobs, protocol=protocol, recipe=recipe, features=features)


def run_jobs(
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    protocol: Protocol,
    recipe: SplitRecipe,
    features: str | None = None,
    done: Collection[str] = (),
    on_error: Callable[[Job, Exception], None] | None = None,
) -> Iterator[Run]:
    """Run jobs on one data set; split, features and ground truth are made once.

    Parameters
    ----------
    dataset : Dataset
        Items, and labels if the protocol or a method needs them.
    jobs : sequence of Job
        What to fit. All are checked before the first is begun.
    protocol : Protocol
        How to judge.
    recipe : SplitRecipe
        How to split into training set, database and queries.
    features : str, optional
        As for :func:`run_methods`.
    done : collection of str, default=()
        Ids of runs to leave out.
    on_error : callable, optional
        Told of a job that failed, and why; the others go on. None raises.

    Yields
    ------
    Run
        One fit and its scores, as soon as it is there.

    Raises
    ------
    ValueError
        If a name is unknown, or a setting does not fit the data.
    ImportError
        If a method needs an extra that is not installed.
    """
    asked = questions(dataset, jobs, protocol=protocol, recipe=recipe, features=features)
    missing = [(job, row) for job, row in zip(jobs, asked, strict=True) if row["id"] not in done]
    if not missing:
        return
    split = dataset.split(recipe)
    for names, group in groupby(missing, key=lambda pair: pair[1]["features"]):
        yield from _run_group(dataset, list(group), names, protocol, split, on_error)


def _run_group(
    dataset: Dataset,
    missing: Sequence[tuple[Job, dict[str, Any]]],
    features: str,
    protocol: Protocol,
    split: Split,
    on_error: Callable[[Job, Exception], None] | None,
) -> Iterator[Run]:
    """Run jobs whose hashers are given the same features."""
    steps = make_features(features)
    y = None if dataset.y is None else dataset.y[split.train]
    train = _pass_through(steps, dataset.X[split.train], fit=True)
    is_same = np.array_equal(split.train, split.database)  # a million vectors are not held twice
    database = train if is_same else _pass_through(steps, dataset.X[split.database])
    queries = _pass_through(steps, dataset.X[split.queries])
    truth = _ground_truth(queries, database, dataset, split, protocol)
    for job, row in missing:
        hasher = make_hasher(job.method, job.n_bits, job.parameters, job.seed)
        try:
            measured, index, codes = _fit_and_encode(hasher, train, y, database)
            query_codes = hasher.encode(queries)
            distance = row.get("distance", "hamming")
            scores = _score(index, codes, query_codes, truth, protocol, distance)
        except Exception as error:
            if on_error is None:
                raise
            on_error(job, error)
            continue
        row |= {
            "n_train": len(split.train),
            "n_database": len(split.database),
            "scores": scores.as_dict(),
            "bit_statistics": bit_statistics(codes, job.n_bits).as_dict(),
            "curves": run_curves(scores, query_codes, codes, job.n_bits, truth),
            "history": _history(hasher),
            **measured,
            "provenance": provenance(),
        }
        yield Run(row, make_model(steps, hasher), split, index, codes, query_codes, scores, truth)


def questions(
    dataset: Dataset,
    jobs: Sequence[Job],
    *,
    protocol: Protocol,
    recipe: SplitRecipe,
    features: str | None = None,
) -> list[dict[str, Any]]:
    """Say what jobs ask for: the part of their rows that is known before they run.

    Parameters
    ----------
    dataset : Dataset
        Items.
    jobs : sequence of Job
        What to fit.
    protocol : Protocol
        How to judge.
    recipe : SplitRecipe
        How to split.
    features : str, optional
        As for :func:`run_methods`.

    Returns
    -------
    list of dict
        One question a job, with its ``"id"``: runs that were asked the same have the same.

    Raises
    ------
    ValueError
        If a name is unknown.
    ImportError
        If a method needs an extra that is not installed.
    """
    settings = {
        "dataset": dataset.name,
        "fingerprint": fingerprint(dataset),
        "split": recipe.as_dict(),
        "protocol": protocol.as_dict(),
    }
    rows = []
    for job in jobs:
        names = default_features(dataset.X, job.method) if features is None else features
        rows.append({**settings, "features": names, **_asked(job)})
    for row in rows:
        make_features(row["features"])  # unknown names fail before any work
        _check_ties(protocol, row.get("distance", "hamming"))
    return [{"id": run_id(row), **row} for row in rows]


def rescore(run: Run, dataset: Dataset, protocol: Protocol) -> Scores:
    """Score a run's codes again under another protocol.

    Parameters
    ----------
    run : Run
        What :func:`run_methods` gave.
    dataset : Dataset
        The data set that it ran on.
    protocol : Protocol
        How to judge.

    Returns
    -------
    Scores
        Scores under `protocol`.

    Raises
    ------
    ValueError
        If the protocol does not fit the data.
    """
    steps = [] if hasher_of(run.model) is run.model else [step for _, step in run.model.steps[:-1]]
    queries, database = (
        _pass_through(steps, dataset.X[rows]) for rows in (run.split.queries, run.split.database)
    )
    truth = _ground_truth(queries, database, dataset, run.split, protocol)
    distance = run.row.get("distance", "hamming")
    return _score(run.index, run.database_codes, run.query_codes, truth, protocol, distance)


def make_hasher(name: str, n_bits: int, parameters: Mapping[str, Any], seed: int | None) -> Hasher:
    """Make an unfitted hasher from names and plain values.

    Parameters
    ----------
    name : str
        Name in the table of methods.
    n_bits : int
        Length of the code.
    parameters : mapping of str to object
        Its other constructor arguments.
    seed : int or None
        Its `random_state`.

    Returns
    -------
    Hasher
        Unfitted.

    Raises
    ------
    TypeError
        If `n_bits` is not an integer.
    ValueError
        If there is no such method, it has no such argument, or `n_bits` is below 1.
    ImportError
        If the method needs an extra that is not installed.
    """
    n_bytes(n_bits)
    hasher = get_method(name)()
    known = sorted(set(hasher.get_params()) - {"n_bits", "random_state"})
    if unknown := [parameter for parameter in parameters if parameter not in known]:
        raise ValueError(
            f"{name} has no parameter {', '.join(unknown)} besides its bits and seed; it has "
            f"{', '.join(known)}"
        )
    hasher.set_params(**{**parameters, "n_bits": n_bits, "random_state": seed})
    return hasher


def _asked(job: Job) -> dict[str, Any]:
    """Say what a job asks for, with the defaults that it takes, as JSON can hold it."""
    hasher = make_hasher(job.method, job.n_bits, job.parameters, job.seed)
    parameters = hasher.get_params(deep=False)
    distance = hasher.distance if job.distance is None else job.distance
    if distance not in get_args(Distance):
        raise ValueError(
            f"distance must be one of {', '.join(get_args(Distance))}; got {distance!r}"
        )
    # A row without the key is of Hamming distances, as the first ones were.
    is_usual = distance == hasher.distance == "hamming"
    return {
        "method": job.method,
        "n_bits": int(job.n_bits),
        **({} if is_usual else {"distance": distance}),
        "seed": int(job.seed),
        "given": {name: _plain(value) for name, value in job.parameters.items()},
        "parameters": {
            name: _plain(value)
            for name, value in parameters.items()
            if name not in ("n_bits", "random_state")
        },
    }


def _check_ties(protocol: Protocol, distance: Distance) -> None:
    if protocol.ties == "stable" and distance != "hamming":
        raise ValueError(
            f"a protocol with stable ties judges Hamming distances; ask for them, or judge "
            f"{distance} distances with expected ties"
        )


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _fit_and_encode(
    hasher: Hasher, train: NDArray[Any], y: NDArray[Any] | None, database: NDArray[Any]
) -> tuple[dict[str, Any], HammingIndex, NDArray[np.uint8]]:
    """Fit, and encode and index the database; say what it took."""
    with PeakMemory() as memory:
        started = perf_counter()
        hasher.fit(train, y)
        fitted = perf_counter()
        codes = hasher.encode(database)
        index = HammingIndex(hasher.n_bits)
        index.add(codes)
        encoded = perf_counter()
    measured = {
        "fit_seconds": round(fitted - started, 3),
        "encode_seconds": round(encoded - fitted, 3),
        "peak_memory_bytes": memory.peak_bytes,
        "index_bytes": index.index_bytes,
    }
    return measured, index, codes


def _ground_truth(
    queries: NDArray[Any],
    database: NDArray[Any],
    dataset: Dataset,
    split: Split,
    protocol: Protocol,
) -> GroundTruth:
    """Find what is relevant: by labels, or near among the vectors that a hasher is given."""
    y = dataset.y
    labels = (None, None) if y is None else (y[split.queries], y[split.database])
    return protocol.ground_truth(queries, database, *labels)


def _pass_through(steps: list[Any], X: NDArray[Any], *, fit: bool = False) -> NDArray[Any]:
    for step in steps:
        X = step.fit_transform(X) if fit else step.transform(X)
    return X


def _score(
    index: HammingIndex,
    database: NDArray[np.uint8],
    queries: NDArray[np.uint8],
    truth: GroundTruth,
    protocol: Protocol,
    distance: Distance,
) -> Scores:
    if protocol.ties == "expected":
        counts = count_blocks(queries, database, index.n_bits, truth, distance=distance)
        return evaluate(counts, truth, protocol)
    _check_ties(protocol, distance)
    rows = max(1, _BLOCK_ENTRIES // len(index))
    starts = range(0, len(queries), rows)
    rankings = (index.search(queries[start : start + rows], len(index)) for start in starts)
    return evaluate(rankings, truth, protocol)


def _history(hasher: Hasher) -> dict[str, list[float]]:
    """Take a method's learning curve, if it keeps one: means of at most 200 stretches."""
    kept = getattr(hasher, "history_", None)
    if kept is None and hasattr(hasher, "losses_"):
        kept = {"loss": hasher.losses_}
    curves = {}
    for name, values in (kept or {}).items():
        parts = np.array_split(np.asarray(values, np.float64), min(200, len(values)))
        curves[name] = [float(f"{part.mean():.6g}") for part in parts]
    return curves
