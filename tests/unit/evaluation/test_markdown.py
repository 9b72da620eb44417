"""Texts of files in Markdown."""

from __future__ import annotations

import pytest

from cetacean_evaluation.markdown import code_block, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("effb4_15k passes: TNR 0.9 (minTNR)", "effb4_15k passes: TNR 0.9 (minTNR)"),
        ("a | b", r"a \| b"),
        (r"a \| b", r"a \\\| b"),
        ("<img src=x>&amp;", r"\<img src=x\>\&amp;"),
        ("[a](b) `c` **d** ~e~", r"\[a\](b) \`c\` \*\*d\*\* \~e\~"),
        ("a\n| forged | \u2705 |", "a \\| forged \\| \u2705 \\|"),
    ],
)
def test_no_character_of_a_text_is_markup(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_block_ends_with_no_line_of_its_text() -> None:
    assert code_block(["a\nb", "\x1b[2J", "  c"]) == "    a b\n    \ufffd[2J\n      c\n"
