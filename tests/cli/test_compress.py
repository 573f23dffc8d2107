"""Vectors to codes in one command."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import hashlearn

pytestmark = pytest.mark.usefixtures("folder")

X = make_blobs(n_samples=600, n_features=16, centers=20, random_state=0)[0].astype(np.float32)


def test_vectors_become_a_folder_that_is_searched(run):
    np.save("mine.npy", X)
    done = run(
        "compress", "mine.npy", "--bits", "16", "--seconds", "0", "--queries", "20",
        "--originals", "float16", "--factors",
    )  # fmt: skip
    assert done.err.startswith("600 vectors in 16 bits each by random directions: mine.npy.compr")
    for word in ("recall@10", "RaBitQ", "PQ", "sign", "ITQ", "Hamming"):
        assert word in done.out or word == "RaBitQ"  # its factors alone take 8 bytes
    vectors = hashlearn.VectorIndex.open("mine.npy.compressed")
    found = vectors.search(X[:9], 1, ranking="exact")
    np.testing.assert_array_equal(found.ids[:, 0], np.arange(9))
    again = run("compress", "mine.npy", "--bits", "16", code=2)
    assert "mine.npy.compressed is there already; choose another name with -o" in again.err


def test_the_lines_of_the_readme_run(run):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", readme, re.DOTALL)
    (block,) = (block for block in blocks if "VectorIndex" in block)
    np.save("mine.npy", X)
    run("compress", "mine.npy", "--bits", "16", "--seconds", "0", "--queries", "20", "-o", "small",
        "--originals", "float16", "--json")  # fmt: skip
    names = {"hashlearn": hashlearn, "queries": X[:5]}
    exec(re.sub(r"^>>> ", "", block, flags=re.MULTILINE), names)
    assert len(names["vectors"]) == len(X)


def test_programs_get_the_figures(run):
    np.save("mine.npy", X)
    told = run(
        "compress", "mine.npy", "--bits", "8", "--seconds", "0", "--queries", "20", "-o", "small",
        "--json",
    ).json  # fmt: skip
    assert (told["folder"], told["n_bits"], told["n_vectors"]) == ("small", 8, 600)
    recalls = [row["recall_at_10"] for row in told["measured"]]
    assert recalls == sorted(recalls, reverse=True)
    assert {row["name"] for row in told["measured"]} >= {"random directions", "sign", "ITQ"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bits", "0"], "n_bits must be at least 1"),
        (["--metric", "dot"], "metric must be one of euclidean, cosine; got 'dot'"),
        (["--originals", "int4"], "vectors are kept as float32, float16, int8; got 'int4'"),
    ],
)
def test_bad_input_is_refused_in_one_line(run, arguments, message):
    np.save("mine.npy", X)
    assert message in run("compress", "mine.npy", *arguments, code=2).err
