import dataclasses
import hashlib

import numpy as np
import pytest

from hashlearn.data.mnist import FASHION_MNIST, MNIST, is_local, load_idx_source

SMALL = dataclasses.replace(MNIST, n_train=3, n_test=2)


def published(folder, address):
    """Say that what is in a folder is published at an address."""
    md5 = {
        stem: hashlib.md5((folder / f"{stem}.gz").read_bytes()).hexdigest() for stem in MNIST.md5
    }
    return dataclasses.replace(SMALL, url=address, md5=md5)


@pytest.mark.parametrize("packed", [True, False])
def test_train_comes_before_test(data_folder, write_idx_source, packed):
    images, labels = write_idx_source(data_folder / "mnist", packed=packed)
    dataset = load_idx_source(SMALL, download=False)
    np.testing.assert_array_equal(dataset.X, images)
    assert dataset.X.dtype == np.uint8
    assert dataset.y.tolist() == labels.tolist()
    assert dataset.splits["train"].tolist() == [0, 1, 2]
    assert dataset.splits["test"].tolist() == [3, 4]
    assert dataset.label_names == tuple("0123456789")


def test_fashion_mnist_has_a_folder_of_its_own(data_folder, write_idx_source):
    write_idx_source(data_folder / "fashion-mnist")
    small = dataclasses.replace(FASHION_MNIST, n_train=3, n_test=2)
    assert is_local(small)
    assert not is_local(SMALL)
    dataset = load_idx_source(small, download=False)
    assert dataset.label_names[dataset.y[0]] == "Sandal"


def test_the_published_number_of_images_is_demanded(data_folder, write_idx_source):
    write_idx_source(data_folder / "mnist")
    with pytest.raises(ValueError, match=r"train-images.* the shape \(3, 28, 28\)"):
        load_idx_source(MNIST, download=False)


def test_labels_must_be_class_numbers(data_folder, write_idx_source, idx_bytes):
    write_idx_source(data_folder / "mnist", packed=False)
    (data_folder / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes([1, 10]))
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte holds class number 10"):
        load_idx_source(SMALL, download=False)


def test_a_missing_file_is_named_with_the_places_and_the_way_to_get_it(data_folder, cache):
    with pytest.raises(FileNotFoundError) as caught:
        load_idx_source(SMALL, download=False)
    for part in ("train-images", str(data_folder / "mnist"), str(cache / "mnist"), SMALL.url):
        assert part in str(caught.value)


def test_what_is_absent_is_downloaded_once(tmp_path, cache, write_idx_source, serve):
    images, labels = write_idx_source(tmp_path / "published")
    source = published(tmp_path / "published", serve(tmp_path / "published"))
    assert not is_local(source)
    dataset = load_idx_source(source)
    np.testing.assert_array_equal(dataset.X, images)
    assert dataset.y.tolist() == labels.tolist()
    assert is_local(source)
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        f"{stem}.gz" for stem in MNIST.md5
    )
    load_idx_source(source, download=False)


def test_the_given_folder_goes_before_the_cache(data_folder, cache, write_idx_source, idx_bytes):
    write_idx_source(cache / "mnist")
    write_idx_source(data_folder / "mnist", packed=False)
    (data_folder / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes([7, 7]))
    assert load_idx_source(SMALL, download=False).y[3:].tolist() == [7, 7]
