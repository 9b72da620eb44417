"""Pictures of the dashboards over some minutes of a real model's life, for docs/: `make dashboard-pictures`.

A cluster, the operator and Prometheus run as in the end-to-end tests. A model is rolled out, asked and promoted, gets
pictures without whales, then drifted ones, and is rolled back.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.dashboards.drawing import Series, draw
from rich.console import Console

from cetacean_tools.dashboards.boards import BOARDS, written
from cetacean_tools.dashboards.queries import Query
from cetacean_tools.demo import installation, prometheus
from cetacean_tools.demo.environment import Environment, installed
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.prometheus import Prometheus
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.local_cluster.use import choose, exclusive_use
from cetacean_tools.workspace import REPOSITORY, run_tool

NAMESPACE: Final = "dashboards"
NAME: Final = "whales"
INTERVAL: Final = "5s"
WATCHED: Final = tuple(f"metrics.{part}.enabled=true" for part in ("serviceMonitor", "prometheusRule"))


def main() -> None:
    """Run the model and draw the dashboards."""
    cluster = choose()
    with exclusive_use(cluster):
        _run(cluster, Console(file=sys.stderr).print)


def _run(cluster: Cluster, show: Callable[[str], None]) -> None:
    models = ensure_models(show=show)
    references = installation.load_images(cluster, installation.build_images(models))
    image = ensure_program_image("prometheus")
    cluster.load_image(image.reference, image.archive)
    kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, cluster.context)
    with prometheus.kinds(kubectl), installed(cluster, models, references, *WATCHED) as there:
        environment = there.environment(NAMESPACE)
        try:
            begun = time.monotonic()
            show("rolling out the first model")
            _apply(environment, "demo_v1")
            until("the model's ServiceMonitor", lambda: environment.kubectl.get(prometheus.MONITORS)["items"])
            prometheus.deploy(environment.kubectl, image.reference, interval=INTERVAL)
            environment.wait_for_condition(NAME, "Ready", "True")
            _send(environment, models.cetaceans, 60, show)
            _apply(environment, "demo_v2")
            _send(environment, [*models.cetaceans[:40], *models.others], 90, show)
            _send(environment, models.drifted, 60, show)
            _apply(environment, "demo_v1")
            _send(environment, models.cetaceans, 75, show)
            watching = Prometheus.of(environment.client, environment.proxy, NAMESPACE)
            _draw(watching, seconds=time.monotonic() - begun, show=show)
        finally:
            installation.remove(there.kubectl, NAMESPACE, installation.OPERATOR_NAMESPACE, wait=False)


def _apply(environment: Environment, active: str) -> None:
    serving = {"serviceMonitor": {"enabled": True, "interval": INTERVAL}}
    environment.kubectl.apply(environment.manifest(NAME, active=active, replicas=2, serving=serving))


def _send(environment: Environment, pictures: Sequence[Path], seconds: float, show: Callable[[str], None]) -> None:
    show(f"sending pictures for {seconds:.0f} s")
    mixed = random.Random(0).sample(pictures, len(pictures))
    with BackgroundTraffic(environment.service(NAME), mixed):
        end = time.monotonic() + seconds
        until("the end of this part", lambda: time.monotonic() > end, within=2 * seconds)
    environment.wait_for_condition(NAME, "Ready", "True")


def _draw(watching: Prometheus, *, seconds: float, show: Callable[[str], None]) -> None:
    variables = {"namespace": NAMESPACE, "model": NAME, "__range": f"{seconds:.0f}s", "__rate_interval": "30s"}
    # One end for all, so that the panels show the same minutes.
    end = watching.now()

    def ask(query: Query) -> Sequence[Series]:
        # Rates over five minutes would show little of a run that is not much longer.
        expr = query.asked(variables).replace("[5m]", "[30s]")
        return watching.series(expr) if query.instant else watching.history(expr, seconds=seconds, step=5, end=end)

    for name in BOARDS:
        path = REPOSITORY / f"docs/images/dashboard-{name}.png"
        draw(path, written(name), ask, end=end)
        show(f"wrote {path}")


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
