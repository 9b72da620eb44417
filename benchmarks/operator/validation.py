"""`python -m benchmarks.operator.validation`: what the API server takes to write a CetaceanModel, and for what.

The same objects are written in turns under three definitions in one API server: the project's, the same without its CEL
rules, and one without a schema. The processor time of the API server's process counts, which other programs disturb
least; one client sends one request after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

import yaml
from benchmarks.machine import BenchmarkError
from benchmarks.operator.contestants import Ours
from benchmarks.operator.processes import find_process, processor_seconds
from benchmarks.operator.validation_report import DEFINITIONS, OBJECTS, WRITES, publish_results, results, table
from benchmarks.operator.world import NAMESPACE, World, build, world

from cetacean_operator.api.crd import crd
from cetacean_operator.api.kinds import MODELS, ResourceType
from cetacean_operator.api.observed import CetaceanModel, Identity, Object, Observed, Pod
from cetacean_operator.api.schema import without_rules
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.decisions.decide import decide
from cetacean_operator.decisions.identity import rollout_of
from cetacean_operator.decisions.plan import status_as_applied
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.kube.connection import load_configuration
from cetacean_tools.demo.definitions import wait_until_served
from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.demo.waiting import NotSoError
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.workspace import REPOSITORY, MissingError, end_like_ctrl_c

_MERGE: Final = "application/merge-patch+json"
_FREE: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
_IDLE_SECONDS: Final = 5.0


@dataclass(slots=True)
class Cost:
    """One kind of write of one object under one definition."""

    cpu_seconds: float = 0.0
    """Of the API server, its work without any request subtracted."""
    latencies: list[float] = field(default_factory=list)


Costs = dict[tuple[str, str, str], Cost]
"""By object, definition and kind of write."""


def main() -> int:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.operator.validation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="turns of each (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=100, help="in each turn (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the figures and write nothing")
    options = parser.parse_args()
    end_like_ctrl_c()
    load_before = os.getloadavg()[0]
    try:
        build()
        with world() as here:
            costs = asyncio.run(_measure(here, options.rounds, options.requests))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (BenchmarkError, ClusterError, CommandError, MissingError, NotSoError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    measured = {key: (cost.cpu_seconds, cost.latencies) for key, cost in costs.items()}
    found = results(measured, load_before=load_before)
    print(table(found))
    if not options.dry:
        publish_results(found)
    return 0


def definitions() -> Iterator[tuple[ResourceType, Object]]:
    """Yield the kind and the definition of each in DEFINITIONS, with a group of its own."""
    ours = crd()
    bare = copy.deepcopy(ours)
    (version,) = bare["spec"]["versions"]
    version["schema"]["openAPIV3Schema"] = _FREE
    version["subresources"] = {"status": {}}
    del version["additionalPrinterColumns"]
    for name, definition in zip(DEFINITIONS, (ours, without_rules(ours), bare), strict=True):
        group = f"{name.replace(' ', '-')}.{MODELS.group}"
        spec = {**definition["spec"], "group": group}
        spec["names"] = {key: value for key, value in spec["names"].items() if key in ("kind", "listKind", "plural")}
        yield (
            replace(MODELS, group=group),
            {**definition, "metadata": {"name": f"{MODELS.plural}.{group}"}, "spec": spec},
        )


def objects() -> Iterator[tuple[str, Object]]:
    """Yield each of OBJECTS with its spec."""
    full = yaml.safe_load((REPOSITORY / "examples/full.yaml").read_text(encoding="utf-8"))
    for name, manifest in zip(OBJECTS, (Ours().manifest("small"), full), strict=True):
        yield name, {"metadata": {"namespace": NAMESPACE, "name": name}, "spec": manifest["spec"]}


def statuses(spec: Mapping[str, Any]) -> tuple[Object, Object]:
    """Return the statuses that the operator writes while a resource's pod starts, and when it serves."""
    parsed = parse_spec(spec)
    rollout = rollout_of(parsed.registry.active_model, parsed.anti_fraud)
    resource = CetaceanModel(NAMESPACE, "model", "uid", 1, "1", spec, {}, {})
    reported = Identity(
        name=rollout.model.name,
        version=rollout.model.version,
        digest=rollout.model.sha256,
        threshold=parsed.anti_fraud.threshold,
        config_digest=rollout.config_digest,
        rollout_id=rollout.id,
    )
    starting = Pod(uid="pod", name="pod", rollout_id=rollout.id, ready=False, terminating=False)
    serving = replace(starting, ready=True, identity=reported)
    first, second = (
        status_as_applied(decide(resource, Observed(pods=(pod,)), _NOW).status) for pod in (starting, serving)
    )
    return first, second


async def _measure(here: World, rounds: int, requests: int) -> Costs:
    kinds = list(definitions())
    here.apply(*(definition for _, definition in kinds))
    for _, definition in kinds:
        wait_until_served(here.kubectl, definition["metadata"]["name"])
    server = find_process("kube-apiserver", here.cluster.layout.root)
    costs: Costs = {key: Cost() for key in itertools.product(OBJECTS, DEFINITIONS, WRITES)}
    async with _client(here) as kube:
        for (_, obj), (kind, _) in itertools.product(objects(), kinds):
            await kube.apply(kind, obj, manager="people")
        before, begun = processor_seconds(server), time.monotonic()
        await asyncio.sleep(_IDLE_SECONDS)
        idle = (processor_seconds(server) - before) / (time.monotonic() - begun)
        for turn in range(rounds + 1):
            for (name, obj), (definition_name, (kind, _)), write in itertools.product(
                objects(), zip(DEFINITIONS, kinds, strict=True), WRITES
            ):
                before, begun = processor_seconds(server), time.monotonic()
                latencies = await _turn(kube, kind, obj, write, requests)
                used = processor_seconds(server) - before - idle * (time.monotonic() - begun)
                if turn:  # in the first one the API server compiles and fills its caches
                    costs[name, definition_name, write].cpu_seconds += used
                    costs[name, definition_name, write].latencies += latencies
    return costs


async def _turn(kube: ApiClient, kind: ResourceType, obj: Object, write: str, requests: int) -> list[float]:
    """Write an object so many times, each time with another content than before."""
    meta, models = obj["metadata"], [model["name"] for model in obj["spec"]["registry"]["models"]]
    path = kind.path(meta["namespace"], meta["name"])
    live = await kube.request("get", "GET", path)
    latencies = []
    for number, status in zip(range(requests), itertools.cycle(statuses(obj["spec"])), strict=False):
        begun = time.monotonic()
        if write == "change of spec":
            body = {"spec": {"registry": {"active": models[number % 2]}}}
            live = await kube.request("patch", "PATCH", path, body=body, content_type=_MERGE)
        elif write == "apply of status":
            live = await kube.apply(kind, {"metadata": meta, "status": status}, subresource="status")
        else:
            body = {**live, "status": status}
            live = await kube.request("update", "PUT", f"{path}/status", query={"fieldManager": "update"}, body=body)
        latencies.append(time.monotonic() - begun)
    return latencies


@asynccontextmanager
async def _client(here: World) -> AsyncIterator[ApiClient]:
    os.environ["KUBECONFIG"] = str(here.cluster.kubeconfig)
    async with ApiClient(await load_configuration(), timeout=120.0) as kube:
        yield kube


if __name__ == "__main__":
    raise SystemExit(main())
