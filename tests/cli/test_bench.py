"""Methods × data × bits × seeds, kept in a folder."""

import json
from inspect import signature

import numpy as np
import pytest

from hashlearn.benchmark import Records, compare_summaries, run_methods, summarise
from hashlearn.benchmark.report.words import command_line
from hashlearn.data import load_dataset
from hashlearn.evaluation import compare
from hashlearn.hashers import get_method, methods
from hashlearn.hashers.shallow.lsh import LSH

pytestmark = pytest.mark.usefixtures("folder")

QUICK = ("bench", "--data", "vectors.npz", "--methods", "lsh,itq", "--bits", "8", "--seeds", "0,1")

PAPER = """
[paper]
method = "lsh"
title = "A paper"
authors = "N. N."
year = 2000
venue = "V"

[settings]

[stand_ins.digits]
dataset = "digits"
features = "pixels"
protocol = "labels"
why = "it is here"

[[tables]]
id = "1"
title = "Table 1, what is here"
dataset = "digits"
features = "pixels"
protocol = "labels"
metric = "mean_average_precision"
bits = [4, 8]
rows = [
    { label = "LSH", method = "lsh", printed = [0.2, 0.3] },
    { label = "XYZ", method = "xyz", printed = [0.9, 0.9] },
]

[[tables]]
id = "2"
title = "Table 2, what is not"
dataset = "nobody has this"
features = "pixels"
protocol = "labels"
metric = "mean_average_precision"
bits = [8]
stand_in = "digits"
rows = [{ label = "LSH", method = "lsh", printed = [0.2] }]

[[tables]]
id = "3"
title = "Table 3, what is nowhere"
dataset = "nobody has this"
features = "pixels"
protocol = "labels"
metric = "mean_average_precision"
bits = [8]
rows = [{ label = "LSH", method = "lsh", printed = [0.2] }]
"""


def test_rows_details_and_the_table_are_kept(run, folder):
    rows = run(*QUICK, "-o", "kept", "--json").json
    asked = [(row["method"], row["n_bits"], row["seed"]) for row in rows]
    assert asked == [("lsh", 8, 0), ("lsh", 8, 1), ("itq", 8, 0), ("itq", 8, 1)]
    records = Records(folder / "kept")
    assert records.rows() == rows
    assert (folder / "kept" / "rows.parquet").is_file()
    for row in rows:
        assert {"commit", "versions", "machine"} <= set(row["provenance"])
        assert row["peak_memory_bytes"] > 10_000_000
        assert row["index_bytes"] > 0
        assert records.details(row["id"])["hits"].sum() > 0


def test_all_methods_are_run_and_what_cannot_be_is_said(run):
    steps = [
        f"{method.name}.n_steps=10"
        for method in methods()
        if "n_steps" in signature(get_method(method.name)).parameters
    ]
    quick = [part for step in steps for part in ("--set", step)]
    ended = run(
        *QUICK[:3], "--methods", "all", "--bits", "8", "--seeds", "0", "--json", *quick, code=1
    )
    done = {row["method"] for row in ended.json}
    assert {"lsh", "itq", "sh", "sttm", "sigah"} <= done
    assert "Failed: vectors, qolsh, 8 bits, seed 0: " in ended.err  # fewer bits than features


def test_scores_are_those_of_the_library(run):
    (row,) = run(*QUICK, "--methods", "itq", "--seeds", "3", "--set", "itq.n_iter=2", "--json").json
    dataset = load_dataset("vectors.npz")
    from hashlearn.benchmark import default_protocol, default_recipe

    (done,) = run_methods(
        dataset, ["itq"], [8], protocol=default_protocol(dataset), recipe=default_recipe(dataset),
        seeds=[3], parameters={"n_iter": 2},
    )  # fmt: skip
    assert row["scores"] == done.row["scores"]
    assert row["id"] == done.row["id"]


def test_what_is_there_is_not_run_again(run, monkeypatch):
    first = run(*QUICK, "--json").json
    monkeypatch.setattr(LSH, "_fit", None)  # whoever fits now fails
    ended = run(*QUICK, "--json")
    assert ended.json == first
    assert "4 of 4 runs were in results already" in ended.err
    ended = run(*QUICK, "--again", code=1)
    assert "Failed: vectors, lsh, 8 bits, seed 0: " in ended.err
    assert "2 runs failed" in ended.err


def test_the_table_gives_mean_and_deviation(run, folder):
    ended = run(*QUICK)
    lsh, itq = summarise(Records(folder / "results").rows())
    metric = "mean_average_precision"
    for summary in (lsh, itq):
        expected = f"{summary.mean(metric):.3f} ± {summary.deviation(metric):.3f}".replace(
            "0.", "."
        )
        assert f"│ {summary.name}    │    8 │     2 │ {expected}" in ended.out
    assert "less itq on the same queries" in ended.out
    found = compare_summaries(Records(folder / "results"), lsh, itq)
    shown = f"{found.difference:+.3f}     │ {found.low:+.3f} to {found.high:+.3f}"
    assert shown in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize(
    "metric", ["mean_average_precision", "pooled_pr_area", "precision_at_5", "recall_at_10"]
)
def test_stored_details_compare_as_the_scores_do(metric, folder):
    from hashlearn.benchmark import Job, default_recipe, run_and_record, run_jobs
    from hashlearn.evaluation import Protocol

    dataset = load_dataset("digits")
    asked = {
        "protocol": Protocol(precision_at=(5,)), "recipe": default_recipe(dataset),
    }  # fmt: skip
    jobs = [Job(method, 8, seed) for method in ("lsh", "itq") for seed in (0, 1)]
    records = Records(folder / "digits")
    lsh, itq = summarise(run_and_record(records, dataset, jobs, **asked))
    scores = [run.scores for run in run_jobs(dataset, jobs, **asked)]
    expected = compare(scores[:2], scores[2:], metric)
    found = compare_summaries(records, lsh, itq, metric)
    np.testing.assert_allclose(
        [found.difference, found.low, found.high],
        [expected.difference, expected.low, expected.high],
        atol=1e-6,
    )
    for path in (folder / "digits" / "runs").iterdir():
        path.unlink()
    assert compare_summaries(records, lsh, itq, metric) is None


def test_a_paper_is_run_where_it_can_be(run, folder):
    (folder / "paper.toml").write_text(PAPER)
    ended = run("bench", "--paper", "paper.toml", "--seeds", "0", "--json")
    assert [(row["dataset"], row["n_bits"]) for row in ended.json] == [("digits", 4), ("digits", 8)]
    lines = ended.err.splitlines()
    assert "Table 1, what is here" in lines
    assert "not run: XYZ" in lines
    assert "the data set nobody has this cannot be had here: on digits instead" in lines
    assert "the data set nobody has this cannot be had here: left out" in lines
    shown = " ".join(run("bench", "--paper", "paper.toml", "--seeds", "0").out.split())
    four, eight = (row["scores"]["mean_average_precision"] for row in ended.json)
    expected = [f"0.200 | {four:.3f}", f"0.300 | {eight:.3f}", "0.900 | -"]
    assert "Table 1, what is here: printed | ours" in shown
    assert "Table 2, what is not: printed | ours, digits standing in" in shown
    assert all(cell.replace("0.", ".") in shown for cell in expected)
    one = run("bench", "--paper", "paper.toml", "--table", "2", "--seeds", "0", "--json")
    assert [row["n_bits"] for row in one.json] == [8]
    assert "1 of 1 runs were in results already" in one.err


def test_a_published_benchmark_is_run_with_its_part_to_learn_from(run, folder):
    rng = np.random.default_rng(0)
    (folder / "vectors").mkdir()
    for part, n in (("base", 150), ("query", 7), ("learn", 60)):
        vectors = rng.normal(size=(n, 16)).astype("<f4")
        lines = np.column_stack([np.full((n, 1), 16, "<i4").view("<f4"), vectors])
        lines.astype("<f4").tofile(folder / "vectors" / f"made_{part}.fvecs")
    (row,) = run(
        "bench", "--data", "vectors", "--methods", "lsh", "--bits", "8", "--seeds", "0",
        "--train-from", "learn", "--protocol", "euclidean-100", "--json",
    ).json  # fmt: skip
    assert (row["n_train"], row["n_database"], row["scores"]["n_queries"]) == (60, 150, 7)
    run("fit", "vectors/made_base.fvecs", "--bits", "8", "-o", "it.model")
    run("encode", "it.model", "vectors/made_query.fvecs", "-o", "codes.npy")
    assert np.load("codes.npy").shape == (7, 1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--train-from", "learn"], 'train_from="learn" needs'),
        (["--methods", "abc"], "unknown method 'abc'"),
        (["--data", "nothing.npz"], "there is no file or folder nothing.npz"),
        (["--bits", "a"], "--bits takes whole numbers"),
        (["--bits", "0"], "n_bits must be at least 1"),
        (["--protocol", "abc"], "unknown protocol 'abc'"),
        (["--set", "n_iter=3"], "--set takes method.name=value"),
        (["--set", "sigah.n_steps=3"], "--set sigah.n_steps is of no method that is run"),
        (["--distance", "l2"], "--distance must be one of hamming, spherical; got 'l2'"),
        (["--set", "itq.abc=3"], "itq has no parameter abc"),
        (["--table", "2"], "give --paper too"),
        (["--paper", "sigah"], "--data, --bits cannot be given with --paper"),
        (["-o", "vectors.npz"], "vectors.npz is a file; results are kept in a folder"),
    ],
)
def test_bad_input_is_refused_before_any_work(run, folder, options, expected):
    before = sorted(folder.rglob("*"))
    assert expected in " ".join(run(*QUICK, *options, code=2).err.split())
    assert sorted(folder.rglob("*")) == before


def test_a_distance_is_kept_with_the_rows_and_in_the_command(run):
    quick = ("bench", "--data", "vectors.npz", "--methods", "sph", "--bits", "8", "--seeds", "0")
    (own,) = run(*quick, "--json").json
    (other,) = run(*quick, "--distance", "hamming", "--json").json
    assert (own["distance"], other["distance"]) == ("spherical", "hamming")
    assert "--distance hamming" in command_line(other, [0], None)
    assert "sph (spherical)" in run(*quick).out
    options = ("--methods", "sph", "--bits", "8", "--distance", "hamming", "--json")
    (row,) = run("evaluate", "vectors.npz", *options).json
    assert row["scores"] == other["scores"]


def test_unknown_papers_and_tables_are_named(run):
    assert "unknown paper 'abc'" in run("bench", "--paper", "abc", code=2).err
    ended = run("bench", "--paper", "sigah", "--table", "99", code=2)
    assert "the paper of sigah has no table '99'" in ended.err


@pytest.mark.filterwarnings("default:.*half a row")
def test_an_interrupted_line_is_no_row(run, folder):
    run(*QUICK)
    path = folder / "results" / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    ended = run(*QUICK, "--json")
    assert "ends in half a row" in ended.err
    assert len(ended.json) == 4
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4
