"""ServiceAccounts with the rights that the chart grants, and no others."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from cetacean_tools.demo.kubectl import Kubectl

CHART = Path(__file__).resolve().parents[2] / "charts/cetacean-operator"


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount with the chart's roles."""

    kubectl: Kubectl
    """kubectl as this account, in its own namespace."""
    name: str
    served: tuple[str, ...]
    """The namespaces of its Roles; empty if it has a ClusterRole."""

    @property
    def user(self) -> str:
        """The user name in the API server's messages."""
        return f"system:serviceaccount:{self.kubectl.namespace}:{self.name}"

    @classmethod
    @contextmanager
    def granted(cls, admin: Kubectl, folder: Path, *, served: tuple[str, ...] = ()) -> Iterator[Account]:
        """Create an account in kubectl's namespace with the chart's own roles; its kubeconfig is written to `folder`."""
        name = f"operator-{uuid.uuid4().hex[:8]}"
        manifests = admin.run_helm(
            *("template", name, str(CHART), f"--set=fullnameOverride={name}", "--set=rbac.aggregate=false"),
            *("--set=crds.install=false", f"--set-json=watchNamespaces={json.dumps(served)}"),
            *("--show-only=templates/rbac.yaml", "--show-only=templates/serviceaccount.yaml"),
        )
        objects = [found for found in yaml.safe_load_all(manifests) if found]
        for found in objects:
            _in_namespace_of(admin, found).apply(found)
        try:
            kubeconfig = folder / f"{name}.kubeconfig"
            kubeconfig.write_text(_kubeconfig(admin, admin("create", "token", name, "--duration=1h").strip()))
            yield cls(replace(admin, kubeconfig=kubeconfig, context=None), name, served)
        finally:
            for found in objects:
                ref = f"{found['kind']}/{found['metadata']['name']}"
                _in_namespace_of(admin, found)("delete", ref, "--ignore-not-found", "--wait=false")


def _in_namespace_of(admin: Kubectl, manifest: Mapping[str, Any]) -> Kubectl:
    return replace(admin, namespace=manifest["metadata"].get("namespace", admin.namespace))


def _kubeconfig(admin: Kubectl, token: str) -> str:
    cluster = json.loads(admin("config", "view", "--minify", "--raw", "-o", "json"))["clusters"][0]["cluster"]
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "operator", "context": {"cluster": "cluster", "user": "operator"}}],
    }
    text: str = yaml.safe_dump(content)
    return text
