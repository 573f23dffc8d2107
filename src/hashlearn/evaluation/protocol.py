"""Protocols: everything that can move a number, in one place and stored with the number."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from hashlearn.evaluation.conventions import Denominator, Empty, Gain, Ties
from hashlearn.evaluation.ground_truth import (
    GroundTruth,
    LabelTruth,
    NeighborTruth,
    euclidean_neighbors,
)

Metric = Literal["mean_average_precision", "pooled_pr_area"]


@dataclass(frozen=True)
class Protocol:
    """Say how codes are judged.

    Parameters
    ----------
    truth : {"labels", "shared_labels", "euclidean"}, default="labels"
        An item is relevant if it has the query's class, if it shares one of the query's labels, or
        if it is among the query's `n_neighbors` nearest by Euclidean distance.
    n_neighbors : int, default=1000
        Relevant items of a query for ``truth="euclidean"``.
    metric : {"mean_average_precision", "pooled_pr_area"}, default="mean_average_precision"
        The headline number; the others are computed all the same.
    cutoff : int, optional
        Ranks that count for average precision. All of them when None.
    denominator : {"all", "min", "hits"}, default="all"
        What average precision is divided by; see
        :meth:`hashlearn.evaluation.Rankings.average_precision`.
    ties : {"expected", "stable"}, default="expected"
        Mean over all orders of items at the same distance, or the order (distance, id).
    empty : {"zero", "skip"}, default="zero"
        Whether a query without a relevant item counts as 0 or is left out.
    precision_at : tuple of int, default=(100,)
        Ranks for precision.
    recall_at : tuple of int, default=(1, 10, 100, 1000)
        Ranks for recall.
    ndcg_at : tuple of int, default=(100,)
        Ranks for the normalised discounted cumulative gain.
    gain : {"exponential", "linear", "binary"}, default="exponential"
        What an item is worth there that shares r labels with the query: 2^r - 1, r, or 1. With
        other ground truths every relevant item gains 1.
    radius : int, default=2
        Hamming radius for precision and recall within a radius.

    Raises
    ------
    ValueError
        If an option is unknown or a number below its minimum.

    Examples
    --------
    >>> Protocol(truth="euclidean", n_neighbors=10).denominator
    'all'
    """

    truth: Literal["labels", "shared_labels", "euclidean"] = "labels"
    n_neighbors: int = 1000
    metric: Metric = "mean_average_precision"
    cutoff: int | None = None
    denominator: Denominator = "all"
    ties: Ties = "expected"
    empty: Empty = "zero"
    precision_at: tuple[int, ...] = field(default=(100,))
    recall_at: tuple[int, ...] = field(default=(1, 10, 100, 1000))
    ndcg_at: tuple[int, ...] = field(default=(100,))
    gain: Gain = "exponential"
    radius: int = 2

    def __post_init__(self) -> None:
        allowed = {
            "truth": ("labels", "shared_labels", "euclidean"),
            "metric": ("mean_average_precision", "pooled_pr_area"),
            "denominator": ("all", "min", "hits"),
            "ties": ("expected", "stable"),
            "empty": ("zero", "skip"),
            "gain": ("exponential", "linear", "binary"),
        }
        for name, values in allowed.items():
            if (got := getattr(self, name)) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}; got {got!r}")
        ranks = (self.n_neighbors, *self.precision_at, *self.recall_at, *self.ndcg_at)
        if min(ranks) < 1 or (self.cutoff is not None and self.cutoff < 1) or self.radius < 0:
            raise ValueError(
                "n_neighbors, cutoff and ranks must be at least 1 and radius at least 0; "
                f"got {self}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Give the protocol as plain values.

        Returns
        -------
        dict
            One entry a parameter, as JSON can hold it.
        """
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }

    def ground_truth(
        self,
        X_queries: NDArray[Any],
        X_database: NDArray[Any],
        y_queries: NDArray[Any] | None = None,
        y_database: NDArray[Any] | None = None,
    ) -> GroundTruth:
        """Make the ground truth that this protocol asks for.

        Parameters
        ----------
        X_queries : ndarray of shape (q, ...), numeric
            Queries, as a hasher is given them; rows of more than one axis are flattened.
        X_database : ndarray of shape (n, ...), numeric
            Database items.
        y_queries : ndarray of shape (q,) or (q, n_labels), int, optional
            Labels, needed unless ``truth="euclidean"``.
        y_database : ndarray of shape (n,) or (n, n_labels), int, optional
            Labels, needed unless ``truth="euclidean"``.

        Returns
        -------
        GroundTruth
            Relevance of every pair, block by block.

        Raises
        ------
        ValueError
            If labels are needed and missing, are of the wrong kind, or their number does not
            match the items.
        """
        if self.truth == "euclidean":
            if issparse(X_queries) or X_queries.dtype.kind not in "buif":
                raise ValueError(
                    'truth="euclidean" needs images or dense vectors, and the items are not'
                )
            left = X_queries.reshape(len(X_queries), -1)
            right = X_database.reshape(len(X_database), -1)
            return NeighborTruth(euclidean_neighbors(left, right, self.n_neighbors), len(right))
        if y_queries is None or y_database is None:
            raise ValueError(f"truth={self.truth!r} needs labels, and the data has none")
        for labels, items in ((y_queries, X_queries), (y_database, X_database)):
            if len(labels) != len(items):
                raise ValueError(f"{len(labels)} labels for {len(items)} items")
        n_axes = 1 if self.truth == "labels" else 2
        if np.ndim(y_queries) != n_axes:
            raise ValueError(
                f"truth={self.truth!r} needs labels with {n_axes} axes, got {np.ndim(y_queries)}"
            )
        return LabelTruth(y_queries, y_database, self.gain)


_PROTOCOLS = {
    # The seeds' mAP on Euclidean ground truth is the area under the pooled curve.
    "sigah-mnist": Protocol(truth="euclidean", n_neighbors=1000, metric="pooled_pr_area"),
    "euclidean-1000": Protocol(truth="euclidean", n_neighbors=1000),
    # 1,000 queries, the remaining 69,000 or 59,000 images as database; every rank counts.
    "pgh-mnist": Protocol(truth="labels"),
    "cifar10-1k": Protocol(truth="labels"),
    # The same queries and database, 5,000 training images, as CNNH splits MNIST and CIFAR-10.
    "cnnh": Protocol(truth="labels"),
    # The published 10,000 test images against 50,000, first 1,000 ranks.
    "cifar10-10k-at-1000": Protocol(truth="labels", cutoff=1000, denominator="hits"),
    "labels-at-1000": Protocol(truth="labels", cutoff=1000, denominator="hits"),
    "labels": Protocol(truth="labels"),
    "euclidean-100": Protocol(truth="euclidean", n_neighbors=100),
}


def get_protocol(name: str) -> Protocol:
    """Look up a protocol by its name.

    Parameters
    ----------
    name : str
        One of :func:`protocols`.

    Returns
    -------
    Protocol
        The protocol.

    Raises
    ------
    ValueError
        If there is no such protocol.

    Examples
    --------
    >>> get_protocol("cifar10-10k-at-1000").cutoff
    1000
    """
    if name not in _PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; there are: {', '.join(_PROTOCOLS)}")
    return _PROTOCOLS[name]


def protocols() -> tuple[str, ...]:
    """List the names of the protocols.

    Returns
    -------
    tuple of str
        Names for :func:`get_protocol`.
    """
    return tuple(_PROTOCOLS)
