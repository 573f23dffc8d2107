"""hashlearn collection: from files to a folder that can be searched."""

import pytest

from hashlearn.collection import Collection

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def photos(run, folder):
    """Make a collection of photographs."""
    run("collection", "create", "photos.collection", "photos", "--model", "photos.model")
    return folder / "photos.collection"


def test_items_are_added_when_a_collection_is_made(run):
    ended = run("collection", "create", "a.collection", "photos", "--model", "photos.model")
    assert ended.err == "collection of 24 images, 16 bits: a.collection\n"
    with Collection.open("a.collection") as made:
        assert made.get(["day/3.png"])[0].label == "day"
    told = run(
        "collection", "create", "b.collection", "--model", "vectors.model", "--no-originals",
        "--json",
    ).json  # fmt: skip
    assert told == {"collection": "b.collection", "kind": "vectors", "n_bits": 12, "n_items": 0}
    run("collection", "add", "b.collection", "vectors.npz")
    with Collection.open("b.collection") as made:
        assert made.content("item 3") is None


def test_the_same_items_are_added_once(run, photos):
    assert run("collection", "add", photos, "photos", "--json").json == {
        "n_added": 0, "n_known": 24, "n_items": 24,
    }  # fmt: skip
    ended = run("collection", "add", photos, "new.jpg")
    assert ended.err.startswith("1 items added, 0 were there: 25 in ")


def test_removed_items_are_gone(run, photos):
    ended = run("collection", "remove", photos, "day/1.png", "night/2.png")
    assert ended.err.startswith("2 items removed: 22 in ")
    missing = run("collection", "remove", photos, "day/0.png", "day/1.png", code=2)
    assert "there is no item 'day/1.png'" in missing.err
    with Collection.open(photos) as opened:
        assert len(opened) == 22


def test_a_search_finds_what_the_collection_finds(run, photos):
    rows = run("collection", "search", photos, "--key", "day/3.png", "-k", 4, "--json").json
    with Collection.open(photos) as opened:
        hits = opened.search_key("day/3.png", 4).hits
    assert [(row["key"], row["distance"], row["rank"]) for row in rows] == [
        (hit.item.key, hit.distance, rank) for rank, hit in enumerate(hits, 1)
    ]
    table = run("collection", "search", photos, "--key", "day/3.png", "-k", 4).out
    assert all(hit.item.key in table for hit in hits)


def test_new_items_are_searched_for(run, photos):
    rows = run("collection", "search", photos, "new.jpg", "-k", 3, "--json").json
    assert {row["label"] for row in rows} == {"day"}
    assert {row["query"] for row in rows} == {"new.jpg"}
    rows = run("collection", "search", photos, "photos", "-k", 1, "--rerank", "--json").json
    assert len(rows) == 24
    assert {row["distance"] for row in rows} == {0}
    assert all(row["weighted_distance"] == 0 for row in rows)


def test_a_search_keeps_to_its_conditions(run, photos):
    where = '{"label": "night"}'
    rows = run("collection", "search", photos, "new.jpg", "-k", 30, "--where", where, "--json").json
    assert len(rows) == 12
    assert {row["label"] for row in rows} == {"night"}
    ended = run(
        "collection", "search", photos, "--key", "day/0.png", "--radius", 0, "--where", where
    )
    assert ended.err == "nothing found\n"


def test_a_text_is_searched_for(run, folder):
    texts = ["cat dog", "cow fox", "cat fox", "cow dog", "owl elk", "owl dog", "elk cat"] * 3
    rows = [f"{i},{text} {i}" for i, text in enumerate(texts)]
    (folder / "texts.csv").write_text("\n".join(["name,text", *rows]))
    columns = ("--column", "text")
    run("fit", "texts.csv", *columns, "--features", "bagofwords", "--method", "lsh", "--bits", 16,
        "-o", "t.model")  # fmt: skip
    run("collection", "create", "t.collection", "texts.csv", *columns, "--name-column", "name",
        "--model", "t.model")  # fmt: skip
    found = run("collection", "search", "t.collection", "--text", "owl elk", "-k", 3, "--json")
    assert [(row["key"], row["distance"]) for row in found.json] == [("4", 0), ("11", 0), ("18", 0)]


def test_another_model_replaces_the_codes(run, photos):
    run("fit", "photos", "--image-size", "8x8", "--bits", 8, "-o", "other.model")
    told = run("collection", "rebuild", photos, "--model", "other.model", "--json").json
    assert told == {"n_items": 24, "n_bits": 8, "generation": 2}


def test_a_whole_collection_is_verified_and_a_damaged_one_is_not(run, photos):
    assert run("collection", "verify", photos).err == "24 of 24 items are as they were written\n"
    (model,) = photos.glob("*.model")
    model.unlink()
    damaged = run("collection", "verify", photos, code=2)
    assert model.name in damaged.err


def test_a_wrong_code_is_told_and_salvaged(run, photos):
    import sqlite3

    with sqlite3.connect(photos / "items.sqlite") as connection:
        connection.execute("UPDATE items SET caption = 'changed' WHERE key = 'day/3.png'")
    connection.close()
    told = run("collection", "verify", photos, "--json", code=1).json
    assert told["is_whole"] is False
    assert told["n_readable"] == 23
    assert "day/3.png" in told["problems"][0]
    saved = run("collection", "salvage", photos, "-o", "saved.collection", "--json", code=1).json
    assert saved == {"collection": "saved.collection", "n_saved": 23, "lost": ["day/3.png"]}
    assert run("collection", "verify", "saved.collection", "--json").json["n_items"] == 23


def test_items_are_exported(run, photos):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("collection", "export", photos, "-o", "photos.parquet")
    rows = parquet.read_table("photos.parquet").to_pylist()
    assert len(rows) == 24
    with Collection.open(photos) as opened:
        assert rows[0]["code"] == bytes(opened.get([rows[0]["key"]])[0].code)


def test_info_tells_what_there_is(run, photos):
    told = run("collection", "info", photos, "--json").json
    assert told["fields"]["label"] == [{"value": "day", "n": 12}, {"value": "night", "n": 12}]
    assert (told["kind"], told["n_items"], told["n_bits"]) == ("images", 24, 16)
    table = run("collection", "info", photos).out
    assert "day (12), night (12)" in table
    assert told["method"] in table


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("create", "photos", "--model", "photos.model"), "photos is there already"),
        (("create", "a/b", "--model", "photos.model"), "does not exist"),
        (("create", "new", "--model", "absent"), "there is no file absent"),
        (("create", "new", "absent", "--model", "photos.model"), "'absent' is no named data set"),
        (("add", "absent", "photos"), "absent is not a collection"),
        (("add", "C", "vectors.npz"), "holds vectors, and the hasher takes images"),
        (("search", "C"), "give exactly one of items to search for, --key and --text"),
        (("search", "C", "new.jpg", "--key", "a"), "give exactly one of"),
        (("search", "C", "--key", "none"), "there is no item 'none'"),
        (("search", "C", "--text", "a"), "must be an image"),
        (("search", "C", "vectors.npz"), "holds vectors, and the collection images"),
        (("search", "C", "new.jpg", "--where", "{"), "--where is not valid JSON"),
        (("search", "C", "new.jpg", "--where", "[]"), "--where takes conditions such as"),
        (("search", "C", "new.jpg", "--where", '{"a": {}}'), "a condition has one or more of"),
        (("rebuild", "C", "--model", "vectors.model"), "the hasher takes vectors"),
        (("export", "C", "-o", "a.csv"), "must end in .parquet"),
        (("salvage", "C", "-o", "photos"), "photos is there already"),
        (("info", "absent"), "absent is not a collection"),
    ],
)
def test_bad_input_is_told_in_one_line(run, photos, arguments, part):
    ended = run("collection", *("photos.collection" if a == "C" else a for a in arguments), code=2)
    (line,) = ended.err.splitlines()
    assert part in line
    with Collection.open(photos) as opened:
        assert len(opened) == 24
