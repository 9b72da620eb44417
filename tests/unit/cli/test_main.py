"""The program's commands, help texts, name and imports."""

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

from cetacean_cli.main import cli, program_name

REPOSITORY = Path(__file__).parents[3]


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group by its words."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_each_command_has_a_help_text(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"], prog_name="cetacean")
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Usage: {' '.join(('cetacean', *path))} ")


def test_the_list_of_commands() -> None:
    assert {" ".join(path) for path in commands()} == {
        "",
        "approve",
        "candidate",
        "candidate abort",
        "candidate retry",
        "candidate disagreements",
        "candidate promote",
        "candidate show",
        "drift",
        "emergency",
        "emergency disable-gate",
        "emergency restore",
        "feedback",
        "gate",
        "gate check",
        "history",
        "promote",
        "registry",
        "registry add",
        "registry import",
        "registry promote",
        "registry rollback",
        "registry sign",
        "registry to-manifest",
        "registry validate",
        "registry verify",
        "release",
        "release check",
        "release plan",
        "rollback",
        "status",
    }


def test_commands_that_change_something_have_yes_and_dry_run() -> None:
    writing = {
        "abort",
        "retry",
        "approve",
        "promote",
        "rollback",
        "disable-gate",
        "restore",
        "add",
        "import",
        "feedback",
    }
    for path in commands():
        context = click.Context(cli, **cli.context_settings)  # a command keeps the help option of its first context
        command: click.Command = cli
        for part in path:
            assert isinstance(command, click.Group)
            command = command.commands[part]
        if not path or isinstance(command, click.Group):
            continue
        options = {name for parameter in command.get_params(context) for name in parameter.opts}
        assert ({"--yes", "--dry-run"} <= options) == (path[-1] in writing), path
        assert "--output" in options, path


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/cetacean", "cetacean"),
        ("/home/me/bin/kubectl-cetacean", "kubectl cetacean"),
        ("/venv/lib/cetacean_cli/__main__.py", "cetacean"),
    ],
)
def test_the_programs_name_depends_on_the_caller(called: str, name: str) -> None:
    assert program_name(called) == name


def test_the_installed_names_are_the_same_as_in_tests() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    assert {name for name, target in scripts.items() if target == "cetacean_cli.main:main"} == set(NAMES)


@pytest.mark.parametrize("called", [("kubectl-cetacean",), (sys.executable, "-m", "cetacean_cli")])
def test_the_program_runs_as_a_process(called: tuple[str, ...], tmp_path: Path) -> None:
    environment = install(tmp_path)
    done = subprocess.run([*called, "gate", "check"], env=environment, capture_output=True, text=True, check=False)
    name = "kubectl cetacean" if called[0].startswith("kubectl") else "cetacean"
    assert done.returncode == 2
    assert done.stderr.startswith(f"Usage: {name} gate check ")


def test_the_version_is_printed_without_an_installation_too() -> None:
    done = CliRunner().invoke(cli, ["--version"])
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)


def test_the_program_imports_neither_kopf_nor_torch() -> None:
    code = "import sys, cetacean_cli.main; print([m for m in ('kopf', 'aiohttp', 'torch') if m in sys.modules])"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / name) for name in ("operator", "models")),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
