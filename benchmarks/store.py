"""Runs a store of limited rate in the cluster; see `throttled_store`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import throttled_store

from cetacean_tools.demo.environment import Environment

STORE: Final = "store"
"""Of the Deployment and of the Service."""
PORT: Final = 8000
RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def deploy_store(environment: Environment, volume: Mapping[str, Any], rate: float) -> str:
    """Run the store and return its URL.

    Args:
        environment: whose namespace and image it has.
        volume: the source of the volume whose files it serves, such as `{"emptyDir": {}}`; mounted at `/srv`.
        rate: bytes a second.
    """
    labels = {"app": STORE}
    container = {
        "name": STORE,
        "image": environment.images.store,
        "command": ["python", "-c", Path(throttled_store.__file__).read_text("utf-8"), "/srv", str(PORT), str(rate)],
        "securityContext": RESTRICTED,
        # Stores are elsewhere: without a request, pods that compute would leave it no time.
        "resources": {"requests": {"cpu": "500m"}},
        "volumeMounts": [{"name": "files", "mountPath": "/srv"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "files", **volume}]}
    deployment = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}
    kubectl = environment.kubectl
    kubectl.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": STORE}, "spec": deployment})
    service = {"selector": labels, "ports": [{"port": PORT}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": STORE}, "spec": service})
    kubectl("rollout", "status", f"deployment/{STORE}", "--timeout=120s")
    return f"http://{STORE}.{kubectl.namespace}.svc:{PORT}"
