"""The commands that talk to a cluster, with an API server on loopback."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.kube_server import KubeServer
from support.operator_world import BEGIN, World, entry, manifest, model
from support.pods import pod_manifest

from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import RefusedError
from cetacean_cli.kubeconfig import load_api_client
from cetacean_cli.output import age
from cetacean_cli.wait import wait_until_ready
from cetacean_operator.decisions.identity import definition

from .conftest import Run

Object = dict[str, Any]


def models() -> tuple[Object, Object, Object]:
    """One model that serves, one that passes the gate, one that does not."""
    return (
        entry("first"),
        entry("second", "b", version="1.1.0"),
        entry("bad", "c", version="1.2.0", metrics={"tnr": 0.5}),
    )


@pytest.fixture
def live(server: KubeServer) -> Object:
    """The resource `whales` after the operator's work: `first` serves, on three pods."""
    world = World(manifest(*models(), serving={"replicas": 3}, antiFraud={"threshold": 0.52}))
    world.settle()
    return server.add(world.obj)


def test_promote_shows_the_change_asks_and_patches_one_field(server: KubeServer, kubectl: Run, live: Object) -> None:
    done = kubectl("promote", "whales", "second", input="y\n")
    assert done.exit_code == 0, done.output
    assert "spec.registry.active: first → second" in done.stdout
    assert f"serving now: first 1.0.0 (sha256:{'a' * 12}…); 3 pods will be replaced" in done.stdout
    assert "the operator's decision: second passes against first: TNR 0.9200 is at least 0.9000" in done.stdout
    ((query, operations),) = server.patches
    assert query == {"fieldManager": "cetacean-cli"}
    assert operations == [
        {"op": "test", "path": "/metadata/generation", "value": 1},
        {"op": "replace", "path": "/spec/registry/active", "value": "second"},
    ]
    assert server.models["whales"]["spec"]["registry"]["active"] == "second"


@pytest.mark.parametrize("answer", ["n\n", "", "perhaps\n"])
def test_nothing_is_patched_without_a_yes(server: KubeServer, kubectl: Run, live: Object, answer: str) -> None:
    assert kubectl("promote", "whales", "second", input=answer).exit_code == 1
    assert server.patches == []


def test_a_model_that_the_gate_refuses_is_not_patched(server: KubeServer, kubectl: Run, live: Object) -> None:
    done = kubectl("promote", "whales", "bad", "--yes")
    assert done.exit_code == 1
    assert done.stderr.startswith(
        "Error: GateRefused: bad is refused against first: TNR 0.5000 is below 0.9000 (minTNR)"
    )
    assert done.stderr.count("\n") == 1
    assert server.patches == []


def test_a_dry_run_is_checked_by_the_server(server: KubeServer, kubectl: Run, live: Object) -> None:
    done = kubectl("promote", "whales", "second", "--dry-run", "-o", "json")
    result = json.loads(done.stdout)
    assert (result["changed"], result["dryRun"], result["gate"]["reason"]) == (False, True, "GatePassed")
    assert server.patches[0][0]["dryRun"] == "All"
    assert server.models["whales"]["spec"]["registry"]["active"] == "first"


def test_a_change_by_someone_else_is_not_overwritten(server: KubeServer, kubectl: Run, live: Object) -> None:
    server.concurrent_change = True
    done = kubectl("promote", "whales", "second", "--yes")
    assert done.exit_code == 1
    assert done.stderr == "Error: cetaceanmodel sea/whales was changed after it was shown: run the command again\n"
    assert server.models["whales"]["spec"]["registry"]["active"] == "first"


def test_the_active_model_is_not_promoted_again(server: KubeServer, kubectl: Run, live: Object) -> None:
    done = kubectl("promote", "whales", "first", "--wait")
    assert (done.exit_code, server.patches) == (0, [])
    assert "first is already active" in done.stdout


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({"labels": {"argocd.argoproj.io/instance": "sea"}}, "Argo CD"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "sea:a/b:c"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "sea"}}, "Flux"),
        ({"annotations": {"meta.helm.sh/release-name": "sea"}}, "Helm"),
        ({"managedFields": [{"manager": "argocd-controller", "fieldsV1": {"f:spec": {}}}]}, "Argo CD"),
        ({"managedFields": [{"manager": "kustomize-controller", "fieldsV1": {"f:spec": {}}}]}, "Flux"),
    ],
)
def test_a_tool_that_manages_the_resource_is_named(
    server: KubeServer, kubectl: Run, live: Object, metadata: Object, tool: str
) -> None:
    live["metadata"] |= metadata
    warning = f"warning: {tool} manages cetaceanmodel sea/whales and will overwrite"
    assert f"{warning} spec.registry.active:" in kubectl("promote", "whales", "second", "-y").stderr
    assert f"{warning} spec.antiFraud.threshold:" in kubectl("emergency", "disable-gate", "whales", "-y").stderr
    assert tool in kubectl("status", "whales").stdout


def test_other_field_managers_cause_no_warning(kubectl: Run, live: Object) -> None:
    live["metadata"]["managedFields"] = [
        {"manager": "kubectl-client-side-apply", "fieldsV1": {"f:spec": {}}},
        {"manager": "argocd-controller", "fieldsV1": {"f:metadata": {}}},
    ]
    assert kubectl("promote", "whales", "second", "-y").stderr == ""


def test_rollback_goes_to_the_previous_model_without_the_gate(server: KubeServer, kubectl: Run) -> None:
    world = World(manifest(*models()))
    world.settle()
    world.activate("second")
    world.settle()
    live = server.add(world.obj)
    live["spec"]["registry"]["models"][0]["metrics"]["tnr"] = 0.1
    done = kubectl("rollback", "whales", "--yes")
    assert done.exit_code == 0, done.output
    assert "first 1.0.0 has served before: it comes back at once, without the gate" in done.stdout
    assert server.models["whales"]["spec"]["registry"]["active"] == "first"


def test_rollback_needs_a_previous_model(kubectl: Run, server: KubeServer, live: Object) -> None:
    done = kubectl("rollback", "whales", "--yes")
    assert (done.exit_code, server.patches) == (1, [])
    assert "its history has no model before first; name one with --to" in done.stderr
    assert kubectl("rollback", "whales", "--to", "second", "--yes").exit_code == 0
    assert kubectl("rollback", "whales", "--to", "none", "--yes").exit_code == 2


def test_wait_ends_when_all_pods_serve(server: KubeServer, kubectl: Run, live: Object) -> None:
    def at(generation: int, ready: str, message: str, **more: str) -> Object:
        conditions = [
            {
                "type": kind,
                "status": status,
                "reason": "R",
                "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            | {"observedGeneration": generation}
            for kind, status in {"Ready": ready, **more}.items()
        ]
        status = {"observedGeneration": generation, "conditions": conditions}
        return {"type": "MODIFIED", "object": {**live, "status": status}}

    expired = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old resource version"}}
    without_reason = {"type": "ERROR", "object": {"code": 500}}
    server.watches = [
        [at(1, "True", "of the old spec"), "", at(2, "False", "1 of [3]"), expired],
        [without_reason],
        [],
        [at(2, "True", "3 of 3")],
    ]
    done = kubectl("promote", "whales", "second", "--yes", "--wait")
    assert done.exit_code == 0, done.output
    assert done.stderr == "R: 1 of [3]\ncetaceanmodel sea/whales is ready: 3 of 3\n"
    assert server.watches == []

    server.watches = [[at(3, "False", "no such image", Stalled="True")]]
    done = kubectl("promote", "whales", "first", "--yes", "--wait")
    assert (done.exit_code, done.stderr) == (1, "Error: cetaceanmodel sea/whales is stalled: R: no such image\n")

    server.watches = [[{"type": "DELETED", "object": live}]]
    done = kubectl("promote", "whales", "second", "--yes", "--wait")
    assert (done.exit_code, done.stderr) == (1, "Error: cetaceanmodel sea/whales was deleted\n")


def test_wait_ends_after_its_timeout(server: KubeServer, live: Object) -> None:
    cluster = Cluster(*load_api_client(str(server.kubeconfig)))
    with pytest.raises(RefusedError, match="not ready after 0 s: the operator has not acted on it yet"):
        wait_until_ready(cluster, "whales", generation=2, seconds=0)


def test_watching_ends_after_six_watches_without_an_event(server: KubeServer, kubectl: Run, live: Object) -> None:
    done = kubectl("status", "whales", "--watch", "-o", "json")
    assert done.exit_code == 3
    assert "ended 6 watches in a row without an event" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_the_gate_is_disabled_and_restored(server: KubeServer, kubectl: Run, live: Object, tmp_path: Path) -> None:
    done = kubectl("emergency", "disable-gate", "whales", "-y")
    assert done.exit_code == 0, done.output
    assert "spec.antiFraud.threshold: 0.52 → 0.0" in done.stdout
    tomorrow = datetime.now(UTC) + timedelta(hours=24)
    assert f"calibrate again within 24 hours, by {tomorrow:%Y-%m-%dT}" in done.stdout
    assert "cetacean emergency restore whales --threshold 0.52" in done.stdout
    assert server.models["whales"]["spec"]["antiFraud"] == {"threshold": 0.0}

    again = kubectl("emergency", "disable-gate", "whales")
    assert (again.exit_code, len(server.patches)) == (0, 1)
    assert "the gate is already disabled" in again.stdout

    file = tmp_path / "t.yaml"
    file.write_text("threshold: 0.61\ncalibrated_at: 2026-05-01T10:00:00Z\n")
    done = kubectl("emergency", "restore", "whales", "--threshold-file", str(file), "-y", "-o", "json")
    result = json.loads(done.stdout)
    assert [change["path"] for change in result["changes"]] == [
        "spec.antiFraud.threshold",
        "spec.antiFraud.calibratedAt",
    ]
    assert server.models["whales"]["spec"]["antiFraud"]["threshold"] == 0.61
    kept = server.models["whales"]["spec"]["antiFraud"]["calibratedAt"]
    assert kept.startswith("2026-05-01")

    assert kubectl("emergency", "restore", "whales", "--threshold", "0.5", "-y").exit_code == 0
    assert server.models["whales"]["spec"]["antiFraud"] == {"threshold": 0.5, "calibratedAt": kept}
    assert "nothing to change" in kubectl("emergency", "restore", "whales", "--threshold", "0.5").stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("threshold: 0.0", "expected a threshold above 0.0"),
        ("threshold: 1.5", "threshold: Input should be less than or equal to 1, got 1.5"),
        ("threshold: high", "threshold: Input should be a valid number, got 'high'"),
        ("- 1", "Input should be a valid dictionary"),
        ("a: [", "expected YAML"),
        (None, "cannot be read"),
    ],
)
def test_restore_needs_a_threshold(
    server: KubeServer, kubectl: Run, live: Object, tmp_path: Path, content: str | None, message: str
) -> None:
    file = tmp_path / "t.yaml"
    if content is not None:
        file.write_text(content)
    done = kubectl("emergency", "restore", "whales", "--threshold-file", str(file), "-y")
    assert (done.exit_code, done.stderr.count("\n"), server.patches) == (2, 1, [])
    assert message in done.stderr


@pytest.mark.parametrize("threshold", ["0", "1.1", "x"])
def test_an_invalid_threshold_is_wrong_usage(kubectl: Run, live: Object, threshold: str) -> None:
    assert kubectl("emergency", "restore", "whales", "--threshold", threshold, "-y").exit_code == 2


def test_status_shows_the_serving_model_and_every_condition(kubectl: Run, live: Object) -> None:
    shown = kubectl("status", "whales").stdout
    assert f"Serving        first 1.0.0 (sha256:{'a' * 12}…)" in shown
    assert "3 wanted, 3 exist, 3 ready, 3 serving the active model" in shown
    rows = {
        line.split()[0]: line.split()[1]
        for line in shown.split("CONDITION", 1)[1].splitlines()[1:]
        if line[:1].isalpha()
    }
    assert rows == {item["type"]: item["status"] for item in live["status"]["conditions"]}
    assert not any(line.endswith(" ") for line in shown.splitlines())

    result = json.loads(kubectl("status", "whales", "-o", "json").stdout)
    assert result["ready"] is True
    assert result["replicas"] == {"wanted": 3, "all": 3, "ready": 3, "active": 3}
    expected = {"name": "first", "version": "1.0.0", "digest": "a" * 64, "definition": definition(model("first"))}
    assert result["serving"] == expected


def test_status_marks_a_status_of_an_older_spec(kubectl: Run, live: Object) -> None:
    live["metadata"]["generation"] = 2
    assert "the operator has not acted on the present spec yet" in kubectl("status", "whales").stdout
    assert json.loads(kubectl("status", "whales", "-o", "json").stdout)["ready"] is False


def test_status_of_a_resource_that_the_operator_has_not_seen(server: KubeServer, kubectl: Run) -> None:
    server.add(manifest(*models(), antiFraud={"threshold": 0.0}))
    shown = kubectl("status", "whales").stdout
    assert "Serving        nothing" in shown
    assert "DISABLED since just now" in shown
    assert "no history yet" in kubectl("history", "whales").stderr


def test_watch_shows_each_change_once(server: KubeServer, kubectl: Run, live: Object) -> None:
    changed = json.loads(json.dumps(live))
    changed["status"]["readyReplicas"] = 2
    server.watches = [[{"type": "ADDED", "object": live}, {"type": "MODIFIED", "object": changed}] * 2]
    server.watches[0] = [*server.watches[0][:2], {"type": "MODIFIED", "object": changed}]
    done = kubectl("status", "whales", "--watch", "-o", "json")
    assert [json.loads(line)["replicas"]["ready"] for line in done.stdout.splitlines()] == [3, 2]


def test_watch_redraws_on_a_terminal_and_ends_at_ctrl_c(
    server: KubeServer, kubectl: Run, live: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    changed = json.loads(json.dumps(live))
    changed["status"]["readyReplicas"] = 2
    server.watches = [[{"type": "MODIFIED", "object": changed}]]

    def ctrl_c(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cetacean_cli.cluster.pause", ctrl_c)
    done = kubectl("status", "whales", "--watch")
    assert done.exit_code == 0
    assert "3 ready" in done.stdout
    assert "2 ready" in done.stdout
    assert "\x1b[" in done.stdout, "drawn in place"


def test_history_shows_the_newest_promotion_first(kubectl: Run, live: Object) -> None:
    (line,) = kubectl("history", "whales").stdout.splitlines()[1:2]
    assert line.split()[:4] == [f"{BEGIN:%Y-%m-%dT%H:%M:%SZ}", "first", "1.0.0", f"sha256:{'a' * 12}…"]
    (result,) = json.loads(kubectl("history", "whales", "-o", "json").stdout)
    assert (result["model"], result["reason"]) == ("first", "GatePassed")


def ready_pod(name: str, *, ready: str = "True", **meta: str) -> Object:
    found = pod_manifest(name, status={"conditions": [{"type": "Ready", "status": ready}]})
    found["metadata"] |= meta
    return found


def test_drift_shows_the_figures_of_each_pod_and_the_pooled_ones(
    server: KubeServer, kubectl: Run, live: Object
) -> None:
    live["status"]["drift"] = {
        "samples": 80,
        "mean": 0.7,
        "baseline": 0.9,
        "drop": 0.2,
        "alarms": 1,
        "podsScraped": 1,
        "podsSilent": 1,
        "signals": [
            {"signal": "CetaceanScore", "state": "Unknown", "reason": "NoBaseline", "samples": 80},
            {
                "signal": "LowConfidence",
                "state": "Raised",
                "reason": "LowConfidenceRisen",
                "value": 0.3,
                "bound": 0.1,
                "samples": 80,
                "nextStep": "train",
            },
        ],
    }
    ending = ready_pod("w-4", deletionTimestamp="now")
    server.pods = [ready_pod("w-2"), ready_pod("w-1"), ready_pod("w-3", ready="False"), ending, ready_pod("w-5")]
    server.pod_responses = {
        "w-1/v1/identity": {"model": {"name": "first", "version": "1.0.0", "architecture": "A"}},
        "w-1/v1/drift-stats": {
            "n": 80,
            "score_mean": 0.7,
            "baseline": 0.9,
            "drop": 0.2,
            "drifting": True,
            "alarms_total": 1,
        },
        "w-2/v1/identity": 503,
        "w-5/v1/identity": "<html>",
    }
    done = kubectl("drift", "whales")
    assert done.exit_code == 0, done.output
    assert "Drop            0.2 (alarm at 0.1)" in done.stdout
    signals = [line.split() for line in done.stdout.partition("SIGNAL ")[2].partition("\n\n")[0].splitlines()[1:]]
    assert signals == [
        ["CetaceanScore", "Unknown", "NoBaseline", "-", "-", "80", "-"],
        ["LowConfidence", "Raised", "LowConfidenceRisen", "0.3", "0.1", "80", "train"],
    ]
    rows = [line.split() for line in done.stdout.split("POD", 1)[1].splitlines()[1:]]
    assert rows[0] == ["w-1", "first", "1.0.0", "80", "0.7", "0.9", "0.2", "yes", "1", "-"]
    assert [row[0] for row in rows] == ["w-1", "w-2", "w-3", "w-4", "w-5"]
    assert " ".join(rows[1]).endswith("503: pod is gone")
    assert " ".join(rows[2]).endswith("not ready")
    assert " ".join(rows[4]).endswith("expected a JSON object in the response, got '<html>\\n'")

    result = json.loads(kubectl("drift", "whales", "-o", "json").stdout)
    assert result["pooled"]["drop"] == 0.2
    assert result["pods"][0]["drift"]["drifting"] is True
    assert (result["policy"]["alarmDrop"], result["condition"]["type"]) == (0.1, "Drifting")
    before = len(server.requests)
    assert kubectl("drift", "whales", "--no-pods").exit_code == 0
    assert len(server.requests) == before + 1


IDENTITY: Object = {"model": {"name": "first", "version": "1.0.0", "architecture": "A"}}
STATS: Object = {"n": 80, "score_mean": 0.7, "baseline": 0.9, "drop": 0.2, "drifting": False, "alarms_total": 1}
DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("identity", "stats", "error"),
    [
        (IDENTITY, STATS | {"drifting": []}, "/v1/drift-stats: drifting: Input should be a valid boolean"),
        (IDENTITY, STATS | {"drifting": {}}, "/v1/drift-stats: drifting: Input should be a valid boolean"),
        (IDENTITY, STATS | {"n": "80"}, "/v1/drift-stats: n: Input should be a valid integer, got '80'"),
        (IDENTITY, STATS | {"n": 10**4000}, "/v1/drift-stats: n: Input should be less than 9007199254740992"),
        (IDENTITY, STATS | {"score_mean": float("nan")}, "/v1/drift-stats: score_mean: Input should be a finite"),
        (IDENTITY, {}, "/v1/drift-stats: n: Field required; score_mean: Field required; "),
        ({"model": []}, STATS, "/v1/identity: model: Input should be a valid dictionary"),
        ({"model": {"name": ["first"], "version": "1"}}, STATS, "/v1/identity: model.name: Input should be a valid st"),
        (
            {"model": IDENTITY["model"] | {"name": "x" * 300}},
            STATS,
            "/v1/identity: model.name: String should have at m",
        ),
    ],
)
def test_an_odd_answer_of_a_pod_is_that_pods_error(
    server: KubeServer, kubectl: Run, live: Object, identity: Object, stats: Object, error: str
) -> None:
    server.pods = [ready_pod("good"), ready_pod("odd")]
    server.pod_responses = {
        "good/v1/identity": IDENTITY,
        "good/v1/drift-stats": STATS,
        "odd/v1/identity": identity,
        "odd/v1/drift-stats": stats,
    }
    done = kubectl("drift", "whales", "-o", "json")
    assert done.exit_code == 0, done.output
    good, odd = json.loads(done.stdout)["pods"]
    assert good == {"pod": "good", **IDENTITY, "drift": STATS}
    assert (odd["pod"], odd["error"][: len(error)]) == ("odd", error)
    assert len(odd["error"]) < 450
    done = kubectl("drift", "whales")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["good", "first", "1.0.0", "80", "0.7", "0.9", "0.2", "no", "1", "-"] in rows


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (DEEP, f"500: {'[' * 100}"),
        (b'{"message": ' + DEEP, '500: {"message": ['),
        (b'{"message": "' + b"x" * 100_000 + b'"}', f"500: {'x' * 100}"),
    ],
    ids=["deep", "deep message", "long message"],
)
def test_an_odd_error_of_a_pod_is_that_pods_error(
    server: KubeServer, kubectl: Run, live: Object, body: bytes, error: str
) -> None:
    server.pods = [ready_pod("good"), ready_pod("odd")]
    server.pod_responses = {"good/v1/identity": IDENTITY, "good/v1/drift-stats": STATS}
    server.pod_errors = {"odd/v1/identity": body}
    done = kubectl("drift", "whales", "-o", "json")
    assert done.exit_code == 0, done.output
    good, odd = json.loads(done.stdout)["pods"]
    assert good["drift"] == STATS
    assert error in odd["error"]
    assert len(odd["error"]) < 2000


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (200, "expected at most 1048576 bytes from /v1/identity, got more"),
        (500, "500: "),
        (403, "rejected the request"),
    ],
)
def test_an_answer_of_a_pod_without_an_end_is_that_pods_error(
    server: KubeServer, kubectl: Run, live: Object, status: int, error: str
) -> None:
    server.pods = [ready_pod("good"), ready_pod("odd")]
    server.pod_responses = {"good/v1/identity": IDENTITY, "good/v1/drift-stats": STATS}
    server.endless = {"odd/v1/identity": status}
    done = kubectl("drift", "whales", "-o", "json")
    assert done.exit_code == 0, done.output
    good, odd = json.loads(done.stdout)["pods"]
    assert good["drift"] == STATS
    assert error in odd["error"]


@pytest.mark.parametrize(("status", "code"), [(401, 3), (500, 3), (503, 3), (403, 1), (409, 1), (422, 1)])
def test_an_error_of_the_server_is_one_line(
    server: KubeServer, kubectl: Run, live: Object, status: int, code: int
) -> None:
    server.error_status = status
    done = kubectl("status", "whales")
    assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (code, 1, "")
    assert "an error for a test" in done.stderr


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "whales?watch=true", "Whales"])
def test_a_name_that_no_resource_can_have_is_not_sent(
    server: KubeServer, kubectl: Run, live: Object, name: str
) -> None:
    for arguments in ((name,), ("whales", "--namespace", name or "/")):
        done = kubectl("status", *arguments)
        assert (done.exit_code, done.stderr.count("\n"), server.requests) == (2, 1, [])
        assert "of lower-case letters, digits, '-' and '.', got " in done.stderr


def test_status_is_one_request_and_writes_no_file(
    server: KubeServer, kubectl: Run, live: Object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert kubectl("status", "whales").exit_code == 0
    assert server.requests == ["/apis/ecomarineai.org/v1alpha1/namespaces/sea/cetaceanmodels/whales"]
    assert list(temporary.iterdir()) == []


def test_a_cluster_without_the_crd_is_reported(server: KubeServer, kubectl: Run, live: Object) -> None:
    server.has_crd = False
    done = kubectl("status", "whales")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "has no such resource of ecomarineai.org: install the operator's CRDs, or check --context" in done.stderr


def test_a_missing_resource_is_reported_with_the_namespace(kubectl: Run, live: Object) -> None:
    done = kubectl("status", "whale")
    assert (done.exit_code, "not found (namespace sea)" in done.stderr) == (2, True)


def test_namespace_and_context_select_the_resource(server: KubeServer, kubectl: Run, live: Object) -> None:
    assert kubectl("status", "whales", "-n", "lake").exit_code == 2
    assert kubectl("status", "whales", "--context", "bare").exit_code == 2
    assert "/namespaces/lake/" in server.requests[0]
    assert "/namespaces/default/" in server.requests[1]
    done = kubectl("status", "whales", "--context", "nowhere")
    assert (done.exit_code, done.stderr.count("\n")) == (3, 1)


def test_an_unreachable_cluster_is_exit_code_3_and_one_line(kubectl: Run, server: KubeServer, tmp_path: Path) -> None:
    done = kubectl("status", "whales", "--kubeconfig", str(tmp_path / "nowhere"))
    assert (done.exit_code, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.startswith("Error: no cluster to connect to")
    text = server.kubeconfig.read_text()
    away = tmp_path / "away"
    away.write_text(text.replace(text.split("server: ")[1].split("\n")[0], "http://127.0.0.1:1"))
    done = kubectl("status", "whales", "--kubeconfig", str(away))
    assert (done.exit_code, done.stderr.count("\n")) == (3, 1)
    assert "http://127.0.0.1:1 does not answer" in done.stderr


@pytest.mark.parametrize("content", ["a: [", "", "- 1", "{contexts: [{name: a}], current-context: a}"])
def test_an_invalid_kubeconfig_is_one_line(kubectl: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "odd").write_text(content)
    done = kubectl("status", "whales", "--kubeconfig", str(tmp_path / "odd"))
    assert (done.exit_code, done.stderr.count("\n")) == (3, 1)


def test_an_invalid_spec_is_reported(kubectl: Run, live: Object) -> None:
    live["spec"]["registry"]["active"] = "gone"
    done = kubectl("promote", "whales", "second", "-y")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "cetaceanmodel sea/whales: spec: registry: active: 'gone' is none of the models" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(5, "5s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172800, "2d"), (-5, "0s")],
)
def test_ages_are_printed_as_by_kubectl(seconds: int, expected: str) -> None:
    assert age(BEGIN.isoformat(), BEGIN + timedelta(seconds=seconds)) == expected
    assert age(None) == age("soon") == "-"
