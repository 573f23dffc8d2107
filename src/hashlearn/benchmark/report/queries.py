"""What single queries say of the pooled curve: who weighs how much in it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Details = dict[str, NDArray[Any]]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Weights:
    """Hold how much each query weighs in the pooled curve, where its recall reaches one half.

    Parameters
    ----------
    radius : int
        The Hamming radius at which it does.
    shares : ndarray of shape (101,), float64
        Share of all pairs retrieved within the radius that the p percent of the queries with the
        most pairs have, for p of 0 to 100.
    precisions : ndarray of shape (10,), float64
        Precision within the radius of each tenth of the queries, those with the most pairs first;
        0 for a tenth that finds nothing.
    average_precisions : ndarray of shape (10,), float64
        Mean average precision of the same tenths.
    own_radius, own_radius_spread : float
        Mean and standard deviation, over the queries, of the radius within which a query finds half
        of its own relevant items: one radius suits all queries where they spread little.
    """

    radius: int
    shares: FloatArray
    precisions: FloatArray
    average_precisions: FloatArray
    own_radius: float
    own_radius_spread: float


def pooled_weights(details: Details) -> Weights | None:
    """Measure how much each query weighs in the pooled curve.

    Parameters
    ----------
    details : dict of str to ndarray
        Details of a run.

    Returns
    -------
    Weights or None
        None if the details lack what is needed.

    Notes
    -----
    Pooled precision within a radius is the mean of the queries' own precisions there, weighted by
    how many items each retrieves; mean average precision weighs all queries alike.
    """
    if not {"retrieved", "hits", "average_precision"} <= details.keys():
        return None
    retrieved = np.cumsum(details["retrieved"].astype(np.int64), axis=1)
    hits = np.cumsum(details["hits"].astype(np.int64), axis=1)
    total = hits.sum(axis=0)
    if len(hits) < 10 or total[-1] == 0:
        return None
    radius = int((total >= total[-1] / 2).argmax())
    order = np.argsort(-retrieved[:, radius], kind="stable")
    pairs, good = retrieved[order, radius], hits[order, radius]
    cumulated = np.r_[0.0, np.cumsum(pairs) / pairs.sum()]
    shares = np.interp(np.linspace(0, len(pairs), 101), np.arange(len(pairs) + 1), cumulated)
    tenths = np.array_split(np.arange(len(pairs)), 10)
    precisions = [good[tenth].sum() / max(1, pairs[tenth].sum()) for tenth in tenths]
    average = np.nan_to_num(details["average_precision"].astype(np.float64))[order]
    asked = hits[hits[:, -1] > 0]
    own = (asked >= asked[:, -1:] / 2).argmax(axis=1)
    return Weights(
        radius,
        shares,
        np.array(precisions),
        np.array([average[tenth].mean() for tenth in tenths]),
        float(own.mean()),
        float(own.std()),
    )
