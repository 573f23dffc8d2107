"""Splits: which items train a method, which are searched and which ask."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

QueriesFrom = Literal["test", "train", "all"]
TrainFrom = Literal["database", "learn"]

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class SplitRecipe:
    """Say how a data set is divided; kept with every result.

    Parameters
    ----------
    queries_from : {"test", "train", "all"}, default="test"
        ``"test"``: queries come from the published test part, the database is the published train
        part. ``"train"``: queries come from the train part and leave it, the database is the rest
        of it; for choosing settings, as the test part is never touched. ``"all"``: queries come
        from everything, the database is the rest.
    n_queries : int, default=None
        Number of queries. None takes the whole test part; the other two ways need a number.
    queries_per_class : bool, default=False
        Take equally many queries from each class: `n_queries` is divided among the classes.
    n_train : int, default=None
        Number of training items. None trains on all that there are.
    train_per_class : bool, default=False
        Take equally many training items from each class.
    train_from : {"database", "learn"}, default="database"
        Whether training items are drawn from the database, or from the published part of vectors
        to learn from, which is not searched.
    seed : int, default=0
        Seed of every draw, 0 or larger.

    Raises
    ------
    TypeError
        If a number is not an integer, or a flag not a boolean.
    ValueError
        If `queries_from` or `train_from` is unknown, a number is too small, a number that is needed
        is missing, or queries from everything would come from the part to learn from.

    Notes
    -----
    Queries and training items are drawn from two independent streams, and a larger draw contains
    a smaller one of the same seed (of each class, where drawn by class): with queries from
    ``"test"``, the training items do not depend on `n_queries`; the queries never depend on
    `n_train`.

    Examples
    --------
    The protocol of many papers on CIFAR-10: 100 queries and 500 training items of each class.

    >>> recipe = SplitRecipe(
    ...     "all", n_queries=1000, queries_per_class=True, n_train=5000, train_per_class=True
    ... )
    >>> recipe.as_dict()["n_queries"]
    1000
    """

    queries_from: QueriesFrom = "test"
    n_queries: int | None = None
    queries_per_class: bool = False
    n_train: int | None = None
    train_per_class: bool = False
    train_from: TrainFrom = "database"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.queries_from not in get_args(QueriesFrom):
            raise ValueError(
                f'queries_from must be "test", "train" or "all", got {self.queries_from!r}'
            )
        if self.train_from not in get_args(TrainFrom):
            raise ValueError(f'train_from must be "database" or "learn", got {self.train_from!r}')
        if self.train_from == "learn" and self.queries_from == "all":
            raise ValueError('train_from="learn" needs queries_from="test" or "train"')
        for name in ("queries_per_class", "train_per_class"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        for name in ("n_queries", "n_train"):
            if getattr(self, name) is not None:
                self._check_integer(name, 1)
        self._check_integer("seed", 0)
        if self.n_queries is None and (self.queries_per_class or self.queries_from != "test"):
            raise ValueError(
                f"n_queries is needed with queries_from={self.queries_from!r} and "
                f"queries_per_class={self.queries_per_class}"
            )
        if self.n_train is None and self.train_per_class:
            raise ValueError("n_train is needed with train_per_class=True")

    def _check_integer(self, name: str, smallest: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value}")
        object.__setattr__(self, name, int(value))  # NumPy's integers do not go into JSON

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as plain values, to be stored with results.

        Returns
        -------
        dict
            One entry a parameter; ``SplitRecipe(**recipe.as_dict())`` equals the recipe.
        """
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Split:
    """Hold the rows of a data set that train, answer and ask.

    Parameters
    ----------
    train : ndarray of shape (n_train,), int64
        Rows to fit a method on, ascending; all of them are in `database`, or none if the recipe
        trains on the published part to learn from.
    database : ndarray of shape (n_database,), int64
        Rows to search in, ascending.
    queries : ndarray of shape (n_queries,), int64
        Rows that ask, ascending; none of them is in `database`.
    recipe : SplitRecipe
        How the split was made.

    Raises
    ------
    ValueError
        If an array is empty, not ascending or of another shape or dtype, a query is in the
        database or trained on, or a training item is not where the recipe says.

    Examples
    --------
    >>> split = Split(np.array([0]), np.array([0, 2]), np.array([1]), SplitRecipe("all", 1))
    >>> split.database.tolist()
    [0, 2]
    """

    train: Rows
    database: Rows
    queries: Rows
    recipe: SplitRecipe

    def __post_init__(self) -> None:
        for name in ("train", "database", "queries"):
            object.__setattr__(self, name, _check_rows(name, getattr(self, name)))
        if np.isin(self.queries, self.database).any():
            raise ValueError("a query is also in the database")
        inside = np.isin(self.train, self.database)
        if self.recipe.train_from == "database" and not inside.all():
            raise ValueError("a training item is not in the database")
        if self.recipe.train_from == "learn" and inside.any():
            raise ValueError("an item of the part to learn from is also in the database")
        if np.isin(self.queries, self.train).any():
            raise ValueError("a query is also a training item")


def draw_split(
    n_samples: int, y: NDArray[Any] | None, published: Mapping[str, Rows], recipe: SplitRecipe
) -> Split:
    """Follow a recipe.

    Parameters
    ----------
    n_samples : int
        Number of items, n.
    y : ndarray of shape (n,), int; or (n, n_labels), 0/1; or None
        Labels. Only class numbers can be divided by class; -1 is an item without a class.
    published : mapping of str to ndarray of shape (n_part,), int64
        The published parts: ``"train"`` and ``"test"``, perhaps ``"learn"``, or empty.
    recipe : SplitRecipe
        How to divide.

    Returns
    -------
    Split
        Row numbers of training set, database and queries.

    Raises
    ------
    TypeError
        If `recipe` is not a `SplitRecipe`.
    ValueError
        If the recipe needs published parts, labels or more items than there are.

    Examples
    --------
    >>> split = draw_split(5, None, {}, SplitRecipe("all", n_queries=2, n_train=1))
    >>> len(split.train), len(split.database), len(split.queries)
    (1, 3, 2)
    """
    if not isinstance(recipe, SplitRecipe):
        raise TypeError(f"recipe must be a SplitRecipe, got {recipe!r}")
    query_stream, train_stream = np.random.default_rng(recipe.seed).spawn(2)
    candidates = _candidates(n_samples, published, recipe)
    n_queries = len(candidates) if recipe.n_queries is None else recipe.n_queries
    classes = _class_numbers(y) if recipe.queries_per_class or recipe.train_per_class else None
    query_classes = classes if recipe.queries_per_class else None
    queries = _draw("queries", candidates, n_queries, query_classes, query_stream)
    if recipe.queries_from == "test":
        database = np.sort(published["train"])
    elif len(queries) == len(candidates):
        raise ValueError(f"{n_queries} queries of {len(candidates)} items leave an empty database")
    else:
        database = np.setdiff1d(candidates, queries)
    learn = database if recipe.train_from == "database" else _learn(published)
    n_train = len(learn) if recipe.n_train is None else recipe.n_train
    train_classes = classes if recipe.train_per_class else None
    train = _draw("training items", learn, n_train, train_classes, train_stream)
    return Split(train, database, queries, recipe)


def _candidates(n_samples: int, published: Mapping[str, Rows], recipe: SplitRecipe) -> Rows:
    """Give the rows that queries may come from."""
    if recipe.queries_from == "all":
        return np.arange(n_samples)
    needed = ("train", "test") if recipe.queries_from == "test" else ("train",)
    if missing := [name for name in needed if name not in published]:
        raise ValueError(
            f"queries_from={recipe.queries_from!r} needs a published split, and this data set has "
            f"no part {' and no part '.join(map(repr, missing))}; use "
            'SplitRecipe(queries_from="all", n_queries=...)'
        )
    return np.sort(published[recipe.queries_from])


def _learn(published: Mapping[str, Rows]) -> Rows:
    if "learn" not in published:
        raise ValueError(
            'train_from="learn" needs a published part "learn", and this data set has none'
        )
    return np.sort(published["learn"])


def _class_numbers(y: NDArray[Any] | None) -> NDArray[Any]:
    if y is None or y.ndim != 1:
        raise ValueError(
            "drawing equally many of each class needs one class number an item, "
            + ("and there are no labels" if y is None else f"got labels of the shape {y.shape}")
        )
    return y


def _draw(
    what: str, candidates: Rows, n: int, classes: NDArray[Any] | None, stream: np.random.Generator
) -> Rows:
    """Draw `n` of the candidates, equally many of each class where classes are given."""
    if n > len(candidates):
        raise ValueError(f"{n} {what} are asked for and there are {len(candidates)} to draw from")
    if classes is None:
        return np.sort(stream.permutation(candidates)[:n])
    numbers = np.unique(classes[classes >= 0])
    if len(numbers) == 0 or n % len(numbers):
        raise ValueError(f"{n} {what} cannot be divided equally among {len(numbers)} classes")
    share = n // len(numbers)
    drawn = []
    for number in numbers:
        members = candidates[classes[candidates] == number]
        if share > len(members):
            raise ValueError(
                f"{share} {what} of each class are asked for, and class {number} has "
                f"{len(members)} to draw from"
            )
        drawn.append(stream.permutation(members)[:share])
    return np.sort(np.concatenate(drawn))


def _check_rows(name: str, rows: Rows) -> Rows:
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "ui" or not len(array):
        raise ValueError(
            f"{name} must be row numbers of the shape (n_{name},), at least one, "
            f"got {array.dtype} of the shape {array.shape}"
        )
    checked = array.astype(np.int64)
    if checked[0] < 0 or (np.diff(checked) <= 0).any():
        raise ValueError(f"{name} must be row numbers in ascending order, none of them twice")
    checked.flags.writeable = False
    return checked
