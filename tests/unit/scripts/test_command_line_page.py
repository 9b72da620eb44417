"""docs/command-line.md matches the program's help."""

from __future__ import annotations

from pathlib import Path

from cetacean_tools.pages.command_line import document

DOCUMENT = Path(__file__).parents[3] / "docs" / "command-line.md"


def test_the_document_is_not_stale() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make command-line`"


def test_every_command_is_there() -> None:
    text = document()
    assert text.count("Usage: cetacean") == 27
    assert (
        "## cetacean emergency disable-gate\n\n```text\nUsage: cetacean emergency disable-gate [OPTIONS] NAME" in text
    )
