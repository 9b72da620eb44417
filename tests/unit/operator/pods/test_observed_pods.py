"""The facts about a Pod that decisions get, and the counters that are kept between two scrapes."""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pods import COUNTERS, pod_manifest, running_status

from cetacean_operator.api import names
from cetacean_operator.api.shadow import ShadowReport
from cetacean_operator.decisions.ownership import owner_of
from cetacean_operator.kube.store import Store
from cetacean_operator.pods.observed_pods import observed_pod, target_of, without_unused_fields
from cetacean_operator.pods.pod_responses import DriftStats
from cetacean_operator.pods.scrape import Scrape
from cetacean_operator.reconcile.observe import Observer, recent_growth

KEY = ("sea", "whales")


def pod(*containers: dict[str, Any], init: tuple[dict[str, Any], ...] = (), **status: Any) -> dict[str, Any]:
    states = {"containerStatuses": list(containers), "initContainerStatuses": list(init)}
    return pod_manifest(uid="u", status={"phase": "Running", "podIP": "10.0.0.1", **status, **states})


def container(name: str = "serve", *, state: Any = None, last: Any = None, restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "state": state or {}, "lastState": last or {}, "restartCount": restarts}


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def test_the_report_about_a_signature_is_the_line_of_a_fetch_that_succeeded() -> None:
    def reported(*init: dict[str, Any]) -> str | None:
        return observed_pod(pod(init=init), None, None, None).signature

    line = "SignatureVerified: https://x/w.sig: signed by key sha256:a (k)"
    assert reported(container("fetch", state=ended(0, "Completed", f"{line}\n"))) == line
    assert reported(container("other", state=ended(0, message=line)), container("fetch")) is None
    assert reported(container("fetch", state=ended(1, message="SignatureMissing: x"))) is None, "it is a failure"
    assert reported(container("fetch", state=ended(0, message="{}"))) is None
    long = reported(container("fetch", state=ended(0, message=f"SignatureMissing: a\n\x1b[31m{'b' * 4000}")))
    assert long is not None
    assert (len(long), long.isprintable()) == (1024, True)
    assert reported() is None


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
        # The service has no regular end.
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
def test_container_states_give_failures(found: dict[str, Any], expected: tuple[Any, ...] | None) -> None:
    failures = observed_pod(pod(found), None, None, None).failures
    if expected is None:
        assert failures == ()
        return
    (failure,) = failures
    assert (failure.reason, failure.message, failure.exit_code, failure.waiting) == expected


def test_a_failed_init_container_is_a_failure() -> None:
    failures = observed_pod(pod(init=(container("fetch", state=ended(1, message="x")),)), None, None, None).failures
    assert [failure.container for failure in failures] == ["fetch"]


def test_an_unschedulable_pod_has_the_message_of_the_scheduler() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    assert observed_pod(pod(conditions=[condition]), None, None, None).unschedulable == "0/3 nodes"
    assert observed_pod(pod(), None, None, None).unschedulable is None


READY_ONLY_FALSE = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]


@pytest.mark.parametrize(
    ("spec", "conditions", "expected"),
    [
        ({"nodeName": "n1"}, READY_ONLY_FALSE, "n1"),
        ({}, READY_ONLY_FALSE, "unknown"),
        (
            {"nodeName": "n1"},
            [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "False"}],
            None,
        ),
        (
            {"nodeName": "n1"},
            [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
            None,
        ),
        # A readiness gate that is not True has the same conditions: the pod's node is there.
        ({"nodeName": "n1", "readinessGates": [{"conditionType": "x"}]}, READY_ONLY_FALSE, None),
    ],
)
def test_a_pod_that_the_control_plane_marks_as_not_ready_is_on_a_lost_node(
    spec: dict[str, Any], conditions: list[dict[str, str]], expected: str | None
) -> None:
    stored = without_unused_fields({**pod(conditions=conditions), "spec": {**spec, "containers": ["large"]}})
    assert "containers" not in stored.get("spec", {})
    assert observed_pod(stored, None, None, None).lost_node == expected


def test_rollout_and_definition_of_a_pod_are_stored() -> None:
    annotations = {names.ANNOTATION_ROLLOUT_ID: "r", names.ANNOTATION_DEFINITION: "d" * 64, "other": "left out"}
    manifest = pod()
    manifest["metadata"]["annotations"] = annotations
    stored = without_unused_fields(manifest)
    assert "other" not in stored["metadata"]["annotations"]
    found = observed_pod(stored, None, None, None)
    assert (found.rollout_id, found.definition) == ("r", "d" * 64)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_terminating_and_not_scraped(phase: str) -> None:
    found = observed_pod(pod(phase=phase, conditions=[{"type": "Ready", "status": "True"}]), None, None, None)
    assert found.terminating
    assert not found.ready
    assert target_of(pod(phase=phase), KEY) is None


def test_the_target_of_a_scrape_is_a_running_pod_with_an_address() -> None:
    target = target_of(pod(conditions=[{"type": "Ready", "status": "True"}]), KEY)
    assert target is not None
    assert (target.uid, target.host, target.port, target.ready) == ("u", "10.0.0.1", 8080, True)
    assert target_of(pod(podIP=""), KEY) is None
    going = pod()
    going["metadata"]["deletionTimestamp"] = "now"
    assert target_of(going, KEY) is None
    assert observed_pod(going, None, None, None).terminating


def candidate(name: str) -> dict[str, Any]:
    """Return a running pod of the model that `whales` compares with what serves."""
    made = pod_manifest(name, labels={"ecomarineai.org/cetaceanmodel": "whales"}, status=running_status("10.0.0.9"))
    made["metadata"]["labels"]["ecomarineai.org/cetaceanmodel"] = "whales_candidate"
    made["metadata"]["ownerReferences"][0]["name"] = "whales-candidate-5d4f8"
    return made


def test_pods_of_a_candidate_are_apart_and_scraped_and_the_others_compare_while_it_has_a_deployment() -> None:
    store = Store(owner_of)
    serving = pod_manifest("p", labels={"ecomarineai.org/cetaceanmodel": "whales"}, status=running_status("10.0.0.1"))
    store.put(serving)
    store.put(candidate("c"))
    report = ShadowReport(run="one", sampled=3)
    observer = Observer(store, lambda uid: Scrape(shadow=report if uid == "p" else None))
    observed = observer.observe(KEY, window=10, answers=10)
    assert [(one.name, one.shadow) for one in observed.pods] == [("p", report)]
    assert [(one.name, one.ready) for one in observed.candidate_pods] == [("c", True)]
    assert {(one.uid, one.compares) for one in observer.targets(KEY)} == {("p", False), ("c", False)}
    owner = {"apiVersion": "ecomarineai.org/v1alpha1", "kind": "CetaceanModel", "name": "whales", "controller": True}
    meta = {"namespace": "sea", "name": "whales-candidate", "uid": "d", "ownerReferences": [owner]}
    store.put({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta})
    assert {(one.uid, one.compares) for one in observer.targets(KEY)} == {("p", True), ("c", False)}


def fetching(name: str, *, exit_code: int | None = None, owner: str = "Job") -> dict[str, Any]:
    """Return a pod of a Job that fetches weights for `whales`."""
    made = pod_manifest(name, labels={"app.kubernetes.io/instance": "whales"})
    made["metadata"]["labels"]["ecomarineai.org/cetaceanmodel"] = "prefetch_job"
    made["metadata"]["ownerReferences"] = [{"kind": owner, "name": "whales-prefetch-1", "controller": True}]
    state = {"running": {}} if exit_code is None else ended(exit_code, message="WeightsNotFound: x")
    made["status"] = running_status("10.0.0.8") | {"containerStatuses": [container("fetch", state=state)]}
    return made


@pytest.mark.parametrize(("exit_code", "fetched", "failures"), [(None, False, 0), (0, True, 0), (1, False, 1)])
def test_pods_that_fetch_weights_are_apart_and_never_scraped(
    exit_code: int | None, fetched: bool, failures: int
) -> None:
    store = Store(owner_of)
    store.put(without_unused_fields(fetching("f", exit_code=exit_code)))
    observer = Observer(store, lambda _uid: None)
    observed = observer.observe(KEY, window=10, answers=10)
    assert (observed.pods, observed.candidate_pods, list(observer.targets(KEY))) == ((), (), [])
    (found,) = observed.prefetch_pods
    assert (found.name, found.job, found.fetched, len(found.failures)) == ("f", "whales-prefetch-1", fetched, failures)


def test_a_pod_that_says_it_fetches_and_is_of_no_job_is_nobodys() -> None:
    assert owner_of(fetching("f")) == "whales"
    assert owner_of(fetching("f", owner="ReplicaSet")) is None
    unnamed = fetching("f")
    del unnamed["metadata"]["labels"]["app.kubernetes.io/instance"]
    assert owner_of(unnamed) is None


class Counters:
    """The counters of one pod, read through an Observer."""

    def __init__(self) -> None:
        self.scrape: Scrape | None = None
        store = Store(owner_of)
        store.put(pod_manifest(labels={"ecomarineai.org/cetaceanmodel": "whales"}))
        self.observer = Observer(store, lambda _uid: self.scrape)

    def recent(self, answered: int, rejected: int, *, window: int) -> tuple[float, float]:
        """Scrape these totals; return the requests and the rejections of the window."""
        metrics = {**COUNTERS, "predictions_total": float(answered - rejected), "rejections_total": float(rejected)}
        self.scrape = Scrape(
            drift_stats=DriftStats(), metrics=metrics, rejections={"not_a_marine_mammal": float(rejected)}
        )
        (found,) = self.observer.observe(KEY, window=window, answers=1).pods
        assert found.drift is not None
        return found.drift.requests, found.drift.rejections


def test_the_requests_of_a_young_process_are_counted_from_its_start() -> None:
    assert Counters().recent(60, 40, window=1000) == (60, 40)


def test_the_requests_of_an_old_process_are_counted_from_its_first_scrape() -> None:
    """Rejections from before the operator's start are not recent ones."""
    counters = Counters()
    assert counters.recent(1_000_000, 900_000, window=100) == (0, 0)
    assert counters.recent(1_000_080, 900_000, window=100) == (80, 0)


def test_the_recent_requests_are_those_of_the_window() -> None:
    counters = Counters()
    for total in range(0, 10_001, 50):  # all are accepted
        counters.recent(total, 0, window=1000)
    answered, rejected = 0.0, 0.0
    for step in range(1, 21):  # then all are rejected
        answered, rejected = counters.recent(10_000 + step * 50, step * 50, window=1000)
    assert 1000 <= answered <= 1100
    assert rejected / answered > 0.9


def test_the_requests_of_a_restarted_process_are_counted_from_its_start() -> None:
    counters = Counters()
    counters.recent(500, 400, window=1000)
    assert counters.recent(10, 1, window=1000) == (10, 1)


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(0, 1)), max_size=200), st.integers(1, 2000))
def test_the_recent_rejections_are_never_more_than_the_recent_requests(
    steps: list[tuple[int, float]], window: int
) -> None:
    counters = Counters()
    answered, rejected = 0, 0
    for more, share in steps:
        answered += more
        rejected += int(more * share)
        recent, of_them = counters.recent(answered, rejected, window=window)
        assert 0 <= of_them <= recent


@given(st.lists(st.integers(0, 300), max_size=200), st.integers(1, 2000))
def test_the_kept_snapshots_of_counters_are_bounded(steps: list[int], window: int) -> None:
    snapshots: deque[tuple[float, ...]] = deque()
    for total in accumulate(steps):
        recent_growth(snapshots, (float(total),), window)
        assert len(snapshots) <= 34
