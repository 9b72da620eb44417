"""A real Kubernetes cluster for tests and demonstrations; README.md describes it.

`choose` takes the user's own cluster if its context is named, else kind if Docker runs, else a cluster built from Go
modules and run as processes in namespaces of their own.
"""

from __future__ import annotations

from cetacean_tools.local_cluster.choice import choose
from cetacean_tools.local_cluster.protocol import Cluster, ClusterError

__all__ = ["Cluster", "ClusterError", "choose"]
