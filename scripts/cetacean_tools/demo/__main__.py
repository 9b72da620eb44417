"""The main job on a real cluster, step by step, with a table of what was seen: `make demo`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from rich.console import Console

from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import installed
from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.demo.report import Report
from cetacean_tools.demo.steps import NAME, Demo
from cetacean_tools.demo.waiting import NotSoError
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster import Cluster, ClusterError, choose
from cetacean_tools.local_cluster.__main__ import alone
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.workspace import MissingError, end_like_ctrl_c

NAMESPACE = "demo"


def main() -> int:
    """Run the demo; 0 when all of it was as expected."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and say how to reach it")
    parser.add_argument("--prepare", action="store_true", help="train the models and build the images, nothing else")
    options = parser.parse_args()
    end_like_ctrl_c()
    console = Console(width=None if sys.stdout.isatty() else 160)
    report = Report(console)
    try:
        if options.prepare:
            installation.build_images(ensure_models(show=report.show))
            return 0
        with alone(Layout.default()):
            return _run(choose(), report, keep=options.keep)
    except KeyboardInterrupt:
        console.print("interrupted", style="red")
        return 130
    except (ClusterError, MissingError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    except (CommandError, NotSoError, subprocess.CalledProcessError) as error:
        console.print(f"the demo could not begin: {error}", style="red", markup=False)
        return 1


def _run(cluster: Cluster, report: Report, *, keep: bool) -> int:
    report.step("0. A cluster, the demo's models, the images, the operator")
    report.show(f"  cluster: {cluster.kind}")
    models = ensure_models(show=report.show)
    images = installation.build_images(models)
    found_up = cluster.is_up()
    fulfilled = False
    try:
        cluster.up(owned=not keep)
        references = installation.load_images(cluster, images)
        with installed(cluster, models, references, show=report.show) as there:
            try:
                fulfilled = _show(Demo(there.stage(NAMESPACE), report), report)
            finally:
                if found_up and not keep:
                    report.show("removing what the demo has installed; the cluster stays, as it was up before")
                    installation.remove(there.kubectl, NAMESPACE, installation.OPERATOR_NAMESPACE)
    finally:
        if not keep and not found_up:
            report.show("ending the cluster")
            cluster.down()
    if keep:
        _tell_how_to_reach(cluster, report)
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


def _tell_how_to_reach(cluster: Cluster, report: Report) -> None:
    context = f" --context {cluster.context}" if cluster.context else ""
    report.show(f"\nleft up; end it with: make clean-cluster\n  export KUBECONFIG={cluster.kubeconfig}")
    report.show(f"  {cluster.kubectl}{context} -n {NAMESPACE} get cetaceanmodels,deployments,pods")
    report.show(f"  {cluster.kubectl}{context} -n {NAMESPACE} port-forward service/{NAME} 8080:80")


if __name__ == "__main__":
    raise SystemExit(main())
