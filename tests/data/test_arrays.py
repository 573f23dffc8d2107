import zipfile

import numpy as np
import pytest

from hashlearn.data import load_dataset

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_an_array_becomes_vectors(tmp_path):
    np.save(tmp_path / "mine.npy", VECTORS)
    dataset = load_dataset(tmp_path / "mine.npy")
    assert repr(dataset) == "Dataset('mine', X (4, 3) float32)"
    np.testing.assert_array_equal(dataset.X, VECTORS)


def test_an_array_of_bytes_becomes_images(tmp_path):
    images = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    np.save(tmp_path / "mine.NPY.npy", images)
    np.testing.assert_array_equal(load_dataset(str(tmp_path / "mine.NPY.npy")).X, images)


def test_arrays_with_names_bring_labels_and_names(tmp_path):
    np.savez(
        tmp_path / "mine.npz",
        X=VECTORS,
        y=np.array([0, 1, 1, 0]),
        label_names=["no", "yes"],
        item_names=list("abcd"),
    )
    dataset = load_dataset(tmp_path / "mine.npz")
    np.testing.assert_array_equal(dataset.X, VECTORS)
    assert dataset.y.tolist() == [0, 1, 1, 0]
    assert dataset.label_names == ("no", "yes")
    assert dataset.item_names == ("a", "b", "c", "d")


def test_labels_that_are_names_become_class_numbers_in_their_order(tmp_path):
    np.savez_compressed(tmp_path / "mine.npz", X=VECTORS, y=["dog", "cat", "dog", "ant"])
    dataset = load_dataset(tmp_path / "mine.npz")
    assert dataset.y.tolist() == [2, 1, 2, 0]
    assert dataset.label_names == ("ant", "cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": VECTORS}, "holds the arrays y; it must hold X"),
        ({"X": VECTORS, "Y": np.zeros(4, int)}, "holds the arrays X, Y; .* may hold y"),
        ({"X": VECTORS, "y": np.zeros(3, int)}, "X has 4 rows and y has 3"),
        ({"X": VECTORS * np.nan}, "NaN or infinity in 4 of 4 rows"),
        ({"X": VECTORS[:0]}, "empty"),
        ({"X": np.array([None])}, "Python objects"),
        ({"X": VECTORS, "y": list("abab"), "label_names": ["a", "b"]}, "holds names already"),
        ({"X": VECTORS, "y": [["a"], ["b"], ["a"], ["b"]]}, r"must have the shape \(n,\)"),
        ({"X": VECTORS, "item_names": [1, 2, 3, 4]}, "item_names must be strings"),
    ],
)
def test_wrong_arrays_are_refused_with_the_name_of_the_file(tmp_path, arrays, message):
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(ValueError, match=f"mine.npz.*{message}"):
        load_dataset(tmp_path / "mine.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}]), "Python objects"),
        (np.array([[1.0, np.inf]]), "first in row 0"),
        (np.zeros((0, 3)), "empty"),
        (np.float64(3), "must be vectors"),
        (np.zeros(2, [("a", "f4")]), "real numbers"),
    ],
)
def test_a_wrong_array_is_refused_with_the_name_of_the_file(tmp_path, array, message):
    np.save(tmp_path / "mine.npy", array)
    with pytest.raises(ValueError, match=f"mine.npy.*{message}"):
        load_dataset(tmp_path / "mine.npy")


@pytest.mark.parametrize("length", [0, 5, 30, -1])
def test_an_array_that_is_cut_off_is_refused(tmp_path, length):
    path = tmp_path / "mine.npy"
    np.save(path, VECTORS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"mine.npy is not an .npy file, is damaged"):
        load_dataset(path)


@pytest.mark.parametrize("side", [b"300000", b"3000000000000"])
def test_a_header_that_asks_for_too_much_takes_no_memory(tmp_path, side):
    path = tmp_path / "mine.npy"
    np.save(path, VECTORS)
    shape = b"(" + side + b", " + side + b"), }"
    data = path.read_bytes().replace(b"(4, 3), }".ljust(len(shape)), shape)
    assert shape in data
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        load_dataset(path)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_named_arrays_that_are_cut_off_are_refused(tmp_path, length):
    path = tmp_path / "mine.npz"
    np.savez(path, X=VECTORS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"mine.npz is not an .npz file, is damaged"):
        load_dataset(path)


def test_a_changed_byte_among_named_arrays_is_noticed(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=VECTORS)
    data = bytearray(path.read_bytes())
    data[data.index(VECTORS.tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"mine.npz .* is damaged"):
        load_dataset(path)


def test_a_member_that_is_no_array_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("X", "1 2 3")
    with pytest.raises(ValueError, match=r"mine.npz: X must hold real numbers"):
        load_dataset(tmp_path / "mine.npz")


def test_an_array_under_the_extension_of_several_is_refused(tmp_path):
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, VECTORS)
    with pytest.raises(ValueError, match="under another name"):
        load_dataset(tmp_path / "mine.npz")
