"""Patterns of names, versions, digests and URLs, and a message for each."""

from __future__ import annotations

from cetacean_registry.weights_schemes import URL_EXPECTED, URL_PATTERN

SEMVER_PATTERN = (
    r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)"
    r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$"
)
"""Semantic Versioning 2.0.0; leading zeros in pre-release numbers are accepted too."""
NAME_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
"""A model's name is also the value of a Kubernetes label."""
SHA256_PATTERN = r"^[0-9a-fA-F]{64}$"
REVISION_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"
"""A branch, a tag or a commit of a repository on the Hugging Face Hub."""

EXPECTATIONS = {
    SEMVER_PATTERN: "expected a semantic version such as 1.2.0",
    NAME_PATTERN: "expected letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
    SHA256_PATTERN: "expected 64 hex digits",
    REVISION_PATTERN: "expected a branch, a tag or a commit",
    URL_PATTERN: URL_EXPECTED,
}
