"""How much memory a piece of work takes at its peak."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measure the largest resident memory of this process while a block runs.

    It is the whole process's, with the data set and all libraries: what the machine must have.

    Attributes
    ----------
    peak_bytes : int or None
        Largest resident memory within the block; None where the system cannot tell.

    Examples
    --------
    >>> with PeakMemory() as memory:
    ...     block = bytes(10_000_000)
    >>> memory.peak_bytes is None or memory.peak_bytes > 10_000_000
    True
    """

    peak_bytes: int | None = None

    def __enter__(self) -> "PeakMemory":
        with contextlib.suppress(OSError):
            _RESET.write_text("5")  # Linux: forget the peak so far
        self._before = _peak()
        return self

    def __exit__(self, *_: object) -> None:
        peak = _peak()
        # Where a peak cannot be forgotten, only a new one says anything.
        known = peak is not None and (_RESET.exists() or peak != self._before)
        self.peak_bytes = peak if known else None


def _peak() -> int | None:
    with contextlib.suppress(OSError):
        for line in _lines_of(_STATUS):
            if found := re.fullmatch(r"VmHWM:\s*(\d+) kB", line):
                return 1024 * int(found[1])
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _lines_of(path: Path) -> Iterator[str]:
    yield from path.read_text().splitlines()
