"""The command line in this process, and a folder of files for it to work on."""

import json
import re
import shutil
import sys
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hashlearn.cli import app, main


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    out: str
    err: str

    @property
    def json(self):
        """Standard output, parsed."""
        return json.loads(self.out)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command as the entry point does, check its exit code, and leave out colours."""
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main replaces it
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "HASHLEARN_DATA"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["hashlearn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in capsys.readouterr())
        assert ended.value.code == code, err
        return Ended(out, err)

    return run


@pytest.fixture(scope="session")
def material(tmp_path_factory):
    """Make photographs and vectors, and of each a model, codes and an index."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)
    for name, brightness in (("day", 200), ("night", 50)):
        (folder / "photos" / name).mkdir(parents=True)
        for i in range(12):
            noise = rng.normal(brightness, 20, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            picture = Image.fromarray(noise).resize((20 + i, 16))
            picture.save(folder / "photos" / name / f"{i}.png")
    Image.fromarray(np.full((30, 40, 3), 210, np.uint8)).save(folder / "new.jpg")
    vectors = rng.normal(size=(40, 16)).astype(np.float32)
    names = np.array([f"item {i}" for i in range(40)])
    np.savez(folder / "vectors.npz", X=vectors, y=np.arange(40) % 4, item_names=names)
    np.save(folder / "bare.npy", vectors)

    def make(*arguments):
        made = CliRunner().invoke(app, list(map(str, arguments)))
        assert made.exit_code == 0, made.exception

    photos, own = folder / "photos", folder / "vectors"
    for stem, *data in (
        (photos, photos, "--image-size", "8x8", "--bits", 16),
        (own, own.with_suffix(".npz"), "--bits", 12),
    ):
        model, codes = (stem.with_name(f"{stem.name}{end}") for end in (".model", "-codes.npz"))
        make("fit", *data, "-o", model)
        make("encode", model, data[0], "-o", codes)
        make("index", codes, "-o", stem.with_name(f"{stem.name}.index"))
    return folder


@pytest.fixture
def folder(tmp_path, material, monkeypatch):
    """Work in a copy of the material."""
    copy = tmp_path / "folder"
    shutil.copytree(material, copy)
    monkeypatch.chdir(copy)
    return copy
