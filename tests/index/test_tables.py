"""Searches by tables against the definition, and the choice between tables and scans."""

from math import ceil, comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn.codes import hamming_distances, n_bytes, pack_bits
from hashlearn.index import HammingIndex, items, routes, scan, tables
from hashlearn.index.tables import SubstringTables

pytestmark = pytest.mark.skipif(scan.native is None, reason="the extension is not built")

KERNELS = [*(scan.native.kernels() if scan.native else ()), "numpy"]
every_kernel = pytest.mark.parametrize("kernel", KERNELS)
LENGTHS = [*range(1, 301), *[8, 12, 32, 48, 64, 65, 128, 192, 256] * 20]
MOST = 11  # bits of a substring, so that going through all of its values takes no time


def make_codes(rng, n, n_bits, kind):
    """Codes of which few are equal, or most; or those, sorted as little-endian numbers."""
    n_kinds = 2 * n + 1 if kind == "random" else 1 + n // 10
    codes = pack_bits(rng.integers(0, 2, (n_kinds, n_bits)))[rng.integers(0, n_kinds, n)]
    return codes[np.lexsort(codes.T)] if kind == "sorted" else codes


kinds = st.sampled_from(["random", "ties", "sorted"])


def make_queries(rng, codes, n, n_bits):
    """Some codes with a few bits changed, some anywhere."""
    anywhere = pack_bits(rng.integers(0, 2, (n, n_bits)))
    if len(codes) == 0:
        return anywhere
    changed = pack_bits(rng.random((n, n_bits)) < 1 / n_bits)
    near = codes[rng.integers(0, len(codes), n)] ^ changed
    return np.where(rng.random((n, 1)) < 0.7, near, anywhere)


def make_ids(rng, n):
    return np.sort(rng.choice(3 * n + 1, n, replace=False))


def make_index(rng, n, n_bits, kind="random", **options):
    index = HammingIndex(n_bits, threads=int(rng.integers(1, 4)))
    ids = make_ids(rng, n) if rng.random() < 0.5 else np.arange(n)
    index.add(make_codes(rng, n, n_bits, kind), ids)
    if n_bits > MOST:
        options = {"n_tables": int(rng.integers(ceil(n_bits / MOST), n_bits + 1))} | options
    index.build_tables(**options)
    return index


def assert_finds(index, queries, k, radius, mask=None, **how):
    """Compare both searches with all distances, sorted; the mask is one of marks."""
    allowed = np.ones(len(index), bool) if mask is None else mask
    ids, codes = index.ids[allowed], index.codes[allowed]
    distances = hamming_distances(queries, codes).astype(np.int32)
    order = np.argsort(distances, axis=1, kind="stable")
    nearest = np.take_along_axis(distances, order, axis=1)
    empty = max(0, k - len(ids))
    found = index.search(queries, k, mask=mask, **how)
    expected_ids = np.pad(ids[order[:, :k]], ((0, 0), (0, empty)), constant_values=-1)
    np.testing.assert_array_equal(found.ids, expected_ids)
    expected_distances = np.pad(
        nearest[:, :k], ((0, 0), (0, empty)), constant_values=index.n_bits + 1
    )
    np.testing.assert_array_equal(found.distances, expected_distances)
    within = index.search_radius(queries, radius, mask=mask, **how)
    for (found_ids, found_distances), row, places in zip(within, nearest, order, strict=True):
        np.testing.assert_array_equal(found_ids, ids[places[row <= radius]])
        np.testing.assert_array_equal(found_distances, row[row <= radius])


@every_kernel
@given(
    n_bits=st.sampled_from(LENGTHS),
    n=st.integers(1, 300),
    k=st.sampled_from([1, 2, 10, 299, 300, 400]),
    kind=kinds,
    lean=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_every_route_finds_what_the_definition_says(kernel, n_bits, n, k, kind, lean, seed):
    rng = np.random.default_rng(seed)
    index = make_index(rng, n, n_bits, kind, lean=lean)
    queries = make_queries(rng, index.codes, int(rng.integers(0, 6)), n_bits)
    radius = int(rng.integers(0, n_bits + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        for route in ("tables", "auto", "scan"):
            assert_finds(index, queries, k, radius, route=route)
        assert_finds(index, queries, n, n_bits, route="tables")
        assert_finds(index, queries, 1, 0, route="tables")


@every_kernel
@given(
    n_bits=st.sampled_from(LENGTHS),
    n=st.integers(1, 300),
    share=st.sampled_from([0.0, 0.02, 0.5, 0.95, 1.0]),
    share_removed=st.sampled_from([0.0, 0.1, 0.9]),
    kind=kinds,
    lean=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_masks_and_removals_limit_what_is_found(
    kernel, n_bits, n, share, share_removed, kind, lean, seed
):
    rng = np.random.default_rng(seed)
    index = make_index(rng, n, n_bits, kind, lean=lean)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        patch.setattr(items, "_SMALL", 0)
        patch.setattr(items, "_GAP_PART", 1)  # removed items are marked, not squeezed out
        index.remove(index.ids[rng.random(n) < share_removed])
        queries = make_queries(rng, index.codes, 3, n_bits)
        mask = rng.random(len(index)) < share
        k, radius = int(rng.integers(1, n + 2)), int(rng.integers(0, n_bits + 1))
        assert_finds(index, queries, k, radius, route="tables")
        for route in ("tables", "auto"):
            assert_finds(index, queries, k, radius, mask, route=route)
            wanted = rng.permutation(np.repeat(index.ids[mask], 2))
            for search, number in ((index.search, k), (index.search_radius, radius)):
                by_marks = search(queries, number, mask=mask, route=route)
                assert_same(search(queries, number, mask=wanted, route=route), by_marks)


@pytest.mark.parametrize("n_bits", [1, 8, 12, 20, 24, 40, 66])
@pytest.mark.parametrize("kind", ["random", "sorted"])
def test_the_fewest_tables_find_near_codes(n_bits, kind):
    rng = np.random.default_rng(n_bits)
    index = make_index(rng, 400, n_bits, kind, n_tables=tables.fewest_tables(n_bits))
    assert index.n_tables == ceil(n_bits / 28)
    queries = index.codes[::50]
    assert_finds(index, queries, 1, min(n_bits, 3), route="tables")


@pytest.mark.parametrize("n_tables", range(1, 13))
def test_every_value_is_looked_up_once(n_tables):
    """Of all codes of 12 bits, those at each distance are as many as choices of that many bits."""
    codes = np.arange(1 << 12, dtype="<u2").view(np.uint8).reshape(-1, 2)
    codes = np.random.default_rng(n_tables).permutation(codes)
    index = HammingIndex(12)
    index.add(codes)
    index.build_tables(n_tables)
    expected = [comb(12, distance) for distance in range(13)]
    nearest = index.search(codes[:2], 1 << 12, route="tables")
    for ids, distances in zip(nearest.ids, nearest.distances, strict=True):
        assert np.bincount(distances).tolist() == expected
        assert len(np.unique(ids)) == 1 << 12
    for radius in range(13):
        ids, distances = index.search_radius(codes[:1], radius, route="tables")[0]
        assert np.bincount(distances).tolist() == expected[: radius + 1]
        assert len(np.unique(ids)) == len(ids)


@pytest.mark.parametrize(
    ("n_bits", "kind", "lean", "expected"),
    [
        (64, "random", False, "starts positions words | starts positions words"),
        (64, "random", True, "starts positions | starts positions"),
        (64, "sorted", False, "starts | starts positions words"),
        (64, "sorted", True, "starts | starts positions"),
        (60, "sorted", False, "starts | starts positions words"),  # they fill eight bytes too
        (48, "sorted", False, "starts positions words | starts positions words"),
        (48, "sorted", True, "starts positions | starts positions"),
    ],
)
def test_a_table_holds_what_the_codes_do_not_tell(n_bits, kind, lean, expected):
    rng = np.random.default_rng(0)
    codes = make_codes(rng, 50, n_bits, kind)
    built = SubstringTables.build(codes, n_bits, 6, lean)
    parts = [[] for _ in range(6)]
    for name in built.arrays():
        table, part = name.removeprefix("table").split(".")
        parts[int(table)].append(part)
    first, *rest = (" ".join(part) for part in parts)
    assert {f"{first} | {other}" for other in rest} == {expected}
    lengths = tables.substring_lengths(n_bits, 6)
    n_starts = sum(2**length + 1 for length in lengths)
    n_positions = 50 * sum("positions" in part for part in parts)
    n_words = 50 * sum("words" in part for part in parts)
    assert built.nbytes == 4 * n_starts + 4 * n_positions + 8 * n_words


def test_entries_are_in_the_order_of_value_and_position():
    rng = np.random.default_rng(1)
    for n_bits, n_tables in ((13, 1), (70, 6), (24, 2), (64, 8)):
        codes = make_codes(rng, 5000, n_bits, "ties")
        padded = np.zeros((5000, 8 * ceil(n_bits / 64)), np.uint8)
        padded[:, : n_bytes(n_bits)] = codes
        bits = np.unpackbits(codes, axis=1, count=n_bits, bitorder="little")
        for threads in (1, 3):
            built = SubstringTables.build(codes, n_bits, n_tables, threads=threads)
            for table in built.tables:
                own = bits[:, table.first_bit : table.first_bit + table.n_bits]
                values = own @ (1 << np.arange(table.n_bits))
                order = np.argsort(values, kind="stable")
                np.testing.assert_array_equal(table.positions, order)
                np.testing.assert_array_equal(table.words, padded.view("<u8")[order])
                starts = np.searchsorted(values[order], np.arange(2**table.n_bits + 1))
                np.testing.assert_array_equal(table.starts, starts)


def record_nearest(patch):
    """Note for each call of the tables which queries gave up."""
    calls, nearest = [], SubstringTables.nearest

    def noting(self, *args):
        found = nearest(self, *args)
        calls.append(found[2] < 0)
        return found

    patch.setattr(SubstringTables, "nearest", noting)
    return calls


@pytest.fixture
def crowd():
    """An index with queries, every third of which has no near code and costs more."""
    rng = np.random.default_rng(5)
    index = HammingIndex(24, threads=2)
    index.add(pack_bits(rng.integers(0, 2, (1000, 24))), 7 * np.arange(1000) + 3)
    index.build_tables(3)
    queries = index.codes[:45].copy()
    queries[::3] = pack_bits(rng.integers(0, 2, (15, 24)))
    return index, queries


def set_scan_cost(patch, nanoseconds):
    """Let a scan of 1000 codes of a word cost that much."""
    patch.setattr(routes, "_BATCH_SCAN_COST", nanoseconds / 1000)
    patch.setattr(routes, "_SINGLE_SCAN_COST", nanoseconds / 1000)
    patch.setattr(routes, "_CACHED_SCAN_COST", nanoseconds / 1000)


@pytest.mark.parametrize("n_queries", [0, 1, 16, 17, 45])
def test_tables_that_cost_less_are_taken(monkeypatch, crowd, n_queries):
    index, queries = crowd
    calls = record_nearest(monkeypatch)
    set_scan_cost(monkeypatch, 1e9)
    for _ in range(3):
        assert_finds(index, queries[:n_queries], 2, 5)
    pilots = [16, n_queries - 16] if n_queries > 16 else [n_queries]
    assert [len(call) for call in calls] == [*pilots, n_queries, n_queries]
    assert not any(call.any() for call in calls)


@pytest.mark.parametrize("n_queries", [1, 16, 17, 45])
def test_tables_that_cost_more_are_tried_again_after_some_searches(monkeypatch, crowd, n_queries):
    index, queries = crowd
    calls = record_nearest(monkeypatch)
    set_scan_cost(monkeypatch, 1)
    monkeypatch.setattr(routes, "_PATIENCE", 3)
    pilots = [min(16, n_queries)]
    tried = []
    for _ in range(8):
        calls.clear()
        assert_finds(index, queries[:n_queries], 2, 5)
        tried.append([len(call) for call in calls])
        assert all(call.all() for call in calls)
    scans = [[], []] if n_queries > 16 else [[], [], []]  # what the pilots leave counts as one
    assert tried == ([pilots, *scans] * 3)[:8]


def test_queries_that_give_up_are_scanned(monkeypatch, crowd):
    index, queries = crowd
    calls = record_nearest(monkeypatch)
    index.search(queries, 2, route="tables")
    (built,) = (segment.tables for segment in index._items.segments)
    _, _, spent = built.nearest(queries, 2, None, np.inf, 1)
    calls.clear()
    set_scan_cost(monkeypatch, np.median(spent))
    for _ in range(4):
        assert_finds(index, queries, 2, 5)
        assert_finds(index, queries, 15, 5)
        assert_finds(index, queries, 2, 5, mask=np.arange(1000) % 3 > 0)
    assert any(0 < call.sum() < len(call) for call in calls)
    assert set(built.seen) == {(2, False), (4, False), (2, True)}


def test_what_was_seen_decides_on_the_way_and_changes_with_time(monkeypatch, crowd):
    index, queries = crowd
    calls = record_nearest(monkeypatch)
    set_scan_cost(monkeypatch, 1e9)
    index.search(queries, 2)
    (built,) = (segment.tables for segment in index._items.segments)
    cost, trust = built.seen[2, False]
    assert 0 < cost < 1e9
    assert trust == routes._PATIENCE
    calls.clear()
    set_scan_cost(monkeypatch, cost / 2)  # another machine, as it were
    assert_finds(index, queries, 2, 5)
    assert calls == []
    assert built.seen[2, False] == (cost, trust - 1)
    set_scan_cost(monkeypatch, cost * 2)
    assert_finds(index, queries, 2, 5)
    assert [len(call) for call in calls] == [45]
    assert built.seen[2, False][1] == routes._PATIENCE


def test_nothing_is_read_from_places_that_a_query_did_not_write(monkeypatch, crowd):
    index, queries = crowd

    def dirty(shape, dtype=float):
        array = np.zeros(shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = 0x3F
        return array

    set_scan_cost(monkeypatch, 0)
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty", dirty)
        found = index.search(queries, 2)
    assert_same(found, index.search(queries, 2, route="scan"))


def test_a_search_for_a_large_part_of_the_codes_scans(monkeypatch, crowd):
    index, queries = crowd
    calls = record_nearest(monkeypatch)
    set_scan_cost(monkeypatch, 1e9)
    index.search(queries, 1000 // 64)
    assert len(calls) == 2
    index.search(queries, 1000 // 64 + 1)
    assert len(calls) == 2


@pytest.mark.parametrize("radius", [0, 3, 24])
@pytest.mark.parametrize("cost", [0, 1e9])
def test_a_radius_is_searched_where_the_estimate_is_lower(monkeypatch, crowd, radius, cost):
    index, queries = crowd
    calls, by_tables = [], SubstringTables.radius

    def noting(*args):
        calls.append(None)
        return by_tables(*args)

    monkeypatch.setattr(SubstringTables, "radius", noting)
    set_scan_cost(monkeypatch, cost)
    assert_finds(index, queries, 1, radius)
    assert len(calls) == (1 if cost else 0)


def double_loop(index, radius):
    near = hamming_distances(index.codes, index.codes).astype(int)
    return sorted(
        (int(index.ids[i]), int(near[i, j]), int(index.ids[j]))
        for i, j in zip(*np.nonzero(near <= radius), strict=True)
        if i < j
    )


@every_kernel
@given(
    n_bits=st.sampled_from([n for n in LENGTHS if n <= 130]),
    n=st.integers(0, 60),
    rows=st.integers(1, 70),
    kind=kinds,
    scan_cost=st.sampled_from([0.0, 1e9]),  # by scans; by tables, built for it where need be
    build=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_pairs_are_those_of_a_double_loop(kernel, n_bits, n, rows, kind, scan_cost, build, seed):
    rng = np.random.default_rng(seed)
    index = make_index(rng, n, n_bits, kind)
    if not build:
        index = HammingIndex(n_bits)
        index.add(make_codes(rng, n, n_bits, kind), make_ids(rng, n))
    radius = int(rng.integers(0, n_bits + 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASHLEARN_KERNEL", kernel)
        patch.setattr(routes, "_PAIR_ROWS", rows)
        patch.setattr(routes, "fewest_tables", lambda n_bits: ceil(n_bits / MOST))
        set_scan_cost(patch, scan_cost)
        parts = list(index.pairs_within(radius))
    found = [
        triple
        for part in parts
        for triple in zip(
            part.first_ids.tolist(), part.distances.tolist(), part.second_ids.tolist(), strict=True
        )
    ]
    assert all(len(part) for part in parts)
    assert found == double_loop(index, radius)


@pytest.mark.parametrize("has_tables", [False, True])
def test_pairs_build_tables_only_where_that_pays(monkeypatch, has_tables):
    rng = np.random.default_rng(6)
    index = make_index(rng, 200, 24, n_tables=2 if has_tables else None)
    if not has_tables:
        index = HammingIndex(24)
        index.add(make_codes(rng, 200, 24, "random"))
    built, build = [], SubstringTables.build.__func__

    def noting(cls, *args, **kwargs):
        built.append(args[2])
        return build(cls, *args, **kwargs)

    monkeypatch.setattr(SubstringTables, "build", classmethod(noting))
    monkeypatch.setattr(routes, "fewest_tables", lambda _: 3)
    for cost, wanted in ((0, 0), (1e9, 0 if has_tables else 1)):
        set_scan_cost(monkeypatch, cost)
        list(index.pairs_within(2))
        assert len(built) == wanted


def test_numpy_ignores_tables(monkeypatch, crowd):
    index, queries = crowd
    monkeypatch.setenv("HASHLEARN_KERNEL", "numpy")
    monkeypatch.setattr(SubstringTables, "nearest", None)
    monkeypatch.setattr(SubstringTables, "radius", None)
    set_scan_cost(monkeypatch, 1e9)
    for route in ("auto", "tables", "scan"):
        assert_finds(index, queries, 2, 5, route=route)
    assert sum(map(len, index.pairs_within(2))) == len(double_loop(index, 2))


def test_without_the_extension_no_tables_are_built(monkeypatch):
    monkeypatch.setattr(tables, "native", None)
    index = make_index(np.random.default_rng(0), 30, 12)
    assert index.n_tables == 0
    assert_finds(index, index.codes[:3], 4, 5, route="tables")


def test_more_codes_than_positions_can_tell_get_no_tables(monkeypatch):
    monkeypatch.setattr(tables, "MAX_CODES", 29)
    index = make_index(np.random.default_rng(0), 30, 12)
    assert index.n_tables == 0
    assert_finds(index, index.codes[:3], 4, 5, route="tables")
    index.remove(index.ids[:1])
    index.build_tables(2)
    assert index.n_tables == 2


def test_an_empty_index_has_no_tables():
    index = HammingIndex(12)
    index.build_tables()
    assert index.n_tables == index.index_bytes == 0
    assert index.search([[0, 0]], 2, route="tables").ids.tolist() == [[-1, -1]]
    assert len(index.search_radius([[0, 0]], 12, route="tables")[0][0]) == 0
    assert list(index.pairs_within(12)) == []


def test_one_item_is_found_by_tables():
    index = HammingIndex(12)
    index.add([[5, 1]], ids=[2**63 - 1])
    for n_tables in (None, 1, 2, 12):
        index.build_tables(n_tables)
        found = index.search([[7, 1], [5, 1]], 2, route="tables")
        assert found.ids.tolist() == [[2**63 - 1, -1]] * 2
        assert found.distances.tolist() == [[1, 13], [0, 13]]
        assert index.search_radius([[7, 1]], 0, route="tables")[0][0].tolist() == []
        assert index.search_radius([[7, 1]], 1, route="tables")[0][0].tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("n_bits", "n_tables"), [(64, 2), (64, 65), (12, 0), (12, -1), (12, 13), (28, 29), (29, 1)]
)
def test_a_number_of_tables_out_of_range_is_refused(n_bits, n_tables):
    fewest = tables.fewest_tables(n_bits)
    with pytest.raises(ValueError, match=f"n_tables must be from {fewest} to {n_bits}, got"):
        HammingIndex(n_bits).build_tables(n_tables)


@pytest.mark.parametrize("n_tables", [1.0, "2", True])
def test_a_number_of_tables_that_is_not_an_integer_is_refused(n_tables):
    with pytest.raises(TypeError, match="n_tables must be an integer, got"):
        HammingIndex(12).build_tables(n_tables)


@pytest.mark.parametrize("route", ["", "table", None, 1, "SCAN"])
def test_a_route_that_is_not_there_is_refused(route):
    index = HammingIndex(8)
    for search in (index.search, index.search_radius):
        with pytest.raises(ValueError, match="route must be one of auto, scan, tables, got"):
            search([[1]], 1, route=route)


def test_tables_are_built_again_when_the_tail_is_merged(monkeypatch):
    monkeypatch.setattr(items, "_SMALL", 4)
    rng = np.random.default_rng(4)
    index = make_index(rng, 40, 30, n_tables=5, lean=True)
    (base,) = index._items.segments
    more = make_codes(rng, 6, 30, "random")
    for number, code in enumerate(more):
        assert len(index._items.segments) == (1 if number in (0, 6) else 2)
        assert index._items.tables is base.tables or number == 6
        index.add([code])
        assert_finds(index, more, 3, 9, route="tables")
    (whole,) = index._items.segments
    assert (whole.tables.n_tables, whole.tables.lean) == (5, True)
    assert len(whole.tables.codes) == len(index) == 46
    assert index.n_tables == 5


def test_tables_are_built_again_when_gaps_are_squeezed_out(monkeypatch):
    monkeypatch.setattr(items, "_SMALL", 0)
    index = make_index(np.random.default_rng(4), 40, 30, n_tables=5)
    before = index._items.tables
    for number in range(1, 12):
        index.remove(index.ids[5:6])
        assert (index._items.tables is before) == (number <= 10)
        assert_finds(index, index.codes[:2], 3, 9, route="tables")
    (whole,) = index._items.segments
    assert len(whole.tables.codes) == 29


def test_tables_can_be_built_again_with_another_number(crowd):
    index, queries = crowd
    for n_tables in (4, 24, 3):
        index.build_tables(n_tables)
        assert index.n_tables == n_tables
        assert_finds(index, queries, 3, 9, route="tables")
    index.build_tables()
    assert index.n_tables == tables.choose_n_tables(index.codes, 24)


def test_tables_count_among_the_bytes_of_an_index(crowd):
    index, _ = crowd
    assert index.index_bytes == 1000 * (8 + 3) + 3 * (257 * 4 + 1000 * (4 + 8))
    index.build_tables(3, lean=True)
    assert index.index_bytes == 1000 * (8 + 3) + 3 * (257 * 4 + 1000 * 4)


@given(st.integers(1, 65_528), st.data())
def test_substrings_are_of_nearly_equal_length_and_cover_the_code(n_bits, data):
    fewest = tables.fewest_tables(n_bits)
    lengths = tables.substring_lengths(n_bits, data.draw(st.integers(fewest, n_bits)))
    assert sum(lengths) == n_bits
    assert lengths == sorted(lengths, reverse=True)
    assert 1 <= lengths[-1] <= lengths[0] <= min(lengths[-1] + 1, 28)
    assert fewest == 1 or tables.substring_lengths(n_bits, fewest - 1)[0] > 28


@given(
    n=st.integers(0, 10**9),
    n_bits=st.integers(1, 60),
    n_tables=st.integers(1, 8),
    n_words=st.integers(1, 5),
    lean=st.booleans(),
    data=st.data(),
)
def test_the_cost_of_a_radius_is_that_of_a_loop_over_steps(
    n, n_bits, n_tables, n_words, lean, data
):
    lengths = tables.substring_lengths(n_bits, min(n_bits, n_tables))
    radius = data.draw(st.integers(0, n_bits))
    n_values = [0] * len(lengths)
    for step in range(radius + 1):
        n_values[step % len(lengths)] += comb(lengths[step % len(lengths)], step // len(lengths))
    a_code = 4 if lean else 0.7 * n_words
    expected = sum(m * (30 + a_code * n / 2**b) for m, b in zip(n_values, lengths, strict=True))
    cost = tables.radius_cost(n, lengths, radius, n_words, lean=lean)
    assert cost == pytest.approx(expected)


def test_codes_whose_neighbours_are_near_get_fewer_tables():
    rng = np.random.default_rng(0)
    random = rng.integers(0, 256, (100_000, 8), dtype=np.uint8)
    near = np.repeat(random[:500], 200, axis=0)
    near[np.arange(len(near)), rng.integers(0, 8, len(near))] ^= 1
    assert tables.choose_n_tables(near, 64) < tables.choose_n_tables(random, 64)


@pytest.mark.parametrize(
    ("n", "n_bits"), [(1, 1), (1, 64), (7, 3), (300, 28), (300, 29), (99, 300)]
)
def test_the_number_of_tables_is_one_that_can_be_built(n, n_bits):
    codes = pack_bits(np.random.default_rng(n).random((n, n_bits)) < 0.5)
    fewest = tables.fewest_tables(n_bits)
    assert fewest <= tables.choose_n_tables(codes, n_bits) <= min(n_bits, fewest + 5)


def test_tables_that_hold_positions_alone_are_shorter():
    codes = np.random.default_rng(0).integers(0, 256, (20_000, 8), dtype=np.uint8)
    inline, lean = (tables.choose_n_tables(codes, 64, lean=lean) for lean in (False, True))
    assert lean < inline  # looking at a code costs more


def assert_same(found, expected):
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)


def test_tables_come_back_whatever_was_removed(tmp_path):
    codes = np.random.default_rng(0).integers(0, 256, (300, 2), dtype=np.uint8)
    index = HammingIndex(16)
    index.build_tables(2)  # for all that will come
    assert index.n_tables == 0
    for _ in range(2):
        index.add(codes)
        assert index.n_tables == 2
        index.add(codes[:50])  # they wait in a tail
        index.remove(index.ids[:300])  # the whole base
        assert index.n_tables == 2
        np.testing.assert_array_equal(index.codes, codes[:50])
        index.save(tmp_path / "some.index")
        assert HammingIndex.open(tmp_path / "some.index").n_tables == 2
        index.remove(index.ids)
        assert (len(index), index.n_tables) == (0, 0)


@pytest.mark.parametrize("n", [1023, 1024, 5000])
def test_many_hits_are_in_order(n):
    rng = np.random.default_rng(n)
    codes = np.tile(rng.integers(0, 2, (n, 1), dtype=np.uint8), 3)  # many ties
    codes[rng.random(n) < 0.1, 1] ^= 7
    index = HammingIndex(24)
    index.add(codes)
    index.build_tables(3)
    query = np.zeros((1, 3), np.uint8)
    assert_same(
        index.search_radius(query, 24, route="tables"),
        index.search_radius(query, 24, route="scan"),
    )
    assert len(index.search_radius(query, 24, route="tables").ids) == n
