"""LanceDB gives our distances over tables of codes, filters them, and gives them back."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import lancedb
import numpy as np
import pyarrow
import pytest
from lancedb.index import HnswFlat, IvfFlat
from pyarrow import parquet

import hashlearn
from hashlearn.codefiles import write_codes
from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.integrations.lancedb import from_lancedb, parquet_to_lancedb, to_lancedb

PAGE = Path(__file__).parents[2] / "docs" / "stores" / "lancedb.md"
LENGTHS = [1, 8, 12, 60, 64, 100, 256]


def clustered(n_codes, n_bits, seed=0):
    """Draw codes around 40 centres, a bit in twelve flipped; and ids in no order."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).integers(0, 2, (40, n_bits), np.uint8)
    bits = centres[rng.integers(0, 40, n_codes)] ^ (rng.random((n_codes, n_bits)) < 1 / 12)
    return pack_bits(bits), rng.choice(10**12, n_codes, replace=False)


def hamming_search(table, query):
    return table.search(query, vector_column_name="code").distance_type("hamming")


def assert_exact(found, query, codes, ids):
    """Compare with all distances; which of several ids at one distance is given is arbitrary."""
    truth = hamming_distances(query[None], codes)[0]
    distances = found["_distance"].to_numpy()
    np.testing.assert_array_equal(distances, np.sort(truth)[: len(distances)])
    of_id = dict(zip(ids.tolist(), truth.tolist(), strict=True))
    found_ids = found["id"].to_pylist()
    assert [of_id[id_] for id_ in found_ids] == distances.tolist()
    assert len(set(found_ids)) == len(found_ids)


@pytest.fixture
def database(tmp_path):
    return lancedb.connect(tmp_path / "lance")


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_a_search_finds_the_nearest_codes(n_bits, database):
    codes, ids = clustered(500, n_bits)
    queries, _ = clustered(5, n_bits, seed=1)
    table = to_lancedb(codes, database, "codes", ids, n_bits=n_bits)
    for query in queries:
        found = hamming_search(table, query).limit(30).to_arrow()
        assert len(found) == 30
        assert_exact(found, query, codes, ids)


@pytest.mark.parametrize("config", [IvfFlat, HnswFlat])
def test_an_index_of_lists_finds_the_nearest_codes_where_it_looks_into_all(config, database):
    codes, ids = clustered(2000, 64)
    queries, _ = clustered(5, 64, seed=1)
    table = to_lancedb(codes, database, "codes", ids)
    table.create_index("code", config=config(distance_type="hamming", num_partitions=4))
    stats = table.index_stats("code_idx")
    assert (stats.num_indexed_rows, stats.distance_type) == (2000, "hamming")
    for query in queries:
        found = hamming_search(table, query).nprobes(4).limit(30).to_arrow()
        if config is IvfFlat:
            assert_exact(found, query, codes, ids)
        else:
            truth = np.sort(hamming_distances(query[None], codes)[0])
            assert (found["_distance"].to_numpy() <= truth[29]).mean() > 0.9


def test_filters_radius_removal_and_new_rows_hold(database):
    codes, ids = clustered(600, 64)
    group = np.arange(600) % 5
    table = to_lancedb(codes[:500], database, "codes", ids[:500], columns={"group": group[:500]})
    query, truth = codes[0], hamming_distances(codes[:1], codes)[0]
    found = hamming_search(table, query).where("group = 3").limit(20).to_arrow()
    assert_exact(found, query, codes[:500][group[:500] == 3], ids[:500][group[:500] == 3])
    near = hamming_search(table, query).distance_range(0, 9).limit(500).to_arrow()  # 9 is outside
    assert sorted(near["id"].to_pylist()) == sorted(ids[:500][truth[:500] < 9])
    table.delete(f"id = {ids[0]}")
    table.add(table_of(codes[500:], ids[500:], group[500:]))
    left = hamming_search(table, query).limit(20).to_arrow()
    assert_exact(left, query, codes[1:], ids[1:])
    assert len(from_lancedb(table)) == 599


def table_of(codes, ids, group):
    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(codes.ravel()), codes.shape[1])
    return pyarrow.table({"id": ids, "code": lists, "group": group})


@pytest.mark.parametrize("n_bits", LENGTHS)
def test_codes_and_ids_come_back(n_bits, database, tmp_path):
    codes, ids = clustered(300, n_bits)
    index = hashlearn.HammingIndex(n_bits)
    index.add(codes, ids)
    to_lancedb(index, tmp_path / "lance", "codes")
    back = from_lancedb(database.open_table("codes"))
    assert back.n_bits == n_bits
    np.testing.assert_array_equal(back.ids, index.ids)
    np.testing.assert_array_equal(back.codes, index.codes)


def test_other_columns_stay_beside_their_codes(database):
    codes, ids = clustered(50, 64)
    vectors = np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    names = [f"item {i}" for i in range(50)]
    table = to_lancedb(codes, database, "codes", ids, columns={"vector": vectors, "name": names})
    row = table.search().where(f"id = {ids[7]}").to_list()[0]
    assert row["name"] == "item 7"
    np.testing.assert_array_equal(np.float32(row["vector"]), vectors[7])
    assert row["code"] == codes[7].tolist()


def test_a_table_is_replaced_only_where_that_is_asked_for(database):
    codes, _ = clustered(50, 64)
    to_lancedb(codes, database, "codes")
    with pytest.raises(ValueError, match="there is a table 'codes' already; replace=True"):
        to_lancedb(codes[:9], database, "codes")
    assert database.open_table("codes").count_rows() == 50
    assert to_lancedb(codes[:9], database, "codes", replace=True).count_rows() == 9
    assert to_lancedb(codes[:9], database, "others", replace=True).count_rows() == 9


def test_what_a_killed_program_left_stands_in_nobodys_way(database, tmp_path):
    codes, _ = clustered(50, 64)
    left = tmp_path / "lance" / "codes.lance" / "data"
    left.mkdir(parents=True)
    (left / "half.lance").write_bytes(b"half")
    assert len(from_lancedb(to_lancedb(codes, database, "codes"))) == 50


def test_bad_input_is_refused_and_leaves_no_table(database):
    codes, ids = clustered(50, 12)
    wrong = [
        (ValueError, "equally many, got 50 and 49", {"ids": ids[1:]}),
        (ValueError, "distinct, got 3 more than once", {"ids": [3] * 50}),
        (ValueError, "0 in the last 5 bits", {"n_bits": 11}),
        (ValueError, "column 'a' has 49 values for 50 codes", {"columns": {"a": ids[1:]}}),
        (ValueError, "cannot be named '_distance'", {"columns": {"_distance": ids}}),
        (ValueError, "cannot be named 'id'", {"columns": {"id": ids}}),
    ]
    for error, message, options in wrong:
        with pytest.raises(error, match=message):
            to_lancedb(codes, database, "codes", **options)
    with pytest.raises(ValueError, match=r"(?i)invalid.*name"):
        to_lancedb(codes, database, "no/such")
    assert database.list_tables().tables == []


def test_tables_of_something_else_are_refused(database):
    codes, ids = clustered(4, 16)
    with pytest.raises(TypeError, match="table of LanceDB, got ndarray"):
        from_lancedb(codes)
    rows = {"id": ids, "code": ["a"] * 4}
    with pytest.raises(ValueError, match="no column 'code' of fixed-size lists of uint8"):
        from_lancedb(database.create_table("texts", pyarrow.table(rows)))
    with pytest.raises(ValueError, match="no column 'code' of fixed-size lists of uint8"):
        from_lancedb(database.create_table("numbers", pyarrow.table({"id": ids})))
    named = table_of(codes, ids, ids)
    with pytest.raises(ValueError, match="no column 'id'; there are code, group"):
        from_lancedb(database.create_table("unnamed", named.drop_columns(["id"])))
    texts = named.set_column(0, "id", pyarrow.array(list("abcd")))
    with pytest.raises(TypeError, match="ids must be integers"):
        from_lancedb(database.create_table("keys", texts))
    table = to_lancedb(codes, database, "codes")
    with pytest.raises(ValueError, match="the codes have 2 bytes, n_bits=17 has others"):
        from_lancedb(table, 17)


def test_a_file_of_codes_becomes_a_table(database, tmp_path, monkeypatch):
    monkeypatch.setattr("hashlearn.integrations.lancedb._ROWS", 64)
    codes, _ = clustered(300, 60)
    names = [f"photo {i}" for i in range(300)]
    write_codes(tmp_path / "codes.parquet", codes, 60, names, method="ITQ")
    table = parquet_to_lancedb(tmp_path / "codes.parquet", database, "codes")
    assert table.schema.names == ["id", "name", "code"]
    assert json.loads(table.schema.metadata[b"hashlearn"]) == {"n_bits": 60, "method": "ITQ"}
    found = hamming_search(table, codes[5]).limit(20).to_arrow()
    assert_exact(found, codes[5], codes, np.arange(300))
    assert {f"photo {id_}" for id_ in found["id"].to_pylist()} == set(found["name"].to_pylist())
    back = from_lancedb(table)
    assert back.n_bits == 60
    np.testing.assert_array_equal(back.codes, codes)
    with pytest.raises(ValueError, match="there is a table 'codes' already"):
        parquet_to_lancedb(tmp_path / "codes.parquet", database, "codes")


def test_an_arrow_file_of_one_long_batch_is_read_in_parts(database, tmp_path, monkeypatch):
    monkeypatch.setattr("hashlearn.integrations.lancedb._ROWS", 64)
    codes, ids = clustered(300, 64)
    table = pyarrow.table({"id": ids, "code": binary(codes)})
    with pyarrow.ipc.new_file(tmp_path / "codes.arrow", table.schema) as file:
        file.write_table(table)
    back = from_lancedb(parquet_to_lancedb(tmp_path / "codes.arrow", database, "codes"))
    np.testing.assert_array_equal(back.ids, np.sort(ids))
    np.testing.assert_array_equal(back.codes, codes[np.argsort(ids)])


def binary(codes, missing=()):
    cells = [None if i in missing else bytes(row) for i, row in enumerate(codes)]
    return pyarrow.array(cells, pyarrow.binary(codes.shape[1]))


def test_a_folder_keeps_its_ids_and_rows_without_a_code(database, tmp_path):
    codes, ids = clustered(90, 64)
    (tmp_path / "part").mkdir()
    for i in range(3):
        rows = slice(30 * i, 30 * i + 30)
        table = pyarrow.table({"id": ids[rows], "code": binary(codes[rows], missing=(2,))})
        parquet.write_table(table, tmp_path / "part" / f"part-{i}.parquet")
    table = parquet_to_lancedb(tmp_path / "part", database, "codes")
    assert table.count_rows() == 90
    there = np.arange(90) % 30 != 2
    found = hamming_search(table, codes[2]).limit(90).to_arrow()
    assert len(found) == 87
    assert_exact(found, codes[2], codes[there], ids[there])
    back = from_lancedb(table)
    np.testing.assert_array_equal(back.ids, np.sort(ids[there]))
    np.testing.assert_array_equal(back.codes, codes[there][np.argsort(ids[there])])


def test_files_without_codes_or_of_several_kinds_are_refused(database, tmp_path):
    codes, ids = clustered(9, 64)
    folder = tmp_path / "part"
    folder.mkdir()
    parquet.write_table(pyarrow.table({"id": ids}), folder / "a.parquet")
    with pytest.raises(ValueError, match="no column 'code' of binary values of one length"):
        parquet_to_lancedb(folder, database, "codes")
    write_codes(folder / "a.parquet", codes, 64)
    write_codes(folder / "b.parquet", codes[:, :4].copy(), 32)
    with pytest.raises(ValueError, match="files with different columns"):
        parquet_to_lancedb(folder, database, "codes")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match="damaged or not a Parquet file"):
        parquet_to_lancedb(tmp_path / "torn.parquet", database, "codes")
    with pytest.raises(FileNotFoundError, match=r"no file or folder .*none\.parquet"):
        parquet_to_lancedb(tmp_path / "none.parquet", database, "codes")
    assert database.list_tables().tables == []


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_that_is_damaged_within_leaves_all_as_it_was(is_there, database, tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (200_000, 8), np.uint8)
    if is_there:
        to_lancedb(codes[:50], database, "codes")
    path = tmp_path / "codes.parquet"
    write_codes(path, codes, 64, [f"photo {i}" for i in range(len(codes))])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300_000] = bytes(300_000)
    path.write_bytes(content)
    with pytest.raises((ValueError, RuntimeError)):
        parquet_to_lancedb(path, database, "codes", replace=True)
    assert database.list_tables().tables == (["codes"] if is_there else [])
    if is_there:
        assert len(from_lancedb(database.open_table("codes"))) == 50


@pytest.mark.real
def test_lists_of_lancedb_find_most_codes_of_sentences(database):
    sentences = hashlearn.load_dataset("newsgroups20_minilm")
    hasher = ITQ(64, random_state=0).fit(sentences.X[:11314])
    codes, queries = hasher.encode(sentences.X[:11314]), hasher.encode(sentences.X[-100:])
    table = to_lancedb(codes, database, "codes")
    table.create_index("code", config=IvfFlat(distance_type="hamming", num_partitions=100))
    tenth = np.sort(hamming_distances(queries, codes), axis=1)[:, 9]
    hits = [
        hamming_search(table, query).nprobes(20).limit(10).to_arrow()["_distance"].to_numpy() <= far
        for query, far in zip(queries, tenth, strict=True)
    ]
    assert np.concatenate(hits).sum() > 0.9 * 1000


def test_the_page_runs_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 15
    assert failed == 0


def test_without_lancedb_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    for call in (
        lambda: to_lancedb([[1]], tmp_path, "codes"),
        lambda: parquet_to_lancedb(tmp_path / "codes.parquet", tmp_path, "codes"),
        lambda: from_lancedb(None),
    ):
        with pytest.raises(ImportError, match=r"pip install 'hashlearn\[lancedb\]'"):
            call()


def test_importing_the_integration_does_not_load_lancedb():
    program = "import sys, hashlearn.integrations.lancedb; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"lancedb", "torch"} & set(ran.stdout.split())
