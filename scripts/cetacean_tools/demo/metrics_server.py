"""A metrics-server in the cluster, from which `kubectl top` and HorizontalPodAutoscalers read the pods' CPU time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from cetacean_tools.demo.installation import run_server
from cetacean_tools.demo.kubectl import Kubectl, manifests
from cetacean_tools.demo.waiting import until

NAME = "metrics-server"
API = "v1beta1.metrics.k8s.io"
PORT = 10250
_ARGUMENTS: Mapping[str, str] = {
    "secure-port": str(PORT),
    "cert-dir": "/tmp",  # noqa: S108 -- a volume of the pod's own
    # The shortest that it takes; a request to a kubelet must be shorter, which its default is not.
    "metric-resolution": "10s",
    "kubelet-request-timeout": "5s",
    "kubelet-preferred-address-types": "InternalIP",
    # The kubelets of kind and of the local cluster sign their certificates themselves.
    "kubelet-insecure-tls": "true",
}


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
        for manifest in manifests("metrics-server", name=NAME, namespace=kubectl.namespace, api=API, port=PORT):
            replace(kubectl, namespace=manifest["metadata"].get("namespace", kubectl.namespace)).apply(manifest)
        container = {
            "image": image,
            "args": [f"--{name}={value}" for name, value in _ARGUMENTS.items()],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTPS"}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 -- see above
        }
        pod = {"serviceAccountName": NAME, "volumes": [{"name": "tmp", "emptyDir": {}}]}
        run_server(kubectl, NAME, port=PORT, container=container, pod=pod)
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
