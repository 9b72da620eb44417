"""One-line errors, and the exit codes that scripts rely on."""

from __future__ import annotations

from typing import Final

import click

from cetacean_registry.messages import output_line

OK: Final = 0
REFUSED: Final = 1
"""The gate, the API server or the user rejected it, or a check failed."""
BAD_INPUT: Final = 2
"""Wrong usage, or a file, a model or a resource that is missing or invalid."""
UNREACHABLE: Final = 3
"""No cluster answers, or it does not accept the user's credentials."""

EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 refused, not confirmed, or a check failed; 2 wrong usage or invalid input; "
    "3 the cluster cannot be reached."
)


class CliError(click.ClickException):
    """Ends the program with one line on standard error."""

    def format_message(self) -> str:
        """Return the message in one line that commands neither a terminal nor a CI runner."""
        return output_line(" ".join(self.message.split()))


class RefusedError(CliError):
    """A rule, the API server or a check rejected it."""

    exit_code = REFUSED


class BadInputError(CliError):
    """An argument, a file or a resource is missing or invalid."""

    exit_code = BAD_INPUT


class UnreachableError(CliError):
    """The cluster does not answer."""

    exit_code = UNREACHABLE
