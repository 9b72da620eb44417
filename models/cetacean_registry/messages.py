"""Texts from outside, as messages may quote them: one line of bounded length."""

from __future__ import annotations

from typing import Final

LONGEST_QUOTE: Final = 400
"""Characters of a text from outside in a message, an Event or a status."""
LONGEST_MESSAGE: Final = 1600
"""Characters of a message with several faults."""


def without_controls(text: str) -> str:
    """Return the text with a sign in the place of each character that a terminal or a page would not show as itself."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def one_line(text: str, *, longest: int = LONGEST_QUOTE) -> str:
    """Return the text on one line without control characters, cut after `longest` characters."""
    # Cut first: the text may have megabytes.
    shown = without_controls(" ".join(text[: 4 * longest].split()))
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
