"""An index of faiss computes the codes of a linear model, but for rounding at 0."""

import faiss
import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, Normalizer, StandardScaler

import hashlearn
from hashlearn.codes import hamming_distances, unpack_bits
from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.itq import ITQ
from hashlearn.hashers.shallow.lsh import LSH
from hashlearn.integrations.faiss import linear_to_faiss
from hashlearn.models import encode, project

BLOBS, CLASSES = make_blobs(n_samples=600, n_features=48, centers=20, random_state=0)
BLOBS = BLOBS.astype(np.float32)


def stored_codes(index):
    lsh = faiss.downcast_index(index.index)
    return faiss.vector_to_array(lsh.codes).reshape(-1, lsh.code_size)


def assert_same_but_for_rounding(hasher, X, codes):
    """Bits differ only where single precision, in any order, cannot tell the side of 0."""
    terms = np.abs(X).astype(np.float64) @ np.abs(hasher.weights_).T.astype(np.float64)
    bound = (X.shape[1] + 2) * np.finfo(np.float32).eps * (terms + np.abs(hasher.bias_))
    values = hasher.project(X)
    other = unpack_bits(codes, hasher.n_bits) != unpack_bits(hasher.encode(X), hasher.n_bits)
    assert (np.abs(values)[other] <= bound[other]).all()
    return int(other.sum())


@pytest.mark.parametrize("name", ["lsh", "itq", "och", "ba", "sttm"])
@pytest.mark.parametrize("n_bits", [12, 32])
def test_faiss_computes_the_codes_of_linear_hashers(name, n_bits):
    hasher = get_method(name)(n_bits, random_state=0).fit(np.abs(BLOBS), CLASSES)
    X = np.abs(BLOBS)
    index = linear_to_faiss(hasher)
    index.add(X)
    assert assert_same_but_for_rounding(hasher, X, stored_codes(index)) <= 2
    np.testing.assert_array_equal(index.sa_encode(X), stored_codes(index))


def test_distances_of_the_index_of_vectors_are_hamming_distances():
    hasher = ITQ(20, random_state=0).fit(BLOBS)
    index = linear_to_faiss(hasher)
    index.add(BLOBS)
    codes = stored_codes(index)
    distances, ids = index.search(BLOBS[:50], 10)
    truth = hamming_distances(codes[:50], codes)
    np.testing.assert_array_equal(distances, np.sort(truth, axis=1)[:, :10])
    np.testing.assert_array_equal(distances, np.take_along_axis(truth, ids, axis=1))


def test_values_that_are_zero_give_a_one_in_faiss_too():
    hasher = LSH(8, random_state=0).fit(BLOBS)
    hasher.weights_ = np.zeros_like(hasher.weights_)
    hasher.weights_[:4, 0] = [1, -1, 1, 1]
    hasher.bias_ = np.array([0, 0, 1, -1, 0, -0.0, 1e-45, -1e-45], np.float32)
    X = np.zeros((3, 48), np.float32)
    X[:, 0] = [0, 1, -1]
    assert not hasher.project(X).all()
    np.testing.assert_array_equal(linear_to_faiss(hasher).sa_encode(X), hasher.encode(X))


def test_our_codes_go_into_the_index_of_vectors_as_they_are(tmp_path):
    hasher = ITQ(20, random_state=0).fit(BLOBS)
    index = linear_to_faiss(hasher)
    codes = hasher.encode(BLOBS)
    faiss.downcast_index(index.index).add_sa_codes(codes)
    index.ntotal = index.index.ntotal
    faiss.write_index(index, str(tmp_path / "vectors.faiss"))
    read = faiss.read_index(str(tmp_path / "vectors.faiss"))
    np.testing.assert_array_equal(stored_codes(read), codes)
    distances, _ = read.search(BLOBS[:30], 5)
    truth = np.sort(hamming_distances(hasher.encode(BLOBS[:30]), codes), axis=1)
    np.testing.assert_array_equal(distances, truth[:, :5])


@pytest.mark.parametrize("features", [
    [StandardScaler()],
    [StandardScaler(with_mean=False)],
    [StandardScaler(with_std=False)],
    [PCA(20)],
    [PCA(20, whiten=True)],
    [TruncatedSVD(20)],
    [Normalizer()],
    [StandardScaler(), PCA(30), Normalizer(), TruncatedSVD(20, random_state=0)],
    [Normalizer(), Normalizer()],
], ids=lambda steps: "-".join(type(step).__name__ for step in steps))  # fmt: skip
def test_pipelines_of_linear_features_and_lengths_are_taken(features):
    model = make_pipeline(*features, ITQ(16, random_state=0)).fit(BLOBS)
    index = linear_to_faiss(model)
    assert index.d == 48
    index.add(BLOBS)
    values = project(model, BLOBS)
    other = unpack_bits(stored_codes(index), 16) != unpack_bits(encode(model, BLOBS), 16)
    assert np.abs(values)[other].max(initial=0) < 1e-4 * np.abs(values).max()
    assert other.sum() <= 4


def test_a_vector_of_zeros_has_no_length_to_divide_by():
    model = make_pipeline(Normalizer(), ITQ(16, random_state=0)).fit(BLOBS)
    X = np.zeros((1, 48), np.float32)
    np.testing.assert_array_equal(linear_to_faiss(model).sa_encode(X), encode(model, X))


def test_models_that_are_not_linear_are_refused():
    with pytest.raises(TypeError, match="bits of AGH are not signs of linear functions; those of"):
        linear_to_faiss(get_method("agh")(8))
    for step in (Normalizer("l1"), MaxAbsScaler()):
        with pytest.raises(TypeError, match=rf"cannot bring the features {type(step).__name__}\("):
            linear_to_faiss(make_pipeline(step, ITQ(8)))
    with pytest.raises(TypeError, match="the last step must be a hasher"):
        linear_to_faiss(make_pipeline(StandardScaler(), PCA(3)))
    with pytest.raises(NotFittedError):
        linear_to_faiss(make_pipeline(StandardScaler(), ITQ(8)))


@pytest.mark.real
def test_faiss_computes_the_codes_of_sentences():
    sentences = hashlearn.load_dataset("newsgroups20_minilm")
    hasher = ITQ(128, random_state=0).fit(sentences.X[:11314])
    index = linear_to_faiss(hasher)
    index.add(sentences.X)
    n_bits = 128 * len(sentences)
    n_others = assert_same_but_for_rounding(hasher, sentences.X, stored_codes(index))
    assert n_others <= n_bits / 100_000
