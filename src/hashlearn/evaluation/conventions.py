"""Conventions that all metrics share: the names of the options, and means over the queries."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ties = Literal["expected", "stable"]
Denominator = Literal["all", "min", "hits"]
Empty = Literal["zero", "skip"]
Gain = Literal["exponential", "linear", "binary"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def mean_over_queries(values: ArrayLike, *, empty: Empty = "zero") -> float:
    """Average a metric over the queries.

    Parameters
    ----------
    values : array-like of shape (q,), float
        One number a query; NaN marks a query for which the metric is not defined.
    empty : {"zero", "skip"}, default="zero"
        Whether an undefined value counts as 0 or is left out.

    Returns
    -------
    float
        The mean; NaN if every query was left out.

    Raises
    ------
    ValueError
        If there is no query, or `empty` is unknown.

    Examples
    --------
    >>> mean_over_queries([1.0, float("nan")]), mean_over_queries([1.0, float("nan")], empty="skip")
    (0.5, 1.0)
    """
    check_option("empty", empty, ("zero", "skip"))
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise ValueError(f"values must be a non-empty vector, got the shape {array.shape}")
    if empty == "skip":
        array = array[~np.isnan(array)]
        return float(array.mean()) if len(array) else float("nan")
    return float(np.nan_to_num(array, nan=0.0).mean())


def summed_discounts(k: int) -> FloatArray:
    """Add up the discounts of discounted cumulative gain, 1 / log2(1 + rank).

    Parameters
    ----------
    k : int
        Number of ranks.

    Returns
    -------
    ndarray of shape (k + 1,), float64
        Sums over the first 0, 1, ..., k ranks.

    Examples
    --------
    >>> summed_discounts(3).round(4)
    array([0.    , 1.    , 1.6309, 2.1309])
    """
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])


def divide(numerator: ArrayLike, denominator: ArrayLike, *, empty: float) -> FloatArray:
    """Divide, with a value of choice where the denominator is 0.

    Parameters
    ----------
    numerator : array-like of shape (...), float
        Dividends.
    denominator : array-like of shape (...), float
        Divisors; the two are broadcast.
    empty : float
        Quotient where the divisor is 0.

    Returns
    -------
    ndarray of shape (...), float64
        Quotients.
    """
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    )
    quotient = np.full(top.shape, empty)
    np.divide(top, bottom, out=quotient, where=bottom != 0)
    return quotient


def check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse an unknown option.

    Parameters
    ----------
    name : str
        What is chosen.
    value : str
        The choice.
    allowed : tuple of str
        What there is to choose from.

    Raises
    ------
    ValueError
        If the choice is none of them.
    """
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")


def check_rank(k: int | None) -> None:
    """Refuse a number of ranks below 1.

    Parameters
    ----------
    k : int or None
        Number of ranks, or None for all of them.

    Raises
    ------
    ValueError
        If it is below 1.
    """
    if k is not None and k < 1:
        raise ValueError(f"the number of ranks must be at least 1, got {k}")
