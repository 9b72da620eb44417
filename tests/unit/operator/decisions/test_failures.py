"""Each way in which pods do not get ready has a reason and a message of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.operator_world import BEGIN, World, entry, manifest
from support.pods import FakePod, ready_pod
from support.snapshots import check

from cetacean_operator.api.names import TERMINATION_REASONS
from cetacean_operator.api.observed import ContainerFailure
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.failures import PROBE_PATIENCE, Failure, find_failure, seconds_until_failure

PULL = 'failed to pull and unpack image "x": not found'
FAILURES: dict[str, tuple[ContainerFailure, str, str, bool]] = {
    "image": (ContainerFailure("fetch", "ErrImagePull", PULL, waiting=True), "ImagePull", PULL, True),
    "image-backoff": (
        ContainerFailure(
            "fetch", "ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {PULL}', waiting=True
        ),
        "ImagePull",
        PULL,
        True,
    ),
    "image-name": (
        ContainerFailure("serve", "InvalidImageName", "", waiting=True),
        "ImagePull",
        "InvalidImageName",
        True,
    ),
    "secret": (
        ContainerFailure("serve", "CreateContainerConfigError", 'secret "s" not found', waiting=True),
        "ContainerCannotStart",
        'secret "s" not found',
        True,
    ),
    "no-program": (
        ContainerFailure("serve", "StartError", "exec: no such file", exit_code=128),
        "ContainerCannotStart",
        "no such file",
        True,
    ),
    "memory": (ContainerFailure("serve", "OOMKilled", "", exit_code=137), "OOMKilled", "limits.memory", True),
    "crash": (
        ContainerFailure("serve", "Error", "Traceback\nValueError: bad\n", exit_code=1),
        "CrashLoop",
        "exit code 1: ValueError: bad",
        True,
    ),
    "crash-unread": (
        ContainerFailure("serve", "CrashLoopBackOff", "", waiting=True),
        "CrashLoop",
        "container serve ends",
        True,
    ),
    "lost": (
        ContainerFailure("serve", "Unknown", "", exit_code=255, restarts=1),
        "ContainerLost",
        "nobody knows why: the node or its container runtime was restarted",
        False,
    ),
    "lost-by-the-kubelet": (
        ContainerFailure("serve", "ContainerStatusUnknown", "could not be located", exit_code=137),
        "ContainerLost",
        "nobody knows why",
        False,
    ),
    "probe": (ContainerFailure("serve", "Error", "", exit_code=137), "ProbeFailing", "its probe failed", False),
    "probe-sigterm": (ContainerFailure("serve", "Error", "", exit_code=143), "ProbeFailing", "exit code 143", False),
    "probe-in-peace": (
        ContainerFailure("serve", "Completed", "", exit_code=0),
        "ProbeFailing",
        "exit code 0: its probe failed for too long",
        False,
    ),
}


def failing(failure: ContainerFailure | None = None, **state: Any) -> World:
    """`second` fails so, while `first` serves."""

    def behave(pod: FakePod) -> None:
        pod.ready = pod.model == "first"
        if not pod.ready:
            pod.failures = (failure,) if failure else ()
            for key, value in state.items():
                setattr(pod, key, value)

    world = World(manifest(entry("first"), entry("second", "b")), behave=behave)
    world.settle()
    world.activate("second")
    world.settle()
    return world


@pytest.mark.parametrize(("failure", "reason", "text", "final"), FAILURES.values(), ids=FAILURES)
def test_each_failure_of_a_container_has_a_reason_and_a_message(
    failure: ContainerFailure, reason: str, text: str, final: bool
) -> None:
    world = failing(failure)
    assert world.is_("Ready") == ("False", reason)
    message = world.condition("Ready").message
    assert text in message
    assert "pod whales-" in message
    assert failure.container in message
    assert "0 of 1 wanted replicas serve second" in message
    assert world.is_("Stalled")[0] == str(final)
    assert world.is_("Reconciling")[0] == str(not final)
    assert world.is_("Available")[0] == "True", "the old pod goes on"
    assert world.reasons.count(reason) == 1


@pytest.mark.parametrize("reason", sorted(TERMINATION_REASONS))
def test_a_termination_message_gives_reason_and_message(reason: str) -> None:
    said = f"{reason}: https://x/a.ckpt: expected sha256:aaaa, got sha256:bbbb"
    world = failing(ContainerFailure("fetch", "Error", said, exit_code=1))
    assert world.is_("Ready") == ("False", reason)
    assert "https://x/a.ckpt: expected sha256:aaaa, got sha256:bbbb" in world.condition("Ready").message
    verified = world.is_("WeightsVerified")
    assert (verified == ("False", "DigestMismatch")) == (reason == "DigestMismatch")


def test_an_unschedulable_pod_is_a_transient_failure() -> None:
    world = failing(unschedulable="0/3 nodes are available: 3 Insufficient memory.")
    assert world.is_("Ready") == ("False", "Unschedulable")
    assert "Insufficient memory" in world.condition("Ready").message
    assert world.is_("Reconciling")[0] == "True", "a node may come"


def test_a_pod_whose_node_does_not_report_is_named_with_the_node() -> None:
    world = World(manifest(serving={"replicas": 2}))
    world.settle()
    (pod, _), world.now = world.pods, world.now + timedelta(days=1)
    pod.ready, pod.lost_node, pod.started_at = False, "node-7", timestamp(BEGIN)
    world.reconcile()
    assert world.is_("Ready") == ("False", "NodeNotReady")
    assert "its node node-7 does not report" in world.condition("Ready").message
    assert world.is_("Reconciling")[0] == "True", "Kubernetes replaces the pod after a while"
    assert (world.status.replicas, world.status.ready_replicas) == (2, 1)


@pytest.mark.parametrize(
    ("container", "reason"),
    [("fetch", "WeightsNotFound"), ("serve", "WeightsNotFound"), ("mesh", "OtherContainerFails")],
)
def test_only_the_operators_containers_name_reasons_of_their_own(container: str, reason: str) -> None:
    world = failing(ContainerFailure(container, "Error", "WeightsNotFound: https://x/a: 404", exit_code=1))
    assert world.is_("Ready") == ("False", reason)


def test_the_memory_of_a_container_that_others_added_is_not_a_limit_of_the_resource() -> None:
    world = failing(ContainerFailure("mesh", "OOMKilled", "", exit_code=137))
    assert world.is_("Ready") == ("False", "OtherContainerFails")
    message = world.condition("Ready").message
    assert message.endswith("container mesh needs more memory than its limit: raise that limit")


def condition(world: World, **condition: str) -> None:
    assert world.deployment is not None
    world.deployment["status"]["conditions"] = [condition]
    world.settle()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ('pods "x" is forbidden: exceeded quota: q, requested: memory=3Gi', "QuotaExceeded"),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest"', "PodsForbidden"),
    ],
)
def test_pods_that_cannot_be_created_are_a_failure(said: str, reason: str) -> None:
    world = failing()
    condition(world, type="ReplicaFailure", status="True", reason="FailedCreate", message=said)
    assert world.is_("Ready") == ("False", reason)
    assert said in world.condition("Ready").message


def test_the_deadline_makes_a_transient_failure_final() -> None:
    world = failing(unschedulable="0/3 nodes")
    condition(world, type="Progressing", status="False", reason="ProgressDeadlineExceeded", message="timed out")
    assert world.is_("Ready") == ("False", "Unschedulable")
    assert world.is_("Stalled")[0] == "True"


def test_the_deadline_alone_is_a_final_failure() -> None:
    world = failing()
    condition(world, type="Progressing", status="False", reason="ProgressDeadlineExceeded", message="timed out")
    assert world.is_("Stalled") == ("True", "ProgressDeadlineExceeded")
    # A change of the spec is about another template: what the controller said no longer counts.
    world.activate("first")
    world.reconcile()
    assert world.condition("Ready").reason != "ProgressDeadlineExceeded"


def test_a_running_pod_that_is_not_ready_fails_after_two_minutes() -> None:
    world = failing(started_at=timestamp(BEGIN))
    plan = world.decide()
    assert world.is_("Ready") == ("False", "RollingOut")
    assert plan.requeue_after == PROBE_PATIENCE
    world.wait(seconds=PROBE_PATIENCE)
    world.settle()
    assert world.is_("Ready") == ("False", "ProbeFailing")
    assert world.decide().requeue_after is None


def test_the_most_specific_failure_is_reported() -> None:
    world = failing(
        ContainerFailure("fetch", "Error", "DigestMismatch: u: expected a, got b", exit_code=1),
        unschedulable="0/3 nodes",
    )
    assert world.is_("Ready")[1] == "DigestMismatch"


def test_a_known_cause_counts_more_than_a_crash_or_a_lost_node_of_another_pod() -> None:
    lost = ready_pod(1, ready=False, lost_node="node-7", failures=(ContainerFailure("serve", "Error", "x", 1),))
    crashed = ready_pod(2, ready=False, failures=(ContainerFailure("serve", "Error", "x", 1),))
    starved = ready_pod(3, ready=False, failures=(FAILURES["memory"][0],))
    crash = Failure("CrashLoop", "pod p2, container serve ends with exit code 1: x", final=True)
    memory = "pod p3, container serve needs more memory than its limit: raise spec.serving.resources.limits.memory"

    assert find_failure([lost], None, BEGIN) == Failure(
        "NodeNotReady", "pod p1: its node node-7 does not report", final=False
    )
    assert find_failure([lost, crashed], None, BEGIN) == crash
    assert find_failure([lost, crashed, starved], None, BEGIN) == Failure("OOMKilled", memory, final=True)


def test_the_message_does_not_depend_on_the_order_of_pods() -> None:
    pods = [FakePod(n, {}, failures=(ContainerFailure("serve", "Error", f"x{n}", exit_code=1),)) for n in range(3)]
    template = failing().pods[0].template
    observed = []
    for pod in pods:
        pod.template = template
        observed.append(pod.observed())
    assert find_failure(observed, None, BEGIN) == find_failure(reversed(observed), None, BEGIN)
    assert find_failure([], None, BEGIN + timedelta(days=1)) is None


def test_a_pod_that_serves_after_a_failure_is_no_failure() -> None:
    world = World(behave=lambda pod: pod.__dict__.update(ready=True, failures=(FAILURES["memory"][0],)))
    world.settle()
    assert world.is_("Ready") == ("True", "Serving")


def test_a_replica_that_fails_later_is_reported() -> None:
    world = World(manifest(serving={"replicas": 2}))
    world.settle()
    world.pods[0].ready, world.pods[0].failures = False, (FAILURES["memory"][0],)
    world.reconcile()
    assert world.is_("Ready") == ("False", "OOMKilled")
    assert world.is_("Available")[0] == "True"


def test_each_failure_has_the_message_of_the_snapshot(tmp_path: Path) -> None:
    pod = FakePod(1, failing().pods[0].template).observed()
    lines = []
    for name, (failure, *_) in FAILURES.items():
        found = find_failure([replace(pod, failures=(failure,))], None, BEGIN)
        assert found is not None
        lines.append(f"{name}: {found.reason}, {'final' if found.final else 'transient'}: {found.message}\n")
    check(Path(__file__).with_name("snapshots") / "failures.txt", "".join(lines), tmp_path)


def deployment(kind: str, **fields: str) -> dict[str, Any]:
    status = {"observedGeneration": 1, "conditions": [{"type": kind, **fields}]}
    return {"metadata": {"generation": 1}, "status": status}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            deployment("ReplicaFailure", status="True", message="exceeded quota: q"),
            ("QuotaExceeded", "exceeded quota: q"),
        ),
        (deployment("ReplicaFailure", status="True", reason="FailedCreate"), ("PodsForbidden", "FailedCreate")),
        (deployment("ReplicaFailure", status="False", message="exceeded quota: q"), None),
        (
            deployment("Progressing", reason="ProgressDeadlineExceeded"),
            ("ProgressDeadlineExceeded", "the Deployment made no progress in time"),
        ),
        (
            deployment("Progressing", reason="ProgressDeadlineExceeded", message="timed out"),
            ("ProgressDeadlineExceeded", "timed out"),
        ),
        (deployment("Progressing", reason="NewReplicaSetAvailable", message="done"), None),
    ],
)
def test_a_deployment_says_why_its_pods_are_missing(given: dict[str, Any], expected: tuple[str, str] | None) -> None:
    found = find_failure([], given, BEGIN)
    assert (found and (found.reason, found.message)) == expected
    assert find_failure([], {**given, "metadata": {"generation": 2}}, BEGIN) is None, "it is about another template"


def test_a_pod_that_runs_for_less_than_two_minutes_has_time_left() -> None:
    pod = replace(FakePod(1, failing().pods[0].template, started_at=timestamp(BEGIN)).observed(), name="p")
    ready, waiting = replace(pod, ready=True), replace(pod, started_at=None)
    later = replace(pod, started_at=timestamp(BEGIN + timedelta(seconds=30)))
    at = BEGIN + timedelta(seconds=50)
    assert seconds_until_failure([ready, waiting], at) is None
    assert seconds_until_failure([pod], at) == 70
    assert seconds_until_failure([later, pod], at) == 70
    assert seconds_until_failure([later], BEGIN) == 120, "a clock that was set back"
    assert seconds_until_failure([pod], BEGIN + timedelta(seconds=120)) is None
    assert find_failure([pod], None, BEGIN + timedelta(seconds=119)) is None


@pytest.mark.parametrize(("silent", "end"), [(None, ""), ("refused", ": refused")])
def test_a_failing_probe_is_reported_with_the_error_of_the_last_scrape(silent: str | None, end: str) -> None:
    pod = replace(FakePod(1, failing().pods[0].template, started_at=timestamp(BEGIN)).observed(), silent=silent)
    found = find_failure([pod], None, BEGIN + timedelta(seconds=120))
    assert found is not None
    text = "pod whales-1 has been running for more than 120 s and its probe still fails"
    assert (found.reason, found.message, found.final) == ("ProbeFailing", text + end, False)


def test_failure_messages_have_a_limit() -> None:
    world = failing(ContainerFailure("fetch", "ErrImagePull", "x" * 5000, waiting=True))
    assert len(world.condition("Ready").message) < 1200
    said = "x" * 5000
    found = find_failure([], deployment("ReplicaFailure", status="True", message=said), BEGIN)
    assert found == Failure("PodsForbidden", "x" * 1023 + "…", final=True)


HOSTILE = "CheckpointMismatch: \x1b]0;title\x07\x1b[2J\nReady True \u202e"


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ContainerFailure("serve", "Error", HOSTILE, 1, 3), "CheckpointMismatch"),
        (ContainerFailure("sidecar", "Error", HOSTILE, 1, 3), "OtherContainerFails"),
        (ContainerFailure("serve", "ErrImagePull", HOSTILE, waiting=True), "ImagePull"),
        (ContainerFailure("serve", "CreateContainerError", HOSTILE, waiting=True), "ContainerCannotStart"),
    ],
)
def test_a_message_of_a_container_is_one_line_without_control_characters(
    failure: ContainerFailure, reason: str
) -> None:
    world = failing(failure)
    assert world.is_("Ready") == ("False", reason)
    assert world.condition("Ready").message.isprintable()


@pytest.mark.parametrize("kind", ["ReplicaFailure", "Progressing"])
def test_a_message_of_the_deployment_or_the_scheduler_is_one_line_too(kind: str) -> None:
    pod = replace(FakePod(1, failing().pods[0].template).observed(), unschedulable=HOSTILE)
    said = deployment(kind, status="True", reason="ProgressDeadlineExceeded", message=HOSTILE)
    for found in (find_failure([pod], None, BEGIN), find_failure([], said, BEGIN)):
        assert found is not None
        assert found.message.isprintable()
        assert "title" in found.message
