"""What pods serve, from what they report themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from cetacean_operator.api.observed import Identity, Object, Observed, Pod
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import ModelRef, ServedModel, Status
from cetacean_operator.decisions.identity import Rollout, same_weights

_SERVED_LIMIT = 128


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What there is, held against one wanted rollout (None: nothing is wanted)."""

    wanted: int
    pods: tuple[Pod, ...]
    """All but those that are going."""
    ready: tuple[Pod, ...]
    current: tuple[Pod, ...]
    """Ready pods that report exactly the wanted rollout."""
    wrong: tuple[str, ...]
    """What ready pods of the wanted rollout report instead, in words."""
    digests: frozenset[str]
    """Digests that ready pods of the wanted rollout report."""
    serving: ModelRef | None
    """What most ready pods report."""
    rolled_out: bool
    """Whether the Deployment's controller has brought the last change to all pods."""

    @property
    def complete(self) -> bool:
        """Whether all wanted replicas serve the wanted rollout and nothing else does."""
        settled = len(self.current) >= self.wanted and len(self.ready) == len(self.current)
        return settled and self.rolled_out and len(self.digests) <= 1


def look(observed: Observed, serving: Serving, rollout: Rollout | None, deployment: Object | None) -> RolloutState:
    """Sort the pods by what they say."""
    pods = tuple(pod for pod in observed.pods if not pod.terminating)
    ready = tuple(pod for pod in pods if pod.ready)
    current, wrong, digests = [], [], set()
    for pod in ready:
        if rollout is None or pod.rollout_id != rollout.id or pod.identity is None:
            continue
        if pod.identity.digest:
            digests.add(pod.identity.digest)
        if fault := _fault(pod, rollout):
            wrong.append(fault)
        else:
            current.append(pod)
    return RolloutState(
        wanted=desired_replicas(serving, deployment),
        pods=pods,
        ready=ready,
        current=tuple(current),
        wrong=tuple(wrong),
        digests=frozenset(digests),
        serving=_most(ready),
        rolled_out=_rolled_out(deployment),
    )


def desired_replicas(serving: Serving, deployment: Object | None) -> int:
    """Return how many pods are wanted: by the resource, or by the autoscaler while there is one."""
    if serving.autoscaling is None:
        return serving.replicas
    live = ((deployment or {}).get("spec") or {}).get("replicas")
    # It raises what is fewer in a moment, but leaves a Deployment that somebody scaled to zero alone.
    return 0 if live == 0 else max(int(live or 0), serving.autoscaling.min_replicas)


def remember_served(
    status: Status, truth: RolloutState, known: tuple[Model, ...], rollout: Rollout | None, at: str
) -> tuple[ServedModel, ...]:
    """Add the models that ready pods report to those that have served.

    A ready pod of the Deployment that does not answer has verified the digest that it was told, or it would not be
    ready: it serves, although the operator cannot reach it.

    Args:
        status: the last status.
        truth: what pods report now.
        known: the registry's models.
        rollout: what the Deployment serves; the registry may have forgotten its model.
        at: the time now.
    """
    served = {(item.entry.name, item.digest): item for item in status.served}
    current = rollout.model if rollout else None
    for pod in truth.ready:
        report = pod.identity
        if report is None and pod.silent and rollout and pod.rollout_id == rollout.id:
            report = Identity(name=rollout.model.name, digest=rollout.model.sha256)
        if report is None or not report.digest or not report.name or (report.name, report.digest) in served:
            continue
        entry = next(
            (
                model
                for model in (*((current,) if current else ()), *known)
                if model.name == report.name and model.sha256 in (None, report.digest)
            ),
            None,
        )
        if entry is not None:
            listed = next((model for model in known if same_weights(model, entry)), entry)
            served[report.name, report.digest] = ServedModel(
                entry=listed.model_copy(update={"notes": None, "display_name": None}),
                digest=report.digest,
                first_served_at=at,
            )
    mentioned = {model.name for model in known} | {item.model for item in status.history}
    mentioned |= {current.name} if current else set()
    kept = [item for item in served.values() if item.entry.name in mentioned]
    return tuple(kept[-_SERVED_LIMIT:])


def _fault(pod: Pod, rollout: Rollout) -> str | None:
    report, model = pod.identity, rollout.model
    assert report is not None  # noqa: S101 -- the caller asked
    if not report.digest:
        return f"pod {pod.name} is ready but names no weights"
    for what, expected, got in (
        ("model", model.name, report.name),
        ("version", model.version, report.version),
        ("weights", model.sha256 and f"sha256:{model.sha256}", f"sha256:{report.digest}"),
        ("configuration", rollout.config_digest, report.config_digest),
        ("rollout", rollout.id, report.rollout_id),
    ):
        if expected is not None and expected != got:
            return f"pod {pod.name} serves another {what}: expected {expected}, got {got}"
    return None


def _most(ready: tuple[Pod, ...]) -> ModelRef | None:
    reports = Counter(
        (pod.identity.name, pod.identity.version, pod.identity.digest)
        for pod in ready
        if pod.identity is not None and pod.identity.name and pod.identity.digest
    )
    if not reports:
        return None
    # Equal numbers: the same answer each time, whatever the order of the pods.
    (name, version, digest), _ = max(reports.items(), key=lambda item: (item[1], str(item[0])))
    return ModelRef(name=str(name), version=version, digest=digest)


def _rolled_out(deployment: Object | None) -> bool:
    if deployment is None:
        return False
    status: dict[str, Any] = deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"].get("generation") or 0):
        return False
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    wanted = int((deployment.get("spec") or {}).get("replicas", 1))
    return updated >= wanted and total <= updated
