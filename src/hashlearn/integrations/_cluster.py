"""Ray: joined or started, kept quiet, and ended."""

import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from hashlearn.engine import available_threads


class Resources(NamedTuple):
    """Workers, and the CPUs and GPUs of each."""

    workers: int
    cpus: float
    gpus: float


_LEVEL = "RAY_BACKEND_LOG_LEVEL"


def import_ray() -> Any:
    """Import Ray Data and pyarrow, or say how to install them."""
    try:
        import pyarrow  # noqa: F401 - Ray Data does not come without
        import ray.data
    except ImportError as error:
        raise ImportError("several workers need Ray: pip install 'hashlearn[ray]'") from error
    return ray


def given_threads() -> int | None:
    """Say how many threads Ray gives this process; None if it is no worker of Ray's."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    if context.worker.mode != ray.WORKER_MODE:
        return None
    return max(1, int(context.get_assigned_resources().get("CPU", 1)))


@contextmanager
def connected(
    address: str | None, workers: int | None, cpus: float, gpus: float
) -> Iterator[Resources]:
    """Join a cluster, or start one here; say which workers there will be."""
    ray = import_ray()
    joins = not ray.is_initialized()
    if joins:
        _join(ray, address, workers, cpus)
    try:
        found = ray.cluster_resources()
        fit = int(found.get("CPU", 0) // cpus)
        if gpus:
            fit = min(fit, int(found.get("GPU", 0) // gpus))
        if (workers or 1) > fit:
            raise ValueError(
                f"{workers or 1} workers of {cpus} CPUs and {gpus} GPUs are more than the cluster "
                f"has: {found.get('CPU', 0):g} CPUs and {found.get('GPU', 0):g} GPUs"
            )
        yield Resources(workers or fit, cpus, gpus)
    finally:
        if joins:
            ray.shutdown()


def _join(ray: Any, address: str | None, workers: int | None, cpus: float) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = address or os.environ.get("RAY_ADDRESS")
    if address:
        options["address"] = address
    else:
        # Not whatever runs on this machine: that may be another's.
        options |= {"address": "local", "include_dashboard": False}
        options["num_cpus"] = max(available_threads(), math.ceil((workers or 1) * cpus))
    before = os.environ.get(_LEVEL)
    os.environ.setdefault(_LEVEL, "fatal")  # what Ray's C++ says on standard error is of its own
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise ValueError(f"no cluster answers at {address}: {error}") from error
    finally:
        if before is None:
            del os.environ[_LEVEL]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Ray Data says from the terminal inside the block; its files have it.

    It copies its own settings, and warns of those of them that it is giving up.
    """
    handlers = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]
    levels = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    finally:
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)


@contextmanager
def shown(total: int) -> Iterator[Any]:
    """Give a function that counts rows under a progress bar; silent where there is no terminal."""
    with Progress(
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task("encoding", total=total)
        yield lambda rows: bar.advance(task, rows)
