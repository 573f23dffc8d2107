import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import hypergeom

from hashlearn.evaluation import Rankings, TieGroups
from hashlearn.evaluation import ties as ties_module
from hashlearn.results import DistanceCounts


def loop_average_precision_over_hits(retrieved, hits, cutoff):
    """Go through the places of each group, and through all numbers of hits in the group cut."""
    before = found = 0
    summed = 0.0
    for n, r in zip(retrieved, hits, strict=True):
        j = min(n, cutoff - before)
        if j < n:
            if j == 0 or r == 0:
                break
            total = 0.0
            for x in range(min(r, j) + 1):
                part = 0.0
                for place in range(1, j + 1):
                    earlier = (place - 1) * (x - 1) / (j - 1) if j > 1 else 0.0
                    part += x / j * (found + 1 + earlier) / (before + place)
                if found + x:
                    total += hypergeom.pmf(x, n, r, j) * (summed + part) / (found + x)
            return total
        for place in range(1, n + 1):
            earlier = (place - 1) * (r - 1) / (n - 1) if n > 1 else 0.0
            summed += r / n * (found + 1 + earlier) / (before + place)
        before, found = before + n, found + r
    return summed / found if found else np.nan


levels = st.lists(
    st.integers(0, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    min_size=1,
    max_size=4,
)


@given(groups=levels, cutoff=st.integers(1, 600))
def test_the_hits_in_the_group_that_is_cut_are_hypergeometric(groups, cutoff):
    retrieved, hits = np.array(groups).T
    expected = loop_average_precision_over_hits(retrieved, hits, cutoff)
    counts = DistanceCounts(retrieved[None], hits[None])
    got = TieGroups(counts).average_precision(cutoff=cutoff, denominator="hits")
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@given(data=st.data())
def test_permuting_tied_items_moves_no_expectation(data):
    n = data.draw(st.integers(1, 30))
    distances = np.sort(data.draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)))
    gains = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    order = np.lexsort((data.draw(st.permutations(range(n))), distances))
    k = data.draw(st.integers(1, 40))
    total, ideal = [np.count_nonzero(gains)], [7.0]
    before = Rankings([gains > 0], [distances], total, [gains])
    after = Rankings([gains[order] > 0], [distances], total, [gains[order]])
    for denominator in ("all", "min", "hits"):
        options = {"cutoff": k, "denominator": denominator}
        np.testing.assert_array_equal(
            before.average_precision(**options), after.average_precision(**options)
        )
    for method in ("precision_at", "recall_at", "ndcg_at", "precision_within", "recall_within"):
        np.testing.assert_array_equal(getattr(before, method)(k), getattr(after, method)(k))
    np.testing.assert_array_equal(before.ndcg_at(k, ideal), after.ndcg_at(k, ideal))


def test_many_queries_are_averaged_over_hits_as_each_alone(monkeypatch):
    rng = np.random.default_rng(0)
    retrieved = rng.integers(0, 90, (40, 6))
    hits = rng.binomial(retrieved, rng.random((40, 1)))
    options = {"cutoff": 150, "denominator": "hits"}
    monkeypatch.setattr(ties_module, "_BLOCK_ENTRIES", 100)
    whole = TieGroups(DistanceCounts(retrieved, hits)).average_precision(**options)
    for query in range(40):
        alone = loop_average_precision_over_hits(retrieved[query], hits[query], 150)
        np.testing.assert_allclose(whole[query], alone, rtol=1e-9)


def test_tails_that_are_left_out_do_not_move_the_mean_over_hits():
    retrieved, hits = np.array([[50_000, 300_000, 650_000]]), np.array([[900, 60_000, 100]])
    x = np.arange(60_001)
    j, before, sure = 150_000, 50_000, 900
    places = 1 / np.arange(before + 1, before + j + 1)
    first = 900 / 50_000 * sum(
        (1 + (i - 1) * 899 / 49_999) / i for i in range(1, 50_001)
    )  # fmt: skip
    part = x / j * ((sure + 1) * places.sum() + (x - 1) / (j - 1) * (np.arange(j) * places).sum())
    expected = hypergeom.pmf(x, 300_000, 60_000, j) @ ((first + part) / (sure + x))
    groups = TieGroups(DistanceCounts(retrieved, hits))
    got = groups.average_precision(cutoff=200_000, denominator="hits")
    np.testing.assert_allclose(got, [expected], rtol=1e-8)  # as exact as SciPy's probabilities


def test_counts_judge_as_the_rankings_that_they_were_counted_from():
    rng = np.random.default_rng(1)
    distances = np.sort(rng.integers(0, 9, (15, 200)), axis=1)
    relevant = rng.random((15, 200)) < 0.1
    n_relevant = relevant.sum(axis=1)
    retrieved, hits = np.zeros((2, 15, 9), dtype=np.int64)
    for query, rank in np.ndindex(15, 200):
        retrieved[query, distances[query, rank]] += 1
        hits[query, distances[query, rank]] += relevant[query, rank]
    groups = TieGroups(DistanceCounts(retrieved, hits))
    rankings = Rankings(relevant, distances, n_relevant)
    np.testing.assert_array_equal(groups.n_relevant, n_relevant)
    for method, argument in [
        ("precision_at", 30), ("recall_at", 30), ("precision_within", 2), ("recall_within", 2),
    ]:  # fmt: skip
        expected = getattr(rankings, method)(argument)
        np.testing.assert_array_equal(getattr(groups, method)(argument), expected)


def test_counts_that_contradict_the_number_of_relevant_items_are_refused():
    counts = DistanceCounts(np.array([[3, 2]]), np.array([[1, 1]]))
    with pytest.raises(ValueError, match="more relevant items"):
        TieGroups(counts, [1])
    with pytest.raises(ValueError, match=r"shape \(1,\)"):
        TieGroups(counts, [2, 2])
    with pytest.raises(ValueError, match="at least 1"):
        TieGroups(counts).precision_at(0)
    with pytest.raises(ValueError, match="one of"):
        TieGroups(counts).average_precision(denominator="some")
