"""What vectors can be compressed to: each finds neighbours, in as many bytes as it says."""

import sys

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

from hashlearn.codes import hamming_distances, n_bytes, pack_bits
from hashlearn.compression import contestants as module
from hashlearn.compression.contestants import Codes, Quantizer, Sign, baselines, quantizers
from hashlearn.compression.exact import neighbor_recall
from hashlearn.evaluation.ground_truth import euclidean_neighbors
from hashlearn.hashers import get_method

N_BITS = 96
K = 10


def clustered(n, d, seed=0):
    """Draw vectors around 30 centres, the centres being the same for every seed."""
    centres = np.random.default_rng(7).normal(size=(30, d))
    rng = np.random.default_rng(seed)
    X = centres[rng.integers(0, 30, n)] + 0.4 * rng.normal(size=(n, d))
    return X.astype(np.float32)


X, QUERIES = clustered(1000, 120), clustered(30, 120, seed=1)
TRUTH = euclidean_neighbors(QUERIES, X, K)
CHANCE = K / len(X)  # of ten found at random, so many are among the nearest ten


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Let faiss work in one thread: where others wait for the processor, more take far longer."""
    monkeypatch.setattr(module, "available_threads", lambda: 1)


@pytest.mark.parametrize("place", range(6))
def test_each_finds_far_more_than_chance(place):
    pytest.importorskip("faiss")
    contestant = baselines(N_BITS, 120)[place]
    contestant.train(X, 0)
    contestant.add(X[:400])
    contestant.add(X[400:])
    for ranking in contestant.rankings:
        ids = contestant.search(QUERIES, K, ranking)
        assert ids.shape == (30, K)
        assert all(len(set(row)) == K for row in ids.tolist())
        assert neighbor_recall(ids, TRUTH, K).mean() > 20 * CHANCE
        some = contestant.search(QUERIES[:2], K, ranking)
        np.testing.assert_array_equal(some, ids[:2])


def test_baselines_are_signs_itq_and_quantisers_of_as_many_bytes():
    pytest.importorskip("faiss")
    made = baselines(N_BITS, 120)
    names = ["sign", "PCA-sign", "ITQ", "RaBitQ", "PQ", "OPQ"]
    assert [contestant.name for contestant in made] == names
    assert {contestant.bytes_per_vector for contestant in made} == {12}
    unrotated = baselines(N_BITS, 120, rotated=False)
    assert [contestant.name for contestant in unrotated] == names[:-1]


@pytest.mark.parametrize("n_features", [30, 120])
@pytest.mark.parametrize("n_bits", [32, 64, 100, 128, 256])
def test_quantisers_keep_the_bytes_that_they_say_and_no_more_than_the_codes(n_bits, n_features):
    pytest.importorskip("faiss")
    some = np.ascontiguousarray(X[:300, :n_features])
    for contestant in quantizers(n_bits, n_features, rotated=False):
        assert contestant.bytes_per_vector <= n_bytes(n_bits)
        contestant.train(some, 0)
        assert contestant._index.sa_code_size() == contestant.bytes_per_vector


@pytest.mark.parametrize(
    ("n_bits", "n_features", "names"),
    [
        (128, 128, ["sign", "PCA-sign", "ITQ", "RaBitQ", "PQ", "OPQ"]),
        (136, 128, ["RaBitQ", "PQ", "OPQ"]),  # no more principal components than features
        (64, 200, ["sign", "PCA-sign", "ITQ", "PQ", "OPQ"]),  # its factors alone take 8 bytes
        (128, 7, []),  # RaBitQ's bytes of bits need 8 features
        (128, 8, ["RaBitQ"]),
        (128, 15, ["RaBitQ"]),
        (128, 16, ["RaBitQ", "PQ", "OPQ"]),
    ],
)
def test_what_does_not_fit_is_left_out(n_bits, n_features, names):
    pytest.importorskip("faiss")
    assert [contestant.name for contestant in baselines(n_bits, n_features)] == names


def test_without_faiss_only_codes_remain(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    names = [contestant.name for contestant in baselines(N_BITS, 120)]
    assert names == ["sign", "PCA-sign", "ITQ"]
    assert quantizers(N_BITS, 120) == []
    with pytest.raises(ImportError, match=r"pip install 'hashlearn\[faiss\]'"):
        Quantizer("PQ", "PQ16x8np", 16, 16)


def test_vectors_are_padded_with_zeros_to_a_multiple_of_the_parts():
    pytest.importorskip("faiss")
    padded, whole = (Quantizer("PQ", "PQ16x8np", 16, n_parts) for n_parts in (16, 1))
    zeros = np.zeros((1, 8), np.float32)  # from 120 to 128
    for contestant, add_zeros in [(padded, False), (whole, True)]:
        given = [
            np.concatenate([part, zeros.repeat(len(part), axis=0)], axis=1) if add_zeros else part
            for part in (X, QUERIES)
        ]
        contestant.train(given[0], 0)
        contestant.add(given[0])
        assert contestant._index.d == 128
        contestant.found = contestant.search(given[1], K, "estimate")
    np.testing.assert_array_equal(padded.found, whole.found)


def test_faiss_learns_from_a_part_that_the_seed_draws(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(module, "_TRAINING_ROWS", 400)
    found = []
    for seed in (0, 0, 1):
        contestant = Quantizer("PQ", "PQ8x8np", 8, 8)
        contestant.train(X, seed)
        contestant.add(X)
        found.append(contestant.search(QUERIES, K, "estimate"))
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_where_there_are_too_few_no_number_is_found():
    pytest.importorskip("faiss")
    for contestant in baselines(N_BITS, 120, rotated=False):
        contestant.train(X, 0)
        contestant.add(X[:4])
        for ranking in contestant.rankings:
            ids = contestant.search(QUERIES, K, ranking)
            assert (np.sort(ids[:, :4]) == np.arange(4)).all()
            assert (ids[:, 4:] == -1).all()


def test_signs_are_those_of_the_first_entries():
    hasher = Sign(20).fit(X)
    np.testing.assert_array_equal(hasher.transform(X), X[:, :20] >= 0)
    np.testing.assert_array_equal(hasher.project(X), X[:, :20])
    np.testing.assert_array_equal(hasher.project(X), X @ hasher.weights_.T + hasher.bias_)
    with pytest.raises(ValueError, match="there are 120 entries for 121 bits"):
        Sign(121).fit(X)
    with pytest.raises(ValueError, match="NaN"):
        hasher.encode(np.full((1, 120), np.nan))


def test_codes_are_ranked_as_their_names_say():
    contestant = Codes("sign", Sign(64), ("hamming", "values/30", "values/1000", "factors/30"))
    contestant.train(X, 0)
    contestant.add(X)
    near = hamming_distances(pack_bits(QUERIES[:, :64] >= 0), pack_bits(X[:, :64] >= 0))
    first = np.argsort(near, axis=1, kind="stable")
    np.testing.assert_array_equal(contestant.search(QUERIES, K, "hamming"), first[:, :K])
    found = {ranking: contestant.search(QUERIES, K, ranking) for ranking in contestant.rankings}
    for ranking in ("values/30", "factors/30"):
        for row, ids in enumerate(found[ranking]):
            assert set(ids) <= set(first[row, :30])
    assert (found["values/30"] != found["values/1000"]).any()
    with pytest.raises(ValueError, match="n_candidates must be at least k=31, got 30"):
        contestant.search(QUERIES, 31, "values/30")
    with pytest.raises(ValueError, match="ranks by hamming, values, factors"):
        contestant.search(QUERIES, K, "exact/30")


def test_factors_are_kept_only_where_a_ranking_needs_them():
    for rankings, has_factors in [(("hamming",), False), (("hamming", "factors/30"), True)]:
        contestant = Codes("sign", Sign(64), rankings)
        contestant.train(X, 0)
        assert ("factors" in contestant.vectors.rankings) is has_factors
        assert contestant.bytes_per_vector == 8


def test_training_again_learns_again_and_forgets_the_vectors():
    once, twice = (Codes("LSH", get_method("lsh")(64)) for _ in range(2))
    twice.train(X[:50], 5)
    twice.add(X[:50])
    for contestant in (once, twice):
        contestant.train(X, 0)
        contestant.add(X)
    assert len(twice.vectors) == len(X)
    np.testing.assert_array_equal(
        twice.search(QUERIES, K, "values/100"), once.search(QUERIES, K, "values/100")
    )


def test_a_fitted_model_stays_as_it_is_and_a_pipeline_is_seeded():
    fitted = get_method("lsh")(64, random_state=3).fit(X)
    codes = fitted.encode(X)
    contestant = Codes("LSH", fitted, is_fitted=True)
    contestant.train(X[:50], 0)
    np.testing.assert_array_equal(fitted.encode(X), codes)
    pipeline = make_pipeline(Normalizer(), get_method("lsh")(64))
    contestant = Codes("LSH", pipeline)
    contestant.train(X, 3)
    assert pipeline[-1].random_state == 3
    contestant.add(X)
    assert neighbor_recall(contestant.search(QUERIES, K, "hamming"), TRUTH, K).mean() > 0.1
