import re
from collections import Counter

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import hashlearn
from hashlearn.features import BagOfWords, make_features
from hashlearn.hashers import get_method
from hashlearn.models import encode, make_model

TEXTS = [
    "The red rose, the red garden!",
    "A blue violet and a RED violet",
    "",
    "garden 42: naïve x violet",
    "the garden",
]


def test_words_are_counted_as_a_loop_would():
    words = BagOfWords(min_df=1, stop_words=None).fit(TEXTS)
    counts = words.transform(TEXTS).toarray()
    for row, text in zip(counts, TEXTS, strict=True):
        found = Counter(re.findall(r"\w\w+", text.lower()))
        assert {word: n for word, n in zip(words.vocabulary_, row, strict=True) if n} == found
    assert words.vocabulary_ == sorted(set(re.findall(r"\w\w+", " ".join(TEXTS).lower())))


def test_rare_words_and_words_without_meaning_are_left_out():
    assert BagOfWords(min_df=2).fit(TEXTS).vocabulary_ == ["garden", "red", "violet"]
    assert BagOfWords(min_df=2, stop_words=None).fit(TEXTS).vocabulary_[2] == "the"


def test_the_most_frequent_words_are_kept():
    texts = ["ant ant ant bee bee cat", "bee ant cat dog"]
    assert BagOfWords(n_terms=2, min_df=1).fit(texts).vocabulary_ == ["ant", "bee"]


def test_counts_are_sparse_rows_of_single_precision():
    counts = BagOfWords(min_df=1).fit(TEXTS).transform(np.array(["red red", "?"], dtype=object))
    assert issparse(counts)
    assert counts.format == "csr"
    assert counts.dtype == np.float32
    assert counts.sum(axis=1).ravel().tolist() == [[2.0, 0.0]]


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("one text", TypeError, "got one text: 'one text'"),
        ([], ValueError, "at least one text"),
        (np.ones((3, 2)), ValueError, "got ndarray in row 0; for vectors"),
        (["a b", None], ValueError, "got NoneType in row 1"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(X, error, message):
    fitted = BagOfWords(min_df=1).fit(TEXTS)
    for use in (BagOfWords().fit, fitted.transform):
        with pytest.raises(error, match=message):
            use(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_terms": 0}, "n_terms"),
        ({"min_df": 0}, "min_df"),
        ({"min_df": 6}, "min_df=6 is more than there are texts, 5"),
        ({"min_df": 4}, "no terms remain"),
        ({"stop_words": "latin"}, "stop_words"),
    ],
)
def test_impossible_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        BagOfWords(**parameters).fit(TEXTS)


def test_an_unfitted_bag_says_so():
    for use in (lambda: BagOfWords().transform(TEXTS), BagOfWords().get_feature_names_out):
        with pytest.raises(NotFittedError):
            use()


def test_columns_are_named_by_their_words_and_a_clone_forgets_them():
    words = BagOfWords(min_df=2).fit(TEXTS)
    assert words.get_feature_names_out().tolist() == ["garden", "red", "violet"]
    assert not hasattr(clone(words), "vocabulary_")


@pytest.mark.parametrize("features", ["bagofwords", "bagofwords:20,tfidf", "bagofwords,topics:4"])
def test_a_saved_model_of_texts_gives_the_same_codes(tmp_path, features):
    rng = np.random.default_rng(0)
    words = [f"wörd{number}" for number in range(30)]
    texts = np.array([" ".join(rng.choice(words, 12)) for _ in range(80)], dtype=object)
    model = make_model(features, get_method("lsh")(16, random_state=0)).fit(texts)
    hashlearn.save(model, tmp_path / "a.model")
    loaded = hashlearn.load(tmp_path / "a.model")
    codes = encode(model, texts)
    assert len(np.unique(codes, axis=0)) > 20
    np.testing.assert_array_equal(encode(loaded, texts), codes)


def test_a_name_may_carry_a_number():
    bag, topics = make_features("bagofwords:500, topics:32")
    assert (bag.n_terms, topics.n_topics) == (500, 32)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("pixels:3", "pixels takes no number"),
        ("topics:", "topics takes a number as in topics:64, got ''"),
        ("topics:0", "got '0'"),
        ("topics:-3", "got '-3'"),
        ("bagofwords:many", "got 'many'"),
    ],
)
def test_a_number_that_cannot_be_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        make_features(names)
