import numpy as np
import pytest
from sklearn.decomposition import PCA

from hashlearn.hashers import blocks, get_method
from hashlearn.hashers.rotation import (
    learn_rotation,
    quantization_loss,
    random_rotation,
    sign_products,
)

ITQ = get_method("itq")


@pytest.fixture(name="V")
def fixture_V():
    rng = np.random.default_rng(0)
    V = rng.laplace(size=(400, 6)) * [3, 2, 1.5, 1, 1, 0.5]
    return V - V.mean(axis=0)


def rotate(V, n_iter, seed=0):
    return learn_rotation(V, random_rotation(V.shape[1], np.random.RandomState(seed)), n_iter)


def loss_by_loops(V, R):
    n, r = V.shape
    total = 0.0
    for i in range(n):
        for j in range(r):
            value = sum(V[i, k] * R[k, j] for k in range(r))
            code = 1.0 if value >= 0 else -1.0
            total += (code - value) ** 2
    return total / n


def test_products_and_loss_are_those_of_plain_loops():
    rng = np.random.default_rng(1)
    V = rng.normal(size=(6, 3))
    R = random_rotation(3, np.random.RandomState(0))
    C = sign_products(V, V.sum(axis=0), R)
    for j, k in np.ndindex(3, 3):
        signs = [1.0 if V[i] @ R[:, j] >= 0 else -1.0 for i in range(6)]
        assert C[j, k] == pytest.approx(sum(signs[i] * V[i, k] for i in range(6)))
    loss = quantization_loss(V.shape, float(np.square(V).sum()), C, R)
    assert loss == pytest.approx(loss_by_loops(V, R))


def test_products_are_those_of_all_blocks_together(monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_ENTRIES", 4000)
    V = np.random.default_rng(2).normal(size=(5000, 4))
    R = random_rotation(4, np.random.RandomState(0))
    expected = np.where(V @ R >= 0, 1.0, -1.0).T @ V
    np.testing.assert_allclose(sign_products(V, V.sum(axis=0), R), expected, rtol=1e-10)
    single = sign_products(V.astype(np.float32), V.sum(axis=0), R)
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_losses_never_increase(V, dtype):
    for seed in range(5):
        rotations = [rotate(V.astype(dtype), n_iter, seed) for n_iter in range(51)]
        losses = rotations[-1][1]
        assert losses.shape == (51,)
        assert (np.diff(losses) <= 0).all()
        measured = [
            np.square(np.where(V @ R >= 0, 1.0, -1.0) - V @ R).sum() / len(V) for R, _ in rotations
        ]
        np.testing.assert_allclose(losses, measured, rtol=1e-5)
        assert losses[-1] < losses[3] < losses[0]


def test_rounds_end_only_where_the_codes_stand_still(V):
    R, losses = rotate(V, 1000)
    assert losses[-1] == losses[-2]
    U, _, Wt = np.linalg.svd(sign_products(V, V.sum(axis=0), R))
    np.testing.assert_array_equal(V @ (Wt.T @ U.T) >= 0, V @ R >= 0)


def test_a_rotated_binary_cube_is_turned_back():
    rng = np.random.default_rng(3)
    corners = rng.choice([-1.0, 1.0], size=(500, 5))
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    noise = 0.2 * rng.normal(size=(500, 5))
    R, losses = rotate((corners + noise) @ turned, 50)
    assert losses[0] > 1.0
    assert losses[-1] == pytest.approx(np.square(noise).sum() / 500, rel=0.05)
    np.testing.assert_allclose(np.abs(turned @ R).max(axis=0), 1, atol=0.05)  # up to order and sign


def test_losses_are_those_of_the_rotation_that_is_returned(V):
    R, losses = rotate(V, 7)
    assert losses[-1] == pytest.approx(loss_by_loops(V, R))


def test_the_rotation_is_orthogonal(V):
    for n_iter in (0, 1, 50):
        R, _ = rotate(V, n_iter)
        np.testing.assert_allclose(R.T @ R, np.eye(6), atol=1e-12)


def test_for_fixed_codes_no_rotation_nearby_is_better(V):
    """The update solves the orthogonal Procrustes problem; the transposed one does not."""
    rng = np.random.RandomState(0)
    start, _ = rotate(V, 0, seed=7)
    B = np.where(V @ start >= 0, 1.0, -1.0)
    R, _ = rotate(V, 1, seed=7)
    best = np.square(B - V @ R).sum()
    assert best < np.square(B - V @ start).sum()
    for _ in range(200):
        step = 0.05 * rng.standard_normal((6, 6))
        near = np.linalg.qr(R + step)[0]
        near *= np.sign(np.sum(near * R, axis=0))
        assert np.square(B - V @ near).sum() >= best - 1e-9


def test_the_hash_functions_are_rotated_principal_directions(V):
    X = V @ np.random.default_rng(2).normal(size=(6, 9)) + 5
    hasher = ITQ(4, random_state=0).fit(X)
    _, _, directions = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    W = hasher.weights_.astype(float)
    np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-5)
    inside = W @ directions[:4].T @ directions[:4]
    np.testing.assert_allclose(inside, W, atol=1e-4)  # the same span
    np.testing.assert_allclose(hasher.project(X).mean(axis=0), 0, atol=1e-4)


def test_codes_do_not_change_when_the_data_are_moved_or_scaled(V):
    codes = ITQ(4, random_state=0).fit(V).transform(V)
    moved = ITQ(4, random_state=0).fit(8 * V + 2).transform(8 * V + 2)
    assert (codes == moved).mean() > 0.95  # rounding may flip values next to 0


def test_a_negative_number_of_rounds_is_refused(V):
    with pytest.raises(ValueError, match="n_iter"):
        ITQ(4, n_iter=-1).fit(V)


def test_without_a_rotation_bits_are_the_signs_of_the_components(V):
    X = (V @ np.random.default_rng(2).normal(size=(6, 9)) + 5).astype(np.float32)
    hasher = ITQ(4, rotation="identity").fit(X)
    components = PCA(4, svd_solver="full").fit_transform(X.astype(np.float64))
    np.testing.assert_allclose(hasher.project(X), components, atol=1e-3)
    assert hasher.losses_.shape == (1,)


def test_a_random_rotation_is_the_one_that_learning_starts_from(V):
    random = ITQ(4, rotation="random", random_state=3).fit(V)
    start = ITQ(4, n_iter=0, random_state=3).fit(V)
    np.testing.assert_array_equal(random.weights_, start.weights_)
    learned = ITQ(4, random_state=3).fit(V)
    assert random.losses_[0] == learned.losses_[0] > learned.losses_[-1]


def by_classes(n=600, n_classes=5, n_features=12):
    """Draw vectors whose classes differ little, along directions of little variance."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, n_classes, n)
    X = rng.normal(size=(n, n_features)) * np.linspace(8, 0.3, n_features)
    X[:, -4:] += rng.normal(size=(n_classes, 4))[y]
    return X, y


def mean_precision(hasher, X, y):
    """Share of the right class among the ten nearest codes."""
    bits = hasher.transform(X).astype(int)
    distances = np.abs(bits[:, None] - bits[None]).sum(axis=2) + np.eye(len(X)) * 99
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :10]
    return (y[nearest] == y[:, None]).mean()


@pytest.mark.parametrize("n_bits", [4, 12])
def test_labels_find_what_variance_does_not(n_bits):
    X, y = by_classes()
    without = mean_precision(ITQ(n_bits, random_state=0).fit(X, y), X, y)
    with_labels = ITQ(n_bits, embedding="cca", random_state=0).fit(X, y)
    assert mean_precision(with_labels, X, y) > without + 0.15


def test_class_numbers_and_their_matrix_teach_the_same():
    X, y = by_classes()
    numbers = ITQ(4, embedding="cca", random_state=0).fit(X, y).project(X)
    names = np.array(["e", "d", "c", "b", "a"])[y]  # another order of columns
    for labels in (np.eye(5, dtype=int)[y], names):
        other = ITQ(4, embedding="cca", random_state=0).fit(X, labels).project(X)
        np.testing.assert_allclose(other, numbers, atol=1e-3)


def test_the_scale_of_the_vectors_does_not_matter_to_canonical_correlations():
    X, y = by_classes()
    codes = ITQ(4, embedding="cca", random_state=0).fit(X, y).transform(X)
    scaled = ITQ(4, embedding="cca", random_state=0).fit(64 * X, y).transform(64 * X)
    assert (codes == scaled).mean() > 0.999


def test_without_labels_canonical_correlations_get_a_clear_error(V):
    with pytest.raises(ValueError, match="y is missing"):
        ITQ(4, embedding="cca").fit(V)
    with pytest.raises(ValueError, match="2 classes or more"):
        ITQ(4, embedding="cca").fit(V, np.zeros(len(V), int))
    with pytest.raises(ValueError, match="0 and 1 only"):
        ITQ(4, embedding="cca").fit(V, np.full((len(V), 3), 2))
    with pytest.raises(ValueError, match="knows no labels"):
        ITQ(4, embedding="cca").partial_fit(V)


def test_without_a_rotation_there_is_a_bit_for_each_canonical_direction_and_no_more():
    X, y = by_classes()
    assert ITQ(4, embedding="cca", rotation="identity").fit(X, y).encode(X).shape == (600, 1)
    with pytest.raises(ValueError, match="the labels have 4: n_bits=5"):
        ITQ(5, embedding="cca", rotation="identity").fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"embedding": "lda"}, '"pca" or "cca"'),
        ({"rotation": "none"}, '"learned", "random" or "identity"'),
        ({"regularisation": -1.0}, "regularisation"),
    ],
)
def test_bad_settings_are_refused(V, parameters, message):
    with pytest.raises(ValueError, match=message):
        ITQ(4, **parameters).fit(V)


def test_constant_features_and_copies_of_a_vector_do_no_harm():
    X = np.ones((50, 6), np.float32)
    X[:25, 0] = 3
    hasher = ITQ(4, random_state=0).fit(X)
    assert np.isfinite(hasher.project(X)).all()
    assert len(np.unique(hasher.encode(X), axis=0)) == 2


def test_canonical_directions_are_those_of_the_labelled_vectors():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = (rng.normal(size=(300, 6)) + 4 * np.eye(3, 6)[y]).astype(np.float32)
    strange = np.r_[X, 50 + 9 * rng.normal(size=(100, 6)).astype(np.float32)]
    options = {"embedding": "cca", "rotation": "identity"}
    known = ITQ(2, **options).fit(X, y)
    both = ITQ(2, **options).fit(strange, np.r_[y, np.full(100, -1)])
    np.testing.assert_allclose(both.weights_, known.weights_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(both.bias_, known.bias_, rtol=1e-4, atol=1e-4)
