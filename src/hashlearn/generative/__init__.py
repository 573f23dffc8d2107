"""Models that make items like those of a data set. They need the extra ``torch``."""

from importlib import import_module
from typing import Any

__all__ = ["AVB", "CGAN", "DCGAN", "GAN", "VAE", "VAEGAN"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"hashlearn.generative.{name.lower()}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ImportError(f"{name} needs PyTorch: pip install 'hashlearn[torch]'") from error
