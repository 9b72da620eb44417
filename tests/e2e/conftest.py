"""The operator installed by Helm into a cluster with a real node, once for all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support import gateway, metrics_server
from support.shared_cache import shared_cache

from cetacean_tools.demo import installation, prometheus
from cetacean_tools.demo.environment import Environment, Installed, installed
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.use import choose

PARTS = ("serviceMonitor", "models.podMonitor", "prometheusRule", "dashboards")
DROPPED = "metrics.models.podMonitor.metricRelabelings[0]"
# Only its targets are checked: the series come through the models' own ServiceMonitors, once.
WATCHED = (*(f"metrics.{part}.enabled=true" for part in PARTS), f"{DROPPED}.action=drop", f"{DROPPED}.regex=.*")
NAMESPACE = f"main-job-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def operator(kubectl: Kubectl) -> Iterator[Installed]:
    """The cluster with the operator in it, and all monitors, rules and dashboards of the chart."""
    cluster = choose()
    assert cluster.kubeconfig == kubectl.kubeconfig, "the tests speak to the cluster that was started for them"
    models = ensure_models(show=print)
    references = installation.load_images(cluster, installation.build_images(models))
    # The kinds before the operator, which notices new ones within a quarter of an hour.
    with (
        prometheus.kinds(kubectl),
        gateway.installed(kubectl),
        installed(cluster, models, references, *WATCHED) as there,
    ):
        yield there
        # Where the cluster was up before, it stays.
        installation.remove(there.kubectl, NAMESPACE, wait=False)


@pytest.fixture(scope="session")
def main_environment(operator: Installed) -> Environment:
    """The namespace of the main job, as the demo has it: each pod converts the networks for itself."""
    return operator.environment(NAMESPACE)


@pytest.fixture(scope="session")
def environment(main_environment: Environment) -> Iterator[Environment]:
    """The same namespace; all pods share a volume if the cluster has one, so that each network is converted once."""
    with shared_cache(main_environment.kubectl, choose()) as claim:
        yield replace(main_environment, cache=claim)


@pytest.fixture(scope="session")
def metrics(main_environment: Environment) -> Iterator[None]:
    """The metrics API, which autoscalers and `kubectl top` read."""
    image = ensure_program_image(metrics_server.NAME)
    choose().load_image(image.reference, image.archive)
    with metrics_server.served(main_environment.kubectl, image.reference):
        yield
