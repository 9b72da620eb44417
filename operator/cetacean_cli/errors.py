"""One-line errors, and the exit codes that scripts rely on."""

from __future__ import annotations

from typing import Final

import click

OK: Final = 0
REFUSED: Final = 1
"""The gate, the API server or the person said no, or what was asked is not so."""
BAD_INPUT: Final = 2
"""Wrong usage, or a file, a model or a resource that is not there or is not what it should be."""
UNREACHABLE: Final = 3
"""No cluster answers, or it does not let this user in."""

EXIT_CODES: Final = (
    "Exit codes: 0 done or fine; 1 refused, not confirmed or not so; 2 wrong usage or bad input; "
    "3 the cluster cannot be reached."
)


class CliError(click.ClickException):
    """Ends the program with one line on standard error."""

    def format_message(self) -> str:
        """Return the message in one line."""
        return " ".join(self.message.split())


class RefusedError(CliError):
    """Something said no."""

    exit_code = REFUSED


class BadInputError(CliError):
    """What was given cannot be used."""

    exit_code = BAD_INPUT


class UnreachableError(CliError):
    """The cluster does not answer."""

    exit_code = UNREACHABLE
