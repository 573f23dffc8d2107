"""Bad input: its status, one sentence, and no server that fails."""

import base64
import struct
import zlib

import pytest

from hashlearn.web.limits import Limits

API = "/api/v1"
POINTS = f"{API}/collections/points"
ANIMALS = f"{API}/collections/animals"
PHOTOS = f"{API}/collections/photos"
JSON = {"content-type": "application/json"}
DEEP = b'{"where": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}"


def told(answer, status):
    """Check that an answer is one sentence with a status, and give the sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"detail"}
    assert isinstance(answer.json()["detail"], str)
    assert answer.json()["detail"]
    return answer.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"", 422, "the body: Field required"),
        (b"{", 400, "not valid JSON"),
        (b"[]", 422, "must be an object"),
        (b'"key"', 422, "must be an object"),
        (DEEP, 400, "recursion limit"),
        (b'{"key": NaN}', 400, "not valid JSON"),
        (b'{"vector": [Infinity]}', 400, "not valid JSON"),
        (b'{"vector": [1e999]}', 422, "finite number"),
        (b'{"vector": [' + b"9" * 5000 + b"]}", 400, "not valid JSON"),
        (b'{"vector": [' + b"9" * 400 + b"]}", 422, "valid number"),
        (b'{"vector": [1e300, 0, 0, 0, 0, 0, 0, 0]}', 422, "infinity"),
        (b'{"vector": [true, 0, 0, 0, 0, 0, 0, 0]}', 422, "valid number"),
        (b'{"vector": ["1", 0, 0, 0, 0, 0, 0, 0]}', 422, "valid number"),
        (b'{"vector": []}', 422, "at least 1 item"),
        (b'{"vector": [1, 2]}', 422, "8 features"),
        (b'{"key": "\xff"}', 400, "not valid JSON"),
        (b'{"key": "\\ud800"}', 400, "not valid JSON"),
        (b'{"key": "a\\u0000"}', 404, "there is no item"),
        (b'{"key": ""}', 422, "key"),
        (b'{"key": 7}', 422, "valid string"),
        (b'{"key": "none"}', 404, "there is no item 'none'"),
        (b'{"key": "p/1", "text": "a"}', 422, "exactly one of"),
        (b"{}", 422, "exactly one of"),
        (b'{"key": "p/1", "colour": 1}', 422, "colour: Extra inputs"),
        (b'{"key": "p/1", "k": 0}', 422, "k: "),
        (b'{"key": "p/1", "k": 1001}', 422, "k is at most 1,000"),
        (b'{"key": "p/1", "k": 1.5}', 422, "k: "),
        (b'{"key": "p/1", "k": true}', 422, "k: "),
        (b'{"key": "p/1", "k": ' + b"9" * 300 + b"}", 422, "k is at most"),
        (b'{"key": "p/1", "radius": -1}', 422, "radius: "),
        (b'{"key": "p/1", "k": null}', 422, "give k, radius, or both"),
        (b'{"code": "xx"}', 422, "code: "),
        (b'{"code": "abc"}', 422, "code: "),
        (b'{"code": "abcd"}', 422, "codes"),
        (b'{"code": "ab", "rerank": true}', 422, "cannot be re-ranked"),
        (b'{"text": "a"}', 422, "given as text, and the collection holds vectors"),
        (b'{"key": "p/1", "where": {"year": {}}}', 422, "min, max, not, contains"),
        (b'{"key": "p/1", "where": {"year": {"over": 1}}}', 422, "min, max, not, contains"),
        (b'{"key": "p/1", "where": {"year": 1e999}}', 422, "inf"),
        (b'{"key": "p/1", "where": {"year": ' + b"9" * 40 + b"}}", 422, "64 bits"),
        (b'{"key": "p/1", "where": {"year": [[]]}}', 422, "strings and numbers"),
        (b'{"key": "p/1", "where": {"year": ' + str([0] * 1001).encode() + b"}}", 422, "1000"),
        (b'{"key": "p/1", "where": {"caption": "' + b"a" * 2000 + b'"}}', 422, "1024"),
        (b'{"key": "p/1", "where": 3}', 422, "where: "),
    ],
)  # fmt: skip
def test_a_search_that_is_not_allowed_says_why(client, body, status, part):
    detail = told(client.post(f"{POINTS}/search", content=body, headers=JSON), status)
    assert part in detail
    assert len(detail) < 700


@pytest.mark.parametrize(
    ("items", "status", "part"),
    [
        ([], 422, "at least 1 item"),
        ([{}], 422, "give one of image, text, vector"),
        ([{"text": "a", "image": "b"}], 422, "not several"),
        ([{"text": "a", "key": "k"}, {"text": "b"}], 422, "each item has a key or none"),
        ([{"text": "a", "key": "k"}, {"text": "b", "key": "k"}], 422, "given more than once"),
        ([{"text": "a", "key": "t0"}], 409, "with other items: 't0'"),
        ([{"text": "a", "key": "a\0"}], 422, "NUL"),
        ([{"text": "a", "key": "k" * 1025}], 422, "1024"),
        ([{"text": "a", "label": "\0"}], 422, "NUL"),
        ([{"text": "a", "metadata": {"key": 1}}], 422, "every item has its own"),
        ([{"text": "a", "metadata": {"n": 2**70}}], 422, "64 bits"),
        ([{"text": "a", "metadata": {"n": "x" * 70_000}}], 422, "65536 characters"),
        ([{"text": 1}], 422, "text: "),
        ([{"vector": [1.0]}], 422, "given as vector"),
        ([{"text": "a"}] * 1001, 413, "at most 1,000 items"),
        ([{"text": "a"} | {f"f{i}": 1 for i in range(80)}], 422, "at most 64 fields"),
        ("text", 422, "items: "),
    ],
)
def test_items_that_are_not_allowed_are_not_added(client, items, status, part):
    assert part in told(client.post(f"{ANIMALS}/items", json={"items": items}), status)
    assert client.get(ANIMALS).json()["n_items"] == 20


def test_json_that_would_take_many_times_its_bytes_is_refused_before_it_is_read(client):
    body = b'{"where": {"a": [' + b"[]," * 200_000 + b"[]]}}"
    answer = client.post(f"{POINTS}/search", content=body, headers=JSON)
    assert "at most 200,000 arrays and objects" in told(answer, 413)


def test_vectors_of_different_lengths_are_refused(client):
    items = [{"vector": [1.0] * 8}, {"vector": [1.0] * 7}]
    assert "one length" in told(client.post(f"{POINTS}/items", json={"items": items}), 422)


def png(width, height, data=b""):
    """Write a PNG that says how large it is."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("file", "status", "part"),
    [
        (b"", 422, "not an image"),
        (b"no image", 422, "not an image"),
        (png(9000, 9000), 413, "at most 50,000,000 pixels"),
        (png(60_000, 60_000), 422, "too large"),
        (png(4, 4, b"short"), 422, "damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", 422, "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not an image"),
    ],
)
def test_images_that_are_not_allowed_are_refused(client, file, status, part):
    text = base64.b64encode(file).decode()
    assert part in told(client.post(f"{PHOTOS}/search", json={"image": text}), status)
    new = {"items": [{"key": "new", "image": text}]}
    assert part in told(client.post(f"{PHOTOS}/items", json=new), status)


def test_what_is_not_base64_is_refused(client):
    assert "not base64" in told(client.post(f"{PHOTOS}/search", json={"image": "a b"}), 422)
    assert "not base64" in told(client.post(f"{PHOTOS}/search", json={"image": "é"}), 422)


def test_pixels_are_counted_over_all_images_before_any_is_decoded(serving, image, monkeypatch):
    pictures, encoded = image
    client = serving(limits=Limits(max_pixels=200))  # an image has 120
    text = encoded(pictures()[0])
    assert client.post(f"{PHOTOS}/search", json={"image": text}).status_code == 200
    monkeypatch.setattr("hashlearn.web.uploads.read_image", None)
    items = {"items": [{"key": "a", "image": text}, {"key": "b", "image": text}]}
    assert "at most 200 pixels" in told(client.post(f"{PHOTOS}/items", json=items), 413)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "multipart/form-data", "é"])
def test_a_body_that_does_not_say_that_it_is_json_is_refused(client, kind):
    headers = {"content-type": kind.encode()}
    answer = client.post(f"{POINTS}/search", content=b'{"key": "p/1"}', headers=headers)
    assert "application/json" in told(answer, 415)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        (f"{API}/nothing", 404),
        (f"{API}/collections/none", 404),
        (f"{API}/collections/..", 404),
        (f"{API}/collections/..%2f..%2fetc", 404),
        (f"{API}/collections/%2e%2e%2fpoints.collection", 404),
        (f"{API}/collections/points%00", 404),
        (f"{API}/collections/%ff%fe", 404),
        (f"{POINTS}/item", 422),
        (f"{POINTS}/item?key=", 404),
        (f"{POINTS}/item?key=%00", 404),
        (f"{POINTS}/item?key=%ed%a0%80", 404),
        (f"{POINTS}/content?key=../items.sqlite", 404),
        (f"{POINTS}/items?n=0", 422),
        (f"{POINTS}/items?n=1001", 422),
        (f"{POINTS}/items?n=x", 422),
        (f"{POINTS}/items?n={'9' * 5000}", 422),
        (f"{POINTS}/items?after=none", 404),
        (f"{POINTS}/items?where=[]", 422),
        (f"{POINTS}/items?where=NaN", 422),
        (f"{POINTS}/items?where={{", 422),
        (f'{POINTS}/items?where={{"year":{{"over":1}}}}', 422),
    ],
)
def test_a_path_that_leads_nowhere_says_so(client, path, status):
    told(client.get(path), status)


def test_too_many_conditions_are_refused(client):
    where = {f"f{i}": 1 for i in range(33)}
    told(client.post(f"{POINTS}/search", json={"key": "p/1", "where": where}), 422)
    answer = client.get(f"{POINTS}/items", params={"where": str(where).replace("'", '"')})
    assert "at most 32 conditions" in told(answer, 422)


def test_a_method_that_a_path_has_not_is_refused(client):
    told(client.put(f"{API}/collections"), 405)


def test_changes_that_are_not_allowed_change_nothing(client):
    before = client.get(f"{POINTS}/item?key=p/1").json()
    path = f"{POINTS}/item?key=p/1"
    assert "at least one field" in told(client.patch(path, json={}), 422)
    assert "Extra" in told(client.patch(path, json={"key": "new"}), 422)
    assert "NUL" in told(client.patch(path, json={"label": "a\0"}), 422)
    assert "8 features" in told(client.patch(path, json={"vector": [1.0]}), 422)
    assert "given as text" in told(client.patch(path, json={"text": "a"}), 422)
    told(client.patch(f"{POINTS}/item?key=none", json={"label": "a"}), 404)
    told(client.patch(f"{POINTS}/item", json={"label": "a"}), 422)
    assert client.get(path).json() == before


def test_too_many_results_within_a_radius_are_refused(serving):
    client = serving(limits=Limits(max_results=5))
    asked = {"key": "p/1", "k": None, "radius": 8}
    assert "more than 5 items" in told(client.post(f"{POINTS}/search", json=asked), 422)
    assert len(client.post(f"{POINTS}/search", json=asked | {"k": 9}).json()["hits"]) == 9


def test_a_fault_of_the_server_is_told_without_its_reason(client, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("secret path /srv")

    monkeypatch.setattr("hashlearn.collection.Collection.get", fail)
    detail = told(client.get(f"{POINTS}/item?key=p/1"), 500)
    assert "secret" not in detail
    assert 'status="500"' in client.get(f"{API}/metrics").text


def test_a_damaged_database_is_a_fault_of_the_server(client, monkeypatch):
    import sqlite3

    def fail(*_, **__):
        raise ValueError("/srv/items.sqlite is damaged") from sqlite3.DatabaseError("malformed")

    monkeypatch.setattr("hashlearn.collection.Collection.get", fail)
    assert "srv" not in told(client.get(f"{POINTS}/item?key=p/1"), 500)


def test_another_writer_is_a_reason_to_come_again(client, monkeypatch):
    def fail(*_, **__):
        raise TimeoutError("another process has been writing to /srv/items.sqlite for 60 s")

    monkeypatch.setattr("hashlearn.collection.Collection.remove", fail)
    answer = client.delete(f"{POINTS}/item?key=p/1")
    assert "srv" not in told(answer, 503)
    assert answer.headers["retry-after"] == "10"
