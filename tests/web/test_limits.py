"""Bodies that are too long and requests that take too long, byte by byte."""

import asyncio
import threading

import pytest

from hashlearn.web.limits import Limited, Limits

HEAD = {"type": "http", "method": "POST", "path": "/", "headers": []}


def ask(app, parts, *, headers=(), limits=None):
    """Send parts of a body to an application behind the limits, and give what it answers."""
    sent = []
    waiting = [
        {"type": "http.request", "body": part, "more_body": i < len(parts) - 1}
        for i, part in enumerate(parts)
    ]

    async def receive():
        if not waiting:
            await asyncio.Event().wait()
        message = waiting.pop(0)
        if message["body"] is None:
            await asyncio.Event().wait()
        return message

    async def send(message):
        sent.append(message)

    limited = Limited(app, limits or Limits(max_body_bytes=10, max_seconds=5))
    asyncio.run(limited({**HEAD, "headers": list(headers)}, receive, send))
    return sent, len(waiting)


async def echo(_, receive, send):
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def test_a_body_arrives_as_it_was_sent():
    sent, _ = ask(echo, [b"01234", b"", b"56789"])
    assert sent[1]["body"] == b"0123456789"


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"3")], [(b"content-length", b"x")]])
def test_a_body_is_counted_whatever_its_head_says(headers):
    sent, _ = ask(echo, [b"01234", b"567890"], headers=headers)
    assert sent[0]["status"] == 413


def test_a_head_that_tells_of_too_much_is_believed():
    sent, _ = ask(echo, [b"0"], headers=[(b"content-length", b"11")])
    assert sent[0]["status"] == 413
    sent, _ = ask(echo, [b"0"], headers=[(b"content-length", b"9" * 5000)])
    assert sent[0]["status"] == 413


def test_a_head_that_tells_of_too_much_is_refused_before_a_body_comes():
    sent, _ = ask(echo, [b"0", None], headers=[(b"content-length", b"11")])
    assert sent[0]["status"] == 413


def test_a_body_without_end_is_not_read_to_its_end():
    sent, n_waiting = ask(echo, [b"01234"] * 100)
    assert sent[0]["status"] == 413
    assert n_waiting > 90


def test_a_body_that_does_not_come_ends_in_time():
    sent, _ = ask(echo, [b"0", None], limits=Limits(max_seconds=0.05))
    assert sent[0]["status"] == 504


def test_an_answer_that_does_not_come_is_given_up():
    async def slow(*_):
        await asyncio.Event().wait()

    sent, _ = ask(slow, [b""], limits=Limits(max_seconds=0.05))
    assert sent[0]["status"] == 504


def test_an_error_of_the_application_stays_what_it_was():
    async def fail(*_):
        raise TimeoutError("of the application")

    with pytest.raises(TimeoutError, match="of the application"):
        ask(fail, [b""])


def test_a_client_that_goes_is_forgotten():
    async def silent(_, receive, __):
        assert (await receive())["body"] == b""

    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(Limited(silent, Limits())(HEAD, receive, send))
    assert sent == []


def test_a_slow_search_is_given_up_and_keeps_no_other_waiting(serving, monkeypatch):
    client = serving(limits=Limits(max_seconds=0.2))
    waiting = threading.Event()
    get = client.app.state.collections["points"].get

    def slow(keys):
        if keys == ["slow"]:
            waiting.wait(20)
        return get(keys)

    monkeypatch.setattr(client.app.state.collections["points"], "get", slow)
    try:
        answer = client.get("/api/v1/collections/points/item?key=slow")
        assert answer.status_code == 504
        assert "more than 0.2 s" in answer.json()["detail"]
        assert client.get("/api/v1/collections/points/item?key=p/1").status_code == 200
    finally:
        waiting.set()


def test_what_is_encoded_keeps_no_search_by_key_waiting(serving, monkeypatch):
    client = serving(limits=Limits(max_seconds=0.3))
    points, waiting = client.app.state.collections["points"], threading.Event()
    monkeypatch.setattr(points, "search", lambda *_, **__: waiting.wait(20))
    try:
        for _ in range(8):
            asked = {"vector": [1.0] * 8}
            answer = client.post("/api/v1/collections/points/search", json=asked)
            assert answer.status_code == 504
        answer = client.post("/api/v1/collections/points/search", json={"key": "p/1"})
        assert answer.status_code == 200
    finally:
        waiting.set()


def test_what_is_written_keeps_no_search_waiting(serving, monkeypatch):
    client = serving(limits=Limits(max_seconds=0.3))
    points, waiting = client.app.state.collections["points"], threading.Event()
    monkeypatch.setattr(points, "add", lambda *_, **__: waiting.wait(20))
    try:
        for _ in range(8):
            new = {"items": [{"vector": [1.0] * 8}]}
            answer = client.post("/api/v1/collections/points/items", json=new)
            assert answer.status_code == 504
        asked = {"vector": [1.0] * 8}
        answer = client.post("/api/v1/collections/points/search", json=asked)
        assert answer.status_code == 200
    finally:
        waiting.set()


@pytest.mark.parametrize("name", ["max_body_bytes", "max_k", "max_seconds"])
def test_limits_are_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        Limits(**{name: 0})
