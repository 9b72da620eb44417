"""A real Kubernetes to try things on, behind one face.

The first that is there: the user's own cluster, only when its context is named; kind where Docker runs; otherwise one
built from Go modules and run as processes in namespaces of their own.
"""

from __future__ import annotations

from cetacean_tools.local_cluster.choice import choose
from cetacean_tools.local_cluster.protocol import Cluster, ClusterError

__all__ = ["Cluster", "ClusterError", "choose"]
