"""What is added is found, until it is removed; nothing is half written."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.exceptions import NotFittedError

import hashlearn
from hashlearn import models
from hashlearn.codes import hamming_distances
from hashlearn.collection import Added, Collection, database
from hashlearn.data import Dataset
from hashlearn.hashers import get_method
from hashlearn.index.ranking import weighted_distances

VECTORS = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)  # of the fixture
IMAGES = np.random.default_rng(1).integers(0, 256, (40, 6, 5), np.uint8)
TEXTS = [f"the {colour} {thing}" for colour in ("red", "blue", "green") for thing in ("car", "cat")]


def vector_model(n_bits=16, method="lsh"):
    return get_method(method)(n_bits, random_state=0).fit(VECTORS)


def image_model(n_bits=16):
    return models.make_model("pixels", get_method("lsh")(n_bits, random_state=0)).fit(IMAGES)


def text_model():
    return models.make_model("bagofwords", get_method("lsh")(8, random_state=0)).fit(TEXTS)


KEYS = [f"p{i}" for i in range(60)]
CODES = vector_model().encode(VECTORS)


def keys_of(found):
    return [hit.item.key for hit in found.hits]


def nearest(code, k, allowed=range(60)):
    """Keys and distances by brute force: ties in the order in which items were added."""
    distances = hamming_distances(code[None], CODES)[0]
    order = sorted(allowed, key=lambda i: (distances[i], i))[:k]
    return [KEYS[i] for i in order], [int(distances[i]) for i in order]


def test_it_is_among_the_public_names():
    assert hashlearn.Collection is Collection


@pytest.mark.parametrize("k", [1, 7, 60, 100])
def test_a_search_finds_what_brute_force_finds(points, k):
    for row in (0, 31):
        found = points.search(VECTORS[row] + 0.3, k)
        code = vector_model().encode(VECTORS[row : row + 1] + 0.3)[0]
        expected = nearest(code, k)
        assert (keys_of(found), [hit.distance for hit in found.hits]) == expected
        assert found.code.tolist() == code.tolist()


def test_a_search_by_key_leaves_out_the_item_itself(points):
    expected, _ = nearest(CODES[5], 12, [i for i in range(60) if i != 5])
    assert keys_of(points.search_key("p5", 12)) == expected


def test_a_search_by_code_needs_no_item(points):
    assert keys_of(points.search_code(CODES[9], 3)) == nearest(CODES[9], 3)[0]


def test_a_radius_takes_all_within_it_and_k_the_nearest_of_them(points):
    _, distances = nearest(CODES[2], 60)
    n_within = sum(distance <= 5 for distance in distances)
    assert 3 < n_within < 60
    assert keys_of(points.search(VECTORS[2], None, radius=5)) == nearest(CODES[2], n_within)[0]
    assert keys_of(points.search(VECTORS[2], 3, radius=5)) == nearest(CODES[2], 3)[0]
    assert len(points.search(VECTORS[2], 60, radius=5)) == n_within
    assert len(points.search(VECTORS[2], None, radius=99)) == 60


def test_re_ranking_orders_by_the_weighted_distance(points):
    values = vector_model().project(VECTORS[:1] + 0.2)[0].astype(np.float64)
    weighted = weighted_distances(values, CODES)
    order = sorted(range(60), key=lambda i: (weighted[i], i))
    found = points.search(VECTORS[0] + 0.2, 10, rerank=True)
    assert keys_of(found) == [KEYS[i] for i in order[:10]]
    assert [hit.weighted_distance for hit in found.hits] == weighted[order[:10]].tolist()
    others = [i for i in sorted(range(60), key=lambda i: (weight(i), i)) if i != 0][:10]
    assert keys_of(points.search_key("p0", 10, rerank=True)) == [KEYS[i] for i in others]


def weight(row):
    values = vector_model().project(VECTORS[:1])[0].astype(np.float64)
    return weighted_distances(values, CODES[row : row + 1])[0]


def test_the_bits_that_differ_are_named(points):
    found = points.search_code(CODES[0], 20)
    for hit in found.hits:
        bits = found.differing_bits(hit.item)
        flipped = sum(1 << bit for bit in bits)
        assert len(bits) == hit.distance
        assert int.from_bytes(CODES[0].tobytes(), "little") ^ flipped == int.from_bytes(
            hit.item.code.tobytes(), "little"
        )


def test_adding_again_changes_nothing(points):
    assert points.add(VECTORS[:9], keys=KEYS[:9]) == Added(0, 9)
    assert len(points) == 60


def test_what_is_there_already_is_not_encoded_again(points, monkeypatch):
    monkeypatch.setattr(models, "encode", None)
    assert points.add(VECTORS, keys=KEYS) == Added(0, 60)


def test_another_item_under_a_known_key_is_refused_and_nothing_is_added(points):
    with pytest.raises(ValueError, match="'p3'"):
        points.add(VECTORS[:2] + 1, keys=["new", "p3"])
    with pytest.raises(ValueError, match="'p3'"):
        points.add(VECTORS[3:4], keys=["p3"], captions=["another caption"])
    assert len(points) == 60
    assert "new" not in points


def test_items_without_keys_are_added_once(path):
    with Collection.create(vector_model(), path) as points:
        twice = np.concatenate([VECTORS[:5], VECTORS[:5]])
        assert points.add(twice).n_added == 5
        assert points.add(VECTORS[:7]) == Added(2, 5)


def test_everything_that_is_known_of_an_item_comes_back(path):
    metadata = {"year": 1999, "tags": ["a", "ü"], "deep": {"x": [None, 1.5, True]}}
    with Collection.create(vector_model(), path) as points:
        points.add(
            VECTORS[:2], keys=["ä/b c", "2"], sources=["https://x", None], captions=["one", None],
            labels=["cat", None], metadata=[metadata, {}],
        )  # fmt: skip
    with Collection.open(path) as points:
        first, second = points.get(["ä/b c", "2"])
    assert (first.source, first.caption, first.label) == ("https://x", "one", "cat")
    assert first.metadata == metadata
    assert (second.source, second.caption, second.label, second.metadata) == (None, None, None, {})
    assert first.code.tolist() == CODES[0].tolist()


def test_removed_items_are_found_no_more_and_their_keys_are_free(points):
    points.remove(["p1", "p2"])
    assert len(points) == 58
    assert "p1" not in points
    assert {"p1", "p2"}.isdisjoint(keys_of(points.search(VECTORS[1], 60)))
    assert points.add(VECTORS[1:2], keys=["p1"]).n_added == 1
    assert keys_of(points.search(VECTORS[1], 1, radius=0)) == ["p1"]


def test_removing_what_is_not_there_removes_nothing(points):
    with pytest.raises(KeyError, match="'nobody'"):
        points.remove(["p1", "nobody"])
    assert "p1" in points


def test_an_update_changes_what_is_given_and_nothing_else(points):
    points.update(["p1"], captions=["one"], metadata=[{"a": 1}])
    points.update(["p1"], labels=["x"])
    (item,) = points.get(["p1"])
    assert (item.caption, item.label, item.metadata) == ("one", "x", {"a": 1})
    assert item.code.tolist() == CODES[1].tolist()
    points.update(["p1"], VECTORS[2:3])
    (item,) = points.get(["p1"])
    assert (item.caption, item.label, item.metadata) == ("one", "x", {"a": 1})
    assert item.code.tolist() == CODES[2].tolist()
    assert points.original("p1").tolist() == VECTORS[2].tolist()
    assert set(keys_of(points.search(VECTORS[2], None, radius=0))) == {"p1", "p2"}
    assert points.verify().is_whole


def test_an_update_of_an_unknown_key_changes_nothing(points):
    with pytest.raises(KeyError, match="'nobody'"):
        points.update(["p1", "nobody"], captions=["x", "y"])
    assert points.get(["p1"])[0].caption is None


def test_items_are_listed_in_the_order_in_which_they_were_added(points):
    first = points.list(25)
    rest = points.list(100, after=first[-1].key)
    assert [item.key for item in first + rest] == KEYS


def test_filters_narrow_a_search_without_losing_anything(points):
    points.update(KEYS, labels=["odd" if i % 2 else "even" for i in range(60)])
    found = points.search(VECTORS[4], 20, where={"label": "odd"})
    assert keys_of(found) == nearest(CODES[4], 20, range(1, 60, 2))[0]
    assert len(points.search(VECTORS[4], 20, where={"label": "none"})) == 0
    assert len(points.search(VECTORS[4], None, radius=16, where={"label": "odd"})) == 30


def test_a_collection_is_the_same_after_opening_it_again(points, path):
    points.remove(["p7"])
    found = keys_of(points.search(VECTORS[0], 59))
    with Collection.open(path, read_only=True) as again:
        assert keys_of(again.search(VECTORS[0], 59)) == found
        assert again.kind == "vectors"
        assert repr(again) == f"<Collection of 59 vectors, LSH with 16 bits: {path}>"


def test_a_collection_that_is_open_sees_what_others_write(points, path):
    with Collection.open(path, read_only=True) as other:
        points.remove(["p0"])
        points.add(VECTORS[:1] + 5, keys=["new"])
        assert "new" in keys_of(other.search(VECTORS[0] + 5, 1))
        assert "p0" not in keys_of(other.search(VECTORS[0], 60))
        assert len(other) == 60


def test_readers_far_behind_read_all_codes_again(points, path, monkeypatch):
    monkeypatch.setattr(database, "_LOG_ROWS", 3)
    with Collection.open(path, read_only=True) as other:
        for key in KEYS[:10]:
            points.remove([key])
        assert len(other) == 50
        assert other.index.ids.tolist() == points.index.ids.tolist()


def test_nothing_is_written_to_what_is_open_for_reading(points, path):
    with Collection.open(path, read_only=True) as other:
        for write in (
            lambda: other.add(VECTORS[:1] + 1),
            lambda: other.remove(["p1"]),
            lambda: other.update(["p1"], captions=["x"]),
            lambda: other.rebuild(vector_model(8)),
        ):
            with pytest.raises(PermissionError, match="for reading only"):
                write()
    assert len(points) == 60


@pytest.mark.parametrize(("n_bits", "method"), [(8, "itq"), (16, "lsh"), (24, "lsh")])
def test_a_rebuild_gives_what_a_new_collection_would_have(points, path, tmp_path, n_bits, method):
    model = vector_model(n_bits, method)
    with Collection.open(path, read_only=True) as other:
        points.rebuild(model)
        with Collection.create(model, tmp_path / "new") as new:
            new.add(VECTORS, keys=KEYS)
            expected = keys_of(new.search(VECTORS[3], 20))
        for collection in (points, other):
            assert collection.n_bits == n_bits
            assert collection.generation == 2
            assert keys_of(collection.search(VECTORS[3], 20)) == expected
    assert points.verify().is_whole
    assert len([*path.glob("*.model")]) == 1


def test_a_rebuild_that_fails_leaves_all_as_it_was(points, path, monkeypatch):
    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("hashlearn.collection.maintenance._replace_codes", fail)
    with pytest.raises(OSError, match="full"):
        points.rebuild(vector_model(24))
    assert points.n_bits == 16
    assert points.verify().is_whole
    assert len([*path.glob("*.model")]) == 1


def test_a_rebuild_needs_the_items(path):
    with Collection.create(vector_model(), path, keep_originals=False) as points:
        points.add(VECTORS)
        with pytest.raises(ValueError, match="60 of 60 items"):
            points.rebuild(vector_model(8))
        with pytest.raises(ValueError, match="not kept"):
            points.original(points.list(1)[0].key)
        assert points.content(points.list(1)[0].key) is None


def test_images_come_back_as_they_were(path):
    with Collection.create(image_model(), path) as images:
        images.add(IMAGES, keys=[str(i) for i in range(40)])
        for i in (0, 39):
            original = images.original(str(i))
            assert original.shape == (6, 5, 3)
            assert (original == IMAGES[i][..., None]).all()
            assert images.content(str(i)).type == "image/png"
        assert (
            images.get(["3"])[0].code.tolist()
            == models.encode(image_model(), IMAGES[3:4])[0].tolist()
        )
        wide = np.repeat(np.repeat(IMAGES[3], 40, axis=0), 40, axis=1)
        assert keys_of(images.search(wide, 1)) == ["3"]


def test_of_large_images_in_files_small_pictures_are_kept(path, tmp_path):
    folder = tmp_path / "photos" / "holidays"
    folder.mkdir(parents=True)
    pixels = np.repeat(np.repeat(IMAGES[:4], 50, axis=1), 50, axis=2)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i}.png")
    with Collection.create(image_model(), path) as images:
        assert images.add_source(tmp_path / "photos") == Added(4, 0)
        assert images.add_source(tmp_path / "photos") == Added(0, 4)
        item = images.list()[2]
        assert (item.key, item.label) == ("holidays/2.png", "holidays")
        assert item.source == str(folder / "2.png")
        content = images.content(item.key)
        assert (content.type, content.is_whole) == ("image/jpeg", False)
        assert (images.original(item.key) == pixels[2][..., None]).all()
        images.rebuild(image_model(8))
        (folder / "2.png").unlink()
        with pytest.raises(ValueError, match=r"holidays/2\.png is damaged"):
            images.original(item.key)


def test_what_callers_name_as_source_is_never_opened(path, tmp_path):
    secret = tmp_path / "secret.png"
    large = np.zeros((300, 200, 3), np.uint8)
    Image.fromarray(large + 200).save(secret)
    with Collection.create(image_model(), path) as images:
        images.add([large], keys=["a"], sources=[str(secret)])
        assert images.original("a").max() == 0


def test_texts_are_kept_and_found(path):
    with Collection.create(text_model(), path) as texts:
        texts.add(TEXTS, keys=TEXTS)
        assert keys_of(texts.search("the blue cat", None, radius=0)) == ["the blue cat"]
        assert texts.original("the blue cat") == "the blue cat"
        assert texts.content("the red car").data == b"the red car"


def test_a_source_of_arrays_has_row_numbers_for_keys(path):
    with Collection.create(vector_model(), path) as points:
        assert points.add_source(VECTORS) == Added(60, 0)
        assert points.get(["59"])[0].code.tolist() == CODES[59].tolist()


def test_a_source_of_another_kind_is_refused(points):
    with pytest.raises(ValueError, match="images, and the hasher takes vectors"):
        points.add_source("digits")


def test_several_labels_of_an_item_are_all_found(path):
    y = np.eye(3, dtype=np.int64)[np.arange(60) % 3]
    y[0] = [1, 0, 1]
    data = Dataset("some", VECTORS, y, label_names=("a", "b", "c"))
    with Collection.create(vector_model(), path) as points:
        points.add_source(data)
        assert points.get(["0"])[0].metadata == {"labels": ["a", "c"]}
        assert points.count({"labels": "c"}) == 21


def test_an_export_holds_every_item(points, tmp_path):
    from pyarrow import parquet

    points.update(["p1"], captions=["one"], metadata=[{"a": [1, "ü"]}])
    points.export(tmp_path / "points.parquet")
    table = parquet.read_table(tmp_path / "points.parquet").to_pylist()
    assert [row["key"] for row in table] == KEYS
    assert b"".join(row["code"] for row in table) == CODES.tobytes()
    assert table[1]["caption"] == "one"
    assert json.loads(table[1]["metadata"]) == {"a": [1, "ü"]}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"items": "text"}, TypeError, "sequence of vectors"),
        ({"items": []}, ValueError, "no items"),
        ({"items": [[1.0, np.nan] * 4]}, ValueError, "item 0 holds NaN"),
        ({"items": [[1, 2], [1]]}, TypeError, "vectors of numbers"),
        ({"items": [["a"] * 8]}, TypeError, "vectors of numbers"),
        ({"items": [[1.0] * 7]}, ValueError, "features"),
        ({"keys": ["a"]}, ValueError, "1 keys for 2 items"),
        ({"keys": ["a", "a"]}, ValueError, "'a' is given more than once"),
        ({"keys": ["a", ""]}, ValueError, "1 to 1024 characters"),
        ({"keys": ["a", "b" * 1025]}, ValueError, "1 to 1024 characters"),
        ({"keys": ["a", 7]}, TypeError, "a key must be a string"),
        ({"keys": ["a", "\ud800"]}, ValueError, "valid text"),
        ({"keys": ["a", "b\0c"]}, ValueError, "NUL"),
        ({"keys": "ab"}, TypeError, "sequence of strings"),
        ({"captions": ["a"]}, ValueError, "1 captions for 2 items"),
        ({"labels": ["a", 3]}, TypeError, "labels must be strings"),
        ({"metadata": {"a": 1}}, TypeError, "sequence of mappings"),
        ({"metadata": [{}, []]}, TypeError, "mapping of strings"),
        ({"metadata": [{}, {"a": {1}}]}, TypeError, "JSON"),
        ({"metadata": [{}, {"a": float("nan")}]}, TypeError, "JSON"),
        ({"metadata": [{}, {"a": 2**63}]}, ValueError, "64 bits"),
        ({"metadata": [{}, {"label": "x"}]}, ValueError, "every item has its own"),
        ({"metadata": [{}, {"a": "x" * 70_000}]}, ValueError, "65536 characters"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_added(points, options, error, message):
    items = options.pop("items", VECTORS[:2] + 9)
    with pytest.raises(error, match=message):
        points.add(items, **options)
    assert len(points) == 60


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"k": 0}, ValueError),
        ({"k": "3"}, TypeError),
        ({"radius": -1}, ValueError),
        ({"radius": 1.5}, TypeError),
        ({"k": None}, ValueError),
    ],
)
def test_a_search_of_no_extent_is_refused(points, options, error):
    with pytest.raises(error):
        points.search(VECTORS[0], **options)


def test_folders_that_are_no_collections_are_refused(tmp_path, path, points):
    assert len(points) == 60
    with pytest.raises(FileExistsError, match="there already"):
        Collection.create(vector_model(), path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Collection.create(vector_model(), tmp_path / "no" / "where")
    with pytest.raises(NotFittedError):
        Collection.create(get_method("lsh")(8), tmp_path / "new")
    with pytest.raises(FileNotFoundError, match="not a collection"):
        Collection.open(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["some.collection"]


def test_a_closed_collection_says_so(points):
    points.close()
    with pytest.raises(ValueError, match="is closed"):
        points.list()
