"""The programs that switch a model: our operator, a plain Deployment, and Argo Rollouts, with the same pod template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cetacean_operator.api.observed import CetaceanModel
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.children import children
from cetacean_operator.decisions.identity import rollout_of
from cetacean_tools.demo.kubectl import Kubectl

ROLLING: Final = {"maxUnavailable": 0, "maxSurge": 1}


class Program(Protocol):
    """One of the compared programs."""

    @property
    def resource(self) -> str:
        """Name of what is switched, of its Service, and value of the label of its pods."""
        ...

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Create the resource.

        Args:
            manifest: the CetaceanModel; its active model serves.
        """
        ...

    def switch(self, manifest: Mapping[str, Any]) -> None:
        """Change the model that serves to the active one, in one request."""
        ...

    def delete(self) -> None:
        """Delete all that was created."""
        ...


@dataclass(frozen=True, slots=True)
class Ours:
    """The operator."""

    kubectl: Kubectl
    resource: str = "switched-ours"

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Apply the CetaceanModel."""
        self.kubectl.apply(manifest)

    def switch(self, manifest: Mapping[str, Any]) -> None:
        """Change `spec.registry.active`."""
        patch = {"spec": {"registry": {"active": manifest["spec"]["registry"]["active"]}}}
        self.kubectl("patch", "cetaceanmodel", self.resource, "--type=merge", "-p", json.dumps(patch))

    def delete(self) -> None:
        """Delete the CetaceanModel, and with it its children."""
        self.kubectl("delete", "cetaceanmodel", self.resource, "--ignore-not-found")


@dataclass(frozen=True, slots=True)
class TemplateOwner:
    """A Deployment or a Rollout, and the Service and the ConfigMap that the operator would make."""

    kubectl: Kubectl
    resource: str
    kind: str
    api_version: str
    strategy: Mapping[str, Any]

    def create(self, manifest: Mapping[str, Any]) -> None:
        """Apply all three."""
        for kind, name, body in self._bodies(manifest):
            self.kubectl.apply({**body, "kind": kind, "metadata": {"name": name}})

    def switch(self, manifest: Mapping[str, Any]) -> None:
        """Change the pod template."""
        (spec,) = (body["spec"] for kind, _, body in self._bodies(manifest) if kind == self.kind)
        patch = {"spec": {"template": spec["template"]}}
        self.kubectl("patch", self.kind.lower(), self.resource, "--type=merge", "-p", json.dumps(patch))

    def delete(self) -> None:
        """Delete all three."""
        for kind, name in ((self.kind, self.resource), ("Service", self.resource)):
            self.kubectl("delete", kind.lower(), name, "--ignore-not-found")

    def _bodies(self, manifest: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
        """Return kind, name and content of the objects."""
        spec = parse_spec(manifest["spec"])
        model = CetaceanModel(self.kubectl.namespace, self.resource, "", 1, "", {}, {}, {})
        rollout = rollout_of(spec.registry.active_model, spec.anti_fraud)
        made = children(model, spec, rollout, served_kinds=frozenset(), operator_namespace=self.kubectl.namespace)
        found = []
        for (kind, name), body in made.items():
            content = {key: value for key, value in body.items() if key not in ("metadata", "kind")}
            if kind != "Deployment":
                found.append((kind, name, content))
                continue
            owner = {key: value for key, value in content["spec"].items() if key != "paused"}
            rolled = {"apiVersion": self.api_version, "spec": {**owner, "strategy": dict(self.strategy)}}
            found.append((self.kind, name, rolled))
        return found


def deployment(kubectl: Kubectl) -> TemplateOwner:
    """Return a plain Deployment with the strategy of the operator's."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": ROLLING}
    return TemplateOwner(kubectl, "switched-deployment", "Deployment", "apps/v1", strategy)


def argo(kubectl: Kubectl) -> TemplateOwner:
    """Return a Rollout without steps and with the same bounds."""
    return TemplateOwner(kubectl, "switched-argo", "Rollout", "argoproj.io/v1alpha1", {"canary": ROLLING})
