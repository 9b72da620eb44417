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
# Its targets are looked at; their series come by the models' own ServiceMonitors, once.
WATCHED = (*(f"metrics.{part}.enabled=true" for part in PARTS), f"{DROPPED}.action=drop", f"{DROPPED}.regex=.*")
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
def main_stage(operator: Installed) -> Stage:
    """The namespace of the main job, as the demo has it: each pod converts the networks for itself."""
    return operator.stage(NAMESPACE)


@pytest.fixture(scope="session")
def stage(main_stage: Stage) -> Iterator[Stage]:
    """The same namespace, with a volume for all pods where this cluster has one: what one converted, others find."""
    with shared_cache(main_stage.kubectl, choose()) as claim:
        yield replace(main_stage, cache=claim)


@pytest.fixture(scope="session")
def metrics(main_stage: Stage) -> Iterator[None]:
    """The metrics API: what autoscalers and `kubectl top` know of pods."""
    image = ensure_program_image(metrics_server.NAME)
    choose().load_image(image.reference, image.archive)
    with metrics_server.served(main_stage.kubectl, image.reference):
        yield
