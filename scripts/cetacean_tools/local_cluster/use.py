"""The cluster to use: which one it is, and its exclusive use by one run at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from filelock import FileLock, Timeout

from cetacean_tools.local_cluster.kind import KindCluster
from cetacean_tools.local_cluster.layout import Layout
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


@contextmanager
def exclusive_use(cluster: Cluster, *, keep: bool = False) -> Iterator[bool]:
    """Start a cluster while no other run uses it; end it afterwards, unless it was up before.

    Args:
        cluster: any.
        keep: leave it up in any case.

    Yields:
        True if it was up before.
    """
    layout = Layout.default()
    layout.root.mkdir(parents=True, exist_ok=True)
    with alone(layout):
        found_up = cluster.is_up()
        try:
            cluster.up(owned=not keep)
            yield found_up
        finally:
            if not (keep or found_up):
                cluster.down()


def alone(layout: Layout) -> FileLock:
    """Take the lock of exclusive use; use it in a `with` statement."""
    lock = FileLock(layout.use_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print("another run uses the cluster; waiting for its end", file=sys.stderr, flush=True)
        lock.acquire()
    return lock
