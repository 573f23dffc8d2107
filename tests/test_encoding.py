"""Codes are the same in batches as at once, and after an interruption as without one."""

import threading
import time

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import hashlearn
from hashlearn import encoding, models, partial
from hashlearn.building import build
from hashlearn.codefiles import SUFFIXES, read_codes, write_codes
from hashlearn.data import Source, open_source
from hashlearn.encoding import ahead, encode_source, fit, open_for
from hashlearn.features import Backbone, Pixels
from hashlearn.index import HammingIndex

N = 500
VECTORS = np.random.default_rng(0).normal(size=(N, 12)).astype(np.float32)
WORDS = ("red", "green", "blue", "old", "new", "borrowed")
TEXTS = [" ".join(WORDS[j] for j in np.random.default_rng(i).permutation(6)[:3]) for i in range(N)]


class Letters(Backbone):
    """Stands for a network: counts letters of texts, and how often it was asked."""

    computed = 0

    def __init__(self, model="letters", *, batch_size=8):
        self.model = model
        self.batch_size = batch_size

    def check_source(self):
        pass

    def _learn(self, kind):
        assert kind == "texts"
        return self._load()

    def _load(self):
        return self

    fixed_batch = None

    def prepare(self, items):
        letters = "abcdefghijklmnopqrstuvwxyz"
        return {"counts": np.array([[t.count(c) for c in letters] for t in items], np.float32)}

    def compute(self, inputs):
        Letters.computed += len(inputs["counts"])
        return inputs["counts"]


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(encoding, "_SIZES", {"vectors": 64, "texts": 32, "images": 16})
    monkeypatch.setattr(partial, "_COMMIT_SECONDS", 0.0)
    monkeypatch.setitem(models.feature_classes.__globals__["_FEATURES"], "letters", Letters)
    Letters.computed = 0


@pytest.fixture
def itq():
    return hashlearn.get_method("itq")(10, random_state=0)


@pytest.fixture
def texts(tmp_path):
    for i, text in enumerate(TEXTS):
        path = tmp_path / "texts" / "abc"[i % 3] / f"{i:04d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return open_source(tmp_path / "texts")


@pytest.fixture
def vectors(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    return open_source(tmp_path / "v.npy")


class Failing(Source):
    """Give another source's batches, and fail after some."""

    def __init__(self, source, n_batches):
        super().__init__(source.name, source.origin, source.kind)
        self.source = source
        self.n_batches = n_batches
        self.n_read = 0

    def _count(self):
        return self.source.n_rows

    def _identify(self):
        return self.source.identity

    def number(self, labels):
        return self.source.number(labels)

    def batches(self, size=8192, start=0):
        yield from self._some(self.source.batches(size, start))

    def some(self, rows, size=8192):
        yield from self._some(self.source.some(rows, size))

    def _some(self, batches):
        for batch in batches:
            if self.n_read == self.n_batches:
                raise InterruptedError("the power went out")
            self.n_read += 1
            yield batch


def stored(path):
    found = read_codes(path)
    return {name: array.tolist() for name, array in found.items()}


def test_a_source_gives_the_codes_of_the_model(itq, vectors, tmp_path):
    itq.fit(VECTORS)
    assert encode_source(itq, vectors, tmp_path / "c.npy") == N
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), itq.encode(VECTORS))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.npy", "v.npy"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("n_batches", [1, 3, 7])
def test_an_interrupted_encode_goes_on_where_it_stopped(itq, vectors, tmp_path, suffix, n_batches):
    itq.fit(VECTORS)
    output = tmp_path / f"c{suffix}"
    with pytest.raises(InterruptedError):
        encode_source(itq, Failing(vectors, n_batches), output)
    assert not output.exists()
    rest = Failing(vectors, 99)
    encode_source(itq, rest, output)
    assert rest.n_read <= 8 - n_batches + 1  # one that was computed may not have been written
    assert stored(output)["codes"] == itq.encode(VECTORS).tolist()


def test_another_model_or_another_file_begins_anew(itq, vectors, tmp_path):
    other = hashlearn.get_method("lsh")(10, random_state=1).fit(VECTORS)
    itq.fit(VECTORS)
    with pytest.raises(InterruptedError):
        encode_source(itq, Failing(vectors, 5), tmp_path / "c.npy")
    encode_source(other, vectors, tmp_path / "c.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), other.encode(VECTORS))
    with pytest.raises(InterruptedError):
        encode_source(itq, Failing(vectors, 5), tmp_path / "c.npy")
    np.save(tmp_path / "v.npy", -VECTORS)
    encode_source(itq, open_source(tmp_path / "v.npy"), tmp_path / "c.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), itq.encode(-VECTORS))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("names", [None, ["a", "b\n", "ö"]])
def test_files_of_codes_give_back_what_was_written(tmp_path, suffix, names):
    codes = np.arange(9, dtype=np.uint8).reshape(3, 3)
    write_codes(tmp_path / f"c{suffix}", codes, 20, names, method="ITQ")
    found = stored(tmp_path / f"c{suffix}")
    assert found["codes"] == codes.tolist()
    if suffix != ".npy":
        assert found["n_bits"] == 20
        assert found.get("names") == names


def test_a_parquet_file_of_codes_is_read_by_others(itq, vectors, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    encode_source(itq.fit(VECTORS), vectors, tmp_path / "c.parquet")
    column = parquet.read_table(tmp_path / "c.parquet")["code"]
    assert [*map(bytes, itq.encode(VECTORS))] == column.to_pylist()


def test_images_come_as_the_model_takes_them(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 3), np.uint8)
    np.save(tmp_path / "i.npy", images)
    model = make_pipeline(Pixels(), hashlearn.get_method("lsh")(8, random_state=0)).fit(images)
    source = open_for(model, tmp_path / "i.npy")
    encode_source(model, source, tmp_path / "c.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), models.encode(model, images))


@pytest.mark.parametrize("method", ["lsh", "itq"])
def test_a_stream_teaches_what_all_rows_teach(method, vectors):
    make = hashlearn.get_method(method)
    expected = make(8, random_state=0).fit(VECTORS)
    streamed = fit(make(8, random_state=0), vectors)
    again = make(8, random_state=0)
    for start in range(0, N, 64):
        again.partial_fit(VECTORS[start : start + 64])
    np.testing.assert_array_equal(streamed.encode(VECTORS), again.encode(VECTORS))
    assert (streamed.transform(VECTORS) == expected.transform(VECTORS)).mean() > 0.99
    with pytest.raises(ValueError, match="the stream is empty"):
        make(8).fit_stream([])


def test_labels_are_not_lost_on_the_way_to_a_method_that_could_do_without(tmp_path):
    y = (VECTORS[:, 0] > 0).astype(int)
    np.savez(tmp_path / "v.npz", X=VECTORS, y=y)
    source = open_source(tmp_path / "v.npz")
    make = hashlearn.get_method("itq")
    expected = make(2, embedding="cca", random_state=0).fit(VECTORS, y)
    for n_items in (None, N):
        fitted = fit(make(2, embedding="cca", random_state=0), source, n_items=n_items)
        np.testing.assert_array_equal(fitted.weights_, expected.weights_)


def test_data_without_an_item_that_can_be_read_are_refused(itq, tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    source = open_source(tmp_path, same_size=False)
    model = make_pipeline(Letters(), itq)
    with pytest.warns(UserWarning, match="left out"), pytest.raises(ValueError, match="no item"):
        build(model, source, tmp_path / "i", model_output=tmp_path / "m")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".png"] * 3


def test_a_sample_teaches_what_its_rows_teach(itq, vectors):
    model = fit(make_pipeline(Pixels(), itq), vectors, n_items=100, random_state=3)
    rows = vectors.sample(100, 3).rows
    expected = make_pipeline(Pixels(), itq.__class__(10, random_state=0)).fit(VECTORS[rows])
    np.testing.assert_array_equal(model.transform(VECTORS), expected.transform(VECTORS))


@pytest.mark.parametrize("n_items", [50, 320, N, 10_000])
def test_a_build_computes_every_item_once(texts, itq, tmp_path, n_items):
    model = make_pipeline(Letters(), itq)
    index = build(model, texts, tmp_path / "i", model_output=tmp_path / "m", n_items=n_items)
    assert Letters.computed == N + 1  # the first says how many features there are
    rows = texts.choose(n_items, 0)
    everything = texts.read()
    features = Letters().fit_transform(everything.X)
    expected = itq.__class__(10, random_state=0).fit(features[rows])
    np.testing.assert_array_equal(index.codes, expected.encode(features))
    opened = HammingIndex.open(tmp_path / "i")
    np.testing.assert_array_equal(opened.codes, index.codes)
    names = (tmp_path / "i.names.txt").read_text().splitlines()
    assert tuple(names) == everything.item_names
    loaded = hashlearn.load(tmp_path / "m")
    np.testing.assert_array_equal(models.encode(loaded, everything.X), index.codes)
    assert not (tmp_path / "i.partial").exists()


@pytest.mark.parametrize("n_batches", [3, 9, 12, 15])
def test_an_interrupted_build_goes_on_where_it_stopped(texts, tmp_path, n_batches):
    def run(source, output):
        model = make_pipeline(Letters(), hashlearn.get_method("itq")(10, random_state=0))
        return build(
            model, source, tmp_path / output, model_output=tmp_path / "m", n_items=300
        ).codes  # fmt: skip

    expected = run(texts, "whole")
    Letters.computed = 0
    with pytest.raises(InterruptedError):
        run(Failing(texts, n_batches), "i")
    assert not (tmp_path / "i").exists()
    np.testing.assert_array_equal(run(texts, "i"), expected)
    assert Letters.computed <= N + 2 + 3 * 32  # what was computed ahead, and not yet written


def test_a_build_learns_from_labels(texts, tmp_path):
    pytest.importorskip("torch")
    method = hashlearn.get_method("csq")
    model = make_pipeline(Letters(), method(8, random_state=0, n_steps=5, device="cpu"))
    index = build(model, texts, tmp_path / "i", model_output=tmp_path / "m", n_items=200)
    rows = texts.choose(200, 0)
    data = texts.read()
    features = Letters().fit_transform(data.X)
    expected = method(8, random_state=0, n_steps=5, device="cpu").fit(features[rows], data.y[rows])
    np.testing.assert_array_equal(index.codes, expected.encode(features))


def test_a_build_without_a_network_reads_twice(vectors, itq, tmp_path):
    index = build(itq, vectors, tmp_path / "i", model_output=tmp_path / "m", n_items=200)
    expected = itq.__class__(10, random_state=0).fit(VECTORS[vectors.choose(200, 0)])
    np.testing.assert_array_equal(index.codes, expected.encode(VECTORS))
    assert not (tmp_path / "i.names.txt").exists()


def test_items_are_made_ahead_and_in_order():
    made = []

    def make():
        for i in range(10):
            made.append(i)
            yield i

    items = ahead(make(), 2)
    assert next(items) == 0
    for _ in range(100):
        if len(made) >= 4:
            break
        time.sleep(0.01)
    assert made == [0, 1, 2, 3]  # one is given, two wait, one has no room
    assert list(items) == list(range(1, 10))


def test_what_goes_wrong_while_making_items_is_raised_in_their_turn():
    def make():
        yield 1
        raise KeyError("gone")

    items = ahead(make())
    assert next(items) == 1
    with pytest.raises(KeyError, match="gone"):
        next(items)


def test_who_stops_early_leaves_no_thread():
    before = threading.active_count()
    items = ahead(iter(range(1000)))
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
