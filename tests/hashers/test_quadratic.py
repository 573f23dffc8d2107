from itertools import product

import numpy as np
import pytest

from hashlearn.hashers.quadratic import (
    enumerate_codes,
    quadratic_values,
    search_codes,
    turn_bits,
)


@pytest.fixture(name="problem")
def fixture_problem():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(6, 9))
    return A @ A.T, 6 * rng.normal(size=(6, 40))


def value(z, G, q):
    total = 0.0
    for i in range(len(z)):
        total += q[i] * z[i]
        for j in range(len(z)):
            total += z[i] * G[i, j] * z[j]
    return total


def test_values_are_those_of_the_formula(problem):
    G, Q = problem
    Z = np.random.default_rng(1).integers(0, 2, Q.shape).astype(float)
    expected = [value(Z[:, n], G, Q[:, n]) for n in range(40)]
    np.testing.assert_allclose(quadratic_values(Z, G, Q), expected)


def test_enumeration_finds_the_best_of_all_codes(problem):
    G, Q = problem
    found = enumerate_codes(G, Q)
    for n in range(40):
        best = min(product([0, 1], repeat=6), key=lambda z: value(z, G, Q[:, n]))
        np.testing.assert_array_equal(found[:, n], best)


def test_no_turn_of_one_bit_improves_what_was_found(problem):
    G, Q = problem
    Z = np.random.default_rng(2).integers(0, 2, Q.shape).astype(bool)
    for found in (turn_bits(Z.astype(float), G, Q), search_codes(Z, G, Q).astype(float)):
        values = quadratic_values(found, G, Q)
        for bit in range(6):
            turned = found.copy()
            turned[bit] = 1 - turned[bit]
            assert (quadratic_values(turned, G, Q) >= values - 1e-9).all()


def test_a_search_is_never_worse_than_its_start_and_seldom_than_the_best(problem):
    G, Q = problem
    best = quadratic_values(enumerate_codes(G, Q).astype(float), G, Q)
    for seed in range(5):
        Z = np.random.default_rng(seed).integers(0, 2, Q.shape).astype(bool)
        values = quadratic_values(search_codes(Z, G, Q).astype(float), G, Q)
        assert (values <= quadratic_values(Z.astype(float), G, Q) + 1e-9).all()
        assert (values <= best + 1e-9).mean() > 0.8
    found = search_codes(enumerate_codes(G, Q), G, Q).astype(float)
    np.testing.assert_allclose(quadratic_values(found, G, Q), best)  # the best is not left


def test_bits_that_make_no_difference_stay():
    Z = np.array([[True, False], [False, True]])
    np.testing.assert_array_equal(search_codes(Z, np.zeros((2, 2)), np.zeros((2, 2))), Z)
