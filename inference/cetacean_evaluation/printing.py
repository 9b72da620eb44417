"""Lines on standard output and standard error."""

from __future__ import annotations

import sys

from cetacean_registry.messages import output_line


def print_line(text: str, *, err: bool = False) -> None:
    """Print one line, whatever the text holds; it commands neither a terminal nor a CI runner."""
    print(output_line(text), file=sys.stderr if err else sys.stdout)
