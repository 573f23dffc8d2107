"""How much memory a piece of work takes."""

import sys

import numpy as np
import pytest

from hashlearn.benchmark.memory import PeakMemory


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets an earlier peak")
def test_a_peak_is_seen_and_forgotten():
    with PeakMemory() as before:
        pass
    with PeakMemory() as large:
        np.ones(25_000_000)  # 200 MB
    with PeakMemory() as after:
        pass
    assert large.peak_bytes - before.peak_bytes > 190_000_000
    assert large.peak_bytes - after.peak_bytes > 190_000_000
