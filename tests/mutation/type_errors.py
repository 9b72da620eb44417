"""Mutants that the type checker rejects: `make check` notices them, so no test has to.

mutmut can do this too, but parses all mutants of all modules again in each run, which takes minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from mutmut.mutation.data import MutantLineSpans

from mutation.workspace import Workspace

OPTIONS = ("--config-file", "../mypy.ini", "--cache-dir", "../mypy", "--output", "json")


def rejected(workspace: Workspace, path: str) -> set[str]:
    """Return the functions' names of the mutants in this file that have an error of types.

    Raises:
        ValueError: mypy did not run.
    """
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *OPTIONS, path], cwd=workspace.copy, check=False, capture_output=True, text=True
    )
    if found.stderr:
        raise ValueError(f"expected errors of mypy as JSON, got {found.stderr.strip()}")
    diagnostics: list[dict[str, Any]] = [json.loads(line) for line in found.stdout.splitlines() if line.strip()]
    lines = {one["line"] for one in diagnostics if one["severity"] == "error" and one["file"] == path}
    index = workspace.folder / MutantLineSpans(path=path, span_by_function_name={}).index_path
    spans: dict[str, tuple[int, int]] = json.loads(index.read_text(encoding="utf-8"))["spans"]
    return {name for name, (start, end) in spans.items() if not lines.isdisjoint(range(start, end + 1))}
