"""Codes as PostgreSQL writes them, and rows as COPY reads them."""

import datetime
import decimal
import uuid

import numpy as np
import pytest

from hashlearn.codes import unpack_bits
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.integrations.pgcopy import (
    bitstrings_to_codes,
    codes_to_bitstrings,
    copy_blocks,
    copy_sql,
    write_copy,
)
from hashlearn.integrations.pgvector import table_sql

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9000, 8)).astype(np.float32)
CODES = LSH(13, random_state=0).fit(X).encode(X)


@pytest.fixture
def load(postgres, tmp_path):
    """Create a table and copy rows into it, from the file and the statement as they are."""

    def load(*arguments, columns=None, X=None, id_type="bigint"):
        postgres("DROP TABLE IF EXISTS loaded")
        kinds = {name: kind for name, (kind, _) in (columns or {}).items()}
        values = {name: value for name, (_, value) in (columns or {}).items()}
        dim = None if X is None else np.shape(X)[1]
        postgres(table_sql("loaded", 13, id_type=id_type, vector_dim=dim, columns=kinds))
        write_copy(tmp_path / "rows.copy", *arguments, X=X, columns=values)
        copy = copy_sql("loaded", kinds, with_vectors=X is not None, source="/dev/blob")
        postgres(copy.rstrip(";"), copy=tmp_path / "rows.copy")

    return load


@pytest.mark.parametrize("n_bits", [1, 8, 13, 64, 129])
def test_character_j_of_a_bit_string_is_bit_j(n_bits):
    bits = RNG.integers(0, 2, (50, n_bits), np.uint8)
    codes = np.packbits(bits, axis=1, bitorder="little")
    texts = codes_to_bitstrings(codes, n_bits)
    assert texts == ["".join(map(str, row)) for row in bits]
    back, length = bitstrings_to_codes(iter(texts))
    np.testing.assert_array_equal(back, codes)
    assert length == n_bits


def test_the_database_takes_the_bits_for_what_they_are(postgres):
    (text,) = codes_to_bitstrings([[0b101, 1]], 9)
    (row,) = postgres("SELECT get_bit(b, 0), get_bit(b, 1), get_bit(b, 8), b <~> B'000000000', "
                      "b::text FROM CAST($1 AS bit(9)) AS b", text)  # fmt: skip
    assert row == [1, 0, 1, 3, text]


@pytest.mark.parametrize(
    ("texts", "kind", "message"),
    [
        ([], ValueError, "there are no codes"),
        (["01", "2"], ValueError, "code 1 must be a text of 0 and 1, got '2'"),
        (["0 1"], ValueError, "code 0 must be a text of 0 and 1"),
        ([""], ValueError, "code 0 must be a text of 0 and 1, got ''"),
        (["٠١"], ValueError, "code 0 must be a text of 0 and 1"),
        (["01", "011"], ValueError, "code 1 has 3 bits and code 0 has 2"),
        (["01", 10], TypeError, "code 1 must be a string, got 10"),
    ],
)
def test_texts_that_are_no_codes_are_refused(texts, kind, message):
    with pytest.raises(kind, match=message):
        bitstrings_to_codes(texts)


def test_codes_and_vectors_come_back_as_they_were(postgres, load):
    ids = RNG.permutation(9000) - 4000
    vectors = X * np.float32(10) ** RNG.integers(-40, 30, X.shape).astype(np.float32)
    load(CODES, 13, ids, X=vectors)
    rows = postgres("SELECT id, code::text, embedding::text FROM loaded")
    assert [row[0] for row in rows] == ids.tolist()
    np.testing.assert_array_equal(bitstrings_to_codes(row[1] for row in rows)[0], CODES)
    back = np.array([np.fromstring(row[2][1:-1], np.float32, sep=",") for row in rows])
    np.testing.assert_array_equal(back, vectors)


def test_rows_are_numbered_unless_they_have_ids(postgres, load):
    load(CODES[:5000], 13)
    assert postgres("SELECT min(id), max(id), count(*) FROM loaded") == [[0, 4999, 5000]]


ODD = [
    "plain",
    "tab\tline\nreturn\rend",
    "back\\slash",
    "\\N",
    "",
    "\\.",
    "NULL",
    "Füße 箱 😀",
    None,
]


def test_further_columns_come_back_whatever_they_hold(postgres, load):
    n = len(ODD)
    load(
        CODES[:n], 13, columns={
            "title": ("text", ODD),
            "array": ("text", np.array([text or "" for text in ODD])),
            "number": ("float8", [0.1, -1e300, float("inf"), None, *[7] * (n - 4)]),
            "single": ("float4", RNG.normal(size=n).astype(np.float32)),
            "exact": ("numeric(20, 10)", [decimal.Decimal("1.0000000001")] * n),
            "is": ("boolean", [True, False, None, np.True_, *[False] * (n - 4)]),
            "day": ("date", [datetime.date(2024, 2, 29)] * n),
            "at": ("timestamp", [datetime.datetime(2024, 2, 29, 1, 2, 3, 4)] * n),
        },
    )  # fmt: skip
    rows = postgres(
        'SELECT title, "array", number::text, exact::text, "is", day::text, at::text FROM loaded '
        "ORDER BY id"
    )
    title, array, number, exact, truth, day, at = zip(*rows, strict=True)
    assert list(title) == ODD
    assert list(array) == [text or "" for text in ODD]
    assert number == ("0.1", "-1e+300", "Infinity", None, *["7"] * (n - 4))
    assert truth == (True, False, None, True, *[False] * (n - 4))
    assert set(exact) == {"1.0000000001"}
    assert set(day) == {"2024-02-29"}
    assert set(at) == {"2024-02-29 01:02:03.000004"}


@pytest.mark.parametrize("kind", ["uuid", "text"])
def test_ids_may_be_texts(postgres, load, kind):
    ids = [str(uuid.UUID(int=i)) for i in range(20)]
    load(CODES[:20], 13, ids, id_type=kind)
    assert postgres("SELECT id::text FROM loaded ORDER BY id") == [[text] for text in ids]


def test_blocks_are_the_file_and_hold_some_thousand_rows(tmp_path):
    write_copy(tmp_path / "rows.copy", CODES, 13, X=X)
    blocks = list(copy_blocks(CODES, 13, X=X))
    assert b"".join(blocks) == (tmp_path / "rows.copy").read_bytes()
    assert len(blocks) == 3
    assert all(block.endswith(b"\n") for block in blocks)


def test_mapped_files_are_read_as_they_are_written(tmp_path):
    np.save(tmp_path / "codes.npy", CODES)
    np.save(tmp_path / "X.npy", X.astype(np.float64))
    mapped = [np.load(tmp_path / name, mmap_mode="r") for name in ("codes.npy", "X.npy")]
    assert list(copy_blocks(mapped[0], 13, X=mapped[1])) == list(copy_blocks(CODES, 13, X=X))
    assert next(copy_blocks(np.asfortranarray(CODES), 13)) == next(copy_blocks(CODES, 13))


def test_no_codes_are_an_empty_file(tmp_path):
    write_copy(tmp_path / "rows.copy", CODES[:0], 13)
    assert (tmp_path / "rows.copy").read_bytes() == b""


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"n_bits": 20}, ValueError, "codes of 20 bits take 3 bytes"),
        ({"n_bits": 9}, ValueError, "must have 0 in the last 7 bits"),
        ({"codes": CODES.astype(int)}, TypeError, "uint8"),
        ({"ids": np.arange(3)}, ValueError, r"shape \(3,\), for 9000 codes"),
        ({"ids": np.arange(9000.0)}, TypeError, "whole numbers or texts, got float64"),
        ({"X": X[:10]}, ValueError, "X has 10 rows for 9000 codes"),
        ({"X": X[:, 0]}, ValueError, r"shape \(n, d\), got float32 of the shape \(9000,\)"),
        ({"X": X.astype(str)}, ValueError, "X must be numbers"),
        ({"X": np.where(np.arange(9000)[:, None] == 8000, np.nan, X)}, ValueError, "row 8000 of X"),
        ({"X": X.astype(float) * 1e300}, ValueError, "row 0 of X holds .* beyond single"),
        ({"columns": {"a": ["x"]}}, ValueError, "the column 'a' has 1 values for 9000 codes"),
        ({"columns": {"a": ["x"] * 8999 + ["\0"]}}, ValueError, "no text with the character 0"),
        ({"columns": {"a": [b"x"] * 9000}}, TypeError, "a value must be a text, .* got b'x'"),
        ({"columns": {"a": [[1]] * 9000}}, TypeError, r"a value must be .* got \[1\]"),
    ],
)
def test_bad_rows_leave_the_file_as_it_was(tmp_path, options, kind, message):
    path = tmp_path / "rows.copy"
    path.write_text("before")
    with pytest.raises(kind, match=message):
        write_copy(path, **({"codes": CODES, "n_bits": 13} | options))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_on_the_server_may_have_any_name():
    assert copy_sql("t", source="it's").startswith("""COPY "t" ("id", "code") FROM 'it''s' WITH""")
    assert r"FROM E'C:\\rows.copy' WITH" in copy_sql("t", source="C:\\rows.copy")
    assert '("id", "code", "embedding", "a b")' in copy_sql("s.t", ["a b"], with_vectors=True)


def test_codes_of_a_list_are_bytes():
    assert list(copy_blocks([[5, 1]], 9)) == [b"0\t101000001\n"]
    assert unpack_bits([[5, 1]], 9).sum() == 3
