"""Both charts with Helm 4 and --wait: installed, upgraded, rolled back, uninstalled, installed again.

A model is a release of its own. During every change of the operator's release the model's pods stay the same and answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.documented import Shell
from support.plugin import install

from demo import environment
from demo.kubectl import CommandError, Kubectl
from demo.stage import Installed, Stage
from demo.traffic import BackgroundTraffic
from demo.waiting import until

NAME = "released"
MODEL_CHART = environment.REPOSITORY / "charts/cetacean-model"
PREVIOUS = "0.0.1"
CURRENT = str(yaml.safe_load((environment.CHART / "Chart.yaml").read_text())["version"])
WAITING = ("--wait", "--timeout", "2m")


@dataclass(frozen=True, slots=True)
class Operator:
    """The release of the operator, and its objects in the cluster."""

    kubectl: Kubectl
    """kubectl in the release's namespace."""
    values: Path
    """The values with which the other tests have it installed."""
    previous: Path
    """The chart as a package with an earlier version."""

    def helm(self, command: str, *arguments: str) -> str:
        """Run a command of Helm on the release."""
        return self.kubectl.run_helm(command, environment.RELEASE, *arguments)

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods that are not terminating, by uid."""
        found = self.kubectl.get("pods", "-l", "app.kubernetes.io/name=cetacean-operator")["items"]
        return {pod["metadata"]["uid"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def leads(self, pods: dict[str, dict[str, Any]]) -> bool:
        """Return true if one of these pods holds the Lease."""
        holder = self.kubectl.get("lease", environment.RELEASE)["spec"].get("holderIdentity")
        return holder in {pod["metadata"]["name"] for pod in pods.values()}

    def assert_runs(self, version: str) -> dict[str, dict[str, Any]]:
        """Assert, without waiting, that this version of the chart is rolled out; return its pods."""
        deployment = self.kubectl.get("deployment", environment.RELEASE)
        assert deployment["metadata"]["labels"]["helm.sh/chart"] == f"cetacean-operator-{version}"
        assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
        assert deployment["status"]["updatedReplicas"] == deployment["status"]["readyReplicas"] == 1
        pods = self.pods()
        assert [_ready(pod) for pod in pods.values()] == ["True"]
        level = {
            item["name"]: item.get("value") for pod in pods.values() for item in pod["spec"]["containers"][0]["env"]
        }
        assert level["CETACEAN_OPERATOR_LOG_LEVEL"] == ("DEBUG" if version == PREVIOUS else "INFO")
        return pods


def _ready(pod: dict[str, Any]) -> str:
    (status,) = [item["status"] for item in pod["status"]["conditions"] if item["type"] == "Ready"]
    return str(status)


@pytest.fixture(scope="module")
def released(operator: Installed, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    folder = tmp_path_factory.mktemp("charts")
    inside = replace(operator.kubectl, namespace=environment.OPERATOR_NAMESPACE)
    values = folder / "values.yaml"
    values.write_text(inside.run_helm("get", "values", environment.RELEASE, "-o", "yaml"))
    inside.run_helm("package", str(environment.CHART), "--version", PREVIOUS, "--destination", str(folder))
    return Operator(inside, values, folder / f"cetacean-operator-{PREVIOUS}.tgz")


@pytest.fixture(scope="module")
def values(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The values of the model's release."""
    file = tmp_path_factory.mktemp("model") / "values.yaml"
    file.write_text(json.dumps({"spec": stage.manifest(NAME, active="demo_v1", replicas=1)["spec"]}))
    return file


@pytest.fixture(scope="module")
def model(operator: Installed, stage: Stage, values: Path) -> Iterator[dict[str, Any]]:
    """The resource of a model that its chart has installed, as it was when Helm returned."""
    assert operator
    stage.kubectl.run_helm("install", NAME, str(MODEL_CHART), "--values", str(values), *WAITING)
    yield stage.resource(NAME)
    stage.kubectl.run_helm("uninstall", NAME)


def pod_identity(stage: Stage) -> dict[str, tuple[str, list[int]]]:
    """Return template hash and restarts of the model's pods by uid: no change of the operator may change them."""
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["labels"]["pod-template-hash"],
            [container["restartCount"] for container in pod["status"]["containerStatuses"]],
        )
        for pod in stage.pods(NAME)
    }


@pytest.fixture(scope="module")
def traffic(stage: Stage, model: dict[str, Any]) -> Iterator[BackgroundTraffic]:
    """Traffic that the model gets during all tests."""
    assert model
    with BackgroundTraffic(stage.service(NAME), stage.models.cetaceans[:4], interval=0.5) as background:
        yield background


# The order matters: each test starts in the state that the one before it left.


def test_helm_install_of_a_model_returns_once_it_serves(stage: Stage, model: dict[str, Any]) -> None:
    conditions = {item["type"]: item for item in model["status"]["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "Serving")
    assert conditions["Ready"]["observedGeneration"] == model["metadata"]["generation"]
    (pod,) = stage.pods(NAME)
    identity = stage.pod_answer(pod, "/v1/identity")
    assert identity["ready"]
    assert identity["weights"]["sha256"] == stage.registry.model("demo_v1").sha256


def test_helm_upgrade_to_a_refused_candidate_fails_with_its_message(
    stage: Stage, model: dict[str, Any], values: Path
) -> None:
    assert model
    change = ("--values", str(values), "--set", "spec.registry.active=demo_v3")
    # The status of the earlier generation is Ready: Helm must not return because of it.
    with pytest.raises(
        CommandError, match=rf"CetaceanModel/.*/{NAME} not ready. status: Failed, message: .*demo_v3"
    ) as stopped:
        stage.kubectl.run_helm("upgrade", NAME, str(MODEL_CHART), *change, *WAITING)
    assert "deadline" not in str(stopped.value)


def test_the_commands_in_the_notes_of_the_model_work(stage: Stage, model: dict[str, Any], tmp_path: Path) -> None:
    assert model
    found = install(tmp_path)
    for program in (stage.kubectl.kubectl, stage.kubectl.helm):
        (tmp_path / program.name).symlink_to(program)
    shell = Shell(tmp_path, {**found, "KUBECONFIG": str(stage.kubectl.kubeconfig)})
    notes = stage.kubectl.run_helm("get", "notes", NAME)
    commands = [line.strip() for line in notes.splitlines() if line.startswith("  ")]
    assert {line.split()[0] for line in commands} == {"kubectl", "cetacean", "helm"}
    # The rollback comes first, as the candidate was refused.
    for command in sorted(commands, key=lambda line: not line.startswith("helm")):
        done = shell.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert stage.condition(NAME, "Ready")["status"] == "True"
    assert stage.resource(NAME)["spec"]["registry"]["active"] == "demo_v1"


def test_the_operators_namespace_enforces_the_restricted_standard(released: Operator) -> None:
    labels = released.kubectl.get("namespace", environment.OPERATOR_NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(released.assert_runs(CURRENT)) == 1


def test_helm_test_of_the_operator_passes(released: Operator) -> None:
    output = released.helm("test", "--logs")
    assert "a wrong resource is refused" in output
    assert "is ready: 200" in output
    assert "the operator has reconciled" in output
    assert "Failed" not in output
    assert "helm-test" not in released.kubectl("get", "cetaceanmodels", "-o", "name")


def test_uninstalling_the_operator_deletes_its_objects_and_the_model_serves_on(
    released: Operator, stage: Stage, traffic: BackgroundTraffic
) -> None:
    before, uid = pod_identity(stage), stage.resource(NAME)["metadata"]["uid"]
    released.helm("uninstall", *WAITING)
    selector = "app.kubernetes.io/instance=cetacean-operator"
    until(
        "all objects of the operator to be deleted", lambda: not released.kubectl("get", "all,cm,lease", "-l", selector)
    )
    until("its Lease to be deleted", lambda: not released.kubectl("get", "leases", "-o", "name"))
    assert stage.resource(NAME)["metadata"]["uid"] == uid
    assert pod_identity(stage) == before
    answered = sum(traffic.versions.values())
    until("further answers", lambda: sum(traffic.versions.values()) > answered)


def test_a_newly_installed_operator_keeps_the_pods_of_the_model(released: Operator, stage: Stage) -> None:
    before = pod_identity(stage)
    change = ("--values", str(released.values), "--set", "settings.logLevel=DEBUG")
    # No --take-ownership and no --force-conflicts: the kept CRD belongs to this release.
    released.helm("install", str(released.previous), *change, *WAITING)
    pods = released.assert_runs(PREVIOUS)
    until("it to lead", lambda: released.leads(pods))
    stage.kubectl("delete", "service", NAME)
    until("it to act on the model", lambda: stage.kubectl("get", "service", NAME, "--ignore-not-found"))
    assert pod_identity(stage) == before


def test_an_upgrade_replaces_the_operators_pods_and_not_the_models(released: Operator, stage: Stage) -> None:
    before, old = pod_identity(stage), released.pods()
    released.helm("upgrade", str(environment.CHART), "--values", str(released.values), *WAITING)
    pods = released.assert_runs(CURRENT)
    assert not old.keys() & pods.keys()
    until("the new one to lead", lambda: released.leads(pods))
    assert pod_identity(stage) == before


def test_an_upgrade_to_an_absent_image_fails_and_the_old_operator_leads_on(released: Operator) -> None:
    good = released.assert_runs(CURRENT)
    change = ("--values", str(released.values), "--set", "image.tag=absent")
    with pytest.raises(
        CommandError, match=rf"Deployment/{environment.OPERATOR_NAMESPACE}/.* not ready. status: InProgress"
    ):
        released.helm("upgrade", str(environment.CHART), *change, "--wait", "--timeout", "5s")
    pods = released.pods()
    assert {uid: _ready(pod) for uid, pod in pods.items() if uid in good} == dict.fromkeys(good, "True")
    assert [_ready(pod) for uid, pod in pods.items() if uid not in good] == ["False"]
    assert released.leads(good)


def test_helm_rollback_restores_the_earlier_version_of_the_operator(released: Operator, stage: Stage) -> None:
    before, old = pod_identity(stage), released.pods()
    released.helm("rollback", "1", *WAITING)
    pods = released.assert_runs(PREVIOUS)
    assert not old.keys() & pods.keys()
    until("it to lead", lambda: released.leads(pods))
    assert pod_identity(stage) == before


def test_no_request_to_the_model_failed_during_the_changes_of_the_operator(
    released: Operator, stage: Stage, traffic: BackgroundTraffic
) -> None:
    # The other tests need this version.
    released.helm("upgrade", str(environment.CHART), "--values", str(released.values), *WAITING)
    pods = released.assert_runs(CURRENT)
    until("it to lead", lambda: released.leads(pods))
    assert traffic.failures == []
    assert set(traffic.versions) == {stage.registry.model("demo_v1").version}
    assert stage.condition(NAME, "Ready")["status"] == "True"
