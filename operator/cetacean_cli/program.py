"""The program: its commands, and how it names itself."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from cetacean_cli.commands.drift import drift
from cetacean_cli.commands.emergency import emergency
from cetacean_cli.commands.gate import gate
from cetacean_cli.commands.registry import registry
from cetacean_cli.commands.status import history, status
from cetacean_cli.commands.switch import promote, rollback
from cetacean_cli.errors import EXIT_CODES, BadInputError
from cetacean_registry import RegistryError

PLUGIN = "kubectl-"


class _Program(click.Group):
    """A group that tells what the registry's format refuses in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except RegistryError as error:
            raise BadInputError(str(error)) from error


def _version() -> str:
    try:
        return metadata.version("cetacean")
    except metadata.PackageNotFoundError:
        return "0+checkout"


@click.group(
    cls=_Program, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(_version(), message="%(version)s")
def program() -> None:
    """Models of the whale and dolphin recognition service: the registry's file, and what serves in the cluster.

    What changes something shows the change first and asks; --yes does not ask, --dry-run does not change.
    """


for command in (drift, emergency, gate, history, promote, registry, rollback, status):
    program.add_command(command)


def name_of(called: str) -> str:
    """How the program was called: `kubectl cetacean` where kubectl called it, else `cetacean`."""
    file = Path(called).name
    return f"kubectl {file.removeprefix(PLUGIN).replace('_', '-')}" if file.startswith(PLUGIN) else "cetacean"


def main() -> None:
    """Run it."""
    program(prog_name=name_of(sys.argv[0]))
