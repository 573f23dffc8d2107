"""Models that are one linear function a bit, or can be written as such."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.utils.validation import check_is_fitted

from hashlearn.hashers.base import Hasher, LinearHasher
from hashlearn.models import Model, steps_of


class LinearFunctions(NamedTuple):
    """What gives the bits of a vector: ``weights @ x + bias >= 0``, of x at length 1 or as is."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float64]
    normalises: bool


def fold(model: Model) -> LinearFunctions:
    """Write a fitted model as linear functions of its items; refuse one that is none."""
    *features, hasher = steps_of(model)
    _check_linear(hasher)
    for step in (*features, hasher):
        check_is_fitted(step)
    W, b = hasher.weights_.astype(np.float64), hasher.bias_.astype(np.float64)
    normalises = bool(features) and _is_normaliser(features[0])
    for step in reversed(features[normalises:]):
        W, b = _before(step, W, b)
    return LinearFunctions(W.astype(np.float32), b, normalises)


def _check_linear(hasher: Any) -> None:
    """Find out whether a hasher's bits are signs of its weights: its class decides, no name."""
    if not isinstance(hasher, Hasher):
        raise TypeError(f"the last step must be a hasher, got {hasher!r}")
    kind = type(hasher)
    own = ("project", "transform", "encode", "_project")
    signs = all(getattr(kind, name) is getattr(LinearHasher, name) for name in own)
    if not isinstance(hasher, LinearHasher) or not signs:
        raise TypeError(
            f"cannot write {kind.__name__} as linear functions; methods that can be written have "
            "weights_ and bias_, such as LSH and ITQ"
        )


def _is_normaliser(step: Any) -> bool:
    return type(step) is Normalizer and step.norm == "l2"


def _before(
    step: Any, W: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Put a step before linear functions, and give the functions of what it takes."""
    if type(step) is StandardScaler:
        if step.with_std:
            W = W / step.scale_
        return W, b - W @ step.mean_ if step.with_mean else b
    if type(step) is PCA:
        if step.whiten:
            W = W / np.sqrt(step.explained_variance_)
        W = W @ step.components_
        return W, b - W @ step.mean_
    if type(step) is TruncatedSVD:
        return W @ step.components_, b
    raise TypeError(
        f"cannot write the features {type(step).__name__} as linear functions; those that can be: "
        "StandardScaler, PCA, TruncatedSVD and, as the first, Normalizer (l2)"
    )
