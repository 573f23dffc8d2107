"""What every PyTorch method needs and no paper is about: device, seeds, batches, progress."""

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

MOST_HELD_BACK = 2048
_FEWEST_HELD_BACK = 32
_CHECKS = 20


def find_device(device: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"``, ... into a device that this machine has."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here: {error}") from error
    return found


@contextmanager
def seeded(rng: np.random.RandomState, device: torch.device) -> Iterator[None]:
    """Seed PyTorch from `rng`, and make float32, inside the block; leave all as it was."""
    devices, precision = [device] if device.type == "cuda" else [], torch.get_default_dtype()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(int(rng.randint(2**31 - 1)))
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(precision)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep small products on one thread inside the block.

    Threads wait for one another after each of them by spinning, on a busy machine for very long.
    """
    n_threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(n_threads)


def count_held_back(n_samples: int) -> int:
    """Say how many vectors to hold back: a tenth, 2,048 at most; none if that is fewer than 32."""
    n_held_back = min(n_samples // 10, MOST_HELD_BACK)
    return n_held_back if n_held_back >= _FEWEST_HELD_BACK else 0


def is_check(step: int, n_steps: int) -> bool:
    """Say whether held-back vectors are looked at after a step: at most 20 times, and last."""
    every = math.ceil(n_steps / _CHECKS)
    return step == n_steps - 1 or step % every == every - 1


def endless_batches(
    n_samples: int, batch_size: int, device: torch.device
) -> Iterator[torch.Tensor]:
    """Draw shuffled batches of row numbers, all of one size, epoch after epoch."""
    size = min(n_samples, batch_size)
    while True:
        for rows in torch.split(torch.randperm(n_samples).to(device), size):
            if len(rows) == size:
                yield rows


def squared_distances(x: torch.Tensor) -> torch.Tensor:
    """Compute the squared Euclidean distance of every pair of rows, never below 0.

    Parameters
    ----------
    x : Tensor of shape (n, d), float32
        Vectors.

    Returns
    -------
    Tensor of shape (n, n), float32
        Squared distances.
    """
    norms = x.square().sum(dim=1)
    return torch.addmm(norms, x, x.T, alpha=-2).add_(norms[:, None]).clamp_(min=0)


def progress(n_steps: int, description: str) -> Iterator[int]:
    """Count steps under a progress bar on standard error; silent when that is no terminal."""
    if not sys.stderr.isatty():
        yield from range(n_steps)
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        yield from bar.track(range(n_steps), description=description)
