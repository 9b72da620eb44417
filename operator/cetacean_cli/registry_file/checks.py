"""All faults of a registry's file at once, each with its line and column."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from cetacean_cli.registry_file.edit import read
from cetacean_cli.registry_file.locations import JsonText, Location
from cetacean_cli.registry_file.versions import precedence
from cetacean_registry.digests import file_sha256
from cetacean_registry.errors import RegistryError, describe_one, field_path
from cetacean_registry.gate_figures import ROC_AUC, TNR, TPR
from cetacean_registry.messages import one_line
from cetacean_registry.metrics import MetricsSnapshot, snapshot_file
from cetacean_registry.registry import ModelEntry, Registry
from cetacean_registry.regular_files import resolve_path

Severity = Literal["error", "warning"]
_REQUIRED_FIGURES: Final = {"tpr": TPR, "tnr": TNR, "roc_auc": ROC_AUC}
"""Figures without which the gate refuses a promotion, by their names in a snapshot."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of the file."""

    severity: Severity
    line: int
    """Counted from 1, as the column."""
    column: int
    message: str


@dataclass(frozen=True, slots=True)
class CheckedRegistry:
    """A registry's file and its faults."""

    path: Path
    document: JsonText
    faults: tuple[Fault, ...]
    registry: Registry | None
    """None if the file breaks the format's rules."""
    snapshots: dict[str, MetricsSnapshot]
    """The snapshots that could be read, by model name."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults without the warnings."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    def line(self, fault: Fault) -> str:
        """Return a fault in the form of compilers' messages, which editors understand."""
        return f"{self.path}:{fault.line}:{fault.column}: {fault.severity}: {fault.message}"


def check(path: Path) -> CheckedRegistry:
    """Read and check a registry's file.

    Raises:
        BadInputError: the file cannot be read.
        RegistryError: the file is no JSON.
    """
    return check_text(read(path), path)


def check_text(text: str, path: Path) -> CheckedRegistry:
    """Check a present or future text of the file `path`; snapshots are read relative to `path`.

    Raises:
        RegistryError: the text is no JSON.
    """
    document = JsonText.parse(text, source=str(path))
    return _Check(document, path).run()


def root_of(path: Path) -> Path:
    """Return the folder that a registry's paths are relative to: the parent of the file's folder.

    Raises:
        RegistryError: the path leads in a circle.
    """
    return resolve_path(path).parent.parent


class _Check:
    def __init__(self, document: JsonText, path: Path) -> None:
        self._document = document
        self._path = path
        self._data: Any = json.loads(document.text)
        self._faults: list[Fault] = []
        self._snapshots: dict[str, MetricsSnapshot] = {}

    def run(self) -> CheckedRegistry:
        registry, fault_of_whole = self._format()
        self._names()
        entries = list(self._entries())
        self._versions(entries)
        for index, entry in entries:
            self._weights(index, entry)
            self._metrics(index, entry)
        self._same_digests(entries)
        if registry is None and not any(fault.severity == "error" for fault in self._faults):
            self._add("error", (), fault_of_whole)
        faults = sorted(dict.fromkeys(self._faults), key=lambda fault: (fault.line, fault.column, fault.severity))
        return CheckedRegistry(self._path, self._document, tuple(faults), registry, self._snapshots)

    def _add(self, severity: Severity, location: Location, message: str) -> None:
        line, column = self._document.position(location)
        self._faults.append(Fault(severity, line, column, one_line(message)))

    def _add_at(self, severity: Severity, location: Location, message: str) -> None:
        self._add(severity, location, f"{field_path(location)}: {message}")

    def _format(self) -> tuple[Registry | None, str]:
        """Validate the format; return the registry, and a fault without a location, or an empty text."""
        for key, index in self._document.repeated_keys():
            line, column = self._document.line_and_column(index)
            self._faults.append(Fault("error", line, column, one_line(f"{key}: duplicate key")))
        fault_of_whole = ""
        try:
            return Registry.model_validate(self._data, by_alias=False, by_name=True), fault_of_whole
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if item["loc"]:
                    self._add("error", item["loc"], describe_one(item))
                else:
                    fault_of_whole = describe_one(item)
        return None, fault_of_whole

    def _names(self) -> None:
        models = self._data.get("models") if isinstance(self._data, dict) else None
        if not isinstance(models, list):
            return
        names = [item.get("name") if isinstance(item, dict) else None for item in models]
        for index, name in enumerate(names):
            if name is not None and name in names[:index]:
                self._add_at(
                    "error", ("models", index, "name"), f"expected a name that no other model has, got {name!r}"
                )
        active = self._data.get("active")
        if isinstance(active, str) and active not in names:
            listed = ", ".join(str(name) for name in names if name)
            self._add_at("error", ("active",), f"expected one of the models {listed}, got {active!r}")

    def _entries(self) -> Iterator[tuple[int, ModelEntry]]:
        """Yield the entries that are valid by themselves."""
        models = self._data.get("models") if isinstance(self._data, dict) else None
        for index, item in enumerate(models if isinstance(models, list) else ()):
            with contextlib.suppress(ValidationError):
                yield index, ModelEntry.model_validate(item, by_alias=False, by_name=True)

    def _versions(self, entries: list[tuple[int, ModelEntry]]) -> None:
        """Check that versions of an architecture increase from entry to entry, as new models are appended."""
        latest: dict[str, ModelEntry] = {}
        for index, entry in entries:
            previous = latest.get(entry.architecture)
            if previous and precedence(entry.version) <= precedence(previous.version):
                expected = f"a version above {previous.version} of {previous.name}"
                self._add_at("error", ("models", index, "version"), f"expected {expected}, got {entry.version!r}")
            else:
                latest[entry.architecture] = entry

    def _weights(self, index: int, entry: ModelEntry) -> None:
        location = ("models", index, "sha256")
        if entry.sha256 is None:
            self._add_at("warning", location, "missing: the download cannot be verified")
            return
        if not entry.weights_path:
            return
        file = root_of(self._path) / entry.weights_path
        self._digest(location, file, entry.sha256)
        for name, sha256 in (entry.files or {}).items():
            self._digest(("models", index, "files", name), file.parent / name, sha256)

    def _digest(self, location: Location, file: Path, sha256: str) -> None:
        root = root_of(self._path)
        shown = file.relative_to(root) if file.is_relative_to(root) else file
        try:
            found = file_sha256(file) if file.is_file() else sha256
        except OSError as error:
            reason = error.strerror or error
            self._add_at("error", location, f"expected the digest of {shown}, which cannot be read: {reason}")
            return
        if found != sha256:
            self._add_at("error", location, f"expected the digest of {shown}, {found}, got {sha256}")

    def _metrics(self, index: int, entry: ModelEntry) -> None:
        location = ("models", index, "metrics_snapshot")
        if entry.metrics_snapshot is None:
            if not entry.deprecated:
                self._add_at("warning", location, f"missing: the gate refuses {entry.name}")
            return
        try:
            snapshot = MetricsSnapshot.load(snapshot_file(entry.metrics_snapshot, root_of(self._path)))
        except RegistryError as error:
            self._add_at("error", location, str(error))
            return
        self._snapshots[entry.name] = snapshot
        file, metrics = entry.metrics_snapshot, snapshot.metrics
        missing = [field for field, figure in _REQUIRED_FIGURES.items() if figure.of(metrics) is None]
        of_none = any(getattr(metrics, field) is not None for field in missing)
        if metrics.evaluation_set is None:
            missing.append("evaluation_set")
        if missing and not entry.deprecated:
            reason = ": a figure of no pictures is missing" if of_none else ""
            self._add_at("error", location, f"{file} has no {', '.join(missing)}{reason}")
        if metrics.cetacean_score_mean is None and not entry.deprecated:
            self._add_at("warning", location, f"{file} has no cetacean_score_mean: drift cannot be detected")
        if snapshot.model_version not in (None, entry.version):
            versions = f"has version {snapshot.model_version}, the model has {entry.version}"
            self._add_at("warning", location, f"{file} {versions}")

    def _same_digests(self, entries: list[tuple[int, ModelEntry]]) -> None:
        first: dict[str, str] = {}
        for index, entry in entries:
            if entry.sha256 is None:
                continue
            if entry.sha256 in first:
                self._add_at("warning", ("models", index, "sha256"), f"the same weights as {first[entry.sha256]}")
            first.setdefault(entry.sha256, entry.name)
