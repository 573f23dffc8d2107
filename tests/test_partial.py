"""What long work has written is there after any interruption, up to its last commit."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from hashlearn import partial as partial_module
from hashlearn.data import Batch
from hashlearn.partial import Partial, Section, keep

QUESTION = {"a": [1, 2]}


class CutOffError(Exception):
    """Stands for whatever ends a process."""


def interrupted(output, question=QUESTION, *, after_commit=b"lost"):
    def half(work):
        work.append("x", b"kept")
        work.commit(n=4)
        work.append("x", after_commit)
        raise CutOffError

    with pytest.raises(CutOffError), Partial(output, question) as work:
        half(work)


def test_work_goes_on_at_the_last_commit(tmp_path):
    interrupted(tmp_path / "out")
    assert (tmp_path / "out.partial").is_dir()
    with Partial(tmp_path / "out", QUESTION) as work:
        assert work.state == {"n": 4}
        work.append("x", b" and more")
        work.commit()
        assert work.path("x").read_bytes() == b"kept and more"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("question", [{"a": [1, 3]}, None])
def test_another_question_begins_anew(tmp_path, question):
    interrupted(tmp_path / "out")
    with Partial(tmp_path / "out", question) as work:
        assert work.state == {}
        assert not work.path("x").exists()


def test_work_without_a_question_leaves_nothing(tmp_path):
    interrupted(tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []


def test_work_that_ends_before_its_first_commit_leaves_nothing(tmp_path):
    with pytest.raises(CutOffError), Partial(tmp_path / "out", QUESTION):
        raise CutOffError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["state", "file", "json"])
def test_damaged_work_begins_anew(tmp_path, damage):
    interrupted(tmp_path / "out")
    folder = tmp_path / "out.partial"
    if damage == "state":
        (folder / "state.json").unlink()
    elif damage == "json":
        (folder / "state.json").write_text('{"question": {"a": [1, 2]}')
    else:
        os.truncate(folder / "x.bin", 2)
    with Partial(tmp_path / "out", QUESTION) as work:
        assert work.state == {}


def items(start, stop):
    rows = np.arange(start, stop)
    return Batch(rows, rows, stop, tuple(f"item\n{i}" for i in rows), rows % 3)


def test_sections_give_back_what_was_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(partial_module, "_COMMIT_SECONDS", 0.0)
    seen = []

    def made(first):
        for start in range(first, 12, 4):
            if start == 8 and first == 0:
                raise CutOffError
            yield items(start, start + 4), np.arange(start, start + 4, dtype=np.float32)[:, None]

    with pytest.raises(CutOffError), Partial(tmp_path / "out", QUESTION) as work:
        keep(work, Section(work, "values"), made(0), 12, lambda *seen_: seen.append(seen_))
    with Partial(tmp_path / "out", QUESTION) as work:
        section = Section(work, "values")
        assert work.state["values"] == 8
        keep(work, section, made(8), 12, lambda *seen_: seen.append(seen_))
        np.testing.assert_array_equal(section.values(np.float32, 1)[:, 0], np.arange(12))
        np.testing.assert_array_equal(section.rows(), np.arange(12))
        assert list(section.names()) == [f"item\n{i}" for i in range(12)]
        assert section.labels().tolist() == [i % 3 for i in range(12)]
    assert seen == [("values", 4, 12), ("values", 8, 12), ("values", 12, 12)]


def test_an_empty_section_holds_nothing(tmp_path):
    with Partial(tmp_path / "out", QUESTION) as work:
        section = Section(work, "values")
        assert section.values(np.uint8, 3).shape == (0, 3)
        assert len(section.rows()) == 0
        assert section.names() is section.labels() is None


@pytest.mark.skipif(os.name == "nt", reason="kills a process")
def test_a_killed_process_loses_nothing_that_was_committed(tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
from hashlearn.partial import Partial
with Partial(Path(sys.argv[1]), {"a": [1, 2]}) as work:
    for i in range(5):
        work.append("x", bytes([i]))
        work.commit(n=i + 1)
    work.append("x", b"lost" * 10_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", script, tmp_path / "out"], check=False)
    assert ended.returncode == -signal.SIGKILL
    with Partial(tmp_path / "out", QUESTION) as work:
        assert work.state == {"n": 5}
        assert work.path("x").read_bytes() == bytes(range(5))
