import math

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs

from hashlearn._training import CollapseWarning
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.deepbit import (
    angle_weights,
    balance_loss,
    invariance_loss,
    quantization_loss,
    turn,
)

DeepBit = get_method("deepbit")
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


@pytest.fixture(name="h")
def fixture_h():
    return torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_losses_are_those_of_loops(h):
    others = [h.roll(1, 0), 2 * h]
    lost = uneven = 0.0
    changed = [0.0, 0.0]
    for k in range(3):
        bits = []
        for i in range(7):
            value = h[i, k].item()
            bits.append(int(value >= 0))
            lost += (bits[-1] - 0.5 - value) ** 2 / 21
            for number, other in enumerate(others):
                changed[number] += (value - other[i, k].item()) ** 2 / 21
        uneven += (sum(bits) / 7 - 0.5) ** 2 / 3
    assert quantization_loss(h).item() == pytest.approx(lost)
    assert balance_loss(h).item() == pytest.approx(uneven)
    expected = (0.6 * changed[0] + 0.1 * changed[1]) / 0.7
    assert invariance_loss(h, others, [0.6, 0.1]).item() == pytest.approx(expected)


def test_small_angles_count_more():
    assert angle_weights([0, -5, 10]) == pytest.approx([1, math.exp(-0.5), math.exp(-2)])


def test_bits_that_are_sure_and_even_and_stay_have_no_loss():
    h = torch.tensor([[0.5, -0.5], [-0.5, 0.5]])
    assert quantization_loss(h) == balance_loss(h) == invariance_loss(h, [h, h], [1.0, 0.5]) == 0


def test_the_gradients_do_not_cancel(h):
    """Of two losses that the released code of the authors lost: each bit gets its own."""
    for loss in (quantization_loss, balance_loss):
        values = h.clone().requires_grad_()
        loss(values).backward()
        assert (values.grad.abs().sum(dim=0) > 0).all()
        assert len(values.grad[0].unique()) > 1
        nearer = h - 0.2 * values.grad
        assert loss(nearer) <= loss(h)
    values = torch.ones(4, 2).requires_grad_()
    balance_loss(values).backward()
    np.testing.assert_allclose(values.grad, 2 * 0.5 / 4 / 2)  # down, all alike


def test_an_image_that_is_turned_by_nothing_or_all_the_way_stays():
    x = torch.randn(3, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    np.testing.assert_allclose(turn(x, 0), x, atol=1e-5)
    np.testing.assert_allclose(turn(turn(x, 180), 180), x, atol=1e-4)
    np.testing.assert_allclose(turn(x, 180), x.flip(2, 3), atol=1e-4)
    np.testing.assert_allclose(turn(x, 90), x.rot90(1, (2, 3)), atol=1e-4)


@pytest.mark.parametrize("degrees", [-30, 10, 45])
def test_a_spot_is_turned_by_the_angle_in_an_oblong_image(degrees):
    height, width, up, right = 41, 61, 8, 12
    x = torch.zeros(1, 1, height, width)
    x[:, :, 20 - up - 1 : 20 - up + 2, 30 + right - 1 : 30 + right + 2] = 1
    mass = turn(x, degrees)[0, 0]
    mass = mass / mass.sum()
    ups = 20 - (mass.sum(dim=1) * torch.arange(height)).sum()
    rights = (mass.sum(dim=0) * torch.arange(width)).sum() - 30
    angle = math.degrees(math.atan2(ups, rights)) - math.degrees(math.atan2(up, right))
    assert angle == pytest.approx(degrees, abs=2)
    assert math.hypot(ups, rights) == pytest.approx(math.hypot(up, right), abs=0.5)


def test_images_alike_get_codes_alike_that_are_even(images):
    hasher = DeepBit(16, **SMALL | {"n_steps": 150}).fit(images)
    bits = hasher.transform(images).astype(int)
    kind = np.arange(len(images)) % 8
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.5 * distances[~same].mean()
    assert np.abs(bits.mean(axis=0) - 0.5).mean() < 0.2


def test_turning_changes_less_where_that_counts(images):
    def changed(weight):
        settings = SMALL | {"n_steps": 150, "angles": (-30.0, 30.0)}
        hasher = DeepBit(16, invariance_weight=weight, **settings).fit(images)
        pixels = torch.from_numpy(images[:, None] / np.float32(255))
        turned = (turn(pixels, 30.0)[:, 0].numpy() * 255).astype(np.uint8)
        values = hasher.project(images)
        return np.square(hasher.project(turned) - values).mean() / values.var(axis=0).mean()

    assert changed(3.0) < 0.7 * changed(0.0)


def test_vectors_alike_get_codes_alike():
    X, kind = make_blobs(600, 20, centers=12, cluster_std=1.5, random_state=0)
    hasher = DeepBit(16, **SMALL | {"n_steps": 200}).fit(X)
    assert set(hasher.layers_) == {"output.weights", "output.bias"}
    bits = hasher.transform(X).astype(int)
    distances = (bits[:, None] != bits).sum(axis=2)
    same = kind[:, None] == kind
    assert distances[same].mean() < 0.4 * distances[~same].mean()
    assert "0.weights" in DeepBit(4, depth=1, **SMALL).fit(X).layers_


def double(x):
    return 2 * x


def test_other_views_may_be_made_by_a_function_or_named(images, tmp_path):
    own = DeepBit(8, augment=double, **SMALL).fit(images)
    usual = DeepBit(8, **SMALL).fit(images)
    named = DeepBit(8, augment="shift,flip", **SMALL).fit(images)
    assert own.history_["invariance"][0] > usual.history_["invariance"][0]
    assert (named.history_["invariance"] != usual.history_["invariance"]).any()
    own.save(tmp_path / "it.model")
    loaded = DeepBit.load(tmp_path / "it.model")
    assert loaded.augment is None
    np.testing.assert_array_equal(loaded.project(images), own.project(images))


def test_training_lowers_the_losses_and_keeps_their_history(images):
    history = DeepBit(8, **SMALL | {"n_steps": 150}).fit(images).history_
    assert set(history) == {"quantization", "balance", "invariance"}
    assert all(curve.shape == (150,) and curve.dtype == np.float32 for curve in history.values())
    assert history["quantization"][-20:].mean() < 0.9 * history["quantization"][:10].mean()
    assert history["balance"][-20:].mean() < 0.02  # fair coins: 0.25 / 32, the images of a step


def test_bits_that_become_equal_are_warned_of(images):
    with pytest.warns(CollapseWarning, match="codes have collapsed"):
        DeepBit(8, **SMALL).fit(np.ones_like(images))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"quantization_weight": -1.0}, ValueError, "quantization_weight"),
        ({"balance_weight": "much"}, TypeError, "balance_weight"),
        ({"invariance_weight": -1.0}, ValueError, "invariance_weight"),
        ({"angles": 5.0}, TypeError, "angles"),
        ({"angles": ()}, ValueError, "angles must hold"),
        ({"angles": (181.0,)}, ValueError, "an angle"),
        ({"noise": -1.0}, ValueError, "noise"),
        ({"augment": 3}, TypeError, "augment"),
        ({"augment": "melt"}, ValueError, "augment has no part 'melt'"),
        ({"width": 1.5}, TypeError, "width"),
        ({"depth": -1}, ValueError, "depth"),
        ({"n_steps": 0}, ValueError, "n_steps"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"lr": 0}, ValueError, "lr"),
        ({"device": "abacus"}, ValueError, "device"),
    ],
)
def test_impossible_settings_are_refused(images, options, error, message):
    with pytest.raises(error, match=message):
        DeepBit(4, **options).fit(images)


def test_training_that_diverges_says_so(images):
    with pytest.raises(ValueError, match="diverged"):
        DeepBit(4, **SMALL | {"lr": 1e30}).fit(images)
