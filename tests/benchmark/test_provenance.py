import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from hashlearn.benchmark import provenance

MODULE = import_module("hashlearn.benchmark.provenance")  # the package's name is the function


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """Pretend that the module lies in a fresh checkout, and give a function that runs git there."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    module = tmp_path / "provenance.py"
    module.write_text("first\n")
    monkeypatch.setattr(MODULE, "__file__", str(module))

    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git.module = module
    return git


def test_a_row_tells_code_and_machine():
    facts = provenance()
    assert facts["versions"].keys() >= {"hashlearn", "numpy", "scipy", "scikit-learn"}
    assert facts["python"].count(".") == 2
    assert facts["machine"]
    assert facts["cores"] is None or facts["cores"] >= 1
    age = datetime.now(UTC) - datetime.fromisoformat(facts["time"])
    assert timedelta(seconds=-2) < age < timedelta(minutes=1)
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.usefixtures("checkout")
def test_there_is_no_commit_outside_of_a_checkout():
    assert provenance()["commit"] is None


def test_the_commit_of_another_project_is_not_ours(checkout):
    checkout("init")
    other = checkout.module.with_name("other.py")
    other.write_text("")
    checkout("add", "other.py")
    checkout("commit", "--message", "other")
    assert provenance()["commit"] is None


def test_the_commit_says_whether_files_were_changed_since(checkout):
    checkout("init")
    checkout("add", "provenance.py")
    checkout("commit", "--message", "first")
    commit = checkout("rev-parse", "HEAD")[:12]
    assert provenance()["commit"] == commit
    checkout.module.with_name("untracked").write_text("")
    assert provenance()["commit"] == commit
    checkout.module.write_text("second\n")
    assert provenance()["commit"] == f"{commit}+"


def test_there_is_no_commit_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance()["commit"] is None
