"""Where a number comes from: code, versions, machine, time."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = ("hashlearn", "numpy", "scipy", "scikit-learn", "torch")


def provenance() -> dict[str, Any]:
    """Describe the code and the machine that produce a row.

    Returns
    -------
    dict
        ``"commit"`` (None outside a checkout; ends in ``"+"`` if files were changed since),
        ``"versions"``, ``"python"``, ``"machine"``, ``"processor"``, ``"cores"`` and ``"time"`` in
        UTC.

    Examples
    --------
    >>> sorted(provenance())
    ['commit', 'cores', 'machine', 'processor', 'python', 'time', 'versions']
    """
    return {
        "commit": _commit(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Ask git for the commit of the checkout that this file lies in, if it lies in one."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # tracked, not merely beneath one
        commit = git("rev-parse", "--short=12", "HEAD")
        return commit + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
