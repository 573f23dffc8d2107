"""What an index takes at the most, and the check of a whole number against its limits."""

from typing import Any

import numpy as np

MAX_BITS = 65_528
"""The longest code of whole bytes whose distances fit uint16."""

MAX_K = 2**31 - 1
"""One row of results takes 24 GB there: more is a mistake, not a wish."""

MAX_THREADS = 1024
"""More threads than any machine has processors."""


def check_integer(value: Any, name: str, low: int, high: int) -> int:
    """Check that something is a whole number within limits.

    Parameters
    ----------
    value : object
        What was given.
    name : str
        What the caller calls it, for the error.
    low : int
        Smallest value allowed.
    high : int
        Largest value allowed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is outside the limits.

    Examples
    --------
    >>> check_integer(3, "k", 1, 5)
    3
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be from {low} to {high}, got {value}")
    return int(value)


def check_threads(threads: int | None) -> int | None:
    """Check a number of threads.

    Parameters
    ----------
    threads : int or None
        Number of threads, 1 to 1024; None leaves it open.

    Returns
    -------
    int or None
        The number.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is outside the limits.
    """
    return None if threads is None else check_integer(threads, "threads", 1, MAX_THREADS)
