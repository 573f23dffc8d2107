import json
from collections import Counter
from importlib import import_module
from itertools import combinations
from math import log2

import numpy as np
import pytest

from hashlearn.codes import pack_bits
from hashlearn.evaluation import bit_statistics

bits_module = import_module("hashlearn.evaluation.bits")


def loop_entropy(shares):
    return -sum(share * log2(share) for share in shares if share > 0)


@pytest.mark.parametrize("block_entries", [1 << 23, 60])
@pytest.mark.parametrize("n_bits", [1, 3, 8, 13, 70])
def test_statistics_are_those_of_loops_over_bits_and_pairs(n_bits, block_entries, monkeypatch):
    monkeypatch.setattr(bits_module, "_BLOCK_ENTRIES", block_entries)
    rng = np.random.default_rng(n_bits)
    few = (rng.random((9, n_bits)) < 0.4).astype(np.uint8)  # drawn from, so that codes repeat
    few[:, 0] = np.arange(9) % 2
    bits = few[rng.integers(9, size=50)]
    if n_bits > 3:
        bits[:, 1], bits[:, 2] = 0, 1
    got = bit_statistics(pack_bits(bits), n_bits)
    np.testing.assert_allclose(got.balance, bits.mean(axis=0))
    varying = [bit for bit in bits.T if len(set(bit.tolist())) == 2]
    assert got.n_constant == n_bits - len(varying)
    correlations = [abs(np.corrcoef(a, b)[0, 1]) for a, b in combinations(varying, 2)]
    assert got.mean_correlation == pytest.approx(np.mean(correlations) if correlations else 0)
    assert got.largest_correlation == pytest.approx(max(correlations, default=0))
    by_bit = [loop_entropy([p, 1 - p]) for p in bits.mean(axis=0)]
    assert got.bit_entropy == pytest.approx(sum(by_bit))
    codes = [tuple(code) for code in bits.tolist()]
    copies = Counter(codes).values()
    assert got.n_distinct == len(copies) < 50
    assert got.code_entropy == pytest.approx(loop_entropy([c / 50 for c in copies]))
    same = [a == b for a, b in combinations(codes, 2)]
    assert got.collision_rate == pytest.approx(np.mean(same))
    assert (got.n_codes, got.n_bits) == (50, n_bits)


def test_constant_bits_give_numbers():
    got = bit_statistics(np.zeros((4, 2), np.uint8), 12)
    assert got.n_constant == 12
    assert got.balance.tolist() == [0.0] * 12
    numbers = [
        got.mean_correlation, got.largest_correlation, got.bit_entropy, got.code_entropy,
    ]  # fmt: skip
    assert numbers == [0, 0, 0, 0]
    assert (got.n_distinct, got.collision_rate) == (1, 1)


def test_all_codes_once_are_the_best_there_is():
    got = bit_statistics(np.arange(256, dtype=np.uint8)[:, None], 8)
    assert got.balance.tolist() == [0.5] * 8
    assert (got.mean_correlation, got.largest_correlation) == (0, 0)
    assert (got.bit_entropy, got.code_entropy) == (8, 8)
    assert (got.n_distinct, got.collision_rate) == (256, 0)


def test_a_bit_and_its_opposite_are_fully_correlated():
    got = bit_statistics([[0b01], [0b10], [0b10]], 2)
    assert got.largest_correlation == pytest.approx(1)


def test_codes_without_statistics_are_refused():
    with pytest.raises(ValueError, match="at least 2 codes, got 1"):
        bit_statistics([[1]], 8)
    with pytest.raises(ValueError, match="take 2 bytes"):
        bit_statistics([[1], [2]], 9)
    with pytest.raises(TypeError, match="uint8"):
        bit_statistics(np.ones((2, 1)), 8)


def test_the_plain_numbers_name_the_worst_bit():
    codes = np.packbits([[1, 0, 1], [1, 1, 0], [1, 0, 0], [1, 1, 0]], axis=1, bitorder="little")
    plain = bit_statistics(codes, 3).as_dict()
    assert plain["worst_balance"] == 1.0
    assert plain["n_constant"] == 1
    assert plain["n_distinct"] == 3
    assert json.loads(json.dumps(plain)) == plain
