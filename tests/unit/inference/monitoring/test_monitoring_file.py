"""The monitoring file, which changes while the process runs."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from cetacean_inference.monitoring.monitoring_file import MonitoringFile, ShadowPlan

CONTENT = {"window": 500, "min_samples": 20, "alarm_drop": 0.2, "answers_window": 300, "baselines": {"tiny": 0.93}}


def mounted(root: Path, version: str, content: str) -> Path:
    """Mount a file like the kubelet mounts a ConfigMap: a link through `..data`, which is replaced atomically."""
    folder = root / f"..{version}"
    folder.mkdir()
    (folder / "monitoring.json").write_text(content, encoding="utf-8")
    # Two versions of a ConfigMap can be written within one tick of the clock.
    os.utime(folder / "monitoring.json", ns=(10**18, 10**18))
    (root / "..new").symlink_to(folder.name)
    (root / "..new").rename(root / "..data")
    path = root / "monitoring.json"
    if not path.is_symlink():
        path.symlink_to("..data/monitoring.json")
    return path


def test_the_file_is_read_once_and_again_after_it_has_changed(tmp_path: Path) -> None:
    path = mounted(tmp_path, "1", json.dumps(CONTENT))
    file = MonitoringFile(path)
    first = file.read_if_changed()
    assert first is not None
    assert first.model_dump(exclude_none=True) == CONTENT
    assert file.read_if_changed() is None
    mounted(tmp_path, "2", json.dumps({**CONTENT, "baselines": {"tiny": 0.94}}))
    second = file.read_if_changed()
    assert second is not None
    assert second.baselines == {"tiny": 0.94}


def test_a_missing_file_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = MonitoringFile(tmp_path / "missing.json")
    assert file.read_if_changed() is None
    assert file.read_if_changed() is None
    assert caplog.messages == [
        f"{tmp_path}/missing.json: there is no such file; without a baseline no drift alarm is raised"
    ]
    (tmp_path / "missing.json").write_text("{}", encoding="utf-8")
    found = file.read_if_changed()
    assert found is not None
    assert (found.window, found.min_samples, found.alarm_drop, found.baselines) == (1000, 50, 0.1, {})


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"window": 0}', "window"),
        ('{"window": 10}', "at most window"),
        ('{"min_samples": "many"}', "min_samples"),
        ('{"alarm_drop": 2}', "alarm_drop"),
        ('{"baselines": {"tiny": 93}}', "baselines.tiny"),
        ('{"baselines": {"tiny": NaN}}', "baselines.tiny"),
        ("\udcff", "JSON"),
    ],
)
def test_an_invalid_file_is_logged_once_and_ignored(
    content: str, named: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "monitoring.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    file = MonitoringFile(path)
    with caplog.at_level(logging.WARNING):
        assert file.read_if_changed() is None
        assert file.read_if_changed() is None
    (message,) = caplog.messages
    assert message.startswith(f"{path}: ")
    assert named in message
    assert message.endswith("; the previous content stays in force")
    assert "\n" not in message


def test_a_file_that_cannot_be_read_is_logged_and_ignored(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert MonitoringFile(tmp_path).read_if_changed() is None
    assert caplog.messages == [f"{tmp_path}: Is a directory; the previous content stays in force"]


def test_what_is_read_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "monitoring.json"
    path.write_text(json.dumps(CONTENT | {"baselines": {"tiny": 0.93, "other": 0.9}}))
    with caplog.at_level(logging.INFO):
        MonitoringFile(path).read_if_changed()
    assert caplog.messages == [f"{path}: window 500, baselines of ['other', 'tiny']"]


def test_unknown_fields_of_a_newer_operator_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "monitoring.json"
    path.write_text(json.dumps({**CONTENT, "invented_later": 1}), encoding="utf-8")
    found = MonitoringFile(path).read_if_changed()
    assert found is not None
    assert found.window == 500


SHADOW = {
    "run": "a",
    "share": 0.5,
    "url": "http://whales-candidate.reef.svc",
    "candidate": {"name": "b", "version": "2", "sha256": "b" * 64},
    "served": {"name": "a", "version": "1", "sha256": "a" * 64},
}


@pytest.mark.parametrize(
    ("change", "go_on"),
    [
        ({}, True),
        ({"url": "http://whales-candidate.fjord.svc"}, True),
        ({"peer_url": "http://whales.reef.svc"}, True),
        ({"keep_disagreements": {"max_items": 1}}, True),
        ({"run": "b"}, False),
        ({"share": 0.25}, False),
        ({"max_latency_ratio": 2.0}, False),
        ({"probability_offset": 0.1}, False),
    ],
)
def test_pairs_are_counted_from_zero_when_something_changes_that_decides_about_them(
    change: dict[str, Any], go_on: bool
) -> None:
    earlier, plan = ShadowPlan.model_validate(SHADOW), ShadowPlan.model_validate(SHADOW | change)
    assert plan.counts_go_on(earlier) == go_on
    assert earlier.counts_go_on(plan) == go_on
