"""A model: a hasher, or the features before it and the hasher, saved and loaded as one file."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from hashlearn.codes import pack_bits
from hashlearn.features import feature_classes, make_features
from hashlearn.hashers import get_method, methods
from hashlearn.hashers.base import Hasher
from hashlearn.storage import read_estimators, write_estimators

Model: TypeAlias = Any  # Hasher | Pipeline, but scikit-learn carries no types


def make_model(features: str | list[Any], hasher: Hasher) -> Model:
    """Put features before a hasher.

    Parameters
    ----------
    features : str or list of transformers
        Names as :func:`~hashlearn.features.make_features` takes them, or transformers.
    hasher : Hasher
        Last step.

    Returns
    -------
    Hasher or Pipeline
        A pipeline, or the hasher itself if there are no features.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    steps = make_features(features) if isinstance(features, str) else features
    return make_pipeline(*steps, hasher) if steps else hasher


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a fitted model to one file: JSON and arrays, never a pickle.

    Parameters
    ----------
    model : Hasher or Pipeline
        A fitted hasher, or a pipeline of this library's features that ends in one.
    path : path-like
        File to create or replace.

    Raises
    ------
    TypeError
        If a step of the pipeline is not of this library's tables.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    if isinstance(model, Hasher):
        model.save(path)
        return
    steps = steps_of(model)
    known = feature_classes()
    for step in steps[:-1]:
        if type(step) not in known.values():
            raise TypeError(f"cannot save {step!r}; features that can be saved: {', '.join(known)}")
    last = type(steps[-1])
    if (last.__module__, last.__name__) not in {(m.module, m.class_name) for m in methods()}:
        raise TypeError(f"the last step must be a hasher of the table, got {steps[-1]!r}")
    for step in steps:
        check_is_fitted(step)
    write_estimators(path, steps)


def load(path: str | os.PathLike[str]) -> Model:
    """Read a fitted model.

    Parameters
    ----------
    path : path-like
        File of :func:`save` or of a hasher's ``save``.

    Returns
    -------
    Hasher or Pipeline
        What was saved; its codes are the same.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is foreign, damaged or of a newer format, or names an unknown class.
    ImportError
        If the method needs an extra that is not installed.
    """
    steps = read_estimators(path, _find_class)
    if not steps or not isinstance(steps[-1], Hasher):
        raise ValueError(f"{path} does not end in a hasher")
    return steps[0] if len(steps) == 1 else make_pipeline(*steps)


def encode(model: Model, X: ArrayLike) -> NDArray[np.uint8]:
    """Compute packed codes with a hasher or a pipeline that ends in one.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    X : array-like of shape (n, ...), numeric
        Items as the model's first step takes them.

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8
        Packed codes.
    """
    return pack_bits(model.transform(X))


def project(model: Model, X: ArrayLike) -> NDArray[np.float32]:
    """Compute the values before the sign with a hasher or a pipeline that ends in one.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.
    X : array-like of shape (n, ...), numeric
        Items as the model's first step takes them.

    Returns
    -------
    ndarray of shape (n, n_bits), float32
        Values whose signs are the bits.
    """
    *features, hasher = steps_of(model)
    for step in features:
        X = step.transform(X)
    return cast(Hasher, hasher).project(X)


def hasher_of(model: Model) -> Hasher:
    """Find the hasher in a model.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model.

    Returns
    -------
    Hasher
        The model itself, or its last step.
    """
    return model if isinstance(model, Hasher) else cast(Hasher, model.steps[-1][1])


def steps_of(model: Model) -> list[Any]:
    """List the steps of a model, in the order in which items pass through them.

    Parameters
    ----------
    model : Hasher or Pipeline
        Model.

    Returns
    -------
    list of transformers and, last, a Hasher
        The steps; of a hasher alone, itself.
    """
    return [model] if isinstance(model, Hasher) else [step for _, step in model.steps]


def file_bytes(model: Model) -> bytes:
    """Give what the file of a fitted model would hold.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted model.

    Returns
    -------
    bytes
        What :func:`save` writes.

    Raises
    ------
    TypeError
        If a step of the pipeline is not of this library's tables.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        save(model, path)
        return path.read_bytes()


def _find_class(name: str) -> Any:
    features = feature_classes()
    if name in features:
        return features[name]
    for method in methods():
        if method.class_name == name:
            return get_method(method.name)
    raise ValueError(f"unknown class {name!r}: the file may come from a newer version of hashlearn")
