"""What an index holds after additions and removals."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hashlearn.index import HammingIndex, items

LARGEST_ID = 2**63 - 1

ids_of_items = st.one_of(st.integers(0, 20), st.integers(LARGEST_ID - 3, LARGEST_ID))


class AnyHistory(RuleBasedStateMachine):
    """An index beside a dictionary that goes through the same changes."""

    def __init__(self):
        super().__init__()
        # So few items that tails, gaps, merges and copies all happen.
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(items, "_SMALL", 2)
        self.patch.setattr(items, "_TAIL_PART", 2)
        self.patch.setattr(items, "_GAP_PART", 2)
        self.patch.setattr(items, "_SPARSE_PART", 2)
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.n_files = 0
        self.index = HammingIndex(8, threads=2)
        self.items = {}
        self.next_id = 0
        self.earlier = []

    def teardown(self):
        self.patch.undo()
        self.folder.cleanup()

    @rule(ids=st.lists(ids_of_items, unique=True, max_size=6), seed=st.integers(0, 255))
    def add(self, ids, seed):
        codes = some_codes(len(ids), seed)
        if self.items.keys() & set(ids):
            with pytest.raises(ValueError, match="already in the index"):
                self.index.add(codes, ids)
        else:
            self.index.add(codes, ids)
            self.items |= dict(zip(ids, codes[:, 0].tolist(), strict=True))
            self.next_id = max([self.next_id, *(id_ + 1 for id_ in ids)])

    @rule(n=st.integers(0, 9), seed=st.integers(0, 255))
    def add_without_ids(self, n, seed):
        codes = some_codes(n, seed)
        if self.next_id + n > LARGEST_ID + 1:
            with pytest.raises(ValueError, match=r"not [1-9] integers left .* give ids"):
                self.index.add(codes)
        else:
            self.index.add(codes)
            new_ids = range(self.next_id, self.next_id + n)
            self.items |= dict(zip(new_ids, codes[:, 0].tolist(), strict=True))
            self.next_id += n

    @rule(ids=st.lists(ids_of_items, max_size=3))
    def remove(self, ids):
        if set(ids) <= self.items.keys():
            self.index.remove(ids)
            for id_ in set(ids):
                del self.items[id_]
        else:
            with pytest.raises(KeyError, match="not in the index"):
                self.index.remove(ids)

    @precondition(lambda self: self.items)
    @rule(places=st.lists(st.floats(0, 0.999), min_size=1, max_size=3))
    def remove_some_that_are_there(self, places):
        ids = sorted(self.items)
        self.remove([ids[int(place * len(ids))] for place in places])

    @rule(n_tables=st.sampled_from([None, 1, 2, 3, 8]), lean=st.booleans())
    def build_tables(self, n_tables, lean):
        self.index.build_tables(n_tables, lean=lean)

    @rule(mmap=st.booleans())
    def save_and_open(self, mmap):
        n_tables = self.index.n_tables
        path = Path(self.folder.name, f"{self.n_files}.index")
        self.n_files += 1
        self.index.save(path)
        HammingIndex.verify(path)
        self.index = HammingIndex.open(path, mmap=mmap, threads=2)
        assert len(self.index._items.segments) == bool(self.items)
        # Without a number, tables are as many as suit the number of items.
        assert bool(self.index.n_tables) == bool(n_tables)

    @rule(
        query=st.integers(0, 255),
        k=st.integers(1, 12),
        radius=st.integers(0, 8),
        route=st.sampled_from(["auto", "scan", "tables"]),
        chosen=st.integers(0, 2**16 - 1),
    )
    def search_with_a_mask(self, query, k, radius, route, chosen):
        marks = [bool(chosen >> number % 16 & 1) for number in range(len(self.items))]
        wanted = [id_ for id_, mark in zip(sorted(self.items), marks, strict=True) if mark]
        for mask in (np.array(marks, bool), np.array(wanted[::-1], np.int64)):
            self.search(query, k, radius, route, wanted, mask)

    @rule()
    def remember(self):
        before = self.index._items
        self.earlier.append((before, before.ids.copy(), before.codes.copy()))

    def search(self, query, k, radius, route, wanted, mask):
        expected = sorted(((self.items[id_] ^ query).bit_count(), id_) for id_ in wanted)
        found = self.index.search([[query]], k, mask=mask, route=route)
        pairs = list(zip(found.distances[0].tolist(), found.ids[0].tolist(), strict=True))
        assert pairs == (expected + [(9, -1)] * k)[:k]
        ids, distances = self.index.search_radius([[query]], radius, mask=mask, route=route)[0]
        pairs = list(zip(distances.tolist(), ids.tolist(), strict=True))
        assert pairs == [pair for pair in expected if pair[0] <= radius]

    @invariant()
    def they_agree(self):
        ids = sorted(self.items)
        assert self.index.ids.tolist() == ids
        assert self.index.codes[:, 0].tolist() == [self.items[id_] for id_ in ids]
        assert len(self.index) == len(self.items)
        assert self.index.index_bytes >= len(ids)
        assert all(id_ in self.index for id_ in ids)
        assert not any(id_ in self.index for id_ in range(25) if id_ not in self.items)

    @invariant()
    def every_route_finds_the_same(self):
        for route in ("auto", "scan", "tables"):
            self.search(0x5A, len(self.items) + 1, 3, route, self.items, None)
        pairs = [
            (first, second)
            for part in self.index.pairs_within(1)
            for first, second in zip(part.first_ids.tolist(), part.second_ids.tolist(), strict=True)
        ]
        assert sorted(pairs) == [
            (i, j)
            for i in sorted(self.items)
            for j in sorted(self.items)
            if i < j and (self.items[i] ^ self.items[j]).bit_count() <= 1
        ]

    @invariant()
    def what_was_earlier_stays_as_it_was(self):
        for before, ids, codes in self.earlier:
            np.testing.assert_array_equal(before.ids, ids)
            np.testing.assert_array_equal(before.codes, codes)


def some_codes(n, seed):
    return np.random.default_rng(seed).integers(0, 256, (n, 1), dtype=np.uint8)


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def make_index(n):
    index = HammingIndex(8)
    index.add(np.arange(n, dtype=np.uint8)[:, None])
    return index


def test_ids_start_at_0_and_go_on_above_the_largest():
    index = make_index(2)
    index.add([[7]], ids=[10])
    index.add([[8], [9]])
    assert index.ids.tolist() == [0, 1, 10, 11, 12]


def test_removed_ids_are_not_handed_out_again():
    index = make_index(3)
    index.remove([0, 2])
    index.add([[9]])
    assert index.ids.tolist() == [1, 3]
    index.add([[8]], ids=[2])  # but one may ask for them
    assert index.ids.tolist() == [1, 2, 3]
    assert index.codes.tolist() == [[1], [8], [9]]


def test_what_was_removed_is_not_found():
    index = make_index(4)
    index.remove([3, 0, 3])
    assert index.search([[0]], 4).ids.tolist() == [[1, 2, -1, -1]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([5, -1, -7], "0 or more, got -7, -1"),
        ([5, 6, 5], "more than once: 5"),
        ([5, 2, 0], "already in the index: 0, 2"),
        ([5, 6], "equally many, got 3 and 2"),
        ([[5], [6], [7]], "flat"),
        (np.array([1, 2, 2**63], np.uint64), "at most 2.*63 - 1, got 9223372036854775808"),
    ],
)
def test_wrong_ids_are_refused_and_nothing_is_added(ids, message):
    index = make_index(3)
    with pytest.raises(ValueError, match=message):
        index.add([[9], [9], [9]], ids=ids)
    assert index.codes.tolist() == [[0], [1], [2]]
    index.add([[9]])
    assert index.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("ids", [[0.0, 1.0], [True, False], ["0", "1"], [0, 2**70], [None, 1]])
def test_ids_that_are_not_integers_are_refused(ids):
    index = make_index(0)
    with pytest.raises(TypeError, match="ids must be integers"):
        index.add([[1], [2]], ids=ids)
    with pytest.raises(TypeError, match="ids must be integers"):
        index.remove(ids)
    assert len(index) == 0


def test_an_error_names_only_some_of_many_ids():
    index = make_index(0)
    with pytest.raises(KeyError, match="not in the index: 0, 1, 2, 3, 4 and 95 more"):
        index.remove(np.arange(100))


def test_unknown_ids_are_refused_and_nothing_is_removed():
    index = make_index(3)
    with pytest.raises(KeyError, match="not in the index: -1, 9"):
        index.remove([0, 9, -1])
    assert len(index) == 3


def test_ids_of_every_integer_type_are_taken():
    index = HammingIndex(8)
    for number, dtype in enumerate("bBhHiIqQ"):
        index.add([[number]], ids=np.array([number], dtype))
    assert index.ids.tolist() == list(range(8))
    assert index.ids.dtype == np.int64


def test_adding_or_removing_nothing_changes_nothing():
    index = make_index(2)
    nothing = np.empty((0, 1), np.uint8)
    index.add(nothing)
    index.add(nothing, ids=[])
    index.remove([])
    index.add([[5]])
    assert index.ids.tolist() == [0, 1, 2]


def test_codes_of_another_kind_are_refused():
    index = HammingIndex(12)
    with pytest.raises(TypeError, match="must be uint8, got float64"):
        index.add(np.zeros((1, 2)))
    with pytest.raises(ValueError, match="take 2 bytes, got 1"):
        index.add([[1]])
    with pytest.raises(ValueError, match="0 in the last 4 bits"):
        index.add([[1, 16]])
    assert len(index) == 0


@pytest.mark.parametrize("n_bits", [0, -8, 65_529])
def test_a_length_out_of_range_is_refused(n_bits):
    with pytest.raises(ValueError, match=f"n_bits must be from 1 to 65528, got {n_bits}"):
        HammingIndex(n_bits)


def test_a_number_of_threads_out_of_range_is_refused():
    with pytest.raises(ValueError, match="threads must be from 1 to 1024, got 0"):
        HammingIndex(8, threads=0)
    with pytest.raises(TypeError, match=r"threads must be an integer, got 1\.5"):
        HammingIndex(8, threads=1.5)


def test_the_arrays_of_an_index_are_read_only_and_not_the_callers():
    codes, ids = np.array([[1], [2]], np.uint8), np.array([0, 1])
    index = HammingIndex(8)
    index.add(codes, ids)
    codes[:], ids[:] = 9, 9
    assert index.ids.tolist() == [0, 1]
    assert index.codes.tolist() == [[1], [2]]
    for array in (index.ids, index.codes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_views_taken_earlier_stay_as_they_were():
    index = make_index(5)
    ids, codes = index.ids, index.codes
    index.remove([4, 0])
    for number in range(20):
        index.add([[50 + number]])
    index.add([[99]], ids=[0])
    assert ids.tolist() == [0, 1, 2, 3, 4]
    assert codes[:, 0].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("step", [1, 2])
def test_additions_in_the_order_of_ids_seldom_copy(step):
    index, kept = HammingIndex(8), []  # kept so that no address is used twice
    for number in range(5_000):
        index.add([[number % 256]], ids=[step * number])
        (segment,) = index._items.segments
        kept.append((segment.codes, np.asarray(segment.ids) if step > 1 else segment.codes))
    for arrays in zip(*kept, strict=True):
        assert len({array.ctypes.data for array in arrays}) < 30
    assert index.ids.tolist() == list(range(0, 5_000 * step, step))


def test_membership_is_by_id():
    index = make_index(2)
    index.add([[9]], ids=[LARGEST_ID])
    assert 0 in index
    assert np.int64(1) in index
    assert np.uint64(LARGEST_ID) in index
    for absent in (2, -1, 2**63, 2**80, 0.0, "0", None):
        assert absent not in index
    assert 0 not in HammingIndex(8)


def test_an_index_tells_its_size():
    index = HammingIndex(np.int64(12))
    assert repr(index) == "<HammingIndex of 0 codes of 12 bits>"
    index.add([[1, 0]] * 3)
    assert (len(index), index.n_bits, type(index.n_bits)) == (3, 12, int)
    assert index.index_bytes == 3 * 2  # ids that are consecutive take nothing
    index.add([[1, 0]] * 2, ids=[7, 9])
    assert index.index_bytes == 5 * (8 + 2)
