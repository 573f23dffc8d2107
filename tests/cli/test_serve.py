"""hashlearn serve: what it refuses before it serves, and what it says."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest
from fastapi.testclient import TestClient

import hashlearn
from hashlearn.collection import Collection
from hashlearn.web import server


@pytest.fixture
def points(tmp_path):
    """Make a collection."""
    X = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    path = tmp_path / "points.collection"
    hasher = hashlearn.get_method("lsh")(8, random_state=0).fit(X)
    with Collection.create(hasher, path) as collection:
        collection.add(X, keys=[str(i) for i in range(10)])
    return path


@pytest.fixture
def served(monkeypatch):
    """Serve nothing, and tell what would have been served."""
    calls = []

    def serve(app, listening):
        calls.append((app, listening.getsockname()[1]))
        app.state.service.close()

    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.delenv("HASHLEARN_API_KEY", raising=False)
    return calls


def test_the_address_is_told(run, points, served):
    ended = run("serve", points, "--port", 0)
    ((app, port),) = served
    assert ended.err == f"points at http://127.0.0.1:{port} (Ctrl-C ends)\n"
    assert list(app.state.collections) == ["points"]
    assert app.state.access.is_open
    told = run("serve", points, "--port", 0, "--json").json
    assert told["collections"] == ["points"]
    assert told["address"].startswith("http://127.0.0.1:")


def test_a_key_comes_from_a_file_or_the_environment(run, points, served, tmp_path, monkeypatch):
    file = tmp_path / "key.txt"
    file.write_text(" from the file \nsecond line\n")
    run("serve", points, "--port", 0, "--api-key-file", file, "--host", "0.0.0.0")
    monkeypatch.setenv("HASHLEARN_API_KEY", "from the environment")
    run("serve", points, "--port", 0)
    assert served[0][0].state.access.is_key("from the file")
    assert served[1][0].state.access.is_key("from the environment")


def test_other_machines_are_let_in_without_a_key_only_if_that_is_said(run, points, served):
    refused = run("serve", points, "--port", 0, "--host", "0.0.0.0", code=2)
    assert "--api-key-file, or say --no-key" in refused.err
    assert served == []
    run("serve", points, "--port", 0, "--host", "0.0.0.0", "--no-key")
    assert len(served) == 1


def test_read_only_reaches_the_collections(run, points, served):
    run("serve", points, "--port", 0, "--read-only")
    assert served[0][0].state.collections["points"].read_only


def test_without_a_key_foreign_names_are_answered_only_if_that_is_said(run, points, served):
    for options, status in (((), 403), (("--no-key",), 200)):
        run("serve", points, "--port", 0, *options)
        app, _ = served[-1]
        client = TestClient(app, base_url="http://evil.example")
        assert client.get("/api/v1/health").status_code == status


def test_a_browser_is_opened(run, points, served, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run("serve", points, "--port", 0, "--open")
    assert opened == [f"http://127.0.0.1:{served[0][1]}"]


def test_several_processes_are_told_what_to_serve(run, points, monkeypatch, served):
    calls = []
    monkeypatch.setattr(server, "serve_in_workers", lambda *arguments: calls.append(arguments))
    monkeypatch.setenv("HASHLEARN_API_KEY", "key")
    run("serve", points, "--port", 0, "--workers", 3, "--read-only")
    ((what, _, n_workers),) = calls
    assert what == server.Served((str(points),), True, "key")
    assert n_workers == 3
    assert served == []


def test_a_worker_opens_what_its_parent_says(points, monkeypatch):
    told = {"paths": [str(points)], "read_only": True, "api_key": "key"}
    monkeypatch.setenv("HASHLEARN_SERVE", json.dumps(told))
    app = server.app_of_worker()
    assert app.state.collections["points"].read_only
    assert app.state.access.is_key("key")
    app.state.service.close()


def test_what_cannot_be_served_is_told_in_one_line(run, points, served, tmp_path):
    def refusal(*arguments):
        (line,) = run("serve", *arguments, "--port", 0, code=2).err.splitlines()
        return line

    assert "is not a collection" in refusal(tmp_path / "none")
    assert "would both be named 'points'" in refusal(points, points)
    assert "there is no file none" in refusal(points, "--api-key-file", "none")
    (tmp_path / "empty").write_text("\n")
    assert "the first line of" in refusal(points, "--api-key-file", tmp_path / "empty")
    (points / "items.sqlite").write_bytes(b"damaged" * 1000)
    assert "items.sqlite is damaged" in refusal(points)
    assert served == []


def test_a_port_in_use_is_told_in_one_line(run, points, served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (line,) = run("serve", points, "--port", port, code=2).err.splitlines()
    assert f"cannot listen on port {port} of 127.0.0.1" in line
    assert served == []


def test_a_missing_extra_is_named(points):
    code = (
        "import sys; sys.modules['fastapi'] = None; from hashlearn.cli import main; "
        f"sys.argv = ['hashlearn', 'serve', {str(points)!r}]; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "pip install 'hashlearn[serve]'" in ended.stderr
