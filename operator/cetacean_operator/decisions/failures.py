"""Why pods of the wanted rollout do not get ready: one reason and message, the most specific one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cetacean_operator.api.names import CONTAINER, INIT_CONTAINER, TERMINATION_REASONS
from cetacean_operator.api.objects import find_condition, is_status_current
from cetacean_operator.api.observed import ContainerFailure, Object, Pod
from cetacean_operator.api.timestamps import seconds_since
from cetacean_registry.messages import one_line

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
PROBE_PATIENCE = 120.0
"""Seconds. A pod that runs for longer and is not ready counts as failed."""
_LONGEST = 1024
_LOST = frozenset({"Unknown", "ContainerStatusUnknown"})
"""What containerd and the kubelet say of a container that ended while they did not run; its exit code is invented."""
TRANSIENT = frozenset(
    {"Unschedulable", "NodeNotReady", "ContainerLost", "ProbeFailing", "WeightsUnreachable", "WeightsTruncated"}
)
"""Reasons that may pass by themselves: they are final only after the Deployment's deadline."""
CAUSED_BY_MODEL = frozenset(
    {
        "ConfigInvalid",
        "DigestMismatch",
        "SignatureMismatch",
        "SignatureMissing",
        "WeightsNotFound",
        "WeightsTooLarge",
        "CheckpointMismatch",
        "ClassesMismatch",
        "OOMKilled",
        "CrashLoop",
    }
)
"""Reasons that say something about the model or its entry; any other says something about the cluster or a server."""
PRECEDENCE = (
    "ConfigInvalid",
    "CABundleInvalid",
    "DigestMismatch",
    "SigningKeyUnreadable",
    "SignatureMismatch",
    "SignatureMissing",
    "WeightsNotFound",
    "WeightsEvicted",
    "WeightsDenied",
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
    "OtherContainerFails",
    "QuotaExceeded",
    "PodsForbidden",
    "Unschedulable",
    "NodeNotReady",
    "ContainerLost",
    "ProbeFailing",
)
"""All reasons but the deadline, the most specific first."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is less than is wanted."""

    reason: str
    message: str
    final: bool
    """A person must act: it will not pass by itself."""


def find_failure(pods: Iterable[Pod], deployment: Object | None, now: datetime) -> Failure | None:
    """Return the most specific failure, None if there is none.

    Args:
        pods: those of the wanted rollout that are not ready.
        deployment: the live Deployment.
        now: for pods that run without getting ready.
    """
    found = [*_of_pods(pods, now), *_of_deployment(deployment)]
    overdue = passed_deadline(deployment)
    if not found:
        return Failure("ProgressDeadlineExceeded", _shown(overdue), final=True) if overdue else None
    reason, message = min(found, key=lambda item: (PRECEDENCE.index(item[0]), item[1]))
    return Failure(reason, _shown(message), final=reason not in TRANSIENT or overdue is not None)


def _shown(message: str) -> str:
    # Containers and other objects write any text, and people read it in a terminal.
    return one_line(message, longest=_LONGEST)


def is_lost(pod: Pod, now: datetime) -> bool:
    """Return true if a container of a pod ended with its node or the container runtime, and starts again just now."""
    return not _runs_for_long(pod, now) and any(failure.reason in _LOST for failure in pod.failures)


def seconds_until_failure(pods: Iterable[Pod], now: datetime) -> float | None:
    """Return after how many seconds a running pod that is not ready counts as failed, None if no such pod runs."""
    ages = (seconds_since(pod.started_at, now) for pod in pods if not pod.ready)
    # A clock that was set back makes an age negative.
    waits = [PROBE_PATIENCE - max(0.0, age) for age in ages if age is not None and age < PROBE_PATIENCE]
    return min(waits, default=None)


def _of_pods(pods: Iterable[Pod], now: datetime) -> Iterator[tuple[str, str]]:
    for pod in pods:
        if pod.unschedulable is not None:
            yield "Unschedulable", f"pod {pod.name}: {pod.unschedulable}"
        if pod.lost_node is not None:
            # It may go on running there: nobody can know.
            yield "NodeNotReady", f"pod {pod.name}: its node {pod.lost_node} does not report"
            continue
        runs_for_long = _runs_for_long(pod, now)
        # The kubelet goes on showing how a container ended before its last start.
        failures = [one for one in pod.failures if not (runs_for_long and one.reason in _LOST)]
        known = [found for failure in failures if (found := _of_container(pod, failure))]
        yield from known
        if not known and runs_for_long:
            message = f"pod {pod.name} has been running for more than {PROBE_PATIENCE:g} s and its probe still fails"
            yield "ProbeFailing", f"{message}: {pod.silent}" if pod.silent else message


def _runs_for_long(pod: Pod, now: datetime) -> bool:
    age = seconds_since(pod.started_at, now)
    return age is not None and age >= PROBE_PATIENCE


def _of_container(  # noqa: PLR0911 -- one return for each kind of failure
    pod: Pod, failure: ContainerFailure
) -> tuple[str, str] | None:
    where = f"pod {pod.name}, container {failure.container}"
    if failure.waiting and failure.reason in _IMAGE:
        # The kubelet alternates between two messages; only their common part is reported.
        detail = failure.message.rpartition("ErrImagePull: ")[2]
        return "ImagePull", f"{where}: {detail or failure.reason}"
    if failure.waiting and failure.reason in _CANNOT_START:
        return "ContainerCannotStart", f"{where}: {failure.message or failure.reason}"
    head, colon, rest = failure.message.strip().partition(": ")
    is_own = failure.container in (CONTAINER, INIT_CONTAINER)
    if is_own and colon and head in TERMINATION_REASONS:
        return head, f"{where}: {rest.strip()}"
    if failure.reason == "OOMKilled":
        needs = f"{where} needs more memory than its limit: raise"
        if is_own:
            return "OOMKilled", f"{needs} spec.serving.resources.limits.memory"
        return "OtherContainerFails", f"{needs} that limit"
    if failure.reason in _CANNOT_START:
        return "ContainerCannotStart", f"{where}: {failure.message or failure.reason}"
    if failure.waiting and failure.reason != "CrashLoopBackOff":
        return None
    if failure.exit_code in (0, 137, 143) and failure.reason in ("Error", "Completed"):
        return "ProbeFailing", f"{where} was ended with exit code {failure.exit_code}: its probe failed for too long"
    if failure.reason in _LOST:
        return "ContainerLost", f"{where} ended and nobody knows why: the node or its container runtime was restarted"
    last = failure.message.strip().splitlines()
    code = "" if failure.exit_code is None else f" with exit code {failure.exit_code}"
    # A container of the user's or of a webhook says nothing about the model.
    return "CrashLoop" if is_own else "OtherContainerFails", f"{where} ends{code}{f': {last[-1]}' if last else ''}"


def _of_deployment(deployment: Object | None) -> Iterator[tuple[str, str]]:
    condition = _condition(deployment, "ReplicaFailure")
    if condition.get("status") == "True":
        message = str(condition.get("message") or condition.get("reason"))
        reason = "QuotaExceeded" if "exceeded quota" in message else "PodsForbidden"
        yield reason, message


def passed_deadline(deployment: Object | None) -> str | None:
    """Return the Deployment's message if its newest template has passed its progress deadline, None if it has not."""
    condition = _condition(deployment, "Progressing")
    if condition.get("reason") != "ProgressDeadlineExceeded":
        return None
    return str(condition.get("message") or "the Deployment made no progress in time")


def _condition(deployment: Object | None, kind: str) -> Mapping[str, Any]:
    """Return a condition of the Deployment, empty if there is none about its newest template."""
    return find_condition(deployment, kind) if deployment is not None and is_status_current(deployment) else {}
