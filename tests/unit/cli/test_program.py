"""How the program names and explains itself, and what it does not drag in."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.plugin import NAMES, install

from cetacean_cli.program import name_of, program

REPOSITORY = Path(__file__).parents[3]


def commands(group: click.Group = program, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, as it is called."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_each_explains_itself(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(program, [*path, "--help"], prog_name="cetacean")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: {' '.join(('cetacean', *path))} ")


def test_the_surface() -> None:
    assert {" ".join(path) for path in commands()} == {
        "",
        "drift",
        "emergency",
        "emergency disable-gate",
        "emergency restore",
        "gate",
        "gate check",
        "history",
        "promote",
        "registry",
        "registry add",
        "registry promote",
        "registry rollback",
        "registry to-manifest",
        "registry validate",
        "rollback",
        "status",
    }


def test_what_changes_something_asks_and_can_be_tried() -> None:
    changing = {"promote", "rollback", "disable-gate", "restore", "add"}
    for path in commands():
        context = click.Context(program)
        command: click.Command = program
        for part in path:
            assert isinstance(command, click.Group)
            command = command.commands[part]
        if not path or isinstance(command, click.Group):
            continue
        options = {name for parameter in command.get_params(context) for name in parameter.opts}
        assert ({"--yes", "--dry-run"} <= options) == (path[-1] in changing), path
        assert "--output" in options, path


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/cetacean", "cetacean"),
        ("/home/me/bin/kubectl-cetacean", "kubectl cetacean"),
        ("/venv/lib/cetacean_cli/__main__.py", "cetacean"),
    ],
)
def test_it_names_itself_as_it_was_called(called: str, name: str) -> None:
    assert name_of(called) == name


def test_the_installed_names_are_those_of_the_tests() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert {name for name, target in scripts.items() if target == "cetacean_cli.program:main"} == set(NAMES)


@pytest.mark.parametrize("called", [("kubectl-cetacean",), (sys.executable, "-m", "cetacean_cli")])
def test_as_a_process(called: tuple[str, ...], tmp_path: Path) -> None:
    environment = install(tmp_path)
    done = subprocess.run([*called, "gate", "check"], env=environment, capture_output=True, text=True, check=False)
    name = "kubectl cetacean" if called[0].startswith("kubectl") else "cetacean"
    assert done.returncode == 2
    assert done.stderr.startswith(f"Usage: {name} gate check ")


def test_the_version_is_told_without_an_installation_too() -> None:
    done = CliRunner().invoke(program, ["--version"])
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)


def test_neither_kopf_nor_torch_is_needed() -> None:
    told = "import sys, cetacean_cli.program; print([m for m in ('kopf', 'aiohttp', 'torch') if m in sys.modules])"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / name) for name in ("operator", "models")),
    }
    done = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
