"""The whole way from vectors to a folder, a page and figures."""

import json
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.datasets import make_blobs

import hashlearn
from hashlearn.compression import choosing, compress
from hashlearn.compression.choosing import (
    Candidate,
    Trial,
    best_of,
    candidates,
    fit_candidates,
    try_candidate,
    try_length,
)
from hashlearn.compression.exact import NearestSoFar, neighbor_recall
from hashlearn.compression.report import picture, ranking_words
from hashlearn.data import open_source
from hashlearn.hashers import get_method

X = make_blobs(n_samples=1500, n_features=24, centers=40, cluster_std=3.0, random_state=0)[0]
X = X.astype(np.float32)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "vectors.parquet"
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1])
    names = [f"v{i}" for i in range(len(X))]
    pq.write_table(pa.table({"id": range(len(X)), "name": names, "vector": vectors}), path)
    return open_source(path, name_column="name")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "blobs"
    np.save(folder.with_suffix(".npy"), X)
    result = compress(
        open_source(folder.with_suffix(".npy")), folder, 16, seconds=3, factors=True,
        originals="int8", n_sample=1000, n_judged=900,
    )  # fmt: skip
    return folder, result


def test_the_folder_holds_an_index_of_all_vectors_with_the_codes_of_its_hasher(made):
    folder, result = made
    vectors = hashlearn.VectorIndex.open(folder)
    assert len(vectors) == result.n_vectors == len(X)
    assert vectors.rankings == ("hamming", "values", "factors", "exact")
    hasher = hashlearn.load(folder / "hasher.model")
    with np.load(folder / "codes.npz") as codes:
        np.testing.assert_array_equal(codes["codes"], hasher.encode(X))
        assert codes["n_bits"] == 16
    found = vectors.search(X[:50], 1, ranking="exact", n_candidates=1500)
    np.testing.assert_array_equal(found.ids[:, 0], np.arange(50))


def test_recalls_are_those_of_brute_force_on_vectors_that_were_not_learned_from(made):
    """Draw the queries again as the docstring says, and search with the saved index."""
    folder, result = made
    assert result.protocol["n_queries"] == 75  # a tenth, in two halves
    assert result.protocol["n_judged"] == 900
    vectors = hashlearn.VectorIndex.open(folder)
    source = open_source(folder.with_suffix(".npy"))
    batch = source.sample(1000 + 150, 0)
    order = np.random.RandomState(0).permutation(len(batch))
    test = batch.X[order[75:150]]
    rows = np.setdiff1d(np.arange(len(X)), batch.rows[order[:150]])
    rows = np.sort(np.random.RandomState(0).choice(rows, 900, replace=False))
    exact = np.argsort(((test[:, None] - X[rows]) ** 2).sum(-1), axis=1, kind="stable")
    for row in result.measured:
        if row.name == result.method and row.ranking in ("hamming", "values", "factors"):
            found = vectors.search(test, 100, ranking=row.ranking, mask=rows).ids
            for k in (10, 100):
                expected = [
                    len({*f} & {*rows[t]}) / k
                    for f, t in zip(found[:, :k].tolist(), exact[:, :k], strict=True)
                ]
                assert row.recall[k] == pytest.approx(np.mean(expected), abs=0.002)


def test_others_of_as_many_bytes_stand_beside_it(made):
    _, result = made
    names = {row.name for row in result.measured}
    assert {"sign", "ITQ", "PQ", result.method} <= names | {result.method}
    for row in result.measured:
        assert row.bytes_per_vector == (10 if row.ranking == "factors" else 2)
        assert 0 < row.recall[10] <= 1
        assert row.query_seconds > 0
    lengths = {row.n_bits for row in result.curve}
    assert lengths == {8, 16, 32}


def test_what_was_tried_is_not_fitted_again(made):
    _, result = made
    rows = [(row.name, row.ranking) for row in result.measured]
    assert len(set(rows)) == len(rows)
    seconds = {row.name: row.train_seconds for row in result.measured}
    tried = {trial["label"]: trial["fit_seconds"] for trial in result.trials if not trial["note"]}
    assert {"PCA-sign", "ITQ"} <= {*seconds} & {*tried}
    assert all(seconds[name] == tried[name] for name in {*seconds} & {*tried})
    assert all(row.train_seconds > 0 for row in result.curve)


def test_the_page_and_its_figures_say_what_was_measured(made):
    folder, result = made
    page = (folder / "report.html").read_text(encoding="utf-8")
    figures = json.loads((folder / "report.json").read_text())
    assert figures["method"] == result.method
    assert figures["folder"] == "blobs"
    assert figures["provenance"]["versions"]["hashlearn"]
    assert [row["recall"]["10"] for row in figures["measured"]] == [
        row.recall[10] for row in result.measured
    ]
    assert page.count("<svg") == 2
    assert "<script" not in page
    for row in result.measured:
        assert f"{row.recall[10]:.3f}" in page
    for trial in result.trials:
        assert trial["label"] in page
    assert str(folder.parent) not in page.replace(str(folder.with_suffix(".npy")), "")


@pytest.mark.browser
def test_the_page_is_wide_enough_for_a_phone_and_open_to_everyone(made, new_page):
    from axe_playwright_python.sync_playwright import Axe

    folder, _ = made
    for width in (400, 1200):
        page = new_page(width)
        page.goto(f"file://{folder / 'report.html'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert Axe().run(page).response["violations"] == []


def test_cosine_neighbours_do_not_hang_on_lengths(source, tmp_path):
    result = compress(source, tmp_path / "made", 16, metric="cosine", seconds=0)
    vectors = hashlearn.VectorIndex.open(tmp_path / "made")
    scaled = X[:20] * np.linspace(0.1, 9, 20, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(vectors.search(scaled, 5).ids, vectors.search(X[:20], 5).ids)
    assert result.method == "random directions"  # there was no time for anything else
    assert all(trial["note"] for trial in result.trials[1:])
    with np.load(tmp_path / "made" / "codes.npz") as codes:
        assert codes["names"][3] == "v3"


def test_nothing_is_left_where_the_work_fails(source, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ValueError("enough")

    monkeypatch.setattr("hashlearn.compression.compressing._compare", fail)
    with pytest.raises(ValueError, match="enough"):
        compress(source, tmp_path / "made", 16, seconds=0)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.parquet"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bits": 0}, "n_bits must be at least 1"),
        ({"metric": "dot"}, "metric must be one of euclidean, cosine; got 'dot'"),
        ({"originals": "int4"}, "vectors are kept as float32, float16, int8; got 'int4'"),
        ({"n_queries": 0}, "n_queries must be at least 1, got 0"),
        ({"n_sample": 5}, "n_sample must be at least 200, got 5"),
        ({"seconds": -1}, "seconds must be at least 0, got -1"),
    ],
)
def test_wrong_options_are_refused_before_any_work(source, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        compress(source, tmp_path / "made", **{"n_bits": 16} | options)
    assert not (tmp_path / "made").exists()


def test_what_cannot_be_compressed_is_refused(tmp_path):
    np.save(tmp_path / "few.npy", X[:50])
    with pytest.raises(ValueError, match="has 50 vectors; there must be 200 at least"):
        compress(open_source(tmp_path / "few.npy"), tmp_path / "made", 8)
    (tmp_path / "texts.csv").write_text("text\n" + "a\n" * 300)
    with pytest.raises(ValueError, match="holds texts; vectors are compressed"):
        compress(open_source(tmp_path / "texts.csv", column="text"), tmp_path / "made", 8)


def test_candidates_are_judged_by_the_other_held_back_vectors_among_the_same(made):
    """Draw the queries again as the docstring says, and search with the saved index."""
    folder, result = made
    vectors = hashlearn.VectorIndex.open(folder)
    batch = open_source(folder.with_suffix(".npy")).sample(1000 + 150, 0)
    order = np.random.RandomState(0).permutation(len(batch))
    rows = np.setdiff1d(np.arange(len(X)), batch.rows[order[:150]])
    rows = np.sort(np.random.RandomState(0).choice(rows, 900, replace=False))
    validation = batch.X[order[:75]]
    near = NearestSoFar(validation, 100)
    near.add(X[rows])
    (chosen,) = (trial for trial in result.trials if trial["label"] == result.method)
    for ranking, n_candidates in [("hamming", None), ("values", 100)]:
        found = vectors.search(
            validation, 100, ranking=ranking, n_candidates=n_candidates, mask=rows
        ).ids
        for k in (10, 100):
            expected = neighbor_recall(np.searchsorted(rows, found), near.ids, k).mean()
            name = ranking if n_candidates is None else f"{ranking}/{n_candidates}"
            assert chosen["recall"][f"{name}@{k}"] == pytest.approx(expected, abs=0.002)
    scores = [trial["recall"]["values/100@10"] for trial in result.trials if trial["recall"]]
    assert chosen["recall"]["values/100@10"] >= max(scores) - 0.002


def test_all_candidates_are_fitted_if_there_is_time(monkeypatch):
    monkeypatch.setattr(choosing, "_STEPS", 40)
    monkeypatch.setattr(choosing, "_FEWEST_STEPS", 30)
    trials = fit_candidates(X[:1000], 16, seconds=1e6)
    assert [trial.candidate.label for trial in trials] == [
        "random directions", "PCA-sign", "ITQ", "NeighborMatching",
    ]  # fmt: skip
    for trial in trials:
        assert trial.fitted.encode(X).shape == (1500, 2)
    monkeypatch.setattr(choosing, "try_candidate", lambda one, *_: Trial(one, note="no"))
    with pytest.raises(ValueError, match=r"codes of 16 bits of .*: random directions: no; PCA"):
        fit_candidates(X, 16, seconds=0)


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ((0.5, 0.6, 0.7), 2),
        ((0.5, 0.7, 0.7015), 1),  # no worse by much, and quicker
        ((0.7, 0.7015, 0.703), 1),  # within .002 of the best, not of the next
        ((0.5, None, 0.4), 0),
    ],
)
def test_the_quickest_of_those_that_find_most_is_chosen(scores, best):
    trials = [
        Trial(Candidate(str(i), "lsh", {}), object(), {"values/100@10": score})
        if score is not None else Trial(Candidate(str(i), "lsh", {}), note="left out")
        for i, score in enumerate(scores)
    ]  # fmt: skip
    assert best_of(trials) is trials[best]


def test_steps_are_as_many_as_there_is_time_for(monkeypatch):
    monkeypatch.setattr(choosing, "_STEPS", 40)
    monkeypatch.setattr(choosing, "_FEWEST_STEPS", 30)
    *_, learned = candidates(16, 24, 1000)
    short = try_candidate(learned, X, 16, perf_counter() + 0.01, 0)
    assert short.hasher is None
    assert short.note == "no time was left for 30 steps"
    long = try_candidate(learned, X, 16, np.inf, 0)
    assert long.hasher.n_steps == 40


@pytest.mark.parametrize(
    ("n_bits", "seconds", "n_steps"),
    [(16, 1.0, 300), (8, 1.0, 300), (32, 1.0, 150), (32, 0.01, 30), (8, 9.0, 400)],
)
def test_other_lengths_learn_in_the_steps_there_is_time_for(monkeypatch, n_bits, seconds, n_steps):
    monkeypatch.setattr(choosing, "_STEPS", 400)
    monkeypatch.setattr(choosing, "_FEWEST_STEPS", 30)
    monkeypatch.setattr(get_method("neighbormatching"), "fit", lambda self, _: self)
    *_, learned = candidates(16, 24, 1000)
    best = Trial(learned, learned.make(16, 0, n_steps=60), fit_seconds=0.2)
    trial = try_length(best, X, n_bits, seconds, 5)
    assert trial.hasher.get_params()["n_steps"] == n_steps
    assert (trial.hasher.n_bits, trial.hasher.random_state) == (n_bits, 5)


def test_a_length_that_a_method_has_no_codes_of_is_left_out():
    best = try_candidate(Candidate("ITQ", "itq", {}), X, 16, np.inf, 0)
    trial = try_length(best, X, 32, 1.0, 0)
    assert trial.hasher is None
    assert "at most as many bits as there are features" in trial.note


def test_a_method_that_fails_is_left_out_with_its_reason():
    candidate = Candidate("ITQ", "itq", {})
    trial = try_candidate(candidate, X, 100, np.inf, 0)
    assert trial.hasher is None
    assert "at most as many bits as there are features" in trial.note


def test_words_for_rankings():
    assert ranking_words("values/100") == "the 100 nearest codes, re-ranked by the query’s values"
    assert ranking_words("hamming") == "Hamming distance"


def test_a_picture_has_a_point_for_each_measurement(made):
    _, result = made
    drawn = picture(result.curve, "bytes_per_vector", "bytes a vector")
    n_points = sum(row.ranking in ("values", "estimate", "hamming") for row in result.curve)
    n_names = len({row.name for row in result.curve})
    assert drawn.count("<use") >= n_points + n_names
