"""Failures on a real node: the status has their reason and names a remedy, and no failing pod ever serves.

Failures reported by the API server or the scheduler: tests/api/operator/test_failures.py. A digest that does not match:
test_main_job.py. Volumes and probes that a kubelet reports later than a test can wait: tests/api/operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.waiting import until

GOOD = "demo_v1"


@dataclass(frozen=True, slots=True)
class Case:
    """A fault of a resource, and the reason and message of its condition."""

    reason: str
    message_parts: tuple[str, ...]
    final: bool = True
    entry: dict[str, Any] = field(default_factory=dict)
    """Fields of the registry's entry that differ from the good model's."""
    serving: dict[str, Any] = field(default_factory=dict)


CASES = {
    "absent": Case(
        "WeightsNotFound",
        ("container fetch", "/weights/absent.ckpt", "404"),
        # A digest that no volume holds already.
        entry={"weights_url": "{store}/weights/absent.ckpt", "sha256": "0" * 64},
    ),
    # The digest is right, but the weights are another network's.
    "misfit": Case(
        "CheckpointMismatch",
        ("container serve", f"/{GOOD}.safetensors", "expected the", "parameters of the architecture"),
        entry={"backbone": "resnet10t"},
    ),
    "memory": Case(
        "OOMKilled",
        ("needs more memory than its limit: raise spec.serving.resources.limits.memory",),
        serving={"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}},
    ),
    "crash": Case(
        "CrashLoop",
        ("container fetch ends with exit code 1: ", "<no Python frame>"),  # the last line that it printed
        serving={"env": [{"name": "PYTHONHOME", "value": "/nowhere"}]},
    ),
    "wrong-setting": Case(
        "ConfigInvalid",
        ("container fetch", "http.port"),
        serving={"env": [{"name": "CETACEAN_HTTP__PORT", "value": "-1"}]},
    ),
    # It listens on another port than the probe's.
    "probe": Case(
        "ProbeFailing",
        ("container serve was ended with exit code", "its probe failed for too long"),
        final=False,
        serving={"env": [{"name": "CETACEAN_HTTP__PORT", "value": "9090"}], "startupSeconds": 10},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def failing(environment: Environment) -> Iterator[None]:
    """Apply all of them at once."""
    manifests = [_manifest(environment, name, case) for name, case in CASES.items()]
    environment.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    yield
    environment.kubectl("delete", "cetaceanmodel", *map(_name, CASES), "--wait=false")
    for name in CASES:  # the next tests need the whole node
        until(f"the pods of {name} to go", lambda name=name: not environment.pods(_name(name)))  # type: ignore[misc]


def _name(case: str) -> str:
    return f"failing-{case}"


def _manifest(environment: Environment, name: str, case: Case) -> dict[str, Any]:
    added: list[ModelEntry] = []
    if case.entry:
        changes = {key: str(value).format(store=environment.store) for key, value in case.entry.items()}
        added.append(environment.copy_of(GOOD, name=name, version="9.0.0", **changes))
    active = name if added else GOOD
    return environment.manifest(_name(name), active=active, added=added, replicas=1, serving=case.serving)


@pytest.mark.parametrize("name", CASES)
def test_each_failure_has_its_reason_and_message_in_the_status(environment: Environment, name: str) -> None:
    case = CASES[name]

    def has_reason() -> bool:
        return environment.condition(_name(name), "Ready").get("reason") == case.reason

    try:
        until(f"{name} to have the reason {case.reason}", has_reason, within=90)
    finally:
        ready = environment.condition(_name(name), "Ready")
        print(ready)
    assert ready["status"] == "False"
    for part in (*case.message_parts, f"pod {_name(name)}-"):
        assert part in ready["message"]
    assert environment.condition(_name(name), "Stalled")["status"] == str(case.final)
    assert environment.condition(_name(name), "Available")["status"] == "False"
    assert "serving" not in environment.resource(_name(name))["status"]
