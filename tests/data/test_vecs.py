import struct
import tracemalloc

import numpy as np
import pytest

from hashlearn.data import SplitRecipe, load_dataset, vecs, vector_benchmarks
from hashlearn.data.dataset import Dataset
from hashlearn.data.vecs import read_vecs

KINDS = {".fvecs": (np.float32, "f"), ".bvecs": (np.uint8, "B"), ".ivecs": (np.int32, "i")}


def vectors(n, d, suffix=".fvecs", seed=0):
    return np.random.default_rng(seed).integers(0, 200, (n, d)).astype(KINDS[suffix][0])


def write(path, X):
    """Write the format as it is published, a vector at a time."""
    letter = KINDS[path.suffix.lower()][1]
    records = [struct.pack(f"<i{len(x)}{letter}", len(x), *x.tolist()) for x in X]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(records))
    return path


@pytest.fixture
def write_benchmark(tmp_path):
    """Write base, queries and vectors to learn from."""

    def write_parts(folder=tmp_path / "toy", stem="toy", query="query", suffix=".fvecs"):
        parts = {"base": vectors(9, 4, suffix, 1), query: vectors(3, 4, suffix, 2)}
        parts["learn"] = vectors(5, 4, suffix, 3)
        for ending, X in parts.items():
            write(folder / f"{stem}_{ending}{suffix}", X)
        return folder, np.concatenate(list(parts.values()))

    return write_parts


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("block_bytes", [1 << 24, 50, 1])
def test_a_file_is_read_as_it_was_written(tmp_path, monkeypatch, suffix, block_bytes):
    monkeypatch.setattr(vecs, "_BLOCK_BYTES", block_bytes)
    X = vectors(11, 7, suffix)
    found = read_vecs(write(tmp_path / f"a{suffix}", X))
    assert found.dtype == X.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, X)


def test_a_file_becomes_a_data_set(tmp_path):
    X = vectors(6, 3)
    dataset = load_dataset(write(tmp_path / "mine.FVECS", X))
    assert (dataset.name, dataset.splits, dataset.y) == ("mine", {}, None)
    np.testing.assert_array_equal(dataset.X, X)


def test_a_file_is_read_into_an_array_that_is_given(tmp_path):
    X = vectors(6, 3)
    path = write(tmp_path / "a.fvecs", X)
    out = np.zeros((8, 3), np.float32)
    read_vecs(path, out=out[1:7])
    np.testing.assert_array_equal(out[1:7], X)
    assert not out[[0, 7]].any()
    for wrong in (out, out[:6].astype(np.float64)):
        with pytest.raises(ValueError, match="holds 6 vectors of 3 numbers, float32; out is"):
            read_vecs(path, out=wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: it holds no vector"),
        (b"\1\0\0", "is cut off at byte 3, in its first number"),
        (struct.pack("<i", 0), "begins with the dimension 0; it must be at least 1"),
        (struct.pack("<i2f", -2, 1, 2), "begins with the dimension -2"),
        (struct.pack("<i", 2), "holds 4 bytes of the 12 that a vector takes"),
        (
            b"<html><body>no such file</body>",
            r"cut off or no \.fvecs file: .* dimension 1836345404",
        ),
        (struct.pack("<i2fi2f", 2, 1, 2, 2, 3, 4)[:-1], "off at byte 23: .* begins at byte 12"),
        (
            struct.pack("<i2fi2f", 2, 1, 2, 3, 3, 4),
            "at byte 12 has the dimension 3, the first has 2",
        ),
        (
            struct.pack("<i2fi1f", 2, 1, 2, 1, 3) * 3,
            "at byte 12 has the dimension 1, the first has 2",
        ),
        (struct.pack("<i2f", 2, 1, np.nan), "a.fvecs: X holds NaN or infinity in 1 of 1 rows"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1 << 24, 1])
def test_a_damaged_file_is_refused_with_the_byte(
    tmp_path, monkeypatch, content, message, block_bytes
):
    monkeypatch.setattr(vecs, "_BLOCK_BYTES", block_bytes)
    (tmp_path / "a.fvecs").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path / "a.fvecs")


def test_only_the_three_extensions_are_read(tmp_path):
    (tmp_path / "a.vecs").write_bytes(struct.pack("<i2f", 2, 1, 2))
    with pytest.raises(ValueError, match=r"extension '\.vecs', expected \.fvecs, \.bvecs, \.ivecs"):
        read_vecs(tmp_path / "a.vecs")
    with pytest.raises(FileNotFoundError):
        read_vecs(tmp_path / "absent.fvecs")
    with pytest.raises(ValueError, match=r"column cannot be given with an \.fvecs file"):
        load_dataset(write(tmp_path / "a.fvecs", vectors(2, 2)), column="x")


@pytest.mark.parametrize("suffix", [".fvecs", ".bvecs"])
@pytest.mark.parametrize("query", ["query", "queries"])
def test_a_folder_becomes_a_data_set_with_its_published_parts(write_benchmark, suffix, query):
    folder, X = write_benchmark(query=query, suffix=suffix)
    write(folder / "toy_groundtruth.ivecs", vectors(3, 100, ".ivecs"))
    dataset = load_dataset(folder)
    assert dataset.name == "toy"
    np.testing.assert_array_equal(dataset.X, X)
    parts = {name: rows.tolist() for name, rows in dataset.splits.items()}
    assert parts == {
        "train": [*range(9)],
        "test": [*range(9, 12)],
        "learn": [*range(12, 17)],
    }
    split = dataset.split()
    assert split.train.tolist() == split.database.tolist() == parts["train"]
    assert split.queries.tolist() == parts["test"]


def test_the_part_to_learn_from_trains_and_is_not_searched(write_benchmark):
    dataset = load_dataset(write_benchmark()[0])
    split = dataset.split(SplitRecipe(train_from="learn"))
    assert split.train.tolist() == dataset.splits["learn"].tolist()
    assert split.database.tolist() == dataset.splits["train"].tolist()
    few = dataset.split(SplitRecipe(train_from="learn", n_train=2))
    assert len(few.train) == 2
    assert set(few.train) < set(split.train)


def test_files_of_a_benchmark_that_do_not_fit_together_are_refused(tmp_path):
    folder = tmp_path / "toy"
    write(folder / "a_base.fvecs", vectors(4, 3))
    with pytest.raises(ValueError, match=r"toy holds no \*_query\.fvecs or \.bvecs"):
        load_dataset(folder)
    write(folder / "a_query.fvecs", vectors(2, 5))
    with pytest.raises(ValueError, match=r"dimensions: a_base\.fvecs of 3, a_query\.fvecs of 5"):
        load_dataset(folder)
    (folder / "a_query.fvecs").unlink()
    write(folder / "a_query.bvecs", vectors(2, 3, ".bvecs"))
    with pytest.raises(ValueError, match=r"both \.fvecs and \.bvecs"):
        load_dataset(folder)
    write(folder / "a_queries.fvecs", vectors(2, 3))
    with pytest.raises(ValueError, match=r"two files of one part, a_queries\.fvecs and a_query"):
        load_dataset(folder)
    (folder / "b.png").touch()
    with pytest.raises(ValueError, match="both images and vector files"):
        load_dataset(folder)


@pytest.mark.parametrize(
    ("name", "benchmark"),
    [
        ("sift1m", vector_benchmarks.SIFT1M),
        ("gist1m", vector_benchmarks.GIST1M),
        ("deep1m", vector_benchmarks.DEEP1M),
        ("tiny100k", vector_benchmarks.TINY100K),
    ],
)
def test_a_named_benchmark_is_read_from_its_folder(
    data_folder, write_benchmark, monkeypatch, name, benchmark
):
    with pytest.raises(FileNotFoundError, match=r"_base\.fvecs and .* no download: put .*publish"):
        load_dataset(name)
    _, X = write_benchmark(data_folder / name, "any")
    assert vector_benchmarks.is_local(benchmark)
    with pytest.raises(ValueError, match=rf"the shape \(9, 4\), that of {name} \(1"):
        load_dataset(name)
    monkeypatch.setitem(vars(benchmark), "n_base", 9)
    monkeypatch.setitem(vars(benchmark), "n_features", 4)
    dataset = load_dataset(name)
    assert (dataset.name, dataset.source) == (name, benchmark.source)
    np.testing.assert_array_equal(dataset.X, X)


def test_a_benchmark_with_a_file_too_many_is_here_and_says_so_when_loaded(
    data_folder, write_benchmark
):
    write_benchmark(data_folder / "gist1m", "gist")
    write(data_folder / "gist1m" / "other_base.fvecs", vectors(2, 4))
    assert vector_benchmarks.is_local(vector_benchmarks.GIST1M)
    with pytest.raises(ValueError, match="two files of one part"):
        load_dataset("gist1m")


def test_no_vector_is_in_memory_twice(write_benchmark, monkeypatch):
    monkeypatch.setattr(vecs, "_BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr("hashlearn.data.dataset._BLOCK_ENTRIES", 1 << 14)
    folder, _ = write_benchmark()
    X = np.ones((20_000, 101), np.float32)
    X[:, 0] = np.array([100], np.int32).view(np.float32)  # the dimension, before each vector
    (folder / "toy_base.fvecs").write_bytes(X.tobytes())
    for part in ("query", "learn"):
        (folder / f"toy_{part}.fvecs").write_bytes(X[:100].tobytes())
    tracemalloc.start()
    dataset = load_dataset(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert dataset.X.nbytes == 20_200 * 400
    assert peak < 1.2 * dataset.X.nbytes


def test_values_that_are_not_finite_are_found_in_every_block(monkeypatch):
    monkeypatch.setattr("hashlearn.data.dataset._BLOCK_ENTRIES", 7)
    X = np.zeros((10, 3))
    X[[4, 9], [1, 2]] = np.nan, np.inf
    with pytest.raises(ValueError, match="in 2 of 10 rows, first in row 4"):
        Dataset("a", X)
