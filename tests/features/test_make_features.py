import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import Normalizer, StandardScaler

from hashlearn.features import (
    BagOfWords,
    Gist,
    OnnxBackbone,
    Pixels,
    SentenceTransformersBackbone,
    Topics,
    TransformersBackbone,
    feature_classes,
    make_features,
)


def test_names_become_transformers_in_their_order():
    made = make_features("pixels, standardize,l2")
    assert [type(step) for step in made] == [Pixels, StandardScaler, Normalizer]


@pytest.mark.parametrize("names", ["", "none"])
def test_nothing_is_made_of_nothing(names):
    assert make_features(names) == []


def test_transformers_are_new_at_every_call():
    assert make_features("pixels")[0] is not make_features("pixels")[0]


@pytest.mark.parametrize("names", ["gabor", "pixels,gabor", "pixels,,l2", "none,l2", "Pixels"])
def test_an_unknown_name_gets_the_list_of_names(names):
    with pytest.raises(
        ValueError, match=r"unknown features .*pixels, gist, bagofwords, .*, l2, none"
    ):
        make_features(names)


def test_the_names_mean_what_the_documentation_says():
    X = np.random.default_rng(0).normal(3, 2, size=(50, 4))
    (standardize,), (l2,) = make_features("standardize"), make_features("l2")
    rows = standardize.fit_transform(X)
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(rows.var(axis=0), 1)
    np.testing.assert_allclose(np.linalg.norm(l2.fit_transform(X), axis=1), 1)


def test_classes_are_listed_by_their_own_names():
    assert feature_classes() == {
        "Pixels": Pixels, "Gist": Gist, "BagOfWords": BagOfWords, "Topics": Topics,
        "TfidfTransformer": TfidfTransformer, "StandardScaler": StandardScaler,
        "Normalizer": Normalizer, "OnnxBackbone": OnnxBackbone,
        "TransformersBackbone": TransformersBackbone,
        "SentenceTransformersBackbone": SentenceTransformersBackbone,
    }  # fmt: skip
