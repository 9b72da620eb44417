"""The order of semantic versions."""

from __future__ import annotations

Precedence = tuple[tuple[int, int, int], int, tuple[tuple[int, int, str], ...]]


def precedence(version: str) -> Precedence:
    """Return a sort key for versions by Semantic Versioning 2.0.0, section 11: 1.0.0-rc.2 comes before 1.0.0.

    Args:
        version: a version that the registry's format accepts.
    """
    core, _, pre = version.partition("+")[0].partition("-")
    major, minor, patch = (int(part) for part in core.split("."))
    parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in pre.split(".")) if pre else ()
    return (major, minor, patch), 0 if pre else 1, parts
