"""PGH: its losses, its rounds, and what stands between two of them."""

import math

import numpy as np
import pytest
import torch

import hashlearn._training as training_module
from hashlearn._training import CollapseWarning, Training
from hashlearn.data import load_dataset
from hashlearn.features import Gist
from hashlearn.hashers import get_method
from hashlearn.hashers.deep.pgh import (
    PGH,
    nearest_others,
    quantization_loss,
    random_others,
    statistics_kept,
    triplet_loss,
)

DIGITS = load_dataset("digits")
X, Y = DIGITS.X[:400], DIGITS.y[:400]
QUICK = {"n_rounds": 2, "generator_steps": 6, "hash_steps": 30, "batch_size": 32, "width": 4}


def pgh(n_bits=12, **options):
    return PGH(n_bits, random_state=0, **QUICK | options)


def relaxed(seed):
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(6, 5)).astype(np.float32))


def test_the_triplet_loss_is_the_formula():
    u, near, far = relaxed(0), relaxed(1), relaxed(2)
    total = 0.0
    for i in range(6):
        distance = sum(abs(u[i, k] - near[i, k]) - abs(u[i, k] - far[i, k]) for k in range(5))
        total += max(0.0, 0.2 * 5 + float(distance)) / 5
    assert float(triplet_loss(u, near, far, 0.2)) == pytest.approx(total / 6, rel=1e-5)
    loose, tight = (float(triplet_loss(u, near, far, margin)) for margin in (0.5, 0.0))
    assert loose != pytest.approx(tight + 0.5)  # both sides of the hinge


def test_the_quantization_loss_is_the_formula_and_0_for_bits():
    u = relaxed(0)
    total = sum((value - (value >= 0.5)) ** 2 for value in u.flatten().tolist())
    assert float(quantization_loss(u)) == pytest.approx(total / 30, rel=1e-5)
    assert float(quantization_loss((u > 0.5).float())) == 0.0


def test_the_nearest_other_is_found_by_counting_bits():
    b = (relaxed(3) > 0.5).float()
    for i, found in enumerate(nearest_others(b).tolist()):
        distances = [math.inf if j == i else float((b[i] != b[j]).sum()) for j in range(6)]
        assert distances[found] == min(distances)


def test_random_others_are_others_and_all_of_them():
    draws = torch.stack([random_others(4, torch.device("cpu")) for _ in range(200)])
    for place in range(4):
        assert set(draws[:, place].tolist()) == set(range(4)) - {place}


def test_generated_images_do_not_change_the_running_statistics():
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    kept = network[1].running_mean.clone()
    with statistics_kept(network):
        network(torch.randn(8, 3) + 5)
    torch.testing.assert_close(network[1].running_mean, kept)
    network(torch.randn(8, 3) + 5)
    assert not torch.equal(network[1].running_mean, kept)


@pytest.mark.filterwarnings("ignore:the codes have collapsed")  # in so few steps
def test_the_first_codes_are_those_of_the_start_and_the_last_those_of_encode():
    for start, features in (("itq", None), ("lsh", None), ("itq", "gist")):
        hasher = pgh(start=start, start_features=features, hash_steps=10).fit(X)
        assert hasher.codes_by_round_.shape == (3, 400, 2)
        rows = X.reshape(400, -1) / np.float32(np.iinfo(X.dtype).max if X.dtype.kind in "iu" else 1)
        if features:
            rows = Gist().fit_transform(rows.reshape(-1, 8, 8))
        weak = get_method(start)(12, random_state=np.random.RandomState(0)).fit(rows)
        np.testing.assert_array_equal(hasher.codes_by_round_[0], weak.encode(rows))
        for number in (1, 2):
            codes = hasher.codes_by_round_[number]
            np.testing.assert_array_equal(hasher.encode_after(number, X), codes)
        np.testing.assert_array_equal(hasher.encode(X), hasher.codes_by_round_[-1])


def test_training_does_what_its_losses_ask():
    hasher = pgh(n_rounds=1, hash_steps=300, generator_steps=100).fit(X)
    for name in ("code", "triplet", "quantization"):
        curve = hasher.history_[name]
        assert curve[-10:].mean() < 0.9 * curve[:10].mean()
    assert len(hasher.history_["generator"]) == 100
    assert len(hasher.history_["code"]) == 30
    assert len(hasher.history_["triplet"]) == 270


def test_codes_get_nearer_to_the_labels_than_those_of_lsh():
    def agreement(codes):
        bits = np.unpackbits(codes, axis=1).astype(int)
        distances = np.abs(bits[:, None] - bits[None]).sum(axis=2)
        same = Y[:, None] == Y
        return distances[~same].mean() - distances[same & ~np.eye(400, dtype=bool)].mean()

    hasher = pgh(16, start="lsh", hash_steps=200, generator_steps=50, width=8).fit(X)
    first, *_, last = (agreement(codes) for codes in hasher.codes_by_round_)
    assert last > 1.3 * first


@pytest.mark.filterwarnings("ignore:the codes have collapsed")  # in so few steps
def test_real_triplets_need_no_generator_and_generated_ones_no_other_image():
    real = pgh(triplets="real").fit(X)
    assert "generator" not in real.history_
    assert real.samples_.shape == (0, 8, 8)
    for triplets in ("both", "generated"):
        for positive in ("nearest", "own"):
            hasher = pgh(triplets=triplets, positive=positive).fit(X)
            assert len(hasher.history_["discriminator"]) == 12
            assert hasher.samples_.shape == (64, 8, 8)
            assert hasher.samples_.dtype == X.dtype


class PowerCutError(Exception):
    """Stands for one."""


@pytest.mark.parametrize("after", [3, 36, 50])
def test_an_interrupted_fit_ends_as_if_it_had_not_been(after, tmp_path, monkeypatch):
    whole = pgh(hash_steps=30).fit(X)
    keep = Training.keep

    def keep_and_break(self):
        keep(self)
        if self.step == after:
            raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "_SECONDS_BETWEEN_FILES", -1.0)
        patched.setattr(Training, "keep", keep_and_break)
        with pytest.raises(PowerCutError):
            pgh(checkpoint=str(tmp_path / "state")).fit(X)
    resumed = pgh(checkpoint=str(tmp_path / "state")).fit(X)
    np.testing.assert_array_equal(resumed.codes_by_round_, whole.codes_by_round_)
    np.testing.assert_array_equal(resumed.samples_, whole.samples_)
    for name, layer in whole.layers_by_round_.items():
        np.testing.assert_array_equal(resumed.layers_by_round_[name], layer)


def test_colour_images_and_vectors_are_hashed():
    colour = np.repeat(X[:60, :, :, None], 3, axis=3)
    hasher = pgh().fit(colour)
    assert hasher.samples_.shape == (64, 8, 8, 3)
    assert hasher.encode(colour).shape == (60, 2)
    rows = X.reshape(400, -1)
    as_images = pgh(image_shape=(8, 8)).fit(rows)
    np.testing.assert_array_equal(as_images.encode(rows), pgh().fit(X).encode(X))
    assert pgh().fit(rows.astype(np.float32)).samples_.shape == (64, 64)


def test_constant_codes_are_warned_of():
    with pytest.warns(CollapseWarning, match=r"codes have collapsed.*smaller lr"):
        pgh(8, n_rounds=1, triplets="real", lr=10.0).fit(X)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"triplets": "fake"}, "triplets must be one of both, generated, real, got 'fake'"),
        ({"positive": "far"}, "positive must be one of nearest, own"),
        ({"start": "sttm"}, "start must be a method that learns without labels, got sttm"),
        ({"start": "nothing"}, "unknown method 'nothing'"),
        ({"start_features": "nothing"}, "unknown"),
        ({"n_rounds": 0}, "n_rounds == 0"),
        ({"batch_size": 3}, "batch_size == 3"),
        ({"margin": -1.0}, "margin == -1"),
        ({"lr": 0.0}, "lr == 0"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pgh(**options).fit(X)


def test_a_round_that_never_was_is_refused():
    hasher = pgh().fit(X)
    with pytest.raises(ValueError, match="round_number == 3"):
        hasher.encode_after(3, X)
    with pytest.raises(ValueError, match="shape"):
        hasher.encode_after(1, X[:, :5])
