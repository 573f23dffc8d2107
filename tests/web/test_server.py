"""The server as a process: signals, several processes, several collections."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest

from hashlearn.collection import Collection
from hashlearn.web.server import address_of, listen, names_of

ENTRY = (sys.executable, "-c", "from hashlearn.cli import main; main()")


@contextmanager
def running(*arguments):
    """Serve on a free port; give a client and the process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [*ENTRY, "serve", *map(str, arguments), "--port", "0", "--json"],
        stdout=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    try:
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        told = json.loads(text)
        with httpx2.Client(base_url=f"{told['address']}/api/v1", timeout=60) as client:
            yield client, process
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def test_collections_are_served_by_the_names_of_their_folders(folder):
    with running(folder / "points.collection", folder / "animals.collection") as (client, _):
        listed = client.get("/collections").json()["collections"]
        assert [one["name"] for one in listed] == ["points", "animals"]
        found = client.post("/collections/points/search", json={"key": "p/1"})
        assert len(found.json()["hits"]) == 20
        assert "server" not in found.headers


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_what_was_acknowledged_before_a_signal_is_there_after_it(folder, workers, ending):
    path, acknowledged, enough = folder / "animals.collection", [], threading.Event()
    with running(path, "--workers", workers) as (client, process):

        def add():
            for i in range(10_000):
                body = {"items": [{"key": f"new/{i}/{j}", "text": f"owl {i}"} for j in range(5)]}
                try:
                    answer = client.post("/collections/animals/items", json=body)
                except httpx2.TransportError:
                    return
                if answer.status_code == 201:
                    acknowledged.append(i)
                if len(acknowledged) == 5:
                    enough.set()

        adding = threading.Thread(target=add)
        adding.start()
        assert enough.wait(60)
        process.send_signal(ending)
        process.wait(60)
        adding.join(60)
    with Collection.open(path) as animals:
        n_new = sum(key.startswith("new/") for key in (item.key for item in animals.list(10**6)))
        assert all(f"new/{i}/4" in animals for i in acknowledged)
        assert n_new % 5 == 0
        assert animals.verify().is_whole


def test_a_request_that_runs_at_the_signal_is_answered(folder):
    path = folder / "animals.collection"
    body = {"items": [{"key": f"new/{j}", "text": f"owl number {j} " * 40} for j in range(1000)]}
    with running(path) as (client, process):
        answers = []

        def add():
            answers.append(client.post("/collections/animals/items", json=body))

        adding = threading.Thread(target=add)
        with Collection.open(path) as other, other._database.writing():
            adding.start()  # it cannot end before the other one does
            while "hashlearn_running_requests 2.0" not in client.get("/metrics").text:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
        adding.join(60)
        process.wait(60)
    assert [answer.status_code for answer in answers] == [201]
    with Collection.open(path) as animals:
        assert len(animals) == 1020


def test_two_processes_see_what_the_other_writes(folder):
    path = folder / "points.collection"
    with running(path) as (one, _), running(path) as (other, _):
        new = {"items": [{"key": "new", "vector": [1.0] * 8}]}
        assert one.post("/collections/points/items", json=new).status_code == 201
        asked = {"vector": [1.0] * 8, "k": 1}
        hit = other.post("/collections/points/search", json=asked).json()["hits"][0]
        assert hit["distance"] == 0
        assert other.delete("/collections/points/item?key=new").status_code == 204
        assert one.get("/collections/points/item?key=new").status_code == 404
        for i in range(10):
            items = [{"items": [{"key": f"{n}/{i}", "vector": [i] * 8}]} for n in range(2)]
            assert one.post("/collections/points/items", json=items[0]).status_code == 201
            assert other.post("/collections/points/items", json=items[1]).status_code == 201
        assert one.get("/collections/points").json()["n_items"] == 60
        assert other.get("/collections/points").json()["n_items"] == 60


def test_another_process_that_rebuilds_is_followed(folder):
    path = folder / "points.collection"
    with running(path) as (client, _), Collection.open(path) as points:
        points.rebuild(points.model)
        assert client.get("/collections/points").json()["generation"] == 2


def test_names_leave_out_the_ending_and_are_distinct(tmp_path):
    named = names_of([tmp_path / "a.collection", tmp_path / "b"])
    assert named == {"a": tmp_path / "a.collection", "b": tmp_path / "b"}
    with pytest.raises(ValueError, match="would both be named 'a'"):
        names_of([tmp_path / "a.collection", tmp_path / "a"])
    with pytest.raises(ValueError, match="at least one"):
        names_of([])


def test_an_address_is_written_for_a_browser():
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match=f"cannot listen on port {port} of 127.0.0.1: "):
            listen("127.0.0.1", port)


def test_answers_do_not_wait_for_more_to_send():
    import socket

    with listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # asyncio turns Nagle's algorithm off for it
