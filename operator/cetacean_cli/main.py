"""The entry point: the group of all commands, and the name under which it was called."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from cetacean_cli.commands.approve import approve
from cetacean_cli.commands.candidate import candidate
from cetacean_cli.commands.drift import drift
from cetacean_cli.commands.emergency import emergency
from cetacean_cli.commands.feedback import feedback
from cetacean_cli.commands.gate import gate
from cetacean_cli.commands.registry import registry
from cetacean_cli.commands.release import release
from cetacean_cli.commands.status import history, status
from cetacean_cli.commands.switch import promote, rollback
from cetacean_cli.errors import EXIT_CODES, BadInputError
from cetacean_registry.errors import RegistryError

PLUGIN_PREFIX = "kubectl-"


class _Group(click.Group):
    """A group that reports an invalid registry in one line."""

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
    cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(_version(), message="%(version)s")
def cli() -> None:
    """Manage the models of the whale and dolphin recognition service: in the registry's file, and in the cluster.

    A command that changes something shows the change first and asks for confirmation. --yes skips the question,
    --dry-run changes nothing.
    """


_CHANGES = (approve, candidate, emergency, gate, promote, registry, release, rollback)
_VIEWS = (drift, feedback, history, status)
for command in (*_CHANGES, *_VIEWS):
    cli.add_command(command)


def program_name(called: str) -> str:
    """Return `kubectl cetacean` if kubectl called the program as its plugin, else `cetacean`."""
    file = Path(called).name
    is_plugin = file.startswith(PLUGIN_PREFIX)
    return f"kubectl {file.removeprefix(PLUGIN_PREFIX).replace('_', '-')}" if is_plugin else "cetacean"


def main() -> None:
    """Run the command line."""
    cli(prog_name=program_name(sys.argv[0]))
