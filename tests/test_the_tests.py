"""Break the code on purpose, in a copy, and see that a test notices."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What is broken: (file, what stands there, what is put there, the command that must fail).
PYTEST = ["-c", "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))", "-q", "-x", "-p", "no:cacheprovider"]  # fmt: skip # noqa: E501
IMPORTS = ["-c", "from importlinter.cli import lint_imports_command as run; run()"]
NUMPYDOC = ["-m", "numpydoc", "lint"]
BREAKS = {
    "removals that no reader hears of": (
        "src/hashlearn/collection/database.py",
        'connection.executemany("INSERT INTO removed (id) VALUES (?)", places)',
        "",
        [*PYTEST, "tests/collection/test_collection.py"],
    ),
    "a range without its upper end": (
        "src/hashlearn/collection/filters.py",
        '("max", "<=")',
        '("max", "<")',
        [*PYTEST, "tests/collection/test_filters.py"],
    ),
    "a sign in the discriminator's loss": (
        "src/hashlearn/hashers/deep/sigah.py",
        "(margin - synthetic_energy).clamp",
        "(margin + synthetic_energy).clamp",
        [*PYTEST, "tests/hashers/test_sigah.py"],
    ),
    "a sign in the graph term": (
        "src/hashlearn/hashers/deep/sigah.py",
        "div_(-2 * bandwidth**2)",
        "div_(2 * bandwidth**2)",
        [*PYTEST, "tests/hashers/test_sigah.py"],
    ),
    "a sign in the difference that a bit makes": (
        "src/hashlearn/hashers/deep/sgh.py",
        "(0.5 - h)",
        "(h - 0.5)",
        [*PYTEST, "tests/hashers/test_sgh.py"],
    ),
    "a sign of the curvature": (
        "src/hashlearn/hashers/deep/neighbormatching.py",
        ".sub_((tau / 2) ** 2 * curvature * B)",
        ".add_((tau / 2) ** 2 * curvature * B)",
        [*PYTEST, "tests/hashers/test_neighbormatching.py"],
    ),
    "the neighbours who pick a vector forgotten": (
        "src/hashlearn/hashers/deep/neighbormatching.py",
        "    pull += pull.T",
        "    pull += pull",
        [*PYTEST, "tests/hashers/test_neighbormatching.py"],
    ),
    "functions of coordinates without the mean": (
        "src/hashlearn/hashers/deep/_linear.py",
        "(b - weights @ self.mean)",
        "(b + 0 * weights @ self.mean)",
        [*PYTEST, "tests/hashers/test_coordinates.py"],
    ),
    "a sign in PGH's triplets": (
        "src/hashlearn/hashers/deep/pgh.py",
        "relu(margin * r + distances)",
        "relu(margin * r - distances)",
        [*PYTEST, "tests/hashers/test_pgh.py"],
    ),
    "made images that enter the statistics of real ones": (
        "src/hashlearn/hashers/deep/pgh.py",
        "layer.momentum = 0.0",
        "layer.momentum = 0.1",
        [*PYTEST, "tests/hashers/test_pgh.py"],
    ),
    "a sign in DSHGAN's ranks": (
        "src/hashlearn/hashers/deep/dshgan.py",
        "(margin + excess)",
        "(margin - excess)",
        [*PYTEST, "tests/hashers/test_dshgan.py"],
    ),
    "images of DeepBit that are turned one way and measured the other": (
        "src/hashlearn/hashers/deep/deepbit.py",
        "math.radians(degrees) * whole",
        "-math.radians(degrees) * whole",
        [*PYTEST, "tests/hashers/test_deepbit.py"],
    ),
    "the auto-encoder with the higher error": (
        "src/hashlearn/hashers/deep/dbdmq.py",
        "(errors[:, :, 0] >= errors[:, :, 1]).long()",
        "(errors[:, :, 0] < errors[:, :, 1]).long()",
        [*PYTEST, "tests/hashers/test_dbdmq.py"],
    ),
    "bits that may all be the same in DH": (
        "src/hashlearn/hashers/deep/dh.py",
        "H = H - H.mean(dim=0) if centred else H",
        "H = H if centred else H - H.mean(dim=0)",
        [*PYTEST, "tests/hashers/test_dh.py"],
    ),
    "neighbours of images that are so one way only": (
        "src/hashlearn/hashers/deep/bgan.py",
        "csr_array(S + S.T)",
        "csr_array(S + S)",
        [*PYTEST, "tests/hashers/test_bgan.py"],
    ),
    "correlations weighed by the soft signs": (
        "src/hashlearn/hashers/deep/bingan.py",
        "torch.exp(-_agreements(t).abs()",
        "torch.exp(-_agreements(s).abs()",
        [*PYTEST, "tests/hashers/test_bingan.py"],
    ),
    "a sign without a slope": (
        "src/hashlearn/hashers/deep/_signs.py",
        "(h - h.detach())",
        "(h - h).detach()",
        [*PYTEST, "tests/hashers/test_signs.py"],
    ),
    "GreedyHash's values that need not be near signs": (
        "src/hashlearn/hashers/deep/greedyhash.py",
        "(cosines + self.penalty_weight * penalty)",
        "(cosines + 0 * self.penalty_weight * penalty)",
        [*PYTEST, "tests/hashers/test_greedyhash.py"],
    ),
    "a classifier of values instead of codes": (
        "src/hashlearn/hashers/deep/supervisedgreedyhash.py",
        "classifier(straight_sign(h))",
        "classifier(h)",
        [*PYTEST, "tests/hashers/test_supervisedgreedyhash.py"],
    ),
    "halves that are the smaller ones": (
        "src/hashlearn/hashers/deep/bihalf.py",
        "descending=True",
        "descending=False",
        [*PYTEST, "tests/hashers/test_bihalf.py"],
    ),
    "twice the pull of BiHalf's codes": (
        "src/hashlearn/hashers/deep/bihalf.py",
        "self.gamma / 2 * transport",
        "self.gamma * transport",
        [*PYTEST, "tests/hashers/test_bihalf.py"],
    ),
    "a graph that is normalised on one side only": (
        "src/hashlearn/hashers/deep/tbh.py",
        "(A @ (scale * values))",
        "(A @ values)",
        [*PYTEST, "tests/hashers/test_tbh.py"],
    ),
    "TBH's regularisers that do nothing": (
        "src/hashlearn/hashers/deep/tbh.py",
        "+ self.adversary_weight * adversary)",
        "+ 0 * self.adversary_weight * adversary)",
        [*PYTEST, "tests/hashers/test_tbh.py"],
    ),
    "images that are slanted and not turned": (
        "src/hashlearn/hashers/deep/_augmentation.py",
        "[seen * sin / ratio",
        "[-seen * sin / ratio",
        [*PYTEST, "tests/hashers/test_augmentation.py"],
    ),
    "CSQ's bits that most centres have not": (
        "src/hashlearn/hashers/deep/csq.py",
        "drawn, votes > 0)",
        "drawn, votes < 0)",
        [*PYTEST, "tests/hashers/test_csq.py"],
    ),
    "a view that CIBHash compares with itself": (
        "src/hashlearn/hashers/deep/cibhash.py",
        "roll(n_views // 2)",
        "roll(n_views // 2 + 1)",
        [*PYTEST, "tests/hashers/test_cibhash.py"],
    ),
    "an entry of CNNH's codes that forgets itself in the products": (
        "src/hashlearn/hashers/deep/cnnh.py",
        "products[j] += t * x + t * t",
        "products[j] += t * x",
        [*PYTEST, "tests/hashers/test_cnnh.py"],
    ),
    "a gradient of the game at VAEGAN's encoder": (
        "src/hashlearn/generative/vaegan.py",
        "torch.cat([z.detach(), torch.randn_like(z)])",
        "torch.cat([z, torch.randn_like(z)])",
        [*PYTEST, "tests/generative/test_vaegan.py"],
    ),
    "a sign in the divergence that adaptive contrast adds": (
        "src/hashlearn/generative/avb.py",
        "log(2 * pi) - r).sum(",
        "log(2 * pi) + r).sum(",
        [*PYTEST, "tests/generative/test_avb.py"],
    ),
    "normalisations exported without their mean": (
        "src/hashlearn/generative/networks.py",
        "(bias - _array(part.running_mean)) * scale",
        "bias * scale",
        [*PYTEST, "tests/generative/test_networks.py"],
    ),
    "the rotation of ITQ transposed": (
        "src/hashlearn/hashers/rotation.py",
        "new = Wt.T @ U.T",
        "new = U @ Wt",
        [*PYTEST, "tests/hashers/test_itq.py"],
    ),
    "batches joined without the distance of their means": (
        "src/hashlearn/hashers/moments.py",
        "step * (self.n * len(X) / total)",
        "0 * step",
        [*PYTEST, "tests/hashers/test_moments.py"],
    ),
    "waves sorted by frequency alone": (
        "src/hashlearn/hashers/shallow/sh.py",
        "candidates, extents[:, None], out=",
        "candidates, 1 + 0 * extents[:, None], out=",
        [*PYTEST, "tests/hashers/test_sh.py"],
    ),
    "a sign in the expectation over ties": (
        "src/hashlearn/evaluation/ties.py",
        "offsets = inside - (start + 1) * reciprocals",
        "offsets = inside + (start + 1) * reciprocals",
        [*PYTEST, "tests/evaluation/test_metrics.py"],
    ),
    "a discount that begins a rank late": (
        "src/hashlearn/evaluation/conventions.py",
        "np.arange(2, k + 2)",
        "np.arange(3, k + 3)",
        [*PYTEST, "tests/evaluation/test_ndcg.py"],
    ),
    "relevant pairs of queries that were not drawn": (
        "src/hashlearn/evaluation/comparison.py",
        "total = weights @ totals[0]",
        "total = totals[0].sum()",
        [*PYTEST, "tests/evaluation/test_comparison.py"],
    ),
    "correction factors that are one over": (
        "src/hashlearn/factors.py",
        "np.divide(squares, sums, out",
        "np.divide(sums, squares, out",
        [*PYTEST, "tests/test_vectorindex.py"],
    ),
    "a code that is kept though its batch is refused": (
        "src/hashlearn/vectorindex.py",
        "factors = None if self._factors is None else correction_factors(values)",
        "self.index.add(codes[:1])\n"
        "        factors = None if self._factors is None else correction_factors(values)",
        [*PYTEST, "tests/test_vectorindex.py", "-k", "adds_nothing"],
    ),
    "an order without the numbers of ties": (
        "src/hashlearn/vectorindex.py",
        "np.lexsort((found.ids, distances, ~is_there), axis=1)",
        "np.lexsort((-found.ids, distances, ~is_there), axis=1)",
        [*PYTEST, "tests/test_vectorindex.py"],
    ),
    "steps of int8 that are too short": (
        "src/hashlearn/originals.py",
        "np.rint(rows / steps[:, None])",
        "np.trunc(rows / steps[:, None])",
        [*PYTEST, "tests/test_originals.py"],
    ),
    "neighbours of a batch numbered from its beginning": (
        "src/hashlearn/compression/exact.py",
        "places + self._n_seen",
        "places",
        [*PYTEST, "tests/compression/test_exact.py"],
    ),
    "the side of 0": (
        "src/hashlearn/hashers/base.py",
        "(self.project(X) >= 0)",
        "(self.project(X) < 0)",
        [*PYTEST, "tests/test_contract.py", "-k", "signs_of_the_projections"],
    ),
    "a product that BLAS rounds as it likes": (
        "src/hashlearn/hashers/base.py",
        "linear_values(X, self.weights_, self.bias_)",
        "X @ self.weights_.T + self.bias_",
        [*PYTEST, "tests/test_contract.py", "-k", "show_their_functions"],
    ),
    "a default in a docstring": (
        "src/hashlearn/hashers/deep/sigah.py",
        "n_steps : int, default=3000",
        "n_steps : int, default=3001",
        [*PYTEST, "tests/test_docstrings.py", "-k", "defaults"],
    ),
    "an attribute in a docstring": (
        "src/hashlearn/hashers/shallow/itq.py",
        "losses_ : ndarray",
        "errors_ : ndarray",
        [*PYTEST, "tests/test_docstrings.py", "-k", "fitted"],
    ),
    "a parameter without a description": (
        "src/hashlearn/codes.py",
        "    n_bits : int\n        Length of the code, at least 1.\n",
        "",
        [*NUMPYDOC, "src/hashlearn/codes.py"],
    ),
    "filters of GIST turned the other way": (
        "src/hashlearn/features/gist.py",
        "angle + np.pi * j / n",
        "angle - np.pi * j / n",
        [*PYTEST, "tests/features/test_gist.py"],
    ),
    "an import against the current": (
        "src/hashlearn/evaluation/evaluate.py",
        "from hashlearn.results import DistanceCounts",
        "from hashlearn.index import HammingIndex\nfrom hashlearn.results import DistanceCounts",
        IMPORTS,
    ),
    "a method that imports another": (
        "src/hashlearn/hashers/shallow/lsh.py",
        "from hashlearn.hashers.base",
        "from hashlearn.hashers.shallow.itq import ITQ\nfrom hashlearn.hashers.base",
        IMPORTS,
    ),
    "torch outside its room": (
        "src/hashlearn/features/pixels.py",
        "import numpy as np",
        "import numpy as np\nimport torch",
        IMPORTS,
    ),
}


def run(command, folder):
    """Run Python in a copy of the project, importing the package from the copy."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "200"}
    bootstrap = (
        "import sys, runpy\n"
        # An editable install puts a finder of its own before the path.
        "sys.meta_path = [f for f in sys.meta_path if 'Redirecting' not in type(f).__name__]\n"
        "import hashlearn\n"
        "assert hashlearn.__file__.startswith(SRC), hashlearn.__file__\n"
    ).replace("SRC", repr(str(folder / "src")))
    if command[0] == "-c":
        arguments = ["-c", bootstrap + command[1], *command[2:]]
    else:
        module = (
            f"sys.argv[0] = {command[1]!r}; runpy.run_module({command[1]!r}, run_name='__main__')"
        )
        arguments = ["-c", bootstrap + module, *command[2:]]
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.fixture(name="copy")
def fixture_copy(tmp_path):
    for name in ("src", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "node_modules")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_does_not_go_unnoticed(what, copy):
    name, found, put, command = BREAKS[what]
    text = (copy / name).read_text(encoding="utf-8")
    assert text.count(found) == 1, f"{name} no longer holds {found!r} once"
    (copy / name).write_text(text.replace(found, put), encoding="utf-8")
    done = run(command, copy)
    assert done.returncode == 1, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        [*PYTEST, "tests/hashers/test_itq.py", "tests/test_docstrings.py"],
        IMPORTS,
        [*NUMPYDOC, "src/hashlearn/codes.py"],
    ],
    ids=["tests", "imports", "docstrings"],
)
def test_without_a_break_the_same_commands_pass(command, copy):
    done = run(command, copy)
    assert done.returncode == 0, done.stdout + done.stderr
