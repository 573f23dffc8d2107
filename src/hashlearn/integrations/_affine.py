"""A model's steps as linear functions, as far as they are such."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from hashlearn.hashers.base import Hasher, LinearHasher
from hashlearn.models import Model, steps_of


@dataclass(frozen=True)
class Affine:
    """Linear functions ``weights @ x + bias``, in double precision."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def after(self, first: "Affine") -> "Affine":
        """Give what these compute of the values of others."""
        return Affine(self.weights @ first.weights, self.weights @ first.bias + self.bias)


@dataclass(frozen=True)
class UnitLength:
    """Division of each vector of `n_features` by its Euclidean length, where that is not 0."""

    n_features: int


Part = Affine | UnitLength


def parts_of(steps: list[Any]) -> list[Part]:
    """Describe fitted steps, neighbouring linear functions as one.

    Parameters
    ----------
    steps : list
        Features and, last, a hasher; all fitted.

    Returns
    -------
    list of Affine or UnitLength
        What to apply, in this order; the last gives the hasher's values.

    Raises
    ------
    TypeError
        If a step is something else than linear functions or a division by the length.
    """
    parts: list[Part] = []
    for part in [*map(_feature, steps[:-1]), _hasher(steps[-1])]:
        last = parts[-1] if parts else None
        if isinstance(part, Affine) and isinstance(last, Affine):
            parts[-1] = part.after(last)
        else:
            parts.append(part)
    return parts


def check_linear(steps: list[Any]) -> None:
    """Refuse steps that are not linear, fitted or not.

    Raises
    ------
    TypeError
        If a step is something else than linear functions or a division by the length.
    """
    hasher = steps[-1]
    if not isinstance(hasher, Hasher):
        raise TypeError(f"the last step must be a hasher, got {hasher!r}")
    kind = type(hasher)
    is_linear = isinstance(hasher, LinearHasher) and kind._project is LinearHasher._project
    if not is_linear or kind.transform is not Hasher.transform:
        raise TypeError(
            f"the bits of {kind.__name__} are not signs of linear functions; those of LSH, ITQ, "
            "SiGAH and the other heirs of LinearHasher are"
        )
    for step in steps[:-1]:
        is_length = type(step) is Normalizer and step.norm == "l2"
        if type(step) not in (StandardScaler, PCA, TruncatedSVD) and not is_length:
            raise TypeError(
                f"cannot bring the features {step!r} into linear functions; those that can be: "
                "StandardScaler, PCA, TruncatedSVD and Normalizer with the norm 'l2'. Encode with "
                "the model, and give the codes to the store"
            )


class LinearFunctions(NamedTuple):
    """What gives the bits of a vector: ``weights @ x + bias >= 0``, of x at length 1 or as is."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float64]
    normalises: bool


def fold(model: Model) -> LinearFunctions:
    """Write a fitted model as linear functions of its items, or of these at length 1.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model.

    Returns
    -------
    LinearFunctions
        Its functions.

    Raises
    ------
    TypeError
        If it cannot be written so.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    steps = steps_of(model)
    check_linear(steps)
    for step in steps:
        check_is_fitted(step)
    *first, last = parts_of(steps)
    if any(not isinstance(part, UnitLength) for part in first):
        raise TypeError("vectors can be brought to length 1 before all other steps, not between")
    assert isinstance(last, Affine)  # the hasher is in it
    return LinearFunctions(last.weights.astype(np.float32), last.bias, bool(first))


def _hasher(hasher: Any) -> Part:
    return Affine(hasher.weights_.astype(np.float64), hasher.bias_.astype(np.float64))


def _feature(step: Any) -> Part:
    if isinstance(step, Normalizer):
        return UnitLength(int(step.n_features_in_))
    if isinstance(step, StandardScaler):
        scale = 1 / step.scale_ if step.with_std else np.ones(step.n_features_in_)
        weights = np.diag(scale)
        return Affine(weights, -scale * (step.mean_ if step.with_mean else 0.0))
    weights = step.components_.astype(np.float64)
    if isinstance(step, TruncatedSVD):
        return Affine(weights, np.zeros(len(weights)))
    if step.whiten:
        weights = weights / np.sqrt(step.explained_variance_)[:, None]
    return Affine(weights, -weights @ step.mean_)
