"""The project speaks the language of its field: `support.language` says which words are kept out."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import language


def test_no_banned_word_stands_in_a_name_a_docstring_a_message_or_a_document() -> None:
    found = [fault for path in language.files() for fault in language.faults(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def tell() -> None: ...", "tell"),
        ("class TruthWave: ...", "Wave"),
        ('"""Look again."""', "Look"),
        ("x = 1  # nothing is told", "told"),
        ('print("begin anew")', "anew"),
        ('def f() -> None:\n    """Whether it is."""', "Whether"),
        ('field = Field(default=1, description="What " "it is.")', "What"),
        ('option = click.option("--x", help="Whether it is.")', "Whether"),
        ("class Kube: ...", "ApiClient"),
    ],
)
def test_each_kind_of_place_is_read(source: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "REPOSITORY", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(source + "\n")
    assert any(fault in found for found in language.faults(path))
