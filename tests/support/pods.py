"""Pods for tests: as the API server returns them, as decisions get them, and as a simulated cluster runs them."""

from __future__ import annotations

import copy
import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.observed import ContainerFailure, DriftReport, Identity, Object, Pod, ServiceReport
from cetacean_operator.api.shadow import ShadowReport

STARTED: Final = "2026-01-01T00:00:00Z"
NO_ANSWER: Final = "no answer within 3 s"
COUNTERS: Final = dict.fromkeys(("predictions_total", "rejections_total", "requests_total", "errors_total"), 0.0)
"""The counters that each pod has in its metrics."""
DIGEST_IN_POD: Final = "f" * 64
"""The digest that pods compute if the registry names none."""


NODE_RESTARTED: Final = ContainerFailure("serve", "Unknown", "", exit_code=255, restarts=1)
"""Of a container that ended with its node, or while the container runtime did not run."""
TEMPLATE_HASH = "5d4f8"


def pod_manifest(
    name: str = "p",
    *,
    uid: str | None = None,
    version: int | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    status: Object | None = None,
) -> Object:
    """Return a Pod of the namespace `sea` as the API server returns it; its uid is its name unless given.

    With the label of a CetaceanModel it is a replica of that resource's Deployment.
    """
    meta: Object = {"namespace": "sea", "name": name, "uid": uid or name}
    meta["labels"], meta["annotations"] = dict(labels or {}), dict(annotations or {})
    if model := meta["labels"].get(names.LABEL_MODEL):
        meta["labels"][names.LABEL_TEMPLATE_HASH] = TEMPLATE_HASH
        replica_set = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{model}-{TEMPLATE_HASH}", "uid": "rs"}
        meta["ownerReferences"] = [{**replica_set, "controller": True}]
    if version is not None:
        meta["resourceVersion"] = str(version)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": copy.deepcopy(status or {})}


def running_status(
    host: str, *, ready: bool = True, container_id: str = "containerd://1", since: str = STARTED, **changes: Any
) -> Object:
    """Return the status that a kubelet writes for a pod whose container `serve` runs; `changes` replace fields."""
    serve = {"name": names.CONTAINER, "image": "x", "imageID": "", "ready": ready, "restartCount": 0}
    conditions = [("Ready", ready), ("PodScheduled", True)]
    return {
        "phase": "Running",
        "podIP": host,
        "podIPs": [{"ip": host}],
        "conditions": [{"type": kind, "status": str(holds), "lastTransitionTime": since} for kind, holds in conditions],
        "containerStatuses": [{**serve, "containerID": container_id, "state": {"running": {"startedAt": since}}}],
        **changes,
    }


def template_env(containers: Iterable[Object]) -> dict[str, str]:
    """Return the variables that the first of a pod's containers gets as values."""
    container = next(iter(containers))
    return {item["name"]: item["value"] for item in container["env"] if "value" in item}


def identity_response(containers: Iterable[Object]) -> Object:
    """Return the response to `/v1/identity` of a pod that serves the model of its template."""
    env = template_env(containers)
    return {
        "model": {"name": env["CETACEAN_MODEL__NAME"], "version": env["CETACEAN_MODEL__VERSION"]},
        "weights": {"sha256": env["CETACEAN_MODEL__SHA256"]},
        "gate": {"threshold": float(env["CETACEAN_GATE__THRESHOLD"])},
        "config_digest": env["CETACEAN_CONFIG_DIGEST"],
        "rollout_id": env["CETACEAN_ROLLOUT_ID"],
    }


def ready_pod(number: int, **fields: Any) -> Pod:
    """Return a ready pod of the first model, as decisions get it."""
    pod = Pod(
        uid=f"pod-{number}",
        name=f"p{number}",
        rollout_id="r",
        ready=True,
        terminating=False,
        identity=Identity(name="first", version="1.0.0", digest="a" * 64),
    )
    return replace(pod, **fields)


class Scraped(enum.Enum):
    """The result of the operator's scrapes of a pod."""

    ANSWERED = enum.auto()
    """The last scrape succeeded: identity and figures are known."""
    FAILED_LATELY = enum.auto()
    """The last scrape failed and an earlier one succeeded: the identity is known, the figures are not."""
    ALWAYS_FAILED = enum.auto()
    """Every scrape failed: nothing is known but the error."""
    NOT_YET = enum.auto()
    """There was no scrape since the operator started: nothing is known."""


@dataclass
class FakePod:
    """One pod of the Deployment of `operator_world.World`."""

    number: int
    template: Object
    ready: bool = False
    scraped: Scraped = Scraped.ANSWERED
    error: str = NO_ANSWER
    """The error of the last scrape, if it failed."""
    failures: tuple[ContainerFailure, ...] = ()
    unschedulable: str | None = None
    signature: str | None = None
    """The line of its container `fetch` about the signature."""
    lost_node: str | None = None
    started_at: str | None = None
    reports: dict[str, Any] = field(default_factory=dict)
    """Fields of its identity that differ from the template."""
    drift: DriftReport = field(default_factory=DriftReport)
    service: ServiceReport = field(default_factory=ServiceReport)
    shadow: ShadowReport | None = None
    """Its counts of a comparison."""

    @property
    def env(self) -> dict[str, str]:
        return template_env(self.template["spec"]["containers"])

    @property
    def model(self) -> str:
        return self.env["CETACEAN_MODEL__NAME"]

    def observed(self) -> Pod:
        has_identity = self.ready and self.scraped in (Scraped.ANSWERED, Scraped.FAILED_LATELY)
        has_figures = self.ready and self.scraped is Scraped.ANSWERED
        return Pod(
            uid=f"pod-{self.number}",
            name=f"{self.template['metadata']['labels'][names.LABEL_MODEL]}-{self.number}",
            rollout_id=self.template["metadata"]["annotations"][names.ANNOTATION_ROLLOUT_ID],
            ready=self.ready,
            terminating=False,
            definition=self.template["metadata"]["annotations"].get(names.ANNOTATION_DEFINITION),
            started_at=self.started_at,
            unschedulable=self.unschedulable,
            lost_node=self.lost_node,
            failures=self.failures,
            signature=self.signature,
            asked=self.scraped is not Scraped.NOT_YET,
            silent=self.error if self.scraped in (Scraped.FAILED_LATELY, Scraped.ALWAYS_FAILED) else None,
            identity=self._identity() if has_identity else None,
            drift=self.drift if has_figures else None,
            service=self.service if has_figures else None,
            shadow=self.shadow if has_figures else None,
        )

    def answer(self, requests: int, errors: int = 0, *, seconds: float = 0.1) -> None:
        """Answer more requests, `errors` of them with 5xx."""
        total = self.service.requests_total + requests
        bounds = (0.05, 0.1, 0.25, 0.5, 1.0, float("inf"))
        before = dict(self.service.durations_total)
        times = tuple((bound, before.get(bound, 0.0) + (requests if bound >= seconds else 0.0)) for bound in bounds)
        self.service = replace(
            self.service,
            requests_total=total,
            errors_total=self.service.errors_total + errors,
            durations=times,
            durations_total=times,
        )

    def _identity(self) -> Identity:
        env = self.env
        identity = Identity(
            name=env["CETACEAN_MODEL__NAME"],
            version=env["CETACEAN_MODEL__VERSION"],
            digest=env.get("CETACEAN_MODEL__SHA256", DIGEST_IN_POD),
            threshold=float(env["CETACEAN_GATE__THRESHOLD"]),
            config_digest=env["CETACEAN_CONFIG_DIGEST"],
            rollout_id=env["CETACEAN_ROLLOUT_ID"],
        )
        return replace(identity, **self.reports)
