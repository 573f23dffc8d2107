import numpy as np
import pytest

from hashlearn.benchmark import default_recipe, run_methods
from hashlearn.data import load_dataset
from hashlearn.evaluation import Protocol
from hashlearn.hashers import get_method
from hashlearn.hashers.shallow.sph import count_overlaps, move_centers, overlap_errors

SpH = get_method("sph")


@pytest.fixture(name="X")
def fixture_X():
    return np.random.default_rng(0).normal(2.0, 1.0, size=(1000, 12)).astype(np.float32)


def overlaps_of(bits):
    r = bits.shape[1]
    return np.array(
        [[sum(bits[:, i].astype(int) & bits[:, j]) for j in range(r)] for i in range(r)]
    )


def test_a_bit_says_whether_a_vector_is_inside_of_a_ball(X):
    hasher = SpH(6, random_state=0).fit(X)
    values, bits = hasher.project(X), hasher.transform(X)
    for i, k in np.ndindex(50, 6):
        pairs = zip(X[i].tolist(), hasher.centers_[k].tolist(), strict=True)
        distance = sum((x - c) ** 2 for x, c in pairs)
        assert values[i, k] == pytest.approx(hasher.squared_radii_[k] - distance, abs=1e-3)
        if abs(distance - hasher.squared_radii_[k]) > 1e-3:
            assert bits[i, k] == (distance < hasher.squared_radii_[k])


def test_a_center_is_inside_of_its_own_ball_and_what_is_far_in_none(X):
    hasher = SpH(9, random_state=0).fit(X)
    assert hasher.transform(hasher.centers_).diagonal().all()
    far = hasher.centers_.mean(axis=0) + 1e5 * np.eye(12)
    assert not hasher.transform(far).any()


def test_overlaps_errors_and_forces_follow_their_formulas():
    rng = np.random.default_rng(1)
    X, centers = rng.normal(size=(20, 3)), rng.normal(size=(4, 3))
    inside = np.zeros((20, 4), dtype=int)
    distances = np.array([[sum((x - c) ** 2) for x in X] for c in centers])
    for k in range(4):
        middle = sorted(distances[k])[9:11]
        inside[:, k] = distances[k] <= sum(middle) / 2
    overlaps = count_overlaps(distances)
    np.testing.assert_array_equal(overlaps, overlaps_of(inside))
    pairs = [overlaps[i, j] for i in range(4) for j in range(i)]
    mean = sum(abs(o - 5) for o in pairs) / 6
    deviation = (sum((o - sum(pairs) / 6) ** 2 for o in pairs) / 6) ** 0.5
    assert overlap_errors(overlaps, 20) == pytest.approx((mean / 5, deviation / 5))
    moved = centers.copy()
    for i, j in np.ndindex(4, 4):
        moved[i] += 0.5 * (overlaps[i, j] - 5) / 5 * (centers[i] - centers[j]) / 4
    np.testing.assert_allclose(move_centers(centers, overlaps, 20), moved)


@pytest.mark.parametrize("n_bits", [2, 5, 16, 24])
def test_each_ball_holds_half_and_each_pair_shares_a_quarter_within_the_tolerances(X, n_bits):
    hasher = SpH(n_bits, random_state=0).fit(X)
    bits = hasher.transform(X)
    assert (bits.sum(axis=0) == 500).all()
    assert hasher.converged_
    mean, deviation = overlap_errors(overlaps_of(bits).astype(float), 1000)
    assert mean <= 0.1 + 0.01  # centres are rounded to float32
    assert deviation <= 0.15 + 0.01
    assert mean == pytest.approx(hasher.losses_[-1], abs=0.01)
    assert deviation == pytest.approx(hasher.deviations_[-1], abs=0.01)
    assert hasher.losses_[0] > 0.2  # there was something to do


def test_moves_of_combinations_are_moves_of_the_centers(X):
    """A move more at a time, from the same start, is what the formula gives."""
    options = {"mean_tolerance": 0, "random_state": 0}
    centers = SpH(5, n_iter=0, **options).fit(X).centers_.astype(np.float64)
    for n_iter in range(1, 6):
        distances = np.square(X[None] - centers[:, None]).sum(axis=2)
        centers = move_centers(centers, count_overlaps(distances), len(X))
        hasher = SpH(5, n_iter=n_iter, **options).fit(X)
        assert len(hasher.losses_) == len(hasher.deviations_) == n_iter + 1
        np.testing.assert_allclose(hasher.centers_, centers, atol=0.02)


def test_centers_start_as_means_of_a_few_vectors(X):
    hasher = SpH(3, n_iter=0, n_averaged=1, random_state=0).fit(X)
    for center in hasher.centers_:
        assert np.abs(X - center).max(axis=1).min() < 1e-5
    assert not hasher.converged_


@pytest.mark.parametrize("n", [2, 3, 7])
def test_few_vectors_are_enough(n):
    X = np.random.default_rng(0).normal(size=(n, 4))
    bits = SpH(9, random_state=0).fit(X).transform(X)
    assert (bits.sum(axis=0) >= n // 2).all()


@pytest.mark.parametrize("n_same", [100, 60, 50])
def test_equal_vectors_end_the_moves_and_share_a_code(n_same):
    X = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    X[:n_same] = 1.0
    hasher = SpH(8, random_state=0).fit(X)
    assert len(hasher.losses_) <= 201
    assert np.isfinite(hasher.centers_).all()
    assert np.isfinite(hasher.project(X)).all()
    assert len(np.unique(hasher.encode(X[:n_same]), axis=0)) == 1
    assert (hasher.transform(X).sum(axis=0) >= 50).all()


def test_what_cannot_converge_says_so():
    X = np.zeros((100, 4))
    X[60:] = np.random.default_rng(0).normal(size=(40, 4))
    hasher = SpH(8, random_state=0).fit(X)
    assert not hasher.converged_  # the 60 are in every ball
    assert hasher.losses_[-1] > 0.1


def test_a_constant_feature_changes_nothing(X):
    bits = SpH(8, random_state=0).fit(X).transform(X)
    wide = np.hstack([X, np.full((1000, 1), 7.0, np.float32)])
    again = SpH(8, random_state=0).fit(wide).transform(wide)
    assert (bits == again).mean() > 0.99


def test_one_bit_has_no_pairs(X):
    hasher = SpH(1, random_state=0).fit(X)
    assert hasher.converged_
    assert hasher.losses_.tolist() == [0.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_iter": -1}, "n_iter"),
        ({"mean_tolerance": -0.1}, "mean_tolerance"),
        ({"deviation_tolerance": -0.1}, "deviation_tolerance"),
        ({"n_averaged": 0}, "n_averaged"),
    ],
)
def test_parameters_out_of_range_are_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        SpH(4, **options).fit(X)


@pytest.mark.parametrize("distance", ["hamming", "spherical"])
def test_balls_beat_random_hyperplanes_on_digits(distance):
    """In few dimensions, such as those of the contract's clusters, they do not."""
    digits = load_dataset("digits")
    options = {
        "protocol": Protocol(truth="euclidean", n_neighbors=20),
        "recipe": default_recipe(digits),
        "seeds": range(3),
    }
    scores = {
        method: np.mean([
            run.scores.mean_average_precision
            for run in run_methods(digits, [method], [16], distance=own, **options)
        ])
        for method, own in (("lsh", "hamming"), ("sph", distance))
    }  # fmt: skip
    assert scores["sph"] > scores["lsh"] + 0.03
