"""A reconciler over an API server in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.kinds import MODELS
from cetacean_operator.api.observed import Object
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.kube.event_recorder import EventRecorder
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.writer import Writer
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.pod_responses import DriftStats, parse_identity
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.reconcile.observe import Observer
from cetacean_operator.reconcile.reconciler import Reconciler
from support.fake_api import FakeApi
from support.operator_world import BEGIN
from support.pods import COUNTERS, identity_response, pod_manifest, running_status

KEY: Key = ("sea", "whales")


@dataclass
class FakeLease:
    """A Lease that is held while `held` is true."""

    held: bool = True

    def require(self) -> float:
        if not self.held:
            raise NotLeadingError("lost")
        return 10.0


@dataclass
class FakeScraper:
    """A scraper that scrapes nothing: tests set its results."""

    results: dict[str, Scrape] = field(default_factory=dict)
    """By the pod's uid."""
    targets: dict[Key, tuple[Target, ...]] = field(default_factory=dict)
    interval: float = 0.0

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        self.targets[key], self.interval = tuple(targets), interval

    def forget(self, key: Key) -> None:
        self.targets.pop(key, None)


class Bench:
    """A reconciler with all its parts; the store learns of objects only by `put`, `delete` and the reconciler's writes."""

    def __init__(self) -> None:
        self.api, self.store, self.lease, self.scraper = FakeApi(), Store(owner_of), FakeLease(), FakeScraper()
        self.metrics, self.now = Metrics(), BEGIN
        self.observer = Observer(self.store, self.scraper.results.get)
        writer = Writer(self.api, self.store, self.lease, instance="test", clock=self.clock)
        self.recorder = EventRecorder(writer.event)
        self.reconciler = Reconciler(
            store=self.store,
            observer=self.observer,
            scraper=self.scraper,
            writer=writer,
            leadership=self.lease,
            metrics=self.metrics,
            clock=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            record=self.recorder.record,
        )
        self.pods = 0

    def clock(self) -> datetime:
        return self.now

    def wait(self, **delta: float) -> None:
        self.now += timedelta(**delta)

    def put(self, obj: Object) -> None:
        """Write an object as another client does, and store it as the watch does."""
        self.store.put(self.api.put(obj))

    def delete(self, kind: str, name: str = "whales") -> None:
        """Delete an object as another client does, and remove it from the store as the watch does."""
        uid = self.api.objects.pop((kind, "sea", name))["metadata"]["uid"]
        self.store.remove(kind, "sea", name, uid)

    def edit(self, **spec: Any) -> None:
        """Change the spec as a person does; dictionaries are merged."""
        obj = self.find(MODELS.kind)
        for key, value in spec.items():
            obj["spec"][key] = obj["spec"].get(key, {}) | value
        self.put(obj)

    async def reconcile(self) -> float | None:
        """Reconcile as a worker does, and send the Events that follow."""
        try:
            while (after := await self.reconciler.reconcile(KEY)) == 0.0:
                pass
            return after
        finally:
            await self.recorder.finish()

    def roll_out(self, **drift_stats: Any) -> Object:
        """Replace all pods by one that serves the model of the Deployment's template; return the pod."""
        deployment = self.api.find("Deployment")
        assert deployment is not None
        for kind, _, name in list(self.api.objects):
            if kind == "Pod":
                self.delete("Pod", name)
        pod = self._start_pod(deployment, **drift_stats)
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": 1,
            "updatedReplicas": 1,
        }
        self.put(deployment)
        return pod

    def start_candidate(self) -> Object:
        """Start a pod of the candidate; return it."""
        deployment = self.find("Deployment", names.candidate_name("whales"))
        return self._start_pod(deployment)

    def _start_pod(self, deployment: Object, **drift_stats: Any) -> Object:
        template = deployment["spec"]["template"]
        self.pods += 1
        pod = pod_manifest(
            f"{deployment['metadata']['name']}-{self.pods}",
            uid=f"pod-{self.pods}",
            labels=template["metadata"]["labels"],
            annotations=template["metadata"]["annotations"],
            status=running_status(f"10.0.0.{self.pods}", container_id=f"c-{self.pods}"),
        )
        template_hash = pod["metadata"]["labels"][names.LABEL_TEMPLATE_HASH]
        pod["metadata"]["ownerReferences"][0]["name"] = f"{deployment['metadata']['name']}-{template_hash}"
        self.scraper.results[pod["metadata"]["uid"]] = Scrape(
            identity=parse_identity(
                "/v1/identity", json.dumps(identity_response(template["spec"]["containers"])).encode()
            ),
            drift_stats=DriftStats(**drift_stats),
            metrics=COUNTERS,
        )
        self.put(pod)
        return pod

    def find(self, kind: str, name: str = "whales") -> Object:
        """Return a copy of an object, which must exist."""
        found = self.api.find(kind, name)
        assert found is not None, f"no {kind} {name}"
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        obj = self.find(MODELS.kind)
        found: dict[str, Any] = next(item for item in obj["status"]["conditions"] if item["type"] == kind)
        return found
