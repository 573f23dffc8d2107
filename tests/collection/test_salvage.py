"""Damage is found and named, and what is whole can be saved."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from hashlearn.collection import Collection, salvage
from hashlearn.collection.database import FILE, FORMAT


@pytest.fixture
def closed(points, path):
    points.update(["p1"], captions=["one"], labels=["x"], metadata=[{"a": 1}])
    points.close()
    return path


def change(path, sql, *parameters):
    with closing(sqlite3.connect(path / FILE, isolation_level=None)) as connection:
        assert connection.execute(sql, parameters).rowcount


def overwrite(path, start, n_bytes=512):
    data = bytearray(path.read_bytes())
    data[start : start + n_bytes] = np.random.default_rng(0).bytes(n_bytes)
    path.write_bytes(data)


def keys_of(collection):
    return {item.key for item in collection.list(1000)}


def test_a_whole_collection_has_no_problems(closed):
    with Collection.open(closed) as points:
        verification = points.verify()
    assert verification.is_whole
    assert (verification.n_items, verification.n_readable) == (60, 60)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE items SET caption = 'two' WHERE key = 'p1'", "item 2, 'p1': item"),
        ("UPDATE codes SET code = x'0000' WHERE id = 2", "item 2, 'p1': code"),
        ("UPDATE contents SET data = x'00' WHERE id = 2", "item 2, 'p1': content"),
        ("DELETE FROM codes WHERE id = 2", "item 2, 'p1': code"),
        ("DELETE FROM items WHERE id = 2", "rows of the table codes belong to no item"),
    ],
)
def test_what_was_changed_behind_its_back_is_found(closed, sql, message):
    change(closed, sql)
    with Collection.open(closed) as points:
        problems = points.verify().problems
    assert any(message in problem and FILE in problem for problem in problems), problems


def test_a_damaged_hasher_is_named(closed):
    (model,) = closed.glob("*.model")
    overwrite(model, model.stat().st_size - 40, 8)
    with pytest.raises(ValueError, match=model.name):
        Collection.open(closed)


def test_a_hasher_that_is_damaged_while_open_is_found(closed):
    with Collection.open(closed) as points:
        (model,) = closed.glob("*.model")
        overwrite(model, model.stat().st_size - 40, 8)
        assert any(model.name in problem for problem in points.verify().problems)


def test_with_a_hasher_at_hand_all_is_saved(closed, tmp_path, hasher):
    (model,) = closed.glob("*.model")
    model.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=model.name):
        salvage(closed, tmp_path / "new")
    assert salvage(closed, tmp_path / "new", hasher=hasher).n_saved == 60


def test_a_file_that_is_no_database_is_named(closed):
    overwrite(closed / FILE, 0, 4096)
    with pytest.raises(ValueError, match=f"{FILE} is damaged"):
        Collection.open(closed)


def test_databases_of_others_and_of_the_future_are_refused(closed):
    with closing(sqlite3.connect(closed / FILE)) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(ValueError, match="newer version"):
        Collection.open(closed)
    (closed / FILE).unlink()
    with closing(sqlite3.connect(closed / FILE)) as connection:
        connection.execute("CREATE TABLE items (id)")
    with pytest.raises(ValueError, match="not the database of a collection"):
        Collection.open(closed)


def test_items_that_are_whole_are_saved(closed, tmp_path):
    with Collection.open(closed) as points:
        expected = {item.key: item for item in points.list(1000)}
    change(closed, "UPDATE items SET caption = 'two' WHERE key = 'p1'")
    change(closed, "UPDATE codes SET code = x'0000' WHERE id = 4")
    change(closed, "UPDATE contents SET data = x'00' WHERE id = 6")
    saved = salvage(closed, tmp_path / "new")
    assert saved.lost == ("p1",)
    assert saved.n_saved == 59
    with Collection.open(tmp_path / "new") as new:
        assert new.verify().is_whole
        assert keys_of(new) == set(expected) - {"p1"}
        for item in new.list(1000):  # the damaged code was made anew
            assert item.code.tolist() == expected[item.key].code.tolist()
        assert new.content("p5") is None
        assert new.content("p4") is not None


def test_damaged_pages_cost_only_what_is_on_them(path, hasher, tmp_path):
    X = np.random.default_rng(2).normal(size=(2000, 8)).astype(np.float32)
    with Collection.create(hasher, path) as points:
        points.add(X, keys=[f"a rather long key of item {i:05d}" for i in range(2000)])
    whole = tmp_path / "whole"
    shutil.copytree(path, whole)
    n_pages = (path / FILE).stat().st_size // 4096
    n_opened = n_least = 0
    for page in range(12, n_pages, n_pages // 12):
        shutil.rmtree(path)
        shutil.copytree(whole, path)
        overwrite(path / FILE, page * 4096, 4096)
        try:
            with Collection.open(path) as points:
                assert not points.verify().is_whole
                n_opened += 1
        except ValueError as error:
            assert FILE in str(error)  # noqa: PT017 - it may open, or not
        output = tmp_path / f"saved{page}"
        try:
            saved = salvage(path, output)
        except ValueError as error:
            assert FILE in str(error)  # noqa: PT017
            continue
        assert saved.n_saved + len(saved.lost) <= 2000
        n_least += saved.n_saved >= 1500
        with Collection.open(output) as new:
            assert new.verify().is_whole
            assert len(new) == saved.n_saved
            for item in new.list(50):
                row = int(item.key[-5:])
                assert item.code.tolist() == hasher.encode(X[row : row + 1])[0].tolist()
    assert n_opened
    assert n_least >= 6
