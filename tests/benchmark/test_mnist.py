"""The main job on real data: what it must score, and in how much memory."""

import json
import subprocess
import sys

import pytest

MEASURED = """
import json, resource, sys
from hashlearn.cli import app
app(sys.argv[1:], standalone_mode=False)
unit = 1 if sys.platform == "darwin" else 1024
peak = unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"peak_bytes": peak}), file=sys.stderr)
"""


@pytest.mark.real
def test_itq_and_lsh_score_on_mnist_what_they_must_within_two_gibibytes():
    arguments = ["evaluate", "mnist", "--methods", "lsh,itq", "--bits", "32,64", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments, "--protocol", "sigah-mnist"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = json.loads(done.stdout)
    scores = {
        (row["method"], row["n_bits"]): row["scores"]["mean_average_precision"] for row in rows
    }
    assert [row["n_database"] for row in rows] == [60_000] * 4
    assert [row["scores"]["n_queries"] for row in rows] == [1_000] * 4
    assert scores["itq", 32] >= 0.53
    assert scores["itq", 64] >= 0.67
    assert scores["lsh", 32] == pytest.approx(0.26, abs=0.03)
    assert scores["lsh", 64] == pytest.approx(0.43, abs=0.03)
    assert json.loads(done.stderr.splitlines()[-1])["peak_bytes"] < 2 * 2**30
