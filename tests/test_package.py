"""The package as a whole: light to import, and what it promises is there."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import hashlearn

HEAVY = {
    "torch", "sklearn", "scipy", "matplotlib", "pyarrow", "fastapi", "uvicorn", "onnx",
    "onnxruntime", "tokenizers", "transformers", "sentence_transformers", "huggingface_hub", "ray",
}  # fmt: skip


def modules_after(code):
    """Run code in a fresh interpreter and list the top-level modules that it has loaded."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules}, sep='\\n')"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    loaded = modules_after("import hashlearn")
    assert "hashlearn" in loaded
    assert not loaded & HEAVY


def test_a_name_loads_its_home_and_no_more():
    loaded = modules_after("import hashlearn; hashlearn.HammingIndex")
    assert "numpy" in loaded
    assert not loaded & (HEAVY - {"scipy"})


@pytest.mark.parametrize("command", ["--help", "fit --help", "methods"])
def test_what_needs_no_method_loads_none(command):
    loaded = modules_after(
        "import sys\n"
        "from hashlearn.cli import main\n"
        f"sys.argv = ['hashlearn', *{command.split()}]\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0"
    )
    assert "typer" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("name", hashlearn.__all__)
def test_every_public_name_can_be_had(name):
    assert getattr(hashlearn, name) is not None
    assert name in dir(hashlearn)


def test_public_names_are_those_of_their_stations():
    from hashlearn.index import HammingIndex
    from hashlearn.models import load

    assert hashlearn.HammingIndex is HammingIndex
    assert hashlearn.load is load


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hashlearn' has no attribute 'Index'"):
        hashlearn.Index  # noqa: B018 - the access is the test


def test_the_version_is_that_of_the_installed_package():
    assert hashlearn.__version__ == version("hashlearn")
