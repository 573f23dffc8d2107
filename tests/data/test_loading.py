import numpy as np
import pytest

from hashlearn.data import datasets, load_dataset
from hashlearn.data.catalog import NAMES


@pytest.mark.usefixtures("cache")
def test_the_digits_need_no_file():
    dataset = load_dataset("digits", download=False)
    assert dataset.X.shape == (1797, 8, 8)
    assert dataset.X.dtype == np.uint8
    assert dataset.X.max() == 16
    assert dataset.y[:10].tolist() == list(range(10))
    assert dataset.splits == {}


def test_the_table_tells_what_is_here(data_folder, write_idx_source):
    table = {row.name: row for row in datasets()}
    assert set(table) == {
        "digits", "mnist", "fashion-mnist", "cifar10", "cifar10_mobilenetv2", "newsgroups20_minilm",
        "newsgroups20", "reuters21578", "searchsnippets", "stackoverflow",
        "sift1m", "gist1m", "deep1m", "tiny100k",
    }  # fmt: skip
    assert [name for name, row in table.items() if row.is_local] == ["digits"]
    write_idx_source(data_folder / "mnist")
    assert [row.name for row in datasets() if row.is_local] == ["digits", "mnist"]


def test_the_table_is_right_about_the_digits():
    row, dataset = datasets()[0], load_dataset("digits")
    assert (row.n_samples, row.shape) == (len(dataset), dataset.X.shape[1:])
    assert row.n_classes == len(np.unique(dataset.y))


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_named_data_set_that_is_not_here_says_where_it_was_looked_for(data_folder, cache, name):
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset(name, download=False)
    folder = "shorttext" if name in ("searchsnippets", "stackoverflow") else name
    assert str(data_folder / folder) in str(caught.value)
    assert str(cache / folder) in str(caught.value)


@pytest.mark.usefixtures("cache")
def test_a_name_means_the_named_data_set_and_a_path_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(FileNotFoundError, match="train-images"):
        load_dataset("mnist", download=False)
    with pytest.raises(ValueError, match="holds no images, tables, vector files, texts"):
        load_dataset("./mnist")


@pytest.mark.parametrize("name", ["mnits", "MNIST"])
def test_an_unknown_name_gets_the_list_of_names(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"'{name}' is no named data set.*digits, mnist.*npz"):
        load_dataset(name)


@pytest.mark.parametrize("name", ["absent.npy", "no/such/folder"])
def test_a_path_to_nothing_is_an_error(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*\.npy, \.npz, .*\.parquet"):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["data.xml", "data", "data.pkl"])
def test_an_unknown_extension_gets_the_list_of_those_allowed(tmp_path, name):
    (tmp_path / name).write_text("1,2,3")
    with pytest.raises(ValueError, match=r"unknown extension .*\.npy, \.npz, .*an image \(\.bmp"):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["digits", "mine.npy"])
def test_options_without_an_effect_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.save("mine.npy", np.eye(3))
    with pytest.raises(ValueError, match="label_column and mode cannot be given with"):
        load_dataset(name, label_column="y", mode="grey")


def test_a_folder_of_images_and_parquet_files_is_ambiguous(tmp_path):
    (tmp_path / "a.parquet").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(ValueError, match="both images and tables"):
        load_dataset(tmp_path)


def test_an_empty_name_is_not_the_working_directory():
    with pytest.raises(ValueError, match="is empty; named data sets are"):
        load_dataset("")


def test_a_data_set_is_named_by_text_or_a_path():
    with pytest.raises(TypeError, match="string or a path, got 3"):
        load_dataset(3)


def test_what_is_downloaded_has_an_address():
    found = {row.name for row in datasets() if row.is_downloadable}
    assert found == {"mnist", "fashion-mnist", "cifar10"}
    assert all(row.source.startswith("http") for row in datasets() if row.is_downloadable)
