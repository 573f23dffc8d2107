"""What changes items at random."""

import math

import numpy as np
import pytest
import torch

from hashlearn.hashers.deep._augmentation import jitter, make_augmentation, move


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_images_that_may_not_move_stay():
    x = torch.randn(5, 2, 6, 9)
    np.testing.assert_allclose(move(x), x, atol=1e-5)


def test_a_flip_mirrors_half_of_the_images_left_to_right():
    x = torch.arange(24.0).reshape(1, 1, 4, 6).repeat(40, 1, 1, 1)
    moved = move(x, flip=True)
    same = [torch.allclose(a, b, atol=1e-4) for a, b in zip(moved, x, strict=True)]
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-4) for a, b in zip(moved, x, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 10 <= sum(mirrored) <= 30


def test_a_spot_is_turned_and_moved_no_farther_than_asked():
    """Its place, measured from the centre, in an oblong image."""
    height, width, up, right = 41, 61, 12, 20
    x = torch.zeros(200, 1, height, width)
    x[:, :, 20 - up - 1 : 20 - up + 2, 30 + right - 1 : 30 + right + 2] = 1

    def places(moved):
        mass = moved[:, 0] / moved[:, 0].sum(dim=(1, 2), keepdim=True)
        rows = (mass.sum(dim=2) * torch.arange(height)).sum(dim=1) - 20
        columns = (mass.sum(dim=1) * torch.arange(width)).sum(dim=1) - 30
        return -rows, columns

    turned, shifted = move(x, rotation=20.0), move(x, translation=0.1)
    ups, rights = places(turned)
    radius = torch.hypot(ups, rights)
    np.testing.assert_allclose(radius, math.hypot(up, right), atol=0.5)
    degrees = torch.rad2deg(torch.atan2(ups, rights)) - math.degrees(math.atan2(up, right))
    assert 15 < degrees.max() < 20.5
    assert -20.5 < degrees.min() < -15
    ups, rights = places(shifted)
    assert 0.08 * height < (ups - up).abs().max() < 0.105 * height
    assert 0.08 * width < (rights - right).abs().max() < 0.105 * width


def test_a_window_is_enlarged_and_lies_inside_the_image():
    """Images that grow evenly to the right and down: a window is found by its corners."""
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    x = torch.stack([rows, columns])[None].repeat(300, 1, 1, 1)
    moved = move(x, zoom=0.5)
    tall = moved[:, 0, -1, 0] - moved[:, 0, 0, 0]
    wide = moved[:, 1, 0, -1] - moved[:, 1, 0, 0]
    np.testing.assert_allclose(tall / 39, wide / 59, atol=0.02)
    assert 0.49 < (tall / 39).min() < 0.52
    assert 0.98 < (tall / 39).max() < 1.01
    tops = moved[:, 0, 0, 0][tall < 21]
    assert tops.min() < 4
    assert tops.max() > 15


def test_jitter_stretches_and_lifts_an_image_as_a_whole():
    x = 0.1 * torch.rand(200, 3, 4, 5) - 0.05
    changed = jitter(x, 0.4)
    for before, after in zip(x, changed, strict=True):
        slope, lift = np.polyfit(before.flatten(), after.flatten(), 1)
        np.testing.assert_allclose(after, slope * before + lift, atol=1e-5)
        assert 0.6 <= slope <= 1.4
        assert abs(after.mean() - before.mean()) <= 0.4 + 1e-6
    assert jitter(50 * x, 0.4).abs().max() == 1


def test_vectors_get_noise_or_lose_features():
    x = 1 + torch.rand(2000, 8)
    noise = make_augmentation("noise")(x) - x
    assert noise.std().item() == pytest.approx(0.5, rel=0.05)
    hidden = make_augmentation("hide,flip")(x)
    assert ((hidden == 0) | (hidden == x)).all()
    assert (hidden == 0).float().mean().item() == pytest.approx(0.5, rel=0.1)


def test_parts_of_other_items_and_none_do_nothing():
    vectors, images = torch.randn(5, 8), torch.randn(5, 1, 4, 4)
    assert make_augmentation("turn,shift,zoom,flip,jitter")(vectors) is vectors
    assert make_augmentation("noise,hide")(images) is images
    assert make_augmentation(None)(images) is images


def test_every_part_changes_images_and_keeps_their_shape():
    images = torch.rand(30, 3, 8, 6)
    for part in ("turn", "shift", "zoom", "flip", "jitter", "turn, shift,zoom,flip,jitter"):
        changed = make_augmentation(part)(images)
        assert changed.shape == images.shape
        assert (changed != images).flatten(1).any(dim=1).float().mean() > 0.2


def test_a_callable_is_taken_as_it_is():
    assert make_augmentation(torch.neg) is torch.neg


def test_unknown_parts_are_refused():
    with pytest.raises(ValueError, match="augment has no part 'crop'; there are: turn, shift"):
        make_augmentation("crop,flip")
    with pytest.raises(TypeError, match="augment must be a string, a callable or None, got 3"):
        make_augmentation(3)
