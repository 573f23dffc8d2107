"""Who may come in, and who may write."""

import pytest

from hashlearn.web.access import COOKIE, Access, Local, is_loopback

API = "/api/v1"
KEY = "a long key"
PATHS = ["/api/v1/collections", "/api/v1/metrics", "/api/v1/openapi.json", "/api/v1/nothing"]


@pytest.mark.parametrize("path", PATHS)
def test_programs_without_the_key_are_refused(serving, path):
    client = serving(api_key=KEY)
    for headers in (
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": b"Bearer \xff\xfe"},
        {"cookie": f"{COOKIE}=x"},
        {"cookie": b"\xff=\xfe; [=;"},
        {"cookie": f"{COOKIE}={KEY.replace(' ', '')}"},
    ):
        answer = client.get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "key" in answer.json()["detail"]


def test_who_has_the_key_comes_in(serving):
    client = serving(api_key=KEY)
    for headers in ({"authorization": f"Bearer {KEY}"}, {"authorization": f"bearer  {KEY} "}):
        assert client.get(f"{API}/collections", headers=headers).status_code == 200


def test_who_has_the_cookie_comes_in_and_it_does_not_tell_the_key(serving):
    client = serving(api_key=KEY)
    value = client.app.state.access.cookie
    assert KEY not in value
    assert value != Access("another key").cookie
    client.cookies.set(COOKIE, value)
    assert client.get(f"{API}/collections").status_code == 200


def test_health_is_open_to_all(serving):
    assert serving(api_key=KEY).get(f"{API}/health").status_code == 200


def test_people_without_the_key_are_sent_to_the_form(serving):
    answer = serving(api_key=KEY).get("/", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2F"


def test_a_key_is_asked_for_before_a_body_is_read(serving):
    client = serving(api_key=KEY)
    answer = client.post(f"{API}/collections/points/search", content=b"0" * (17 << 20))
    assert answer.status_code == 401


def test_an_empty_key_is_no_key():
    with pytest.raises(ValueError, match="must not be empty"):
        Access(" ")


def test_nobody_writes_where_all_is_read_only(serving):
    client = serving(read_only=True)
    path = f"{API}/collections/points"
    item = {"items": [{"key": "new", "vector": [1.0] * 8}]}
    for answer in (
        client.post(f"{path}/items", json=item),
        client.patch(f"{path}/item?key=p/1", json={"label": "a"}),
        client.delete(f"{path}/item?key=p/1"),
    ):
        assert answer.status_code == 403
        assert "reading only" in answer.json()["detail"]
    assert client.get(path).json()["read_only"] is True
    assert client.get(path).json()["n_items"] == 40
    assert client.post(f"{path}/search", json={"key": "p/1"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.0.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_addresses_of_this_machine_are_known(host, is_own):
    assert is_loopback(host) is is_own


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:8000", 200), ("evil.example:8000", 403),
     ("", 403), ("[", 403), ("localhost.evil.example", 403)],
)  # fmt: skip
def test_a_foreign_name_that_leads_here_is_not_answered(serving, host, status):
    client = serving()
    client.app.middleware_stack = None
    client.app.add_middleware(Local)
    answer = client.get(f"{API}/collections", headers={"host": host})
    assert answer.status_code == status
