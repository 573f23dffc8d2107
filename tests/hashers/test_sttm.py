import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import make_blobs

from hashlearn.hashers import get_method
from hashlearn.hashers.shallow import sttm
from hashlearn.hashers.shallow.sttm import (
    factorise,
    make_tags,
    objective,
    regress,
    solve_confidences,
    solve_documents,
    solve_tags,
    tag_errors,
    tag_matrix,
)

STTM = get_method("sttm")
A, B, ALPHA, GAMMA = 1.0, 0.01, 0.5, 0.1


@pytest.fixture(name="T")
def fixture_T():
    """Nine documents with up to four tags; the second and the last have none."""
    T = (np.random.default_rng(0).random((9, 4)) < 0.4).astype(np.uint8)
    T[[1, 8]] = 0
    T[[3, 5]] = T[2] = [1, 0, 1, 0]
    return T


@pytest.fixture(name="Theta")
def fixture_Theta():
    return np.random.default_rng(1).normal(size=(9, 3))


@pytest.fixture(name="U")
def fixture_U():
    return np.random.default_rng(2).normal(size=(4, 3))


def confidence(T, j, i):
    if not T[j].any():
        return 0.0
    return A if T[j, i] else B


def test_the_objective_is_the_papers(T, Theta, U):
    Y = Theta + 0.1
    total = 0.0
    for j in range(9):
        for i in range(4):
            total += confidence(T, j, i) * (T[j, i] - U[i] @ Y[j]) ** 2
        for t in range(3):
            total += GAMMA * (Y[j, t] - Theta[j, t]) ** 2
    for i in range(4):
        for t in range(3):
            total += ALPHA * U[i, t] ** 2
    assert objective(make_tags(T, A, B), U, Y, Theta, ALPHA, GAMMA) == pytest.approx(total)


def test_tags_are_solved_one_by_one(T, Theta, monkeypatch):
    for entries in (1, 20, 1 << 22):
        monkeypatch.setattr(sttm, "_BLOCK_ENTRIES", entries)
        U = solve_tags(make_tags(T, A, B), Theta, ALPHA)
        for i in range(4):
            left, right = ALPHA * np.eye(3), np.zeros(3)
            for j in range(9):
                left += confidence(T, j, i) * np.outer(Theta[j], Theta[j])
                right += confidence(T, j, i) * T[j, i] * Theta[j]
            np.testing.assert_allclose(U[i], np.linalg.solve(left, right))


def test_documents_are_solved_one_by_one(T, Theta, U, monkeypatch):
    for entries in (1, 20, 1 << 22):
        monkeypatch.setattr(sttm, "_BLOCK_ENTRIES", entries)
        Y = solve_documents(make_tags(T, A, B), U, Theta, GAMMA)
        for j in range(9):
            left, right = GAMMA * np.eye(3), GAMMA * Theta[j]
            for i in range(4):
                left += confidence(T, j, i) * np.outer(U[i], U[i])
                right += confidence(T, j, i) * T[j, i] * U[i]
            np.testing.assert_allclose(Y[j], np.linalg.solve(left, right))


def test_untagged_documents_stay_with_their_topics(T, Theta):
    _, Y, _, _ = factorise(make_tags(T, A, B), Theta, ALPHA, GAMMA, 5, learn_confidence=False)
    np.testing.assert_allclose(Y[[1, 8]], Theta[[1, 8]])
    assert np.abs(Y - Theta)[[0, 2]].max() > 0.01


@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.7])
def test_no_step_raises_the_objective(learn, smoothing):
    rng = np.random.default_rng(3)
    for gamma in (1e-6, 1e-2, 10.0):
        T = (rng.random((200, 12)) < 0.15).astype(np.uint8)
        tags = make_tags(T, A, B, smoothing)
        Theta = rng.normal(size=(200, 6))
        U, Y, p, losses = factorise(tags, Theta, ALPHA, gamma, 8, learn_confidence=learn)
        assert len(losses) == 1 + 8 * (3 if learn else 2)
        assert (np.diff(losses) <= 1e-9 * losses[0]).all()
        assert losses[-1] < losses[1] < losses[0]
        if not learn:
            assert losses[-1] == pytest.approx(objective(tags, U, Y, Theta, ALPHA, gamma))
            assert (p == 1).all()


def test_both_halves_are_minima(T, Theta, U):
    """Whatever is changed a little makes it worse."""
    rng, tags = np.random.default_rng(4), make_tags(T, A, B)
    best_U = solve_tags(tags, Theta, ALPHA)
    best_Y = solve_documents(tags, U, Theta, GAMMA)
    least_U = objective(tags, best_U, Theta, Theta, ALPHA, GAMMA)
    least_Y = objective(tags, U, best_Y, Theta, ALPHA, GAMMA)
    for _ in range(50):
        near_U = best_U + 0.01 * rng.normal(size=U.shape)
        near_Y = best_Y + 0.01 * rng.normal(size=Theta.shape)
        assert objective(tags, near_U, Theta, Theta, ALPHA, GAMMA) > least_U
        assert objective(tags, U, near_Y, Theta, ALPHA, GAMMA) > least_Y


def test_confidences_of_tags_are_the_best_of_geometric_mean_one(T, Theta, U):
    tags = make_tags(T, A, B)
    errors = tag_errors(tags, U, Theta)
    p = solve_confidences(tags, U, Theta)
    assert np.prod(p) == pytest.approx(1)
    rng = np.random.default_rng(5)
    for _ in range(50):
        step = 0.1 * rng.normal(size=4)
        other = p * np.exp(step - step.mean())
        assert other @ (errors + 1) >= p @ (errors + 1)


def test_correlated_tags_are_taken_to_be_there_in_part():
    T = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 0]], np.uint8)
    tags = make_tags(T, 1.0, 0.2, smoothing=0.5)
    # three of four documents with tag 0 have tag 1
    np.testing.assert_allclose(tags.targets[tags.sets[1]], [1, 0.375, 0])
    np.testing.assert_allclose(tags.confidences[tags.sets[1]], [1, 0.2 + 0.8 * 0.375, 0.2])
    np.testing.assert_allclose(tags.targets[tags.sets[2]], [0, 0, 1])


def test_class_numbers_and_columns_are_the_same_tags():
    numbers = np.array([7, 0, -1, 7, 3])
    columns = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(tag_matrix(numbers), columns)
    np.testing.assert_array_equal(tag_matrix(columns), columns)
    assert tag_matrix(np.array([-1, -1])).shape == (2, 0)


def test_sets_of_tags_are_shared():
    T = np.random.default_rng(6).integers(0, 2, (300, 3)).astype(np.uint8)
    tags = make_tags(T, A, B)
    assert len(tags.targets) == 8
    np.testing.assert_array_equal(tags.targets[tags.sets], T)


@pytest.mark.parametrize("shape", [(40, 7), (7, 40)])
def test_dense_and_sparse_regressions_solve_the_same_equations(shape):
    rng = np.random.default_rng(7)
    X = np.where(rng.random(shape) < 0.4, rng.random(shape), 0).astype(np.float32)
    Y = rng.normal(size=(len(X), 3)) + 5
    C, D = (array - array.mean(axis=0) for array in (X.astype(float), Y))
    penalty = 0.3 * np.square(C).sum() / len(X)
    expected = np.linalg.solve(C.T @ C + penalty * np.eye(shape[1]), C.T @ D).T
    np.testing.assert_allclose(regress(X, Y, 0.3), expected, atol=1e-9)
    np.testing.assert_allclose(regress(csr_array(X), Y, 0.3), expected, atol=2e-4)


@pytest.fixture(name="blobs", scope="module")
def fixture_blobs():
    return make_blobs(500, 12, centers=6, cluster_std=4.0, random_state=0)


def test_each_bit_halves_the_training_documents(blobs):
    X, y = blobs
    for topics, vectors in (("pca", X), ("lda", np.abs(X)), ("auto", csr_array(np.abs(X)))):
        bits = STTM(10, topics=topics, random_state=0).fit(vectors, y).transform(vectors)
        np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=0.004)


def same_class_is_nearer(hasher, X, y):
    bits = hasher.transform(X).astype(int)
    distances = (bits[:, None] != bits[None]).sum(axis=2)
    same = y[:, None] == y[None]
    return distances[~same].mean() - distances[same].mean()


def test_the_more_documents_have_tags_the_nearer_are_those_of_one_class():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 500)
    X = rng.normal(size=(500, 20)) * np.where(np.arange(20) < 4, 1, 4)  # topics of other things
    X[:, :4] += 4 * np.eye(4)[y]
    apart = []
    for n_tagged in (0, 250, 500):
        some = np.where(np.arange(500) < n_tagged, y, -1)
        hashers = [STTM(12, random_state=seed).fit(X, some) for seed in range(3)]
        apart.append(np.mean([same_class_is_nearer(hasher, X, y) for hasher in hashers]))
    assert apart[0] + 0.2 < apart[1] < apart[2] - 0.5


def test_without_tags_the_codes_are_those_of_topics(blobs):
    X, y = blobs
    columns = np.zeros((500, 4), int)
    first = STTM(12, random_state=0).fit(X, columns)
    again = STTM(12, random_state=0, gamma=3.0).fit(X, np.full(500, -1))
    np.testing.assert_array_equal(first.encode(X), again.encode(X))
    assert first.tag_vectors_.shape == (4, 12)
    assert again.tag_vectors_.shape == (0, 12)
    assert not (first.encode(X) == STTM(12, random_state=0).fit(X, y).encode(X)).all()


def test_the_vectors_of_tags_tell_the_tags_of_documents(blobs):
    X, y = blobs
    hasher = STTM(12, absent_weight=1.0, random_state=0).fit(X, y)
    likely = (hasher.project(X) - hasher.bias_) @ hasher.tag_vectors_.T
    assert (likely.argmax(axis=1) == y).mean() > 0.9


def test_constant_vectors_and_duplicates_can_be_hashed():
    y = np.arange(20) % 3
    constant = STTM(2, random_state=0).fit(np.ones((20, 5)), y)
    assert len(np.unique(constant.encode(np.ones((20, 5))), axis=0)) == 1
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 5)), 5, axis=0)
    codes = STTM(4, random_state=0).fit(X, y).encode(X)
    assert (codes.reshape(4, 5) == codes[::5]).all()


def test_lda_takes_more_bits_than_there_are_features():
    X = np.random.default_rng(0).integers(0, 4, (40, 6))
    assert STTM(16, topics="lda").fit(X, np.arange(40) % 2).encode(X).shape == (40, 2)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"topics": "plsa"}, ValueError, "topics must be one of auto, lda, pca; got 'plsa'"),
        ({"topics": "lda"}, ValueError, "needs counts, at least 0"),
        ({"thresholds": "zero"}, ValueError, "thresholds must be one of"),
        ({"tag_weight": 0}, ValueError, "tag_weight"),
        ({"absent_weight": -1}, ValueError, "absent_weight"),
        ({"alpha": 0}, ValueError, "alpha"),
        ({"gamma": 0.0}, ValueError, "gamma"),
        ({"ridge": "strong"}, TypeError, "ridge"),
        ({"smoothing": 1.5}, ValueError, "smoothing"),
        ({"n_iter": 0}, ValueError, "n_iter"),
        ({"n_iter": 2.5}, TypeError, "n_iter"),
    ],
)
def test_impossible_parameters_are_refused(blobs, parameters, error, message):
    with pytest.raises(error, match=message):
        STTM(4, **parameters).fit(*blobs)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(500, 0.5), "whole numbers"),
        (np.full(500, -2), "-1 without one; got -2"),
        (np.full((500, 2), 2), "must be 0 or 1"),
        (np.full(500, "a"), "whole numbers"),
    ],
)
def test_labels_that_are_no_tags_are_refused(blobs, y, message):
    with pytest.raises(ValueError, match=message):
        STTM(4).fit(blobs[0], y)
