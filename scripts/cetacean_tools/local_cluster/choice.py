"""Choose the cluster to use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from cetacean_tools.local_cluster.kind import KindCluster
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.named import NamedCluster
from cetacean_tools.local_cluster.prerequisites import CONTEXT_VARIABLE
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.workspace import docker_answers


def choose(environment: Mapping[str, str] = os.environ, *, docker: Callable[[], bool] = docker_answers) -> Cluster:
    """Return the named context's cluster, else kind if Docker responds, else the cluster made of processes.

    A kubeconfig alone is never enough: a cluster that was not named is not touched.
    """
    if context := environment.get(CONTEXT_VARIABLE):
        return NamedCluster(context)
    if docker():
        return KindCluster()
    return LocalCluster()
