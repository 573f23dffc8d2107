"""Every promise of Hasher, over every method of the table."""

import warnings

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from threadpoolctl import threadpool_limits

from hashlearn.codes import pack_bits
from hashlearn.evaluation import NeighborTruth, Protocol, euclidean_neighbors, evaluate
from hashlearn.hashers import get_method, methods
from hashlearn.hashers.base import LinearHasher
from hashlearn.index import HammingIndex
from hashlearn.linear import linear_values
from hashlearn.models import load

QUICK = {
    "cibhash": {"n_steps": 60, "width": 8, "augment": "noise"},
    "csq": {"n_steps": 40, "width": 4},
    "cnnh": {"n_steps": 40, "width": 4, "n_sweeps": 3},
    "bgan": {"n_steps": 40, "width": 8, "depth": 1, "lr": 0.003},
    "greedyhash": {"n_steps": 100, "lr": 0.01},
    "bihalf": {"n_steps": 100, "lr": 0.01},
    "hashgandizaji": {"n_steps": 80, "width": 8, "depth": 1, "lr": 0.003},
    "bingan": {"n_steps": 40, "width": 8, "depth": 1, "lr": 0.003, "matching_weight": 5.0},
    "deepbit": {"n_steps": 60, "batch_size": 64, "lr": 0.005},
    "dbdmq": {"n_steps": 60, "batch_size": 64, "lr": 0.01},
    "dh": {"n_steps": 40},
    "latenthasher": {"n_steps": 100, "batch_size": 64, "width": 4, "lr": 0.005},
    "dshgan": {"n_pretrain": 3, "n_steps": 10, "batch_size": 32, "width": 4},
    "neighbormatching": {"n_steps": 60, "batch_size": 128},
    "och": {"n_landmarks": 200, "n_triplets": 10_000, "n_iter": 50},
    "pgh": {"n_rounds": 1, "triplets": "real", "hash_steps": 40, "width": 4},
    "supervisedgreedyhash": {"n_steps": 100, "lr": 0.01},
    "tbh": {"n_steps": 60, "width": 4, "n_latent": 16, "lr": 0.01},
    "sgh": {"n_steps": 300, "batch_size": 64},
    "sigah": {"n_steps": 30, "batch_size": 64},
    "qolsh": {"n_components": 2},  # it takes no fewer bits than dimensions
}
FIXED = {"sh"}  # nothing in them is random
NAMES = [method.name for method in methods()]
STREAMS = [name for name in NAMES if hasattr(get_method(name), "partial_fit")]
LINEAR = [name for name in NAMES if issubclass(get_method(name), LinearHasher)]

every_method = pytest.mark.parametrize("name", NAMES)


def make(name, n_bits=11, random_state=0, **options):
    options = QUICK.get(name, {}) | options
    return get_method(name)(n_bits, random_state=random_state, **options)


BLOBS, CLUSTERS = make_blobs(
    n_samples=700, n_features=16, centers=20, cluster_std=2.0, random_state=0
)


def fit(hasher, X):
    """Fit with labels where the method needs them: the others must learn without."""
    y = CLUSTERS[np.arange(X.shape[0]) % len(CLUSTERS)] if hasher.supervised else None
    return hasher.fit(X, y)


@pytest.fixture(name="X", scope="module")
def fixture_X():
    return BLOBS.astype(np.float32)


@every_method
def test_scikit_learns_checks_pass(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        results = check_estimator(make(name, n_bits=2), on_skip=None)  # raises on failure
    assert [result["status"] for result in results].count("passed") >= 40


@every_method
def test_bits_are_the_signs_of_the_projections(name, X):
    hasher = fit(make(name), X)
    values, bits = hasher.project(X), hasher.transform(X)
    assert values.shape == bits.shape == (700, 11)
    assert values.dtype == np.float32
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits, values >= 0)


@every_method
def test_codes_are_the_packed_bits(name, X):
    hasher = fit(make(name), X)
    np.testing.assert_array_equal(hasher.encode(X), pack_bits(hasher.transform(X)))


@every_method
def test_a_code_never_depends_on_what_is_encoded_with_it(name, X):
    hasher = fit(make(name, n_bits=16), X)
    whole = hasher.project(X)
    for rows in (1, 7, 255, 256, 257):
        parts = [hasher.project(X[start : start + rows]) for start in range(0, len(X), rows)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@every_method
def test_neither_place_nor_company_nor_memory_nor_threads_change_a_code(name, monkeypatch):
    # Wide enough for BLAS to divide its sums, and rows so close to 0 that the last bit is a sign.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 785)).astype(np.float32)
    hasher = fit(make(name, n_bits=24), X)
    hasher.bias_ = -hasher.project(X[:1])[0]  # the first row is on every hyperplane, or almost
    X[1:200:2] = X[0]
    alone = np.concatenate([hasher.project(row[None]) for row in X])
    memory = np.empty(X.nbytes + 128, dtype=np.uint8)
    first = -memory.ctypes.data % 64
    for threads in (1, 2):
        monkeypatch.setattr("hashlearn.linear.available_threads", lambda n=threads: n)
        with threadpool_limits(threads):
            for n_rows in (2, 3, 5, 11, 12, 13, 47, 64, 97, 255, 256, 257, 300):
                rows = rng.permutation(300)[:n_rows]
                for offset in (0, 4, 20, 32, 60):
                    place = slice(first + offset, first + offset + n_rows * X[0].nbytes)
                    part = memory[place].view(np.float32).reshape(n_rows, -1)
                    part[:] = X[rows]
                    np.testing.assert_array_equal(hasher.project(part), alone[rows])
            np.testing.assert_array_equal(hasher.project(np.asfortranarray(X)), alone)
            np.testing.assert_array_equal(hasher.project(X[::-1]), alone[::-1])


@every_method
def test_the_same_seed_gives_the_same_codes_and_another_seed_others(name, X):
    first, again = fit(make(name), X).encode(X), fit(make(name), X).encode(X)
    np.testing.assert_array_equal(first, again)
    other = fit(make(name, random_state=1), X).encode(X)
    assert (first != other).any() == (name not in FIXED)


@every_method
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_in_any_feature(name, bad, X):
    """Linear methods look at the values, which are fewer, and NaN times 0 is NaN."""
    hasher = fit(make(name), X)
    for feature in (0, 7, 15):
        rows = X[:300].copy()
        rows[213, feature] = bad
        for method in (hasher.project, hasher.transform, hasher.encode):
            with pytest.raises(ValueError, match=r"NaN|infinity"):
                method(rows)


@every_method
def test_fitting_leaves_global_seeds_as_they_were(name, X):
    np.random.seed(5)  # noqa: NPY002 - the global state is what is tested
    torch.manual_seed(5)
    before = np.random.get_state()[1].copy(), torch.random.get_rng_state()  # noqa: NPY002
    fit(make(name), X)
    after = np.random.get_state()[1], torch.random.get_rng_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("name", [method.name for method in methods() if method.family == "deep"])
def test_the_default_precision_of_torch_does_not_matter(name, X):
    expected = fit(make(name), X).encode(X)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(fit(make(name), X).encode(X), expected)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@every_method
def test_fitting_writes_neither_into_the_vectors_nor_into_the_labels(name, X):
    y = np.arange(len(X)) % 3
    frozen_X, frozen_y = X.copy(), y.copy()
    frozen_X.flags.writeable = frozen_y.flags.writeable = False
    hasher = make(name)
    parameters = hasher.get_params()
    hasher.fit(frozen_X, frozen_y).encode(frozen_X)
    assert hasher.get_params() == parameters


@every_method
def test_a_saved_hasher_gives_the_same_codes(name, X, tmp_path):
    hasher = fit(make(name), X)
    hasher.save(tmp_path / "it.model")
    for loaded in (load(tmp_path / "it.model"), type(hasher).load(tmp_path / "it.model")):
        assert type(loaded) is type(hasher)
        assert loaded.get_params() == hasher.get_params()
        np.testing.assert_array_equal(loaded.project(X), hasher.project(X))
        learned = {key for key in vars(hasher) if key.endswith("_")}
        assert {key for key in vars(loaded) if key.endswith("_")} == learned


@every_method
def test_an_unfitted_hasher_says_so_and_cannot_be_saved(name, X, tmp_path):
    for use in ("project", "transform", "encode"):
        with pytest.raises(NotFittedError):
            getattr(make(name), use)(X)
    with pytest.raises(NotFittedError):
        make(name).save(tmp_path / "it.model")
    assert not (tmp_path / "it.model").exists()


@every_method
def test_methods_work_in_pipelines_and_grids(name, X):
    def score(model, X, y=None):  # noqa: ARG001
        return model.transform(X).mean()

    pipeline = make_pipeline(StandardScaler(), make(name))
    grid = GridSearchCV(pipeline, {f"{name}__n_bits": [4, 6]}, scoring=score, cv=2)
    n_bits = grid.fit(X, CLUSTERS).best_params_[f"{name}__n_bits"]
    assert grid.transform(X).shape == (700, n_bits)
    names = pipeline.fit(X, CLUSTERS).get_feature_names_out()
    assert len(names) == 11
    assert names[0] == f"{name}0"


@every_method
def test_clone_forgets_what_was_learned(name, X):
    copy = clone(fit(make(name), X))
    assert copy.get_params() == make(name).get_params()
    assert not hasattr(copy, "n_features_in_")


BAD_X = {
    "NaN": np.array([[1.0, np.nan]] * 4),
    "infinity": np.array([[1.0, np.inf]] * 4),
    "minimum of 2": np.ones((1, 4)),
    "0 sample": np.ones((0, 4)),
    "0 feature": np.ones((4, 0)),
    "Expected 2D array": np.ones(4),
    "dim 3": np.ones((4, 2, 2)),
}


@every_method
@pytest.mark.parametrize("message", BAD_X)
def test_vectors_that_cannot_be_learned_from_are_refused(name, message):
    if get_method(name).accepts_images and message == "dim 3":
        return  # three axes are images
    with pytest.raises(ValueError, match=message):
        fit(make(name, n_bits=2), BAD_X[message])


@every_method
@pytest.mark.parametrize(("n_bits", "error"), [(0, ValueError), (-1, ValueError), (2.5, TypeError)])
def test_impossible_numbers_of_bits_are_refused(name, X, n_bits, error):
    with pytest.raises(error, match="n_bits must be"):
        fit(make(name, n_bits=n_bits), X)


@every_method
def test_only_supervised_methods_ask_for_labels(name, X):
    method = next(method for method in methods() if method.name == name)
    assert get_method(name).supervised == (method.supervision == "labels")
    if get_method(name).supervised:
        with pytest.raises(ValueError, match="learns from labels"):
            make(name).fit(X)


@pytest.mark.parametrize("name", [name for name in NAMES if get_method(name).accepts_sparse])
def test_sparse_vectors_have_the_codes_of_dense_ones(name):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((300, 40)) < 0.2, rng.integers(1, 5, (300, 40)), 0).astype(np.float32)
    sparse = csr_array(X)
    hasher = fit(make(name), sparse)
    np.testing.assert_array_equal(hasher.project(sparse), hasher.project(X))
    np.testing.assert_array_equal(hasher.encode(sparse[5:9]), hasher.encode(X)[5:9])
    untidy = csr_array((sparse.data, sparse.indices.copy(), sparse.indptr), sparse.shape)
    for row in range(300):  # the columns of each row the other way round
        part = slice(*untidy.indptr[row : row + 2])
        untidy.indices[part], untidy.data[part] = (
            untidy.indices[part][::-1],
            untidy.data[part][::-1],
        )
    untidy.has_sorted_indices = untidy.has_canonical_format = False
    before = untidy.indices.copy()
    np.testing.assert_array_equal(hasher.project(untidy), hasher.project(X))
    np.testing.assert_array_equal(untidy.indices, before)


@pytest.mark.parametrize("name", [name for name in NAMES if get_method(name).accepts_sparse])
def test_sparse_vectors_are_never_made_dense(name):
    wide = random_array((8000, 250_000), density=2e-5, format="csr", rng=np.random.default_rng(0))
    hasher = fit(make(name, n_bits=2), wide.astype(np.float32))  # 8 GB if it were dense
    assert hasher.encode(wide).shape == (8000, 1)


@pytest.mark.parametrize("name", [name for name in NAMES if not get_method(name).accepts_sparse])
def test_other_methods_refuse_sparse_vectors(name, X):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        fit(make(name), csr_array(X))


@every_method
def test_texts_are_pointed_to_features(name, X):
    texts = np.array(["a b"] * 700, dtype=object)
    for use in (lambda rows: fit(make(name), rows), fit(make(name), X).encode):
        with pytest.raises(ValueError, match="these are texts: put features before it"):
            use(texts)


@every_method
def test_labels_of_the_wrong_length_are_refused(name, X):
    with pytest.raises(ValueError, match="699"):
        make(name).fit(X, np.zeros(699, int))


@every_method
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 15)), "15 features"),
        (np.full((3, 16), np.nan), "NaN"),
        (np.ones((0, 16)), "0 sample"),
    ],
)
def test_vectors_unlike_those_of_fit_are_refused(name, X, rows, message):
    hasher = fit(make(name), X)
    for use in (hasher.project, hasher.transform, hasher.encode):
        with pytest.raises(ValueError, match=message):
            use(rows)


@pytest.mark.parametrize("name", STREAMS)
def test_batches_give_what_all_rows_give_at_once(name, X):
    whole = make(name).fit(X).project(X)
    for n_rows in (11, 300, 699, 700):
        hasher = make(name)
        for start in range(0, len(X), n_rows):
            assert hasher.partial_fit(X[start : start + n_rows]) is hasher
        np.testing.assert_allclose(hasher.project(X), whole, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", STREAMS)
def test_a_hasher_is_usable_after_each_batch(name, X, tmp_path):
    hasher = make(name)
    for start in (0, 300):
        hasher.partial_fit(X[start : start + 300])
        np.testing.assert_allclose(
            hasher.project(X), make(name).fit(X[: start + 300]).project(X), rtol=1e-3, atol=1e-3
        )
        hasher.save(tmp_path / "it.model")
        np.testing.assert_array_equal(load(tmp_path / "it.model").encode(X), hasher.encode(X))


@pytest.mark.parametrize("name", STREAMS)
def test_after_fit_and_after_reading_a_file_a_new_stream_begins(name, X, tmp_path):
    make(name).partial_fit(X[:300]).save(tmp_path / "it.model")
    fitted = make(name).partial_fit(X[:300]).fit(X[:300])
    expected = make(name).partial_fit(X[300:]).project(X)
    for hasher in (fitted, load(tmp_path / "it.model")):
        np.testing.assert_array_equal(hasher.partial_fit(X[300:]).project(X), expected)


@pytest.mark.parametrize("name", STREAMS)
def test_a_batch_that_is_refused_is_not_learned_from(name, X):
    hasher, bad = make(name), X[:50].copy()
    bad[3, 4] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        hasher.partial_fit(bad)
    hasher.partial_fit(X[:300])
    for batch, message in ((bad, "NaN"), (X[:50, 1:], "15 features"), (X[:0], "0 sample")):
        with pytest.raises(ValueError, match=message):
            hasher.partial_fit(batch)
    hasher.partial_fit(X[300:])
    again = make(name).partial_fit(X[:300]).partial_fit(X[300:])
    np.testing.assert_array_equal(hasher.project(X), again.project(X))


@pytest.mark.parametrize("name", LINEAR)
def test_linear_methods_show_their_functions(name, X):
    hasher = fit(make(name), X)
    assert hasher.weights_.shape == (11, 16)
    assert hasher.bias_.shape == (11,)
    values = X.astype(np.float64) @ hasher.weights_.T.astype(np.float64) + hasher.bias_
    np.testing.assert_allclose(hasher.project(X), values, rtol=1e-6, atol=1e-6)
    expected = linear_values(X, hasher.weights_, hasher.bias_)
    np.testing.assert_array_equal(hasher.project(X), expected)


@pytest.mark.parametrize("name", ["itq", "och", "sttm"])
def test_more_bits_than_features_get_a_clear_error(name, X):
    with pytest.raises(ValueError, match=r"n_bits=17, n_features=16"):
        fit(make(name, n_bits=17), X)


def mean_average_precision(hasher, X):
    index = HammingIndex(hasher.n_bits)
    index.add(hasher.encode(X[100:]))
    found = index.search(hasher.encode(X[:100]), len(index))
    truth = NeighborTruth(euclidean_neighbors(X[:100], X[100:], 20), len(index))
    return evaluate(found, truth, Protocol()).mean_average_precision


FLOOR_OPTIONS = {
    "csq": {"n_steps": 200, "width": 8, "lr": 0.005},
    "dshgan": {"n_steps": 200, "batch_size": 64, "width": 8, "lr": 0.002},
    "pgh": {"hash_steps": 200},
    "qolsh": {"n_components": 8},
    "tbh": {"n_steps": 300},
}
NO_FLOOR = {"lsh", "sph"}  # balls need more dimensions: tests/hashers/test_sph.py


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_FLOOR])
def test_learned_codes_beat_lsh_on_clustered_data(name, X):
    lsh = np.mean([mean_average_precision(fit(make("lsh", 12, seed), X), X) for seed in range(5)])
    hasher = make(name, 12, **FLOOR_OPTIONS.get(name, {}))
    assert mean_average_precision(fit(hasher, X), X) > lsh + 0.03


def test_lsh_beats_codes_that_know_nothing(X):
    scrambled = fit(make("lsh", 12), X)
    score = mean_average_precision(scrambled, X)
    scrambled.weights_ = np.zeros_like(scrambled.weights_)
    assert score > 3 * mean_average_precision(scrambled, X)
