"""Texts from outside on one line of bounded length."""

from __future__ import annotations

import pytest

from cetacean_registry.messages import LONGEST_QUOTE, one_line, output_line, without_controls


def test_characters_that_are_not_shown_as_themselves_are_replaced() -> None:
    assert without_controls("a\x1b[2Jb\u202ec") == "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c"
    assert one_line("a \n\t b\x00") == "a b\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("length", "shown"), [(10, "x" * 10), (11, f"{'x' * 9}…"), (500, f"{'x' * 9}…")])
def test_a_text_is_cut(length: int, shown: str) -> None:
    assert one_line("x" * length, longest=10) == shown
    assert len(one_line("x" * 1000)) == LONGEST_QUOTE


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    assert one_line(f"{' ' * 39}ab", longest=10) == "a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error title=x::forged", ": :error title=x::forged"),
        ("  ::add-mask::a", "  : :add-mask::a"),
        ("\n::stop-commands::x", " : :stop-commands::x"),
        ("ok ##[add-mask]a", "ok # #[add-mask]a"),
        ("##vso[task.complete]", "# #vso[task.complete]"),
        ("a.jpg\x1b[2J: b::c", "a.jpg\ufffd[2J: b::c"),
        ("## 12 of 13 [x]", "## 12 of 13 [x]"),
        ("ok    a  b", "ok    a  b"),
    ],
)
def test_a_line_of_output_commands_neither_a_terminal_nor_a_runner(text: str, shown: str) -> None:
    assert output_line(text) == shown
