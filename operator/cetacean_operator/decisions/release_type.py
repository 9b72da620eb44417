"""The type of a release, from the semantic versions of the candidate and of the model that serves."""

from __future__ import annotations

from cetacean_operator.api.approval_policy import ReleaseType, VersionChange
from cetacean_registry.registry import ModelEntry


def version_change(candidate: ModelEntry, serving: ModelEntry | None) -> VersionChange:
    """Return which part of the version differs first.

    Without a serving model every candidate is Major, and also one of another architecture: versions increase within an
    architecture only, so two of different architectures cannot be compared. A lower version is a change as well.
    """
    if serving is None or candidate.architecture != serving.architecture:
        return "Major"
    (major, minor), (old_major, old_minor) = _numbers(candidate.version), _numbers(serving.version)
    if major != old_major:
        return "Major"
    return "Minor" if minor != old_minor else "Patch"


def release_type(candidate: ModelEntry, serving: ModelEntry | None) -> ReleaseType:
    """Return the type of release; a hotfix is declared, and needs a model that it fixes."""
    return "Hotfix" if candidate.hotfix and serving is not None else version_change(candidate, serving)


def _numbers(version: str) -> tuple[str, str]:
    """Return the first two numbers; the format forbids leading zeros, so they are equal if their digits are."""
    major, minor, _ = version.split(".", 2)
    return major, minor
