"""Both charts through their lives by Helm 4 with --wait: installed, upgraded, rolled back, uninstalled, installed again.

A model is a release of its own. Whatever happens to the operator's release, the model's pods stay the same and go on serving.
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

from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import Environment, Installed
from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.traffic import BackgroundTraffic
from cetacean_tools.demo.waiting import until
from cetacean_tools.workspace import REPOSITORY

NAME = "released"
MODEL_CHART = REPOSITORY / "charts/cetacean-model"
PREVIOUS = "0.0.1"
CURRENT = str(yaml.safe_load((installation.CHART / "Chart.yaml").read_text())["version"])
WAITING = ("--wait", "--timeout", "2m")


@dataclass(frozen=True, slots=True)
class Operator:
    """The release of the operator and its objects in the cluster."""

    kubectl: Kubectl
    """In its namespace."""
    values: Path
    """Those that the other tests have it installed with."""
    previous: Path
    """The chart as a package of an earlier version."""

    def helm(self, command: str, *arguments: str) -> str:
        """Run a command of Helm on the release."""
        return self.kubectl.run_helm(command, installation.RELEASE, *arguments)

    def pods(self) -> dict[str, dict[str, Any]]:
        """Return the pods that are not being deleted, by uid."""
        found = self.kubectl.get("pods", "-l", "app.kubernetes.io/name=cetacean-operator")["items"]
        return {pod["metadata"]["uid"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def leads(self, pods: dict[str, dict[str, Any]]) -> bool:
        """Return true if one of these pods holds the Lease."""
        holder = self.kubectl.get("lease", installation.RELEASE)["spec"].get("holderIdentity")
        return holder in {pod["metadata"]["name"] for pod in pods.values()}

    def runs(self, version: str) -> dict[str, dict[str, Any]]:
        """Check that all of it runs now as this version of the chart has it; return its pods."""
        deployment = self.kubectl.get("deployment", installation.RELEASE)
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
    inside = replace(operator.kubectl, namespace=installation.OPERATOR_NAMESPACE)
    values = folder / "values.yaml"
    values.write_text(inside.run_helm("get", "values", installation.RELEASE, "-o", "yaml"))
    inside.run_helm("package", str(installation.CHART), "--version", PREVIOUS, "--destination", str(folder))
    return Operator(inside, values, folder / f"cetacean-operator-{PREVIOUS}.tgz")


@pytest.fixture(scope="module")
def values(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The values of the model's release."""
    file = tmp_path_factory.mktemp("model") / "values.yaml"
    file.write_text(json.dumps({"spec": environment.manifest(NAME, active="demo_v1", replicas=1)["spec"]}))
    return file


@pytest.fixture(scope="module")
def model(operator: Installed, environment: Environment, values: Path) -> Iterator[dict[str, Any]]:
    """A model installed by its chart: its resource at the moment when Helm returned."""
    assert operator
    environment.kubectl.run_helm("install", NAME, str(MODEL_CHART), "--values", str(values), *WAITING)
    yield environment.resource(NAME)
    environment.kubectl.run_helm("uninstall", NAME)


def standing(environment: Environment) -> dict[str, tuple[str, list[int]]]:
    """Return template and restarts of the model's pods, by uid: a change of the operator must not change them."""
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["labels"]["pod-template-hash"],
            [container["restartCount"] for container in pod["status"]["containerStatuses"]],
        )
        for pod in environment.pods(NAME)
    }


@pytest.fixture(scope="module")
def traffic(environment: Environment, model: dict[str, Any]) -> Iterator[BackgroundTraffic]:
    """A client that sends requests to the model all the time."""
    assert model
    with BackgroundTraffic(environment.service(NAME), environment.models.cetaceans[:4], interval=0.5) as client:
        yield client


# In this order: each begins where the one before it ended.


def test_helm_returns_once_the_model_serves(environment: Environment, model: dict[str, Any]) -> None:
    conditions = {item["type"]: item for item in model["status"]["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "Serving")
    assert conditions["Ready"]["observedGeneration"] == model["metadata"]["generation"]
    (pod,) = environment.pods(NAME)
    identity = environment.pod_answer(pod, "/v1/identity")
    assert identity["ready"]
    assert identity["weights"]["sha256"] == environment.registry.model("demo_v1").sha256


def test_a_refused_candidate_ends_the_wait_with_its_own_message(
    environment: Environment, model: dict[str, Any], values: Path
) -> None:
    assert model
    change = ("--values", str(values), "--set", "spec.registry.active=demo_v3")
    # The status of the generation before says Ready: Helm must not take that for an answer.
    with pytest.raises(
        CommandError, match=rf"CetaceanModel/.*/{NAME} not ready. status: Failed, message: .*demo_v3"
    ) as stopped:
        environment.kubectl.run_helm("upgrade", NAME, str(MODEL_CHART), *change, *WAITING)
    assert "deadline" not in str(stopped.value)


def test_the_commands_of_the_notes_work(environment: Environment, model: dict[str, Any], tmp_path: Path) -> None:
    assert model
    found = install(tmp_path)
    for program in (environment.kubectl.kubectl, environment.kubectl.helm):
        (tmp_path / program.name).symlink_to(program)
    shell = Shell(tmp_path, {**found, "KUBECONFIG": str(environment.kubectl.kubeconfig)})
    notes = environment.kubectl.run_helm("get", "notes", NAME)
    commands = [line.strip() for line in notes.splitlines() if line.startswith("  ")]
    assert {line.split()[0] for line in commands} == {"kubectl", "cetacean", "helm"}
    # The way back first, as the candidate was refused.
    for command in sorted(commands, key=lambda line: not line.startswith("helm")):
        done = shell.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert environment.condition(NAME, "Ready")["status"] == "True"
    assert environment.resource(NAME)["spec"]["registry"]["active"] == "demo_v1"


def test_the_operators_namespace_enforces_the_restricted_standard(released: Operator) -> None:
    labels = released.kubectl.get("namespace", installation.OPERATOR_NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(released.runs(CURRENT)) == 1


def test_helm_test_of_the_operator_passes(released: Operator) -> None:
    said = released.helm("test", "--logs")
    assert "a wrong resource is refused" in said
    assert "is ready: 200" in said
    assert "the operator has reconciled" in said
    assert "Failed" not in said
    assert "helm-test" not in released.kubectl("get", "cetaceanmodels", "-o", "name")


def test_uninstalling_the_operator_leaves_only_the_model_which_serves(
    released: Operator, environment: Environment, traffic: BackgroundTraffic
) -> None:
    before, uid = standing(environment), environment.resource(NAME)["metadata"]["uid"]
    released.helm("uninstall", *WAITING)
    selector = "app.kubernetes.io/instance=cetacean-operator"
    until("all that is the operator's to be gone", lambda: not released.kubectl("get", "all,cm,lease", "-l", selector))
    until("its Lease to go", lambda: not released.kubectl("get", "leases", "-o", "name"))
    assert environment.resource(NAME)["metadata"]["uid"] == uid
    assert standing(environment) == before
    asked = sum(traffic.versions.values())
    until("further answers", lambda: sum(traffic.versions.values()) > asked)


def test_a_reinstalled_operator_does_not_change_the_model(released: Operator, environment: Environment) -> None:
    before = standing(environment)
    change = ("--values", str(released.values), "--set", "settings.logLevel=DEBUG")
    # Neither --take-ownership nor --force-conflicts: the CRD that was kept is this release's own.
    released.helm("install", str(released.previous), *change, *WAITING)
    pods = released.runs(PREVIOUS)
    until("it to lead", lambda: released.leads(pods))
    environment.kubectl("delete", "service", NAME)
    until("it to act on the model", lambda: environment.kubectl("get", "service", NAME, "--ignore-not-found"))
    assert standing(environment) == before


def test_an_upgrade_replaces_the_operators_pods_only(released: Operator, environment: Environment) -> None:
    before, old = standing(environment), released.pods()
    released.helm("upgrade", str(installation.CHART), "--values", str(released.values), *WAITING)
    pods = released.runs(CURRENT)
    assert not old.keys() & pods.keys()
    until("the new one to lead", lambda: released.leads(pods))
    assert standing(environment) == before


def test_an_upgrade_to_an_absent_image_fails_and_the_old_operator_leads_on(released: Operator) -> None:
    good = released.runs(CURRENT)
    change = ("--values", str(released.values), "--set", "image.tag=absent")
    with pytest.raises(
        CommandError, match=rf"Deployment/{installation.OPERATOR_NAMESPACE}/.* not ready. status: InProgress"
    ):
        released.helm("upgrade", str(installation.CHART), *change, "--wait", "--timeout", "5s")
    pods = released.pods()
    assert {uid: _ready(pod) for uid, pod in pods.items() if uid in good} == dict.fromkeys(good, "True")
    assert [_ready(pod) for uid, pod in pods.items() if uid not in good] == ["False"]
    assert released.leads(good)


def test_a_rollback_restores_the_previous_version(released: Operator, environment: Environment) -> None:
    before, old = standing(environment), released.pods()
    released.helm("rollback", "1", *WAITING)
    pods = released.runs(PREVIOUS)
    assert not old.keys() & pods.keys()
    until("it to lead", lambda: released.leads(pods))
    assert standing(environment) == before


def test_no_request_to_the_model_has_failed(
    released: Operator, environment: Environment, traffic: BackgroundTraffic
) -> None:
    # What the other tests stand on.
    released.helm("upgrade", str(installation.CHART), "--values", str(released.values), *WAITING)
    pods = released.runs(CURRENT)
    until("it to lead", lambda: released.leads(pods))
    assert traffic.failures == []
    assert set(traffic.versions) == {environment.registry.model("demo_v1").version}
    assert environment.condition(NAME, "Ready")["status"] == "True"
