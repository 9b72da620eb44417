"""Everything that is wrong with a registry's file, at once, each fault with its line and column."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from cetacean_cli.registry_file.edit import read
from cetacean_cli.registry_file.places import Document, Location
from cetacean_cli.registry_file.versions import precedence
from cetacean_registry import MetricsSnapshot, ModelEntry, Registry, RegistryError, file_sha256
from cetacean_registry.errors import describe_one, field_path

Severity = Literal["error", "warning"]
_NEEDED = ("tpr", "tnr", "roc_auc", "evaluation_set")
"""Figures without which the gate refuses a promotion."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    severity: Severity
    line: int
    """From 1, as the column."""
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A registry's file and what is wrong with it."""

    path: Path
    document: Document
    faults: tuple[Fault, ...]
    registry: Registry | None
    """None where the format's own rules are broken."""
    snapshots: dict[str, MetricsSnapshot]
    """Those that could be read, by model name."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Faults that are no mere warnings."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    def line(self, fault: Fault) -> str:
        """Write a fault as compilers do, so that editors find the place."""
        return f"{self.path}:{fault.line}:{fault.column}: {fault.severity}: {fault.message}"


def check(path: Path) -> Checked:
    """Read and check a registry's file.

    Raises:
        BadInputError: it cannot be read.
        RegistryError: it is no JSON.
    """
    return check_text(read(path), path)


def check_text(text: str, path: Path) -> Checked:
    """Check a text that is, or is to become, the content of `path`; its snapshots are read from beside it.

    Raises:
        RegistryError: it is no JSON.
    """
    document = Document.parse(text, source=str(path))
    return _Check(document, path).run()


def root_of(path: Path) -> Path:
    """Return where a registry's paths begin: its folder's parent."""
    return path.resolve().parent.parent


class _Check:
    def __init__(self, document: Document, path: Path) -> None:
        self._document = document
        self._path = path
        self._data: Any = json.loads(document.text)
        self._faults: list[Fault] = []
        self._snapshots: dict[str, MetricsSnapshot] = {}

    def run(self) -> Checked:
        registry, whole = self._format()
        self._names()
        entries = list(self._entries())
        self._versions(entries)
        for index, entry in entries:
            self._weights(index, entry)
            self._metrics(index, entry)
        self._same_digests(entries)
        if registry is None and not any(fault.severity == "error" for fault in self._faults):
            self._add("error", (), whole)
        faults = sorted(dict.fromkeys(self._faults), key=lambda fault: (fault.line, fault.column, fault.severity))
        return Checked(self._path, self._document, tuple(faults), registry, self._snapshots)

    def _add(self, severity: Severity, location: Location, message: str) -> None:
        line, column = self._document.place(location)
        self._faults.append(Fault(severity, line, column, message))

    def _format(self) -> tuple[Registry | None, str]:
        """Read it by the format's own types; returns what is wrong with it as a whole too."""
        for key, index in self._document.repeated_keys():
            line, column = self._document.line_and_column(index)
            self._faults.append(Fault("error", line, column, f"{key}: the key is there twice"))
        whole = ""
        try:
            return Registry.model_validate(self._data, by_alias=False, by_name=True), whole
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if item["loc"]:
                    self._add("error", item["loc"], describe_one(item))
                else:
                    whole = describe_one(item)
        return None, whole

    def _names(self) -> None:
        models = self._data.get("models") if isinstance(self._data, dict) else None
        if not isinstance(models, list):
            return
        names = [item.get("name") if isinstance(item, dict) else None for item in models]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                self._add("error", ("models", index, "name"), f"models[{index}].name: {name!r} is there already")
        active = self._data.get("active")
        if isinstance(active, str) and active not in names:
            listed = ", ".join(str(name) for name in names if name)
            self._add("error", ("active",), f"active: expected one of the models {listed}, got {active!r}")

    def _entries(self) -> Iterator[tuple[int, ModelEntry]]:
        """Yield those that can be read by themselves."""
        models = self._data.get("models") if isinstance(self._data, dict) else None
        for index, item in enumerate(models if isinstance(models, list) else ()):
            with contextlib.suppress(ValidationError):
                yield index, ModelEntry.model_validate(item, by_alias=False, by_name=True)

    def _versions(self, entries: list[tuple[int, ModelEntry]]) -> None:
        """Versions of an architecture increase from entry to entry: new models are appended."""
        latest: dict[str, ModelEntry] = {}
        for index, entry in entries:
            before = latest.get(entry.architecture)
            if before and precedence(entry.version) <= precedence(before.version):
                place = ("models", index, "version")
                told = f"expected a version above {before.version} of {before.name}, got {entry.version!r}"
                self._add("error", place, f"{field_path(place)}: {told}")
            else:
                latest[entry.architecture] = entry

    def _weights(self, index: int, entry: ModelEntry) -> None:
        place = ("models", index, "sha256")
        if entry.sha256 is None:
            self._add("warning", place, f"{field_path(place)}: none, so that what is downloaded cannot be verified")
            return
        if not entry.weights_path:
            return
        file = root_of(self._path) / entry.weights_path
        if file.is_file() and (found := file_sha256(file)) != entry.sha256:
            told = f"expected the digest of {entry.weights_path}, {found}, got {entry.sha256}"
            self._add("error", place, f"{field_path(place)}: {told}")

    def _metrics(self, index: int, entry: ModelEntry) -> None:
        place = ("models", index, "metrics_snapshot")
        name = field_path(place)
        if entry.metrics_snapshot is None:
            if not entry.deprecated:
                self._add("warning", place, f"{name}: none, so that the gate refuses {entry.name}")
            return
        try:
            snapshot = MetricsSnapshot.load(root_of(self._path) / entry.metrics_snapshot)
        except RegistryError as error:
            self._add("error", place, f"{name}: {error}")
            return
        self._snapshots[entry.name] = snapshot
        figures = snapshot.metrics
        missing = [field for field in _NEEDED if getattr(figures, field) is None]
        if missing and not entry.deprecated:
            self._add("error", place, f"{name}: {entry.metrics_snapshot} holds no {', '.join(missing)}")
        if figures.cetacean_score_mean is None and not entry.deprecated:
            told = f"{entry.metrics_snapshot} holds no cetacean_score_mean, so that no drift can be seen"
            self._add("warning", place, f"{name}: {told}")
        if snapshot.model_version not in (None, entry.version):
            told = f"{entry.metrics_snapshot} is of version {snapshot.model_version}, the model has {entry.version}"
            self._add("warning", place, f"{name}: {told}")

    def _same_digests(self, entries: list[tuple[int, ModelEntry]]) -> None:
        first: dict[str, str] = {}
        for index, entry in entries:
            if entry.sha256 is None:
                continue
            if entry.sha256 in first:
                place = ("models", index, "sha256")
                told = f"the same weights as those of {first[entry.sha256]}"
                self._add("warning", place, f"{field_path(place)}: {told}")
            first.setdefault(entry.sha256, entry.name)
