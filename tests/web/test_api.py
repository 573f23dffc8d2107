"""Every route: what it answers is what the collection says."""

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import hashlearn
from hashlearn.collection import Collection
from hashlearn.data.images import read_image

API = "/api/v1"
POINTS = f"{API}/collections/points"
ANIMALS = f"{API}/collections/animals"
PHOTOS = f"{API}/collections/photos"


def opened(folder, name="points"):
    return Collection.open(folder / f"{name}.collection")


def shown(found):
    """Bring what a collection found into the form in which it travels."""
    return [
        {
            "item": {
                "key": hit.item.key,
                "source": hit.item.source,
                "caption": hit.item.caption,
                "label": hit.item.label,
                "metadata": hit.item.metadata,
                "code": bytes(hit.item.code).hex(),
            },
            "distance": hit.distance,
            "weighted_distance": hit.weighted_distance,
            "differing_bits": found.differing_bits(hit.item),
        }
        for hit in found.hits
    ]


def test_health_tells_the_version(client):
    assert client.get(f"{API}/health").json() == {"status": "ok", "version": hashlearn.__version__}


def test_collections_are_listed(client):
    listed = client.get(f"{API}/collections").json()["collections"]
    assert [(one["name"], one["kind"], one["n_items"], one["n_bits"]) for one in listed] == [
        ("points", "vectors", 40, 8), ("photos", "images", 8, 16), ("animals", "texts", 20, 16),
    ]  # fmt: skip
    assert listed[0]["method"] == "ITQ"
    assert listed[0]["generation"] == 1
    assert listed[0]["read_only"] is False


def test_a_collection_tells_its_fields_the_most_frequent_values_first(client):
    client.patch(f"{POINTS}/item?key=p/1", json={"label": "even"})
    fields = client.get(POINTS).json()["fields"]
    assert fields["label"] == [{"value": "even", "n": 21}, {"value": "odd", "n": 19}]
    assert {"value": 2003, "n": 1} in fields["year"]


def test_items_come_in_pages_until_there_are_none(client):
    keys, after = [], ""
    while after is not None:
        page = client.get(f"{POINTS}/items?n=15{after}").json()
        keys += [item["key"] for item in page["items"]]
        after = page["next"] and f"&after={page['next']}"
    assert keys == [f"p/{i}" for i in range(40)]


def test_items_are_filtered(client):
    found = client.get(
        f"{POINTS}/items", params={"where": '{"label": "odd", "year": {"max": 2004}}'}
    ).json()
    assert [item["key"] for item in found["items"]] == ["p/1", "p/3"]
    assert found["next"] is None


def test_an_item_tells_what_is_known_of_it(client, folder):
    with opened(folder) as points:
        code = bytes(points.get(["p/3"])[0].code).hex()
    assert client.get(f"{POINTS}/item?key=p/3").json() == {
        "key": "p/3", "source": None, "caption": "point 3", "label": "odd",
        "metadata": {"year": 2003}, "code": code,
    }  # fmt: skip


def test_a_large_picture_comes_small_to_who_asks_for_that(client):
    large = np.random.default_rng(0).integers(0, 256, (400, 200, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(large).save(file, "PNG")
    new = {"key": "large", "image": base64.b64encode(file.getvalue()).decode()}
    assert client.post(f"{PHOTOS}/items", json={"items": [new]}).status_code == 201
    whole = client.get(f"{PHOTOS}/content?key=large")
    assert Image.open(BytesIO(whole.content)).size == (200, 400)
    small = client.get(f"{PHOTOS}/content?key=large&small=1")
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(small.content)).size == (80, 160)
    whole, small = (client.get(f"{PHOTOS}/content?key=1.png{end}") for end in ("", "&small=1"))
    assert whole.content == small.content


def test_a_content_that_the_browser_has_is_not_sent_again(client):
    first = client.get(f"{ANIMALS}/content?key=t1")
    known = {"If-None-Match": first.headers["etag"]}
    again = client.get(f"{ANIMALS}/content?key=t1", headers=known)
    assert (again.status_code, again.content) == (304, b"")
    client.patch(f"{ANIMALS}/item?key=t1", json={"text": "another text"})
    changed = client.get(f"{ANIMALS}/content?key=t1", headers=known)
    assert changed.text == "another text"


def test_contents_come_with_their_media_types(client, folder):
    with opened(folder, "photos") as photos:
        expected = photos.content("1.png").data
    answer = client.get(f"{PHOTOS}/content?key=1.png")
    assert answer.content == expected
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    text = client.get(f"{ANIMALS}/content?key=t1")
    assert text.text == "dog number 0"
    assert text.headers["content-type"] == "text/plain; charset=utf-8"
    numbers = np.frombuffer(client.get(f"{POINTS}/content?key=p/0").content, "<f4")
    np.testing.assert_array_equal(numbers, np.random.default_rng(0).normal(size=8).astype("f4"))


def test_nothing_kept_is_not_found(client, folder):
    with (
        opened(folder) as points,
        Collection.create(points.model, folder / "bare.collection", keep_originals=False) as bare,
    ):
        bare.add(np.ones((1, 8), np.float32), keys=["a"])
    client.app.state.service.collections["bare"] = opened(folder, "bare")
    answer = client.get(f"{API}/collections/bare/content?key=a")
    assert answer.status_code == 404
    assert "nothing is kept" in answer.json()["detail"]


@pytest.mark.parametrize("radius", [None, 2])
@pytest.mark.parametrize("where", [None, {"label": "odd"}])
def test_a_search_by_key_finds_what_the_collection_finds(client, folder, radius, where):
    asked = {"key": "p/7", "k": 9, "radius": radius, "where": where}
    answer = client.post(f"{POINTS}/search", json=asked).json()
    with opened(folder) as points:
        found = points.search_key("p/7", 9, radius=radius, where=where)
    assert answer["hits"] == shown(found)
    assert answer["code"] == bytes(found.code).hex()
    assert answer["n_bits"] == 8
    assert answer["index_seconds"] > 0


def test_a_search_gives_twenty_unless_told_otherwise(client):
    assert len(client.post(f"{POINTS}/search", json={"key": "p/7"}).json()["hits"]) == 20


@pytest.mark.parametrize("rerank", [False, True])
def test_a_search_by_vector_finds_what_the_collection_finds(client, folder, rerank):
    vector = np.linspace(-1, 1, 8).astype(np.float32)
    asked = {"vector": vector.tolist(), "k": 5, "rerank": rerank}
    with opened(folder) as points:
        expected = shown(points.search(vector, 5, rerank=rerank))
    assert client.post(f"{POINTS}/search", json=asked).json()["hits"] == expected


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_search_by_image_finds_what_the_collection_finds(client, folder, image, form, tmp_path):
    pictures, encoded = image
    text = encoded(pictures()[3], form)
    (tmp_path / "file").write_bytes(base64.b64decode(text))
    pixels = read_image(tmp_path / "file", size=None, mode="rgb")
    with opened(folder, "photos") as photos:
        expected = shown(photos.search(pixels, 3))
    asked = {"image": text, "k": 3}
    assert client.post(f"{PHOTOS}/search", json=asked).json()["hits"] == expected


def test_a_search_by_text_finds_what_the_collection_finds(client, folder):
    with opened(folder, "animals") as animals:
        expected = shown(animals.search("dog number 3", 3))
    asked = {"text": "dog number 3", "k": 3}
    assert client.post(f"{ANIMALS}/search", json=asked).json()["hits"] == expected
    assert expected[0]["distance"] == 0


def test_a_search_by_code_within_a_radius_finds_all(client, folder):
    asked = {"code": "0F", "k": None, "radius": 3}
    answer = client.post(f"{POINTS}/search", json=asked).json()
    with opened(folder) as points:
        assert answer["hits"] == shown(
            points.search_code(np.array([0x0F], np.uint8), None, radius=3)
        )
    assert answer["code"] == "0f"


def test_a_search_that_finds_nothing_has_no_hits(client):
    asked = {"key": "p/0", "where": {"label": "neither"}}
    assert client.post(f"{POINTS}/search", json=asked).json()["hits"] == []


def test_added_items_are_found_and_known_ones_counted(client, image):
    pictures, encoded = image
    new = {"key": "a/b", "image": encoded(pictures()[0]), "label": "dark", "metadata": {"n": [1]}}
    body = {"items": [new, {"key": "0.png", "image": encoded(pictures()[0])}]}
    answer = client.post(f"{PHOTOS}/items", json=body)
    assert answer.status_code == 201
    assert answer.json() == {"n_added": 1, "n_known": 1}
    item = client.get(f"{PHOTOS}/item?key=a/b").json()
    assert (item["label"], item["metadata"]) == ("dark", {"n": [1]})
    near = client.post(f"{PHOTOS}/search", json={"key": "a/b", "k": 1}).json()["hits"][0]
    assert near["distance"] == 0


def test_items_without_keys_are_added_once(client):
    body = {"items": [{"text": "owl"}, {"text": "owl"}, {"text": "elk"}]}
    assert client.post(f"{ANIMALS}/items", json=body).json() == {"n_added": 2, "n_known": 0}
    assert client.post(f"{ANIMALS}/items", json=body).json() == {"n_added": 0, "n_known": 2}


def test_a_source_is_kept_and_never_opened(client, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    body = {"items": [{"key": "a", "text": "owl", "source": str(secret)}]}
    client.post(f"{ANIMALS}/items", json=body)
    assert client.get(f"{ANIMALS}/item?key=a").json()["source"] == str(secret)
    assert client.get(f"{ANIMALS}/content?key=a").text == "owl"


def test_a_change_changes_what_is_given_and_nothing_else(client):
    changed = client.patch(f"{POINTS}/item?key=p/1", json={"label": None, "metadata": {"a": 1}})
    assert changed.json()["label"] is None
    assert changed.json()["metadata"] == {"a": 1}
    assert changed.json()["caption"] == "point 1"
    assert changed.json() == client.get(f"{POINTS}/item?key=p/1").json()


def test_a_changed_vector_has_another_code(client):
    before = client.get(f"{POINTS}/item?key=p/1").json()
    other = client.get(f"{POINTS}/content?key=p/0").content
    vector = np.frombuffer(other, "<f4").tolist()
    after = client.patch(f"{POINTS}/item?key=p/1", json={"vector": vector}).json()
    assert after["code"] == client.get(f"{POINTS}/item?key=p/0").json()["code"] != before["code"]
    assert after["label"] == before["label"]


def test_a_removed_item_is_gone(client):
    answer = client.delete(f"{POINTS}/item?key=p/1")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"{POINTS}/item?key=p/1").status_code == 404
    assert client.delete(f"{POINTS}/item?key=p/1").status_code == 404
    assert client.get(POINTS).json()["n_items"] == 39


def test_metrics_count_by_route_and_not_by_path(client):
    client.get(f"{POINTS}/item?key=p/1")
    client.get(f"{POINTS}/item?key=none")
    client.get("/made/up/path")
    client.request("INVENTED", f"{API}/health")
    client.post(f"{POINTS}/search", json={"vector": [1.0] * 8})
    answer = client.get(f"{API}/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    item = 'hashlearn_requests_total{method="GET",route="/api/v1/collections/{name}/item"'
    assert f'{item},status="200"}} 1.0' in lines
    assert f'{item},status="404"}} 1.0' in lines
    assert 'hashlearn_items{collection="points"} 40.0' in lines
    assert 'hashlearn_index_seconds_count{collection="points"} 1.0' in lines
    assert 'hashlearn_encoding_seconds_count{collection="points"} 1.0' in lines
    assert "made" not in answer.text
    assert "INVENTED" not in answer.text


def test_the_description_names_every_route_and_explains_every_field(client):
    described = client.get(f"{API}/openapi.json").json()
    assert set(described["paths"]) >= {
        f"{API}{path}"
        for path in (
            "/health", "/metrics", "/collections", "/collections/{name}",
            "/collections/{name}/items", "/collections/{name}/item",
            "/collections/{name}/content", "/collections/{name}/search",
        )
    }  # fmt: skip
    for name, schema in described["components"]["schemas"].items():
        for field, value in schema["properties"].items():
            assert value.get("description"), f"{name}.{field}"
    assert "://" not in client.get(f"{API}/openapi.json").text


def test_pages_that_load_from_elsewhere_are_not_there(client):
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
