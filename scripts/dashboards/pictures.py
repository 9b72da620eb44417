"""`python -m dashboards.pictures`: pictures of the dashboards over some minutes of a real model's life, for docs/.

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

from rich.console import Console

from dashboards.boards import BOARDS, written
from dashboards.drawing import Series, draw
from dashboards.queries import Query
from demo import environment, prometheus
from demo.kubectl import Kubectl
from demo.prometheus import Prometheus
from demo.stage import Stage, installed
from demo.traffic import BackgroundTraffic
from demo.waiting import until
from demo_models import ensure_models
from local_cluster import Cluster, choose
from local_cluster.__main__ import alone
from local_cluster.layout import Layout
from local_cluster.program_images import ensure_program_image
from workspace import REPOSITORY, end_like_ctrl_c

NAMESPACE: Final = "dashboards"
NAME: Final = "whales"
INTERVAL: Final = "5s"
WATCHED: Final = tuple(f"metrics.{part}.enabled=true" for part in ("serviceMonitor", "prometheusRule"))


def main() -> None:
    """Run the model and draw the dashboards."""
    end_like_ctrl_c()
    cluster = choose()
    with alone(Layout.default()):
        found_up = cluster.is_up()
        cluster.up(owned=True)
        try:
            _run(cluster, Console(file=sys.stderr).print)
        finally:
            if not found_up:
                cluster.down()


def _run(cluster: Cluster, show: Callable[[str], None]) -> None:
    models = ensure_models(show=show)
    references = environment.load_images(cluster, environment.build_images(models))
    image = ensure_program_image("prometheus")
    cluster.load_image(image.reference, image.archive)
    kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, cluster.context)
    with prometheus.kinds(kubectl), installed(cluster, models, references, *WATCHED) as there:
        stage = there.stage(NAMESPACE)
        try:
            begun = time.monotonic()
            show("rolling out the first model")
            _apply(stage, "demo_v1")
            until("the model's ServiceMonitor", lambda: stage.kubectl.get(prometheus.MONITORS)["items"])
            prometheus.deploy(stage.kubectl, image.reference, interval=INTERVAL)
            stage.wait_for_condition(NAME, "Ready", "True")
            _send(stage, models.cetaceans, 60, show)
            _apply(stage, "demo_v2")
            _send(stage, [*models.cetaceans[:40], *models.others], 90, show)
            _send(stage, models.drifted, 60, show)
            _apply(stage, "demo_v1")
            _send(stage, models.cetaceans, 75, show)
            watching = Prometheus.of(stage.client, stage.proxy, NAMESPACE)
            _draw(watching, seconds=time.monotonic() - begun, show=show)
        finally:
            environment.remove(there.kubectl, NAMESPACE, environment.OPERATOR_NAMESPACE, wait=False)


def _apply(stage: Stage, active: str) -> None:
    serving = {"serviceMonitor": {"enabled": True, "interval": INTERVAL}}
    stage.kubectl.apply(stage.manifest(NAME, active=active, replicas=2, serving=serving))


def _send(stage: Stage, pictures: Sequence[Path], seconds: float, show: Callable[[str], None]) -> None:
    show(f"sending pictures for {seconds:.0f} s")
    mixed = random.Random(0).sample(pictures, len(pictures))
    with BackgroundTraffic(stage.service(NAME), mixed):
        end = time.monotonic() + seconds
        until("the end of this part", lambda: time.monotonic() > end, within=2 * seconds)
    stage.wait_for_condition(NAME, "Ready", "True")


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
    main()
