"""Vectors under their codes: every ranking against brute force, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from scipy.sparse import csr_array, csr_matrix
from scipy.stats import ortho_group
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import hashlearn
from hashlearn import VectorIndex, models
from hashlearn.codes import unpack_bits
from hashlearn.hashers import get_method
from hashlearn.index import HammingIndex
from hashlearn.originals import KEPT
from hashlearn.storage import write_arrays
from hashlearn.vectorindex import RANKINGS, correction_factors

N, D = 300, 10
RNG = np.random.default_rng(0)
X = (RNG.normal(size=(N, D)) + RNG.integers(0, 3, (N, 1))).astype(np.float32)
X[200:220] = X[100:120]  # equal vectors, for ties
QUERIES = np.concatenate([X[[100, 7]], RNG.normal(size=(3, D)).astype(np.float32)])
HASHERS = {
    "lsh": get_method("lsh")(12, random_state=0),
    "rotation": get_method("lsh")(D, orthogonal=True, random_state=0),
    "longer": get_method("lsh")(67, random_state=1),
    "itq": get_method("itq")(8, random_state=0),
    "qolsh": get_method("qolsh")(20, random_state=0),
    "agh": get_method("agh")(10, n_anchors=30, random_state=0),
    "pipeline": make_pipeline(Normalizer(), get_method("lsh")(16, random_state=0)),
}


@pytest.fixture(scope="module", params=HASHERS)
def model(request):
    return HASHERS[request.param].fit(X)


def lsh(n_bits=12):
    return get_method("lsh")(n_bits, random_state=0).fit(X)


def filled(model, **options):
    vectors = VectorIndex(model, **options)
    vectors.add(X)
    return vectors


def hammings(model):
    """Hamming distances of all queries to all vectors, from the bits."""
    queries, database = model.transform(QUERIES), model.transform(X)
    return np.array([[int((q != b).sum()) for b in database] for q in queries])


def assert_nearest(found, model, distances_of, k, n_candidates, allowed=None):
    """Compare with brute force: candidates by (Hamming distance, number), then by other distances.

    distances_of gives the distance of a query, by its number, to a vector, by its number.
    """
    allowed = range(N) if allowed is None else allowed
    for row, near in enumerate(hammings(model)):
        candidates = sorted(allowed, key=lambda i: (near[i], i))[:n_candidates]
        distances = {i: distances_of(row, i) for i in candidates}
        order = sorted(candidates, key=lambda i: (distances[i], i))[:k]
        ids = found.ids[row][: len(order)]
        assert len(set(ids.tolist())) == len(order)
        assert set(ids.tolist()) <= set(candidates)
        np.testing.assert_allclose(
            [distances[i] for i in ids], [distances[i] for i in order], rtol=1e-5, atol=1e-5
        )
        assert found.distances[row][: len(order)].tolist() == near[ids].tolist()
        assert (found.ids[row][len(order) :] == -1).all()
        assert (found.distances[row][len(order) :] == models.hasher_of(model).n_bits + 1).all()


def assert_same(found, expected):
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.distances, expected.distances)


VALUES = arrays_of.arrays(np.float32, (4, 6), elements=st.floats(-1e6, 1e6, width=32))


@given(VALUES)
def test_factors_are_those_of_plain_loops(values):
    expected = []
    for v in values.astype(float):
        square, total = sum(x * x for x in v), sum(abs(x) for x in v)
        expected.append([square / total if total else 0.0, square])
    factors = correction_factors(values)
    assert factors.dtype == np.float32
    np.testing.assert_allclose(factors, expected, rtol=1e-6, atol=1e-37)


@given(VALUES)
def test_the_estimate_is_exact_for_the_vector_itself(values):
    v = values.astype(float)
    gains, squares = correction_factors(values).T
    estimates = gains * (v * np.where(v >= 0, 1, -1)).sum(axis=1)
    # float32 has no squares below 1e-45, and few digits below 1e-38.
    np.testing.assert_allclose(estimates, squares, rtol=1e-5, atol=1e-37)


def test_the_estimate_is_unbiased_over_random_rotations():
    v, u = RNG.normal(size=(2, 16))
    u = u + v  # neighbours, whose inner product is far from 0
    rotations = ortho_group.rvs(16, size=4000, random_state=0)
    rotated = rotations @ v
    gains = correction_factors(rotated)[:, 0]
    estimates = gains * ((rotations @ u) * np.where(rotated >= 0, 1, -1)).sum(axis=1)
    error = estimates.std() / np.sqrt(len(estimates))
    assert abs(estimates.mean() - u @ v) < 4 * error
    assert error < 0.01 * abs(u @ v)  # and a biased one would be seen:
    signs_alone = np.linalg.norm(v) / 4 * ((rotations @ u) * np.where(rotated >= 0, 1, -1)).sum(1)
    assert abs(signs_alone.mean() - u @ v) > 10 * error


def test_factors_of_a_rotation_estimate_squared_distances():
    hasher = get_method("lsh")(64, orthogonal=True, random_state=0)
    rng = np.random.default_rng(5)
    A, B = rng.normal(size=(2, 200, 64))
    hasher.fit(A)
    values, others = hasher.project(A).astype(float), hasher.project(B).astype(float)
    gains, squares = correction_factors(values).T.astype(float)
    inner = (np.where(values >= 0, 1, -1) * others).sum(axis=1)
    estimates = np.square(others).sum(axis=1) + squares - 2 * gains * inner
    errors = estimates - np.square(A - B).sum(axis=1)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(200)
    assert errors.std() < 0.2 * np.square(A - B).sum(axis=1).mean()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0], r"the shape \(n, n_bits\), got \(2,\)"),
        ([[1.0, 2.0], [3e19, 1.0]], r"row 1 is 9e\+38"),
        ([[1e200, 1.0]], "row 0 is inf"),
        ([[1.0, np.nan]], "row 0 is nan"),
        ([[-np.inf, 1.0]], "row 0 is inf"),
    ],
)
def test_factors_that_float32_does_not_hold_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        correction_factors(values)


@pytest.mark.parametrize("n_candidates", [7, 40, N])
def test_hamming_ranks_by_the_bits_that_differ(model, n_candidates):
    vectors = filled(model)
    near = hammings(model)
    found = vectors.search(QUERIES, 7, ranking="hamming", n_candidates=n_candidates)
    assert_nearest(found, model, lambda row, i: near[row, i], 7, N)
    expected = [sorted(range(N), key=lambda i, row=row: (row[i], i))[:7] for row in near]
    assert found.ids.tolist() == expected  # whole numbers: the very order, ties by number


@pytest.mark.parametrize("n_candidates", [7, 40, N])
def test_values_rank_by_what_the_bits_that_differ_weigh(model, n_candidates):
    bits, values = model.transform(X), models.project(model, QUERIES).astype(float)

    def distance(row, i):
        return sum(abs(v) for v, bit in zip(values[row], bits[i], strict=True) if bit != (v >= 0))

    found = filled(model).search(QUERIES, 7, n_candidates=n_candidates)
    assert_nearest(found, model, distance, 7, n_candidates)


@pytest.mark.parametrize("n_candidates", [7, 40, N])
def test_factors_rank_by_the_estimated_distance(model, n_candidates):
    values, queries = (models.project(model, part).astype(float) for part in (X, QUERIES))

    def distance(row, i):
        v, u = values[i], queries[row]
        inner = sum(x if y >= 0 else -x for x, y in zip(u, v, strict=True))
        gain = (v @ v) / np.abs(v).sum()
        return u @ u + v @ v - 2 * gain * inner

    vectors = filled(model, factors=True)
    found = vectors.search(QUERIES, 7, ranking="factors", n_candidates=n_candidates)
    assert_nearest(found, model, distance, 7, n_candidates)


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("n_candidates", [7, 40, N])
def test_exact_ranks_by_the_distance_to_what_is_kept(model, kept, n_candidates):
    steps = np.abs(X).max(axis=1, keepdims=True) / 127
    rounded = {
        "float32": X, "float16": X.astype(np.float16), "int8": np.rint(X / steps) * steps,
    }[kept].astype(float)  # fmt: skip
    vectors = filled(model, originals=kept)
    found = vectors.search(QUERIES, 7, ranking="exact", n_candidates=n_candidates)
    assert_nearest(
        found, model, lambda row, i: np.square(rounded[i] - QUERIES[row]).sum(), 7, n_candidates
    )
    if n_candidates == N:  # of equal vectors the smaller number comes first
        assert found.ids[0, :2].tolist() == [100, 200]


def test_all_candidates_and_float32_give_the_exact_neighbours():
    vectors = filled(lsh(), originals="float32")
    found = vectors.search(QUERIES, 9, ranking="exact", n_candidates=N)
    truth = np.square(X.astype(float) - QUERIES[:, None]).sum(axis=2)
    np.testing.assert_array_equal(found.ids, np.argsort(truth, axis=1, kind="stable")[:, :9])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_masks_say_what_may_be_found(model, ranking):
    vectors = filled(model, factors=True, originals="float32")
    marks = np.arange(N) % 3 == 1
    found = vectors.search(QUERIES, 6, ranking=ranking, n_candidates=N, mask=marks)
    assert (found.ids % 3 == 1).all()
    same = vectors.search(QUERIES, 6, ranking=ranking, n_candidates=N, mask=np.flatnonzero(marks))
    assert_same(found, same)
    whole = vectors.search(QUERIES, N, ranking=ranking)
    for row, ids in enumerate(whole.ids):
        assert found.ids[row].tolist() == ids[marks[ids]][:6].tolist()
    few = vectors.search(QUERIES, 6, ranking=ranking, mask=[250, 3])
    assert [set(ids) for ids in few.ids.tolist()] == [{250, 3, -1}] * len(QUERIES)
    assert (few.ids[:, 2:] == -1).all()
    nothing = vectors.search(QUERIES, 2, ranking=ranking, mask=[])
    assert (nothing.ids == -1).all()
    with pytest.raises(KeyError, match="300"):
        vectors.search(QUERIES, 6, ranking=ranking, mask=[N])
    with pytest.raises(ValueError, match="mask"):
        vectors.search(QUERIES, 6, ranking=ranking, mask=marks[:-1])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_more_than_there_are_leaves_places_empty(ranking):
    vectors = filled(lsh(), factors=True, originals="int8")
    for n_candidates in (None, N + 9, 2**31 - 1):  # the last would take 24 GB a query
        found = vectors.search(QUERIES, N + 3, ranking=ranking, n_candidates=n_candidates)
        assert found.ids.shape == (len(QUERIES), N + 3)
        assert (np.sort(found.ids[:, :N]) == np.arange(N)).all()
        assert (found.ids[:, N:] == -1).all()
        assert (found.distances[:, N:] == 13).all()
        if n_candidates is None:
            first = found
        assert_same(found, first)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_an_empty_index_finds_nothing(ranking):
    vectors = VectorIndex(lsh(), factors=True, originals="float16")
    found = vectors.search(QUERIES, 2, ranking=ranking)
    assert found.ids.tolist() == [[-1, -1]] * len(QUERIES)
    assert found.distances.tolist() == [[13, 13]] * len(QUERIES)
    assert len(vectors) == 0


@pytest.mark.parametrize("ranking", RANKINGS)
def test_a_query_finds_the_same_alone_and_among_others(model, ranking):
    vectors = filled(model, factors=True, originals="int8")
    together = vectors.search(QUERIES, 5, ranking=ranking)
    for row in range(len(QUERIES)):
        alone = vectors.search(QUERIES[row : row + 1].tolist(), 5, ranking=ranking)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_vectors_come_in_any_batches_and_between_searches(model, ranking):
    vectors = VectorIndex(model, factors=True, originals="float16", threads=1)
    for start, stop in [(0, 1), (1, 2), (2, 150), (150, N)]:
        vectors.add(X[start:stop])
        assert len(vectors) == stop
        assert vectors.search(X[stop - 1 : stop], 1, ranking=ranking).ids[0, 0] < stop
    whole = filled(model, factors=True, originals="float16")
    assert_same(
        vectors.search(QUERIES, 9, ranking=ranking), whole.search(QUERIES, 9, ranking=ranking)
    )
    np.testing.assert_array_equal(vectors.factors, whole.factors)


def test_codes_and_factors_are_those_of_the_hasher(model):
    for factors in (False, True):  # two ways to the codes
        vectors = filled(model, factors=factors)
        np.testing.assert_array_equal(vectors.index.codes, models.encode(model, X))
        assert vectors.index.ids.tolist() == list(range(N))
    expected = correction_factors(models.project(model, X))
    np.testing.assert_allclose(vectors.factors, expected, rtol=1e-6)
    bits = unpack_bits(vectors.index.codes, vectors.index.n_bits)
    np.testing.assert_array_equal(bits, models.project(model, X) >= 0)


@pytest.mark.parametrize("ranking", ["values", "factors"])
def test_by_default_all_vectors_are_ranked(ranking):
    vectors = filled(lsh(), factors=True)
    for mask in (None, np.arange(0, len(X), 3), np.arange(len(X)) % 2 == 0):
        found = vectors.search(QUERIES, 25, ranking=ranking, mask=mask)
        asked = vectors.search(QUERIES, 25, ranking=ranking, n_candidates=len(X), mask=mask)
        assert_same(found, asked)


def test_exact_ranking_takes_ten_vectors_a_wanted_one_and_a_hundred_at_least():
    """They are the nearest by the query's values."""
    vectors = filled(lsh(), originals="float32")
    for k, n_candidates in [(1, 100), (10, 100), (11, 110), (25, 250)]:
        found = vectors.search(QUERIES, k, ranking="exact").ids
        candidates = vectors.search(QUERIES, n_candidates, ranking="values").ids
        for query, ids, row in zip(QUERIES, candidates, found, strict=True):
            distances = np.square(X[ids].astype(float) - query).sum(axis=1)
            assert row.tolist() == ids[np.lexsort((ids, distances))][:k].tolist()
    fewer = vectors.search(QUERIES, 25, ranking="exact", n_candidates=25)
    assert (fewer.ids != found).any()


@pytest.mark.parametrize(
    ("options", "rankings"),
    [
        ({}, ("hamming", "values")),
        ({"factors": True}, ("hamming", "values", "factors")),
        ({"originals": "int8"}, ("hamming", "values", "exact")),
        ({"factors": True, "originals": "float16"}, RANKINGS),
    ],
)
def test_an_index_says_what_it_ranks_by_and_refuses_the_rest(options, rankings):
    vectors = filled(lsh(), **options)
    assert vectors.rankings == rankings
    assert vectors.bytes_per_vector == 2 + (8 if "factors" in options else 0)
    assert repr(vectors) == f"<VectorIndex of 300 vectors, 12 bits; ranks by {rankings}>"
    for ranking in {*RANKINGS, "cosine", None} - {*rankings}:
        with pytest.raises(ValueError, match=f"ranks by hamming, values.*got ranking={ranking!r}"):
            vectors.search(QUERIES, 3, ranking=ranking)
    if "factors" not in options:
        with pytest.raises(ValueError, match="make the index with factors=True"):
            _ = vectors.factors


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("name", ["k", "n_candidates"])
def test_numbers_that_are_none_are_refused(ranking, name):
    vectors = filled(lsh(), factors=True, originals="int8")
    for wrong in (2.5, "3", True, [3], *([None] if name == "k" else [])):
        with pytest.raises(TypeError, match=f"{name} must be an integer"):
            vectors.search(QUERIES, **{"k": 1, "ranking": ranking} | {name: wrong})
    for wrong in (0, -1, 2**31):
        with pytest.raises(ValueError, match=f"{name} must be"):
            vectors.search(QUERIES, **{"k": 1, "ranking": ranking} | {name: wrong})
    with pytest.raises(ValueError, match="n_candidates must be at least k=5, got 4"):
        vectors.search(QUERIES, 5, ranking=ranking, n_candidates=4)
    five = vectors.search(QUERIES, np.int64(5), ranking=ranking, n_candidates=np.int32(5))
    assert five.ids.shape == (len(QUERIES), 5)


BAD = {
    "nothing": (X[:0], ValueError, "0 sample"),
    "one vector, flat": (X[0], ValueError, "2D array"),
    "fewer features": (X[:, :5], ValueError, "5 features"),
    "NaN": (np.where(np.arange(D) == 3, np.nan, X[:4]), ValueError, "NaN"),
    "infinity": (np.where(np.arange(D) == 3, np.inf, X[:4]), ValueError, "infinity"),
    "texts": (np.array(["a", "b"]), ValueError, "texts"),
    "sparse": (csr_matrix(X), TypeError, "must be dense, got a sparse matrix"),
    "sparse array": (csr_array(X), TypeError, "must be dense, got a sparse matrix"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_the_hasher_does_not_take_is_refused_and_nothing_is_added(what):
    wrong, error, message = BAD[what]
    vectors = filled(lsh(), factors=True, originals="int8")
    with pytest.raises(error, match=message):
        vectors.add(wrong)
    assert_nothing_added(vectors)
    for ranking in RANKINGS:
        with pytest.raises(error, match=message):
            vectors.search(wrong, 3, ranking=ranking)


def test_a_pipeline_refuses_what_is_not_finite_too():
    vectors = filled(HASHERS["pipeline"].fit(X), originals="int8")
    with pytest.raises(ValueError, match="NaN"):
        vectors.add(np.full((2, D), np.nan))
    assert_nothing_added(vectors)


def assert_nothing_added(vectors):
    assert len(vectors) == N
    for ranking in vectors.rankings:
        before = filled(vectors.hasher, factors=True, originals="int8")
        assert_same(
            vectors.search(QUERIES, 9, ranking=ranking), before.search(QUERIES, 9, ranking=ranking)
        )
    vectors.add(X[:1] + 50)  # numbers, factors and originals still go together
    assert len(vectors) == N + 1
    for ranking in {*vectors.rankings} & {"exact"}:
        assert vectors.search(X[:1] + 50, 1, ranking=ranking).ids == [[N]]


@pytest.mark.parametrize(
    ("options", "value", "message"),
    [
        ({"originals": "float16"}, 7e4, "too large for float16"),
        ({"originals": "float16", "factors": True}, 7e4, "too large for float16"),
        ({"originals": "int8", "factors": True}, 1e25, "squared length .* in float32"),
        ({"factors": True}, 1e25, "squared length .* in float32"),
    ],
)
def test_a_batch_with_one_vector_that_is_too_large_adds_nothing(options, value, message):
    vectors = filled(lsh(), **options)
    batch = X[:5].copy()
    batch[3, 2] = value
    with pytest.raises(ValueError, match=message):
        vectors.add(batch)
    assert len(vectors) == N
    vectors.add(X[:5])
    whole = VectorIndex(vectors.hasher, **options)
    whole.add(np.concatenate([X, X[:5]]))
    for ranking in vectors.rankings:
        assert_same(
            vectors.search(QUERIES, N + 5, ranking=ranking),
            whole.search(QUERIES, N + 5, ranking=ranking),
        )


def test_vectors_that_only_a_pipeline_takes_are_refused_for_exact_ranking():
    texts = ["red green", "green blue", "blue red", "pink pink"] * 5
    model = models.make_model("bagofwords,tfidf", get_method("lsh")(8, random_state=0)).fit(texts)
    vectors = VectorIndex(model)
    vectors.add(texts)
    assert vectors.search(texts[:1], 1).ids == [[0]]
    exact = VectorIndex(model, originals="float32")
    with pytest.raises(ValueError, match="a matrix of numbers"):
        exact.add(texts)
    assert len(exact) == 0


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_does_not_change_with_what_was_given(kept):
    given = X.copy()
    vectors = VectorIndex(lsh(), factors=True, originals=kept)
    vectors.add(given)
    given[:] = 0
    whole = filled(lsh(), factors=True, originals=kept)
    for ranking in RANKINGS:
        assert_same(
            vectors.search(QUERIES, 9, ranking=ranking), whole.search(QUERIES, 9, ranking=ranking)
        )


OPTIONS = [{}, {"factors": True}, *({"factors": True, "originals": kept} for kept in KEPT)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_opened_index_finds_the_same(tmp_path, model, options):
    vectors = filled(model, **options)
    vectors.save(tmp_path / "vectors")
    opened = VectorIndex.open(str(tmp_path / "vectors"), threads=2)
    assert (len(opened), opened.rankings) == (N, vectors.rankings)
    assert opened.bytes_per_vector == vectors.bytes_per_vector
    for ranking in vectors.rankings:
        assert_same(
            opened.search(QUERIES, 9, ranking=ranking), vectors.search(QUERIES, 9, ranking=ranking)
        )
    assert not opened.index.codes.flags.writeable
    if "factors" in options:
        assert is_mapped(opened.factors)


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("n", [0, 1, 250])
def test_what_is_added_after_opening_is_found_and_not_written(tmp_path, options, n):
    vectors = VectorIndex(lsh(), **options)
    if n:
        vectors.add(X[:n])
    vectors.save(tmp_path / "vectors")
    opened = VectorIndex.open(tmp_path / "vectors")
    opened.add(X[n:])
    whole = filled(lsh(), **options)
    opened.save(tmp_path / "again")
    again = VectorIndex.open(tmp_path / "again")
    for ranking in whole.rankings:
        expected = whole.search(QUERIES, 9, ranking=ranking)
        assert_same(opened.search(QUERIES, 9, ranking=ranking), expected)
        assert_same(again.search(QUERIES, 9, ranking=ranking), expected)
    assert len(VectorIndex.open(tmp_path / "vectors")) == n


def test_saving_makes_a_new_folder_or_nothing(tmp_path):
    vectors = filled(lsh())
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("there", "file"):
        with pytest.raises(FileExistsError, match=f"{name} is there already"):
            vectors.save(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="absent"):
        vectors.save(tmp_path / "absent" / "vectors")
    unfitted = VectorIndex(get_method("lsh")(12))
    with pytest.raises(ValueError, match="not fitted"):
        unfitted.save(tmp_path / "unfitted")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "there"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def folder(tmp_path):
    filled(lsh(), factors=True, originals="int8").save(tmp_path / "vectors")
    return tmp_path / "vectors"


FILES = ["hasher.model", "codes.index", "factors.safetensors", "originals.safetensors"]


def test_a_folder_holds_a_file_for_each_part(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert type(hashlearn.load(folder / "hasher.model")).__name__ == "LSH"
    assert len(HammingIndex.open(folder / "codes.index")) == N


@pytest.mark.parametrize("name", FILES[:2])
def test_a_folder_without_hasher_or_codes_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        VectorIndex.open(folder)
    with pytest.raises(FileNotFoundError, match="absent"):
        VectorIndex.open(folder / "absent")


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_are_refused(folder, name):
    whole = (folder / name).read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", whole[:99] + b"?" + whole[100:]):
        (folder / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=name):
            VectorIndex.open(folder)


def other_index(n=N, n_bits=12, ids=None):
    index = HammingIndex(n_bits)
    index.add(np.zeros((n, (n_bits + 7) // 8), np.uint8), ids)
    return index


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (other_index(n_bits=13), "not of the length of its hasher's"),
        (other_index(n_bits=16), "not of the length of its hasher's"),
        (other_index(N - 1), "is of 300 vectors, the codes beside it of 299"),
        (other_index(ids=np.arange(1, N + 1)), "do not have the ids 0 to 299"),
        (other_index(ids=np.arange(N) * 2), "do not have the ids 0 to 299"),
    ],
)
def test_codes_that_do_not_belong_to_the_rest_are_refused(folder, index, message):
    index.save(folder / "codes.index")
    with pytest.raises(ValueError, match=message):
        VectorIndex.open(folder)


def test_files_of_other_vectors_are_refused(folder, tmp_path):
    fewer = VectorIndex(lsh(), factors=True, originals="int8")
    fewer.add(X[:10])
    fewer.save(tmp_path / "fewer")
    for name in FILES[2:]:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes((tmp_path / "fewer" / name).read_bytes())
        with pytest.raises(ValueError, match=f"{name} is of 10 vectors, the codes .* of 300"):
            VectorIndex.open(folder)
        (folder / name).write_bytes(whole)
    narrow = get_method("lsh")(12, random_state=0).fit(X[:, :1])
    models.save(narrow, folder / "hasher.model")
    with pytest.raises(ValueError, match=r"originals.* is of 10 features, the hasher takes 1"):
        VectorIndex.open(folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"others": np.zeros((N, 2), np.float32)},
        {"factors": np.zeros((N, 2))},
        {"factors": np.zeros((N, 3), np.float32)},
        {"factors": np.zeros(N, np.float32)},
        {"factors": np.zeros((), np.float32)},
    ],
)
def test_factors_of_another_shape_are_refused(folder, arrays):
    write_arrays(folder / FILES[2], "correction factors", {}, arrays)
    with pytest.raises(ValueError, match="holds no correction factors of the shape"):
        VectorIndex.open(folder)
