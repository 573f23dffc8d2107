"""Counts against plain loops: over queries and items."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn.codes import hamming_distances, pack_bits, unpack_bits
from hashlearn.engine import native
from hashlearn.index import count_distances

KERNELS = [*(native.kernels() if native is not None else ()), "numpy"]


def make_question(rng, n_queries, n, n_bits):
    """Codes of which many are equal, and marks."""
    kinds = rng.integers(0, 2, (5, n_bits))
    bits = kinds[rng.integers(0, 5, n_queries + n)] ^ (rng.random((n_queries + n, n_bits)) < 0.1)
    codes = pack_bits(bits.reshape(n_queries + n, n_bits))
    relevant = rng.random((n_queries, n)) < 0.3
    gains = rng.integers(0, 1 << 16, (n_queries, n), dtype=np.uint16)
    return codes[:n_queries], codes[n_queries:], relevant, gains


def assert_counts(counts, queries, database, n_bits, relevant, gains=None):
    """Compare with the distances one by one."""
    retrieved, hits, worth = np.zeros((3, len(queries), n_bits + 1), dtype=np.int64)
    for query, row in enumerate(hamming_distances(queries, database)):
        for item, distance in enumerate(row):
            retrieved[query, distance] += 1
            hits[query, distance] += relevant[query, item]
            worth[query, distance] += 0 if gains is None else gains[query, item]
    np.testing.assert_array_equal(counts.retrieved, retrieved)
    np.testing.assert_array_equal(counts.hits, hits)
    if gains is None:
        assert counts.gains is None
    else:
        np.testing.assert_array_equal(counts.gains, worth)


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    monkeypatch.setenv("HASHLEARN_KERNEL", request.param)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("n_bits", [1, 7, 8, 33, 64, 100, 128, 256, 257, 300, 1024])
def test_counts_are_those_of_the_distances_one_by_one(n_bits):
    queries, database, relevant, gains = make_question(
        np.random.default_rng(n_bits), 7, 113, n_bits
    )
    for marks in ((relevant,), (relevant, gains)):
        counts = count_distances(queries, database, n_bits, *marks)
        assert_counts(counts, queries, database, n_bits, *marks)


@settings(deadline=None, max_examples=200)
@given(
    n_queries=st.integers(0, 9),
    n=st.integers(0, 150),
    n_bits=st.integers(1, 330),
    graded=st.booleans(),
    kernel=st.sampled_from(KERNELS),
    threads=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_codes_and_marks_of_any_size_are_counted(
    n_queries, n, n_bits, graded, kernel, threads, seed
):
    queries, database, relevant, gains = make_question(
        np.random.default_rng(seed), n_queries, n, n_bits
    )
    marks = (relevant, gains) if graded else (relevant,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        counts = count_distances(queries, database, n_bits, *marks, threads=threads)
    assert_counts(counts, queries, database, n_bits, *marks)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("n_queries", "n"), [(0, 3), (3, 0), (0, 0)])
def test_without_queries_or_items_there_is_nothing_to_count(n_queries, n):
    codes = np.zeros((3, 2), np.uint8)
    relevant, gains = np.zeros((n_queries, n), bool), np.zeros((n_queries, n), np.uint16)
    counts = count_distances(codes[:n_queries], codes[:n], 13, relevant, gains)
    for array in (counts.retrieved, counts.hits, counts.gains):
        assert array.shape == (n_queries, 14)
        assert not array.any()


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("n_bits", [8, 65_528])
def test_the_shortest_and_the_longest_codes_have_every_distance(n_bits):
    codes = np.zeros((2, n_bits // 8), np.uint8)
    codes[1] = 255
    counts = count_distances(codes[:1], codes, n_bits, [[False, True]])
    assert counts.n_levels == n_bits + 1
    assert np.flatnonzero(counts.retrieved[0]).tolist() == [0, n_bits]
    assert np.flatnonzero(counts.hits[0]).tolist() == [n_bits]


@pytest.mark.usefixtures("kernel")
def test_more_items_than_sixteen_bits_count_keep_the_largest_gains():
    n = 70_000
    codes = np.full((n, 3), 255, np.uint8)
    gains = np.full((1, n), 2**16 - 1, np.uint16)
    counts = count_distances(codes[:1] * 0, codes, 24, np.ones((1, n), bool), gains)
    assert counts.retrieved[0, 24] == counts.hits[0, 24] == n
    assert counts.gains[0, 24] == n * (2**16 - 1)
    assert counts.retrieved.sum() == n


@pytest.mark.usefixtures("kernel")
def test_any_number_of_threads_counts_the_same():
    rng = np.random.default_rng(0)
    queries, database, relevant, gains = make_question(rng, 150, 3000, 64)  # 450,000 distances
    one, *others = (
        count_distances(queries, database, 64, relevant, gains, threads=threads)
        for threads in (1, 2, 5, None)
    )
    assert one.retrieved.sum() == relevant.size
    for other in others:
        np.testing.assert_array_equal(other.retrieved, one.retrieved)
        np.testing.assert_array_equal(other.hits, one.hits)
        np.testing.assert_array_equal(other.gains, one.gains)


@pytest.mark.usefixtures("kernel")
def test_strided_and_read_only_arrays_are_taken():
    wide, _, relevant, gains = make_question(np.random.default_rng(1), 60, 80, 128)
    queries, database = wide[:20:2, ::2], wide[20:, 1::2]
    marks = relevant.T[:40, :60:6].T, gains[::6, ::2]
    for array in (queries, database, *marks):
        array.flags.writeable = False
        assert not array.flags.c_contiguous
    assert_counts(count_distances(queries, database, 64, *marks), queries, database, 64, *marks)


def test_wrong_marks_are_refused():
    codes = np.zeros((3, 1), dtype=np.uint8)
    with pytest.raises(TypeError, match="relevant must be bool, got int64"):
        count_distances(codes, codes, 8, np.ones((3, 3), dtype=np.int64))
    with pytest.raises(ValueError, match=r"relevant must have the shape \(3, 3\), got \(3, 2\)"):
        count_distances(codes, codes, 8, np.ones((3, 2), dtype=bool))
    with pytest.raises(TypeError, match="gains must be uint16, got uint8"):
        count_distances(codes, codes, 8, np.ones((3, 3), bool), np.ones((3, 3), np.uint8))


def test_numbers_out_of_range_are_refused():
    codes, relevant = np.zeros((3, 1), dtype=np.uint8), np.ones((3, 3), dtype=bool)
    with pytest.raises(ValueError, match="threads must be from 1 to 1024, got 0"):
        count_distances(codes, codes, 8, relevant, threads=0)
    with pytest.raises(ValueError, match="n_bits must be from 1 to 65528, got 65529"):
        count_distances(codes, codes, 65_529, relevant)
    with pytest.raises(TypeError, match="n_bits must be an integer"):
        count_distances(codes, codes, 8.0, relevant)


@pytest.mark.skipif(native is None, reason="without the compiled engine")
@pytest.mark.parametrize(
    ("marks", "gains", "counts"),
    [
        ((3, 2), None, (2, 3, 9)),
        ((3, 3), (3, 2), (3, 3, 9)),
        ((3, 3), None, (3, 3, 9)),
        ((3, 3), (3, 3), (2, 3, 9)),
        ((3, 3), None, (2, 2, 9)),
        ((3, 3), None, (2, 3, 8)),
    ],
)
def test_the_engine_writes_nowhere_but_into_counts_that_fit(marks, gains, counts):
    codes = np.zeros((3, 1), dtype=np.uint8)
    gains = None if gains is None else np.ones(gains, np.uint16)
    with pytest.raises(ValueError, match="must have the shape"):
        native.count_distances(
            codes, codes, np.ones(marks, np.uint8), gains, np.zeros(counts, np.int64), 1, KERNELS[0]
        )


def spherical_fraction(a, b):
    """The spherical distance as an exact fraction; None for infinity."""
    differing, shared = int((a != b).sum()), int((a & b).sum())
    return Fraction(differing, shared) if shared else None


@pytest.mark.parametrize("n_bits", [1, 2, 8, 13, 64, 100, 129])
def test_spherical_counts_are_those_of_exact_fractions(n_bits):
    queries, database, relevant, gains = make_question(
        np.random.default_rng(n_bits), 6, 150, n_bits
    )
    queries[0] = database[0] = 0  # equal codes without a common 1
    counts = count_distances(queries, database, n_bits, relevant, gains, distance="spherical")
    assert counts.levels[-1] == np.inf
    level_of = {level: place for place, level in enumerate(counts.levels)}
    retrieved, hits, worth = np.zeros((3, 6, counts.n_levels), dtype=np.int64)
    left, right = unpack_bits(queries, n_bits), unpack_bits(database, n_bits)
    for query, item in np.ndindex(6, 150):
        fraction = spherical_fraction(left[query], right[item])
        place = level_of[np.inf if fraction is None else float(fraction)]
        retrieved[query, place] += 1
        hits[query, place] += relevant[query, item]
        worth[query, place] += gains[query, item]
    np.testing.assert_array_equal(counts.retrieved, retrieved)
    np.testing.assert_array_equal(counts.hits, hits)
    np.testing.assert_array_equal(counts.gains, worth)


@pytest.mark.parametrize("n_bits", [1, 2, 7, 64])
def test_spherical_levels_are_all_fractions_that_codes_can_have(n_bits):
    codes = np.zeros((1, (n_bits + 7) // 8), np.uint8)
    counts = count_distances(codes, codes, n_bits, [[True]], distance="spherical")
    fractions = {
        Fraction(differing, shared)
        for shared in range(1, n_bits + 1)
        for differing in range(n_bits - shared + 1)
    }
    assert counts.levels.tolist() == [*map(float, sorted(fractions)), np.inf]
    assert counts.retrieved[0].tolist() == [0] * len(fractions) + [1]


def test_spherical_distances_of_what_is_long_or_unknown_are_refused():
    codes = np.zeros((1, 129), np.uint8)
    with pytest.raises(ValueError, match="n_bits must be from 1 to 1024, got 1032"):
        count_distances(codes, codes, 1032, [[True]], distance="spherical")
    with pytest.raises(ValueError, match="distance must be one of hamming, spherical; got 'l2'"):
        count_distances(codes, codes, 1032, [[True]], distance="l2")
