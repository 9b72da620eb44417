"""Converts the registry of the previous service, whose versions were names and whose architectures had others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file.versions import precedence
from cetacean_registry.patterns import EXPECTATIONS, SEMVER_PATTERN

Entry = dict[str, Any]
ARCHITECTURES: Final[Mapping[str, Mapping[str, Any]]] = {
    "EfficientNetArcFace": {
        "architecture": "CetaceanIdentificationModel",
        "backbone": "efficientnet_b4",
        "embedding_size": 512,
    },
}
"""What the previous service meant by an architecture; fields that the entry has are kept, but for the name."""
SERVED: Final = frozenset({"CetaceanIdentificationModel"})
"""Architectures that pods can load. Models of others stay in the file for reference."""
_VERSION_AT_THE_END: Final = re.compile(r"(?:^|[^0-9.])v?(\d+)(?:\.(\d+))?(?:\.(\d+))?$")


@dataclass(frozen=True, slots=True)
class Converted:
    """A registry in the present format, and what was changed."""

    registry: dict[str, Any]
    notes: tuple[str, ...]
    """One for each change."""


def convert(data: Any, *, versions: Mapping[str, str]) -> Converted:
    """Convert the content of a registry's file; unknown keys are kept.

    Args:
        data: the parsed JSON.
        versions: semantic versions by model name, for those whose version does not end in a number.

    Raises:
        BadInputError: it is no registry, or a version is missing.
    """
    models = data.get("models") if isinstance(data, dict) else None
    if not isinstance(models, list) or not all(isinstance(one, dict) and one.get("name") for one in models):
        raise BadInputError("expected an object with models, each with a name")
    names = [one["name"] for one in models]
    if unknown := [name for name in versions if name not in names]:
        raise BadInputError(f"--version: expected one of the models {', '.join(map(str, names))}, got {unknown[0]!r}")
    for name, version in versions.items():
        if not re.fullmatch(SEMVER_PATTERN.strip("^$"), version):
            raise BadInputError(f"--version: {EXPECTATIONS[SEMVER_PATTERN]}, got {name}={version}")
    notes: list[str] = []
    converted: list[Entry] = []
    for one in models:
        entry = dict(one)
        notes += _convert_version(entry, versions.get(entry["name"]))
        notes += _convert_architecture(entry)
        if reason := _left_out(entry, converted, active=data.get("active")):
            notes.append(f"{entry['name']}: left out: {reason}")
        else:
            converted.append(entry)
    return Converted({**data, "models": converted}, tuple(notes))


def _convert_version(entry: Entry, given: str | None) -> Iterator[str]:
    before = entry.get("version")
    if given is None and re.fullmatch(SEMVER_PATTERN.strip("^$"), str(before)):
        return
    match = _VERSION_AT_THE_END.search(str(before))
    if given is None and match is None:
        raise BadInputError(
            f"{entry['name']}: expected a version that ends in a number, such as effb4-v2, got {before!r}: "
            f"give one with --version {entry['name']}=1.0.0"
        )
    entry["version"] = given or ".".join(str(int(part or 0)) for part in match.groups())  # type: ignore[union-attr]
    yield f"{entry['name']}: version {before} becomes {entry['version']}"


def _convert_architecture(entry: Entry) -> Iterator[str]:
    before = entry.get("architecture")
    if (alias := ARCHITECTURES.get(str(before))) is not None:
        missing = {key: value for key, value in alias.items() if entry.get(key) is None}
        entry |= missing | {"architecture": alias["architecture"]}
        added = ", ".join(f"{key} {value}" for key, value in missing.items())
        yield f"{entry['name']}: architecture {before} becomes {entry['architecture']}" + (
            f", {added}" if added else ""
        )
    elif str(before) not in SERVED and not entry.get("deprecated"):
        entry["deprecated"] = True
        yield f"{entry['name']}: deprecated, as pods cannot load the architecture {before}"


def _left_out(entry: Entry, before: list[Entry], *, active: object) -> str | None:
    """Return why an entry would make the file invalid and is of no use; None if it is kept."""
    if entry.get("metrics_snapshot") or entry["name"] == active:
        return None
    for other in before:
        if other.get("architecture") != entry.get("architecture"):
            continue
        if precedence(entry["version"]) <= precedence(other["version"]):
            return (
                f"its version {entry['version']} is not above {other['version']} of {other['name']}, and without a "
                "metrics snapshot it could not be promoted"
            )
    return None
