import numpy as np
import pytest

from hashlearn.data import embeddings


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(embeddings, "N_CIFAR10", 5)
    monkeypatch.setattr(embeddings, "N_CIFAR10_TRAIN", 3)
    monkeypatch.setattr(embeddings, "N_NEWSGROUPS", 4)
    monkeypatch.setattr("hashlearn.data.cifar10.MOSAIC", (1, 1))


def newsgroups(**changes):
    return {
        "embeddings": np.eye(4, 384, dtype=np.float16),
        "labels": np.array([0, 1, 19, 2], np.uint8),
        "is_test": np.array([True, False, False, True]),
        **changes,
    }


def write(folder, name, arrays):
    folder.mkdir()
    np.savez(folder / name, **arrays)


def test_the_test_posts_are_the_test_part(data_folder):
    assert not embeddings.newsgroups_are_local()
    write(data_folder / "newsgroups20_minilm", "embeddings.npz", newsgroups())
    assert embeddings.newsgroups_are_local()
    dataset = embeddings.load_newsgroups()
    assert dataset.X.dtype == np.float32
    assert dataset.X.shape == (4, 384)
    assert dataset.splits["test"].tolist() == [0, 3]
    assert dataset.splits["train"].tolist() == [1, 2]
    assert dataset.label_names[dataset.y[2]] == "talk.religion.misc"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(3, np.uint8)}, r"'labels' .* \(3,\), expected uint8 .* \(4,\)"),
        ({"embeddings": np.eye(4, 384)}, "'embeddings' .* float64"),
        ({"labels": np.full(4, 20, np.uint8)}, "class number 20"),
        ({"is_test": np.array([None] * 4)}, "Python objects"),
    ],
)
def test_other_arrays_than_the_described_are_refused(data_folder, changes, message):
    write(data_folder / "newsgroups20_minilm", "embeddings.npz", newsgroups(**changes))
    with pytest.raises(ValueError, match=message):
        embeddings.load_newsgroups()


def test_a_missing_array_is_named(data_folder):
    arrays = newsgroups()
    del arrays["is_test"]
    write(data_folder / "newsgroups20_minilm", "embeddings.npz", arrays)
    with pytest.raises(ValueError, match="lacks the array 'is_test'"):
        embeddings.load_newsgroups()


@pytest.mark.usefixtures("data_folder")
def test_a_missing_file_has_no_download():
    with pytest.raises(FileNotFoundError, match=r"no embeddings.npz .* it has no download"):
        embeddings.load_newsgroups()


def test_features_are_scaled_and_take_the_labels_of_cifar10(data_folder, monkeypatch):
    monkeypatch.setattr(embeddings, "N_CIFAR10", 6)
    monkeypatch.setattr(embeddings, "N_CIFAR10_TRAIN", 5)
    features = np.arange(6 * 256).reshape(6, 256).astype(np.int8)
    write(
        data_folder / "cifar10_mobilenetv2",
        "features_pca256.npz",
        {"features": features, "scale": np.float32(0.5)},
    )
    assert not embeddings.cifar10_features_are_local()
    with pytest.raises(FileNotFoundError, match="cifar-10-binary"):
        embeddings.load_cifar10_features(download=False)
    (data_folder / "cifar10").mkdir()
    np.save(data_folder / "cifar10" / "labels.npy", np.arange(6, dtype=np.uint8))
    assert embeddings.cifar10_features_are_local()
    dataset = embeddings.load_cifar10_features(download=False)
    assert dataset.X.dtype == np.float32
    np.testing.assert_array_equal(dataset.X, features * 0.5)
    assert dataset.y.tolist() == list(range(6))
    assert dataset.splits["test"].tolist() == [5]
