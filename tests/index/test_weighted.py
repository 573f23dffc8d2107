"""Asymmetric searches against plain loops: over bits, items and queries."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn.codes import pack_bits, unpack_bits
from hashlearn.engine import native
from hashlearn.index import HammingIndex
from hashlearn.index.bitmaps import as_bitmap
from hashlearn.index.ranking import weighted_distances
from hashlearn.index.weighted import as_whole, nearest_weighted
from hashlearn.results import NO_ID, Neighbors

KERNELS = [*(native.kernels() if native is not None else ()), "numpy"]


def make_codes(rng, n, n_bits):
    """Codes of which many are equal, so that there are ties to order."""
    kinds = rng.integers(0, 2, (max(1, n // 3), n_bits))
    return pack_bits(kinds[rng.integers(0, len(kinds), n)].reshape(n, n_bits))


def make_values(rng, n_queries, n_bits):
    """Values of very different sizes; some are equal, some 0, and some queries nothing else."""
    values = rng.choice([0.0, -0.0, 0.25, -0.25, 3.0], (n_queries, n_bits))
    is_drawn = rng.random((n_queries, n_bits)) < 0.5
    values[is_drawn] = rng.standard_normal(int(is_drawn.sum()))
    return values * 10.0 ** rng.integers(-3, 4, (n_queries, 1)) * (rng.random((n_queries, 1)) < 0.9)


def exact_weights(values):
    """The definition: whole numbers and a power of two, by fractions."""
    if not any(values):
        return [0] * len(values), 0
    exact = [Fraction(value) for value in values]
    exponent = 40 - int(np.floor(np.log2(sum(map(abs, values)))))
    while True:
        whole = [round(value * Fraction(2) ** exponent) for value in exact]
        if sum(map(abs, whole)) < 2**31:
            return whole, exponent
        exponent -= 1


def weighted_distance(whole, exponent, signs, code):
    """The sum over differing bits, as a fraction."""
    bits = unpack_bits(code[None], len(whole))[0]
    total = sum(
        abs(value) for value, sign, bit in zip(whole, signs, bits, strict=True) if sign != bit
    )
    return float(Fraction(total) / Fraction(2) ** exponent)


def nearest_by_loops(values, codes, k, factors=None, allowed=None):
    """Positions and distances, from distances one by one."""
    positions, distances = np.full((len(values), k), -1), np.full((len(values), k), np.inf)
    for row, query in enumerate(values):
        whole, exponent = exact_weights(query)
        found = []
        for position, bits in enumerate(unpack_bits(codes, len(query))):
            if allowed is not None and not allowed[position]:
                continue
            if factors is None:
                distance = weighted_distance(whole, exponent, query >= 0, codes[position])
            else:
                terms = zip(whole, bits.tolist(), strict=True)
                t = sum(value if bit else -value for value, bit in terms)
                gain, offset = (float(factor[position]) for factor in factors)
                distance = offset - 2 * gain * float(t / Fraction(2) ** exponent)
            found.append((distance, position))
        for place, (distance, position) in enumerate(sorted(found)[:k]):
            positions[row, place], distances[row, place] = position, distance
    return positions, distances


def assert_same(found, expected):
    for array, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(array, other)
    assert found[0].dtype == np.int64
    assert found[1].dtype == np.float64


@pytest.fixture(params=KERNELS)
def kernel(request, monkeypatch):
    monkeypatch.setenv("HASHLEARN_KERNEL", request.param)


@settings(deadline=None, max_examples=80)
@given(
    n_queries=st.integers(0, 10),
    n=st.integers(0, 80),
    n_bits=st.integers(1, 150),
    k=st.integers(1, 100),
    with_factors=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_kernel_finds_what_loops_find(n_queries, n, n_bits, k, with_factors, masked, seed):
    rng = np.random.default_rng(seed)
    codes, values = make_codes(rng, n, n_bits), make_values(rng, n_queries, n_bits)
    gains = rng.choice([0, 0.1, 1, -0.7], n).astype(np.float32)
    offsets = rng.choice([0, 3.3, -2, 100], n).astype(np.float32)
    factors = {"gains": gains, "offsets": offsets} if with_factors else {}
    marks = rng.random(n) < rng.random() if masked else None
    allowed = None if marks is None else as_bitmap(marks)
    expected = nearest_by_loops(
        values[:1], codes, k, (gains, offsets) if with_factors else None, marks
    )
    all_found = []
    for kernel in KERNELS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HASHLEARN_KERNEL", kernel)
            found = nearest_weighted(values, codes, k, **factors, allowed=allowed, threads=2)
        assert_same([array[:1] for array in found], expected)
        all_found.append(found)
    for found in all_found[1:]:
        assert_same(found, all_found[0])


@pytest.mark.parametrize("with_factors", [False, True])
@pytest.mark.parametrize(
    ("n_bits", "n", "n_queries"),
    [(256, 40_000, 9), (64, 60_000, 1), (100, 30_000, 20), (3000, 3000, 5), (65_528, 200, 3)],
)
def test_long_searches_give_the_same_for_every_kernel_and_any_number_of_threads(
    monkeypatch, n_bits, n, n_queries, with_factors
):
    rng = np.random.default_rng(n_bits)
    bits = rng.integers(0, 2, (n, n_bits), dtype=np.uint8)
    values = make_values(rng, n_queries, n_bits)
    codes, factors = pack_bits(bits), {}
    if with_factors:
        factors["gains"] = rng.uniform(-0.1, 1, n).astype(np.float32)
        factors["offsets"] = (1e3 * rng.uniform(1, 2, n)).astype(np.float32)
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    expected = nearest_weighted(values, codes, 30, **factors, threads=1)
    assert (expected[0] >= 0).all()
    for kernel in KERNELS[:-1]:
        monkeypatch.setenv("HASHLEARN_KERNEL", kernel)
        for threads in (1, 2, 5):
            found = nearest_weighted(values, codes, 30, **factors, threads=threads)
            assert_same(found, expected)


@pytest.mark.usefixtures("kernel")
def test_codes_without_a_finite_distance_are_not_found():
    codes = np.zeros((70, 3), np.uint8)
    gains, offsets = np.ones((2, 70), np.float32)
    gains[3], offsets[10], offsets[20], offsets[30] = np.nan, np.nan, np.inf, -np.inf
    values = np.ones((2, 24))
    positions, distances = nearest_weighted(
        values, codes, 70, gains=gains, offsets=offsets, threads=1
    )
    rest = [i for i in range(70) if i not in (3, 10, 20, 30)]
    assert positions[0].tolist() == positions[1].tolist() == rest + [-1] * 4
    assert distances[0].tolist() == [49.0] * 66 + [np.inf] * 4
    gains[:] = np.finfo(np.float32).max
    positions, _ = nearest_weighted(
        1e300 * values, codes, 1, gains=gains, offsets=offsets, threads=1
    )
    assert positions.tolist() == [[-1], [-1]]


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-42, 1e-20, 1e20, 1e42, 1e300])
def test_values_may_be_tiny_or_huge(scale):
    rng = np.random.default_rng(0)
    codes = make_codes(rng, 100, 40)
    values = rng.standard_normal((2, 40)) * scale
    for factors in (None, (np.full(100, 0.5, np.float32), np.zeros(100, np.float32))):
        given = {} if factors is None else {"gains": factors[0], "offsets": factors[1]}
        found = nearest_weighted(values, codes, 5, **given, threads=1)
        assert_same(found, nearest_by_loops(values, codes, 5, factors))


def test_whole_values_take_the_largest_power_of_two_that_fits():
    rng = np.random.default_rng(1)
    values = make_values(rng, 300, 37)
    values[0] = 2.0**20 / 37 * (1 - 1e-16)  # rounding makes the sum cross a power of two
    values[1], values[2] = 0, np.where(np.arange(37) == 3, 1.0, 0)
    whole, exponents = as_whole(values)
    for row, exponent, query in zip(whole.tolist(), exponents.tolist(), values, strict=True):
        assert (row, exponent) == exact_weights(query)
    assert exponents[1:3].tolist() == [0, 30]


def test_weighted_distances_are_near_those_of_the_values_as_they_were():
    rng = np.random.default_rng(2)
    codes, values = make_codes(rng, 50, 61), make_values(rng, 20, 61)
    for query in values:
        _, exponents = as_whole(query[None])
        differing = unpack_bits(codes, 61) != (query >= 0)
        error = weighted_distances(query, codes) - differing @ np.abs(query)
        assert np.abs(error).max() <= 61 * 2.0 ** -exponents[0] / 2 * (1 + 1e-6)
        expected = [weighted_distance(*exact_weights(query), query >= 0, code) for code in codes]
        assert weighted_distances(query, codes).tolist() == expected


def assert_searches_as_rerank(index, values, k, mask=None):
    """Compare with all items that are allowed, ranked anew."""
    found = index.search_values(values, k, mask=mask)
    queries = pack_bits(values >= 0)
    expected = index.rerank(values, index.search(queries, max(k, len(index), 1), mask=mask))
    assert isinstance(found, Neighbors)
    assert found.ids.dtype == np.int64
    assert found.distances.dtype == np.int32
    np.testing.assert_array_equal(found.ids, expected.ids[:, :k])
    np.testing.assert_array_equal(found.distances, expected.distances[:, :k])


@settings(deadline=None, max_examples=100)
@given(
    n_bits=st.integers(1, 130),
    n=st.integers(0, 60),
    n_queries=st.integers(0, 6),
    k=st.integers(1, 70),
    kernel=st.sampled_from(KERNELS),
    seed=st.integers(0, 2**32 - 1),
)
def test_search_values_is_the_reranking_of_everything(n_bits, n, n_queries, k, kernel, seed):
    rng = np.random.default_rng(seed)
    codes, values = make_codes(rng, n, n_bits), make_values(rng, n_queries, n_bits)
    index = HammingIndex(n_bits)
    ids = rng.permutation(3 * n)[:n]
    for part in np.array_split(np.arange(n), 3):  # in pieces, ids in random order
        index.add(codes[part], ids[part])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        assert_searches_as_rerank(index, values, k)
        marks = rng.random(n) < rng.random()
        assert_searches_as_rerank(index, values, k, marks)
        assert_searches_as_rerank(index, values, k, rng.permutation(index.ids[marks]))
        index.remove(index.ids[marks][::2])
        assert_searches_as_rerank(index, values, k)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("n_bits", [60, 64])
def test_mapped_files_tables_tails_and_gaps_hide_nothing(tmp_path, n_bits):
    rng = np.random.default_rng(n_bits)
    codes, values = make_codes(rng, 3000, n_bits), make_values(rng, 9, n_bits)
    index = HammingIndex(n_bits)
    index.add(codes[:2800], 2 * np.arange(2800))
    index.build_tables()
    index.save(tmp_path / "codes.index")
    for mmap in (True, False):
        opened = HammingIndex.open(tmp_path / "codes.index", mmap=mmap)
        assert_searches_as_rerank(opened, values, 20)
        opened.add(codes[2800:], 2 * np.arange(200) + 1)  # a tail, between the others
        opened.remove(2 * np.arange(30))  # and gaps
        assert len(opened._items.segments) == 2
        assert opened._items.segments[0].present is not None
        assert_searches_as_rerank(opened, values, 20)
        assert_searches_as_rerank(opened, values[:1], 4000)
        assert_searches_as_rerank(opened, values, 20, rng.random(len(opened)) < 0.5)
        assert_searches_as_rerank(opened, values, 20, opened.ids[::50])


def test_an_empty_index_or_mask_finds_nothing():
    index = HammingIndex(12)
    for codes in (np.zeros((0, 2), np.uint8), np.ones((3, 2), np.uint8)):
        index.add(codes)
        found = index.search_values(np.ones((2, 12)), 3, mask=np.zeros(len(index), bool))
        assert found.ids.tolist() == [[NO_ID] * 3] * 2
        assert found.distances.tolist() == [[13] * 3] * 2
        assert index.search_values(np.ones((0, 12)), 3).ids.shape == (0, 3)


def test_any_order_of_additions_gives_the_same():
    rng = np.random.default_rng(4)
    codes, values = make_codes(rng, 500, 33), rng.standard_normal((4, 33))
    results = []
    for order in (np.arange(500), np.arange(500)[::-1], rng.permutation(500)):
        index = HammingIndex(33)
        index.add(codes[order[:499]], order[:499])
        index.add(codes[order[499:]], order[499:])
        results.append(index.search_values(values, 40))
    for found in results[1:]:
        np.testing.assert_array_equal(found.ids, results[0].ids)


def test_search_values_refuses_what_does_not_fit():
    index = HammingIndex(2)
    index.add([[1]])
    with pytest.raises(ValueError, match=r"values must have the shape \(q, 2\), got \(1, 3\)"):
        index.search_values([[1.0, 2.0, 3.0]], 1)
    with pytest.raises(ValueError, match="values must be finite, and so must their sums; row 1"):
        index.search_values([[1.0, 2.0], [np.nan, 1.0]], 1)
    with pytest.raises(TypeError, match="values must be real numbers, got bool"):
        index.search_values([[True, False]], 1)
    with pytest.raises(ValueError, match="k must be from 1 to"):
        index.search_values([[1.0, 2.0]], 0)
    with pytest.raises(KeyError, match="not in the index: 5"):
        index.search_values([[1.0, 2.0]], 1, mask=[5])


def test_nearest_weighted_refuses_what_does_not_fit():
    values, codes = np.ones((1, 12)), np.zeros((70, 2), np.uint8)
    ones = np.ones(70, np.float32)
    with pytest.raises(ValueError, match=r"codes must be C-contiguous of shape \(70, 2\)"):
        nearest_weighted(values, codes[:, :1], 1, threads=1)
    with pytest.raises(TypeError, match="codes must be uint8, got float32"):
        nearest_weighted(values, codes.astype(np.float32), 1, threads=1)
    with pytest.raises(ValueError, match="gains and offsets must be given together"):
        nearest_weighted(values, codes, 1, gains=ones, threads=1)
    with pytest.raises(TypeError, match="offsets must be float32, got float64"):
        nearest_weighted(values, codes, 1, gains=ones, offsets=np.ones(70), threads=1)
    with pytest.raises(ValueError, match=r"gains must be C-contiguous of shape \(70,\), got \(69"):
        nearest_weighted(values, codes, 1, gains=ones[1:], offsets=ones, threads=1)
    with pytest.raises(ValueError, match=r"allowed must be C-contiguous of shape \(2,\)"):
        nearest_weighted(values, codes, 1, allowed=np.zeros(1, np.uint64), threads=1)
    with pytest.raises(ValueError, match="k must be from 1 to"):
        nearest_weighted(values, codes, 0, threads=1)
    with pytest.raises(ValueError, match="threads must be from 1 to 1024, got 0"):
        nearest_weighted(values, codes, 1, threads=0)
    with pytest.raises(ValueError, match=r"values must have the shape"):
        nearest_weighted(3.0, codes, 1, threads=1)


@pytest.mark.skipif(native is None, reason="without the compiled engine")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"whole": np.ones((2, 17), np.int32)}, "a bit for each"),
        ({"whole": np.full((2, 16), 2**27, np.int32)}, "less than 2\\^31"),
        ({"exponents": np.zeros(3, np.int32)}, "exponents must have the shape"),
        ({"positions": np.zeros((2, 4), np.int64)}, "exponents must have the shape"),
        ({"distances": np.zeros((3, 3))}, "exponents must have the shape"),
        ({"gains": np.ones(5, np.float32)}, "gains and offsets must both"),
        ({"gains": np.ones(5, np.float32), "offsets": np.ones(4, np.float32)}, "gains and offsets"),
        ({"allowed": np.zeros(2, np.uint64)}, "allowed must have a word"),
    ],
)
def test_the_engine_reads_and_writes_nothing_that_does_not_fit(changed, message):
    arrays = {
        "whole": np.ones((2, 16), np.int32), "exponents": np.zeros(2, np.int32),
        "codes": np.zeros((5, 2), np.uint8), "gains": None, "offsets": None, "allowed": None,
        "positions": np.zeros((2, 3), np.int64), "distances": np.zeros((2, 3)),
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        native.nearest_weighted(*(arrays | changed).values(), 1, KERNELS[0])
