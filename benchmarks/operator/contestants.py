"""The compared programs: our operator, Argo Rollouts, and Kubernetes' own Deployment controller as the floor.

Each gets N resources whose pods have the very same template, with one replica. A resource is done when its workload
is there: the Deployment of ours, the ReplicaSet of a Rollout or of a Deployment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
from benchmarks.machine import free_port
from benchmarks.operator.processes import Program, running
from benchmarks.operator.world import NAMESPACE, NODE_LABEL, ROLLOUTS, USER, World, module_files

from cetacean_operator.api.kinds import CHILDREN, MODELS, ResourceType
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.children import children
from cetacean_operator.decisions.identity import rollout_of
from cetacean_tools.demo.definitions import wait_until_served
from cetacean_tools.demo.waiting import until
from cetacean_tools.workspace import REPOSITORY

DEPLOYMENTS: Final = CHILDREN[0]
REPLICA_SETS: Final = ResourceType("apps", "v1", "replicasets", "ReplicaSet")
ARGO: Final = ResourceType("argoproj.io", "v1alpha1", "rollouts", "Rollout")
_MODELS: Final = ("first", "second")
Patch = tuple[str, Any]
"""Content type and body."""


class Contestant(Protocol):
    """One of the compared programs."""

    name: str
    resource: ResourceType
    """What is applied."""
    workload: ResourceType
    """What is made of it."""
    user: str
    """Whose requests the audit log is asked for."""

    def install(self, here: World) -> None:
        """Install the objects that the program needs."""

    @contextmanager
    def run(self, here: World) -> Iterator[Program | None]:
        """Run the program, ready at the start of the block; None if it is a part of the control plane."""

    def manifest(self, name: str) -> Object:
        """Return a resource."""

    def switch(self, times: int) -> Patch:
        """Return the next change of a resource that has been changed so many times before."""

    def made_of(self, workload: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return the resource's name, and a version that no earlier state of it had, from an object's metadata."""


class Ours:
    """The operator, with its defaults: of this checkout, or of another one."""

    resource = MODELS
    workload = DEPLOYMENTS
    user = USER

    def __init__(self, name: str = "ours", checkout: Path = REPOSITORY) -> None:
        """Name it, and take the folder of its code."""
        self.name, self.checkout = name, checkout

    def install(self, here: World) -> None:
        """The CRD."""
        here.kubectl("apply", "--server-side", "-f", str(self.checkout / "crds"))
        wait_until_served(here.kubectl, "cetaceanmodels.ecomarineai.org")

    @contextmanager
    def run(self, here: World) -> Iterator[Program | None]:
        """Run a process like the one in the image."""
        ports = free_port(), free_port()
        environment = {
            "KUBECONFIG": str(here.controller),
            "PYTHONPATH": os.pathsep.join(str(self.checkout / folder) for folder in ("operator", "models")),
            "CETACEAN_OPERATOR_LEASE_NAMESPACE": NAMESPACE,
            "CETACEAN_OPERATOR_PROBES_HOST": "127.0.0.1",
            "CETACEAN_OPERATOR_PROBES_PORT": str(ports[0]),
            "CETACEAN_OPERATOR_METRICS_PORT": str(ports[1]),
        }
        command = [sys.executable, "-m", "cetacean_operator", "run"]
        counted = f"http://127.0.0.1:{ports[1]}/metrics", "cetacean_operator_reconcile_duration_seconds_count"
        with running(command, environment, log=here.folder / f"{self.name}.log", reconciles=counted) as program:
            until("the operator to be ready", lambda: _answers(f"http://127.0.0.1:{ports[0]}/readyz"), within=60)
            yield program

    def manifest(self, name: str) -> Object:
        """Return a CetaceanModel with two entries that both pass the gate."""
        return _model(name)

    def switch(self, times: int) -> Patch:
        """Change to the other model."""
        return "application/merge-patch+json", {"spec": {"registry": {"active": _MODELS[(times + 1) % 2]}}}

    def made_of(self, workload: Mapping[str, Any]) -> tuple[str, str] | None:
        """Read a Deployment: it has the resource's name, and its generation counts the changes of its spec."""
        return workload["name"], str(workload["generation"])


class _TemplateOwner:
    """Rollouts and Deployments: both hold a pod template and make ReplicaSets."""

    workload = REPLICA_SETS
    hash_label: str

    def switch(self, times: int) -> Patch:
        """Change to another image."""
        change = {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": f"inference:{times + 2}"}
        return "application/json-patch+json", [change]

    def made_of(self, workload: Mapping[str, Any]) -> tuple[str, str] | None:
        """Read a ReplicaSet: it names its owner, and has a hash of its template."""
        owners: Sequence[Mapping[str, Any]] = workload.get("ownerReferences") or ()
        version = (workload.get("labels") or {}).get(self.hash_label)
        return (owners[0]["name"], version) if owners and version else None


class Argo(_TemplateOwner):
    """Argo Rollouts, with its defaults."""

    name = "argo"
    resource = ARGO
    user = USER
    hash_label = "rollouts-pod-template-hash"
    limits: Sequence[str] = ()

    def install(self, here: World) -> None:
        """Install its CRDs, and the namespace of its Lease."""
        folder = module_files(ROLLOUTS, "github.com/argoproj/argo-rollouts") / "manifests/crds"
        for path in sorted(folder.glob("*-crd.yaml")):
            here.kubectl("apply", "--server-side", "-f", str(path))
        wait_until_served(here.kubectl, "rollouts.argoproj.io")
        here.kubectl("create", "namespace", "argo-rollouts")

    @contextmanager
    def run(self, here: World) -> Iterator[Program | None]:
        """Run the controller on other ports."""
        ports = free_port(), free_port()
        command = [
            str(here.cluster.layout.bin / "rollouts-controller"),
            f"--kubeconfig={here.controller}",
            f"--metricsPort={ports[0]}",
            f"--healthzPort={ports[1]}",
            *self.limits,
        ]
        counted = f"http://127.0.0.1:{ports[0]}/metrics", "rollout_reconcile_count"
        with running(command, {}, log=here.folder / "argo.log", reconciles=counted) as program:
            until("Argo Rollouts to be ready", lambda: _answers(f"http://127.0.0.1:{ports[1]}/healthz"), within=60)
            yield program

    def manifest(self, name: str) -> Object:
        """Return a Rollout without steps: a change goes to all pods at once."""
        spec = _template_owner_spec(name)
        return {"metadata": _meta(name), "spec": {**spec, "strategy": {"canary": {}}}}


class ArgoUnlimited(Argo):
    """Argo Rollouts without the limits that it sets itself by default: 40 requests a second, 80 at once."""

    name = "argo_unlimited"
    limits = ("--qps=1000", "--burst=2000")


class Floor(_TemplateOwner):
    """Deployments, which Kubernetes itself rolls out."""

    name = "floor"
    resource = DEPLOYMENTS
    user = "system:serviceaccount:kube-system:deployment-controller"
    hash_label = "pod-template-hash"

    def install(self, here: World) -> None:
        """Install nothing: Kubernetes has it."""

    @contextmanager
    def run(self, _here: World) -> Iterator[Program | None]:
        """Run nothing: it runs in one process with other controllers."""
        yield None

    def manifest(self, name: str) -> Object:
        """Return a Deployment."""
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
        return {"metadata": _meta(name), "spec": {**_template_owner_spec(name), "strategy": strategy}}


def contestants() -> tuple[Contestant, ...]:
    """Return all of them; the first two make the ratio."""
    return Argo(), Ours(), Floor(), ArgoUnlimited()


def _meta(name: str) -> Object:
    return {"namespace": NAMESPACE, "name": name}


def _model(name: str) -> Object:
    figures = {
        "tpr": 0.95,
        "tnr": 0.92,
        "rocAuc": 0.98,
        "cetaceanScoreMean": 0.9,
        "sampleSize": 200,
        "evaluationSet": "test",
    }
    entries = [
        {
            "name": entry,
            "version": f"1.{number}.0",
            "architecture": "CetaceanIdentificationModel",
            "weightsUrl": f"https://example.org/{entry}.ckpt",
            "sha256": str(number) * 64,
            "metrics": figures,
        }
        for number, entry in enumerate(_MODELS)
    ]
    return {
        "metadata": _meta(name),
        "spec": {
            "registry": {"schemaVersion": "1.0", "active": _MODELS[0], "models": entries},
            "serving": {"image": "inference:1", "replicas": 1, "nodeSelector": dict(NODE_LABEL)},
        },
    }


def _template_owner_spec(name: str) -> Object:
    """Return the spec of the Deployment that the operator would make, without the fields that differ by kind."""
    spec = parse_spec(_model(name)["spec"])
    resource = CetaceanModel(NAMESPACE, name, "", 1, "", {}, {}, {})
    rollout = rollout_of(spec.registry.active_model, spec.anti_fraud)
    made: Object = children(resource, spec, rollout, served_kinds=frozenset(), operator_namespace=NAMESPACE)[
        "Deployment", name
    ]["spec"]
    return {key: value for key, value in made.items() if key != "strategy"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
