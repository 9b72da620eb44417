"""What goes wrong on a real node is told by its reason and in words that say what to do; nothing of it ever serves.

The failures that the API server or the scheduler tell: tests/api/operator/test_failures.py. A digest that does not match:
test_main_job.py. A volume or probe that a kubelet speaks of later than a test can wait: tests/api/operator.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from cetacean_registry import ModelEntry
from demo.stage import Stage
from demo.waiting import until

GOOD = "demo_v1"


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong with a resource, and what it says then."""

    reason: str
    told: tuple[str, ...]
    final: bool = True
    entry: dict[str, Any] = field(default_factory=dict)
    """Otherwise in the registry than in the good model's entry."""
    serving: dict[str, Any] = field(default_factory=dict)


CASES = {
    "absent": Case(
        "WeightsNotFound",
        ("container fetch", "/weights/absent.ckpt", "404"),
        # Bytes that no volume holds already.
        entry={"weights_url": "{store}/weights/absent.ckpt", "sha256": "0" * 64},
    ),
    # The bytes are those that the registry names, and another network's.
    "misfit": Case(
        "CheckpointMismatch",
        ("container serve", f"/{GOOD}.ckpt", "expected the", "parameters of the architecture"),
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
    # It listens where the probe does not ask.
    "probe": Case(
        "ProbeFailing",
        ("container serve was ended with exit code", "its probe failed for too long"),
        final=False,
        serving={"env": [{"name": "CETACEAN_HTTP__PORT", "value": "9090"}], "startupSeconds": 10},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def failing(stage: Stage) -> Iterator[None]:
    """All of them at once."""
    manifests = [_manifest(stage, name, case) for name, case in CASES.items()]
    stage.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    yield
    stage.kubectl("delete", "cetaceanmodel", *map(_name, CASES), "--wait=false")
    for name in CASES:  # what comes next has the node for itself
        until(f"the pods of {name} to go", lambda name=name: not stage.pods(_name(name)))  # type: ignore[misc]


def _name(case: str) -> str:
    return f"failing-{case}"


def _manifest(stage: Stage, name: str, case: Case) -> dict[str, Any]:
    added: list[ModelEntry] = []
    if case.entry:
        changes = {key: str(value).format(store=stage.store) for key, value in case.entry.items()}
        added.append(stage.copy_of(GOOD, name=name, version="9.0.0", **changes))
    active = name if added else GOOD
    return stage.manifest(_name(name), active=active, added=added, replicas=1, serving=case.serving)


@pytest.mark.parametrize("name", CASES)
def test_the_reason_is_told(stage: Stage, name: str) -> None:
    case = CASES[name]

    def told() -> bool:
        return stage.condition(_name(name), "Ready").get("reason") == case.reason

    try:
        until(f"{name} to be told {case.reason}", told, within=90)
    finally:
        ready = stage.condition(_name(name), "Ready")
        print(ready)
    assert ready["status"] == "False"
    for part in (*case.told, f"pod {_name(name)}-"):
        assert part in ready["message"]
    assert stage.condition(_name(name), "Stalled")["status"] == str(case.final)
    assert stage.condition(_name(name), "Available")["status"] == "False"
    assert "serving" not in stage.resource(_name(name))["status"]
