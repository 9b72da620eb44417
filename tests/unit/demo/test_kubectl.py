"""kubectl and helm: bound to one cluster and namespace, each call shown, each failure an error."""

from __future__ import annotations

import json
import stat

import pytest

from cetacean_tools.demo.kubectl import CommandError

from .conftest import Machine


def test_a_call_is_bound_to_its_cluster_and_shown_with_its_output(machine: Machine) -> None:
    kubectl = machine.kubectl("echo one; echo two")
    assert kubectl("rollout", "status", "deployment/a") == "one\ntwo\n"
    kubeconfig = str(machine.folder / "kubeconfig")
    assert machine.arguments("kubectl") == [
        *("--kubeconfig", kubeconfig, "--namespace", "sea"),
        *("rollout", "status", "deployment/a"),
    ]
    assert machine.shown == ["$ kubectl -n sea rollout status deployment/a", "  one", "  two"]


def test_a_context_is_passed_by_the_name_each_program_has_for_it(machine: Machine) -> None:
    kubectl = machine.kubectl("true", context="mine")
    kubectl("version")
    kubectl.run_helm("list")
    assert machine.arguments("kubectl")[4:] == ["--context", "mine", "version"]
    assert machine.arguments("helm")[4:] == ["--kube-context", "mine", "list"]
    assert kubectl.command("proxy")[5:] == ["--context", "mine", "proxy"]
    assert machine.shown == ["$ kubectl -n sea version", "$ helm -n sea list"]


def test_a_failure_names_the_command_and_its_output(machine: Machine) -> None:
    kubectl = machine.kubectl("echo out; echo wrong >&2; exit 3")
    with pytest.raises(CommandError) as failed:
        kubectl("get", "pods")
    assert str(failed.value) == "`kubectl -n sea get pods` exited 3: wrong"


def test_a_failure_without_standard_error_has_the_standard_output(machine: Machine) -> None:
    with pytest.raises(CommandError, match=r"exited 1: said here$"):
        machine.kubectl("echo said here; exit 1")("get", "pods")


def test_a_call_that_hangs_is_ended(machine: Machine) -> None:
    with pytest.raises(CommandError, match=r"`kubectl -n sea wait` did not end within 0 s"):
        machine.kubectl("exec sleep 1000")("wait", timeout=0.05)


def test_get_is_parsed_and_not_shown(machine: Machine) -> None:
    kubectl = machine.kubectl("""echo '{"items": [1]}'""")
    assert kubectl.get("pods", "-l", "a=b") == {"items": [1]}
    assert machine.arguments("kubectl")[4:] == ["get", "pods", "-l", "a=b", "-o", "json"]
    assert machine.shown == []


def test_apply_sends_one_object(machine: Machine) -> None:
    manifest = {"kind": "ConfigMap", "metadata": {"name": "ü"}}
    kubectl = machine.kubectl(f"cat >{machine.folder}/sent; echo created")
    assert kubectl.apply(manifest) == "created\n"
    assert json.loads((machine.folder / "sent").read_text()) == manifest
    assert machine.arguments("kubectl")[4:] == ["apply", "-f", "-"]


def test_json_output_is_not_shown(machine: Machine) -> None:
    kubectl = machine.kubectl("echo '{}'")
    kubectl("get", "pods", "-o", "json")
    kubectl("get", "pods")
    assert machine.shown == ["$ kubectl -n sea get pods -o json", "$ kubectl -n sea get pods", "  {}"]


def test_a_program_that_is_missing_is_an_error(machine: Machine) -> None:
    kubectl = machine.kubectl("true")
    kubectl.kubectl.chmod(stat.S_IRUSR)
    with pytest.raises(PermissionError):
        kubectl("version")
