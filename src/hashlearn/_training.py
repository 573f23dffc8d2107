"""What every PyTorch method needs and no paper is about.

Device, seeds, batches, progress; several processes that train together; a training that was
interrupted and goes on; a warning where all has become the same.
"""

import json
import math
import os
import sys
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hashlearn.storage import read_arrays, write_arrays

MOST_HELD_BACK = 2048
_FEWEST_HELD_BACK = 32
_CHECKS = 20
_SECONDS_BETWEEN_FILES = 60.0
_LEAST_SPREAD = 0.05


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


def progress(n_steps: int, description: str, start: int = 0) -> Iterator[int]:
    """Count steps under a progress bar on standard error; silent when that is no terminal."""
    if not sys.stderr.isatty():
        yield from range(start, n_steps)
        return
    with Progress(console=Console(stderr=True), transient=True) as bar:
        steps = range(start, n_steps)
        yield from bar.track(steps, total=n_steps, completed=start, description=description)


class Workers:
    """The processes that train together: this one alone, or all that a launcher started.

    A script that is started by ``fabric run --devices 2 script.py`` or by ``torchrun`` runs in
    several processes, each of which calls ``fit`` with the same data. They draw other rows of it,
    share their gradients, and end with the same networks.

    Parameters
    ----------
    device : str
        Device, as :func:`find_device` takes it; of several processes, each takes its own of that
        kind.

    Attributes
    ----------
    device : torch.device
        Where this process computes.
    rank : int
        Number of this process, from 0.
    count : int
        How many there are.
    """

    def __init__(self, device: str) -> None:
        self._fabric = _start_fabric(device) if _is_launched() else None
        self.device = find_device(device) if self._fabric is None else self._fabric.device
        self.rank = 0 if self._fabric is None else self._fabric.global_rank
        self.count = 1 if self._fabric is None else self._fabric.world_size

    def share(self, batch_size: int) -> int:
        """Say how many items of a batch this process takes."""
        return max(1, batch_size // self.count)

    def begin(self, networks: nn.Module) -> None:
        """Give all processes the networks of the first, and each other random numbers."""
        if self._fabric is None:
            return
        with torch.no_grad():
            for part in [*networks.parameters(), *networks.buffers()]:
                part.copy_(self._fabric.broadcast(part))
        torch.manual_seed(torch.initial_seed() + self.rank)

    def average_gradients(self, *networks: nn.Module) -> None:
        """Replace the gradients of parameters by their means over the processes."""
        if self._fabric is not None:
            self._average([p.grad for n in networks for p in n.parameters() if p.grad is not None])

    def end(self, networks: nn.Module) -> None:
        """Average what each process has counted by itself, such as the means of batches."""
        if self._fabric is not None:
            self._average([part for part in networks.buffers() if part.is_floating_point()])

    def _average(self, parts: list[Tensor]) -> None:
        if parts and self._fabric is not None:
            whole = self._fabric.all_reduce(torch.cat([part.flatten() for part in parts]))
            sizes = [part.numel() for part in parts]
            for part, mean in zip(parts, whole.split(sizes), strict=True):
                part.copy_(mean.view_as(part))


def _is_launched() -> bool:
    return "LT_CLI_USED" in os.environ or "TORCHELASTIC_RUN_ID" in os.environ


@cache
def _start_fabric(device: str) -> Any:
    from lightning_fabric import Fabric

    if "LT_CLI_USED" in os.environ:  # it has read the number of processes, and joins them here
        return Fabric()
    count, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    fabric = Fabric(
        accelerator=device.partition(":")[0], strategy="ddp", devices=here, num_nodes=count // here
    )
    fabric.launch()
    return fabric


class Training:
    """Count the steps of a training, keep its curves, and keep its state in a file if asked.

    Parameters
    ----------
    networks : nn.Module
        All networks that are trained, and buffers that change with them.
    optimisers : dict of str to Optimizer
        Their optimisers.
    workers : Workers
        The processes.
    checkpoint : path-like or None
        File to keep the state in: once a minute, and at the end. If it is there, the training
        goes on from it.
    question : mapping of str to object
        What was asked, as plain values: a state of another training is refused.

    Attributes
    ----------
    step : int
        Steps that were taken.

    Raises
    ------
    ValueError
        If the file is damaged, or holds the state of another training.
    FileNotFoundError
        If the folder of `checkpoint` does not exist.
    """

    def __init__(
        self,
        networks: nn.Module,
        optimisers: Mapping[str, torch.optim.Optimizer],
        workers: Workers,
        checkpoint: str | os.PathLike[str] | None = None,
        question: Mapping[str, Any] | None = None,
    ) -> None:
        self.step = 0
        self._networks, self._optimisers, self._workers = networks, optimisers, workers
        self._path = None if checkpoint is None else Path(checkpoint)
        self._question = json.loads(json.dumps(dict(question or {})))
        self._curves: dict[str, list[Tensor]] = {}
        self._kept = monotonic()
        workers.begin(networks)
        if self._path is not None:
            if not self._path.parent.is_dir():
                raise FileNotFoundError(
                    f"cannot keep {self._path}: the folder {self._path.parent} does not exist"
                )
            if self._path.exists():
                self._take(self._path)

    def steps(self, n_steps: int, description: str) -> Iterator[int]:
        """Count the steps that are left, under a progress bar."""
        for step in progress(n_steps, description, self.step):
            yield step
            self.step = step + 1
            if monotonic() - self._kept > _SECONDS_BETWEEN_FILES:
                self.keep()
        self._workers.end(self._networks)
        self.keep()

    def record(self, **values: Tensor) -> None:
        """Keep the values of a step, without waiting for them."""
        for name, value in values.items():
            self._curves.setdefault(name, []).append(value.detach())

    def history(self) -> dict[str, NDArray[np.float32]]:
        """Give the curves: for each name, the values that were recorded, float32."""
        curves = {name: torch.stack(kept).cpu().numpy() for name, kept in self._curves.items()}
        if not all(np.isfinite(curve).all() for curve in curves.values()):
            raise ValueError("training diverged to NaN or infinity; use a smaller lr")
        return {name: curve.astype(np.float32) for name, curve in curves.items()}

    def keep(self) -> None:
        """Write the state, if there is a file for it."""
        self._kept = monotonic()
        if self._path is None or self._workers.rank:
            return
        arrays = {"random": torch.get_rng_state().numpy()}
        if self._workers.device.type == "cuda":
            arrays["random.cuda"] = torch.cuda.get_rng_state(self._workers.device).numpy()
        for name, part in self._networks.state_dict().items():
            arrays[f"networks.{name}"] = part.cpu().numpy()
        for name, optimiser in self._optimisers.items():
            for number, state in optimiser.state_dict()["state"].items():
                for key, part in state.items():
                    arrays[f"optimisers.{name}.{number}.{key}"] = part.cpu().numpy()
        for name, curve in self._curves.items():
            arrays[f"curves.{name}"] = torch.stack(curve).cpu().numpy()
        write_arrays(
            self._path, "training", {"step": self.step, "question": self._question}, arrays
        )

    def _take(self, path: Path) -> None:
        header, arrays = read_arrays(path, "training")
        asked, kept = self._question, header["question"]
        for name in sorted(asked.keys() | kept.keys()):
            if asked.get(name) != kept.get(name):
                raise ValueError(
                    f"{path} holds the state of another training: its {name} is "
                    f"{kept.get(name)!r}, and {asked.get(name)!r} was asked for; give another "
                    "checkpoint, or delete it"
                )
        self.step = int(header["step"])
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        self._networks.load_state_dict(_under("networks.", tensors))
        for name, optimiser in self._optimisers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for key, part in _under(f"optimisers.{name}.", tensors).items():
                number, _, key = key.partition(".")
                states.setdefault(int(number), {})[key] = part
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": states, "param_groups": groups})
        for name, curve in _under("curves.", tensors).items():
            self._curves[name] = list(curve.to(self._workers.device))
        if self._workers.rank:
            torch.manual_seed(torch.initial_seed() + self.step)
        else:
            torch.set_rng_state(tensors["random"])
            if "random.cuda" in tensors:
                torch.cuda.set_rng_state(tensors["random.cuda"], self._workers.device)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): part for name, part in tensors.items() if name.startswith(prefix)
    }


def training_question(estimator: Any, *data: Tensor | None) -> dict[str, Any]:
    """Say what is asked of a training: its parameters and its data.

    Parameters
    ----------
    estimator : estimator
        Follows scikit-learn's contract.
    *data : Tensor or None
        What it learns from.

    Returns
    -------
    dict of str to object
        Plain values.
    """
    asked: dict[str, Any] = {"class": type(estimator).__name__}
    for name, value in estimator.get_params(deep=False).items():
        if name not in ("checkpoint", "device"):
            asked[name] = value if isinstance(value, bool | int | float | str) else _name_of(value)
    found = 0
    for part in data:
        if part is not None:
            found = zlib.crc32(np.ascontiguousarray(part.cpu().numpy()).data, found)
    return {**asked, "checksum of the data": found}


def _name_of(value: Any) -> str:
    """Name a function as any process does; write out anything else."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)


class CollapseWarning(UserWarning):
    """Warn that a generator makes one item only, or that codes are all the same."""


def warn_of_equal_samples(samples: NDArray[Any], data: NDArray[Any], advice: str) -> None:
    """Warn if generated items spread less than a twentieth as far as those of the data.

    Parameters
    ----------
    samples : ndarray of shape (n, ...), float32
        Generated items.
    data : ndarray of shape (m, ...), float32
        Real items, in the same units.
    advice : str
        What may help.
    """
    spread, usual = (float(part.std(axis=0, dtype=np.float64).mean()) for part in (samples, data))
    if spread < _LEAST_SPREAD * usual:
        warnings.warn(
            f"the generator has collapsed: the standard deviation of its items is {spread:.3g}, "
            f"that of the data {usual:.3g}; {advice}",
            CollapseWarning,
            stacklevel=3,
        )


def warn_of_equal_codes(bits: NDArray[Any], advice: str) -> None:
    """Warn if more than half of the bits are the same for (nearly) all items.

    Parameters
    ----------
    bits : ndarray of shape (n, n_bits), numeric
        Bits, 0 or 1.
    advice : str
        What may help.
    """
    means = bits.mean(axis=0, dtype=np.float64)
    constant = np.minimum(means, 1 - means) < 1 / 200
    if constant.mean() > 0.5:
        warnings.warn(
            f"the codes have collapsed: {constant.sum()} of {len(constant)} bits are the same for "
            f"at least 99.5 % of the items; {advice}",
            CollapseWarning,
            stacklevel=3,
        )
