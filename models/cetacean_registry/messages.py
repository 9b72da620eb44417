"""Texts from outside, as messages may quote them: one line of bounded length."""

from __future__ import annotations

import re
from typing import Final

_COMMAND_ANYWHERE: Final = re.compile(r"##(?=\w*\[)")
LONGEST_QUOTE: Final = 400
"""Characters of a text from outside in a message, an Event or a status."""
LONGEST_MESSAGE: Final = 1600
"""Characters of a message with several faults."""


def without_controls(text: str) -> str:
    """Return the text with a sign in the place of each character that a terminal or a page would not show as itself."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def printable(text: str) -> str:
    """Return the text on one line, of the same length, without characters that command a terminal or turn the text.

    Texts of containers, of other people's objects and of files are shown: none may hide or forge a line.
    """
    return without_controls(re.sub(r"\s", " ", text))


def output_line(text: str) -> str:
    """Return the text as one line of a program's output, which commands neither a terminal nor a CI runner.

    Runners take a line that begins with `::`, and `##[` or `##name[` in any line, for commands.
    """
    line = printable(text)
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return _COMMAND_ANYWHERE.sub("# #", line)


def one_line(text: str, *, longest: int = LONGEST_QUOTE) -> str:
    """Return the text on one line without control characters, cut after `longest` characters."""
    # Cut first: the text may have megabytes.
    shown = without_controls(" ".join(text[: 4 * longest].split()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
