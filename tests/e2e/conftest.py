"""The operator installed by Helm into a cluster with a real node, once for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.shared_cache import shared_cache

from demo import environment, metrics_server, prometheus
from demo.kubectl import Kubectl
from demo.stage import Installed, Stage, installed
from demo_models import ensure_models
from local_cluster import choose
from local_cluster.program_images import ensure_program_image

PARTS = ("serviceMonitor", "models.podMonitor", "prometheusRule", "dashboards")
DROPPED = "metrics.models.podMonitor.metricRelabelings[0]"
# Tests check its targets only: it drops all series, which come by the models' own ServiceMonitors.
WATCHED = (*(f"metrics.{part}.enabled=true" for part in PARTS), f"{DROPPED}.action=drop", f"{DROPPED}.regex=.*")
NAMESPACE = f"main-job-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl) -> Iterator[Installed]:
    """The cluster with the operator, and everything that the chart has for monitoring it."""
    cluster = choose()
    assert cluster.kubeconfig == kubectl.kubeconfig, "KUBECONFIG is not that of the chosen cluster"
    models = ensure_models(show=print)
    references = environment.load_images(cluster, environment.build_images(models))
    with prometheus.kinds(kubectl), installed(cluster, models, references, *WATCHED) as there:
        yield there
        # The cluster may stay up: leave nothing in it.
        environment.remove(there.kubectl, NAMESPACE, wait=False)


@pytest.fixture(scope="session")
def main_stage(operator: Installed) -> Stage:
    """The namespace of the main job, as the demo has it: each pod converts the networks itself."""
    return operator.stage(NAMESPACE)


@pytest.fixture(scope="session")
def stage(main_stage: Stage) -> Iterator[Stage]:
    """The same namespace, with a volume for all pods if the cluster has one: they share converted networks."""
    with shared_cache(main_stage.kubectl, choose()) as claim:
        yield replace(main_stage, cache=claim)


@pytest.fixture(scope="session")
def metrics(main_stage: Stage) -> Iterator[None]:
    """The metrics API, from which autoscalers and `kubectl top` get the usage of pods."""
    image = ensure_program_image(metrics_server.NAME)
    choose().load_image(image.reference, image.archive)
    with metrics_server.served(main_stage.kubectl, image.reference):
        yield
