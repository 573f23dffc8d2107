"""Encoding by several workers: the codes of one process, whatever is lost on the way."""

import logging
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

from hashlearn import codefiles as files_of_codes
from hashlearn.data import load_dataset
from hashlearn.engine import available_threads
from hashlearn.features import OnnxBackbone
from hashlearn.hashers import get_method
from hashlearn.models import encode, make_model, save

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("ray")

import hashlearn.integrations._parquet as parquet_module  # noqa: E402
import hashlearn.integrations._workers as workers_module  # noqa: E402
from hashlearn.integrations._parquet import divide, find_files, read_footers, read_piece  # noqa: E402
from hashlearn.integrations._workers import Worker  # noqa: E402
from hashlearn.integrations.ray import Encoder, encode_images, encode_parquet  # noqa: E402


@pytest.fixture(scope="session")
def cluster():
    """Start Ray on this machine, with two CPUs."""
    before = dict(os.environ)
    # Workers are polite by default, and hardly get to run beside anything else.
    os.environ |= {"RAY_worker_niceness": "0"}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    ray = pytest.importorskip("ray")
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR, object_store_memory=200_000_000,
    )  # fmt: skip
    yield ray
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


X = np.random.default_rng(0).standard_normal((1200, 8)).astype(np.float32)


def linear(n_bits=12):
    return get_method("lsh")(n_bits, random_state=0).fit(X)


def table_of(rows, first=0):
    return pa.table({"id": np.arange(first, first + len(rows)), "vector": list(rows)})


@pytest.fixture
def source(tmp_path):
    """Write three files of 400 rows, in groups of 150."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    for i in range(3):
        rows = slice(400 * i, 400 * i + 400)
        pq.write_table(table_of(X[rows], 400 * i), folder / f"{i}.parquet", row_group_size=150)
    return folder


def read_codes(folder):
    table = pq.read_table(sorted(Path(folder).glob("*.parquet")))
    codes = table.column("code").to_pylist()
    return table, np.array([np.frombuffer(code, np.uint8) for code in codes])


@pytest.mark.usefixtures("cluster")
def test_a_linear_hasher_gives_the_codes_of_one_process_row_for_row(source, tmp_path):
    model = linear()
    save(model, tmp_path / "lsh.model")
    done = encode_parquet(
        tmp_path / "lsh.model", source, tmp_path / "codes", column="vector", keep=["id"],
        workers=2, batch_size=64,
    )  # fmt: skip
    table, codes = read_codes(tmp_path / "codes")
    np.testing.assert_array_equal(codes, model.encode(X))
    assert table.column("id").to_pylist() == list(range(1200))
    assert table.schema.field("code").type == pa.binary(2)
    found = files_of_codes.read_codes(tmp_path / "codes")
    np.testing.assert_array_equal(found["codes"], codes)
    assert found["n_bits"] == 12
    assert (done.n_rows, done.files, done.left_out) == (1200, ("codes-00000.parquet",), ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes", "lsh.model", "vectors"]


@pytest.mark.usefixtures("cluster")
def test_a_network_gives_the_codes_of_one_process_from_columns_of_numbers(tmp_path):
    options = {"n_steps": 20, "batch_size": 32, "device": "cpu", "random_state": 0}
    model = get_method("bihalf")(16, **options).fit(X)
    columns = {f"x{i}": X[:, i] for i in range(8)}
    pq.write_table(pa.table({"id": np.arange(1200), **columns}), tmp_path / "x.parquet")
    files = [str(tmp_path / "x.parquet")]
    encode_parquet(model, files, tmp_path / "codes", keep=["id"], workers=2, batch_size=100)
    table, codes = read_codes(tmp_path / "codes")
    np.testing.assert_array_equal(codes, model.encode(X))
    assert table.column_names == ["id", "code"]


@pytest.mark.usefixtures("cluster")
def test_texts_are_encoded_from_a_column_of_strings(tmp_path):
    words = ["red", "blue", "green", "rose", "violet", "oak"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, 5)) for _ in range(90)]
    model = make_model("bagofwords,topics:3", get_method("itq")(3, random_state=0)).fit(texts)
    pq.write_table(pa.table({"text": texts}), tmp_path / "texts.parquet")
    encode_parquet(
        model, tmp_path / "*.parquet", tmp_path / "codes", column="text", workers=2, batch_size=20
    )
    _, codes = read_codes(tmp_path / "codes")
    np.testing.assert_array_equal(codes, encode(model, texts))
    with pytest.raises(ValueError, match="the model takes texts: name the column"):
        encode_parquet(model, tmp_path / "texts.parquet", tmp_path / "more")


@pytest.fixture
def photos(tmp_path):
    """Write 30 images into a folder, one of them damaged, and give a model of such images."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i in range(30):
        pixels = rng.integers(0, 256, (12 + i % 3, 14, 3), np.uint8)
        Image.fromarray(pixels).save(folder / ("more" if i % 2 else ".") / f"{i:02}.png")
    whole = load_dataset(str(folder), image_size=(8, 9))
    model = make_model("pixels", get_method("lsh")(24, random_state=0)).fit(whole.X)
    damaged = folder / "more" / "07.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    return folder, model, whole


@pytest.mark.usefixtures("cluster")
def test_a_folder_of_images_is_encoded_without_the_damaged_one_which_is_named(photos, tmp_path):
    folder, model, whole = photos
    with pytest.warns(UserWarning, match=r"left out 1 of 30 images, the first: .*07\.png is dam"):
        done = encode_images(model, folder, tmp_path / "codes", workers=2, batch_size=4)
    assert done.n_rows == 29
    assert len(done.left_out) == 1
    table, codes = read_codes(tmp_path / "codes")
    kept = [i for i, name in enumerate(whole.item_names) if name != "more/07.png"]
    assert table.column("name").to_pylist() == [whole.item_names[i] for i in kept]
    np.testing.assert_array_equal(codes, encode(model, whole.X[kept]))


@pytest.mark.usefixtures("cluster")
def test_a_network_before_the_hasher_gets_images_of_any_size_and_runs_in_the_workers(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    floats, make = onnx.TensorProto.FLOAT, onnx.helper
    graph = make.make_graph(
        [make.make_node("Flatten", ["pixels"], ["features"])],
        "rows",
        [make.make_tensor_value_info("pixels", floats, ["n", 3, 4, 4])],
        [make.make_tensor_value_info("features", floats, ["n", 48])],
    )
    opset = [make.make_opsetid("", 17)]
    onnx.save_model(
        make.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "rows.onnx"
    )
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    images = [rng.integers(0, 256, (4 + i % 5, 6, 3), np.uint8) for i in range(40)]
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "photos" / f"{i:02}.png")
    network = OnnxBackbone(str(tmp_path / "rows.onnx"), mean=[0.5] * 3, std=[0.5] * 3)
    model = make_model([network], get_method("itq")(16, random_state=0)).fit(images)
    (tmp_path / "rows.onnx").unlink()  # the model holds it
    encode_images(model, tmp_path / "photos", tmp_path / "codes", workers=2, batch_size=8)
    _, codes = read_codes(tmp_path / "codes")
    np.testing.assert_array_equal(codes, encode(model, images))


@pytest.mark.usefixtures("cluster")
def test_images_in_a_column_keep_their_rows_and_a_damaged_one_has_no_code(photos, tmp_path):
    folder, model, whole = photos
    data = [(folder / name).read_bytes() for name in whole.item_names]
    pq.write_table(pa.table({"image": data}), tmp_path / "images.parquet")
    done = encode_parquet(
        model, tmp_path / "images.parquet", tmp_path / "codes", column="image", workers=2,
        batch_size=7,
    )  # fmt: skip
    bad = whole.item_names.index("more/07.png")
    found = pq.read_table(tmp_path / "codes").column("code").to_pylist()
    codes = encode(model, whole.X)
    assert found == [None if i == bad else codes[i].tobytes() for i in range(30)]
    assert done.n_rows == 30
    assert len(done.left_out) == 1
    assert "images.parquet: " in done.left_out[0]


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_loses_no_row_and_doubles_none(source, tmp_path, monkeypatch):
    marker = tmp_path / "killed"

    class Killed(Worker):
        def _work(self, piece):
            for number, found in enumerate(super()._work(piece)):
                if piece["number"] == 4 and number == 1 and not marker.exists():
                    marker.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                yield found

    monkeypatch.setattr(workers_module, "Worker", Killed)
    model = linear()
    encode_parquet(
        model, source, tmp_path / "codes", column="vector", keep=["id"], workers=2, batch_size=40
    )
    assert marker.exists()
    table, codes = read_codes(tmp_path / "codes")
    assert table.column("id").to_pylist() == list(range(1200))
    np.testing.assert_array_equal(codes, model.encode(X))


@pytest.mark.usefixtures("cluster")
def test_rows_that_kill_every_worker_end_the_run(source, tmp_path, monkeypatch):
    class Killed(Worker):
        def _work(self, piece):
            for found in super()._work(piece):
                if piece["number"] == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield found

    monkeypatch.setattr(workers_module, "Worker", Killed)
    monkeypatch.setattr(workers_module, "_MOST_ATTEMPTS", 1)
    with pytest.raises(RuntimeError, match=r"1 workers were lost over the same rows, of .*\.parqu"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector", workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


@pytest.mark.usefixtures("cluster")
def test_the_model_is_loaded_once_a_worker(source, tmp_path, monkeypatch):
    loads, calls = tmp_path / "loads", tmp_path / "calls"

    class Counted(Worker):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            with loads.open("a") as file:
                file.write(f"{os.getpid()}\n")

        def _work(self, piece):
            with calls.open("a") as file:
                file.write(f"{piece['number']}\n")
            return super()._work(piece)

    monkeypatch.setattr(workers_module, "Worker", Counted)
    encode_parquet(linear(), source, tmp_path / "codes", column="vector", workers=2, batch_size=30)
    processes = loads.read_text().split()  # one, if it had done all before the other was there
    assert len(set(processes)) == len(processes) <= 2
    assert sorted(map(int, calls.read_text().split())) == list(range(9))


def test_an_encoder_in_a_pipeline_of_ones_own_takes_the_threads_that_ray_gives_it(cluster):
    class Spy(Encoder):
        def __call__(self, batch):
            blas = max(library["num_threads"] for library in threadpool_info())
            table = super().__call__(batch)
            return table.append_column("threads", [[[available_threads(), blas]] * len(table)])

    data = cluster.data.from_arrow(table_of(X)).map_batches(
        Spy, fn_constructor_args=[linear()], fn_constructor_kwargs={"column": "vector"},
        batch_format="pyarrow", num_cpus=1, compute=cluster.data.ActorPoolStrategy(size=1),
    )  # fmt: skip
    data.context.enable_progress_bars = False
    rows = data.take_all()
    assert {row["code"] for row in rows} == {code.tobytes() for code in linear().encode(X)}
    assert {tuple(row["threads"]) for row in rows} == {(1, 1)}


@pytest.mark.usefixtures("cluster")
def test_rows_that_do_not_fit_are_one_error_that_names_their_file(source, tmp_path):
    pq.write_table(table_of(X[:50, :5]), source / "3.parquet")
    with pytest.raises(ValueError, match=r"/3\.parquet: X has 5 features, but LSH is") as caught:
        encode_parquet(linear(), source, tmp_path / "codes", column="vector", workers=2)
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 300
    pq.write_table(pa.table({"id": [1, 2], "vector": [X[0], None]}), source / "3.parquet")
    with pytest.raises(ValueError, match=r"/3\.parquet: the column 'vector' has 1 null values"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector", workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def no_ray(*_):
    raise AssertionError("Ray was called upon")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "vectors"}, r"0\.parquet: no column 'vectors'; there are id, vector"),
        ({"column": "vector", "keep": ["name"]}, "no column 'name'"),
        ({"column": "vector", "keep": ["code"]}, "cannot be named 'code'"),
        ({"column": "vector", "workers": 0}, "workers == 0"),
        ({"column": "vector", "batch_size": 0}, "batch_size == 0"),
        ({"column": "vector", "cpus_per_worker": 0}, "cpus_per_worker == 0"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(options, message, source, tmp_path, monkeypatch):
    monkeypatch.setattr("hashlearn.integrations.ray.connected", no_ray)
    with pytest.raises(ValueError, match=message):
        encode_parquet(linear(), source, tmp_path / "codes", **options)
    assert not (tmp_path / "codes").exists()


def test_files_and_folders_that_do_not_fit_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr("hashlearn.integrations.ray.connected", no_ray)
    with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere"):
        encode_parquet(linear(), tmp_path / "nowhere", tmp_path / "codes", column="vector")
    with pytest.raises(FileExistsError, match="vectors is there already"):
        encode_parquet(linear(), source, source, column="vector")
    with pytest.raises(FileNotFoundError, match=r"cannot write .*no folder"):
        encode_parquet(linear(), source, tmp_path / "a" / "b", column="vector")
    with pytest.raises(ValueError, match="the model takes vectors, not images"):
        encode_images(linear(), tmp_path, tmp_path / "codes")
    texts = pa.table({"id": [1], "vector": ["a text"]})
    pq.write_table(texts, source / "9.parquet")
    with pytest.raises(ValueError, match=r"9\.parquet: the column 'vector' holds string, in the"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector")
    with pytest.raises(ValueError, match="takes vectors, and the column 'vector' holds string"):
        encode_parquet(linear(), source / "9.parquet", tmp_path / "codes", column="vector")
    (source / "5.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"5\.parquet is damaged or not a Parquet file"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector")


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_the_cluster_has_room_for_are_refused(source, tmp_path):
    with pytest.raises(ValueError, match="3 workers of 1 CPUs and 0 GPUs are more than"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector", workers=3)
    with pytest.raises(ValueError, match="1 workers of 1 CPUs and 1 GPUs are more than"):
        encode_parquet(linear(), source, tmp_path / "a", column="vector", gpus_per_worker=1)


@pytest.mark.parametrize("sizes", [[7], [1000], [3] * 60, [5, 0, 400, 1], []])
@pytest.mark.parametrize("workers", [1, 2, 9])
def test_pieces_hold_every_row_once_and_in_order(sizes, workers, tmp_path):
    first = 0
    for number, size in enumerate([sizes, sizes[::-1], []]):
        schema = pa.schema({"id": pa.int64()})
        with pq.ParquetWriter(tmp_path / f"{number}.parquet", schema) as writer:
            for count in size:
                rows = pa.table({"id": np.arange(first, first + count)}, schema=schema)
                writer.write_table(rows)
                first += count
    system, files = find_files(tmp_path)
    pieces = divide(read_footers(system, files), workers, batch_size=10)
    tables = [table for piece in pieces for table in read_piece(system, piece, ["id"], 10)]
    assert [i for table in tables for i in table.column("id").to_pylist()] == list(range(first))
    assert max((len(table) for table in tables), default=0) <= 10
    assert [piece["number"] for piece in pieces] == list(range(len(pieces)))
    if sizes == [1000]:
        assert len(pieces) >= 4 * workers


def test_files_are_found_in_order_by_folder_pattern_and_list(source):
    (source / "b").mkdir()
    for name in ("b/1.parquet", ".hidden.parquet", "note.txt"):
        (source / name).write_bytes((source / "0.parquet").read_bytes())

    def names(place):
        return [Path(file).relative_to(source).as_posix() for file in find_files(place)[1]]

    assert names(source) == ["0.parquet", "1.parquet", "2.parquet", "b/1.parquet"]
    assert names(source / "[12].parquet") == ["1.parquet", "2.parquet"]
    assert names(f"file://{source}/*/*.parquet") == ["b/1.parquet"]
    assert names([source / "2.parquet", source / "b"]) == ["2.parquet", "b/1.parquet"]
    with pytest.raises(ValueError, match=r"holds no file ending in \.parquet"):
        find_files(source / "*.csv")


def test_where_no_folder_can_be_renamed_a_last_file_says_that_all_is_there(tmp_path, monkeypatch):
    from pyarrow import fs

    far = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(parquet_module, "locate", lambda place: (far, place))
    with parquet_module.whole_folder("codes") as folder:
        writer = parquet_module.Writer(folder, {})
        writer.write(pa.table({"code": [b"a"]}))
        writer.close()
        assert not (tmp_path / "codes" / "_SUCCESS").exists()
    names = {path.name for path in (tmp_path / "codes").iterdir()}
    assert names == {"_SUCCESS", "codes-00000.parquet"}
    with pytest.raises(KeyError), parquet_module.whole_folder("other"):
        raise KeyError
    assert not (tmp_path / "other" / "_SUCCESS").exists()


def test_without_ray_the_error_says_how_to_install_it(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[ray\]'"):
        encode_parquet(linear(), source, tmp_path / "codes", column="vector")
