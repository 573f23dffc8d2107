"""Learning to hash: short binary codes, exact Hamming search, honest evaluation.

Data flows one way: ``data`` → ``features`` → ``hashers`` → ``codes`` → ``index`` → ``results`` →
``evaluation``. The names below are loaded when they are first used, so that importing the package
stays light.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashlearn.collection import Collection
    from hashlearn.data import load_dataset
    from hashlearn.evaluation import Protocol, evaluate
    from hashlearn.hashers import get_method, methods
    from hashlearn.index import HammingIndex
    from hashlearn.models import load, save
    from hashlearn.vectorindex import VectorIndex

__version__ = version("hashlearn")

__all__ = [
    "Collection",
    "HammingIndex",
    "Protocol",
    "VectorIndex",
    "__version__",
    "evaluate",
    "get_method",
    "load",
    "load_dataset",
    "methods",
    "save",
]

_HOMES = {
    "Collection": "hashlearn.collection",
    "HammingIndex": "hashlearn.index",
    "Protocol": "hashlearn.evaluation",
    "VectorIndex": "hashlearn.vectorindex",
    "evaluate": "hashlearn.evaluation",
    "get_method": "hashlearn.hashers",
    "load": "hashlearn.models",
    "load_dataset": "hashlearn.data",
    "methods": "hashlearn.hashers",
    "save": "hashlearn.models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hashlearn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
