"""Measures a switch as clients feel it: `python -m benchmarks.switch`, on a cluster that is up.

A client sends one picture after the other through the Service while the model is switched, by our operator, by a
change of a plain Deployment's template, and by one of a Rollout's (Argo Rollouts), whose pods are the same. The cache
is empty (cold), or another pod of the node has served the new version before (shared), or a Job has prepared it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import BenchmarkError, processor
from benchmarks.operator.contestants import Argo
from benchmarks.operator.world import ROLLOUTS, World
from benchmarks.publishing import publish_benchmark
from benchmarks.store import RESTRICTED, deploy_store
from benchmarks.switch import client
from benchmarks.switch.cache import hidden
from benchmarks.switch.pods import PodWatch
from benchmarks.switch.programs import Ours, Program, argo, deployment
from benchmarks.switch.report import PROGRAMS, medians, table
from benchmarks.switch.timeline import FETCHED, READY, answers, started, switch
from benchmarks.switch.weights import Material, demo_size, full_size
from support.shared_cache import shared_cache

from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import POD_LABEL, Environment, installed
from cetacean_tools.demo.kubectl import Kubectl, has_condition
from cetacean_tools.demo.waiting import until
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.use import choose
from cetacean_tools.workspace import ToolError

BASE: Final = "demo_v2"
CLIENT: Final = "client"
MEGABYTE: Final = 1e6
BEGIN, END = "<!-- switch: written by make bench-switch -->", "<!-- switch: end -->"
RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "5Gi"}}
LONG: Final = 240.0
Switches = dict[str, dict[str, list[dict[str, Any]]]]
"""By scenario and program."""


def main() -> int:
    """Measure, print the table and write the results; returns 1 if a switch failed."""
    parser = argparse.ArgumentParser(prog="benchmarks.switch", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0, help="MB a second of the store (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="switches of each kind (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=list(PROGRAMS), help="whom (default: all)")
    parser.add_argument("--small", action="store_true", help="models of the demo's size: to try it; writes nothing")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    try:
        found = _measure(options)
    except (BenchmarkError, ToolError, TimeoutError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(found))
    if not (options.dry or options.small):
        publish_benchmark("switch", found, table(found), between=(BEGIN, END))
    return 0


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    cluster, load_before = choose(), os.getloadavg()[0]
    if not isinstance(cluster, LocalCluster):
        raise BenchmarkError(f"expected the local cluster, whose pods can share a volume, got {cluster.kind}")
    models = ensure_models(_show)
    images = installation.load_images(cluster, installation.build_images(models))
    namespace = f"switch-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        stored, cache = (
            stack.enter_context(_folder(cluster.layout.volumes / f"{namespace}-{use}")) for use in ("store", "cache")
        )
        base = models.registry("").model(BASE).model_copy(update={"notes": BASE})  # whose metrics they get
        versions = 2 + options.rounds
        material = (
            demo_size(stored, base, models, versions=versions)
            if options.small
            else full_size(stored, base, versions=versions)
        )
        there = stack.enter_context(installed(cluster, models, images))
        environment = there.environment(namespace)
        stack.callback(installation.remove, environment.kubectl, namespace, wait=False)
        claims = {
            use: stack.enter_context(shared_cache(environment.kubectl, cluster, claim=use, folder=f"{namespace}-{use}"))
            for use in ("store", "cache")
        }
        volume = {"persistentVolumeClaim": {"claimName": claims["store"], "readOnly": True}}
        url = deploy_store(environment, volume, options.rate * MEGABYTE)
        bench = _Bench(
            environment,
            material.served_at(url),
            claim=claims["cache"],
            cache=cache,
            rounds=options.rounds,
        )
        for name in options.only:
            with bench.program(name, cluster) as program:
                bench.measure(name, program)
        return {
            "processor": processor(),
            "processors": os.cpu_count(),
            "load_average_before": round(load_before, 1),
            "weights_mb": material.weights_mb,
            "gate_mb": material.gate_mb,
            "store_mb_a_second": options.rate,
            "rounds": options.rounds,
            "scenarios": {
                scenario: {name: medians(switches) for name, switches in by_program.items()}
                for scenario, by_program in bench.switches.items()
            },
        }


class _Bench:
    """The resources that are switched, one after the other, and what was measured of them."""

    def __init__(self, environment: Environment, material: Material, *, claim: str, cache: Path, rounds: int) -> None:
        self._there, self._material, self._claim, self._cache = environment, material, claim, cache
        self._rounds = rounds
        self.switches: Switches = {}

    @contextmanager
    def program(self, name: str, cluster: LocalCluster) -> Iterator[Program]:
        """Yield one of the programs; deletes what it has created."""
        with ExitStack() as stack:
            if name == "argo":
                stack.enter_context(_argo_controller(cluster, self._there.kubectl))
            made: dict[str, Program] = {
                "ours": Ours(self._there.kubectl),
                "deployment": deployment(self._there.kubectl),
                "argo": argo(self._there.kubectl),
            }
            stack.callback(self._delete, made[name])
            yield made[name]

    def measure(self, name: str, program: Program) -> None:
        """Switch from the first version to the second with an empty cache, and back; then to those of a Job."""
        first, second, *prepared = self._material.entries
        program.create(self._manifest(program, first))
        self._wait_for_pod(program)
        with self._asking(program):
            for _ in range(self._rounds):
                with hidden(self._cache):
                    self._switch(name, program, "cold", second)
                self._switch(name, program, "shared", first)
            if isinstance(program, Ours):
                for entry in prepared:
                    self._prepare(program, first, entry)
                    self._switch(name, program, "prefetched", entry)
                    self._switch(name, program, "", first)

    def _switch(self, name: str, program: Program, scenario: str, entry: ModelEntry) -> None:
        kubectl = self._there.kubectl
        label = f"{POD_LABEL}={program.resource}"
        with PodWatch(self._there.proxy, kubectl.namespace, label) as watch:
            until("the old pods to go", lambda: self._pods(program) == 1, within=LONG)
            begun = time.time()
            program.switch(self._manifest(program, entry))
            pod, times = watch.new_pod(begun, within=LONG)
        until("the old pods to go", lambda: self._pods(program) == 1, within=LONG)
        if not scenario:
            return
        fetch, serve = (kubectl("logs", pod, "-c", container, "--timestamps") for container in ("fetch", "serve"))
        found = switch(
            begun,
            times,
            started(fetch, FETCHED),
            started(serve, READY),
            answers(kubectl("logs", CLIENT)),
            new=entry.version,
        )
        _show(f"{name}, {scenario}: {found}")
        self.switches.setdefault(scenario, {}).setdefault(name, []).append(found)

    def _prepare(self, program: Program, active: ModelEntry, entry: ModelEntry) -> None:
        self._there.kubectl.apply(self._manifest(program, active, marked=entry.name))
        self._there.wait_for_condition(program.resource, "WeightsPrefetched", "True", mentions="1 of 1", within=LONG)

    def _manifest(self, program: Program, active: ModelEntry, *, marked: str = "") -> dict[str, Any]:
        added = [
            one.model_copy(update={"prefetch": True}) if one.name == marked else one for one in self._material.entries
        ]
        serving = {
            "resources": RESOURCES,
            "prefetch": "Candidate",
            "weightsCache": {"persistentVolumeClaim": {"claimName": self._claim}, "trusted": True},
            "terminationGracePeriodSeconds": 30,
        }
        manifest = self._there.manifest(program.resource, active=active.name, added=added, replicas=1, serving=serving)
        manifest["spec"]["antiFraud"] = self._material.anti_fraud
        return manifest

    def _pods(self, program: Program) -> int:
        return len(self._there.kubectl.get("pods", "-l", f"{POD_LABEL}={program.resource}")["items"])

    def _wait_for_pod(self, program: Program) -> None:
        def ready() -> bool:
            return any(has_condition(pod, "Ready") for pod in self._there.pods(program.resource))

        until(f"a pod of {program.resource} to be ready", ready, within=LONG, shown=lambda: self._state(program))

    def _state(self, program: Program) -> str:
        """Return what is known of pods that do not get ready."""
        kubectl = self._there.kubectl
        chosen = '{range .items[*]}{.metadata.name}{" "}{.status}{"\\n"}{end}'
        parts = [kubectl("get", "pods", "-o", f"jsonpath={chosen}")]
        if isinstance(program, Ours):
            parts.append(str(self._there.resource(program.resource).get("status")))
        return "\n".join(parts)

    @contextmanager
    def _asking(self, program: Program) -> Iterator[None]:
        """Run the client in a pod."""
        kubectl = self._there.kubectl
        script = Path(client.__file__).read_text(encoding="utf-8")
        url = f"http://{program.resource}.{kubectl.namespace}.svc/v1/predict-single"
        container = {
            "name": CLIENT,
            "image": self._there.images.inference,
            "command": ["python", "-c", script, url],
            "securityContext": RESTRICTED,
        }
        spec = {"containers": [container], "restartPolicy": "Never", "terminationGracePeriodSeconds": 0}
        kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": CLIENT}, "spec": spec})
        try:
            until(
                "the client's first answer",
                lambda: any(answer.version for answer in answers(self._logs())),
                within=LONG,
                shown=lambda: self._logs()[-500:],
            )
            yield
        finally:
            kubectl("delete", "pod", CLIENT, "--ignore-not-found")

    def _logs(self) -> str:
        phase = self._there.kubectl.get("pod", CLIENT)["status"]["phase"]
        return "" if phase == "Pending" else self._there.kubectl("logs", CLIENT)

    def _delete(self, program: Program) -> None:
        program.delete()
        until("all pods to go", lambda: self._pods(program) == 0, within=LONG)


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """Make a folder that pods can write to; deletes it at the end."""
    path.mkdir(parents=True)
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _argo_controller(cluster: LocalCluster, kubectl: Kubectl) -> Iterator[None]:
    """Install the CRDs and run the controller; removes both."""
    ensure_built((ROLLOUTS,), cluster.layout)
    contestant = Argo()
    with tempfile.TemporaryDirectory(prefix="cetacean-switch-") as folder:
        world = World(cluster, kubectl, Path(folder), cluster.kubeconfig)
        try:
            contestant.install(world)
            with contestant.run(world):
                yield
        finally:
            kubectl("delete", "namespace", "argo-rollouts", "--wait=false", "--ignore-not-found")
            crds = kubectl("get", "crd", "-o", "name").split()
            if found := [name for name in crds if name.endswith(".argoproj.io")]:
                kubectl("delete", *found, "--wait=false")


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
