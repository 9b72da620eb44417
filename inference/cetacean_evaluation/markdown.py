"""Texts of files in Markdown: no character of them is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from cetacean_registry.messages import printable

_MARKUP: Final = re.compile(r"[\\`|<>\[\]&*~]")


def plain(text: str) -> str:
    """Return a text for a line or a cell of Markdown: no character of it is markup."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def code_block(lines: Iterable[str]) -> str:
    """Return lines that Markdown shows as they are; a blank line must stand before them."""
    return "".join(f"    {printable(line)}\n" for line in lines)
