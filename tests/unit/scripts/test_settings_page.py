"""docs/settings.md matches the classes."""

from __future__ import annotations

from pathlib import Path

from cetacean_tools.pages.settings import document

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_document_is_not_stale() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make settings`"


def test_every_setting_is_explained() -> None:
    rows = [line for line in document().splitlines() if line.startswith("| `CETACEAN")]
    assert len(rows) > 60
    assert [row for row in rows if row.endswith("|  |")] == []


def test_variables_defaults_and_bounds_are_those_of_the_classes() -> None:
    text = document()
    assert "| `CETACEAN_HTTP__PORT` | `8080` | ≥ 0, ≤ 65535 |" in text
    assert "| `CETACEAN_MODEL__NAME` | required |  |" in text
    assert "| `CETACEAN_LOG__FORMAT` | `json` | `json`, `text` |" in text
    assert "| `CETACEAN_OPERATOR_LEADER_ELECTION` | `true` |" in text
