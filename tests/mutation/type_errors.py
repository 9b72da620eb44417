"""Mutants that the type checker rejects: `make check` notices them, so no test has to.

mutmut can do this too, but parses all mutants of all modules again in each run, which takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mutmut.mutation.data import MutantLineSpans

OPTIONS = ("--config-file", "../mypy.ini", "--cache-dir", "../mypy", "--output", "json")


def rejected(paths: Sequence[str]) -> dict[str, set[str]]:
    """Return the functions' names of the mutants that have an error of types, for each of these files.

    Raises:
        ValueError: mypy did not run.
    """
    if not paths:
        return {}
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *OPTIONS, *paths], cwd="mutants", check=False, capture_output=True, text=True
    )
    if found.stderr:
        raise ValueError(f"expected errors of mypy as JSON, got {found.stderr.strip()}")
    diagnostics: list[dict[str, Any]] = [json.loads(line) for line in found.stdout.splitlines() if line.strip()]
    errors = [one for one in diagnostics if one["severity"] == "error"]
    return {path: _mutants(path, {one["line"] for one in errors if one["file"] == path}) for path in paths}


def _mutants(path: str, lines: set[int]) -> set[str]:
    index = Path(MutantLineSpans(path=path, span_by_function_name={}).index_path)
    spans: dict[str, tuple[int, int]] = json.loads(index.read_text(encoding="utf-8"))["spans"]
    return {name for name, (start, end) in spans.items() if not lines.isdisjoint(range(start, end + 1))}
