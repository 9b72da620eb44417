"""The manifests in examples/ do what they show: the gate lets the active model pass, and pods can load it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from support.operator_world import World

from cetacean_operator.api import names

REPOSITORY: Final = Path(__file__).resolve().parents[3]
EXAMPLES: Final = sorted((REPOSITORY / "examples").glob("*.yaml"))
MONITORING: Final = {"namespaceSelector": {"matchLabels": {names.LABEL_NAMESPACE: "monitoring"}}}


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_gate_lets_each_model_of_an_example_pass(path: Path) -> None:
    """First the active one, then each other one compared with it. Approvals and stages come after the gate."""
    given = manifest(path)
    metadata = {"namespace": "sea", "uid": "uid-1", "generation": 1, "resourceVersion": "1"}
    spec = {part: value for part, value in given["spec"].items() if part not in ("approval", "rollout")}
    active = spec["registry"]["active"]
    for name in (active, *(model["name"] for model in spec["registry"]["models"] if model["name"] != active)):
        world = World(given | {"metadata": given["metadata"] | metadata, "spec": copy.deepcopy(spec)})
        world.settle()
        world.activate(name)
        world.settle()
        conditions = {found["type"]: found for found in world.obj["status"]["conditions"]}
        gate, ready = conditions[names.GATE_PASSED], conditions[names.READY]
        assert gate["status"] == "True", gate["message"]
        assert (ready["status"], world.obj["status"]["serving"]["name"]) == ("True", name), ready["message"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_pods_do_not_refuse_a_model_of_an_example_for_its_form(path: Path) -> None:
    """They refuse a pickled checkpoint without a digest: docs/security.md."""
    for model in manifest(path)["spec"]["registry"]["models"]:
        assert model.get("sha256") or model["weightsUrl"].endswith(".safetensors")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_prometheus_reaches_the_pods_of_an_example_that_asks_it_to_scrape_them(path: Path) -> None:
    serving = manifest(path)["spec"]["serving"]
    if "serviceMonitor" in serving and "networkPolicy" in serving:
        assert MONITORING in serving["networkPolicy"]["ingressFrom"]
