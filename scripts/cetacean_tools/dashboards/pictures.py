"""Pictures of the dashboards over some minutes of a real model's life, for docs/: `make dashboard-pictures`.

A cluster, the operator and Prometheus as the end-to-end tests have them; a model is rolled out, asked, promoted, fed
with other pictures than whales, then with drifted ones, and rolled back.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from cetacean_tools.dashboards.boards import BOARDS, written
from cetacean_tools.dashboards.drawing import Series, draw
from cetacean_tools.dashboards.queries import Query
from cetacean_tools.demo import installation, prometheus
from cetacean_tools.demo.environment import Environment, installed
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.prometheus import Prometheus
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster import Cluster, choose
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.use import alone
from cetacean_tools.workspace import REPOSITORY, end_like_ctrl_c

NAMESPACE: Final = "dashboards"
NAME: Final = "whales"
INTERVAL: Final = "5s"
WATCHED: Final = tuple(f"metrics.{part}.enabled=true" for part in ("serviceMonitor", "prometheusRule"))


def main() -> None:
    """Live through it and draw."""
    parser = argparse.ArgumentParser(prog="dashboards.pictures", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=REPOSITORY / "docs/images")
    folder: Path = parser.parse_args().folder
    end_like_ctrl_c()
    console = Console(file=sys.stderr)
    cluster = choose()
    with alone(Layout.default()):
        found_up = cluster.is_up()
        cluster.up(owned=True)
        try:
            _live(cluster, folder, console.print)
        finally:
            if not found_up:
                cluster.down()


def _live(cluster: Cluster, folder: Path, show: Callable[[str], None]) -> None:
    models = ensure_models(show=show)
    references = installation.load_images(cluster, installation.build_images(models))
    image = ensure_program_image("prometheus")
    cluster.load_image(image.reference, image.archive)
    kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, cluster.context)
    with prometheus.kinds(kubectl), installed(cluster, models, references, *WATCHED) as there:
        environment = there.environment(NAMESPACE)
        try:
            begun = time.monotonic()
            watching = _watched(environment, image.reference, show)
            whales, others = environment.models.cetaceans, environment.models.others
            _ask(environment, whales, 60, show, "whales")
            _switch(environment, "demo_v2", [*whales, *others], show)
            _ask(environment, [*whales[:40], *others[:10]], 60, show, "some of them no whales")
            _ask(environment, environment.models.drifted, 60, show, "fog and night")
            _switch(environment, "demo_v1", whales, show)
            _ask(environment, whales, 45, show, "whales")
            _draw(watching, folder, seconds=time.monotonic() - begun, show=show)
        finally:
            installation.remove(there.kubectl, NAMESPACE, installation.OPERATOR_NAMESPACE, wait=False)


def _manifest(environment: Environment, active: str) -> dict[str, object]:
    serving = {"serviceMonitor": {"enabled": True, "interval": INTERVAL}}
    return environment.manifest(NAME, active=active, replicas=2, serving=serving)


def _watched(environment: Environment, image: str, show: Callable[[str], None]) -> Prometheus:
    show("rolling out the first model")
    environment.kubectl.apply(_manifest(environment, "demo_v1"))
    until("the model's ServiceMonitor", lambda: environment.kubectl.get(prometheus.MONITORS)["items"])
    prometheus.deploy(environment.kubectl, image, interval=INTERVAL)
    environment.wait_for_condition(NAME, "Ready", "True")
    return Prometheus.of(environment.client, environment.proxy, NAMESPACE)


def _ask(
    environment: Environment, pictures: Sequence[Path], seconds: float, show: Callable[[str], None], what: str
) -> None:
    show(f"{seconds:.0f} s of pictures: {what}")
    with BackgroundTraffic(environment.service(NAME), _mixed(pictures)):
        end = time.monotonic() + seconds
        until(what, lambda: time.monotonic() > end, within=2 * seconds)


def _switch(environment: Environment, active: str, pictures: Sequence[Path], show: Callable[[str], None]) -> None:
    show(f"active: {active}")
    with BackgroundTraffic(environment.service(NAME), _mixed(pictures)):
        environment.kubectl.apply(_manifest(environment, active))
        environment.wait_for_condition(NAME, "Ready", "True", mentions=active)


def _mixed(pictures: Sequence[Path]) -> list[Path]:
    return random.Random(0).sample(pictures, len(pictures))


def _draw(watching: Prometheus, folder: Path, *, seconds: float, show: Callable[[str], None]) -> None:
    variables = {"namespace": NAMESPACE, "model": NAME, "__range": f"{seconds:.0f}s", "__rate_interval": "30s"}
    # Rates over five minutes would show little of so short a life.
    folder.mkdir(parents=True, exist_ok=True)
    # One end for all, so that series of different queries can be stacked.
    end = watching.now()

    def ask(query: Query) -> Sequence[Series]:
        expr = query.asked(variables).replace("[5m]", "[30s]")
        return watching.series(expr) if query.instant else watching.history(expr, seconds=seconds, step=5, end=end)

    for name in BOARDS:
        path = folder / f"dashboard-{name}.png"
        draw(path, written(name), ask, end=end)
        show(f"wrote {path}")


if __name__ == "__main__":
    main()
