"""A volume that the pods of a namespace share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.local_cluster.layout import NODE
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.protocol import Cluster

CLAIM = "weights"


@contextmanager
def shared_cache(kubectl: Kubectl, cluster: Cluster, *, claim: str = CLAIM, folder: str = "") -> Iterator[str]:
    """Create a PersistentVolumeClaim in kubectl's namespace and yield its name; removes it at the end.

    The name is empty on other clusters than the local one: pods of several nodes may not be able to mount the volume.

    Args:
        kubectl: bound to the namespace.
        cluster: the one in use.
        claim: name of the claim.
        folder: of the node's folder of volumes; the volume is the whole of it if empty.
    """
    if not isinstance(cluster, LocalCluster):
        yield ""
        return
    volume = f"{kubectl.namespace}-{claim}"
    common: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    spec = {
        **common,
        "capacity": {"storage": "10Gi"},
        "claimRef": {"namespace": kubectl.namespace, "name": claim},
        "local": {"path": str(cluster.layout.volumes / folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec})
    wanted = {**common, "volumeName": volume, "resources": {"requests": {"storage": "10Gi"}}}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim}, "spec": wanted})
    yield claim
    kubectl("delete", f"pvc/{claim}", f"pv/{volume}", "--wait=false", "--ignore-not-found")
