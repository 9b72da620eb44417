"""Whatever a registry, a snapshot or a settings file holds: its content, or the documented error in one line."""

from __future__ import annotations

import contextlib
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError
from support.fuzzing import LONGEST_MESSAGE, assert_message, bounded, fuzzed, kept
from support.mutations import as_hostile_text, mutated, with_hostile_values
from support.operator_world import METRICS

from cetacean_cli.errors import BadInputError
from cetacean_cli.registry_file.checks import check
from cetacean_cli.registry_file.load import load_registry
from cetacean_inference.config_files import read_threshold
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.monitoring.monitoring_file import Monitoring, MonitoringFile
from cetacean_registry.digests import canonical_digest
from cetacean_registry.errors import RegistryError
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import judge
from cetacean_registry.manifest import to_manifest
from cetacean_registry.metrics import MetricsSnapshot, load_snapshots
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import Registry
from cetacean_registry.urls import redacted

ENTRY = {
    "name": "first",
    "version": "1.0.0",
    "architecture": "CetaceanIdentificationModel",
    "weights_url": "https://user@example.org/first.ckpt?signature=x",
    "sha256": "a" * 64,
    "metrics_snapshot": "reports/first.json",
    "backbone": "efficientnet_b4",
    "input_size": 512,
    "num_classes_head": 10,
    "num_classes_active": 8,
    "deprecated": False,
}
GOOD = {**ENTRY, "weights_url": "https://example.org/first.ckpt"}
REGISTRY = {
    "schema_version": "1.0",
    "active": "first",
    "models": [GOOD, {**GOOD, "name": "second", "version": "1.1.0", "sha256": "b" * 64}],
}
SNAPSHOT = {
    "generated_at": "2026-01-01",
    "manifest_path": "data/manifest.csv",
    "sample_size": 100,
    "model_version": "1.0.0",
    "cetacean_score_mean": 0.9,
    "anti_fraud": {"n_positive": 60, "n_negative": 40, "tp": 57, "fp": 3, "tn": 37, "fn": 3, "tpr": 0.95, "tnr": 0.925},
    "identification": {"n_samples": 60, "top1_accuracy": 0.8},
    "performance": {"latency_p50_ms": 100.0},
}


@cache
def _root() -> Path:
    root = Path(kept(tempfile.TemporaryDirectory()))
    for folder in ("models", "reports"):
        (root / folder).mkdir()
    return root


def file_of(raw: bytes, name: str = "models/registry.json") -> Path:
    path = _root() / name
    path.write_bytes(raw)
    return path


def use(registry: Registry) -> None:
    """Do with a registry what programs do with it."""
    json.loads(registry.to_json())
    assert registry.active_model.name == registry.active
    with contextlib.suppress(RegistryError):
        load_snapshots(registry, _root())
    to_manifest(registry, {}, name="whales", serving={"image": "x"})


@fuzzed(as_hostile_text(REGISTRY), examples=300)
def test_a_registry_is_read_or_refused_in_one_line(raw: bytes) -> None:
    path = file_of(raw)
    file_of(json.dumps(SNAPSHOT).encode(), "reports/first.json")
    with bounded():
        try:
            use(Registry.load(path))
        except RegistryError as error:
            assert_message(str(error), longest=LONGEST_MESSAGE)


@fuzzed(as_hostile_text(REGISTRY), examples=150)
def test_the_command_names_each_fault_of_a_registry_in_one_line(raw: bytes) -> None:
    path = file_of(raw)
    with bounded(cpu_seconds=5.0):
        try:
            checked = check(path)
        except (RegistryError, BadInputError) as error:
            assert_message(str(error), longest=LONGEST_MESSAGE)
            return
        for fault in checked.faults:
            assert_message(checked.line(fault), longest=LONGEST_MESSAGE)
        assert checked.registry is not None or checked.errors
        with contextlib.suppress(BadInputError):
            load_registry(path)


@fuzzed(as_hostile_text(SNAPSHOT), examples=250)
def test_a_snapshot_is_read_or_refused_in_one_line(raw: bytes) -> None:
    path = file_of(raw, "reports/first.json")
    with bounded():
        try:
            snapshot = MetricsSnapshot.load(path)
        except RegistryError as error:
            assert_message(str(error), longest=LONGEST_MESSAGE)
            return
        json.loads(snapshot.to_json())
        canonical_digest(snapshot.metrics.model_dump())


@fuzzed(st.tuples(with_hostile_values(METRICS), with_hostile_values(METRICS)), examples=150)
def test_the_gate_judges_any_figures_in_one_line(case: tuple[Any, Any]) -> None:
    with bounded():
        try:
            own, theirs = (ModelMetrics.model_validate(one) for one in case)
        except ValidationError:
            return
        verdict = judge(candidate="b", metrics=own, policy=GatePolicy(), serving="a", serving_metrics=theirs)
    assert verdict.message
    assert verdict.passed or any(not finding.passed for finding in verdict.findings)


MONITORING = {"window": 1000, "min_samples": 50, "alarm_drop": 0.1, "baselines": {"first": 0.93}}


@fuzzed(as_hostile_text(MONITORING), examples=150)
def test_a_monitoring_file_is_read_or_the_previous_content_stays(raw: bytes) -> None:
    with bounded():
        found = MonitoringFile(file_of(raw, "monitoring.json")).read_if_changed()
    assert found is None or isinstance(found, Monitoring)
    assert found is None or found.min_samples <= found.window


CALIBRATION = b"threshold: 0.52\ncalibrated_at: 2026-01-01\nreport: {tpr: 0.95, points: [1, 2.5, x]}\n"
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
)


@fuzzed(
    mutated((CALIBRATION,))
    | st.sampled_from((BOMB, BOMB + b"threshold: *j\n", b"? *x\n", b"? [a]\n: 1\n", b"[" * 3000, b"- " * 3000)),
    examples=200,
)
def test_a_calibration_is_read_or_refused_in_one_line(raw: bytes) -> None:
    path = file_of(raw, "calibration.yaml")
    with bounded(cpu_seconds=5.0):
        try:
            read_threshold(path)
        except ConfigInvalid as error:
            assert_message(error.line)


@fuzzed(
    st.text(max_size=300)
    | st.builds("{0}{1}".format, st.sampled_from(("https://", "hf://", "a://b?")), st.text("a@:/?#. ", max_size=5000)),
    examples=200,
)
def test_urls_in_texts_are_redacted_in_linear_time(text: str) -> None:
    with bounded():
        found = redacted(text)
    assert len(found) <= len(text) + 2 * text.count("://") + 1
