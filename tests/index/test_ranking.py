"""Distances by which found items are ordered anew."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashlearn.codes import pack_bits, unpack_bits
from hashlearn.index import HammingIndex
from hashlearn.results import NO_ID, Neighbors


def spherical(a, b):
    """The definition, as an exact fraction; None where no ones are shared."""
    shared = sum(x and y for x, y in zip(a, b, strict=True))
    differing = sum(x != y for x, y in zip(a, b, strict=True))
    return Fraction(differing, shared) if shared else None


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 9))
def test_spherical_distances_order_by_the_fraction_and_then_the_id(n_bits, n, seed):
    rng = np.random.default_rng(seed)
    bits, queries = rng.random((n, n_bits)) < 0.5, rng.random((3, n_bits)) < 0.3
    ids = rng.permutation(n)
    index = HammingIndex(n_bits)
    index.add(pack_bits(bits), ids)
    found = index.search(pack_bits(queries), n + 2)
    reranked = index.rerank_spherical(pack_bits(queries), found)
    for row, query in enumerate(queries):
        order = []
        for id_, code in zip(ids, bits, strict=True):
            distance = spherical(query, code)
            order.append((distance is None, distance or 0, id_, int((query != code).sum())))
        order.sort()
        assert reranked.ids[row].tolist() == [id_ for *_, id_, _ in order] + [NO_ID] * 2
        expected = [hamming for *_, hamming in order] + [n_bits + 1] * 2
        assert reranked.distances[row].tolist() == expected


def test_long_codes_with_equal_fractions_are_tied():
    bits = np.zeros((3, 4096), bool)
    query = np.zeros(4096, bool)
    query[:1234] = True
    for row, (shared, others) in enumerate([(617, 0), (1234, 1234), (1000, 766)]):
        bits[row, :shared] = True  # 1/1, 1234/1234, (234 + 766)/1000
        bits[row, 2000 : 2000 + others] = True
    index = HammingIndex(4096)
    index.add(pack_bits(bits))
    assert unpack_bits(index.codes, 4096).sum() == bits.sum()
    found = Neighbors(np.array([[2, 1, 0]]), np.array([[1000, 1234, 617]]))
    reranked = index.rerank_spherical(pack_bits(query[None]), found)
    assert reranked.ids.tolist() == [[0, 1, 2]]
    assert reranked.distances.tolist() == [[617, 1234, 1000]]


def test_spherical_reranking_refuses_what_does_not_fit():
    index = HammingIndex(2)
    index.add([[1]])
    found = index.search([[1]], 1)
    with pytest.raises(ValueError, match="2 bits take 1 bytes"):
        index.rerank_spherical([[1, 1]], found)
    with pytest.raises(ValueError, match=r"queries and neighbors .* got 2 and 1"):
        index.rerank_spherical([[1], [1]], found)
    with pytest.raises(TypeError, match="must be Neighbors, got list"):
        index.rerank_spherical([[1]], [])
    with pytest.raises(KeyError, match="not in the index: 5"):
        index.rerank_spherical([[1]], Neighbors(np.array([[5]]), np.array([[0]])))
