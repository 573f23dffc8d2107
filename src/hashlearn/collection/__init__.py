"""Collections: a hasher, the codes of items and the items themselves, kept in one folder."""

from hashlearn.collection.collection import Collection
from hashlearn.collection.items import (
    Added,
    Content,
    Found,
    Hit,
    Item,
    KeysTakenError,
    Verification,
)
from hashlearn.collection.salvage import salvage

__all__ = [
    "Added",
    "Collection",
    "Content",
    "Found",
    "Hit",
    "Item",
    "KeysTakenError",
    "Verification",
    "salvage",
]
