"""The documentation is run, and what is generated is up to date."""

import ast
import doctest
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hashlearn.benchmark.papers import load_paper
from hashlearn.hashers import get_method, methods

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["flow.md", "protocols.md"])
def test_documents_run_as_they_stand(name):
    failed, tried = doctest.testfile(str(ROOT / "docs" / name), module_relative=False)
    assert tried > 25
    assert failed == 0


def test_the_examples_of_the_readme_run_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    first, second = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(first, names)
    assert float(capsys.readouterr().out) > 0.7
    assert {path.name for path in tmp_path.iterdir()} == {"digits.model", "digits.index"}
    exec(second, names)
    hits = ast.literal_eval(capsys.readouterr().out)
    assert len(hits) == 5
    assert hits[0][1] == 0
    assert (tmp_path / "digits.collection").is_dir()


def test_the_generated_parts_are_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    generate = importlib.import_module("generate")
    assert len(generate.PARTS) == 4
    for path in generate.PARTS:
        assert generate.generate(path) == path.read_text(encoding="utf-8"), "run `make docs`"


def test_links_in_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples_run(path, tmp_path):
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)
def test_every_method_has_its_file_its_test_and_its_paper(method):
    cls = get_method(method.name)
    assert cls.__name__ == method.class_name
    assert cls.__name__.lower() == method.name
    assert cls.supervised == (method.supervision == "labels")
    test = ROOT / "tests" / "hashers" / f"test_{method.name}.py"
    assert test.is_file(), f"{method.class_name} has no test: write {test.name}"
    paper = ROOT / "benchmarks" / "papers" / f"{method.name}.toml"
    if not method.has_paper:
        assert not paper.exists(), f"{method.class_name} is our own, and has the file {paper.name}"
        return
    assert paper.is_file(), f"{method.class_name} has no paper file: write {paper.name}"
    assert load_paper(paper).method == method.name


def test_no_file_of_a_method_is_missing_from_the_table():
    folder = ROOT / "src" / "hashlearn" / "hashers"
    files = {
        path.stem
        for family in ("shallow", "deep")
        for path in (folder / family).glob("*.py")
        if not path.stem.startswith("_")
    }
    assert files == {method.name for method in methods()}


def test_the_project_speaks_of_itself_alone():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".hpp", ".cpp"} and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(^|[^\w.])/(home|root|work)/\w", text), f"a path in {name}"
