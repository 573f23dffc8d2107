"""From raw items to an index in one command, a batch at a time, with interruptions."""

import json

import numpy as np
import pytest

import hashlearn
from hashlearn import encoding, models, partial
from hashlearn.data import open_source
from hashlearn.data.files import FileSource
from hashlearn.index import HammingIndex

pytestmark = pytest.mark.usefixtures("folder")

WORDS = ("red", "green", "blue", "old", "new", "borrowed")


@pytest.fixture
def posts(folder):
    """Write sixty posts of three words each."""
    rng = np.random.default_rng(0)
    texts = [" ".join(WORDS[j] for j in rng.permutation(6)[:3]) for _ in range(60)]
    records = [{"id": i, "text": text, "kind": text[0]} for i, text in enumerate(texts)]
    (folder / "posts.jsonl").write_text("\n".join(map(json.dumps, records)))
    return texts


def test_images_become_an_index_that_finds_them(run):
    built = run("build", "photos", "--image-size", "8x8", "--bits", "12", "-o", "all.index")
    assert built.err == (
        "index of 24 codes of 12 bits, 48 bytes: all.index; model: all.model\n"
    )  # fmt: skip
    opened, model = HammingIndex.open("all.index"), hashlearn.load("all.model")
    dataset = hashlearn.load_dataset("photos", image_size=(8, 8))
    np.testing.assert_array_equal(opened.codes, models.encode(model, dataset.X))
    rows = run("search", "all.index", "photos/day/3.png", "--model", "all.model", "-k", "5",
               "--json").json  # fmt: skip
    assert {row["name"].partition("/")[0] for row in rows} == {"day"}
    assert rows[0]["distance"] == 0


def test_texts_become_an_index_by_the_words_that_they_share(run, posts):
    options = ("--name-column", "id", "--features", "bagofwords", "--method", "lsh")
    built = run(
        "build", "posts.jsonl", *options, "--bits", "64", "--model", "m", "-o", "i", "--json"
    )
    assert built.json == {
        "index": "i", "model": "m", "method": "lsh", "n_bits": 64, "n_items": 60, "bytes": 480,
    }  # fmt: skip
    rows = run("search", "i", "posts.jsonl", "--name-column", "id", "--model", "m", "-k", "5",
               "--json").json  # fmt: skip
    for row in rows:
        words, found = (set(posts[int(row[key])].split()) for key in ("query", "name"))
        assert (row["distance"] == 0) == (words == found)


def test_a_sample_is_what_a_model_learns_from(run):
    whole = run("fit", "vectors.npz", "--bits", "6", "-o", "a.model")
    assert whole.err == "ITQ with 6 bits, fitted to 40 items: a.model\n"
    part = run("fit", "vectors.npz", "--bits", "6", "--sample", "20", "-o", "b.model")
    assert part.err == "ITQ with 6 bits, fitted to 20 items of 40, drawn at random: b.model\n"
    everything = run("fit", "vectors.npz", "--bits", "6", "--sample", "0", "-o", "c.model")
    assert "fitted to 40 items: " in everything.err
    X = hashlearn.load_dataset("vectors.npz").X
    a, b, c = (hashlearn.load(f"{name}.model") for name in "abc")
    assert a.encode(X).tolist() == c.encode(X).tolist() != b.encode(X).tolist()
    rows = open_source(hashlearn.load_dataset("vectors.npz")).sample(20, 0).rows
    expected = hashlearn.get_method("itq")(6, random_state=0).fit(X[rows])
    np.testing.assert_array_equal(b.weights_, expected.weights_)


def test_codes_in_a_table_are_searched_too(run):
    pytest.importorskip("pyarrow")
    run("encode", "photos.model", "photos", "-o", "c.parquet")
    run("index", "c.parquet", "-o", "c.index")
    expected = run("search", "photos.index", "new.jpg", "--model", "photos.model", "--json").json
    found = run("search", "c.index", "new.jpg", "--model", "photos.model", "--json").json
    assert found == expected


def test_an_interrupted_encode_goes_on_where_it_stopped(run, monkeypatch, folder):
    monkeypatch.setattr(encoding, "_SIZES", {"images": 4})
    monkeypatch.setattr(partial, "_COMMIT_SECONDS", 0.0)
    read, starts = FileSource.batches, []

    def cut_the_second_time(self, size, start):
        starts.append(start)
        for batch in read(self, size, start):
            if len(starts) == 2 and batch.rows[0] >= 12:
                raise OSError("the disk was pulled out")
            yield batch

    monkeypatch.setattr(FileSource, "batches", cut_the_second_time)
    run("encode", "photos.model", "photos", "-o", "whole.npz")
    arguments = ("encode", "photos.model", "photos", "-o", "out.npz")
    assert run(*arguments, code=2).err == "Error: the disk was pulled out\n"
    assert (folder / "out.npz.partial").is_dir()
    assert not (folder / "out.npz").exists()
    run(*arguments)
    assert starts[:2] == [0, 0]
    assert 0 < starts[2] <= 12
    with np.load("whole.npz") as whole, np.load("out.npz") as resumed:
        assert {name: whole[name].tolist() for name in whole} == {
            name: resumed[name].tolist() for name in resumed
        }
    assert not (folder / "out.npz.partial").exists()
