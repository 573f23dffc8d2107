import tracemalloc

import numpy as np
import pytest

from hashlearn.data import load_dataset
from hashlearn.hashers import get_method, streams
from hashlearn.hashers.streams import SAMPLE_ROWS, Sample


def sample_of(X, n_rows, size=100, seed=0):
    sample = Sample(size, np.random.RandomState(seed))
    for start in range(0, len(X), n_rows):
        sample.update(X[start : start + n_rows])
    return sample.rows


def numbered(n):
    return np.arange(n, dtype=np.float32)[:, None]


@pytest.mark.parametrize("n_rows", [1, 7, 99, 100, 101, 1000])
def test_the_sample_does_not_depend_on_the_batches(n_rows):
    rows = sample_of(numbered(1000), n_rows)
    np.testing.assert_array_equal(rows, sample_of(numbered(1000), 333))
    assert len(np.unique(rows)) == 100
    assert (np.diff(rows[:, 0]) > 0).all()  # in the order in which they came


def test_few_rows_are_all_kept():
    np.testing.assert_array_equal(sample_of(numbered(100), 30), numbered(100))


def test_every_row_is_as_likely_to_be_kept():
    counts = np.zeros(1000)
    for seed in range(500):
        counts[sample_of(numbered(1000), 90, seed=seed).astype(int)] += 1
    parts = counts.reshape(10, 100).sum(axis=1)  # 5,000 expected in each tenth of the stream
    assert (np.abs(parts - 5000) < 5 * np.sqrt(5000 * 0.9)).all()


@pytest.mark.parametrize("name", ["lsh", "itq", "sh"])
def test_memory_does_not_grow_with_the_stream(name, monkeypatch):
    monkeypatch.setattr(streams, "SAMPLE_ROWS", 500)
    rng = np.random.default_rng(0)
    hasher = get_method(name)(8, random_state=0)

    def feed(n_batches):
        tracemalloc.start()
        for _ in range(n_batches):
            hasher.partial_fit(rng.normal(size=(400, 20)).astype(np.float32))
        current, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return current, peak

    feed(3)
    assert feed(60)[1] < 1.2 * feed(3)[1]


def test_a_mapped_file_is_learned_from_batch_by_batch(tmp_path):
    X = np.random.default_rng(0).normal(size=(3000, 12)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", X)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    hasher = get_method("itq")(8, random_state=0)
    for start in range(0, 3000, 1000):
        hasher.partial_fit(mapped[start : start + 1000])
    np.testing.assert_array_equal(
        hasher.transform(X), get_method("itq")(8, random_state=0).fit(X).transform(X)
    )


def test_medians_of_a_stream_halve_it():
    X = np.random.default_rng(0).exponential(size=(3 * SAMPLE_ROWS, 3)).astype(np.float32)
    hasher = get_method("lsh")(4, thresholds="median", random_state=0)
    for part in np.array_split(X, 5):
        hasher.partial_fit(part)
    np.testing.assert_allclose(hasher.transform(X).mean(axis=0), 0.5, atol=0.01)


def test_the_first_batch_must_have_as_many_rows_as_bits():
    X = np.random.default_rng(0).normal(size=(60, 20))
    hasher = get_method("itq")(16, random_state=0)
    with pytest.raises(ValueError, match="n_bits=16, n_features=20, n_samples=10"):
        hasher.partial_fit(X[:10])
    hasher.partial_fit(X[:50]).partial_fit(X[50:51])
    expected = get_method("itq")(16, random_state=0).fit(X[:51])
    np.testing.assert_allclose(hasher.project(X), expected.project(X), atol=1e-3)


@pytest.mark.real
def test_a_stream_of_mnist_is_hashed_as_well_as_all_of_it_at_once():
    mnist = load_dataset("mnist")
    X = mnist.X.reshape(len(mnist), -1)[:60_000].astype(np.float32)
    y = mnist.y[:60_000]
    whole = get_method("itq")(32, random_state=0).fit(X)
    hasher = get_method("itq")(32, random_state=0)
    for start in range(0, len(X), 20_000):
        hasher.partial_fit(X[start : start + 20_000])

    def precision(codes_of):
        bits = codes_of.transform(X[:10_000]).astype(np.float32) * 2 - 1
        nearest = np.argsort(-bits[:500] @ bits[500:].T, axis=1, kind="stable")[:, :100]
        return (y[500:10_000][nearest] == y[:500, None]).mean()

    assert precision(hasher) == pytest.approx(precision(whole), abs=0.02)
