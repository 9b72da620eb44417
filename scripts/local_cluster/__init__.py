"""A real Kubernetes to try things on, behind one face.

The first that is there: the user's own cluster, only when its context is named; kind where Docker runs; otherwise one
built from Go modules and run as processes in namespaces of their own.
"""

from __future__ import annotations

from local_cluster.choice import choose
from local_cluster.face import Cluster, ClusterError

__all__ = ["Cluster", "ClusterError", "choose"]
