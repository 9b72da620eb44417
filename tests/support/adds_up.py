"""The facts that must hold once nothing changes any more, whatever happened before.

1. There are exactly the resources that are expected, and the operator has seen the newest generation of each.
2. Exactly one of Ready, Reconciling and Stalled is True; no condition is there twice.
3. What serves is the model that must serve: by the status, by the Deployment's template, and by every pod's own answer.
4. The newest entry of the history is the model that serves.
5. There are as many pods as asked for, all ready, and none of a resource that does not exist.
6. Every child belongs to a resource that exists; each resource has its Deployment and its Service, and no candidate is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from cetacean_tools.demo.environment import POD_LABEL, Environment

_CHILDREN = "deployments,services,configmaps,poddisruptionbudgets,networkpolicies"
_ABNORMAL = ("Reconciling", "Stalled")


@dataclass(frozen=True, slots=True)
class Expected:
    """One resource, as it was asked for."""

    name: str
    active: str
    serves: str
    """The model that must serve; another than the active one if that is refused."""
    replicas: int


def discrepancies(environment: Environment, expected: Sequence[Expected]) -> list[str]:
    """Return a line for each fact that does not hold; empty if everything adds up."""
    resources = {item["metadata"]["name"]: item for item in environment.kubectl.get("cetaceanmodels")["items"]}
    children = environment.kubectl.get(_CHILDREN, "-l", POD_LABEL)["items"]
    pods = environment.kubectl.get("pods", "-l", POD_LABEL)["items"]
    found = [*_strangers(resources, expected), *_orphans(resources, children), *_forgotten(expected, pods)]
    for one in expected:
        if resource := resources.get(one.name):
            found += [f"{one.name}: {line}" for line in _resource(environment, one, resource)]
            found += [f"{one.name}: {line}" for line in _children(one, children)]
            found += [f"{one.name}: {line}" for line in _pods(environment, one, pods)]
    return found


def _owners(item: Mapping[str, Any]) -> set[str]:
    return {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}


def _strangers(resources: Mapping[str, Any], expected: Sequence[Expected]) -> Iterator[str]:
    names = {one.name for one in expected}
    if names != set(resources):
        yield f"expected the resources {sorted(names)}, got {sorted(resources)}"


def _orphans(resources: Mapping[str, Any], children: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    owners = {resource["metadata"]["uid"] for resource in resources.values()}
    for child in children:
        meta = child["metadata"]
        if not owners & _owners(child):
            yield f"{child['kind']}/{meta['name']} belongs to no resource that exists"


def _forgotten(expected: Sequence[Expected], pods: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = {one.name for one in expected}
    for pod in pods:
        if (owner := _resource_of(pod)) not in names:
            yield f"pod {pod['metadata']['name']} is left of {owner}, which does not exist"


def _resource_of(item: Mapping[str, Any]) -> str:
    """Return the resource that an object is of, also if it is of its candidate."""
    return str(item["metadata"]["labels"][POD_LABEL]).partition("_")[0]


def _resource(environment: Environment, one: Expected, resource: Mapping[str, Any]) -> Iterator[str]:
    status, generation = resource.get("status", {}), resource["metadata"]["generation"]
    if status.get("observedGeneration") != generation:
        yield f"expected observedGeneration {generation}, got {status.get('observedGeneration')}"
    conditions = status.get("conditions", [])
    twice = [kind for kind, times in Counter(item["type"] for item in conditions).items() if times > 1]
    if twice:
        yield f"expected each condition once, got several of {twice}"
    states = {item["type"]: item["status"] for item in conditions}
    wanted = "Ready" if one.serves == one.active else "Stalled"
    true = [kind for kind in ("Ready", *_ABNORMAL) if states.get(kind) == "True"]
    if true != [wanted]:
        messages = [item["message"] for item in conditions if item["type"] in true]
        yield f"expected {wanted} alone to be True, got {true}: {messages}"
    digest = environment.registry.model(one.serves).sha256
    serving = status.get("serving") or {}
    if (serving.get("name"), serving.get("digest")) != (one.serves, digest):
        yield f"expected status.serving to be {one.serves}, got {serving}"
    newest = next((item["model"] for item in status.get("history", ())), None)
    if newest != one.serves:
        yield f"expected the newest entry of the history to be {one.serves}, got {newest}"


def _children(one: Expected, children: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own = {(child["kind"], child["metadata"]["name"]): child for child in children if _resource_of(child) == one.name}
    for kind in ("Deployment", "Service"):
        if (kind, one.name) not in own:
            yield f"expected a {kind}, got none"
        if (kind, f"{one.name}-candidate") in own:
            yield f"expected no candidate to be left, got its {kind}"
    if deployment := own.get(("Deployment", one.name)):
        template = deployment["spec"]["template"]["metadata"]["annotations"]
        if template.get("ecomarineai.org/model") != one.serves:
            yield f"expected the pod template to be of {one.serves}, got {template.get('ecomarineai.org/model')}"
        if deployment["spec"]["replicas"] != one.replicas:
            yield f"expected {one.replicas} replicas in the Deployment, got {deployment['spec']['replicas']}"


def _pods(environment: Environment, one: Expected, pods: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    own = [pod for pod in pods if _resource_of(pod) == one.name]
    ready = [pod for pod in own if _is_ready(pod)]
    if (len(own), len(ready)) != (one.replicas, one.replicas):
        yield f"expected {one.replicas} pods, all ready, got {len(own)}, {len(ready)} of them ready"
    digest = environment.registry.model(one.serves).sha256
    for pod in ready:
        try:
            served = environment.pod_answer(pod, "/v1/identity")["weights"]["sha256"]
        except (httpx.HTTPError, KeyError) as error:
            served = repr(error)
        if served != digest:
            yield f"expected pod {pod['metadata']['name']} to serve {one.serves} ({digest}), got {served}"


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
