import doctest
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from hashlearn.codes import hamming_distances
from hashlearn.collection import Collection, KeysTakenError
from hashlearn.data import load_dataset
from hashlearn.data.source import objects
from hashlearn.hashers import get_method
from hashlearn.integrations import _milvus_search
from hashlearn.integrations._milvus_where import expressions, fulfilling
from hashlearn.integrations.milvus import MilvusCollection
from hashlearn.models import make_model

pymilvus = pytest.importorskip("pymilvus")
milvus_lite = pytest.importorskip("milvus_lite.server_manager")

ROOT = Path(__file__).parent.parent.parent
NAMES = (f"c{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A file of Milvus Lite, whose server ends with the tests."""
    path = tmp_path_factory.mktemp("milvus") / "some.db"
    manager = milvus_lite.server_manager_instance
    assert manager.start_and_get_uri(str(path)) is not None
    yield str(path)
    process = manager._servers[str(path.resolve())]._p
    manager.release_server(str(path))
    assert process.poll() is not None


@pytest.fixture
def name():
    return next(NAMES)


def make_vectors(n=60, n_features=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n_features)).astype(np.float32)


def make_hasher(X, n_bits=16):
    return get_method("lsh")(n_bits, random_state=0).fit(X)


AWKWARD = [
    "plain",
    'with "quotes"',
    "it's",
    "back\\slash",
    "100%_x",
    "Grüße ß 日本",
    "{v}",
    "a\nb",
    "]",
]


def described(n):
    """What is said of items: awkward texts, lists, numbers of all kinds, and nothing."""
    metadata = []
    for i in range(n):
        values = {"n": [i, i + 0.5, bool(i % 2), [i, i + 10]][i % 4], "text": AWKWARD[i % 9]}
        values["big"] = 2**62 + i % 3
        values["tags"] = [AWKWARD[i % 9], AWKWARD[(i + 1) % 9]]
        if i % 5 == 0:
            values = {"n": -i, "we\"ird] na'me": "yes", "long": "x" * 5000 + str(i)}
        metadata.append(values)
    return {
        "keys": [f"{AWKWARD[i % 9]}-{i}" for i in range(n)],
        "captions": [None if i % 3 else AWKWARD[i % 9].upper() for i in range(n)],
        "labels": [None if i % 7 == 0 else AWKWARD[i % 4] for i in range(n)],
        "metadata": metadata,
    }


@pytest.fixture
def both(uri, name, tmp_path):
    """The same items in a folder and in Milvus."""
    X = make_vectors()
    hasher = make_hasher(X, 12)
    with (
        Collection.create(hasher, tmp_path / "folder") as folder,
        MilvusCollection.create(hasher, uri, name=name) as milvus,
    ):
        for collection in (folder, milvus):
            assert collection.add(X, **described(60)).n_added == 60
        yield folder, milvus


def as_tuple(item):
    return (
        item.key, item.source, item.caption, item.label, dict(item.metadata), item.code.tobytes()
    )  # fmt: skip


def as_tuples(found):
    return [(as_tuple(hit.item), hit.distance, hit.weighted_distance) for hit in found.hits]


CONDITIONS = [
    {},
    {"label": "plain"},
    {"label": AWKWARD},
    {"label": {"not": "plain"}},
    {"n": 1},
    {"n": [2, 3.0, True]},
    {"n": {"min": 4}},
    {"n": {"max": 7.5}},
    {"n": {"min": 4, "max": 9.5}},
    {"n": {"min": -10, "max": 30, "not": [0, 13]}},
    {"big": 2**62 + 1},
    {"big": {"min": 2**62 + 1, "max": 2**62 + 1}},
    {"text": {"min": "a", "max": "w"}},
    {"text": {"min": 'with "'}},
    {"tags": {"max": "a"}},
    {"tags": {"min": "b", "max": "q"}},
    {"tags": {"contains": "GRÜßE"}},
    {"tags": {"contains": "grüße ß"}},
    {"long": {"contains": "x5"}},
    {"long": {"min": "x" * 4999, "max": "x" * 5000 + "3"}},
    {"we\"ird] na'me": "yes"},
    {"nothing": "there"},
    {"nothing": {"not": "there"}},
    {"key": 'with "quotes"-1'},
    {"key": {"contains": "%_X"}},
    {"caption": {"contains": "\\"}},
    {"caption": {"contains": '"'}},
    {"label": "plain", "n": {"min": 3}, "tags": {"contains": "a"}},
    {"label": '" or id >= 0 or "" == "'},
]


def test_every_condition_gives_the_items_that_it_gives_in_a_folder(both):
    folder, milvus = both
    for where in CONDITIONS:
        expected = [item.key for item in folder.list(100, where=where)]
        assert [item.key for item in milvus.list(100, where=where)] == expected, where
        assert milvus.count(where) == len(expected) == len(milvus.ids(where)), where


def test_what_people_write_stands_in_no_expression():
    for where in CONDITIONS:
        for expression in expressions(where, can_negate=True):
            assert set(expression or "") <= set(
                'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP0123456789_ ,()[]<>=%"'
            ), where
    assert fulfilling({}, {"label": "plain"}) == []


def test_negation_is_an_expression_on_a_server_and_looked_at_in_milvus_lite():
    (sure, doubtful) = expressions({"label": {"not": "a"}}, can_negate=True)
    assert sure.startswith("not (")
    assert doubtful is None
    assert expressions({"label": {"not": "a"}}, can_negate=False)[1] is not None


@pytest.mark.parametrize("rerank", [False, True])
def test_searches_find_what_they_find_in_a_folder(both, rerank):
    folder, milvus = both
    for query in make_vectors(5, seed=1):
        for k, radius in [(1, None), (10, None), (60, None), (100, 4), (None, 5), (7, 0)]:
            for where in [None, {"label": "plain"}, {"n": {"min": 4, "max": 20}}]:
                options = {"radius": radius, "where": where, "rerank": rerank}
                found = milvus.search(query, k, **options)
                assert as_tuples(found) == as_tuples(folder.search(query, k, **options))
    key = described(60)["keys"][13]
    found = milvus.search_key(key, 9, rerank=rerank)
    assert as_tuples(found) == as_tuples(folder.search_key(key, 9, rerank=rerank))
    assert key not in [hit.item.key for hit in found.hits]


def test_a_life_is_the_same_in_both(both, uri):
    folder, milvus = both
    keys, X = described(60)["keys"], make_vectors(10, seed=2)
    for one in (folder, milvus):
        one.remove(keys[5:15])
        one.update(keys[20:22], labels=["new", None])
        one.update(keys[30:32], X[:2], captions=["x", "y"])
        again = one.add(X[2:4], keys=["new 1", "new 2"], metadata=[{"a": [1, 2]}, {}])
        assert (again.n_added, again.n_known) == (2, 0)
        again = one.add(X[2:5], keys=["new 1", "new 2", "new 3"], metadata=[{"a": [1, 2]}, {}, {}])
        assert (again.n_added, again.n_known) == (1, 2)
        with pytest.raises(KeysTakenError, match="new 1"):
            one.add(X[:2], keys=["new 1", "other"])
        with pytest.raises(KeyError, match="nobody"):
            one.get(["new 1", "nobody"])
        with pytest.raises(KeyError, match="nobody"):
            one.remove(["new 1", "nobody"])
    assert len(milvus) == len(folder) == 53
    assert [*map(as_tuple, milvus.list(200))] == [*map(as_tuple, folder.list(200))]
    assert [*map(as_tuple, milvus.list(3, after="new 1"))] == [
        *map(as_tuple, folder.list(3, after="new 1"))
    ]
    assert milvus.fields() == folder.fields()
    assert [*milvus.fields(2)] == [*folder.fields(2)]
    assert "new 3" in milvus
    assert "other" not in milvus
    assert (milvus.original(keys[30]) == folder.original(keys[30])).all()
    for key in milvus.with_ids(milvus.ids({"label": "new"})).values():
        assert key.label == "new"
    query = make_vectors(1, seed=3)[0]
    assert as_tuples(milvus.search(query, 60)) == as_tuples(folder.search(query, 60))
    with MilvusCollection.open(uri, name=milvus.name) as opened:
        assert as_tuples(opened.search(query, 60)) == as_tuples(folder.search(query, 60))
        assert opened.n_bits == 12
        code = opened.get(keys[:1])[0].code
        assert opened.search_code(code, 1).hits[0].distance == 0


def test_the_same_wrong_calls_raise_the_same_errors(both):
    folder, milvus = both
    x = make_vectors(1)[0]
    for call in [
        lambda one: one.add([]),
        lambda one: one.add([[1.0, 2.0], [3.0]]),
        lambda one: one.add([x], keys=["a", "b"]),
        lambda one: one.add([x * np.nan]),
        lambda one: one.add([x], metadata=[{"key": 1}]),
        lambda one: one.update(["nobody"], labels=["a"]),
        lambda one: one.update([], [x]),
        lambda one: one.search(x, 0),
        lambda one: one.search(x, None),
        lambda one: one.search(x, 1, where={"a": {"least": 1}}),
        lambda one: one.search(x, 1, where={"a": None}),
        lambda one: one.search("a text"),
        lambda one: one.search_key("nobody"),
        lambda one: one.search_code([1], 3),
        lambda one: one.list(-1),
        lambda one: one.list(after="nobody"),
        lambda one: one.content("nobody"),
        lambda one: one.fields(0),
    ]:
        with pytest.raises((TypeError, ValueError, KeyError)) as expected:
            call(folder)
        with pytest.raises(expected.type) as raised:
            call(milvus)
        assert str(raised.value) == str(expected.value)
    assert len(milvus) == 60


def test_texts_and_large_originals_are_kept_in_parts(uri, name):
    texts = ["wörd " * 30_000, "short words here", "another thing said"]
    model = make_model("bagofwords", get_method("lsh")(8, random_state=0)).fit(objects(2 * texts))
    with MilvusCollection.create(model, uri, name=name, keep_originals=False) as milvus:
        milvus.add(texts, keys=["long", "b", "c"])
        assert milvus.kind == "texts"
        assert milvus.original("long") == texts[0]
        milvus.update(["long"], ["now short"])
        assert milvus.original("long") == "now short"
        assert milvus.search("short words here", 1).hits[0].item.key == "b"
    client = pymilvus.MilvusClient(uri)
    parts = client.query(f"{name}_parts", filter="", output_fields=["count(*)"])[0]["count(*)"]
    client.close()
    assert parts == 5  # the hasher, what is said of it, and three texts


def test_without_originals_nothing_is_kept(uri, name):
    X = make_vectors()
    with MilvusCollection.create(make_hasher(X), uri, name=name, keep_originals=False) as milvus:
        milvus.add(X[:3], keys=["a", "b", "c"])
        assert milvus.content("a") is None
        with pytest.raises(ValueError, match="has not kept"):
            milvus.search_key("a", rerank=True)


def test_what_is_too_much_for_milvus_is_refused_before_anything_is_written(uri, name):
    X = make_vectors()
    with MilvusCollection.create(make_hasher(X), uri, name=name) as milvus:
        with pytest.raises(ValueError, match="at most 65,000 bytes"):
            milvus.add(X[:2], captions=["fine", "x" * 70_000])
        with pytest.raises(ValueError, match="at most 4,096 values"):
            milvus.add(X[:2], metadata=[{}, {"list": [*range(5000)]}])
        with pytest.raises(ValueError, match="at most 16,384"):
            milvus.search(X[0], 16_385)
        assert len(milvus) == 0
        assert len(milvus.search(X[0], 5)) == 0


def test_collections_are_named_where_they_are_missing_or_there(uri, name, tmp_path):
    X = make_vectors()
    hasher = make_hasher(X)
    MilvusCollection.create(hasher, uri, name=name).close()
    with pytest.raises(FileExistsError, match=name):
        MilvusCollection.create(hasher, uri, name=name)
    MilvusCollection.open(uri, name=name).close()
    with pytest.raises(FileNotFoundError, match="no collection nothing"):
        MilvusCollection.open(uri, name="nothing")
    with pytest.raises(FileNotFoundError, match="no file"):
        MilvusCollection.open(str(tmp_path / "nothing.db"))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        MilvusCollection.create(hasher, str(tmp_path / "nowhere" / "some.db"))
    with pytest.raises(ValueError, match="letters, digits"):
        MilvusCollection.create(hasher, uri, name="no name")
    with pytest.raises(ValueError, match="Strong, Bounded"):
        MilvusCollection.create(hasher, uri, name="other", consistency_level="strongest")


def test_a_closed_collection_says_so_and_ends_the_server_that_it_started(tmp_path):
    X = make_vectors()
    path = tmp_path / "own.db"
    first = MilvusCollection.create(make_hasher(X), str(path))
    first.add(X)
    servers = milvus_lite.server_manager_instance._servers
    process = servers[str(path.resolve())]._p
    second = MilvusCollection.open(str(path))
    first.close()
    with pytest.raises(ValueError, match="is closed"):
        first.count()
    assert len(second) == 60
    second.close()
    assert process.poll() is not None
    assert str(path.resolve()) not in servers
    with MilvusCollection.open(str(path)) as opened:
        assert len(opened) == 60


def test_milvus_is_needed_only_where_it_is_used(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[milvus\]'"):
        MilvusCollection.open("http://localhost:19530")


@pytest.mark.parametrize("n_bits", [64, 20, 6])
def test_neighbours_are_those_of_brute_force_with_filters_and_after_deletes(uri, name, n_bits):
    X = make_vectors(3000, 16)
    hasher = make_hasher(X, n_bits)
    keys = [f"k{i}" for i in range(len(X))]
    labels = [str(i % 3) for i in range(len(X))]
    with MilvusCollection.create(hasher, uri, name=name, keep_originals=False) as milvus:
        milvus.add(X, keys=keys, labels=labels)
        milvus.remove(keys[100:400])
        there = np.array([not 100 <= i < 400 for i in range(len(X))])
        codes, queries = hasher.encode(X), hasher.encode(make_vectors(20, 16, seed=5))
        for where, mask in [(None, there), ({"label": "1"}, there & (np.arange(3000) % 3 == 1))]:
            rows = np.flatnonzero(mask)
            for query in queries:
                distances = hamming_distances(query[None], codes[rows])[0]
                order = np.lexsort((rows, distances))[:100]
                found = milvus.search_code(query, 100, where=where)
                assert [hit.item.key for hit in found.hits] == [keys[i] for i in rows[order]]
                assert [hit.distance for hit in found.hits] == distances[order].tolist()


def test_items_are_listed_in_order_however_few_milvus_gives_at_once(both, monkeypatch):
    folder, milvus = both
    monkeypatch.setattr(_milvus_search, "MAX_HITS", 7)
    assert [item.key for item in milvus.list(60)] == [item.key for item in folder.list(60)]
    assert [item.key for item in milvus.list(3)] == [item.key for item in folder.list(3)]
    where = {"n": {"min": 3}}
    assert [item.key for item in milvus.list(20, where=where, after="plain-9")] == [
        item.key for item in folder.list(20, where=where, after="plain-9")
    ]
    with pytest.raises(ValueError, match="7 items or more are within 12 bits"):
        milvus.search(make_vectors(1)[0], None, radius=12)


def test_two_who_add_the_same_key_at_once_leave_one_item(uri, name, monkeypatch):
    X = make_vectors()
    with (
        MilvusCollection.create(make_hasher(X), uri, name=name) as first,
        MilvusCollection.open(uri, name=name) as second,
    ):
        first.add(X[:2], keys=["a", "b"])
        monkeypatch.setattr(second, "_records", lambda *_: {})  # looked before the first wrote
        assert second.add(X[1:2], keys=["a"]).n_added == 1
        assert len(first) == 2
        assert (first.original("a") == X[1]).all()
        assert [item.key for item in first.list()] == ["b", "a"]


def test_sources_are_added_batch_by_batch(uri, name):
    X = make_vectors()
    with MilvusCollection.create(make_hasher(X), uri, name=name) as milvus:
        steps = []
        added = milvus.add_source(X, progress=lambda *step: steps.append(step))
        assert (added.n_added, steps[-1]) == (60, ("items", 60, 60))
        assert milvus.add_source(X).n_known == 60
        assert [item.key for item in milvus.list(3)] == ["0", "1", "2"]


@pytest.mark.real
def test_sentences_are_found_as_in_a_folder(uri, name, tmp_path):
    X = load_dataset("newsgroups20_minilm").X[:2000]
    hasher = get_method("itq")(64, random_state=0).fit(X)
    with (
        Collection.create(hasher, tmp_path / "folder", keep_originals=False) as folder,
        MilvusCollection.create(hasher, uri, name=name, keep_originals=False) as milvus,
    ):
        for one in (folder, milvus):
            one.add(X[100:], keys=[f"s{i}" for i in range(100, len(X))])
        for x in X[:20]:
            found = milvus.search(x, 10, rerank=True)
            assert as_tuples(found) == as_tuples(folder.search(x, 10, rerank=True))


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "stores" / "milvus.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 15
    assert failed == 0
    assert not milvus_lite.server_manager_instance._servers.get(str(tmp_path / "embeddings.db"))
