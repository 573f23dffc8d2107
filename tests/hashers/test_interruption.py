"""Trainings that were interrupted end as those that were not."""

import numpy as np
import pytest

from hashlearn import _training
from hashlearn.hashers import get_method

COMMON = {"width": 4, "batch_size": 16, "n_steps": 40, "random_state": 0, "device": "cpu"}
CASES = [
    ("bgan", {"n_neighbors": 5, "n_expanded": 5, "max_samples": 200}, {"sharpness": 2.0}),
    ("cnnh", {"n_sweeps": 2, "label_weight": 1.0}, {"label_weight": 0.5}),
    ("csq", {}, {"quantization_weight": 0.5}),
    ("cibhash", {}, {"temperature": 0.5}),
    ("bihalf", {}, {"gamma": 2.0}),
    ("bingan", {"n_latent": 8}, {"lr": 0.1}),
    ("greedyhash", {}, {"penalty_weight": 0.3}),
    ("hashgandizaji", {"n_latent": 8, "flip": True}, {"rotation": 5.0}),
    ("deepbit", {}, {"noise": 1.0}),
    ("dbdmq", {}, {"balance_weight": 1.0}),
    ("dh", {}, {"decay": 0.01}),
    ("supervisedgreedyhash", {}, {"penalty_weight": 0.3}),
    ("tbh", {"n_latent": 8}, {"power": 2.0}),
]


def stop_after(n_steps, monkeypatch):
    """Write a file after each step, and break out of a training."""
    record = _training.Training.record

    def count(training, **values):
        if training.step == n_steps:
            raise KeyboardInterrupt
        record(training, **values)

    monkeypatch.setattr(_training, "_SECONDS_BETWEEN_FILES", -1)
    monkeypatch.setattr(_training.Training, "record", count)


@pytest.mark.parametrize(("name", "settings", "other"), CASES, ids=[case[0] for case in CASES])
def test_an_interrupted_training_goes_on_to_the_same_result(
    name, settings, other, tmp_path, monkeypatch
):
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (240, 8, 8), np.uint8), rng.integers(0, 3, 240)
    if not get_method(name).accepts_images:
        images = images.reshape(240, 64)
    taken = get_method(name)().get_params()
    settings = {key: value for key, value in {**COMMON, **settings}.items() if key in taken}
    whole = get_method(name)(8, **settings).fit(images, y)
    kept = get_method(name)(8, checkpoint=tmp_path / "state", **settings)
    with monkeypatch.context() as patched:
        stop_after(23, patched)
        with pytest.raises(KeyboardInterrupt):
            kept.fit(images, y)
    kept.fit(images, y)
    np.testing.assert_array_equal(kept.project(images), whole.project(images))
    if hasattr(whole, "samples_"):
        np.testing.assert_array_equal(kept.samples_, whole.samples_)
    for key, curve in whole.history_.items():
        np.testing.assert_array_equal(kept.history_[key], curve)
    with pytest.raises(ValueError, match=f"state of another training: its {next(iter(other))}"):
        kept.set_params(**other).fit(images, y)
