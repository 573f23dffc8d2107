import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.decomposition import LatentDirichletAllocation
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator

from hashlearn.features import Topics


@pytest.fixture(name="counts")
def fixture_counts():
    """Texts of one of three topics, each with ten words of its own and one for all."""
    rng = np.random.default_rng(0)
    counts = np.zeros((90, 31), np.float32)
    for row, text in enumerate(counts):
        np.add.at(text, 10 * (row % 3) + rng.integers(0, 10, 40), 1)
        text[30] = rng.integers(0, 4)
    return counts


def test_texts_of_one_topic_have_the_same_largest_share(counts):
    shares = Topics(n_topics=3).fit_transform(counts)
    assert shares.shape == (90, 3)
    assert shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    largest = shares.argmax(axis=1).reshape(30, 3)
    assert (largest == largest[0]).all()
    assert len(set(largest[0])) == 3
    assert shares.max(axis=1).min() > 0.8


@pytest.mark.parametrize("prior", [None, 0.5])
def test_the_shares_are_those_of_scikit_learns_own_model(counts, prior):
    reference = LatentDirichletAllocation(4, doc_topic_prior=prior, max_iter=5, random_state=0)
    expected = reference.fit(counts).transform(counts)
    topics = Topics(n_topics=4, prior=prior).fit(counts)
    np.testing.assert_allclose(topics.transform(counts), expected, rtol=1e-4)
    np.testing.assert_allclose(topics.components_, reference.components_, rtol=1e-4)


def test_shares_of_a_text_depend_neither_on_others_nor_on_how_counts_are_stored(counts):
    topics = Topics(n_topics=3).fit(csr_matrix(counts))
    whole = topics.transform(counts)
    alone = np.concatenate([topics.transform(row[None]) for row in counts])
    np.testing.assert_array_equal(alone, whole)
    np.testing.assert_array_equal(topics.transform(csr_matrix(counts)), whole)


def test_a_text_without_words_has_equal_shares(counts):
    shares = Topics(n_topics=4).fit(counts).transform(np.zeros((1, 31)))
    np.testing.assert_allclose(shares, 0.25, rtol=1e-5)


def test_scikit_learns_checks_pass():
    results = check_estimator(Topics(n_topics=2), on_skip=None)
    assert [result["status"] for result in results].count("passed") >= 35


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"n_topics": 0}, "n_topics"), ({"n_iter": 0}, "n_iter"), ({"prior": 0.0}, "prior")],
)
def test_impossible_parameters_are_refused(counts, parameters, message):
    with pytest.raises(ValueError, match=message):
        Topics(**parameters).fit(counts)


def test_negative_counts_other_words_and_unfitted_topics_are_refused(counts):
    with pytest.raises(ValueError, match="takes counts of words"):
        Topics(n_topics=2).fit(-counts)
    with pytest.raises(ValueError, match="30 features"):
        Topics(n_topics=2).fit(counts).transform(counts[:, :30])
    with pytest.raises(NotFittedError):
        Topics().transform(counts)


def test_columns_are_numbered():
    assert Topics(n_topics=2).get_feature_names_out().tolist() == ["topic0", "topic1"]
