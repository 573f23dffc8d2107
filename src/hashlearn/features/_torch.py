"""What backbones that run in PyTorch share; it is imported when a network is loaded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def check_name(model: Any) -> None:
    """Refuse a path to a folder that is not there; a name may be one of the hub.

    Raises
    ------
    FileNotFoundError
        If it begins with a dot, a slash or a tilde, or has more than one slash, and is no folder.
    """
    text = str(model)
    is_path = text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text
    if not text or (is_path and not Path(text).is_dir()):
        raise FileNotFoundError(f"there is no folder {text!r}")


def find_device(device: str) -> "torch.device":
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"``, ... into a device that this machine has."""
    try:
        from hashlearn._training import find_device as find
    except ImportError as error:
        raise ImportError(
            "such a network needs torch: pip install 'hashlearn[transformers]'"
        ) from error
    return find(device)


def to_arrays(made: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Give what a processor made as arrays; what is no tensor, such as a word, has no axes."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, value in made.items():
        if hasattr(value, "numpy"):
            arrays[name] = value.numpy()
        elif isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            arrays[name] = np.empty((), dtype=object)
            arrays[name][()] = value
    return arrays


def to_tensors(arrays: Mapping[str, NDArray[Any]], device: "torch.device") -> dict[str, Any]:
    """Undo :func:`to_arrays`, on a device."""
    import torch

    return {
        name: array.item() if array.dtype == object else torch.from_numpy(array).to(device)
        for name, array in arrays.items()
    }


@contextmanager
def quietly() -> Iterator[None]:
    """Load without bars and reports; what they say is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
