"""How to judge and how to split, as the options of a command say."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlearn.data import Dataset, SplitRecipe
    from hashlearn.evaluation import Protocol


def judgement(
    dataset: "Dataset", protocol: str | None, split_seed: int, asked: dict[str, Any]
) -> "tuple[Protocol, SplitRecipe]":
    """Choose how to judge and how to split.

    Parameters
    ----------
    dataset : Dataset
        Items.
    protocol : str or None
        Name of a protocol.
    split_seed : int
        Seed of the draw of queries.
    asked : dict
        What of the split was asked for; None where nothing was.

    Returns
    -------
    Protocol
        How to judge.
    SplitRecipe
        How to split.
    """
    from hashlearn.benchmark import default_protocol, default_recipe
    from hashlearn.evaluation import get_protocol

    judged = default_protocol(dataset) if protocol is None else get_protocol(protocol)
    given = {name: value for name, value in asked.items() if value is not None}
    return judged, replace(default_recipe(dataset, split_seed, protocol), **given)
