"""Models to the Hub and back without writing Python."""

import json

import numpy as np
import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

import hashlearn
from hashlearn.cli import app
from hashlearn.hashers.shallow.itq import ITQ

VECTORS = np.random.default_rng(0).normal(1, 3, (60, 20)).astype(np.float32)


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Save a model in the folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    fitted = ITQ(12, random_state=0).fit(VECTORS)
    fitted.save("it.model")
    return fitted


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_a_model_comes_back_as_it_was_pushed(hub, model):
    pushed = run(
        "push",
        "it.model",
        "org/codes",
        "--license",
        "mit",
        "--data",
        "noise",
        "--private",
        "--json",
    )
    assert pushed.exit_code == 0, pushed.exception
    (commit,) = hub.repositories["org/codes"]
    assert json.loads(pushed.stdout) == {
        "commit": f"{hub.address}/org/codes/commit/{commit['sha']}"
    }
    card = ModelCard(commit["files"]["README.md"].decode())
    assert card.data.license == "mit"
    assert "Learned from items of noise." in card.text
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"
    pulled = run("pull", "org/codes", "-o", "back.model", "--json")
    assert pulled.exit_code == 0, pulled.exception
    assert json.loads(pulled.stdout) == {"model": "back.model", "method": "itq", "n_bits": 12}
    loaded = hashlearn.load("back.model")
    np.testing.assert_array_equal(loaded.encode(VECTORS), model.encode(VECTORS))


@pytest.mark.usefixtures("model")
def test_a_commit_is_pulled_by_its_name(hub):
    run("push", "it.model", "org/codes")
    ITQ(8, random_state=0).fit(VECTORS).save("it.model")
    run("push", "it.model", "org/codes")
    first, _ = hub.repositories["org/codes"]
    for options, n_bits in (([], 8), (["--revision", first["sha"]], 12)):
        assert run("pull", "org/codes", "-o", "back.model", *options).exit_code == 0
        assert hashlearn.load("back.model").n_bits == n_bits


@pytest.mark.usefixtures("model")
def test_nothing_is_asked_of_the_hub_where_the_answer_could_not_be_kept(hub):
    assert isinstance(run("pull", "org/codes", "-o", "nowhere/a").exception, FileNotFoundError)
    assert isinstance(run("push", "none.model", "org/codes").exception, FileNotFoundError)
    assert hub.asked == []
