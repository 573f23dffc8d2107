"""Bits and bytes against explicit loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashlearn import codes as codes_module
from hashlearn.codes import (
    check_codes,
    codes_from_hex,
    hamming_distances,
    n_bytes,
    pack_bits,
    swap_bit_order,
    unpack_bits,
)

ORDERS = ("little", "big")


def make_bits(n, n_bits, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, n_bits), dtype=np.uint8)


def pack_by_loops(bits, bit_order):
    packed = []
    for row in bits.tolist():
        code = [0] * -(-len(row) // 8)
        for j, bit in enumerate(row):
            place = j % 8 if bit_order == "little" else 7 - j % 8
            code[j // 8] += bit << place
        packed.append(code)
    return packed


sizes = st.tuples(st.integers(0, 6), st.integers(1, 140), st.integers(0, 2**32 - 1))


@given(sizes, st.sampled_from(ORDERS))
@settings(max_examples=150, deadline=None)
def test_packing_is_what_the_loops_say_and_unpacking_undoes_it(sizes, bit_order):
    bits = make_bits(*sizes)
    packed = pack_bits(bits, bit_order=bit_order)
    assert packed.dtype == np.uint8
    assert packed.shape == (sizes[0], n_bytes(sizes[1]))
    assert packed.tolist() == pack_by_loops(bits, bit_order)
    unpacked = unpack_bits(packed, sizes[1], bit_order=bit_order)
    assert unpacked.dtype == np.uint8
    np.testing.assert_array_equal(unpacked, bits)


@given(sizes)
@settings(max_examples=50, deadline=None)
def test_big_is_the_order_of_numpy_and_swapping_goes_there_and_back(sizes):
    bits = make_bits(*sizes)
    little, big = pack_bits(bits), pack_bits(bits, bit_order="big")
    np.testing.assert_array_equal(big, np.packbits(bits, axis=1))
    np.testing.assert_array_equal(swap_bit_order(little), big)
    np.testing.assert_array_equal(swap_bit_order(big), little)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float64])
def test_bits_of_every_type_are_packed(dtype):
    bits = make_bits(5, 13)
    np.testing.assert_array_equal(pack_bits(bits.astype(dtype)), pack_bits(bits))
    np.testing.assert_array_equal(pack_bits(bits.tolist()), pack_bits(bits))


def test_strided_and_read_only_arrays_are_taken():
    bits = make_bits(8, 40)
    strided = np.repeat(np.repeat(bits, 2, axis=0), 3, axis=1)[::2, ::3]
    strided.flags.writeable = False
    packed = pack_bits(strided)
    np.testing.assert_array_equal(packed, pack_bits(bits))
    strided = np.repeat(packed, 2, axis=1)[:, ::2]
    strided.flags.writeable = False
    np.testing.assert_array_equal(unpack_bits(strided, 40), bits)
    np.testing.assert_array_equal(hamming_distances(strided, strided), loops(packed, packed))


@pytest.mark.parametrize("bits", [[[0, 2]], [[0, -1]], [[0.5, 1]], [[np.nan, 1]], [["0", "1"]]])
def test_what_is_not_a_bit_is_refused(bits):
    with pytest.raises(ValueError, match="hold only 0 and 1"):
        pack_bits(bits)


@pytest.mark.parametrize("shape", [(), (3,), (3, 0), (1, 2, 3)])
def test_bits_that_are_not_a_matrix_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(n, n_bits\), got"):
        pack_bits(np.zeros(shape, bool))


@pytest.mark.parametrize(("n_bits", "expected"), [(1, 1), (8, 1), (9, 2), (np.int64(64), 8)])
def test_a_code_takes_whole_bytes(n_bits, expected):
    assert n_bytes(n_bits) == expected
    assert type(n_bytes(n_bits)) is int


def test_a_length_that_is_none_is_refused():
    for n_bits in (0, -1):
        with pytest.raises(ValueError, match=f"at least 1, got {n_bits}"):
            n_bytes(n_bits)
    for n_bits in (8.0, "8", None, True):
        with pytest.raises(TypeError, match="must be an integer"):
            n_bytes(n_bits)


def test_checked_codes_are_contiguous_and_not_copied_in_vain():
    codes = pack_bits(make_bits(4, 24))
    assert np.shares_memory(check_codes(codes, 24), codes)
    strided = np.repeat(codes, 2, axis=1)[:, ::2]
    assert check_codes(strided, 24).flags.c_contiguous
    np.testing.assert_array_equal(check_codes(codes.tolist(), 24), codes)


@pytest.mark.parametrize("n_bits", range(1, 17))
def test_every_unused_bit_must_be_0(n_bits):
    width = n_bytes(n_bits)
    for bit_order in ORDERS:
        for place in range(8 * width):
            bits = np.zeros((1, 8 * width), bool)
            bits[0, place] = True
            codes = pack_bits(bits, bit_order=bit_order)
            if place < n_bits:
                check_codes(codes, n_bits, bit_order=bit_order)
            else:
                with pytest.raises(ValueError, match="must have 0 in the last"):
                    unpack_bits(codes, n_bits, bit_order=bit_order)


def test_codes_of_another_kind_are_refused():
    for codes in (np.zeros((1, 2)), np.zeros((1, 2), bool), [[0.0]], [["a"]], [], None):
        for function in (swap_bit_order, lambda codes: check_codes(codes, 16)):
            with pytest.raises(TypeError, match="must be uint8, got"):
                function(codes)
    for codes in (np.zeros(2, np.uint8), np.zeros((1, 2, 3), np.uint8), np.zeros((1, 0), np.uint8)):
        with pytest.raises(ValueError, match=r"shape \(n, n_bytes\), got"):
            check_codes(codes, 16)
    for codes in ([[256]], [[-1]]):
        with pytest.raises(ValueError, match="from 0 to 255"):
            check_codes(codes, 8)
    with pytest.raises(ValueError, match=r"16 bits take 2 bytes, got 3 bytes a code \(17 to 24"):
        check_codes(np.zeros((1, 3), np.uint8), 16)


@pytest.mark.parametrize("bit_order", ["LITTLE", "", None, 1])
def test_an_unknown_bit_order_is_refused(bit_order):
    with pytest.raises(ValueError, match='must be "little" or "big"'):
        pack_bits([[1]], bit_order=bit_order)
    with pytest.raises(ValueError, match='must be "little" or "big"'):
        unpack_bits([[1]], 1, bit_order=bit_order)
    with pytest.raises(ValueError, match='must be "little" or "big"'):
        check_codes([[1]], 1, bit_order=bit_order)


def loops(queries, database):
    return [
        [sum(bin(a ^ b).count("1") for a, b in zip(q, d, strict=True)) for d in database.tolist()]
        for q in queries.tolist()
    ]


pairs = st.tuples(
    st.integers(0, 5), st.integers(0, 7), st.integers(1, 40), st.integers(0, 2**32 - 1)
)


def make_codes(n_queries, n, width, seed):
    rng = np.random.default_rng(seed)
    return (rng.integers(0, 256, (size, width), np.uint8) for size in (n_queries, n))


@given(pairs)
@settings(max_examples=100, deadline=None)
def test_distances_count_the_differing_bits(pairs):
    queries, database = make_codes(*pairs)
    distances = hamming_distances(queries, database)
    assert distances.dtype == np.uint16
    assert distances.shape == (len(queries), len(database))
    assert distances.tolist() == loops(queries, database)


def test_distances_do_not_depend_on_the_size_of_blocks(monkeypatch):
    queries, database = make_codes(9, 7, 11, 0)
    expected = loops(queries, database)
    for block_codes in (1, 100, 200, 10_000):
        monkeypatch.setattr(codes_module, "_BLOCK_CODES", block_codes)
        assert hamming_distances(queries, database).tolist() == expected


def test_distances_of_codes_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="queries have 1 bytes a code, the database has 2"):
        hamming_distances([[1]], [[1, 2]])


def test_distances_that_would_overflow_are_refused():
    ones, zeros = np.full((1, 8191), 255, np.uint8), np.zeros((1, 8191), np.uint8)
    assert hamming_distances(ones, zeros).tolist() == [[65_528]]
    with pytest.raises(ValueError, match="at most 8191 bytes, got 8192"):
        hamming_distances(np.zeros((1, 8192), np.uint8), np.zeros((1, 8192), np.uint8))


@pytest.mark.parametrize("n_digits", [1, 2, 3, 16, 64])
def test_hexadecimal_digits_are_bits_in_the_order_in_which_they_are_written(n_digits):
    bits = np.random.default_rng(0).integers(0, 2, (9, 4 * n_digits))
    hashes = [f"{int(''.join(map(str, row)), 2):0{n_digits}x}" for row in bits]
    for written in (hashes, [text.upper() for text in hashes], [f"0x{text}" for text in hashes]):
        codes, n_bits = codes_from_hex(written)
        assert n_bits == 4 * n_digits
        np.testing.assert_array_equal(unpack_bits(codes, n_bits), bits)


@pytest.mark.parametrize(
    ("hashes", "message"),
    [
        ([], "there are no hashes"),
        (["0f", ""], "hash 2 is not a hexadecimal number: ''"),
        (["0f", "0 f"], "hash 2 is not a hexadecimal number: '0 f'"),
        (["0f", "0g"], "hash 2 is not a hexadecimal number: '0g'"),
        (["0f\n"], r"hash 1 is not a hexadecimal number: '0f\\n'"),
        (["０f"], "hash 1 is not a hexadecimal number"),
        (["0f", "0ff"], "hash 2 has 12 bits and hash 1 has 8; all must have one length"),
    ],
)
def test_what_is_no_hexadecimal_code_is_refused(hashes, message):
    with pytest.raises(ValueError, match=message):
        codes_from_hex(hashes)
