"""Codes in PostgreSQL with pgvector: the same codes, the same neighbours."""

import re
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import hashlearn
from hashlearn.codes import hamming_distances, unpack_bits
from hashlearn.features import Pixels
from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.hashers.shallow.sh import SH
from hashlearn.integrations._sql import qualified
from hashlearn.integrations.pgcopy import bitstrings_to_codes, copy_sql, write_copy
from hashlearn.integrations.pgvector import function_sql, index_sql, search_sql, table_sql
from hashlearn.linear import linear_values

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(3000, 24)) @ RNG.normal(size=(24, 24)) + 1).astype(np.float32)
QUERIES = (RNG.normal(size=(20, 24)) @ RNG.normal(size=(24, 24)) + 1).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(int) + 2 * (X[:, 1] > 0)
NUMBERS = count()


def as_vector(row):
    """Write a vector as pgvector reads it, each number as it is."""
    return f"[{','.join(map(str, np.asarray(row, np.float32)))}]"


def bits_of(rows):
    codes, n_bits = bitstrings_to_codes([row[0] for row in rows])
    return unpack_bits(codes, n_bits)


@pytest.fixture
def name():
    return f"t{next(NUMBERS)}"


@pytest.fixture
def fill(postgres, tmp_path, name):
    """Create a table and copy rows into it."""

    def fill(codes, n_bits, vectors=None, **options):
        dim = None if vectors is None else vectors.shape[1]
        postgres(table_sql(name, n_bits, vector_dim=dim, **options))
        write_copy(tmp_path / "rows.copy", codes, n_bits, X=vectors)
        copy = copy_sql(name, with_vectors=vectors is not None, source="/dev/blob")
        postgres(copy.rstrip(";"), copy=tmp_path / "rows.copy")

    return fill


@pytest.fixture
def bits_by(postgres, name):
    """Create the function of a model, and compute bits with it."""

    def bits_by(model, vectors):
        postgres(function_sql(model, f"hash_{name}"))
        texts = "SELECT unnest($1::text[])::vector AS x"
        rows = postgres(
            f"SELECT hash_{name}(x)::text FROM ({texts}) AS v", list(map(as_vector, vectors))
        )
        return bits_of(rows)

    return bits_by


@pytest.mark.parametrize("n_bits", [64, 37])
def test_the_nearest_codes_are_those_of_the_index(postgres, fill, name, n_bits):
    codes = LSH(n_bits, random_state=0).fit(X).encode(X)
    fill(codes, n_bits)
    index = hashlearn.HammingIndex(n_bits)
    index.add(codes)
    expected = index.search(codes[:15], 20)
    search = search_sql(name, n_bits=n_bits, k=20)
    for row, code in enumerate(unpack_bits(codes[:15], n_bits)):
        found = postgres(search, "".join(map(str, code)))
        assert [found_id for found_id, _ in found] == expected.ids[row].tolist()
        assert [distance for _, distance in found] == expected.distances[row].tolist()


@pytest.mark.parametrize("method", ["hnsw", "ivfflat"])
def test_an_index_answers_with_neighbours_and_their_distances(postgres, fill, name, method):
    codes = LSH(64, random_state=0).fit(X).encode(X)
    fill(codes, 64)
    options = {"m": 24, "ef_construction": 128} if method == "hnsw" else {"lists": 20}
    postgres(index_sql(name, method=method, name=f"of {name}", **options))
    postgres("SET enable_seqscan = off; SET hnsw.ef_search = 200; SET ivfflat.probes = 20")
    search = search_sql(name, n_bits=64, n_candidates=50)
    bits = unpack_bits(codes[:10], 64)
    found = [postgres(search, "".join(map(str, code))) for code in bits]
    text = search.replace("$1", f"'{''.join(map(str, bits[0]))}'")
    plan = "\n".join(row[0] for row in postgres(f"EXPLAIN {text}"))
    postgres("RESET enable_seqscan; RESET hnsw.ef_search; RESET ivfflat.probes")
    assert f'using "of {name}"' in plan
    distances = hamming_distances(codes[:10], codes)
    for row, neighbours in enumerate(found):
        assert [distances[row, i] for i, _ in neighbours] == [d for _, d in neighbours]
        assert neighbours == sorted(neighbours, key=lambda pair: pair[::-1])
    nearest = np.sort(distances, axis=1)[:, :10]
    told = np.array([[distance for _, distance in neighbours] for neighbours in found])
    assert (told == nearest).mean() > 0.9


@pytest.mark.parametrize("method", ["itq", "lsh", "sttm", "ba"])
@pytest.mark.parametrize("n_bits", [5, 24])
def test_the_function_gives_the_codes_of_encode(bits_by, method, n_bits):
    hasher = get_method(method)(n_bits, random_state=0).fit(X, LABELS)
    bits = bits_by(hasher, X[:400])
    np.testing.assert_array_equal(bits, hasher.transform(X[:400]))
    assert 0.1 < bits.mean() < 0.9


def test_values_within_rounding_of_zero_get_the_bits_of_encode(bits_by):
    hasher = LSH(24, random_state=0).fit(X)
    vectors = X[:300].copy()
    for number, vector in enumerate(vectors):  # brought to one of the planes that part the codes
        weights = hasher.weights_[number % 24].astype(np.float64)
        value = weights @ vector + hasher.bias_[number % 24]
        vector -= value / (weights @ weights) * weights
    values = hasher.project(vectors)
    single = np.float32(0)
    for i in range(24):  # what the inner product of single precision may give
        single = single + vectors[:, i, None] * hasher.weights_[:, i]
    disagrees = (single + hasher.bias_ >= 0) != (values >= 0)
    assert disagrees.sum() > 20
    np.testing.assert_array_equal(bits_by(hasher, vectors), values >= 0)


@pytest.mark.parametrize("size", [1e-30, 1e-44, 1e25, 3e38])
def test_vectors_near_the_ends_of_single_precision_get_the_bits_of_encode(bits_by, size):
    hasher = LSH(24, random_state=0).fit(X)
    hasher.bias_ = np.where(np.arange(24) % 2, 0, hasher.bias_).astype(np.float32)
    vectors = (X[:50] / np.abs(X[:50]).max() * size).astype(np.float32)
    values = linear_values(vectors, hasher.weights_, hasher.bias_)
    np.testing.assert_array_equal(bits_by(hasher, vectors), values >= 0)


def test_a_zero_vector_has_the_bits_of_the_biases(bits_by):
    hasher = LSH(24, random_state=0).fit(X)
    hasher.bias_ = np.float32([0, -1, 1, -1e-40] * 6)
    np.testing.assert_array_equal(bits_by(hasher, np.zeros((1, 24)))[0], [1, 0, 1, 0] * 6)


@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [PCA(12, random_state=0)],
        [PCA(12, whiten=True, random_state=0)],
        [TruncatedSVD(12, random_state=0)],
        [Normalizer()],
        [Normalizer(), StandardScaler(), PCA(12, random_state=0)],
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_linear_features_are_folded_into_the_function(bits_by, steps):
    model = make_pipeline(*steps, ITQ(8, random_state=0)).fit(X)
    values = model[-1].project(model[:-1].transform(X[:500]))
    differ = bits_by(model, X[:500]) != (values >= 0)
    assert (np.abs(values[differ]) < 1e-5 * np.abs(values).max()).all()
    assert differ.sum() <= 2


class Squared(LSH):
    """Somebody's values that are not linear."""

    def _project(self, X):
        return super()._project(X) ** 2


class Flipped(LSH):
    """Somebody's bits that are not signs."""

    def transform(self, X):
        return 1 - super().transform(X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (SH(8).fit(X), "the bits of SH are not signs of linear functions; those of LSH, ITQ"),
        (Squared(8).fit(X), "the bits of Squared are not"),
        (Flipped(8).fit(X), "the bits of Flipped are not"),
        (make_pipeline(Pixels(), LSH(8)).fit(X), "cannot bring the features Pixels"),
        (make_pipeline(Normalizer("l1"), LSH(8)).fit(X), "cannot bring the features Normalizer"),
        (make_pipeline(StandardScaler(), Normalizer(), LSH(8)).fit(X), "before all other steps"),
        (make_pipeline(LSH(8), StandardScaler()).fit(X), "the last step must be a hasher"),
    ],
)
def test_a_model_that_is_no_linear_function_is_refused_by_name(model, message):
    with pytest.raises(TypeError, match=message):
        function_sql(model)


def test_a_function_of_too_many_dimensions_or_of_nothing_is_refused():
    with pytest.raises(NotFittedError):
        function_sql(LSH(8))
    wide = LSH(2, random_state=0).fit(np.eye(3, 16_001, dtype=np.float32))
    with pytest.raises(ValueError, match="up to 16,000 dimensions, got 16,001"):
        function_sql(wide)


def test_the_function_refuses_vectors_of_another_length_and_takes_null(postgres, name):
    postgres(function_sql(LSH(8, random_state=0).fit(X), name))
    with pytest.raises(RuntimeError, match="takes vectors of 24 dimensions, got 3"):
        postgres(f"SELECT {name}('[1,2,3]')")
    assert postgres(f"SELECT {name}(NULL) IS NULL") == [[True]]


def test_a_function_is_replaced_only_when_that_is_asked_for(postgres, name):
    first, second = (LSH(24, random_state=seed).fit(X) for seed in (0, 1))
    postgres(function_sql(first, name))
    with pytest.raises(RuntimeError, match="already exists"):
        postgres(function_sql(second, name))
    postgres(function_sql(second, name, replace=True))
    (bits,) = bits_of(postgres(f"SELECT {name}($1)::text", as_vector(X[0])))
    np.testing.assert_array_equal(bits, second.transform(X[:1])[0])
    assert (bits != first.transform(X[:1])[0]).any()


@pytest.mark.parametrize("vector_type", ["vector", "halfvec"])
def test_the_database_computes_codes_by_itself(postgres, name, vector_type):
    hasher = LSH(24, random_state=0).fit(X)
    postgres(function_sql(hasher, f"hash_{name}"))
    postgres(table_sql(name, 24, vector_dim=24, vector_type=vector_type, function=f"hash_{name}"))
    insert = (
        f"INSERT INTO public.{name} (id, embedding) SELECT i, x::public.vector "
        "FROM unnest($1::bigint[], $2::text[]) AS v(i, x)"
    )
    postgres("SET search_path = pg_catalog")  # as while a dump is restored
    try:
        postgres(insert, list(range(200)), list(map(as_vector, X[:200])))
    finally:
        postgres("RESET search_path")
    kept = X[:200].astype(np.float16) if vector_type == "halfvec" else X[:200]
    bits = bits_of(postgres(f"SELECT code::text FROM {name} ORDER BY id"))
    np.testing.assert_array_equal(bits, hasher.transform(kept.astype(np.float32)))
    postgres(f"UPDATE {name} SET embedding = $1 WHERE id = 3", as_vector(X[7].astype(np.float16)))
    (bits,) = bits_of(postgres(f"SELECT code::text FROM {name} WHERE id = 3"))
    expected = hasher.transform(X[7:8].astype(np.float16).astype(np.float32))
    np.testing.assert_array_equal(bits, expected[0])


@pytest.mark.parametrize("vector_type", ["vector", "halfvec"])
@pytest.mark.parametrize("rerank", ["<->", "<=>", "<#>", "<+>"])
def test_the_shortlist_is_ordered_by_the_vectors(postgres, fill, name, rerank, vector_type):
    hasher = LSH(16, random_state=0).fit(X)
    whole = np.rint(X)  # so that half precision keeps them
    codes = hasher.encode(whole)
    fill(codes, 16, whole, vector_type=vector_type)
    postgres(function_sql(hasher, f"hash_{name}"))
    search = search_sql(name, function=f"hash_{name}", k=10, n_candidates=60, rerank=rerank)
    database = whole.astype(np.float64)
    for query in np.rint(QUERIES[:5]):
        exact = {
            "<->": np.linalg.norm(database - query, axis=1),
            "<=>": 1 - database @ query / np.linalg.norm(database, axis=1) / np.linalg.norm(query),
            "<#>": -database @ query,
            "<+>": np.abs(database - query).sum(axis=1),
        }[rerank]
        found = postgres(search, as_vector(query))
        assert len(found) == 10
        np.testing.assert_allclose([d for _, d in found], [exact[i] for i, _ in found], rtol=1e-5)
        hamming = hamming_distances(hasher.encode(query[None]), codes)[0]
        cut = np.sort(hamming)[59]
        assert all(hamming[i] <= cut for i, _ in found)
        sure = np.flatnonzero(hamming < cut)  # the rest of the shortlist is any of the ties
        better = sure[exact[sure] < found[-1][1] - 1e-4 * abs(found[-1][1])]
        assert set(better) <= {i for i, _ in found}


def test_a_vector_finds_the_codes_that_its_code_finds(postgres, fill, name):
    hasher = LSH(24, random_state=0).fit(X)
    fill(hasher.encode(X), 24, X)
    postgres(function_sql(hasher, f"hash_{name}"))
    by_vector, by_code = search_sql(name, function=f"hash_{name}"), search_sql(name, n_bits=24)
    for query, bits in zip(QUERIES, hasher.transform(QUERIES), strict=True):
        found = postgres(by_vector, as_vector(query))
        assert found == postgres(by_code, "".join(map(str, bits)))


def test_a_search_computes_the_code_of_its_vector_once(postgres, fill, name):
    hasher = LSH(24, random_state=0).fit(X)
    fill(hasher.encode(X), 24, X)
    postgres(function_sql(hasher, f"hash_{name}"))
    postgres(f"PREPARE {name}(vector) AS {search_sql(name, function=f'hash_{name}')}")
    postgres("SET plan_cache_mode = force_generic_plan")
    rows = postgres(f"EXPLAIN (VERBOSE) EXECUTE {name}('{as_vector(X[0])}')")
    postgres("RESET plan_cache_mode")
    plan = [row[0] for row in rows]
    called = next(place for place, line in enumerate(plan) if f"hash_{name}(" in line)
    assert "InitPlan" in plan[called - 2]
    assert sum(f"hash_{name}(" in line for line in plan) == 1


@pytest.mark.parametrize(
    "odd", ["Items", "select", 'say "hi"', "Füße 箱", "a; DROP TABLE x; --", "with space", "é" * 31]
)
def test_odd_names_are_names_and_nothing_else(postgres, tmp_path, odd):
    postgres('CREATE SCHEMA "odd\'s"')
    table = ("odd's", odd)
    hasher = LSH(4, random_state=0).fit(X)
    write_copy(tmp_path / "rows.copy", hasher.encode(X[:9]), 4, X=X[:9], columns={odd: [odd] * 9})
    postgres(table_sql(table, 4, vector_dim=24, columns={odd: "text"}))
    copy = copy_sql(table, [odd], with_vectors=True, source="/dev/blob")
    postgres(copy.rstrip(";"), copy=tmp_path / "rows.copy")
    postgres(index_sql(table, name=f"i{odd}"))
    postgres(function_sql(hasher, table))
    search = search_sql(table, function=table, n_candidates=10, rerank="<->")
    assert postgres(search, as_vector(X[5]))[0] == [5, 0]
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2"
    assert postgres(tables, *table) == [[1]]
    postgres(f"DROP TABLE {qualified(table)}")
    postgres(table_sql(table, 4, vector_dim=24, function=table))
    postgres('DROP SCHEMA "odd\'s" CASCADE')


def test_a_table_has_the_columns_that_are_asked_for(postgres, name):
    columns = {
        "title": "text NOT NULL", "price": "numeric(10, 2)", "at": "timestamp with time zone",
        "tags": "varchar(20)[]",
    }  # fmt: skip
    postgres(table_sql(f"public.{name}", 12, id_type="uuid", vector_dim=3, columns=columns))
    kinds = dict(
        postgres(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = $1::regclass AND attnum > 0", name,
        )
    )  # fmt: skip
    assert kinds == {
        "id": "uuid", "code": "bit(12)", "embedding": "vector(3)", "title": "text",
        "price": "numeric(10,2)", "at": "timestamp with time zone",
        "tags": "character varying(20)[]",
    }  # fmt: skip


@pytest.mark.parametrize("bad", ["", "a.b.c", ".a", "a.", "x" * 64, "é" * 32, "a\0b", "\ud800", ()])
def test_names_that_the_database_would_change_or_refuse_are_refused(bad):
    for write in (
        lambda: table_sql(bad, 8),
        lambda: index_sql(bad),
        lambda: search_sql(bad, n_bits=8),
        lambda: copy_sql(bad),
        lambda: function_sql(LSH(2).fit(X), bad),
    ):
        with pytest.raises(ValueError, match="a name must"):
            write()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: table_sql("t", 0), "n_bits must be at least 1"),
        (lambda: table_sql("t", 8, id_type="bigint; DROP TABLE t"), "a type must be words"),
        (lambda: table_sql("t", 8, id_type="text DEFAULT 'a'"), "a type must be words"),
        (lambda: table_sql("t", 8, id_type="text -- a"), "a type must be words"),
        (lambda: table_sql("t", 8, columns={"a": "text, b text"}), "a type must be words"),
        (lambda: table_sql("t", 8, columns={"code": "text"}), "a column 'code' already"),
        (lambda: table_sql("t", 8, vector_dim=0), "from 1 to 16000, got 0"),
        (lambda: table_sql("t", 8, vector_dim=16_001), "from 1 to 16000, got 16001"),
        (lambda: table_sql("t", 8, vector_dim=True), "whole number from 1 to 16000, got True"),
        (lambda: table_sql("t", 8, vector_dim=3, vector_type="bit"), "one of vector, halfvec"),
        (lambda: table_sql("t", 8, function="f"), "give vector_dim"),
        (lambda: index_sql("t", method="flat"), "one of hnsw, ivfflat; got 'flat'"),
        (lambda: index_sql("t", lists=10), "hnsw takes m, ef_construction; got lists"),
        (lambda: index_sql("t", method="ivfflat", m=10), "ivfflat takes lists; got m"),
        (lambda: index_sql("t", m=101), "m must be a whole number from 2 to 100, got 101"),
        (lambda: index_sql("t", m=64), "ef_construction must be at least 2 m, which is 128"),
        (lambda: index_sql("t", ef_construction=20), "at least 2 m, which is 32"),
        (lambda: search_sql("t"), "give n_bits, .* or function"),
        (lambda: search_sql("t", n_bits=8, function="f"), "give n_bits, .* or function"),
        (lambda: search_sql("t", n_bits=8, k=0), "k must be a whole number from 1"),
        (lambda: search_sql("t", n_bits=8, k=5, n_candidates=4), "n_candidates .* from 5"),
        (lambda: search_sql("t", n_bits=8, rerank="<->"), "rerank needs a function"),
        (lambda: search_sql("t", function="f", rerank="<->"), "rerank needs a function"),
        (lambda: search_sql("t", function="f", rerank="<~>"), "rerank must be one of <->, "),
        (lambda: search_sql("t", n_bits=8, query="'1'"), "query must be a placeholder"),
        (lambda: search_sql("t", n_bits=0), "n_bits must be at least 1"),
    ],
)  # fmt: skip
def test_what_makes_no_statement_is_refused(write, message):
    with pytest.raises(ValueError, match=message):
        write()


def test_names_that_are_no_texts_are_refused():
    with pytest.raises(TypeError, match="a name must be a string, got 3"):
        table_sql("t", 8, columns={3: "text"})


@pytest.mark.parametrize("query", ["$2", "%(query)s", ":query"])
def test_a_query_is_written_for_the_program_that_sends_it(query):
    assert f"CAST({query} AS bit(8))" in search_sql("t", n_bits=8, query=query)


@pytest.mark.real
def test_no_bit_differs_on_real_sentences(postgres, tmp_path, name):
    n_bits = 64
    vectors = hashlearn.load_dataset("newsgroups20_minilm").X[::4]
    hasher = ITQ(n_bits, random_state=0).fit(vectors[:4000])
    postgres(function_sql(hasher, f"hash_{name}"))
    postgres(table_sql(name, n_bits, vector_dim=384, columns={"other": f"bit({n_bits})"}))
    codes = hasher.encode(vectors)
    write_copy(tmp_path / "rows.copy", codes, n_bits, X=vectors)
    copy = copy_sql(name, with_vectors=True, source="/dev/blob")
    postgres(copy.rstrip(";"), copy=tmp_path / "rows.copy")
    ((n_rows, n_different),) = postgres(
        f"SELECT count(*), count(*) FILTER (WHERE code <> hash_{name}(embedding)) FROM {name}"
    )
    assert n_rows == len(vectors)
    assert n_different == 0
    postgres(f"DROP TABLE {name}")


def as_psql(value):
    """Write a value as psql does with --no-align and --tuples-only."""
    return {True: "t", False: "f"}[value] if isinstance(value, bool) else str(value)


def test_the_page_runs_as_it_stands(postgres, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "stores" / "pgvector.md").read_text(encoding="utf-8")
    names, shown, n_checked = {}, [], 0
    postgres("CREATE SCHEMA page; SET search_path = page, public")
    for language, block in re.findall(r"```(python|sql|text)\n(.*?)```", page, flags=re.DOTALL):
        if language == "python":
            exec(block, names)
        elif language == "text":
            assert "".join(f"{line}\n" for line in shown) == block
            n_checked += 1
        else:
            shown = []
            for statement in re.findall(r"^\\.*?$|[^\\]+?;(?: *--.*)?$", block, flags=re.MULTILINE):
                if included := re.fullmatch(r"\\i (\S+)", statement):
                    postgres(Path(included[1]).read_text(encoding="utf-8"))
                elif copied := re.fullmatch(r"\\copy (.*) FROM '(.*)'", statement):
                    postgres(f"COPY {copied[1]} FROM '/dev/blob'", copy=copied[2])
                else:
                    rows = postgres(statement.strip())
                    shown += ["|".join(map(as_psql, row)) for row in rows]
    assert n_checked == 5
    found = postgres(names["nearest"], as_vector(names["X"][7]))
    assert [row[0] for row in found[:2]] == [7, 5000]
    assert [row[1] for row in found[:2]] == [0, 0]
