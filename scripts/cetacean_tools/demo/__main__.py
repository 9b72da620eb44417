"""The main job on a real cluster, step by step, with a table of the findings: `make demo`."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import installed
from cetacean_tools.demo.report import Report
from cetacean_tools.demo.steps import NAME, Demo
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.prerequisites import check
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.local_cluster.use import choose, exclusive_use
from cetacean_tools.workspace import run_tool

NAMESPACE = "demo"


def main() -> int:
    """Run the demo; 0 if all of it was as expected."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and print how to reach it")
    parser.add_argument("--prepare", action="store_true", help="train the models and build the images, nothing else")
    options = parser.parse_args()
    report = Report(Console(width=None if sys.stdout.isatty() else 160))
    return run_tool(lambda: _run(report, keep=options.keep, prepare=options.prepare))


def _run(report: Report, *, keep: bool, prepare: bool) -> int:
    check(images=True)
    if not prepare:
        report.step("0. A cluster, the demo's models, the images, the operator")
    models = ensure_models(show=report.show)
    images = installation.build_images(models)
    if prepare:
        return 0
    cluster = choose()
    report.show(f"  cluster: {cluster.kind}")
    with exclusive_use(cluster, keep=keep) as found_up:
        references = installation.load_images(cluster, images)
        with installed(cluster, models, references, show=report.show) as there:
            try:
                fulfilled = _show(Demo(there.environment(NAMESPACE), report), report)
            finally:
                if found_up and not keep:
                    report.show("removing what the demo has installed; the cluster stays, as it was up before")
                    installation.remove(there.kubectl, NAMESPACE, installation.OPERATOR_NAMESPACE)
    if keep:
        _show_access(cluster, report)
    return 0 if fulfilled else 1


def _show(demo: Demo, report: Report) -> bool:
    for title, act in demo.steps():
        report.step(title)
        try:
            act()
        except Exception as error:  # noqa: BLE001 -- whatever it is, it belongs into the table, and the demo ends
            report.fail(error)
            break
    report.console.print()
    report.console.print(report.table())
    report.show("all as expected" if report.fulfilled else "NOT all as expected")
    return report.fulfilled


def _show_access(cluster: Cluster, report: Report) -> None:
    context = f" --context {cluster.context}" if cluster.context else ""
    report.show(f"\nleft up; end it with: make clean-cluster\n  export KUBECONFIG={cluster.kubeconfig}")
    report.show(f"  {cluster.kubectl}{context} -n {NAMESPACE} get cetaceanmodels,deployments,pods")
    report.show(f"  {cluster.kubectl}{context} -n {NAMESPACE} port-forward service/{NAME} 8080:80")


if __name__ == "__main__":
    raise SystemExit(main())
