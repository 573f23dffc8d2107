"""From data to scores: evaluate and demo."""

import json
import re
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from hashlearn.benchmark import run_methods
from hashlearn.data import SplitRecipe, load_dataset
from hashlearn.evaluation import Protocol, get_protocol
from hashlearn.web import server

pytestmark = pytest.mark.usefixtures("folder")

QUICK = ("evaluate", "vectors.npz", "--bits", "8")


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rows_are_appended(run, folder):
    first = run(*QUICK, "-o", "rows.jsonl", "--json").json
    assert [(row["method"], row["n_bits"]) for row in first] == [("lsh", 8), ("itq", 8)]
    assert lines_of(folder / "rows.jsonl") == first
    second = run(*QUICK, "-o", "rows.jsonl", "--methods", "lsh", "--json").json
    assert lines_of(folder / "rows.jsonl") == first + second


def test_scores_are_those_of_the_library(run):
    (row,) = run(
        *QUICK, "--methods", "itq", "--seeds", "3", "--split-seed", "2", "--queries", "6",
        "--features", "standardize", "--set", "n_iter=2", "--json",
    ).json  # fmt: skip
    (done,) = run_methods(
        load_dataset("vectors.npz"), ["itq"], [8], protocol=Protocol(truth="labels"),
        recipe=SplitRecipe("all", n_queries=6, seed=2), features="standardize", seeds=[3],
        parameters={"n_iter": 2},
    )  # fmt: skip
    for measured in ("fit_seconds", "encode_seconds", "peak_memory_bytes", "provenance"):
        assert row.pop(measured) is not None
        done.row.pop(measured)
    assert row == done.row


def test_the_table_shows_every_run(run):
    ended = run(*QUICK[:2], "--bits", "4,8", "--methods", "lsh, itq", "--seeds", "0,1")
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "vectors: 4 queries, 36 items" in lines[0]
    shown = [line.split()[1:4:2] for line in lines[4:-1]]
    assert shown == [[m, b] for m in ("lsh", "itq") for b in ("4", "8") for _ in range(2)]
    assert ended.err.count("mean_average_precision 0.") == 8
    assert "protocol: Protocol(truth='labels'" in ended.err
    assert "split: SplitRecipe(queries_from='all', n_queries=4" in ended.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), Protocol(truth="labels")),
        (("--protocol", "cifar10-10k-at-1000", "--queries-from", "all", "--queries", "5"),
         get_protocol("cifar10-10k-at-1000")),
        (("--neighbors", "5"), Protocol(truth="euclidean", n_neighbors=5)),
        (("--protocol", "sigah-mnist", "--neighbors", "5"),
         Protocol(truth="euclidean", n_neighbors=5, metric="pooled_pr_area")),
    ],
)  # fmt: skip
def test_the_protocol_is_the_one_asked_for(run, options, expected):
    ended = run(*QUICK, *options, "--json")
    stored = json.loads(json.dumps(expected.as_dict()))
    assert [row["protocol"] for row in ended.json] == [stored] * 2
    assert f"{expected.metric} " in ended.err


def test_vectors_without_labels_are_judged_by_their_neighbours(run):
    np.save("many.npy", np.random.default_rng(0).normal(size=(150, 16)))
    rows = run("evaluate", "many.npy", "--bits", "8", "--json").json
    assert [row["protocol"]["truth"] for row in rows] == ["euclidean"] * 2
    assert [row["protocol"]["n_neighbors"] for row in rows] == [100] * 2


def test_items_with_several_labels_are_judged_by_those_they_share(run):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (60, 3), np.uint8)
    np.savez("tags.npz", X=rng.normal(size=(60, 16)), y=y)
    rows = run("evaluate", "tags.npz", "--bits", "8", "--json").json
    assert [row["protocol"]["truth"] for row in rows] == ["shared_labels"] * 2


@pytest.mark.parametrize(("options", "n_queries"), [((), 12), (("--queries", "7"), 7)])
def test_queries_can_be_drawn_from_everywhere(run, options, n_queries):
    np.save("many.npy", np.random.default_rng(0).normal(size=(120, 16)))
    rows = run("evaluate", "many.npy", "--bits", "8", *options, "--neighbors", "3", "--json").json
    assert {row["scores"]["n_queries"] for row in rows} == {n_queries}
    assert {row["split"]["queries_from"] for row in rows} == {"all"}


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_done_stays_when_a_later_method_fails(run, folder, as_json):
    options = ("--json",) if as_json else ()
    ended = run("evaluate", "vectors.npz", "--bits", "20", "-o", "rows.jsonl", *options, code=2)
    (row,) = lines_of(folder / "rows.jsonl")
    assert row["method"] == "lsh"
    assert ended.json == [row] if as_json else "lsh" in ended.out
    assert ended.err.splitlines()[-1].startswith("Error: ITQ takes at most as many bits as")


def test_the_demo_prints_a_table_and_draws_a_picture(run, folder):
    ended = run("demo", "--methods", "lsh,itq")
    lines = ended.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "digits: 179 queries, 1,618 items, 26 true neighbours" in lines[0]
    assert [line.split()[1] for line in lines[4:-1]] == ["lsh", "itq"]
    with Image.open(folder / "demo/digits-32-bits.png") as picture:
        picture.load()
        assert picture.format == "PNG"
    rows = lines_of(folder / "demo/rows.jsonl")
    assert [row["method"] for row in rows] == ["lsh", "itq"]
    assert {row["protocol"]["truth"] for row in rows} == {"euclidean"}
    lsh, itq = (row["scores"]["mean_average_precision"] for row in rows)
    assert lsh < itq
    for row, line in zip(rows, lines[4:-1], strict=True):
        assert f"{row['scores']['mean_average_precision']:.3f}" in line
    assert "picture: demo/digits-32-bits.png\n" in ended.err


def test_the_demo_takes_photographs_and_settings(run, folder):
    settings = ("--methods", "lsh", "--bits", "12", "--seed", "4", "--json", "-o", "own/deep")
    ended = run("demo", "--data", "photos", "--image-size", "8x8", *settings)
    assert [(row["method"], row["n_bits"], row["seed"]) for row in ended.json] == [("lsh", 12, 4)]
    assert (folder / "own/deep/photos-12-bits.png").is_file()
    assert lines_of(folder / "own/deep/rows.jsonl") == ended.json


def test_a_demo_that_cannot_start_leaves_nothing(run, folder):
    for wrong in (("--methods", "hashnet"), ("--bits", "0"), ("--data", "vectors.npz")):
        assert run("demo", *wrong, "-o", "own", code=2).err.startswith("Error: ")
        assert not (folder / "own").exists()


@pytest.fixture
def opened(monkeypatch):
    """Ask for the page that the demo opens, and end the server; list what was opened."""
    log = []

    def served(app, listening):
        with TestClient(app, base_url="http://127.0.0.1") as client:
            address = log[0].removeprefix(server.address_of(listening))
            log.append(client.get(address).text)

    monkeypatch.setattr(webbrowser, "open", log.append)
    monkeypatch.setattr(server, "serve", served)
    return log


def test_the_demo_opens_a_page_that_compares_two_methods(run, folder, opened):
    ended = run("demo", "--serve", "--port", "0", "-o", "own")
    address, page = opened
    assert re.fullmatch(r"http://127.0.0.1:\d+/c/digits-itq-32\?with=digits-lsh-32", address)
    assert ended.err == f"{address} (Ctrl-C ends)\n"
    assert "<h1>digits-itq-32 and digits-lsh-32</h1>" in page
    assert sorted(path.name for path in (folder / "own").iterdir()) == [
        "digits-itq-32.collection", "digits-lsh-32.collection"
    ]  # fmt: skip
    again = run("demo", "--serve", "--port", "0", "-o", "own", code=2)
    assert "own/digits-itq-32.collection is there already" in again.err


def test_the_collections_of_the_demo_go_with_it(run, opened):
    options = ("--data", "photos", "--image-size", "8x8", "--methods", "lsh", "--bits", "12")
    told = run("demo", "--serve", "--port", "0", *options, "--json").json
    address, page = opened
    assert address == told["address"]
    assert address.endswith("/c/photos-lsh-12")
    assert "24 images · LSH, 12 bits" in page
    assert [Path(path).exists() for path in told["collections"]] == [False]


def test_a_port_that_is_taken_ends_the_demo_before_any_work(run, folder, opened):
    with server.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        ended = run("demo", "--serve", "--port", port, "-o", "own", code=2)
    assert f"port {port}" in ended.err
    assert opened == []
    assert not (folder / "own").exists()
