"""Start a command from a checkout with whichever Python the user has; imports nothing but the standard library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent.parent
_NOT_ENOUGH = 1


def launch(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run `evaluation.commands.<name>`.

    Args:
        name: of the command.
        arguments: its command line; `sys.argv`'s when None.

    Returns:
        Its exit code; 1 when this Python lacks a package.
    """
    for folder in ("inference", "models"):  # last, so that an installed project wins
        sys.path.append(str(_REPOSITORY / folder))
    try:
        command = importlib.import_module(f"evaluation.commands.{name}")
    except ModuleNotFoundError as error:
        print(
            f"error: {error} in {sys.executable}: use the Python of `make venv`, "
            f"or install the project: pip install '{_REPOSITORY}[inference,scripts]'",
            file=sys.stderr,
        )
        return _NOT_ENOUGH
    return int(command.main(arguments))
