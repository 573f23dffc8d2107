"""A page from a folder of results."""

import json

import pytest

from hashlearn.benchmark import Job, Records, default_recipe, run_and_record
from hashlearn.data import load_dataset
from hashlearn.evaluation import get_protocol


@pytest.fixture
def results(folder):
    """Leave one small run in a folder."""
    dataset = load_dataset(folder / "vectors.npz")
    run_and_record(
        Records("results"), dataset, [Job("lsh", 8)], protocol=get_protocol("labels"),
        recipe=default_recipe(dataset),
    )  # fmt: skip


@pytest.mark.usefixtures("results")
def test_a_page_and_its_tables_are_written(run, folder):
    ended = run("report", "results", "-o", "page", "--json")
    assert json.loads(ended.out) == {"page": "page/index.html", "markdown": "page/report.md"}
    assert (
        (folder / "page" / "index.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    )
    assert (folder / "page" / "report.md").read_text(encoding="utf-8").startswith("# Results")
    assert sorted(path.name for path in (folder / "page").iterdir()) == ["index.html", "report.md"]
    again = run("report", "results", "-o", "page")  # what is there is replaced
    assert again.out == ""
    assert "Wrote page/index.html" in " ".join(again.err.split())


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent",), "there is no folder absent"),
        (("photos",), "photos holds no results"),
        (("vectors.npz",), "vectors.npz is a file; results are kept in a folder"),
        (("results", "-o", "vectors.npz"), "vectors.npz is a file; a report is a folder"),
        (("results", "-o", "absent/page"), "the folder absent does not exist"),
    ],
)
def test_what_cannot_be_reported_is_one_line(run, folder, arguments, message):
    before = sorted(folder.rglob("*"))
    ended = run("report", *arguments, code=2)
    assert message in " ".join(ended.err.split())
    assert sorted(folder.rglob("*")) == before
