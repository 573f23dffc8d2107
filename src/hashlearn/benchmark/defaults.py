"""What a benchmark does where nobody chose: features, split and protocol."""

from typing import Any

from numpy.typing import NDArray

from hashlearn.data import Dataset, SplitRecipe
from hashlearn.data.dataset import Kind, kind_of
from hashlearn.evaluation import Protocol, get_protocol
from hashlearn.hashers import get_method


def default_features(items: NDArray[Any] | Kind, method: str | None = None) -> str:
    """Choose features for items that come without a choice.

    Parameters
    ----------
    items : ndarray of shape (n, ...), numeric; or (n,), str; or {"images", "texts", "vectors"}
        Images, vectors or texts, or what they are.
    method : str, optional
        Name of the method that hashes them. None is one that takes vectors.

    Returns
    -------
    str
        ``"pixels"`` for images unless the method takes them as they are, ``"none"`` for vectors,
        ``"bagofwords,topics"`` for texts.

    Examples
    --------
    >>> import numpy as np
    >>> default_features(np.zeros((5, 8, 8)))
    'pixels'
    """
    kind = items if isinstance(items, str) else kind_of(items)
    if kind == "texts":
        return "bagofwords,topics"
    takes_images = method is not None and get_method(method).accepts_images
    return "pixels" if kind == "images" and not takes_images else "none"


def default_recipe(dataset: Dataset, seed: int = 0, protocol: str | None = None) -> SplitRecipe:
    """Choose a split for a data set that comes without a choice.

    Parameters
    ----------
    dataset : Dataset
        Items.
    seed : int, default=0
        Seed of the draw.
    protocol : str, optional
        Named protocol; those of CIFAR-10, PGH and CNNH are split as the papers split.

    Returns
    -------
    SplitRecipe
        Up to 1,000 queries of the published test part; without one, a tenth of the items, at most
        1,000.
    """
    if protocol in ("cifar10-1k", "pgh-mnist"):
        return SplitRecipe("all", n_queries=1000, queries_per_class=True, seed=seed)
    if protocol == "cnnh":
        return SplitRecipe(
            "all", n_queries=1000, queries_per_class=True, n_train=5000, train_per_class=True,
            seed=seed,
        )  # fmt: skip
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
