import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from hashlearn._training import CollapseWarning
from hashlearn.generative.networks import apply_layers
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.dbdmq import AutoEncoders, assign, balance_loss, choose, soft_bits

DBDMQ = get_method("dbdmq")
SMALL = {"width": 4, "batch_size": 32, "n_steps": 60, "random_state": 0, "device": "cpu"}


@pytest.fixture(name="images", scope="module")
def fixture_images():
    """Bars that lie or stand, in four places, with noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (240, 8, 8), np.uint8)
    for number, image in enumerate(images):
        place = 2 * (number // 2 % 4)
        (image if number % 2 else image.T)[place : place + 2] += 170
    return images


@pytest.fixture(name="X", scope="module")
def fixture_X():
    return make_blobs(600, 20, centers=12, cluster_std=1.5, random_state=0)[0]


@pytest.fixture(name="A")
def fixture_A():
    """Auto-encoders of three elements that bend."""
    rng = torch.Generator().manual_seed(0)
    A = AutoEncoders(3).double()
    with torch.no_grad():
        for part in A.parameters():
            part.copy_(torch.randn(3, 2, generator=rng, dtype=torch.float64))
    return A


@pytest.fixture(name="h")
def fixture_h():
    return torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loop_output(A, k, m, value):
    a, c, u, v = (getattr(A, name)[k, m].item() for name in "acuv")
    return a + v * math.tanh(u * (value - c))


def test_each_element_belongs_to_the_auto_encoder_that_loops_find(A, h):
    bits = assign(A(h), h)
    fine, soft = choose(A(h), bits), soft_bits(A(h), h)
    for i, row in enumerate(h.tolist()):
        for k, value in enumerate(row):
            outputs = [loop_output(A, k, m, value) for m in (0, 1)]
            first, second = ((value - output) ** 2 for output in outputs)
            assert bits[i, k] == (first >= second)
            assert fine[i, k].item() == pytest.approx(outputs[bits[i, k]])
            assert soft[i, k].item() == pytest.approx(math.tanh(2 * (first - second)))


def test_the_loss_of_auto_encoders_is_that_of_loops(A, h):
    bits = assign(A(h), h)
    expected = 0.0
    for i, row in enumerate(h.tolist()):
        for k, value in enumerate(row):
            expected += (value - loop_output(A, k, int(bits[i, k]), value)) ** 2 / 27
    for part in (A.u, A.v):
        expected += 0.7 * sum(slope**2 for row in part.tolist() for slope in row) / 6
    assert A.loss(h, bits, 0.7).item() == pytest.approx(expected)


def test_assigning_never_raises_the_error_and_neither_does_a_step_of_the_auto_encoders(A, h):
    """The alternation descends: with bits held, along the gradient; then by the best bits."""
    optimiser = torch.optim.SGD(A.parameters(), 0.01)
    bits = torch.randint(2, (9, 3), generator=torch.Generator().manual_seed(2))
    losses = []
    for _ in range(50):
        losses.append(A.loss(h, bits, 0.01).item())
        bits = assign(A(h), h)
        losses.append(A.loss(h, bits, 0.01).item())
        optimiser.zero_grad()
        A.loss(h, bits, 0.01).backward()
        optimiser.step()
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[-1] < 0.7 * losses[0]


def test_constant_auto_encoders_are_a_sign():
    A = AutoEncoders(1)
    with torch.no_grad():
        A.v.zero_()
    h = torch.linspace(-2, 2, 41)[:, None].repeat(1, 3)
    bits = assign(A(h), h)
    np.testing.assert_array_equal(bits[h != 0], h[h != 0] >= 0)


def test_auto_encoders_that_bend_set_a_bit_in_several_intervals():
    A = AutoEncoders(1)
    with torch.no_grad():
        A.a.copy_(torch.tensor([[0.0, 0.0]]))
        A.v.copy_(torch.tensor([[0.0, 2.0]]))
        A.u.copy_(torch.tensor([[1.0, 5.0]]))
        A.c.zero_()
    h = torch.tensor([[-2.0], [-0.3], [0.3], [2.0]])
    assert assign(A(h), h).flatten().tolist() == [1, 0, 0, 1]


def test_the_balance_loss_is_that_of_loops(h):
    soft = h.tanh()
    means = [sum(row[k] for row in soft.tolist()) / 9 for k in range(3)]
    assert balance_loss(soft).item() == pytest.approx(sum(mean**2 for mean in means) / 3)
    assert balance_loss(torch.tensor([[1.0], [-1.0]])) == 0


def test_values_are_differences_of_the_errors_of_exported_auto_encoders(X):
    hasher = DBDMQ(6, **SMALL).fit(X)
    h = apply_layers(hasher.layers_, hasher._scaled(X.astype(np.float32)), (20,))
    A = AutoEncoders(6).double()
    A.load_state_dict({name: torch.from_numpy(p) for name, p in hasher.autoencoders_.items()})
    values = torch.from_numpy(h.astype(np.float64))
    with torch.no_grad():
        errors = (A(values) - values[:, :, None]).square()
    np.testing.assert_allclose(
        hasher.project(X), errors[:, :, 0] - errors[:, :, 1], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_array_equal(hasher.transform(X), assign(A(values), values))


def test_descriptors_have_mean_0_and_variance_1(X):
    hasher = DBDMQ(6, quantiser="sign", **SMALL).fit(X)
    values = hasher.project(X)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=2e-3)
    assert hasher.autoencoders_ == {}


@pytest.mark.parametrize("quantiser", ["autoencoders", "sign"])
@pytest.mark.parametrize("shared", [False, True])
def test_vectors_alike_get_codes_alike_that_are_even(X, quantiser, shared):
    settings = SMALL | {"n_steps": 400, "lr": 0.01}
    hasher = DBDMQ(16, quantiser=quantiser, shared=shared, **settings).fit(X)
    bits = hasher.transform(X).astype(int)
    kind = make_blobs(600, 20, centers=12, cluster_std=1.5, random_state=0)[1]
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.4 * distances[~same].mean()
    assert np.abs(bits.mean(axis=0) - 0.5).mean() < 0.2


def test_shared_auto_encoders_are_one_pair(X):
    shapes = {name: part.shape for name, part in DBDMQ(6, **SMALL).fit(X).autoencoders_.items()}
    assert shapes == dict.fromkeys("acuv", (6, 2))
    shared = DBDMQ(6, shared=True, **SMALL).fit(X)
    assert {part.shape for part in shared.autoencoders_.values()} == {(1, 2)}


def test_images_alike_get_codes_alike(images):
    hasher = DBDMQ(16, **SMALL | {"n_steps": 150}).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.6 * distances[~same].mean()
    assert "1.weights" in hasher.layers_


def test_vectors_have_a_linear_network_unless_told_otherwise(X):
    assert set(DBDMQ(4, **SMALL).fit(X).layers_) == {"output.weights", "output.bias"}
    assert "0.weights" in DBDMQ(4, depth=1, **SMALL).fit(X).layers_


def test_training_lowers_the_losses_and_keeps_their_history(X):
    history = DBDMQ(8, **SMALL | {"n_steps": 200, "lr": 0.01}).fit(X).history_
    assert set(history) == {"reconstruction", "quantization", "balance", "autoencoders"}
    assert all(curve.shape == (200,) and curve.dtype == np.float32 for curve in history.values())
    for name in ("reconstruction", "quantization", "autoencoders"):
        assert history[name][-20:].mean() < 0.9 * history[name][:5].mean(), name
    assert "autoencoders" not in DBDMQ(8, quantiser="sign", **SMALL).fit(X).history_


def test_equal_items_are_warned_of():
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        hasher = DBDMQ(4, **SMALL).fit(np.ones((30, 5)))
    assert np.isfinite(hasher.project(np.ones((2, 5)))).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantiser": "step"}, ValueError, "quantiser"),
        ({"shared": 1}, TypeError, "shared"),
        ({"quantization_weight": -1.0}, ValueError, "quantization_weight"),
        ({"balance_weight": "much"}, TypeError, "balance_weight"),
        ({"decay": -1.0}, ValueError, "decay"),
        ({"width": 1.5}, TypeError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"depth": 0}, ValueError, "depth must be at least 1 for images"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        DBDMQ(4, **options).fit(images)


def test_training_that_diverges_says_so(X):
    with pytest.raises(ValueError, match="diverged"):
        DBDMQ(4, **SMALL | {"lr": 1e30}).fit(X)
