"""Sources give the same items in batches of any size, from any row on, as all at once."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

from hashlearn.data import Dataset, Source, load_dataset, open_source
from hashlearn.data.source import Batch, join

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

N = 23
VECTORS = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
TEXTS = [f"text {i}, with a comma\nand a line" for i in range(N)]


def make_array(folder):
    np.save(folder / "v.npy", VECTORS)
    return open_source(folder / "v.npy"), VECTORS


def make_parquet(folder):
    (folder / "all").mkdir()
    for name, rows in (("a", slice(0, 10)), ("b", slice(10, N))):
        table = pa.table({"v": pa.array(VECTORS[rows].tolist(), pa.list_(pa.float32()))})
        pq.write_table(table, folder / "all" / f"{name}.parquet", row_group_size=4)
    return open_source(folder / "all", column="v"), VECTORS


def make_arrow(folder, *, stream=False):
    table = pa.table({"v": pa.array(VECTORS.tolist(), pa.list_(pa.float32(), 4))})
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(folder / "v.arrow", table.schema) as writer:
        for batch in table.to_batches(max_chunksize=5):
            writer.write_batch(batch)
    return open_source(folder / "v.arrow", column="v"), VECTORS


def make_arrow_stream(folder):
    return make_arrow(folder, stream=True)


def make_csv(folder):
    lines = ["text,id"] + [f'"{text}",{i}' for i, text in enumerate(TEXTS)]
    (folder / "t.csv").write_text("\n".join(lines))
    return open_source(folder / "t.csv", name_column="id"), TEXTS


def make_json_lines(folder):
    records = [{"id": i, "body": text} for i, text in enumerate(TEXTS)]
    (folder / "t.jsonl").write_text("\n\n".join(map(json.dumps, records)))
    return open_source(folder / "t.jsonl", name_column="id"), TEXTS


def make_text_files(folder):
    for i, text in enumerate(TEXTS):
        path = folder / "t" / f"group{i // 9}" / f"{i:03d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return open_source(folder / "t"), TEXTS


def make_images(folder):
    images = np.random.default_rng(0).integers(0, 256, (N, 5, 6, 3), np.uint8)
    for i, image in enumerate(images):
        path = folder / "i" / f"{i:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return open_source(folder / "i"), images


def make_hugging_face(folder):
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    data = datasets.Dataset.from_dict({"v": VECTORS.tolist(), "x": [0] * N})
    del folder
    return open_source(data, column="v"), VECTORS


def make_streamed(folder):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"t": TEXTS}).to_iterable_dataset(num_shards=3)
    del folder
    return open_source(data, column="t"), TEXTS


SOURCES = [
    make_array, make_parquet, make_arrow, make_arrow_stream, make_csv, make_json_lines,
    make_text_files, make_images, make_hugging_face, make_streamed,
]  # fmt: skip


@pytest.fixture(params=SOURCES, ids=lambda make: make.__name__[5:])
def made(request, tmp_path):
    source, items = request.param(tmp_path)
    return source, (np.array(items, dtype=object) if isinstance(items, list) else items)


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("start", [0, 4, 11, N - 1, N])
def test_batches_of_any_size_from_any_row_on_hold_the_same_items(made, size, start):
    source, items = made
    batches = list(source.batches(size, start))
    assert all(0 < len(batch) <= size for batch in batches)
    if start == N:
        assert not batches
        return
    whole = join(batches)
    np.testing.assert_allclose(whole.X, items[start:]) if source.kind == "vectors" else (
        np.testing.assert_array_equal(whole.X, items[start:])
    )
    assert whole.rows.tolist() == list(range(start, N))
    assert [batch.stop for batch in batches] == [int(batch.rows[-1]) + 1 for batch in batches]


def test_some_rows_are_those_that_were_asked_for(made):
    source, items = made
    rows = np.array([2, 3, 9, 17, 20])
    batch = join(source.some(rows, size=4))
    assert batch.rows.tolist() == rows.tolist()
    assert (items[rows] == batch.X).all()
    assert list(source.some(rows[:0])) == []


def test_a_sample_is_the_same_for_the_same_seed_and_another_for_another(made):
    source, items = made
    first, again, other = (source.sample(9, seed) for seed in (0, 0, 1))
    assert len(first) == len(np.unique(first.rows)) == 9
    assert (items[first.rows] == first.X).all()
    assert first.rows.tolist() == again.rows.tolist()
    assert first.rows.tolist() != other.rows.tolist()
    assert source.sample(None).rows.tolist() == source.sample(50, 0).rows.tolist() == [*range(N)]


def test_a_data_set_is_all_batches(made):
    source, items = made
    dataset = source.read()
    assert (items == dataset.X).all()
    assert dataset.X.flags.writeable


@pytest.mark.parametrize("make", SOURCES[:-1], ids=lambda make: make.__name__[5:])
def test_files_that_change_are_another_source(make, tmp_path):
    source, _ = make(tmp_path)
    same = json.dumps(source.identity)
    assert source.n_rows == N
    assert same == json.dumps(source.identity)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    if files:
        with files[0].open("ab") as file:
            file.write(b" ")
        assert json.dumps(source.identity) != same


def test_rows_are_drawn_alike_often():
    source = open_source(np.arange(10.0)[:, None])
    counts = np.bincount(
        np.concatenate([source.sample(4, seed).rows for seed in range(2000)]), minlength=10
    )
    assert (abs(counts - 800) < 100).all()


class Counted(Source):
    """Rows without a known end, as a stream has them."""

    def __init__(self, n):
        super().__init__("counted", "a test", "vectors")
        self.n = n

    def _count(self):
        return None

    def batches(self, size=7, start=0):
        for first in range(start, self.n, size):
            rows = np.arange(first, min(first + size, self.n))
            yield Batch(rows[:, None].astype(float), rows, int(rows[-1]) + 1)


def test_rows_of_a_stream_without_a_known_end_are_drawn_alike_often():
    draws = [Counted(10).sample(4, seed).rows for seed in range(2000)]
    assert all(len(rows) == 4 and (np.diff(rows) > 0).all() for rows in draws)
    counts = np.bincount(np.concatenate(draws), minlength=10)
    assert (abs(counts - 800) < 100).all()
    with pytest.raises(ValueError, match="not known how many rows a test has"):
        Counted(10).choose(4)


def test_folders_of_texts_are_classes(tmp_path):
    source, _ = make_text_files(tmp_path)
    dataset = source.read()
    assert dataset.label_names == ("group0", "group1", "group2")
    assert dataset.y.tolist() == [i // 9 for i in range(N)]
    assert dataset.item_names[10] == "group1/010"


def test_texts_that_are_not_utf_8_are_latin_1(tmp_path):
    (tmp_path / "a.txt").write_bytes("café".encode("latin-1"))
    (tmp_path / "b.txt").write_bytes("café".encode())
    assert load_dataset(tmp_path).X.tolist() == ["café", "café"]


def test_labels_of_records_are_numbers_or_names(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"text": "a", "label": 3}\n{"text": "b", "label": 0}\n')
    assert load_dataset(path, label_column="label").y.tolist() == [3, 0]
    path = tmp_path / "t.tsv"
    path.write_text("label\ttext\nred\ta\nblue\tb\n")
    dataset = load_dataset(path, label_column="label")
    assert (dataset.y.tolist(), dataset.label_names) == ([1, 0], ("blue", "red"))
    assert dataset.X.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "t.csv has no records"),
        ("t.csv", "a,b\n1,2\n", "has the columns a, b; name that of the texts"),
        ("t.csv", "text\na\nb,c\n", "line 3 has more or fewer values than the first"),
        ("t.csv", 'text\n"a\n', "t.csv: line 1: unexpected end of data"),
        ("t.jsonl", '{"text": "a"}\n{"text": 3}\n', "line 2: 'text' must be a string, got 3"),
        ("t.jsonl", '{"text": "a"}\n{}\n', "line 2: 'text' must be a string, got nothing"),
        ("t.jsonl", '{"text": "a"}\n[1]\n', "line 2 holds list, not an object"),
        ("t.jsonl", '{"text": "a"}\n{"text"\n', "line 2 is not JSON"),
    ],
)
def test_damaged_records_are_refused_with_their_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_dataset(tmp_path / name)


def test_a_text_may_be_long(tmp_path):
    long = "word " * 100_000
    (tmp_path / "t.csv").write_text(f"text\n{long}\n")
    assert load_dataset(tmp_path / "t.csv").X[0] == long


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"text\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"t.csv: 'utf-8' codec"):
        load_dataset(tmp_path / "t.csv")


def test_images_keep_their_size_where_features_bring_them_to_one(tmp_path):
    for i, size in enumerate([(4, 3), (7, 5)]):
        Image.new("RGB", size, (i, i, i)).save(tmp_path / f"{i}.png")
    batch = open_source(tmp_path, same_size=False).sample(None)
    assert [image.shape for image in batch.X] == [(3, 4, 3), (5, 7, 3)]
    with pytest.raises(ValueError, match="give image_size"):
        open_source(tmp_path).sample(None)


def test_damaged_images_are_missing_rows(tmp_path):
    for i in range(6):
        Image.new("RGB", (4, 3)).save(tmp_path / f"{i}.png")
    for i in (2, 3):
        (tmp_path / f"{i}.png").write_bytes(b"no image")
    with pytest.warns(UserWarning, match="left out"):
        batches = list(open_source(tmp_path).batches(2))
    assert [batch.rows.tolist() for batch in batches] == [[0, 1], [], [4, 5]]
    assert [batch.stop for batch in batches] == [2, 4, 6]
    assert join(batches).names == ("0.png", "1.png", "4.png", "5.png")


@pytest.mark.parametrize("as_struct", [True, False])
def test_a_column_of_files_of_images_becomes_images(tmp_path, as_struct):
    files = []
    for i in range(4):
        Image.new("RGB", (4 + i, 3), (i, 0, 0)).save(tmp_path / "a.png")
        files.append((tmp_path / "a.png").read_bytes() if i != 1 else b"no image")
    column = [{"bytes": file, "path": None} for file in files] if as_struct else files
    pq.write_table(pa.table({"image": column, "label": [5, 6, 7, 8]}), tmp_path / "i.parquet")
    with pytest.warns(UserWarning, match="left out: row 1: it is damaged or not an image"):
        dataset = load_dataset(
            tmp_path / "i.parquet", column="image", label_column="label", image_size=(3, 4)
        )
    assert dataset.X.shape == (3, 3, 4, 3)
    assert dataset.X[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert dataset.y.tolist() == [5, 7, 8]


def test_hugging_face_images_and_class_labels_are_read():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    images = [np.full((3, 4, 3), i, np.uint8) for i in range(4)]
    data = datasets.Dataset.from_dict({"image": images, "label": [0, 1, 1, 0]}, features=features)
    dataset = open_source(data, column="image", label_column="label", image_size=(3, 4)).read()
    assert dataset.X[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert dataset.y.tolist() == [0, 1, 1, 0]
    with pytest.raises(ValueError, match="choose one of its splits: train"):
        open_source(datasets.DatasetDict({"train": data}))


def test_a_group_of_rows_is_not_read_whole(tmp_path):
    """Memory does not grow with the groups of rows of a Parquet file."""
    wide = np.zeros((60_000, 64), np.float32)
    table = pa.table({"v": pa.FixedSizeListArray.from_arrays(wide.reshape(-1), 64)})
    pq.write_table(
        table, tmp_path / "v.parquet", row_group_size=60_000, compression="none",
        use_dictionary=False,
    )  # fmt: skip
    del table
    before = pa.total_allocated_bytes()
    most = max(
        pa.total_allocated_bytes() - before
        for _ in open_source(tmp_path / "v.parquet", column="v").batches(500)
    )
    assert most < wide.nbytes / 4


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError, match="data must be a name, a path, a Dataset or an array"):
        open_source(3)
    with pytest.raises(ValueError, match="column cannot be given with items in memory"):
        open_source(VECTORS, column="v")
    dataset = Dataset("mine", VECTORS)
    assert open_source(dataset).read() is dataset


def test_a_mapped_file_is_not_read_before_it_is_asked_for(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    batch = next(open_source(tmp_path / "v.npy").batches(5))
    assert not batch.X.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_dataset(tmp_path / "v.npy").X.flags.writeable
