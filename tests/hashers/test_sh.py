import numpy as np
import pytest

from hashlearn.hashers import blocks, get_method
from hashlearn.hashers.shallow.sh import projected_box, slowest_waves, waves

SH = get_method("sh")


@pytest.fixture(name="X")
def fixture_X():
    rng = np.random.default_rng(0)
    return (rng.uniform(size=(500, 4)) * [9, 5, 2, 1] + 4).astype(np.float32)


def test_bits_of_uniform_numbers_are_square_waves_of_frequency_1_2_3():
    X = np.linspace(-3, 5, 5041)[:, None]
    bits = SH(7).fit(X).transform(X)
    for j in range(7):
        position = (X[:, 0] + 3) / 8 * (j + 1)  # in half waves
        expected = np.floor(position + 0.5) % 2 == 0
        clear = np.abs(position % 1 - 0.5) > 1e-3
        np.testing.assert_array_equal(bits[clear, j], expected[clear])
        assert np.abs(np.diff(bits[:, j].astype(int))).sum() == j + 1
        assert bits[:, j].mean() == pytest.approx(0.5, abs=0.13 if j % 2 else 0.001)


def test_bits_of_uniform_numbers_are_balanced_and_uncorrelated():
    """What the objective asks for."""
    X = np.linspace(0, 1, 4801)[:, None]
    values = SH(8).fit(X).project(X).astype(np.float64)
    gram = values.T @ values / len(X)
    np.testing.assert_allclose(gram, np.eye(8) / 2, atol=0.002)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.001)


def test_values_are_products_of_sines_by_plain_loops(X):
    n_bits = 9
    hasher = SH(n_bits).fit(X)
    double = X.astype(np.float64)
    _, _, Vt = np.linalg.svd(double - double.mean(axis=0), full_matrices=False)
    components = double @ Vt.T  # not centred: the box absorbs the mean
    low, high = components.min(axis=0), components.max(axis=0)
    candidates = []
    for i in range(4):
        for k in range(1, n_bits + 1):
            modes = [k if j == i else 0 for j in range(4)]
            omegas = [np.pi * modes[j] / (high[j] - low[j]) for j in range(4)]
            candidates.append((sum(omega**2 for omega in omegas), i, k, omegas))
    for bit, (_, i, k, omegas) in enumerate(sorted(candidates)[:n_bits]):
        assert (hasher.axes_[bit], hasher.frequencies_[bit]) == (i, k)
        for row in range(12):
            product = 1.0
            for j in range(4):
                product *= np.sin((components[row, j] - low[j]) * omegas[j] + np.pi / 2)
            either = (product, (-1) ** k * product)  # a direction may point either way
            assert min(abs(hasher.project(X[row : row + 1])[0, bit] - v) for v in either) < 1e-4


def test_frequencies_follow_the_lengths_of_the_box():
    axes, frequencies = slowest_waves(np.array([4.0, 2.0, 1.0]), 8)
    slowness = frequencies / np.array([4.0, 2.0, 1.0])[axes]
    assert list(slowness) == sorted(slowness)
    assert list(zip(axes, frequencies, strict=True)) == [
        (0, 1), (0, 2), (1, 1), (0, 3), (0, 4), (1, 2), (2, 1), (0, 5),
    ]  # fmt: skip


def test_directions_without_extent_get_no_waves():
    axes, frequencies = slowest_waves(np.array([3.0, 0.0]), 4)
    np.testing.assert_array_equal(axes, 0)
    np.testing.assert_array_equal(frequencies, [1, 2, 3, 4])


def test_the_box_runs_from_the_least_to_the_greatest_projection(X, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK_ENTRIES", 4000)
    turned = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0][:2]
    many = np.concatenate([X] * 9)  # more than a block
    low, high = projected_box(many, X.mean(axis=0, dtype=np.float64), turned)
    projections = (X.astype(np.float64) - X.mean(axis=0, dtype=np.float64)) @ turned.T
    np.testing.assert_allclose(low, projections.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(high, projections.max(axis=0), atol=1e-5)


def test_waves_are_cosines_that_are_zero_where_they_should_be():
    phases = np.linspace(-40, 40, 2001).astype(np.float32)[:, None]
    expected = np.cos(np.pi * phases.astype(np.float64))
    np.testing.assert_allclose(waves(phases), expected, atol=1e-6)
    halves = np.arange(-9, 9, dtype=np.float32)[:, None] + np.float32(0.5)
    np.testing.assert_array_equal(waves(halves), 0)


def test_beyond_the_box_the_wave_goes_on():
    X = np.linspace(0, 1, 101)[:, None]
    bits = SH(1).fit(X).transform([[-0.4], [0.4], [0.6], [1.4], [1.6]])[:, 0]
    np.testing.assert_array_equal(bits, [1, 1, 0, 0, 1])


def test_more_bits_than_features_are_higher_frequencies(X):
    hasher = SH(40).fit(X)
    assert hasher.encode(X).shape == (500, 5)
    assert hasher.frequencies_.max() > 10
    assert len(set(zip(hasher.axes_, hasher.frequencies_, strict=True))) == 40


def test_constant_features_and_copies_of_a_vector_do_no_harm(X):
    constant = np.column_stack([X, np.full(500, 3.0)]).astype(np.float32)
    np.testing.assert_array_equal(
        SH(9).fit(constant).transform(constant), SH(9).fit(X).transform(X)
    )
    same = np.ones((20, 3))
    assert (SH(5).fit(same).transform(same) == 1).all()


def test_fewer_samples_than_bits_are_enough(X):
    assert SH(16).fit(X[:3]).encode(X).shape == (500, 2)
