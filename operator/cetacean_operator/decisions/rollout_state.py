"""The state of the Deployment and its pods, from what the pods report themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from cetacean_operator.api.objects import is_status_current
from cetacean_operator.api.observed import Object, Pod
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.status import ModelRef
from cetacean_operator.decisions.identity import Rollout
from cetacean_operator.decisions.lineage import reported_model


class WrongReport(NamedTuple):
    """How a ready pod of the wanted rollout reports something else."""

    message: str
    about_weights: bool = False
    """True if it reports other weights, or none."""


@dataclass(frozen=True, slots=True)
class CurrentState:
    """The state, whichever rollout is wanted."""

    wanted: int
    """Replicas."""
    pods: tuple[Pod, ...]
    """Without those that terminate."""
    ready: tuple[Pod, ...]
    serving: ModelRef | None
    """The model that most ready pods report."""
    rolled_out: bool
    """True if the Deployment's controller has brought the last change to all pods."""


@dataclass(frozen=True, slots=True)
class RolloutState(CurrentState):
    """The state compared with one wanted rollout, or with none."""

    current: tuple[Pod, ...]
    """Ready pods that report exactly the wanted rollout."""
    wrong: tuple[WrongReport, ...]
    """One for each ready pod of the wanted rollout that reports something else."""
    digests: frozenset[str]
    """Digests that ready pods of the wanted rollout report."""
    unready: tuple[Pod, ...]
    """Pods of the wanted rollout that are not ready."""

    @property
    def complete(self) -> bool:
        """True if all wanted replicas serve the wanted rollout and nothing else does."""
        settled = len(self.current) >= self.wanted and len(self.ready) == len(self.current)
        return settled and self.rolled_out and len(self.digests) <= 1


def current_state(pods: tuple[Pod, ...], serving: Serving, deployment: Object | None) -> CurrentState:
    """Return the state, whichever rollout is wanted."""
    present = tuple(pod for pod in pods if not pod.terminating)
    ready = tuple(pod for pod in present if pod.ready)
    return CurrentState(
        wanted=desired_replicas(serving, deployment),
        pods=present,
        ready=ready,
        serving=_majority(ready),
        rolled_out=is_rolled_out(deployment),
    )


def rollout_state(current: CurrentState, rollout: Rollout | None) -> RolloutState:
    """Compare the state with the wanted rollout."""
    own = [(pod, rollout) for pod in current.pods if rollout and pod.rollout_id == rollout.id]
    reporting = [(pod, _fault(pod, wanted)) for pod, wanted in own if pod.ready and pod.identity]
    return RolloutState(
        wanted=current.wanted,
        pods=current.pods,
        ready=current.ready,
        serving=current.serving,
        rolled_out=current.rolled_out,
        current=tuple(pod for pod, fault in reporting if fault is None),
        wrong=tuple(fault for _, fault in reporting if fault is not None),
        digests=frozenset(pod.identity.digest for pod, _ in reporting if pod.identity and pod.identity.digest),
        unready=tuple(pod for pod, _ in own if not pod.ready),
    )


def desired_replicas(serving: Serving, deployment: Object | None) -> int:
    """Return how many pods are wanted: by the resource, or by the autoscaler while there is one."""
    if serving.autoscaling is None:
        return serving.replicas
    live = ((deployment or {}).get("spec") or {}).get("replicas")
    # The autoscaler soon raises a number below its minimum, but not zero: then somebody has switched it off by hand.
    return 0 if live == 0 else max(int(live or 0), serving.autoscaling.min_replicas)


def _fault(pod: Pod, rollout: Rollout) -> WrongReport | None:
    """Return how a pod's report differs from the rollout, None if it does not."""
    report, model = pod.identity, rollout.model
    if report is None or not report.digest:
        return WrongReport(f"pod {pod.name} is ready but names no weights", about_weights=True)
    for what, expected, got in (
        ("model", model.name, report.name),
        ("version", model.version, report.version),
        ("weights", model.sha256 and f"sha256:{model.sha256}", f"sha256:{report.digest}"),
        ("configuration", rollout.config_digest, report.config_digest),
        ("rollout", rollout.id, report.rollout_id),
    ):
        if expected is not None and expected != got:
            message = f"pod {pod.name} serves another {what}: expected {expected}, got {got}"
            return WrongReport(message, about_weights=what == "weights")
    threshold = float(rollout.env["CETACEAN_GATE__THRESHOLD"])
    if report.threshold != threshold:
        return WrongReport(f"pod {pod.name} has another threshold: expected {threshold:g}, got {report.threshold}")
    return None


def _majority(ready: tuple[Pod, ...]) -> ModelRef | None:
    reports = Counter(filter(None, map(reported_model, ready)))
    # Equal numbers give the same answer each time, whatever the order of the pods.
    return max(reports, key=lambda reported: (reports[reported], str(reported)), default=None)


def is_rolled_out(deployment: Object | None) -> bool:
    """Return true if the Deployment's controller has brought the last change to all pods."""
    if deployment is None or not is_status_current(deployment):
        return False
    status = deployment.get("status") or {}
    updated, total = int(status.get("updatedReplicas") or 0), int(status.get("replicas") or 0)
    wanted = int((deployment.get("spec") or {}).get("replicas", 1))
    return updated >= wanted and total <= updated
