"""Output that is kept in a file, word for word, and compared."""

from __future__ import annotations

from pathlib import Path

import pytest


def check(kept: Path, found: str, folder: Path) -> None:
    """Compare output with the kept file; `folder` is a temporary one for what differs.

    Raises:
        pytest.fail.Exception: they differ; the message says how to accept the change.
    """
    if not kept.exists() or found != kept.read_text(encoding="utf-8"):
        got = folder / kept.name
        got.write_text(found, encoding="utf-8")
        pytest.fail(f"the output has changed: check `diff {kept} {got}`; to accept it: cp {got} {kept}")
