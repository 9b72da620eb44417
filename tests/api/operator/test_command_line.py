"""`kubectl cetacean` with a real API server and the operator: kubectl finds the plugin, and its changes are reconciled."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.live_operator import OperatorProcess, condition, model, wait_until_observed
from support.plugin import install

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

Plugin = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with both programs on the PATH."""
    return install(tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="module")
def flags(namespaced: Kubectl) -> list[str]:
    context = ["--context", namespaced.context] if namespaced.context else []
    return ["--kubeconfig", str(namespaced.kubeconfig), "-n", namespaced.namespace, *context]


@pytest.fixture(scope="module")
def plugin(
    namespaced: Kubectl, namespaced_operator: OperatorProcess, environment: dict[str, str], flags: list[str]
) -> Plugin:
    """A function that runs `kubectl cetacean …` in the module's namespace."""
    assert namespaced_operator

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(namespaced.kubectl), "cetacean", *arguments, *flags]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run


def applied(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Apply a resource with two models that pass the gate and one that does not, without pods."""
    resource = model(name)
    bad = json.loads(json.dumps(resource["spec"]["registry"]["models"][1]))
    bad |= {"name": "bad", "version": "1.2.0", "sha256": "c" * 64}
    bad["metrics"]["tnr"] = 0.5
    resource["spec"]["registry"]["models"].append(bad)
    kubectl.apply(resource)
    return wait_until_observed(kubectl, name)


def test_kubectl_finds_the_plugin(namespaced: Kubectl, environment: dict[str, str]) -> None:
    command = [str(namespaced.kubectl), "cetacean", "rollback", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: kubectl cetacean rollback [OPTIONS] NAME")


def test_promote_and_rollback_change_the_active_model(namespaced: Kubectl, plugin: Plugin) -> None:
    applied(namespaced, "promoted")
    tried = plugin("promote", "promoted", "second", "--dry-run")
    assert tried.returncode == 0, tried.stderr
    assert "dry run: nothing was changed" in tried.stdout
    assert namespaced.get("cetaceanmodel", "promoted")["metadata"]["generation"] == 1

    done = plugin("promote", "promoted", "second", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert "promoted is ready: no replica of second 1.1.0 is wanted" in done.stderr
    refused = plugin("promote", "promoted", "bad", "--yes")
    assert refused.returncode == 1
    assert "GateRefused: bad is refused" in refused.stderr

    done = plugin("rollback", "promoted", "--yes", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changes"] == [{"path": "spec.registry.active", "from": "second", "to": "first"}]
    history = json.loads(plugin("history", "promoted", "-o", "json").stdout)
    assert [item["model"] for item in history] == ["first", "second", "first"]
    status = json.loads(plugin("status", "promoted", "-o", "json").stdout)
    assert (status["active"]["name"], status["ready"], status["generation"]) == ("first", True, 3)


def test_emergency_disables_the_gate_and_restore_enables_it(namespaced: Kubectl, plugin: Plugin) -> None:
    applied(namespaced, "emergency")
    assert plugin("emergency", "disable-gate", "emergency", "--yes", "--wait").returncode == 0
    assert condition(wait_until_observed(namespaced, "emergency"), "AntiFraudDisabled")["status"] == "True"
    assert "DISABLED since 20" in plugin("status", "emergency").stdout
    restored = plugin("emergency", "restore", "emergency", "--threshold", "0.61", "--yes", "--wait")
    assert restored.returncode == 0, restored.stderr
    found = wait_until_observed(namespaced, "emergency")
    assert found["spec"]["antiFraud"]["threshold"] == 0.61
    assert condition(found, "AntiFraudDisabled")["status"] == "False"


def test_status_watch_prints_changes_until_it_is_interrupted(
    namespaced: Kubectl, plugin: Plugin, environment: dict[str, str], flags: list[str], tmp_path: Path
) -> None:
    applied(namespaced, "watched")
    output = tmp_path / "watched"
    with output.open("wb") as stream:
        watching = subprocess.Popen(
            ["cetacean", "status", "watched", "--watch", "-o", "json", *flags], env=environment, stdout=stream
        )

    def seen(name: str) -> bool:
        lines = output.read_text().splitlines()
        return any((status := json.loads(line))["active"]["name"] == name and status["ready"] for line in lines)

    until("the present state", lambda: seen("first"), within=20)
    assert plugin("promote", "watched", "second", "--yes").returncode == 0
    until("the promotion to be seen", lambda: seen("second"), within=20)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=10) == 0


def test_another_manager_of_the_resource_is_named_in_a_warning(namespaced: Kubectl, plugin: Plugin) -> None:
    resource = json.dumps(model("managed"))
    namespaced("apply", "--server-side", "--field-manager=argocd-controller", "-f", "-", stdin=resource)
    wait_until_observed(namespaced, "managed")
    done = plugin("promote", "managed", "second", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "warning: Argo CD manages" in done.stderr
    assert plugin("status", "nowhere").returncode == 2
