"""Start a command of `cetacean_evaluation` from a checkout with any Python; needs only the standard library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from cetacean_tools.workspace import REPOSITORY


def launch(name: str, arguments: Sequence[str] | None = None, *, missing_package: int = 1) -> int:
    """Run `cetacean_evaluation.commands.<name>`.

    Args:
        name: of the command.
        arguments: its command line; `sys.argv`'s when None.
        missing_package: the exit code if this Python lacks a package.

    Returns:
        Its exit code.
    """
    for folder in ("inference", "models"):  # last: an installed project takes precedence
        sys.path.append(str(REPOSITORY / folder))
    try:
        command = importlib.import_module(f"cetacean_evaluation.commands.{name}")
    except ModuleNotFoundError as error:
        print(
            f"error: {error} in {sys.executable}: use the Python of `make venv`, "
            f"or install the project: pip install '{REPOSITORY}[inference,scripts]'",
            file=sys.stderr,
        )
        return missing_package
    return int(command.main(arguments, root=REPOSITORY))
