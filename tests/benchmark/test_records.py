"""Results on disk: nothing is lost, nothing is asked twice."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from hashlearn.benchmark import Job, Records, make_hasher, run_and_record
from hashlearn.benchmark.records import fingerprint, flat_rows, run_id
from hashlearn.benchmark.run import questions
from hashlearn.data import Dataset, SplitRecipe
from hashlearn.evaluation import Protocol
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.index.ranking import spherical_distances

ASKED = {"protocol": Protocol(), "recipe": SplitRecipe("all", n_queries=12)}
JOBS = [Job("lsh", 8), Job("lsh", 8, 1), Job("itq", 4, 0, {"n_iter": 2})]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return Dataset("vectors", rng.normal(size=(90, 6)), np.arange(90) % 3)


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path / "results")


@pytest.fixture
def fits(monkeypatch):
    """Count the fits of LSH, and fail where told."""
    log, fit = [], LSH._fit

    def logged(self, X, y, rng):
        log.append(self.random_state)
        if self.random_state in logged.failing:
            raise RuntimeError("the machine went down")
        fit(self, X, y, rng)

    logged.failing = ()
    monkeypatch.setattr(LSH, "_fit", logged)
    return log, logged


def test_what_was_run_is_not_run_again(records, vectors, fits):
    first = run_and_record(records, vectors, JOBS, **ASKED)
    assert fits[0] == [0, 1]
    again = run_and_record(records, vectors, [*JOBS, Job("lsh", 8, 2)], **ASKED)
    assert fits[0] == [0, 1, 2]
    assert again[:3] == first
    assert [row["seed"] for row in again] == [0, 1, 0, 2]
    run_and_record(records, vectors, JOBS[:1], **ASKED, again=True)
    assert fits[0] == [0, 1, 2, 0]
    assert len(records.path.read_text().splitlines()) == 5
    assert [row["id"] for row in records.rows()] == [row["id"] for row in again]


def test_an_interrupted_run_goes_on_where_it_stopped(records, vectors, fits):
    fits[1].failing = (1,)
    with pytest.raises(RuntimeError, match="went down"):
        run_and_record(records, vectors, JOBS, **ASKED)
    assert [row["seed"] for row in records.rows()] == [0]
    fits[1].failing = ()
    rows = run_and_record(records, vectors, JOBS, **ASKED)
    assert fits[0] == [0, 1, 1]
    assert [row["method"] for row in rows] == ["lsh", "lsh", "itq"]


def test_a_failure_does_not_stop_the_others(records, vectors, fits):
    fits[1].failing = (0,)
    failed = []
    rows = run_and_record(
        records, vectors, JOBS, **ASKED, on_error=lambda job, error: failed.append((job, error))
    )
    assert [(row["method"], row["seed"]) for row in rows] == [("lsh", 1), ("itq", 0)]
    assert failed[0][0] == JOBS[0]
    assert "went down" in str(failed[0][1])


@pytest.mark.parametrize(
    "change",
    [
        {"jobs": [Job("lsh", 9)]},
        {"jobs": [Job("lsh", 8, 5)]},
        {"jobs": [Job("itq", 8)]},
        {"jobs": [Job("lsh", 8, distance="spherical")]},
        {"jobs": [Job("lsh", 8, 0, {"thresholds": "median"})]},
        {"protocol": Protocol(cutoff=5)},
        {"recipe": SplitRecipe("all", n_queries=12, seed=1)},
        {"features": "l2"},
        {"dataset": Dataset("vectors", np.ones((90, 6)), np.arange(90) % 3)},
        {"dataset": Dataset("others", np.ones((90, 6)))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_is_asked_otherwise_is_another_run(vectors, change):
    def ids(dataset=vectors, jobs=JOBS[:1], **asked):
        return [row["id"] for row in questions(dataset, jobs, **{**ASKED, **asked})]

    assert ids() == ids()
    assert ids() != ids(**change)


def test_a_default_that_is_written_out_asks_the_same(vectors):
    plain, written = questions(vectors, [Job("itq", 4), Job("itq", 4, 0, {"n_iter": 50})], **ASKED)
    assert plain["id"] == written["id"]


def test_asking_for_hamming_distances_asks_what_rows_without_the_key_did(vectors):
    plain, asked = questions(vectors, [Job("lsh", 8), Job("lsh", 8, distance="hamming")], **ASKED)
    assert plain == asked
    assert "distance" not in plain
    (old,) = questions(vectors, [Job("sph", 8, distance="hamming")], **ASKED)
    assert run_id({name: value for name, value in old.items() if name != "distance"}) == old["id"]


def test_spherical_details_show_the_nearest_by_that_distance(records, vectors):
    (row,) = run_and_record(records, vectors, [Job("sph", 8)], **ASKED)
    details = records.details(row["id"])
    assert details["retrieved"].any(axis=0).all()
    assert (details["retrieved"].sum(axis=1) == 78).all()
    split = vectors.split(ASKED["recipe"])
    hasher = make_hasher("sph", 8, {}, 0).fit(vectors.X[split.train])
    queries = hasher.encode(vectors.X[split.queries[details["shown_queries"]]])
    codes = hasher.encode(vectors.X[split.database])
    for query, ids in zip(queries, details["shown_ids"], strict=True):
        distances = spherical_distances(query, codes)
        assert ids.tolist() == np.lexsort((np.arange(78), distances))[:12].tolist()


def test_the_fingerprint_sees_items_labels_and_parts():
    X, y = np.arange(6.0).reshape(3, 2), np.array([0, 1, 0])
    seen = {
        fingerprint(dataset)
        for dataset in (
            Dataset("a", X),
            Dataset("a", X.T.reshape(3, 2)),
            Dataset("a", X, y),
            Dataset("a", X, 1 - y),
            Dataset("a", X, y, splits={"train": np.array([0, 1]), "test": np.array([2])}),
            Dataset("a", X, y, splits={"train": np.array([0, 2]), "test": np.array([1])}),
        )
    }
    assert len(seen) == 6
    assert fingerprint(Dataset("a", X)) == fingerprint(Dataset("b", X.copy()))


def test_the_fingerprint_sees_texts_and_where_they_end():
    texts = (["ab", "c"], ["a", "bc"], ["abc", ""], ["c", "ab"], ["ab", "\udcff"])
    assert len({fingerprint(Dataset("a", np.array(pair, object))) for pair in texts}) == 5
    same = [fingerprint(Dataset("a", np.array(["ab", "c"], kind))) for kind in (str, object)]
    assert same[0] == same[1]


def test_details_say_what_was_found_for_each_query(records, vectors):
    (row,) = run_and_record(records, vectors, JOBS[2:], **ASKED)
    details = records.details(row["id"])
    assert details["retrieved"].shape == details["hits"].shape == (12, 5)
    assert (details["retrieved"].sum(axis=1) == 78).all()
    assert details["average_precision"].mean() == pytest.approx(
        row["scores"]["mean_average_precision"], rel=1e-5
    )
    queries = details["shown_queries"]
    split = vectors.split(ASKED["recipe"])
    labels = vectors.y[split.queries[queries]]
    assert sorted(labels[:3]) == [0, 1, 2]
    right = vectors.y[split.database[details["shown_ids"]]] == labels[:, None]
    np.testing.assert_array_equal(details["shown_relevant"], right)
    assert (np.diff(details["shown_distances"], axis=1) >= 0).all()
    assert details["map_codes"].shape == (78, 1)
    assert records.details("no such run") is None


def test_half_a_row_is_left_out_and_then_cut_off(records, vectors):
    run_and_record(records, vectors, JOBS[:2], **ASKED)
    whole = records.path.read_bytes()
    records.path.write_bytes(whole[:-50])
    with pytest.warns(UserWarning, match="ends in half a row"):
        assert len(records.rows()) == 1
    with pytest.warns(UserWarning, match="ends in half a row"):
        run_and_record(records, vectors, JOBS[:2], **ASKED)
    lines = records.path.read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1]


def test_a_damaged_row_is_named(records, vectors):
    run_and_record(records, vectors, JOBS[:2], **ASKED)
    lines = records.path.read_text().splitlines()
    records.path.write_text("\n".join([lines[0][:-9], lines[1], ""]))
    with pytest.raises(ValueError, match=r"rows.jsonl, line 1 is no row"):
        records.rows()
    records.path.write_text("[1]\n" + lines[1] + "\n")
    with pytest.raises(ValueError, match=r"rows.jsonl, line 1 is no row"):
        records.rows()


def test_damaged_details_are_named(records, vectors):
    (row,) = run_and_record(records, vectors, JOBS[:1], **ASKED)
    path = records.folder / "runs" / f"{row['id']}.npz"
    content = path.read_bytes()
    for damaged in (b"", b"nonsense", content[: len(content) // 2], content[:200] + content[260:]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{row['id']}.npz is damaged"):
            records.details(row["id"])


def test_results_are_kept_in_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        Records(tmp_path / "file")
    assert Records(tmp_path / "nothing").rows() == []
    assert not (tmp_path / "nothing").exists()


def test_the_table_has_a_column_for_every_number(records, vectors):
    rows = run_and_record(records, vectors, JOBS, **ASKED)
    table = pq.read_table(records.write_parquet()).to_pylist()
    assert [row["id"] for row in table] == [row["id"] for row in rows]
    for flat, row in zip(table, rows, strict=True):
        assert flat["mean_average_precision"] == row["scores"]["mean_average_precision"]
        assert json.loads(flat["protocol"]) == row["protocol"]
        assert flat["n_bits"] == row["n_bits"]
        assert flat["fit_seconds"] == row["fit_seconds"]
    assert "curves" not in table[0]


def test_rows_of_different_kinds_have_the_same_columns():
    flat = flat_rows([{"id": "0", "scores": {"a": 1.0}}, {"id": "1", "scores": {"b": 2.0}}])
    assert flat == [{"id": "0", "a": 1.0, "b": None}, {"id": "1", "a": None, "b": 2.0}]
