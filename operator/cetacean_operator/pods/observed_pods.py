"""Reduce a Pod and the last answers of its scrape to the facts that a decision needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.feedback import FeedbackReport
from cetacean_operator.api.observed import ContainerFailure, DriftReport, Identity, Object, Pod, ServiceReport
from cetacean_operator.kube.store import Key
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_registry.messages import one_line

_LONGEST_REPORT: Final = 1024
"""Characters of a container's report about a signature."""


def without_unused_fields(pod: Object) -> Object:
    """Return a Pod with the fields that this module reads; a Pod may have a megabyte of others."""
    meta = pod["metadata"]
    kept = {
        key: meta[key]
        for key in ("namespace", "name", "uid", "resourceVersion", "deletionTimestamp", "ownerReferences")
        if key in meta
    }
    for part, wanted in (
        ("labels", (names.LABEL_MODEL, names.LABEL_INSTANCE, names.LABEL_TEMPLATE_HASH)),
        ("annotations", (names.ANNOTATION_ROLLOUT_ID, names.ANNOTATION_DEFINITION)),
    ):
        found = meta.get(part) or {}
        kept[part] = {key: found[key] for key in wanted if key in found}
    spec = pod.get("spec") or {}
    kept_spec = {key: spec[key] for key in ("nodeName", "readinessGates") if spec.get(key)}
    whole: Object = {key: pod[key] for key in ("apiVersion", "kind", "status") if key in pod}
    return {**whole, "metadata": kept, **({"spec": kept_spec} if kept_spec else {})}


def is_candidate(pod: Object) -> bool:
    """Return true if the pod is one of a candidate, not one that serves clients."""
    label = _label(pod)
    return label != names.resource_of_label(label)


def is_of_prefetch(pod: Object) -> bool:
    """Return true if the pod is one of a Job that fetches weights."""
    return _label(pod) == names.PREFETCH_LABEL


def _label(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(names.LABEL_MODEL))


def target_of(pod: Object, key: Key, *, compares: bool = False) -> Target | None:
    """Return the address at which to ask a pod, None if it has none, or does not run."""
    meta, status = pod["metadata"], pod.get("status") or {}
    if "deletionTimestamp" in meta or not status.get("podIP") or status.get("phase") != "Running":
        return None
    return Target(
        uid=meta["uid"], key=key, host=status["podIP"], port=names.PORT, ready=is_ready(pod), compares=compares
    )


def is_ready(pod: Object) -> bool:
    """Return true if the kubelet reports the pod ready."""
    return _has_condition(pod, "Ready", "True")


def _has_condition(pod: Object, kind: str, status: str) -> bool:
    return any(
        condition.get("type") == kind and condition.get("status") == status
        for condition in (pod.get("status") or {}).get("conditions") or ()
    )


def container_id(pod: Object) -> str:
    """Return the id of the main container, which changes when it restarts."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == names.CONTAINER:
            return str(status.get("containerID") or "")
    return ""


def observed_pod(
    pod: Object,
    scrape: Scrape | None,
    identity: Identity | None,
    drift: DriftReport | None,
    service: ServiceReport | None = None,
    feedback: FeedbackReport | None = None,
) -> Pod:
    """Combine the Pod, and the answers of its scrapes.

    Args:
        pod: as the API server has it.
        scrape: its last answers, None if it has not been scraped yet.
        identity: its last answer since the container started.
        drift: its figures, if the last answer had them.
        service: how it answers its clients, if the last answer had it.
        feedback: since its container started.
    """
    meta, status = pod["metadata"], pod.get("status") or {}
    annotations = meta.get("annotations") or {}
    gone = status.get("phase") in ("Succeeded", "Failed")
    return Pod(
        uid=meta["uid"],
        name=meta["name"],
        rollout_id=annotations.get(names.ANNOTATION_ROLLOUT_ID),
        definition=annotations.get(names.ANNOTATION_DEFINITION),
        ready=is_ready(pod) and not gone,
        terminating="deletionTimestamp" in meta or gone,
        started_at=_started(status),
        unschedulable=_unschedulable(status),
        lost_node=_lost_node(pod),
        failures=tuple(_failures(status)),
        signature=_signature(status),
        job=_job_of(pod),
        fetched=_has_fetched(status),
        asked=scrape is not None,
        silent=scrape.error if scrape else None,
        identity=identity,
        drift=drift,
        service=service,
        shadow=scrape.shadow if scrape else None,
        feedback=feedback or {},
    )


def _job_of(pod: Object) -> str | None:
    owners = pod["metadata"].get("ownerReferences") or ()
    found = (owner for owner in owners if owner.get("controller") and owner.get("kind") == "Job")
    return next((str(owner.get("name")) for owner in found), None)


def _has_fetched(status: Mapping[str, Any]) -> bool:
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    states = (
        (one.get("state") or {}).get("terminated") for one in containers if one.get("name") == names.INIT_CONTAINER
    )
    return any(state is not None and state.get("exitCode") == 0 for state in states)


def _started(status: Mapping[str, Any]) -> str | None:
    for container in status.get("containerStatuses") or ():
        if container.get("name") == names.CONTAINER:
            running = (container.get("state") or {}).get("running") or {}
            return running.get("startedAt")
    return None


def _lost_node(pod: Object) -> str | None:
    """Return the pod's node if that does not report any longer.

    Then the node's controller sets Ready to False and leaves ContainersReady as the kubelet wrote it. A kubelet does so
    only for a pod with readiness gates.
    """
    spec = pod.get("spec") or {}
    if spec.get("readinessGates") or not _has_condition(pod, "ContainersReady", "True"):
        return None
    return str(spec.get("nodeName") or "unknown") if _has_condition(pod, "Ready", "False") else None


def _unschedulable(status: Mapping[str, Any]) -> str | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message") or "cannot be scheduled")
    return None


def _signature(status: Mapping[str, Any]) -> str | None:
    for container in status.get("initContainerStatuses") or ():
        if container.get("name") == names.INIT_CONTAINER:
            ended = (container.get("state") or {}).get("terminated") or {}
            line = one_line(str(ended.get("message") or ""), longest=_LONGEST_REPORT)
            reported = line.partition(": ")[0] in names.SIGNATURE_REASONS | {names.SIGNATURE_VERIFIED}
            return line if reported and ended.get("exitCode") == 0 else None
    return None


def _failures(status: Mapping[str, Any]) -> Iterator[ContainerFailure]:
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or ():
            if failure := _failure(container):
                yield failure


def _failure(container: Mapping[str, Any]) -> ContainerFailure | None:
    """Return why a container does not run, or how it failed before its last start."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or last.get("terminated") or {}
    # The service never ends by itself: if it ended with status 0, the kubelet had sent it a signal.
    stopped = container.get("name") == names.CONTAINER and bool(ended)
    failed = ended.get("exitCode", 0) != 0 or stopped
    reason = waiting.get("reason")
    if reason == "CrashLoopBackOff" and failed:
        waiting, reason = {}, None  # the exit status explains more than the back-off
    if reason in (None, "ContainerCreating", "PodInitializing") and not failed:
        return None
    return ContainerFailure(
        container=container["name"],
        reason=str(reason) if waiting else str(ended.get("reason") or "Error"),
        message=str((waiting.get("message") if waiting else ended.get("message")) or ""),
        exit_code=ended.get("exitCode") if failed else None,
        restarts=int(container.get("restartCount") or 0),
        waiting=bool(waiting),
    )
