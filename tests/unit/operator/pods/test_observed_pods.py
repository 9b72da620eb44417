"""What a decision learns of a Pod, and what is remembered between two answers."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.api.observed import Identity
from cetacean_operator.pods.observed_pods import identity_of, observed_pod, target_of
from cetacean_operator.pods.scrape import Scrape
from cetacean_operator.reconcile.observe import _recent

KEY = ("sea", "whales")


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"namespace": "sea", "name": "p", "uid": "u", "annotations": {"ecomarineai.org/rollout-id": "r"}},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status}
        | {"containerStatuses": list(containers), "initContainerStatuses": list(init)},
    }


def container(name: str = "serve", *, state: Any = None, last: Any = None, restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "state": state or {}, "lastState": last or {}, "restartCount": restarts}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (container(state={"running": {}}), None),
        (container(state=waiting("ContainerCreating")), None),
        (container(state=waiting("PodInitializing")), None),
        (container("sidecar", state=ended(0, "Completed")), None),
        (container("sidecar", state={"running": {}}, last=ended(0, "Completed")), None),
        # The service never ends by itself.
        (container(state=ended(0, "Completed")), ("Completed", "", 0, False)),
        (container(state=waiting("ErrImagePull", "gone")), ("ErrImagePull", "gone", None, True)),
        (
            container(state=waiting("CrashLoopBackOff", "back-off 10s"), last=ended(1, message="CacheFull: x")),
            ("Error", "CacheFull: x", 1, False),
        ),
        (container(state=waiting("CrashLoopBackOff", "back-off")), ("CrashLoopBackOff", "back-off", None, True)),
        (container(state=ended(137, "OOMKilled")), ("OOMKilled", "", 137, False)),
        (container(state={"running": {}}, last=ended(137, "OOMKilled"), restarts=1), ("OOMKilled", "", 137, False)),
        (container(state={"running": {}}, last=ended(0, "Completed"), restarts=1), ("Completed", "", 0, False)),
        (container(state=waiting("CrashLoopBackOff"), last=ended(0, "Completed")), ("Completed", "", 0, False)),
    ],
)
def test_failures(found: dict[str, Any], expected: tuple[Any, ...] | None) -> None:
    failures = observed_pod(pod(found), None, None, None).failures
    if expected is None:
        assert failures == ()
        return
    (failure,) = failures
    assert (failure.reason, failure.message, failure.exit_code, failure.waiting) == expected


def test_init_containers_fail_too() -> None:
    failures = observed_pod(pod(init=(container("fetch", state=ended(1, message="x")),)), None, None, None).failures
    assert [failure.container for failure in failures] == ["fetch"]


def test_a_pod_that_cannot_be_scheduled() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert observed_pod(pod(conditions=[condition]), None, None, None).unschedulable == "0/3 nodes"
    assert observed_pod(pod(), None, None, None).unschedulable is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_as_good_as_gone(phase: str) -> None:
    found = observed_pod(pod(phase=phase, conditions=[{"type": "Ready", "status": "True"}]), None, None, None)
    assert found.terminating
    assert not found.ready
    assert target_of(pod(phase=phase), KEY) is None


def test_whom_to_ask() -> None:
    target = target_of(pod(conditions=[{"type": "Ready", "status": "True"}]), KEY)
    assert target is not None
    assert (target.uid, target.host, target.port, target.ready) == ("u", "10.0.0.1", 8080, True)
    assert target_of(pod(podIP=""), KEY) is None
    going = pod()
    going["metadata"]["deletionTimestamp"] = "now"
    assert target_of(going, KEY) is None
    assert observed_pod(going, None, None, None).terminating


json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
PARTS = ("model", "weights", "gate", "config_digest", "rollout_id")


@given(
    st.dictionaries(
        st.sampled_from(PARTS), json | st.dictionaries(st.sampled_from(("name", "sha256", "threshold")), json)
    )
)
def test_whatever_a_pod_answers_is_read(answer: dict[str, Any]) -> None:
    identity = identity_of(Scrape(identity=answer))
    assert identity is not None
    for value in (identity.name, identity.version, identity.digest, identity.config_digest, identity.rollout_id):
        assert value is None or (isinstance(value, str) and 0 < len(value) <= 253)


def test_the_contracts_answer_is_read() -> None:
    answer = {
        "model": {"name": "effb4_15k", "version": "1.0.0", "architecture": "X"},
        "weights": {"sha256": "a" * 64, "expected_sha256": None, "verified": False},
        "gate": {"threshold": 0.52, "enabled": True},
        "config_digest": "c",
        "rollout_id": "r",
        "ready": True,
    }
    assert identity_of(Scrape(identity=answer)) == Identity("effb4_15k", "1.0.0", "a" * 64, 0.52, "c", "r")
    assert identity_of(Scrape(error="x")) is None
    assert identity_of(None) is None


def test_a_young_process_is_counted_from_its_start() -> None:
    counters: deque[tuple[float, ...]] = deque()
    assert _recent(counters, (60, 40), window=1000) == (60, 40)


def test_an_old_process_is_counted_from_when_it_was_first_seen() -> None:
    """What it rejected last year says nothing of today."""
    counters: deque[tuple[float, ...]] = deque()
    assert _recent(counters, (1_000_000, 900_000), window=100) == (0, 0)
    assert _recent(counters, (1_000_080, 900_000), window=100) == (80, 0)


def test_the_recent_requests_are_those_of_the_window() -> None:
    counters: deque[tuple[float, ...]] = deque()
    for total in range(0, 10_001, 50):  # all are accepted
        _recent(counters, (total, 0), window=1000)
    answered, rejected = 0.0, 0.0
    for step in range(1, 21):  # then all are rejected
        answered, rejected = _recent(counters, (10_000 + step * 50, step * 50), window=1000)
    assert 1000 <= answered <= 1100
    assert rejected / answered > 0.9


def test_a_process_that_began_anew_is_counted_from_its_start() -> None:
    counters: deque[tuple[float, ...]] = deque()
    _recent(counters, (500, 400), window=1000)
    assert _recent(counters, (10, 1), window=1000) == (10, 1)


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1)), max_size=200), st.integers(1, 2000))
def test_the_memory_is_bounded_and_rates_are_rates(steps: list[tuple[int, float]], window: int) -> None:
    counters: deque[tuple[float, ...]] = deque()
    answered, rejected = 0, 0
    for more, share in steps:
        answered += more
        rejected += int(more * share)
        recent, of_them = _recent(counters, (answered, rejected), window)
        assert 0 <= of_them <= recent
        assert len(counters) <= 34
