"""The pages as HTML, and the way in."""

import json
import re

import pytest
from fastapi.testclient import TestClient

from hashlearn.collection import Collection
from hashlearn.web.app import create_app

SECRET = "a key"


@pytest.fixture
def guarded(serving):
    return serving(api_key=SECRET)


def sign_in(client, key, wanted="/"):
    sent = {"key": key, "next": wanted}
    return client.post("/login", data=sent, follow_redirects=False)


def about(response):
    (text,) = re.findall(r'id="about">(.*?)</script>', response.text)
    return json.loads(text)


def test_the_first_page_lists_the_collections(client):
    page = client.get("/")
    assert page.status_code == 200
    for name in ("points", "photos", "animals"):
        assert f'<a href="/c/{name}">' in page.text
    assert "40 vectors · ITQ, 8 bits" in page.text


def test_one_collection_alone_is_shown_at_once(folder):
    with TestClient(create_app({"a & b": Collection.open(folder / "points.collection")})) as client:
        page = client.get("/")
        assert page.url.raw_path == b"/c/a%20%26%20b"
        assert "<h1>a &amp; b</h1>" in page.text


def test_a_page_knows_its_collection_and_those_that_fit_beside_it(client):
    page = client.get("/c/points")
    (shown,) = about(page)["shown"]
    assert (shown["name"], shown["kind"], shown["n_bits"]) == ("points", "vectors", 8)
    assert about(page)["alike"] == []


def test_what_a_person_can_give_depends_on_the_items(client):
    assert 'type="file"' in client.get("/c/photos").text
    assert 'type="search"' in client.get("/c/animals").text
    page = client.get("/c/points").text
    assert 'type="file"' not in page
    assert 'type="search"' not in page


def test_two_collections_of_one_kind_stand_side_by_side(folder):
    opened = {name: Collection.open(folder / "points.collection") for name in "ab"}
    with TestClient(create_app(opened)) as client:
        page = client.get("/c/a?with=b")
        assert [one["name"] for one in about(page)["shown"]] == ["a", "b"]
        assert page.text.count('class="column"') == 2
        assert client.get("/c/a?with=a").status_code == 400


def test_collections_of_two_kinds_cannot_be_compared(client):
    page = client.get("/c/points?with=photos")
    assert page.status_code == 400
    assert "no query fits both" in page.text


@pytest.mark.parametrize(
    "path", ["/c/none", "/c/points?with=none", "/c/<script>", "/c/..%2fpoints"]
)
def test_a_page_that_is_not_there_names_those_that_are(client, path):
    page = client.get(path)
    assert page.status_code == 404
    assert "<script>" not in page.text.replace('<script src="/static/theme.js"></script>', "")
    if "%2f" not in path:
        assert "/c/animals" in page.text


@pytest.mark.parametrize("path", ["/", "/c/points", "/c/none", "/login"])
def test_pages_load_nothing_from_elsewhere_and_are_not_kept(client, path):
    page = client.get(path)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert re.findall(r'(?:src|href)="(?!/|#|\?)([^"]*)"', page.text) == []
    assert re.findall(r"<[^>]+ (?:style|on\w+)=", page.text) == []


@pytest.mark.parametrize("name", ["page.js", "page.css", "icon.svg", "theme.js"])
def test_the_files_of_the_page_are_asked_for_anew(client, name):
    file = client.get(f"/static/{name}")
    assert file.status_code == 200
    assert file.headers["cache-control"] == "no-cache"
    again = client.get(f"/static/{name}", headers={"If-None-Match": file.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["/static/../pages.py", "/static/%2e%2e/pages.py", "/static/"])
def test_no_other_file_is_served(client, path):
    assert client.get(path).status_code == 404


def test_the_form_lets_in_who_knows_the_key(guarded):
    assert guarded.get("/c/points", follow_redirects=False).headers["location"] == (
        "/login?next=%2Fc%2Fpoints"
    )
    assert guarded.get("/static/page.css").status_code == 200
    form = guarded.get("/login?next=%2Fc%2Fpoints")
    assert 'value="/c/points"' in form.text
    signed = sign_in(guarded, SECRET, "/c/points")
    assert (signed.status_code, signed.headers["location"]) == (303, "/c/points")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert SECRET not in cookie
    assert guarded.get("/c/points").status_code == 200
    assert guarded.get("/api/v1/collections/points").status_code == 200


@pytest.mark.parametrize("key", ["", "another key", "\udcff"])
def test_the_form_refuses_who_does_not(guarded, key):
    refused = sign_in(guarded, key.encode(errors="surrogateescape"))
    assert refused.status_code == 401
    assert "That is not the key." in refused.text
    assert "set-cookie" not in refused.headers
    assert guarded.get("/api/v1/collections").status_code == 401


@pytest.mark.parametrize("wanted", ["https://example.org/", "//example.org", "/\\example.org", ""])
def test_the_form_never_leads_to_another_host(guarded, wanted):
    assert sign_in(guarded, SECRET, wanted).headers["location"] == "/"
