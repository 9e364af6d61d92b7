"""What the pages say of the options of every command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import brenier.cli._ddpm
import brenier.cli._ddpm_checkpoint  # its commands
from brenier.cli._questions import app

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
# The work of these draws no random numbers.
SURE = {"follow", "labels", "transport", "ddpm encode", "ddpm import"}


def _commands(group, before=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} ")
        elif not command.hidden:
            yield before + name, {word for one in command.params for word in one.opts}


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_json_and_a_seed_where_it_draws(name):
    assert "--json" in COMMANDS[name]
    assert ("--seed" in COMMANDS[name]) == (name not in SURE)


def test_the_options_of_the_page_are_there():
    named = re.findall(r"^\| `brenier (\w+(?: \w+)*)[^|]*\|.*$", PAGE.read_text(), re.MULTILINE)
    lines = re.findall(r"^\| `brenier .*$", PAGE.read_text(), re.MULTILINE)
    assert len(named) == len(lines) > 10
    for words, line in zip(named, lines, strict=True):
        name = next(name for name in COMMANDS if f"{words} ".startswith(f"{name} "))
        absent = set(re.findall(r"--[a-z-]+", line)) - COMMANDS[name]
        assert not absent, (name, absent)
    assert {line.split("`")[1].split()[1] for line in lines} == {
        name.split()[0] for name in COMMANDS
    }


def test_the_package_runs_as_the_command():
    run = subprocess.run(
        [sys.executable, "-m", "brenier", "--version"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stdout) == (0, f"brenier {brenier.__version__}\n")
