import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlearn.data import Split, SplitRecipe
from hashlearn.data.splits import draw_split

PUBLISHED = {"train": np.arange(60), "test": np.arange(60, 100)}
CLASSES = np.arange(100) % 5


def split(recipe, *, n=100, y=CLASSES, published=PUBLISHED):
    return draw_split(n, y, published, recipe)


def test_queries_from_test_leave_the_train_part_whole():
    drawn = split(SplitRecipe("test", n_queries=10))
    assert len(drawn.queries) == 10
    assert set(drawn.queries) <= set(range(60, 100))
    assert drawn.database.tolist() == drawn.train.tolist() == list(range(60))


def test_queries_from_train_never_touch_the_test_part():
    drawn = split(SplitRecipe("train", n_queries=10))
    assert len(drawn.queries) == 10
    assert sorted([*drawn.queries, *drawn.database]) == list(range(60))


def test_queries_from_all_ignore_the_published_split():
    drawn = split(SplitRecipe("all", n_queries=30))
    assert sorted([*drawn.queries, *drawn.database]) == list(range(100))
    assert {row < 60 for row in drawn.queries} == {True, False}


def test_queries_from_all_need_no_published_split():
    assert len(split(SplitRecipe("all", n_queries=30), published={}, y=None).database) == 70


@pytest.mark.parametrize("queries_from", ["test", "train", "all"])
def test_each_class_asks_and_trains_equally_often(queries_from):
    drawn = split(
        SplitRecipe(
            queries_from, 20, queries_per_class=True, n_train=15, train_per_class=True, seed=3
        )
    )
    assert np.bincount(CLASSES[drawn.queries]).tolist() == [4] * 5
    assert np.bincount(CLASSES[drawn.train]).tolist() == [3] * 5


def test_items_without_a_class_are_not_drawn_by_class():
    y = np.where(np.arange(100) < 50, -1, CLASSES)
    drawn = split(SplitRecipe("all", 20, queries_per_class=True), y=y)
    assert drawn.queries.min() >= 50
    assert len(drawn.database) == 80


def test_the_same_seed_draws_the_same_and_another_draws_others():
    first, again, other = (
        split(SplitRecipe("all", 20, n_train=10, seed=seed)) for seed in (1, 1, 2)
    )
    assert first.queries.tolist() == again.queries.tolist()
    assert first.train.tolist() == again.train.tolist()
    assert first.queries.tolist() != other.queries.tolist()


def test_the_global_seed_neither_matters_nor_moves():
    np.random.seed(0)  # noqa: NPY002 - the old generator is what must stay untouched
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    split(SplitRecipe("all", 20))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_larger_draws_contain_smaller_ones():
    small, large = (split(SplitRecipe("all", n)) for n in (10, 30))
    assert set(small.queries) < set(large.queries)
    few, many = (split(SplitRecipe("test", n_train=n)) for n in (10, 30))
    assert set(few.train) < set(many.train)
    small, large = (split(SplitRecipe("all", n, queries_per_class=True)) for n in (10, 30))
    assert set(small.queries) < set(large.queries)


def test_queries_do_not_depend_on_the_number_of_training_items():
    few, many = (split(SplitRecipe("all", 20, n_train=n)) for n in (10, 30))
    assert few.queries.tolist() == many.queries.tolist()


def test_training_items_do_not_depend_on_the_number_of_test_queries():
    few, many = (split(SplitRecipe("test", n, n_train=10)) for n in (5, 30))
    assert few.train.tolist() == many.train.tolist()


def test_a_recipe_goes_through_json():
    recipe = SplitRecipe("train", np.int64(20), True, n_train=np.int32(10), seed=np.uint8(4))
    stored = json.loads(json.dumps(recipe.as_dict()))
    assert stored == {
        "queries_from": "train",
        "n_queries": 20,
        "queries_per_class": True,
        "n_train": 10,
        "train_per_class": False,
        "train_from": "database",
        "seed": 4,
    }
    assert SplitRecipe(**stored) == recipe


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"queries_from": "valid"}, ValueError, "got 'valid'"),
        ({"train_from": "test"}, ValueError, "got 'test'"),
        (
            {"train_from": "learn", "queries_from": "all", "n_queries": 1},
            ValueError,
            "needs queries_from=",
        ),
        ({"n_queries": 0}, ValueError, "at least 1, got 0"),
        ({"n_queries": 2.0}, TypeError, "integer, got 2.0"),
        ({"n_queries": True}, TypeError, "integer, got True"),
        ({"n_train": -1}, ValueError, "n_train must be at least 1"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"queries_per_class": 10, "n_queries": 10}, TypeError, "True or False"),
        ({"queries_per_class": True}, ValueError, "n_queries is needed"),
        ({"train_per_class": True}, ValueError, "n_train is needed"),
        ({"queries_from": "all"}, ValueError, "n_queries is needed"),
        ({"queries_from": "train"}, ValueError, "n_queries is needed"),
    ],
)
def test_wrong_recipes_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        SplitRecipe(**fields)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (SplitRecipe("test", 41), "41 queries are asked for and there are 40"),
        (SplitRecipe("train", 60), "empty database"),
        (SplitRecipe("train", 61), "there are 60"),
        (SplitRecipe("all", 100), "empty database"),
        (SplitRecipe("all", 20, n_train=81), "81 training items are asked for and there are 80"),
        (SplitRecipe("all", 21, queries_per_class=True), "divided equally among 5 classes"),
        (SplitRecipe("all", 20, n_train=4, train_per_class=True), "divided equally"),
    ],
)
def test_what_is_not_there_cannot_be_asked_for(recipe, message):
    with pytest.raises(ValueError, match=message):
        split(recipe)


def test_a_class_that_is_too_small_is_named():
    y = np.array([0] * 98 + [1] * 2)
    with pytest.raises(ValueError, match=r"3 queries of each class .* class 1 has 2"):
        split(SplitRecipe("all", 6, queries_per_class=True), y=y)


@pytest.mark.parametrize("y", [None, np.eye(100, dtype=np.uint8)])
def test_drawing_by_class_needs_class_numbers(y):
    with pytest.raises(ValueError, match="needs one class number an item"):
        split(SplitRecipe("all", 10, queries_per_class=True), y=y)


def test_training_on_a_published_part_needs_one_that_is_apart():
    recipe = SplitRecipe(train_from="learn")
    with pytest.raises(ValueError, match='needs a published part "learn"'):
        split(recipe)
    for part, message in (("train", "also in the database"), ("test", "also a training item")):
        with pytest.raises(ValueError, match=message):
            split(recipe, published={**PUBLISHED, "learn": PUBLISHED[part][:3]})


@pytest.mark.parametrize("queries_from", ["test", "train"])
def test_without_a_published_split_the_error_says_to_use_all(queries_from):
    with pytest.raises(ValueError, match=r'needs a published .*queries_from="all"'):
        split(SplitRecipe(queries_from, 5), published={})


@pytest.mark.parametrize(
    ("train", "database", "queries", "message"),
    [
        ([0], [0, 1], [1], "a query is also in the database"),
        ([3], [0, 1], [2], "a training item is not in the database"),
        ([0], [1, 0], [2], "ascending"),
        ([0, 0], [0, 1], [2], "none of them twice"),
        ([0], [0, 1], [-1], "ascending"),
        ([0], [0, 1], [], "at least one"),
        ([0.0], [0, 1], [2], "got float64"),
    ],
)
def test_wrong_splits_are_refused(train, database, queries, message):
    with pytest.raises(ValueError, match=message):
        Split(np.array(train), np.array(database), np.array(queries), SplitRecipe())


def test_the_rows_of_a_split_are_read_only():
    drawn = split(SplitRecipe("test"))
    with pytest.raises(ValueError, match="read-only"):
        drawn.queries[0] = 1


@given(
    n=st.integers(2, 60),
    data=st.data(),
    seed=st.integers(0, 2**63),
)
def test_queries_and_database_are_disjoint_and_cover_everything(n, data, seed):
    n_queries = data.draw(st.integers(1, n - 1))
    n_train = data.draw(st.none() | st.integers(1, n - n_queries))
    drawn = split(SplitRecipe("all", n_queries, n_train=n_train, seed=seed), n=n, published={})
    assert sorted([*drawn.queries, *drawn.database]) == list(range(n))
    assert set(drawn.train) <= set(drawn.database)
    assert len(drawn.train) == (n_train or n - n_queries)
