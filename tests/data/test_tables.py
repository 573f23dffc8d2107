import sys

import numpy as np
import pytest

from hashlearn.data import load_dataset

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3)
LISTS = VECTORS.tolist()


@pytest.fixture
def write(tmp_path):
    def write(file="mine.parquet", /, **columns):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
        return path

    return write


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 3)]
)
def test_a_column_of_lists_becomes_vectors(write, kind):
    path = write(vector=pa.array(LISTS, kind))
    dataset = load_dataset(path, column="vector")
    assert dataset.X.dtype == np.float32
    np.testing.assert_array_equal(dataset.X, VECTORS)


def test_columns_of_numbers_become_vectors_in_their_order(write):
    path = write(
        b=pa.array([1, 2], pa.int8()),
        text=["x", "y"],
        a=pa.array([0.5, 1.5], pa.float32()),
        key=[10, 20],
        label=[7, 8],
    )
    dataset = load_dataset(path, label_column="label", name_column="key")
    assert dataset.X.tolist() == [[1, 0.5], [2, 1.5]]
    assert dataset.X.dtype == np.float32
    assert dataset.y.tolist() == [7, 8]
    assert dataset.item_names == ("10", "20")


def test_the_row_numbers_of_pandas_are_no_part_of_the_vectors(write):
    path = write(a=[1.0, 2.0], __index_level_0__=[10, 20])
    assert load_dataset(path).X.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("labels", "y", "names"),
    [
        (pa.array([3, 0, -1], pa.int16()), [3, 0, -1], None),
        (pa.array(["b", "a", "b"]), [1, 0, 1], ("a", "b")),
        (pa.array(["b", "a", "b"]).dictionary_encode(), [1, 0, 1], ("a", "b")),
        (pa.array([True, False, True]), [1, 0, 1], None),
        (pa.array([[1, 0], [1, 1], [0, 0]]), [[1, 0], [1, 1], [0, 0]], None),
    ],
)
def test_labels_may_be_numbers_names_or_columns(write, labels, y, names):
    path = write(a=[1.0, 2.0, 3.0], label=labels)
    dataset = load_dataset(path, label_column="label")
    assert dataset.X.shape == (3, 1)
    assert dataset.y.tolist() == y
    assert dataset.label_names == names


def test_a_folder_is_read_in_the_order_of_its_paths(write, tmp_path):
    write("all/b.parquet", v=pa.array(LISTS[2:]), name=["c", "d"])
    write("all/a/z.parquet", v=pa.array(LISTS[:2]), name=["a", "b"])
    write("all/.hidden.parquet", v=pa.array(LISTS), name=list("wxyz"))
    (tmp_path / "all" / "_SUCCESS").touch()
    dataset = load_dataset(tmp_path / "all", column="v", name_column="name")
    assert dataset.item_names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(dataset.X, VECTORS)


def test_files_of_a_folder_must_agree(write, tmp_path):
    write("all/a.parquet", v=pa.array([1.0]))
    write("all/b.parquet", v=pa.array([1]))
    with pytest.raises(ValueError, match=r"b.parquet: it has other columns or types"):
        load_dataset(tmp_path / "all")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([[1.0, 2.0], [1.0]]), "from 1 to 2 values; all must be equally long"),
        (pa.array([[1.0], None]), "'v' has 1 null values"),
        (pa.array([[1.0, None], [None, 1.0]]), "lists of the column 'v' have 2 null values"),
        (pa.array([[1.0], [float("nan")]]), "NaN or infinity in 1 of 2 rows, first in row 1"),
        (pa.array([["a"], ["b"]]), "must hold lists of numbers, it holds list<"),
        (pa.array([1.0, 2.0]), "must hold lists of numbers, it holds double"),
        (pa.array([[], []], pa.list_(pa.float32())), "empty"),
        (pa.array([], pa.list_(pa.float32())), "no rows"),
    ],
)
def test_wrong_lists_are_refused_with_the_name_of_the_file(write, values, message):
    with pytest.raises(ValueError, match=f"mine.parquet.*{message}"):
        load_dataset(write(v=values), column="v")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "w"}, "no column 'w'; there are v, text, gaps, day"),
        ({"label_column": "w"}, "no column 'w'"),
        ({"name_column": "w"}, "no column 'w'"),
        ({"column": "v", "label_column": "gaps"}, "'gaps' has 1 null values"),
        ({"column": "v", "label_column": "v"}, "must differ"),
        ({"column": "v", "label_column": "day"}, "integer dtype"),
        ({"column": "v", "name_column": "day"}, "strings or whole numbers"),
        (
            {"column": "v", "image_size": (2, 2)},
            "image_size and mode cannot be given: 'v' holds vectors",
        ),
    ],
)
def test_wrong_columns_are_refused(write, options, message):
    path = write(
        v=pa.array([[1.0], [2.0]]),
        text=["a", "b"],
        gaps=[1, None],
        day=pa.array([1, 2], pa.date32()),
    )
    with pytest.raises(ValueError, match=message):
        load_dataset(path, **options)


def test_without_a_name_the_only_column_of_lists_is_read(write):
    vectors = pa.array([[1.0, 2.0], [3.0, 4.0]])
    one = load_dataset(write(id=pa.array([7, 8]), v=vectors, text=["a", "b"]))
    assert one.X.tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"several columns hold lists of numbers, v, w; name one"):
        load_dataset(write(v=vectors, w=vectors))
    named = load_dataset(write(v=vectors, w=vectors), column="w")
    assert named.X.shape == (2, 2)


def test_without_columns_of_numbers_a_column_is_asked_for(write):
    with pytest.raises(ValueError, match=r"'gaps' has 1 null values"):
        load_dataset(write(text=["a", "b"], gaps=[1, None]))
    with pytest.raises(ValueError, match=r"no columns of numbers among .* column=..."):
        load_dataset(write(text=["a", "b"], gaps=[1, None]), name_column="gaps")


def test_two_columns_of_one_name_are_refused(tmp_path):
    pq.write_table(pa.table([[1.0], [2.0]], names=["a", "a"]), tmp_path / "mine.parquet")
    with pytest.raises(ValueError, match=r"mine.parquet: more than one column is named 'a'"):
        load_dataset(tmp_path / "mine.parquet")


@pytest.mark.parametrize("length", [0, 10, -5])
def test_a_file_that_is_cut_off_is_refused(write, length):
    path = write(v=pa.array(LISTS))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"mine.parquet is damaged or not a Parquet file"):
        load_dataset(path, column="v")


def test_without_pyarrow_the_error_says_how_to_install_it(write, monkeypatch):
    path = write(v=pa.array(LISTS))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[parquet\]'"):
        load_dataset(path, column="v")
