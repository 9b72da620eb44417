"""A metrics-server in the cluster, from which `kubectl top` and HorizontalPodAutoscalers read the pods' CPU time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cetacean_tools.demo.installation import deploy
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

NAME = "metrics-server"
API = "v1beta1.metrics.k8s.io"


@contextmanager
def served(kubectl: Kubectl, image: str) -> Iterator[None]:
    """Serve the metrics API within the `with` block, unless the cluster already serves it.

    Args:
        kubectl: bound to the namespace that it is to run in.
        image: of its program.
    """
    if kubectl.get("apiservices", "--field-selector", f"metadata.name={API}")["items"]:
        yield
        return
    try:
        deploy(kubectl, "metrics-server", name=NAME, image=image, api=API)
        until("the metrics API to be served", lambda: _available(kubectl), within=60)
        yield
    finally:
        # First: no namespace can be deleted while a registered API has no server.
        kubectl("delete", "apiservice", API, "--ignore-not-found")
        kubectl("delete", "deployment,service,serviceaccount", NAME, "--ignore-not-found", "--wait=false")
        kubectl("delete", "clusterrole,clusterrolebinding", "-l", f"app.kubernetes.io/name={NAME}")
        kubectl("delete", "rolebinding", NAME, "--namespace=kube-system", "--ignore-not-found")


def _available(kubectl: Kubectl) -> bool:
    conditions = kubectl.get("apiservice", API).get("status", {}).get("conditions", [])
    return any(item["type"] == "Available" and item["status"] == "True" for item in conditions)
