"""Training that is interrupted and goes on, and that several processes share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import hashlearn._training as training_module
from hashlearn._training import (
    CollapseWarning,
    Training,
    Workers,
    seeded,
    training_question,
    warn_of_equal_codes,
    warn_of_equal_samples,
)
from hashlearn.generative import GAN
from hashlearn.storage import read_arrays

X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)


class PowerCutError(Exception):
    """Stands for a power cut."""


def gan(path=None, **options):
    options = {"n_steps": 12, "width": 2, "batch_size": 8, "random_state": 0} | options
    return GAN(3, checkpoint=path, **options)


def interrupt(monkeypatch, after):
    """Keep the state after every step, and break off after some."""
    monkeypatch.setattr(training_module, "_SECONDS_BETWEEN_FILES", -1.0)
    keep = Training.keep

    def keep_and_break(self):
        keep(self)
        if self.step == after:
            raise PowerCutError

    monkeypatch.setattr(Training, "keep", keep_and_break)


def test_a_function_among_the_parameters_has_the_same_name_in_every_process():
    asked = training_question(gan(device=np.random.default_rng, width=lambda x: x))
    assert "device" not in asked
    assert asked["width"].endswith("every_process.<locals>.<lambda>")
    assert asked["n_steps"] == 12


@pytest.mark.parametrize("after", [1, 7, 12])
def test_a_training_that_was_interrupted_ends_as_if_it_had_not_been(after, tmp_path, monkeypatch):
    whole = gan().fit(X)
    with monkeypatch.context() as patched:
        interrupt(patched, after)
        with pytest.raises(PowerCutError):
            gan(tmp_path / "state").fit(X)
    resumed = gan(tmp_path / "state").fit(X)
    for name, part in whole.networks_.items():
        np.testing.assert_array_equal(resumed.networks_[name], part)
    for name, curve in whole.history_.items():
        assert len(curve) == 12
        np.testing.assert_array_equal(resumed.history_[name], curve)
    np.testing.assert_array_equal(resumed.samples_, whole.samples_)


def test_a_training_that_ended_is_not_done_again(tmp_path, monkeypatch):
    first = gan(tmp_path / "state").fit(X)
    monkeypatch.setattr(torch.optim.Adam, "step", None)
    again = gan(tmp_path / "state").fit(X)
    np.testing.assert_array_equal(again.samples_, first.samples_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.1}, "its lr is 0.0002, and 0.1 was asked for"),
        ({"n_steps": 13}, "its n_steps is 12"),
        ({"random_state": 1}, "its random_state is 0"),
    ],
)
def test_the_state_of_another_training_is_refused(change, message, tmp_path):
    gan(tmp_path / "state").fit(X)
    before = (tmp_path / "state").read_bytes()
    with pytest.raises(ValueError, match=message):
        gan(tmp_path / "state", **change).fit(X)
    with pytest.raises(ValueError, match="checksum of the data"):
        gan(tmp_path / "state").fit(X + 1e-3 * np.arange(5, dtype=np.float32))
    assert (tmp_path / "state").read_bytes() == before


def test_a_checkpoint_has_a_folder_and_is_whole(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        gan(tmp_path / "nowhere" / "state").fit(X)
    (tmp_path / "state").write_bytes(b"something else")
    with pytest.raises(ValueError, match="not a hashlearn file"):
        gan(tmp_path / "state").fit(X)


def test_a_training_that_diverges_says_so():
    network = torch.nn.Linear(1, 1)
    training = Training(network, {}, Workers("cpu"))
    training.record(loss=torch.tensor(1.0))
    training.record(loss=torch.tensor(float("nan")))
    with pytest.raises(ValueError, match=r"diverged.*smaller lr"):
        training.history()


SCRIPT = """
import os, sys
import numpy as np
from hashlearn.generative import GAN

X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
model = GAN(3, n_steps=30, width=2, batch_size=32, device="cpu", random_state=0).fit(X)
model.save(f"{sys.argv[1]}/{os.environ['LOCAL_RANK']}.model")
"""


@pytest.mark.parametrize(
    "launcher",
    [
        ["lightning_fabric.cli", "--accelerator", "cpu", "--devices", "2"],
        ["torch.distributed.run", "--nproc-per-node", "2"],
    ],
    ids=["fabric", "torchrun"],
)
def test_two_processes_end_with_the_same_networks_and_user_code_does_not_change(launcher, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", *launcher, script, tmp_path]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = (GAN.load(tmp_path / f"{rank}.model") for rank in (0, 1))
    for name, part in first.networks_.items():
        np.testing.assert_array_equal(second.networks_[name], part)
    alone = gan(n_steps=30, batch_size=32, device="cpu").fit(X)
    one, two = (model.networks_["generator.0.weight"].ravel() for model in (alone, first))
    assert not np.array_equal(one, two)  # they saw other batches
    assert np.corrcoef(one, two)[0, 1] > 0.5


KILLED = """
import os, signal, sys
import numpy as np
import hashlearn._training as training
from hashlearn.generative import GAN

X = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
folder, rank = sys.argv[1], os.environ["LOCAL_RANK"]
training._SECONDS_BETWEEN_FILES = -1.0
keep = training.Training.keep

def keep_and_die(self):
    keep(self)
    if self.step == 7 and rank == "1" and not os.path.exists(f"{folder}/killed"):
        open(f"{folder}/killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

training.Training.keep = keep_and_die
options = {"n_steps": 12, "width": 2, "batch_size": 16, "device": "cpu", "random_state": 0}
model = GAN(3, checkpoint=f"{folder}/state", **options).fit(X)
assert all(len(curve) == 12 for curve in model.history_.values())
model.save(f"{folder}/{rank}.model")
"""


def test_two_processes_end_when_one_is_killed_and_go_on_together_from_the_checkpoint(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run():
        return subprocess.run(
            [*command, script, tmp_path], env=environment, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip

    killed = run()
    assert killed.returncode != 0
    assert "Signal 9 (SIGKILL)" in killed.stderr
    assert not list(tmp_path.glob("*.model"))
    assert 6 <= read_arrays(tmp_path / "state", "training")[0]["step"] <= 8
    resumed = run()
    assert resumed.returncode == 0, resumed.stderr
    first, second = (GAN.load(tmp_path / f"{rank}.model") for rank in (0, 1))
    for name, part in first.networks_.items():
        np.testing.assert_array_equal(second.networks_[name], part)


class TwoProcesses:
    """Stands for Fabric in the first of two processes; the other has what it is told."""

    def __init__(self, others):
        self.others = others

    def all_reduce(self, part):
        return (part + torch.cat([other.flatten() for other in self.others])) / 2


def test_gradients_are_averaged_and_those_that_are_missing_left_out():
    network = torch.nn.Linear(2, 1)
    network.weight.grad = torch.tensor([[1.0, 2.0]])
    workers = Workers("cpu")
    workers._fabric = TwoProcesses([torch.tensor([3.0, 6.0])])
    workers.average_gradients(network)
    torch.testing.assert_close(network.weight.grad, torch.tensor([[2.0, 4.0]]))
    assert network.bias.grad is None


def test_a_share_of_a_batch_is_at_least_one_item():
    workers = Workers("cpu")
    assert workers.share(10) == 10
    workers.count = 4
    assert (workers.share(10), workers.share(3)) == (2, 1)


def test_equal_samples_and_equal_codes_are_warned_of(recwarn):
    rng = np.random.default_rng(0)
    data = rng.standard_normal((50, 4))
    warn_of_equal_samples(0.5 * data, data, "wait")
    warn_of_equal_codes(rng.integers(0, 2, (1000, 8)), "wait")
    assert not recwarn.list
    with pytest.warns(CollapseWarning, match=r"generator has collapsed.*; wait"):
        warn_of_equal_samples(np.ones((9, 4)) + 0.01 * data[:9], data, "wait")
    bits = np.zeros((1000, 8))
    bits[:, :3] = rng.integers(0, 2, (1000, 3))
    with pytest.warns(CollapseWarning, match="5 of 8 bits"):
        warn_of_equal_codes(bits, "wait")


def test_random_numbers_are_left_as_they_were():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    with seeded(np.random.RandomState(0), torch.device("cpu")):
        first = torch.rand(2)
    with seeded(np.random.RandomState(0), torch.device("cpu")):
        torch.testing.assert_close(torch.rand(2), first)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_no_file_is_left_beside_a_checkpoint(tmp_path):
    gan(tmp_path / "state").fit(X)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["state"]
