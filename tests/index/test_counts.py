import numpy as np
import pytest

from hashlearn.codes import hamming_distances
from hashlearn.index import count_distances


@pytest.mark.parametrize("n_bits", [1, 7, 8, 33, 64, 100, 128, 300])
def test_counts_are_those_of_the_distances_one_by_one(n_bits):
    rng = np.random.default_rng(n_bits)
    codes = np.packbits(rng.integers(0, 2, (120, n_bits)), axis=1, bitorder="little")
    queries, database = codes[:7], codes[7:]
    relevant = rng.random((7, 113)) < 0.3
    gains = rng.integers(0, 256, (7, 113)).astype(np.uint8)
    counts = count_distances(queries, database, n_bits, relevant, gains)
    retrieved, hits, worth = np.zeros((3, 7, n_bits + 1), dtype=np.int64)
    for query, row in enumerate(hamming_distances(queries, database)):
        for item, distance in enumerate(row):
            retrieved[query, distance] += 1
            hits[query, distance] += relevant[query, item]
            worth[query, distance] += gains[query, item]
    np.testing.assert_array_equal(counts.retrieved, retrieved)
    np.testing.assert_array_equal(counts.hits, hits)
    np.testing.assert_array_equal(counts.gains, worth)


def test_wrong_marks_are_refused():
    codes = np.zeros((3, 1), dtype=np.uint8)
    with pytest.raises(TypeError, match="relevant must be bool, got int64"):
        count_distances(codes, codes, 8, np.ones((3, 3), dtype=np.int64))
    with pytest.raises(ValueError, match=r"relevant must have the shape \(3, 3\), got \(3, 2\)"):
        count_distances(codes, codes, 8, np.ones((3, 2), dtype=bool))
    with pytest.raises(TypeError, match="gains must be uint8"):
        count_distances(codes, codes, 8, np.ones((3, 3), dtype=bool), np.ones((3, 3)))
