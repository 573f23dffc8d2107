"""What the commands say about themselves, and what README.md says about them."""

import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from typer.main import get_command

from hashlearn import cli
from hashlearn.data.catalog import NAMES
from hashlearn.hashers import methods

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def commands_of(group, before=()):
    """List all commands by their names, also those within groups."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, (*before, name))
        else:
            yield " ".join((*before, name)), command


COMMANDS = dict(commands_of(get_command(cli.app)))


def plain(text):
    """Take frames and line ends out of a help page."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def documented_commands():
    """List the command lines of README.md: whole lines of shell, and those within sentences."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", README)
    return [line.partition("#")[0].strip() for line in lines if line.startswith("hashlearn ")]


def parse(line):
    """Parse a command line as the program does, without running it."""
    name, arguments = divided(line)
    return COMMANDS[name].make_context(name, arguments)


def divided(line):
    """Divide a command line into the name of a command and its arguments."""
    _, first, *arguments = shlex.split(line)
    name = first if first in COMMANDS else f"{first} {arguments.pop(0)}"
    assert name in COMMANDS
    return name, arguments


def test_the_entry_point_is_main():
    (script,) = entry_points(group="console_scripts", name="hashlearn")
    assert script.load() is cli.main


def test_every_command_is_listed(run):
    pages = plain(run("--help").out) + plain(run("collection", "--help").out)
    assert set(COMMANDS) == {
        "demo", "datasets", "methods", "fit", "encode", "index", "build", "search", "compress",
        "duplicates",
        "export", "push", "pull", "serve", "evaluate", "bench", "report",
        *(f"collection {name}" for name in (
            "create", "add", "remove", "search", "rebuild", "verify", "export", "salvage", "info",
        )),
    }  # fmt: skip
    for name, command in COMMANDS.items():
        assert f"{name.split()[-1]} {plain(command.help).split('.')[0]}." in pages


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_page_with_an_example_that_can_be_parsed(run, name):
    page = plain(run(*name.split(), "--help").out)
    assert "Example: hashlearn" in page
    examples = re.findall(r"Example: `(.*?)`", COMMANDS[name].help)
    assert examples
    for example in examples:
        assert divided(example)[0] == name
        assert example in page
        parse(example)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_every_line_fits(run, name):
    for parameter in COMMANDS[name].params:
        assert parameter.help, parameter.name
    assert "--json" in [name for parameter in COMMANDS[name].params for name in parameter.opts]
    assert max(map(len, run(*name.split(), "--help").out.splitlines())) <= 80


def test_readme_shows_the_whole_road():
    shown = {line.split()[1] for line in documented_commands()}
    assert shown >= {"fit", "encode", "index", "search", "evaluate"}


@pytest.mark.parametrize("line", documented_commands())
def test_the_commands_of_readme_exist_with_their_options(line):
    if line.endswith("..."):
        options = [word for word in line.split() if word.startswith("-")]
        name, _ = divided(line.removesuffix("..."))
        known = [name for parameter in COMMANDS[name].params for name in parameter.opts]
        assert set(options) <= set(known)
    else:
        parse(line)


@pytest.mark.usefixtures("folder")
def test_the_road_of_readme_runs(run):
    (block,) = (
        b for b in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) if "hashlearn fit" in b
    )
    road = [line for line in block.splitlines() if " mnist " not in line and "--paper" not in line]
    assert len(road) == 10
    for line in road:  # on fewer and smaller pictures than README's
        smaller = line.replace("32x32", "8x8").replace("--bits 64", "--bits 16")
        _, *arguments = shlex.split(smaller, comments=True)
        ended = run(*arguments)
        if arguments[:2] == ["duplicates", "photos/"]:
            assert " among 24 items" in ended.err
        if arguments[0] == "search":
            assert ended.out.count("day/") == 5
        if arguments[:2] == ["duplicates", "photos.index"]:
            assert "pairs within 2 bits among 24 items" in ended.err
    assert arguments[0] == "report"
    assert "Wrote report/index.html" in ended.err


def test_every_data_set_and_method_is_in_its_table(run):
    listed = run("datasets", "--json").json
    assert [row["name"] for row in listed] == list(NAMES)
    table = run("datasets").out
    assert max(map(len, table.splitlines())) <= 80
    assert all(f"│ {name} " in table for name in NAMES)
    listed = run("methods", "--json").json
    assert [row["name"] for row in listed] == [method.name for method in methods()]
    table = run("methods").out
    assert max(map(len, table.splitlines())) <= 80
    assert all(f"│ {method.name} " in table for method in methods())
