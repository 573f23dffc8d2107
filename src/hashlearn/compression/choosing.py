"""Choose a method and its settings by the neighbours of vectors that were held back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from hashlearn.hashers import get_method
from hashlearn.hashers.base import FloatArray, Hasher

RANKS = 10, 100
"""How many neighbours are to be found."""

CANDIDATES = 100
"""Codes that are re-ranked for each query."""

HAMMING, RERANKED = "hamming", f"values/{CANDIDATES}"

_STEPS = 1200
_FEWEST_STEPS = 200
_TRIED_STEPS, _CHECKS = 20, 20
"""Steps that are timed, after as many as a fit checks held-back vectors, however long it is."""
_FEW_ROWS = 5000
_WORTH = 0.002
"""Recall that a method must be ahead by to be preferred to one that takes less time."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """Describe a method with settings that may be chosen.

    Parameters
    ----------
    label : str
        What people read.
    method : str
        Name in the table of methods.
    options : dict
        Settings of its constructor.
    by_steps : bool, default=False
        Whether it learns in steps, of which there are as many as there is time for.
    """

    label: str
    method: str
    options: dict[str, Any]
    by_steps: bool = False

    def make(self, n_bits: int, random_state: int, **options: Any) -> Hasher:
        """Make the hasher.

        Parameters
        ----------
        n_bits : int
            Length of the codes.
        random_state : int
            Seed.
        **options : object
            Further settings.

        Returns
        -------
        Hasher
            Not fitted.

        Raises
        ------
        ImportError
            If the method needs an extra that is not installed.
        """
        settings = self.options | options
        return get_method(self.method)(n_bits, random_state=random_state, **settings)


@dataclass
class Trial:
    """Hold how a candidate did.

    Parameters
    ----------
    candidate : Candidate
        What was tried.
    hasher : Hasher, default=None
        It, fitted; None if it was not.
    recall : dict of str to float
        Recall of the held-back queries' neighbours, under ``"hamming@10"`` and the like.
    fit_seconds : float, default=0.0
        What learning took.
    note : str, default=""
        Why it was left out; "" if it was not.
    """

    candidate: Candidate
    hasher: Hasher | None = None
    recall: dict[str, float] = field(default_factory=dict)
    fit_seconds: float = 0.0
    note: str = ""

    @property
    def fitted(self) -> Hasher:
        """The hasher, if it was fitted."""
        if self.hasher is None:
            raise ValueError(f"{self.candidate.label} was left out: {self.note}")
        return self.hasher

    @property
    def score(self) -> float:
        """Recall of the 10 nearest after re-ranking, which decides."""
        return self.recall.get(f"{RERANKED}@10", -1.0)


def candidates(n_bits: int, n_features: int, n_samples: int) -> Iterator[Candidate]:
    """List what is tried, what takes least time first.

    Parameters
    ----------
    n_bits : int
        Length of the codes.
    n_features : int
        Entries of a vector.
    n_samples : int
        Vectors to learn from.

    Yields
    ------
    Candidate
        Method and settings.
    """
    yield Candidate("random directions", "lsh", {"orthogonal": True})
    if n_bits <= min(n_features, n_samples):
        yield Candidate("PCA-sign", "itq", {"rotation": "identity"})
        yield Candidate("ITQ", "itq", {})
    # Neighbours are sought in batches: 20 of 20,000 vectors are the nearest of 512 to one another.
    yield Candidate(
        "NeighborMatching", "neighbormatching",
        {
            "n_neighbors": min(20, max(1, n_samples // 100)), "pooled_weight": 0.0,
            "asymmetric_weight": 0.5, "n_components": n_features, "batch_size": 1024,
        },
        by_steps=True,
    )  # fmt: skip


def fit_candidates(
    X: FloatArray,
    n_bits: int,
    *,
    seconds: float,
    random_state: int = 0,
    say: Say = lambda _: None,
) -> list[Trial]:
    """Fit all candidates that there is time for.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32
        Vectors to learn from.
    n_bits : int
        Length of the codes.
    seconds : float
        Time to learn in. The first candidate is fitted whatever it takes.
    random_state : int, default=0
        Seed.
    say : callable, default=None
        Told what is going on.

    Returns
    -------
    list of Trial
        What takes least time first; without recalls.

    Raises
    ------
    ValueError
        If no candidate can make codes of this length.
    """
    end = perf_counter() + seconds
    trials: list[Trial] = []
    for candidate in candidates(n_bits, X.shape[1], len(X)):
        say(f"trying {candidate.label}")
        trials.append(try_candidate(candidate, X, n_bits, end, random_state))
    if all(trial.hasher is None for trial in trials):
        reasons = "; ".join(f"{trial.candidate.label}: {trial.note}" for trial in trials)
        raise ValueError(f"no method makes codes of {n_bits} bits of these vectors: {reasons}")
    return trials


def best_of(trials: list[Trial]) -> Trial:
    """Choose the candidate that finds most neighbours.

    Parameters
    ----------
    trials : list of Trial
        What was tried, what takes least time first; with recalls, if it was fitted.

    Returns
    -------
    Trial
        The highest recall of the 10 nearest after re-ranking; within .002 of it, what takes least
        time.
    """
    fitted = [trial for trial in trials if trial.hasher is not None]
    most = max(trial.score for trial in fitted)
    return next(trial for trial in fitted if trial.score >= most - _WORTH)


def try_candidate(
    candidate: Candidate, X: FloatArray, n_bits: int, end: float, random_state: int
) -> Trial:
    """Fit a candidate, if there is time.

    Parameters
    ----------
    candidate : Candidate
        What to fit.
    X : ndarray of shape (n, d), float32
        Vectors to learn from.
    n_bits : int
        Length of the codes.
    end : float
        When the time is over, on the clock of ``time.perf_counter``.
    random_state : int
        Seed.

    Returns
    -------
    Trial
        Without recalls; without a hasher, and with a note why, if it was not fitted.
    """
    if perf_counter() >= end and candidate.method != "lsh":
        return Trial(candidate, note="no time was left")
    n_steps = None
    try:
        if candidate.by_steps:
            n_steps = _affordable(candidate, X, n_bits, end)
            if n_steps < _FEWEST_STEPS:
                return Trial(candidate, note=f"no time was left for {_FEWEST_STEPS} steps")
        return _fit(candidate, X, n_bits, random_state, n_steps)
    except (ImportError, ValueError) as error:
        return Trial(candidate, note=str(error))


def try_length(best: Trial, X: FloatArray, n_bits: int, seconds: float, random_state: int) -> Trial:
    """Fit what was chosen once more, for codes of another length.

    Parameters
    ----------
    best : Trial
        What was chosen.
    X : ndarray of shape (n, d), float32
        Vectors to learn from.
    n_bits : int
        Length of the codes.
    seconds : float
        Time to learn in. Steps are as many as there is time for, if they take as long as they did,
        longer codes in proportion; 200 at least.
    random_state : int
        Seed.

    Returns
    -------
    Trial
        Without recalls; without a hasher, and with a note why, if there are no such codes.
    """
    n_steps = None
    if best.candidate.by_steps:
        chosen = best.fitted
        step = best.fit_seconds / chosen.get_params()["n_steps"] * max(1, n_bits / chosen.n_bits)
        n_steps = max(_FEWEST_STEPS, min(_STEPS, int(seconds / step)))
    try:
        return _fit(best.candidate, X, n_bits, random_state, n_steps)
    except ValueError as error:
        return Trial(best.candidate, note=str(error))


def _fit(
    candidate: Candidate, X: FloatArray, n_bits: int, random_state: int, n_steps: int | None
) -> Trial:
    options = {} if n_steps is None else {"n_steps": n_steps}
    start = perf_counter()
    hasher = candidate.make(n_bits, random_state, **options).fit(X)
    return Trial(candidate, hasher, fit_seconds=perf_counter() - start)


def _affordable(candidate: Candidate, X: FloatArray, n_bits: int, end: float) -> int:
    """Take some steps on a few vectors, and say how many steps there is time for."""
    X, spent = X[: max(_FEW_ROWS, 2 * n_bits)], []
    for n_steps in (_CHECKS, _CHECKS + _TRIED_STEPS):
        start = perf_counter()
        candidate.make(n_bits, 0, n_steps=n_steps).fit(X)
        spent.append(perf_counter() - start)
    step = max(1e-6, (spent[1] - spent[0]) / _TRIED_STEPS)
    return int(max(0, min(_STEPS, (end - perf_counter()) / step)))
