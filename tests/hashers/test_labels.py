import numpy as np
import pytest

from hashlearn.hashers.labels import indicator_matrix, known_labels


@pytest.mark.parametrize("y", [np.array([2, 0, 2, 5]), np.array(["b", "a", "b", "c"])])
def test_each_row_has_a_one_in_the_column_of_its_class(y):
    expected = [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_array_equal(indicator_matrix(y), expected)


def test_a_class_below_0_is_none():
    np.testing.assert_array_equal(indicator_matrix(np.array([-1, 4, 2])), [[0, 0], [0, 1], [1, 0]])


def test_a_matrix_of_zeros_and_ones_stays_what_it_is():
    Y = np.array([[1, 1], [0, 0]])
    np.testing.assert_array_equal(indicator_matrix(Y), Y)


@pytest.mark.parametrize(
    ("y", "message"), [(np.array([3, 3]), "2 classes"), (np.array([[0, -1]]), "0 and 1 only")]
)
def test_labels_that_tell_nothing_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        indicator_matrix(y)


def test_rows_without_labels_are_told_from_the_others():
    Y, labelled = known_labels(np.array([4, -1, 2, 4]))
    np.testing.assert_array_equal(labelled, [True, False, True, True])
    np.testing.assert_array_equal(Y, [[0, 1], [1, 0], [0, 1]])
    Y, labelled = known_labels(np.array([[1, 0], [0, 0], [1, 1]]))
    np.testing.assert_array_equal(labelled, [True, False, True])
    np.testing.assert_array_equal(Y, [[1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(4, -1), "2 classes or more, got 0"),
        (np.array([[1, 0], [0, 0], [1, 0]]), "2 classes or more, got 1: 2 of 3 items"),
        (np.full((4, 2), 3), "0 and 1 only"),
    ],
)
def test_labels_that_say_nothing_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        known_labels(y)
