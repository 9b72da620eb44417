"""Why pods of the wanted rollout do not get ready: one reason and message, the most telling one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from cetacean_operator.api.names import TERMINATION_REASONS
from cetacean_operator.api.observed import ContainerFailure, Object, Pod
from cetacean_operator.decisions.plan import seconds_since

_IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
    }
)
_CANNOT_START = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"}
)
# A pod that runs this long and does not get ready has more than weights to load.
PROBE_PATIENCE = 120.0
_LONGEST = 1024
# What may pass by itself is not final until the Deployment's deadline says so.
_TRANSIENT = frozenset({"Unschedulable", "ProbeFailing", "WeightsUnreachable", "WeightsTruncated"})
# The most telling first.
_ORDER = (
    "ConfigInvalid",
    "DigestMismatch",
    "WeightsNotFound",
    "WeightsTruncated",
    "WeightsTooLarge",
    "WeightsUnreachable",
    "CacheFull",
    "CheckpointMismatch",
    "ClassesMismatch",
    "GateUnavailable",
    "OOMKilled",
    "ImagePull",
    "ContainerCannotStart",
    "CrashLoop",
    "QuotaExceeded",
    "PodsForbidden",
    "Unschedulable",
    "ProbeFailing",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is less than is wanted."""

    reason: str
    message: str
    final: bool
    """Whether a person must act: it will not pass by itself."""


def find(pods: Iterable[Pod], deployment: Object | None, now: datetime) -> Failure | None:
    """Return the most telling failure.

    Args:
        pods: those of the wanted rollout that are not ready.
        deployment: the live Deployment.
        now: for pods that run without getting ready.
    """
    found = sorted(
        [*_of_pods(pods, now), *_of_deployment(deployment)], key=lambda item: (_ORDER.index(item[0]), item[1])
    )
    overdue = _deadline(deployment)
    if not found:
        return Failure("ProgressDeadlineExceeded", overdue, final=True) if overdue else None
    reason, message = found[0]
    return Failure(reason, message, final=reason not in _TRANSIENT or overdue is not None)


def next_look(pods: Iterable[Pod], now: datetime) -> float | None:
    """Return in how many seconds a running pod's not being ready turns into a failure."""
    ages = (seconds_since(pod.started_at, now) for pod in pods if not pod.ready)
    # A clock that was set back makes an age negative.
    waits = [PROBE_PATIENCE - max(0.0, age) for age in ages if age is not None and age < PROBE_PATIENCE]
    return min(waits, default=None)


def _of_pods(pods: Iterable[Pod], now: datetime) -> Iterator[tuple[str, str]]:
    for pod in pods:
        if pod.unschedulable is not None:
            yield "Unschedulable", f"pod {pod.name}: {pod.unschedulable}"[:_LONGEST]
        known = [found for failure in pod.failures if (found := _of_container(pod, failure))]
        yield from known
        age = seconds_since(pod.started_at, now)
        if not known and age is not None and age >= PROBE_PATIENCE:
            told = f"pod {pod.name} has been running for more than {PROBE_PATIENCE:g} s and its probe still fails"
            yield "ProbeFailing", f"{told}: {pod.silent}" if pod.silent else told


def _of_container(  # noqa: PLR0911 -- one return for each kind of failure
    pod: Pod, failure: ContainerFailure
) -> tuple[str, str] | None:
    where = f"pod {pod.name}, container {failure.container}"
    if failure.waiting and failure.reason in _IMAGE:
        # The kubelet says the same in two ways in turn; only the common part is told.
        detail = failure.message.rpartition("ErrImagePull: ")[2]
        return "ImagePull", f"{where}: {detail or failure.reason}"[:_LONGEST]
    if failure.waiting and failure.reason in _CANNOT_START:
        return "ContainerCannotStart", f"{where}: {failure.message or failure.reason}"[:_LONGEST]
    head, colon, rest = failure.message.strip().partition(": ")
    if colon and head in TERMINATION_REASONS:
        return head, f"{where}: {rest.strip()}"[:_LONGEST]
    if failure.reason == "OOMKilled":
        return "OOMKilled", f"{where} needs more memory than its limit: raise spec.serving.resources.limits.memory"
    if failure.reason in _CANNOT_START:
        return "ContainerCannotStart", f"{where}: {failure.message or failure.reason}"[:_LONGEST]
    if failure.waiting and failure.reason != "CrashLoopBackOff":
        return None
    if failure.exit_code in (0, 137, 143) and failure.reason in ("Error", "Completed"):
        return "ProbeFailing", f"{where} was ended with exit code {failure.exit_code}: its probe failed for too long"
    last = failure.message.strip().splitlines()
    code = "" if failure.exit_code is None else f" with exit code {failure.exit_code}"
    return "CrashLoop", f"{where} ends{code}{f': {last[-1]}' if last else ''}"[:_LONGEST]


def _of_deployment(deployment: Object | None) -> Iterator[tuple[str, str]]:
    for condition in _conditions(deployment):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            message = str(condition.get("message") or condition.get("reason"))
            reason = "QuotaExceeded" if "exceeded quota" in message else "PodsForbidden"
            yield reason, message[:_LONGEST]


def _deadline(deployment: Object | None) -> str | None:
    for condition in _conditions(deployment):
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or "the Deployment made no progress in time")
    return None


def _conditions(deployment: Object | None) -> list[Object]:
    if deployment is None:
        return []
    status = deployment.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(deployment["metadata"].get("generation") or 0):
        return []  # about an earlier template
    found: list[Object] = status.get("conditions") or []
    return found
