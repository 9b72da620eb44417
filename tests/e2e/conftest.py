"""The operator installed by Helm into a cluster with a real node, once for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from demo import environment, prometheus
from demo.kubectl import Kubectl
from demo.stage import Installed, Stage, installed
from demo_models import ensure_models
from local_cluster import choose

WATCHED = tuple(f"metrics.{part}.enabled=true" for part in ("serviceMonitor", "prometheusRule", "dashboards"))
NAMESPACE = f"main-job-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl) -> Iterator[Installed]:
    """The cluster with the operator in it, and all that the chart has for watching it."""
    cluster = choose()
    assert cluster.kubeconfig == kubectl.kubeconfig, "the tests speak to the cluster that was started for them"
    models = ensure_models(show=print)
    references = environment.load_images(cluster, environment.build_images(models))
    with prometheus.kinds(kubectl), installed(cluster, models, references, *WATCHED) as there:
        yield there
        # Where the cluster was up before, it stays.
        environment.remove(there.kubectl, NAMESPACE, wait=False)


@pytest.fixture(scope="session")
def stage(operator: Installed) -> Stage:
    """The namespace of the main job."""
    return operator.stage(NAMESPACE)
