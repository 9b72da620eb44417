"""Which changes of a child or a pod can change a decision: others need no reconcile.

A Deployment's controller writes its status four times for each rollout, and a pod changes as often. Most of that is
progress that no decision reads. Two states of an object lead to the same decision if their facts are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cetacean_operator.api.observed import Object
from cetacean_operator.decisions.failures import find_failure
from cetacean_operator.decisions.rollout_state import is_rolled_out
from cetacean_operator.pods.observed_pods import container_id, is_of_prefetch, observed_pod

_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_CHANGES_WITH_EACH_WRITE: Final = frozenset({"resourceVersion", "generation", "managedFields"})
_UNREADABLE: Final = (AttributeError, KeyError, TypeError, ValueError)
"""Errors of a status that is not as the API server writes it: the reconcile reports it."""
_REVISION: Final = "deployment.kubernetes.io/revision"


def is_relevant(before: Object, after: Object) -> bool:
    """Return true if a change of a child or a pod may change a decision.

    Args:
        before: the state that the last reconcile may have read.
        after: the state of now, of the same object.
    """
    facts = _FACTS.get(after["kind"])
    try:
        return facts is None or facts(before) != facts(after)
    except _UNREADABLE:
        return True


def is_deletion_relevant(before: Object) -> bool:
    """Return true if a decision may change because an object is gone; a pod that terminated did not count before."""
    try:
        return before["kind"] != "Pod" or is_of_prefetch(before) or not _is_terminating(before)
    except _UNREADABLE:
        return True


def _is_terminating(pod: Object) -> bool:
    return observed_pod(pod, None, None, None).terminating


def _of_deployment(deployment: Object) -> object:
    return (
        _metadata(deployment),
        deployment.get("spec"),
        is_rolled_out(deployment),
        find_failure((), deployment, _ANY_TIME),
    )


def _of_pod(pod: Object) -> object:
    # The scraper asks at the address, and again at once if it is another one.
    host = (pod.get("status") or {}).get("podIP"), (pod.get("status") or {}).get("phase")
    return _metadata(pod), pod.get("spec"), host, container_id(pod), observed_pod(pod, None, None, None)


def _metadata(obj: Object) -> Mapping[str, Any]:
    meta = {key: value for key, value in obj["metadata"].items() if key not in _CHANGES_WITH_EACH_WRITE}
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key != _REVISION}
    return {**meta, "annotations": annotations}


_FACTS: Final[Mapping[str, Callable[[Object], object]]] = {"Deployment": _of_deployment, "Pod": _of_pod}
