"""A reconciler over an API server in memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cetacean_operator.api.observed import Object
from cetacean_operator.kube.event_recorder import EventRecorder
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.resources import MODELS
from cetacean_operator.kube.store import Key, Store
from cetacean_operator.kube.writer import Writer
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.reconcile.observe import Observer
from cetacean_operator.reconcile.reconciler import Reconciler, owner_of
from support.fake_api import FakeApi
from support.operator_world import BEGIN

KEY: Key = ("sea", "whales")


@dataclass
class Lease:
    """Held, until a test says otherwise."""

    held: bool = True

    def require(self) -> float:
        if not self.held:
            raise NotLeadingError("lost")
        return 10.0


@dataclass
class Asked:
    """A scraper that a test answers for."""

    answers: dict[str, Scrape] = field(default_factory=dict)
    targets: dict[Key, tuple[Target, ...]] = field(default_factory=dict)
    interval: float = 0.0

    def sync(self, key: Key, targets: Iterable[Target], interval: float) -> None:
        self.targets[key], self.interval = tuple(targets), interval

    def forget(self, key: Key) -> None:
        self.targets.pop(key, None)


class Bench:
    """Everything wired together; the store sees what the API server holds only through `watch` and the writes."""

    def __init__(self) -> None:
        self.api, self.store, self.lease, self.asked = FakeApi(), Store(owner_of), Lease(), Asked()
        self.metrics, self.now = Metrics(), BEGIN
        self.observer = Observer(self.store, self.asked.answers.get)
        writer = Writer(self.api, self.store, self.lease, instance="test", clock=self.clock)
        self.recorder = EventRecorder(writer.event)
        self.reconciler = Reconciler(
            store=self.store,
            observer=self.observer,
            scraper=self.asked,
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

    def watch(self, obj: Object) -> None:
        """Someone else writes an object, and the watch brings it."""
        self.store.put(self.api.put(obj))

    def vanish(self, kind: str, name: str = "whales") -> None:
        """Someone else deletes an object, and the watch brings that."""
        uid = self.api.objects.pop((kind, "sea", name))["metadata"]["uid"]
        self.store.remove(kind, "sea", name, uid)

    def edit(self, **spec: Any) -> None:
        """A person changes the spec."""
        obj = self.api.find(MODELS.kind)
        assert obj is not None
        for key, value in spec.items():
            obj["spec"][key] = obj["spec"].get(key, {}) | value
        self.watch(obj)

    async def reconcile(self) -> float | None:
        """Reconcile as a worker does, and send the Events that follow."""
        try:
            while (after := await self.reconciler.reconcile(KEY)) == 0.0:
                pass
            return after
        finally:
            await self.recorder.finish()

    def serve(self, **answer: Any) -> Object:
        """The Deployment's controller brings up a pod that serves what the template says; old pods go."""
        deployment = self.api.find("Deployment")
        assert deployment is not None
        for kind, _, name in list(self.api.objects):
            if kind == "Pod":
                self.vanish("Pod", name)
        template = deployment["spec"]["template"]
        self.pods += 1
        name, uid = f"whales-{self.pods}", f"pod-{self.pods}"
        status = {
            "phase": "Running",
            "podIP": f"10.0.0.{self.pods}",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "serve", "containerID": f"c-{self.pods}", "state": {"running": {}}}],
        }
        meta = copy.deepcopy(template["metadata"]) | {"namespace": "sea", "name": name, "uid": uid}
        pod = {"kind": "Pod", "metadata": meta, "status": status}
        env = {item["name"]: item.get("value") for item in template["spec"]["containers"][0]["env"]}
        identity = {
            "model": {"name": env["CETACEAN_MODEL__NAME"], "version": env["CETACEAN_MODEL__VERSION"]},
            "weights": {"sha256": env["CETACEAN_MODEL__SHA256"]},
            "gate": {"threshold": 0.52},
            "config_digest": env["CETACEAN_CONFIG_DIGEST"],
            "rollout_id": env["CETACEAN_ROLLOUT_ID"],
        }
        stats = {"n": 0, "alarms_total": 0, "score_mean": None}
        self.asked.answers[uid] = Scrape(identity=identity, drift_stats=stats | answer, metrics={"requests_total": 0.0})
        self.watch(pod)
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": 1,
            "updatedReplicas": 1,
        }
        self.watch(deployment)
        return pod

    def condition(self, kind: str) -> dict[str, Any]:
        obj = self.api.find(MODELS.kind)
        assert obj is not None
        found: dict[str, Any] = next(item for item in obj["status"]["conditions"] if item["type"] == kind)
        return found
