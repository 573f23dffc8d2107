"""Fit, encode, index, search and score methods on one data set under one protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlearn.benchmark.provenance import provenance
from hashlearn.codes import n_bytes
from hashlearn.data import Dataset, Split, SplitRecipe
from hashlearn.evaluation import GroundTruth, Protocol, Scores, evaluate, get_protocol
from hashlearn.features import make_features
from hashlearn.hashers import get_method
from hashlearn.hashers.base import Hasher
from hashlearn.index import HammingIndex
from hashlearn.models import Model, make_model
from hashlearn.results import Neighbors

_BLOCK_ENTRIES = 1 << 22


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
    query_codes : ndarray of shape (q, ceil(n_bits / 8)), uint8
        The queries' codes.
    scores : Scores
        Scores with their curves.
    """

    row: dict[str, Any]
    model: Model = field(repr=False)
    split: Split = field(repr=False)
    index: HammingIndex = field(repr=False)
    query_codes: NDArray[np.uint8] = field(repr=False)
    scores: Scores = field(repr=False)


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
) -> Iterator[Run]:
    """Run every method at every code length with every seed.

    Split, features and ground truth are made once and are the same for all.

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
        stands for :func:`default_features`.
    seeds : sequence of int, default=(0,)
        Seeds of the methods. The split has its own, in the recipe.
    parameters : mapping of str to object, optional
        Constructor arguments for every method, besides `n_bits` and `random_state`.

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
        (name, int(n_bits), int(seed), make_hasher(name, n_bits, parameters or {}, seed))
        for name in methods
        for n_bits in bits
        for seed in seeds
    ]  # unknown names and arguments fail before any work
    names = default_features(dataset.X) if features is None else features
    steps = make_features(names)
    split = dataset.split(recipe)
    X, y = dataset.X, dataset.y
    truth = _ground_truth(dataset, split, protocol)
    train = _pass_through(steps, X[split.train], fit=True)
    database = _pass_through(steps, X[split.database])
    queries = _pass_through(steps, X[split.queries])
    settings = {
        "dataset": dataset.name,
        "split": recipe.as_dict(),
        "n_train": len(train),
        "n_database": len(database),
        "protocol": protocol.as_dict(),
        "features": names,
    }
    for name, n_bits, seed, hasher in jobs:
        started = perf_counter()
        hasher.fit(train, None if y is None else y[split.train])
        fitted = perf_counter()
        index = HammingIndex(n_bits)
        index.add(hasher.encode(database))
        encoded = perf_counter()
        query_codes = hasher.encode(queries)
        scores = evaluate(_rankings(index, query_codes), truth, protocol)
        row = {
            **settings,
            "method": name,
            "n_bits": n_bits,
            "seed": seed,
            "parameters": _plain_parameters(hasher),
            "scores": scores.as_dict(),
            "fit_seconds": round(fitted - started, 3),
            "encode_seconds": round(encoded - fitted, 3),
            "index_bytes": index.index_bytes,
            "provenance": provenance(),
        }
        yield Run(row, make_model(steps, hasher), split, index, query_codes, scores)


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
    truth = _ground_truth(dataset, run.split, protocol)
    return evaluate(_rankings(run.index, run.query_codes), truth, protocol)


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


def default_features(X: NDArray[Any]) -> str:
    """Choose features for items that come without a choice.

    Parameters
    ----------
    X : ndarray of shape (n, ...), numeric
        Images or vectors.

    Returns
    -------
    str
        ``"pixels"`` for images, ``"none"`` for vectors.

    Examples
    --------
    >>> default_features(np.zeros((5, 8, 8)))
    'pixels'
    """
    return "pixels" if X.ndim > 2 else "none"


def default_recipe(dataset: Dataset, seed: int = 0, protocol: str | None = None) -> SplitRecipe:
    """Choose a split for a data set that comes without a choice.

    Parameters
    ----------
    dataset : Dataset
        Items.
    seed : int, default=0
        Seed of the draw.
    protocol : str, optional
        Named protocol; those of CIFAR-10 are split as the papers split.

    Returns
    -------
    SplitRecipe
        Up to 1,000 queries of the published test part; without one, a tenth of the items, at most
        1,000.
    """
    if protocol == "cifar10-1k":
        return SplitRecipe("all", n_queries=1000, queries_per_class=True, seed=seed)
    if protocol == "cifar10-10k-at-1000":
        return SplitRecipe("test", seed=seed)
    if "test" in dataset.splits:
        n_queries = min(1000, len(dataset.splits["test"]))
        return SplitRecipe(n_queries=n_queries, seed=seed)
    n_queries = max(1, min(1000, len(dataset) // 10))
    return SplitRecipe(queries_from="all", n_queries=n_queries, seed=seed)


def default_protocol(dataset: Dataset) -> Protocol:
    """Choose how to judge on a data set that comes without a choice.

    Parameters
    ----------
    dataset : Dataset
        Items.

    Returns
    -------
    Protocol
        By labels, shared ones if an item may have several; without labels, the 100 nearest by
        Euclidean distance are relevant.
    """
    if dataset.y is None:
        return get_protocol("euclidean-100")
    return Protocol(truth="labels" if dataset.y.ndim == 1 else "shared_labels")


def _ground_truth(dataset: Dataset, split: Split, protocol: Protocol) -> GroundTruth:
    X, y = dataset.X, dataset.y
    labels = (None, None) if y is None else (y[split.queries], y[split.database])
    return protocol.ground_truth(X[split.queries], X[split.database], *labels)


def _pass_through(steps: list[Any], X: NDArray[Any], *, fit: bool = False) -> NDArray[Any]:
    for step in steps:
        X = step.fit_transform(X) if fit else step.transform(X)
    return X


def _rankings(index: HammingIndex, queries: NDArray[np.uint8]) -> Iterator[Neighbors]:
    """Rank the whole database for a few queries at a time, so that memory stays bounded."""
    rows = max(1, _BLOCK_ENTRIES // len(index))
    for start in range(0, len(queries), rows):
        yield index.search(queries[start : start + rows], len(index))


def _plain_parameters(hasher: Hasher) -> dict[str, Any]:
    parameters: dict[str, Any] = hasher.get_params(deep=False)
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in parameters.items()
        if name not in ("n_bits", "random_state")
    }
