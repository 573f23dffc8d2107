import pickle

import numpy as np
import pytest

from hashlearn.data import Dataset, SplitRecipe
from hashlearn.data.dataset import holds_texts

VECTORS = np.arange(12.0).reshape(4, 3)


def test_a_dataset_keeps_what_it_is_given():
    dataset = Dataset(
        "four",
        VECTORS,
        np.array([0, 1, 1, -1], np.int8),
        label_names=("no", "yes"),
        item_names=("a", "b", "c", "d"),
        splits={"train": np.array([0, 1]), "test": np.array([3], np.uint8)},
        source="by hand",
    )
    assert len(dataset) == 4
    assert dataset.X.tolist() == VECTORS.tolist()
    assert dataset.y.tolist() == [0, 1, 1, -1]
    assert dataset.y.dtype == np.int64
    assert dataset.splits["test"].tolist() == [3]
    assert dataset.splits["test"].dtype == np.int64
    assert repr(dataset) == "Dataset('four', X (4, 3) float64, y (4,) int64, train 2, test 1)"


def test_labels_of_several_columns_become_bytes():
    y = np.eye(4, 2, dtype=bool)
    dataset = Dataset("four", VECTORS, y, label_names=("a", "b"))
    assert dataset.y.dtype == np.uint8
    assert dataset.y.tolist() == y.astype(int).tolist()


def test_a_dataset_does_not_share_labels_with_the_caller():
    y = np.array([0, 1, 0, 1])
    dataset = Dataset("four", VECTORS, y)
    y[0] = 1
    assert dataset.y[0] == 0


def test_numbers_of_another_byte_order_become_native():
    dataset = Dataset("four", VECTORS.astype(">f4"))
    assert dataset.X.dtype == np.float32
    assert dataset.X.dtype.isnative
    np.testing.assert_array_equal(dataset.X, VECTORS)


@pytest.mark.parametrize("kind", [str, object, np.dtypes.StringDType()])
def test_texts_of_any_kind_become_strings_of_their_own_length(kind):
    given = np.array(["a", "", "naïve\nlines"], dtype=kind)
    dataset = Dataset("three", given, np.array([0, 1, 0]))
    assert dataset.X.dtype == object
    assert dataset.X.tolist() == ["a", "", "naïve\nlines"]
    assert all(type(text) is str for text in dataset.X)
    assert holds_texts(dataset.X)
    assert not holds_texts(Dataset("four", VECTORS).X)
    assert repr(dataset) == "Dataset('three', X (3,) texts, y (3,) int64)"
    split = dataset.split(SplitRecipe("all", n_queries=1))
    assert len(dataset.X[split.database]) == 2


def test_a_dataset_does_not_share_texts_with_the_caller():
    given = np.array(["a", "b"], dtype=object)
    dataset = Dataset("two", given)
    given[0] = None
    assert dataset.X.tolist() == ["a", "b"]


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 4, 5, 1), (2, 4, 5, 3), (2, 4, 5, 4)])
def test_images_are_bytes_with_channels_last(shape):
    assert Dataset("two", np.zeros(shape, np.uint8)).X.shape == shape


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((0, 3)), "empty"),
        (np.zeros((3, 0)), "empty"),
        (np.zeros(3), r"got the shape \(3,\)"),
        (np.zeros((1, 2, 2, 3, 1), np.uint8), "got the shape"),
        (np.array([[{}]], object), "dtype object"),
        (np.array([["a"]]), "real numbers"),
        (np.array([], dtype=str), "empty"),
        (np.array(["a", None], object), "got None in row 1"),
        (np.array(["a", b"b"], object), "got b'b' in row 1"),
        (np.zeros((2, 2), complex), "real numbers"),
        (np.zeros((2, 4, 4)), "images must be uint8, .* got float64"),
        (np.zeros((2, 3, 4, 5), np.uint8), "1, 3 or 4 channels"),
        (np.array([[1.0], [np.nan], [np.inf]]), "in 2 of 3 rows, first in row 1"),
    ],
)
def test_wrong_items_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        Dataset("wrong", X)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(3, int), "X has 4 rows and y has 3"),
        (np.zeros(4), "integer dtype, got float64"),
        (np.array(["a"] * 4), "integer dtype"),
        (np.array([0, 1, -2, 0]), "got -2"),
        (np.array([0, 1, 2, 2**63], np.uint64), "fit into int64, got 9223372036854775808"),
        (np.full((4, 2), 2), "0 and 1 only"),
        (np.zeros((4, 0), int), "0 and 1 only"),
        (np.zeros((4, 1, 1), int), "got "),
    ],
)
def test_wrong_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        Dataset("wrong", VECTORS, y)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"label_names": ("a",)}, "class number 1, there are 1"),
        ({"label_names": "ab"}, "tuple of strings"),
        ({"label_names": ("a", 3)}, "tuple of strings"),
        ({"item_names": ("a", "b")}, "4 items have 2"),
        ({"y": None, "label_names": ("a", "b")}, "no labels"),
        ({"y": np.eye(4, dtype=int), "label_names": ("a", "b")}, "4 columns"),
    ],
)
def test_wrong_names_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        Dataset("wrong", VECTORS, **{"y": np.array([0, 1, 1, 0]), **names})


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": np.array([0, 4])}, "rows 0 to 4; there are the rows 0 to 3"),
        ({"train": np.array([-1])}, "rows -1"),
        ({"train": np.array([1, 1])}, "twice"),
        ({"train": np.array([], int)}, "row numbers"),
        ({"train": np.array([0.0])}, "got float64"),
        ({"train": np.array([True, False, True, True])}, "got bool"),
        ({"train": np.array([0, 1]), "test": np.array([1, 2])}, "1 rows are in both"),
    ],
)
def test_wrong_parts_are_refused(splits, message):
    with pytest.raises(ValueError, match=message):
        Dataset("wrong", VECTORS, splits=splits)


def test_parts_are_a_mapping():
    with pytest.raises(TypeError, match="mapping"):
        Dataset("wrong", VECTORS, splits=[np.array([0])])


def test_a_dataset_survives_pickling_for_other_processes():
    dataset = Dataset("four", VECTORS, splits={"train": np.array([0])})
    copy = pickle.loads(pickle.dumps(dataset))
    assert repr(copy) == repr(dataset)


def test_without_a_recipe_the_test_part_asks_and_the_train_part_answers():
    dataset = Dataset("four", VECTORS, splits={"train": np.array([2, 0]), "test": np.array([3, 1])})
    split = dataset.split()
    assert split.queries.tolist() == [1, 3]
    assert split.database.tolist() == split.train.tolist() == [0, 2]
    assert split.recipe == SplitRecipe()


def test_a_recipe_is_a_recipe():
    with pytest.raises(TypeError, match="SplitRecipe"):
        Dataset("four", VECTORS).split(0)
