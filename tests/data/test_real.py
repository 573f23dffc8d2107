"""What is known about the published data sets."""

import numpy as np
import pytest

from hashlearn.data import SplitRecipe, datasets, load_dataset
from hashlearn.data.catalog import NAMES

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def load(real_data):
    """Load a data set if it is in the folder."""
    here = {row.name for row in datasets() if row.is_local}
    loaded = {}

    def load(name):
        if name not in here:
            pytest.skip(f"{name} is not in {real_data}")
        if name not in loaded:
            loaded[name] = load_dataset(name, download=False)
        return loaded[name]

    return load


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_right(load, name):
    dataset = load(name)
    row = next(row for row in datasets() if row.name == name)
    assert (len(dataset), dataset.X.shape[1:]) == (row.n_samples, row.shape)
    n_classes = len(np.unique(dataset.y)) if dataset.y.ndim == 1 else dataset.y.shape[1]
    assert n_classes == row.n_classes == len(dataset.label_names)


def test_mnist_begins_as_everyone_remembers(load):
    mnist = load("mnist")
    assert mnist.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert mnist.y[60_000:60_005].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(mnist.y[mnist.splits["train"]]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    # published normalisation constants of the training images
    train = mnist.X[mnist.splits["train"]] / 255
    assert train.mean() == pytest.approx(0.1307, abs=5e-5)
    assert train.std() == pytest.approx(0.3081, abs=5e-5)


def test_fashion_mnist_is_balanced(load):
    fashion = load("fashion-mnist")
    assert np.bincount(fashion.y[fashion.splits["train"]]).tolist() == [6000] * 10


def test_cifar10_is_balanced_and_in_the_original_order(load):
    cifar = load("cifar10")
    assert np.bincount(cifar.y[cifar.splits["train"]]).tolist() == [5000] * 10
    assert np.bincount(cifar.y[cifar.splits["test"]]).tolist() == [1000] * 10
    assert [cifar.label_names[i] for i in cifar.y[:5]] == [
        "frog",
        "truck",
        "truck",
        "deer",
        "automobile",
    ]
    assert [cifar.label_names[i] for i in cifar.y[50_000:50_004]] == [
        "cat",
        "ship",
        "ship",
        "airplane",
    ]
    assert cifar.X[0, 0, 0].tolist() == [59, 62, 63]
    # published means of the channels of the training images
    means = cifar.X[:50_000].mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=1e-4)


def test_the_protocol_of_the_papers_leaves_59000_to_search(load):
    cifar = load("cifar10_mobilenetv2")
    split = cifar.split(
        SplitRecipe("all", 1000, queries_per_class=True, n_train=5000, train_per_class=True)
    )
    assert (len(split.train), len(split.database), len(split.queries)) == (5000, 59_000, 1000)
    assert np.bincount(cifar.y[split.queries]).tolist() == [100] * 10
    assert np.bincount(cifar.y[split.train]).tolist() == [500] * 10


def test_features_and_pixels_of_cifar10_have_the_same_labels(load):
    assert load("cifar10_mobilenetv2").y.tolist() == load("cifar10").y.tolist()


def test_the_newsgroups_have_unit_length_and_the_published_split(load):
    posts = load("newsgroups20_minilm")
    assert (len(posts.splits["train"]), len(posts.splits["test"])) == (11_314, 7_532)
    np.testing.assert_allclose(np.linalg.norm(posts.X, axis=1), 1, atol=2e-3)
    split = posts.split(SplitRecipe("test", n_queries=100))
    assert set(split.queries) <= set(posts.splits["test"])
    assert len(split.database) == 11_314


def test_reuters_has_the_published_numbers_of_stories_and_topics(load):
    reuters = load("reuters21578")
    train, test = reuters.splits["train"], reuters.splits["test"]
    assert (len(train), len(test)) == (7_775, 3_019)
    assert reuters.y.any(axis=1).all()
    counts = dict(zip(reuters.label_names, reuters.y[train].sum(axis=0), strict=True))
    # the ten largest topics of the train part, as every paper on text categorisation lists them
    assert {topic: counts[topic] for topic in ("earn", "acq", "money-fx", "grain", "crude")} == {
        "earn": 2877, "acq": 1650, "money-fx": 538, "grain": 433, "crude": 389,
    }  # fmt: skip
    assert np.count_nonzero(reuters.y[train].any(axis=0)) == 115
    assert len(set(reuters.item_names)) == len(reuters)
    assert reuters.X[0].startswith("BAHIA COCOA REVIEW")
    assert not any("<BODY>" in text or "&lt;" in text for text in reuters.X)


def test_posts_and_their_embeddings_are_in_one_order_without_senders(load):
    posts, vectors = load("newsgroups20"), load("newsgroups20_minilm")
    np.testing.assert_array_equal(posts.y, vectors.y)
    np.testing.assert_array_equal(posts.splits["test"], vectors.splits["test"])
    assert posts.label_names == vectors.label_names
    assert not any(text.startswith(("From:", "Organization:")) for text in posts.X)


def test_short_texts_have_the_tags_that_their_words_say(load):
    for name in ("searchsnippets", "stackoverflow"):
        texts = load(name)
        assert len(texts.splits["train"]) + len(texts.splits["test"]) == len(texts)
        assert "\ufeff" not in texts.X[0]
    questions = load("stackoverflow")
    for tag in ("wordpress", "qt", "magento", "osx", "haskell"):
        number = questions.label_names.index(tag)
        said = np.array([tag in text.lower() for text in questions.X])
        assert said[questions.y == number].mean() > 20 * said[questions.y != number].mean()
