"""The example policy: only those with the verb `lower` may lower the gates."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until

POLICY = Path(__file__).resolve().parents[2] / "examples/policies/lower-gates.yaml"
MODEL: dict[str, Any] = {
    "apiVersion": "ecomarineai.org/v1alpha1",
    "kind": "CetaceanModel",
    "metadata": {"name": "whales"},
    "spec": {
        "registry": {
            "active": "first",
            "models": [
                {
                    "name": "first",
                    "version": "1.0.0",
                    "architecture": "CetaceanIdentificationModel",
                    "weightsUrl": "https://example.org/first.safetensors",
                }
            ],
        },
        "serving": {"image": "cetacean-inference:1"},
        "gates": {
            "minTNR": 0.95,
            "minTop1": 0.2,
            "minSpeciesAccuracy": 0.7,
            "bySpecies": {"minSamples": 20, "maxRegression": 0.1},
        },
        "antiFraud": {"threshold": 0.6},
    },
}


def changed(**spec: Any) -> str:
    content = copy.deepcopy(MODEL)
    for name, values in spec.items():
        content["spec"][name] = content["spec"].get(name, {}) | values
    return json.dumps(content)


def user(kubectl: Kubectl, folder: Path, name: str, *roles: str) -> Kubectl:
    """Return kubectl as a ServiceAccount with these roles in the namespace."""
    kubectl("create", "serviceaccount", name)
    for role in roles:
        kubectl(
            "create",
            "rolebinding",
            f"{name}-{role.rpartition('/')[2]}",
            role,
            f"--serviceaccount={kubectl.namespace}:{name}",
        )
    content = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "yaml"))
    content["users"][0]["user"] = {"token": kubectl("create", "token", name).strip()}
    kubeconfig = folder / f"{name}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    return replace(kubectl, kubeconfig=kubeconfig, context=None)


@pytest.fixture(scope="module")
def editors(namespaced: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kubectl, Kubectl]]:
    """Two users who may edit CetaceanModels in one namespace, in which the policy holds; the second may lower gates."""
    namespace = str(namespaced.namespace)
    objects = list(yaml.safe_load_all(POLICY.read_text()))
    for found in objects:
        found["metadata"]["name"] += f"-{namespace}"
    policy, binding, role = objects
    binding["spec"]["policyName"] = policy["metadata"]["name"]
    only_here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    binding["spec"]["matchResources"] = only_here
    verbs = "get,list,create,update,patch,delete"
    namespaced("create", "role", "editor", f"--verb={verbs}", "--resource=cetaceanmodels.ecomarineai.org")
    for found in objects:
        namespaced("apply", "-f", "-", stdin=json.dumps(found))
    try:
        namespaced("apply", "-f", "-", stdin=json.dumps(MODEL))
        folder = tmp_path_factory.mktemp("users")
        editor = user(namespaced, folder, "editor", "--role=editor")
        lowering = user(namespaced, folder, "lowering", "--role=editor", f"--clusterrole={role['metadata']['name']}")
        until("the policy to hold", lambda: refusal(editor, changed(gates={"minTNR": 0.1})), within=60)
        yield editor, lowering
    finally:
        for found in objects:
            namespaced("delete", found["kind"], found["metadata"]["name"], "--ignore-not-found", "--wait=false")


def refusal(kubectl: Kubectl, manifest: str) -> str | None:
    """Return the API server's message if it refuses a manifest."""
    try:
        kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest)
    except CommandError as error:
        return str(error)
    return None


LOWERED = [
    ({"gates": {"minTNR": 0.94}}, "spec.gates.minTNR: expected at least 0.95, got 0.94"),
    ({"gates": {"minTPR": 0.1}}, "spec.gates.minTPR: expected at least 0.85, got 0.1"),
    ({"gates": {"maxRegression": 1}}, "spec.gates.maxRegression: expected at most 0.02, got 1"),
    ({"gates": {"minTop1": 0.1}}, "spec.gates.minTop1: expected at least 0.2, got 0.1"),
    ({"gates": {"minTop1": None}}, "spec.gates.minTop1: expected at least 0.2, got 0"),
    ({"gates": {"minSpeciesAccuracy": 0.6}}, "spec.gates.minSpeciesAccuracy: expected at least 0.7, got 0.6"),
    ({"gates": {"evidence": "Interval"}}, "spec.gates.evidence: expected Point, got Interval"),
    ({"gates": {"bySpecies": None}}, "spec.gates.bySpecies: expected at most minSamples 20 and maxRegression 0.1"),
    ({"gates": {"bySpecies": {"minSamples": 50}}}, "spec.gates.bySpecies: expected at most minSamples 20"),
    ({"gates": {"bySpecies": {"maxRegression": 0.2}}}, "spec.gates.bySpecies: expected at most minSamples 20"),
    ({"antiFraud": {"threshold": 0.0}}, "spec.antiFraud.threshold: expected at least 0.6, got 0"),
]


@pytest.mark.parametrize(("change", "message"), LOWERED, ids=lambda one: str(one)[:40])
def test_only_those_with_the_verb_may_lower_a_gate(
    editors: tuple[Kubectl, Kubectl], change: dict[str, Any], message: str
) -> None:
    editor, lowering = editors
    assert message in (refusal(editor, changed(**change)) or "")
    assert refusal(lowering, changed(**change)) is None


def test_everybody_may_raise_a_gate_and_change_the_rest(editors: tuple[Kubectl, Kubectl]) -> None:
    editor, _ = editors
    higher = {"minTNR": 0.99, "minTop1": 0.3, "bySpecies": {"minSamples": 10, "maxRegression": 0.05}}
    assert refusal(editor, changed(gates=higher, antiFraud={"threshold": 0.7})) is None
    assert refusal(editor, changed(serving={"image": "cetacean-inference:2"})) is None


def test_a_new_resource_may_not_be_below_the_defaults(editors: tuple[Kubectl, Kubectl]) -> None:
    editor, lowering = editors

    def named(**spec: Any) -> str:
        return json.dumps(json.loads(changed(**spec)) | {"metadata": {"name": "others"}})

    assert "expected at least 0.9, got 0.5" in (refusal(editor, named(gates={"minTNR": 0.5})) or "")
    assert refusal(lowering, named(gates={"minTNR": 0.5})) is None
    assert refusal(editor, named(gates={"minTNR": 0.9}, antiFraud={"threshold": 0.52})) is None
