"""The compiled engine, if it was built, and what of it works here.

The environment variable ``HASHLEARN_KERNEL`` chooses: ``numpy``, or the name of a compiled kernel
that this processor runs. Without it the fastest is taken. All give the same results.
``HASHLEARN_THREADS`` says how many threads to take at most; without it, one for each processor that
the process may use.
"""

import os
from typing import Any

native: Any
"""The compiled engine, or None."""
try:
    from hashlearn import _native as native
except ImportError:  # built without a compiler: NumPy does the work
    native = None


def available_threads() -> int:
    """Count the threads that this process may take.

    Returns
    -------
    int
        Processors that it may use, and at most what ``HASHLEARN_THREADS`` says; at least 1.

    Raises
    ------
    ValueError
        If ``HASHLEARN_THREADS`` is not a whole number of at least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    allowed = os.environ.get("HASHLEARN_THREADS") or str(processors)
    if not allowed.isdecimal() or int(allowed) < 1:
        raise ValueError(f"HASHLEARN_THREADS must be a whole number from 1 on, got {allowed!r}")
    return min(processors, int(allowed))


def choose_kernel() -> str:
    """Choose what scans and multiplies.

    Returns
    -------
    str
        ``"numpy"``, or the name of a compiled kernel.

    Raises
    ------
    ValueError
        If ``HASHLEARN_KERNEL`` names a kernel that is not there.

    Examples
    --------
    >>> choose_kernel() in ("avx512", "avx2", "popcnt", "neon", "portable", "numpy")
    True
    """
    kernels = [*(native.kernels() if native is not None else ()), "numpy"]
    wanted = os.environ.get("HASHLEARN_KERNEL") or kernels[0]
    if wanted not in kernels:
        raise ValueError(
            f"HASHLEARN_KERNEL must be one of {', '.join(kernels)} here, got {wanted!r}"
        )
    return wanted
