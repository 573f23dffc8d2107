"""The map of a collection."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from hashlearn.codes import pack_bits, unpack_bits
from hashlearn.web.map import evenly, find_plane

PATH = "/api/v1/collections/points/map"


@pytest.fixture
def codes():
    bits = np.random.default_rng(0).random((300, 12)) < np.linspace(0.1, 0.9, 12)
    bits[:, 3] = bits[:, 5] = bits[:, 0] = bits[:, 1]  # they make one direction
    return pack_bits(bits)


def test_the_plane_is_that_of_the_principal_components(codes):
    plane = find_plane(codes, 12)
    signs = 2.0 * unpack_bits(codes, 12) - 1
    known = PCA(2).fit(signs)
    np.testing.assert_allclose(np.abs(plane.directions), np.abs(known.components_), atol=1e-6)
    assert plane.share == pytest.approx(known.explained_variance_ratio_.sum())
    np.testing.assert_allclose(
        np.abs(plane.project(codes)), np.abs(known.transform(signs)), atol=1e-6
    )
    largest = np.abs(plane.directions).argmax(axis=1)
    assert (plane.directions[[0, 1], largest] > 0).all()


@pytest.mark.parametrize(("n", "n_bits"), [(0, 8), (1, 8), (5, 1)])
def test_few_codes_and_few_bits_have_a_plane_too(n, n_bits):
    codes = np.arange(n, dtype=np.uint8)[:, None] % 2
    plane = find_plane(codes, n_bits)
    assert plane.directions.shape == (2, n_bits)
    assert np.isfinite(plane.project(codes)).all()
    assert 0 <= plane.share <= 1


def test_places_are_chosen_evenly():
    assert evenly(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(9, 3).tolist() == [0, 3, 6]
    assert evenly(0, 3).tolist() == []
    assert len(np.unique(evenly(1_000_003, 5_000))) == 5_000


def test_every_item_stands_where_its_code_belongs(client):
    drawn = client.get(PATH).json()
    assert (drawn["n_items"], drawn["n_bits"], drawn["labels"]) == (40, 8, ["even", "odd"])
    assert drawn["keys"] == [f"p/{i}" for i in range(40)]
    assert drawn["label"] == [i % 2 for i in range(40)]
    items = client.get("/api/v1/collections/points/items").json()["items"]
    codes = np.array([list(bytes.fromhex(item["code"])) for item in items], np.uint8)
    signs = 2.0 * unpack_bits(codes, 8) - 1
    places = signs @ np.array(drawn["directions"]).T - drawn["centre"]
    np.testing.assert_allclose(places, np.array([drawn["x"], drawn["y"]]).T, atol=1e-3)


def test_the_map_stays_the_same_and_shows_no_more_than_is_asked_for(client):
    whole = client.get(PATH).content
    assert client.get(PATH).content == whole
    part = client.get(PATH, params={"n": 10}).json()
    assert part["keys"] == [f"p/{i}" for i in range(0, 40, 4)]
    assert part["directions"] == client.get(PATH).json()["directions"]


def test_a_change_of_the_items_is_on_the_map(client):
    before = client.get(PATH).json()
    added = {"items": [{"key": "new", "vector": [9.0] * 8, "label": "other"}]}
    assert client.post("/api/v1/collections/points/items", json=added).status_code == 201
    client.delete("/api/v1/collections/points/item", params={"key": "p/0"})
    after = client.get(PATH).json()
    assert after["keys"] == [*before["keys"][1:], "new"]
    assert after["labels"] == ["even", "odd", "other"]
    assert after["directions"] != before["directions"]


def test_a_new_label_is_on_the_map(client):
    client.get(PATH)
    client.patch("/api/v1/collections/points/item", params={"key": "p/0"}, json={"label": "other"})
    drawn = client.get(PATH).json()
    assert drawn["labels"][drawn["label"][0]] == "other"


def test_items_without_labels_have_the_colour_of_none(client):
    drawn = client.get("/api/v1/collections/photos/map").json()
    assert drawn["labels"] == []
    assert drawn["label"] == [-1] * 8


def test_a_map_that_cannot_be_drawn_is_refused(client):
    assert client.get("/api/v1/collections/none/map").status_code == 404
    for n in ("0", "20001", "all"):
        assert client.get(PATH, params={"n": n}).status_code == 422
