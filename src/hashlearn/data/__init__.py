"""Data sets: items, labels and splits, from named sets and from your own files."""

from hashlearn.data.catalog import DatasetInfo, datasets
from hashlearn.data.dataset import Dataset
from hashlearn.data.loading import load_dataset, open_source
from hashlearn.data.source import Batch, Source
from hashlearn.data.splits import Split, SplitRecipe

__all__ = [
    "Batch",
    "Dataset",
    "DatasetInfo",
    "Source",
    "Split",
    "SplitRecipe",
    "datasets",
    "load_dataset",
    "open_source",
]
