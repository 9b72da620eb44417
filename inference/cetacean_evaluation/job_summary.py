"""The summary of a job in a workflow, which GitHub shows as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cetacean_evaluation.printing import print_line


def append_summary(text: str, environment: Mapping[str, str]) -> None:
    """Append Markdown to the file that GITHUB_STEP_SUMMARY names; print a warning if that fails.

    The summary repeats what is printed, so that a verdict does not depend on it.
    """
    path = environment.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        print_line(
            f"warning: {path}: the summary of the job cannot be written: {reason}; the results are above", err=True
        )
