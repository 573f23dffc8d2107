"""Searches against plain loops: over bits, items and queries."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn.codes import hamming_distances, pack_bits
from hashlearn.index import HammingIndex, routes, scan
from hashlearn.index.bitmaps import as_bitmap
from hashlearn.results import Neighbors

LARGEST_ID = 2**63 - 1


def make_codes(rng, n, n_bits):
    """Codes of which many are equal, so that there are ties to order."""
    kinds = rng.integers(0, 2, (max(1, n // 3), n_bits))
    return pack_bits(kinds[rng.integers(0, len(kinds), n)].reshape(n, n_bits))


def make_ids(rng, n):
    near_the_end = LARGEST_ID - rng.choice(4 * n + 1, n, replace=False)
    anywhere = rng.choice(4 * n + 1, n, replace=False)
    return np.where(rng.random(n) < 0.5, near_the_end, anywhere).astype(np.int64)


def distance(left, right):
    return sum(bin(int(a) ^ int(b)).count("1") for a, b in zip(left, right, strict=True))


def pairs(query, items):
    """(distance, id) of each item, nearest first."""
    return sorted((distance(query, code), id_) for id_, code in items.items())


def assert_finds(found, queries, items, k, n_bits):
    assert found.ids.dtype == np.int64
    assert found.distances.dtype == np.int32
    assert found.ids.shape == found.distances.shape == (len(queries), k)
    for query, ids, distances in zip(queries, found.ids, found.distances, strict=True):
        expected = (pairs(query, items) + [(n_bits + 1, -1)] * k)[:k]
        assert list(zip(distances.tolist(), ids.tolist(), strict=True)) == expected


def assert_finds_within(found, queries, items, radius):
    assert found.ids.dtype == np.int64
    assert found.distances.dtype == np.int32
    assert len(found) == len(queries)
    for query, (ids, distances) in zip(queries, found, strict=True):
        expected = [pair for pair in pairs(query, items) if pair[0] <= radius]
        assert list(zip(distances.tolist(), ids.tolist(), strict=True)) == expected


sizes = st.tuples(
    st.integers(1, 130),  # bits
    st.integers(0, 40),  # items
    st.integers(0, 6),  # queries
    st.integers(1, 50),  # k
    st.integers(0, 2**32 - 1),  # seed
)


@given(sizes)
@settings(max_examples=150, deadline=None)
def test_search_finds_what_loops_find(sizes):
    n_bits, n, n_queries, k, seed = sizes
    rng = np.random.default_rng(seed)
    codes, queries = make_codes(rng, n, n_bits), make_codes(rng, n_queries, n_bits)
    ids = make_ids(rng, n)
    index = HammingIndex(n_bits)
    for part in np.array_split(np.arange(n), 3):  # in pieces, ids in random order
        index.add(codes[part], ids[part])
    items = dict(zip(ids.tolist(), codes, strict=True))
    assert_finds(index.search(queries, k), queries, items, k, n_bits)
    radius = int(rng.integers(0, n_bits + 1))
    assert_finds_within(index.search_radius(queries, radius), queries, items, radius)


@given(sizes)
@settings(max_examples=100, deadline=None)
def test_a_mask_limits_what_is_found(sizes):
    n_bits, n, n_queries, k, seed = sizes
    rng = np.random.default_rng(seed)
    codes, queries = make_codes(rng, n, n_bits), make_codes(rng, n_queries, n_bits)
    index = HammingIndex(n_bits)
    index.add(codes, make_ids(rng, n))
    mask = rng.random(n) < rng.random()
    allowed = rng.permutation(np.repeat(index.ids[mask], 2))  # any order, some repeated
    items = dict(zip(index.ids[mask].tolist(), index.codes[mask], strict=True))
    radius = n_bits // 2
    for form in (mask, mask.tolist() if n else mask, allowed, allowed.tolist()):
        assert_finds(index.search(queries, k, mask=form), queries, items, k, n_bits)
        found = index.search_radius(queries, radius, mask=form)
        assert_finds_within(found, queries, items, radius)


def test_an_empty_index_finds_nothing():
    index = HammingIndex(12)
    queries = np.zeros((2, 2), np.uint8)
    for mask in (None, [], np.zeros(0, bool), np.zeros(0, int)):
        assert_finds(index.search(queries, 3, mask=mask), queries, {}, 3, 12)
        assert_finds_within(index.search_radius(queries, 12, mask=mask), queries, {}, 12)
    assert index.search(queries[:0], 3).ids.shape == (0, 3)


@pytest.mark.parametrize("radius", [0, 9])
def test_a_radius_includes_itself_from_nothing_to_every_bit(radius):
    index = HammingIndex(9)
    index.add([[0, 0], [255, 1], [255, 0]])
    ids, distances = index.search_radius([[0, 0]], radius)[0]
    assert (distances <= radius).all()
    assert ids.tolist() == ([0] if radius == 0 else [0, 2, 1])


def test_k_may_be_far_larger_than_the_index():
    index = HammingIndex(8)
    index.add([[1], [0]])
    found = index.search([[0]], 1_000_000)
    assert found.ids.shape == (1, 1_000_000)
    assert found.ids[0, :3].tolist() == [1, 0, -1]
    assert (found.ids[0, 2:] == -1).all()
    assert (found.distances[0, 2:] == 9).all()


def test_strided_and_read_only_arrays_are_taken():
    rng = np.random.default_rng(0)
    wide = make_codes(rng, 40, 128)
    codes, queries = wide[::2, ::2], wide[1::8, 1::2]
    codes.flags.writeable = queries.flags.writeable = False
    ids = np.arange(40)[::2]
    ids.flags.writeable = False
    index = HammingIndex(64)
    index.add(codes, ids)
    items = dict(zip(ids.tolist(), codes, strict=True))
    assert_finds(index.search(queries, 7), queries, items, 7, 64)


KERNELS = [*(scan.native.kernels() if scan.native else ()), "numpy"]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


@every_kernel
@given(
    n_bits=st.integers(1, 330),
    n=st.integers(0, 700),
    n_queries=st.integers(0, 20),
    k=st.integers(1, 800),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_every_kernel_finds_what_the_definition_says(kernel, n_bits, n, n_queries, k, seed):
    rng = np.random.default_rng(seed)
    index = HammingIndex(n_bits, threads=int(rng.integers(1, 4)))
    index.add(make_codes(rng, n, n_bits), make_ids(rng, n))
    queries = make_codes(rng, n_queries, n_bits)
    radius = int(rng.integers(0, n_bits + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        found, within = index.search(queries, k), index.search_radius(queries, radius)
    distances = hamming_distances(queries, index.codes).astype(np.int32)
    order = np.argsort(distances, axis=1, kind="stable")
    n_found = min(k, n)
    expected_ids = np.full((n_queries, k), -1)
    expected_ids[:, :n_found] = index.ids[order[:, :n_found]]
    expected_distances = np.full((n_queries, k), n_bits + 1)
    ordered = np.take_along_axis(distances, order, axis=1)
    expected_distances[:, :n_found] = ordered[:, :n_found]
    np.testing.assert_array_equal(found.ids, expected_ids)
    np.testing.assert_array_equal(found.distances, expected_distances)
    for (ids, bits), row, places in zip(within, ordered, order, strict=True):
        np.testing.assert_array_equal(ids, index.ids[places[row <= radius]])
        np.testing.assert_array_equal(bits, row[row <= radius])


@every_kernel
@given(
    n_bytes=st.sampled_from([1, 7, 8, 16, 24, 32, 40, 64, 80]),
    n=st.integers(0, 700),
    n_queries=st.integers(0, 12),
    k=st.integers(1, 800),
    share=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_a_scan_of_allowed_codes_is_one_of_those_alone(
    kernel, n_bytes, n, n_queries, k, share, seed
):
    rng = np.random.default_rng(seed)
    codes, queries = make_codes(rng, n, 8 * n_bytes), make_codes(rng, n_queries, 8 * n_bytes)
    ids, allowed = np.sort(make_ids(rng, n)), rng.random(n) < share
    radius = int(rng.integers(0, 8 * n_bytes + 1))
    threads = int(rng.integers(1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", "numpy")
        alone = codes[allowed], ids[allowed]
        expected = scan.scan_nearest(queries, *alone, k, 8 * n_bytes, 1)
        expected_within = scan.scan_radius(queries, *alone, radius, 1)
        patch.setenv("HASHLEARN_KERNEL", kernel)
        bitmap = as_bitmap(allowed)
        found = scan.scan_nearest(queries, codes, ids, k, 8 * n_bytes, threads, allowed=bitmap)
        within = scan.scan_radius(queries, codes, ids, radius, threads, allowed=bitmap)
    assert_same(found, expected)
    assert_same(within, expected_within)


@pytest.mark.skipif(scan.native is None, reason="the extension is not built")
@pytest.mark.parametrize("kernel", scan.native.kernels() if scan.native else ())
@pytest.mark.parametrize("k", [3, 80])  # by filtering and by ranking all
def test_places_for_which_there_is_no_allowed_code_stay_empty(kernel, k):
    codes = np.zeros((100, 2), np.uint8)
    positions, distances = np.zeros((2, k), np.int64), np.zeros((2, k), np.int32)
    allowed = np.array([1 << 7, 1 << 30 | 1 << 60], np.uint64)  # the last is beyond the codes
    scan.native.scan_nearest(codes[:2], codes, positions, distances, 1, kernel, allowed)
    assert positions.tolist() == [[7, 94] + [-1] * (k - 2)] * 2
    assert distances.tolist() == [[0, 0] + [17] * (k - 2)] * 2
    with pytest.raises(ValueError, match="a word for every 64 codes"):
        scan.native.scan_nearest(
            codes[:2], codes, positions, distances, 1, kernel, np.zeros(3, np.uint64)
        )


@every_kernel
@pytest.mark.parametrize("n_bits", [64, 128, 200, 256, 1000])
def test_long_searches_give_the_same_for_every_kernel_and_any_number_of_threads(
    monkeypatch, kernel, n_bits
):
    rng = np.random.default_rng(n_bits)
    width = -(-n_bits // 8)
    centres = rng.integers(0, 256, (40, width), dtype=np.uint8)
    codes = centres[rng.integers(0, 40, 60_000)] ^ (rng.random((60_000, width)) < 0.05)
    queries = codes[rng.choice(60_000, 40)] ^ (rng.random((40, width)) < 0.05)
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    index = HammingIndex(8 * width, threads=1)
    index.add(codes)
    expected, within = index.search(queries, 300), index.search_radius(queries, 9)
    monkeypatch.setenv("HASHLEARN_KERNEL", kernel)
    for threads in (1, 2, 7):
        index = HammingIndex(8 * width, threads=threads)
        index.add(codes)
        assert_same(index.search(queries, 300), expected)
        assert_same(index.search_radius(queries, 9), within)


def test_a_single_query_over_a_large_database_is_divided_among_threads_with_the_same_result():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (4_400_000, 8), dtype=np.uint8)
    codes[rng.choice(len(codes), 3000)] = codes[0]  # ties in every part
    query = codes[:1]
    distances = hamming_distances(query, codes)[0]
    expected = np.argsort(distances, kind="stable")[:2500]
    for threads in (1, 2, 5):
        index = HammingIndex(64, threads=threads)
        index.add(codes)
        found = index.search(query, 2500)
        np.testing.assert_array_equal(found.ids[0], expected)
        np.testing.assert_array_equal(found.distances[0], distances[expected])


@pytest.mark.parametrize("n_queries", [1, 2, 3])
def test_a_few_queries_over_a_large_database_find_all_within_a_radius_on_any_number_of_threads(
    n_queries,
):
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 256, (2_200_000, 8), dtype=np.uint8)
    codes[rng.choice(len(codes), 900)] = codes[:3].repeat(300, axis=0)  # hits in every part
    queries = codes[:n_queries]
    expected = [np.flatnonzero(row <= 12) for row in hamming_distances(queries, codes)]
    for threads in (1, 2, 4):
        index = HammingIndex(64, threads=threads)
        index.add(codes)
        found = index.search_radius(queries, 12)
        for (ids, _), wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.sort(ids), wanted)


def test_searches_from_many_threads_at_a_time_do_not_disturb_one_another():
    rng = np.random.default_rng(1)
    index = HammingIndex(64, threads=2)
    index.add(rng.integers(0, 256, (40_000, 8), dtype=np.uint8))
    queries = rng.integers(0, 256, (64, 8), dtype=np.uint8)
    expected = index.search(queries, 50)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: index.search(queries, 50), range(40)):
            assert_same(found, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_can_search_with_threads():
    rng = np.random.default_rng(2)
    index = HammingIndex(64, threads=2)
    index.add(rng.integers(0, 256, (40_000, 8), dtype=np.uint8))
    queries = rng.integers(0, 256, (64, 8), dtype=np.uint8)
    expected = index.search(queries, 5)  # the parent's threads are running now
    child = os.fork()
    if child == 0:
        same = np.array_equal(index.search(queries, 5).ids, expected.ids)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("block_bytes", [1, 700, 1 << 30])
def test_the_numpy_route_gives_the_same_for_any_size_of_block(monkeypatch, block_bytes):
    rng = np.random.default_rng(2)
    codes, queries = make_codes(rng, 100, 33), make_codes(rng, 9, 33)
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    index = HammingIndex(33, threads=3)
    index.add(codes)
    expected = index.search(queries, 20)
    monkeypatch.setattr(scan, "_MIN_WORK", 0)
    monkeypatch.setattr(scan, "_BLOCK_BYTES", block_bytes)
    assert_same(index.search(queries, 20), expected)


def test_an_error_in_a_thread_of_the_numpy_route_is_raised(monkeypatch):
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    monkeypatch.setattr(scan, "_MIN_WORK", 0)
    monkeypatch.setattr(scan, "hamming_distances", lambda *_: 1 / 0)
    index = HammingIndex(8, threads=2)
    index.add([[1]])
    with pytest.raises(ZeroDivisionError):
        index.search([[1], [2], [3]], 1)


def test_a_kernel_that_is_not_there_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setenv("HASHLEARN_KERNEL", "abacus")
    index = HammingIndex(8)
    index.add([[1]])
    with pytest.raises(ValueError, match="numpy here, got 'abacus'"):
        index.search([[1]], 1)


@pytest.mark.skipif(scan.native is None, reason="the extension is not built")
@pytest.mark.parametrize(
    ("queries", "positions", "distances", "message"),
    [
        (np.zeros((1, 2), np.uint8), (1, 1), (1, 1), "different lengths"),
        (np.zeros((1, 1), np.uint8), (2, 1), (1, 1), "shape"),
        (np.zeros((1, 1), np.uint8), (1, 1), (1, 2), "shape"),
        (np.zeros((1, 1), np.uint8), (1, 9), (1, 9), "at most"),
    ],
)
def test_the_extension_refuses_arrays_that_do_not_fit(queries, positions, distances, message):
    outputs = np.zeros(positions, np.int64), np.zeros(distances, np.int32)
    with pytest.raises(ValueError, match=message):
        scan.native.scan_nearest(queries, np.zeros((3, 1), np.uint8), *outputs, 1, "portable")


@pytest.mark.skipif(scan.native is None, reason="the extension is not built")
def test_the_extension_takes_no_array_that_it_would_have_to_copy():
    """What is written into the copy of an output would be lost."""
    codes, places = np.zeros((3, 8), np.uint8), np.zeros((3, 3), np.int64)
    bits = np.zeros((3, 3), np.int32)
    read_only = places.copy()
    read_only.flags.writeable = False
    for wrong in (
        (codes.astype(float), codes, places, bits),
        (codes, codes.astype(np.int8), places, bits),
        (codes[0], codes, places, bits),
        (codes, np.zeros((3, 16), np.uint8)[:, ::2], places, bits),
        (codes, codes, bits, bits),
        (codes, codes, places.T, bits),
        (codes, codes, read_only, bits),
        (codes, codes, places, places),
        (codes, codes, places.tolist(), bits),
    ):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            scan.native.scan_nearest(*wrong, 1, "portable")


@every_kernel
@given(
    n_bits=st.integers(1, 40),
    n=st.integers(0, 60),
    rows=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_pairs_within_a_radius_are_those_of_a_double_loop(kernel, n_bits, n, rows, seed):
    rng = np.random.default_rng(seed)
    index = HammingIndex(n_bits)
    index.add(make_codes(rng, n, n_bits), make_ids(rng, n))
    radius = int(rng.integers(0, n_bits + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        patch.setattr(routes, "_PAIR_ROWS", rows)
        parts = list(index.pairs_within(radius))
    assert all(len(part) for part in parts)
    found = [
        pair
        for part in parts
        for pair in zip(
            part.first_ids.tolist(), part.distances.tolist(), part.second_ids.tolist(), strict=True
        )
    ]
    items = list(zip(index.ids.tolist(), index.codes, strict=True))
    expected = [
        (first, distance(left, right), second)
        for number, (first, left) in enumerate(items)
        for second, right in items[number + 1 :]
        if distance(left, right) <= radius
    ]
    assert found == sorted(expected)


@pytest.mark.parametrize(("radius", "error"), [(-1, ValueError), (9, ValueError), (1.0, TypeError)])
def test_a_radius_for_pairs_is_checked_before_anything_is_asked_for(radius, error):
    with pytest.raises(error, match="radius must be"):
        HammingIndex(8).pairs_within(radius)


def test_the_longest_codes_do_not_overflow():
    index = HammingIndex(65_528)
    index.add([[0] * 8191, [255] * 8191])
    found = index.search([[255] * 8191], 3)
    assert found.ids.tolist() == [[1, 0, -1]]
    assert found.distances.tolist() == [[0, 65_528, 65_529]]


@given(sizes)
@settings(max_examples=100, deadline=None)
def test_rerank_orders_by_the_weight_of_the_differing_bits(sizes):
    n_bits, n, n_queries, k, seed = sizes
    rng = np.random.default_rng(seed)
    index = HammingIndex(n_bits)
    index.add(make_codes(rng, n, n_bits), make_ids(rng, n))
    # Halves add up without rounding, whatever the order, so that ties are ties in the loop too.
    values = rng.integers(-4, 5, (n_queries, n_bits)) / 2
    found = index.search(pack_bits(values >= 0), k)
    reranked = index.rerank(values, found)
    bits = np.unpackbits(index.codes, axis=1, count=n_bits, bitorder="little")
    stored = dict(zip(index.ids.tolist(), bits.tolist(), strict=True))
    for row in range(n_queries):
        expected = []
        for id_, hamming in zip(
            found.ids[row].tolist(), found.distances[row].tolist(), strict=True
        ):
            if id_ == -1:
                expected.append((np.inf, id_, hamming))
                continue
            weight = 0.0
            for value, bit in zip(values[row].tolist(), stored[id_], strict=True):
                if (value >= 0) != bool(bit):
                    weight += abs(value)
            expected.append((weight, id_, hamming))
        expected.sort()
        assert reranked.ids[row].tolist() == [id_ for _, id_, _ in expected]
        assert reranked.distances[row].tolist() == [hamming for _, _, hamming in expected]


def test_rerank_leaves_what_it_was_given_as_it_was():
    index = HammingIndex(2)
    index.add([[0b10], [0b01]])
    values = np.array([[2.0, 0.1]], np.float32)
    found = index.search([[0b11]], 2)
    assert index.rerank(values, found).ids.tolist() == [[1, 0]]
    assert found.ids.tolist() == [[0, 1]]
    assert values.tolist() == np.array([[2.0, 0.1]], np.float32).tolist()


def test_rerank_gives_equal_codes_equal_weights():
    rng = np.random.default_rng(3)
    for n in range(1, 70):
        index = HammingIndex(77)
        index.add(np.repeat(make_codes(rng, 1, 77), n, axis=0))
        values = rng.standard_normal((1, 77))
        found = index.search(pack_bits(values >= 0), n)
        assert index.rerank(values, found).ids[0].tolist() == list(range(n))


def test_rerank_takes_whole_numbers_and_counts_minus_zero_as_a_one():
    index = HammingIndex(2)
    index.add([[0b00], [0b11]])
    found = index.search([[0b11], [0b11]], 2)
    reranked = index.rerank([[-0.0, 1], [0, 2]], found)
    assert reranked.ids.tolist() == [[1, 0], [1, 0]]
    assert index.rerank(np.array([[0, -1], [3, -2]]), found).ids.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rerank_refuses_values_that_are_not_finite(bad):
    index = HammingIndex(2)
    index.add([[1]])
    found = index.search([[1], [1]], 1)
    with pytest.raises(ValueError, match=r"finite.*row 1"):
        index.rerank([[0.0, 1.0], [bad, 1.0]], found)
    with pytest.raises(ValueError, match="sums"):
        index.rerank([[0.0, 1.0], [1e308, 1e308]], found)


def test_rerank_refuses_what_does_not_fit():
    index = HammingIndex(2)
    index.add([[1]])
    found = index.search([[1]], 1)
    with pytest.raises(TypeError, match="real numbers, got bool"):
        index.rerank([[True, False]], found)
    with pytest.raises(TypeError, match="real numbers, got complex"):
        index.rerank([[1j, 0]], found)
    with pytest.raises(ValueError, match=r"shape \(q, 2\), got \(1, 3\)"):
        index.rerank([[1.0, 2.0, 3.0]], found)
    with pytest.raises(ValueError, match=r"shape \(q, 2\), got \(2,\)"):
        index.rerank([1.0, 2.0], found)
    with pytest.raises(ValueError, match="same queries, got 2 and 1"):
        index.rerank([[1.0, 2.0]] * 2, found)
    with pytest.raises(TypeError, match="must be Neighbors, got RadiusNeighbors"):
        index.rerank([[1.0, 2.0]], index.search_radius([[1]], 1))
    with pytest.raises(KeyError, match="neighbors holds ids that are not in the index: 5"):
        index.rerank([[1.0, 2.0]], Neighbors(np.array([[5]]), np.array([[0]])))


@pytest.mark.parametrize("k", [0, -1, 2**31, 2**80])
def test_a_k_out_of_range_is_refused(k):
    with pytest.raises(ValueError, match=f"k must be from 1 to 2147483647, got {k}"):
        HammingIndex(8).search([[1]], k)


@pytest.mark.parametrize("radius", [-1, 9])
def test_a_radius_out_of_range_is_refused(radius):
    with pytest.raises(ValueError, match=f"radius must be from 0 to 8, got {radius}"):
        HammingIndex(8).search_radius([[1]], radius)


@pytest.mark.parametrize("number", [1.0, "1", None, True, np.float32(1)])
def test_a_number_that_is_not_an_integer_is_refused(number):
    index = HammingIndex(8)
    with pytest.raises(TypeError, match="k must be an integer, got"):
        index.search([[1]], number)
    with pytest.raises(TypeError, match="radius must be an integer, got"):
        index.search_radius([[1]], number)
    with pytest.raises(TypeError, match="n_bits must be an integer, got"):
        HammingIndex(number)


def test_queries_of_another_kind_are_refused():
    index = HammingIndex(12)
    for search in (index.search, index.search_radius):
        with pytest.raises(TypeError, match="must be uint8, got int64"):
            search(np.zeros((1, 2), np.int64), 1)
        with pytest.raises(ValueError, match="take 2 bytes, got 3"):
            search(np.zeros((1, 3), np.uint8), 1)
        with pytest.raises(ValueError, match="shape"):
            search(np.zeros(2, np.uint8), 1)
        with pytest.raises(ValueError, match="0 in the last 4 bits"):
            search(np.full((1, 2), 255, np.uint8), 1)


def test_a_mask_that_does_not_fit_is_refused():
    index = HammingIndex(8)
    index.add([[1], [2]], ids=[3, 4])
    for search in (index.search, index.search_radius):
        with pytest.raises(ValueError, match=r"each of the 2 items, got the shape \(3,\)"):
            search([[1]], 1, mask=[True, False, True])
        with pytest.raises(ValueError, match=r"each of the 2 items, got the shape \(1, 2\)"):
            search([[1]], 1, mask=[[True, False]])
        with pytest.raises(KeyError, match="mask holds ids that are not in the index: -1, 7"):
            search([[1]], 1, mask=[7, 3, -1])
        with pytest.raises(TypeError, match=r"mask must be integers.*got float64"):
            search([[1]], 1, mask=[0.0, 1.0])
        with pytest.raises(ValueError, match="mask must be flat"):
            search([[1]], 1, mask=[[3]])


def assert_same(found, expected):
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)
