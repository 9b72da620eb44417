"""Both charts through their lives by Helm 4 with --wait: installed, upgraded, rolled back, uninstalled, installed again.

A model is a release of its own. Whatever is done to the operator's, that model's pods stay the same and go on answering.
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
    """The release of the operator and what there is of it in the cluster."""

    kubectl: Kubectl
    """In its namespace."""
    values: Path
    """Those that the other tests have it installed with."""
    previous: Path
    """The chart as a package of an earlier version."""

    def helm(self, command: str, *arguments: str) -> str:
        """Run a command of Helm on the release."""
        return self.kubectl.run_helm(command, environment.RELEASE, *arguments)

    def pods(self) -> dict[str, dict[str, Any]]:
        """The pods that are not on their way out, by uid."""
        found = self.kubectl.get("pods", "-l", "app.kubernetes.io/name=cetacean-operator")["items"]
        return {pod["metadata"]["uid"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}

    def leads(self, pods: dict[str, dict[str, Any]]) -> bool:
        """Whether one of these pods holds the Lease."""
        holder = self.kubectl.get("lease", environment.RELEASE)["spec"].get("holderIdentity")
        return holder in {pod["metadata"]["name"] for pod in pods.values()}

    def runs(self, version: str) -> dict[str, dict[str, Any]]:
        """Hold it to be all there as this version of the chart has it, now and not in a moment; returns its pods."""
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
    """The model's."""
    file = tmp_path_factory.mktemp("model") / "values.yaml"
    file.write_text(json.dumps({"spec": stage.manifest(NAME, active="demo_v1", replicas=1)["spec"]}))
    return file


@pytest.fixture(scope="module")
def model(operator: Installed, stage: Stage, values: Path) -> Iterator[dict[str, Any]]:
    """A model installed by its chart, as its resource was when Helm came back."""
    assert operator
    stage.kubectl.run_helm("install", NAME, str(MODEL_CHART), "--values", str(values), *WAITING)
    yield stage.resource(NAME)
    stage.kubectl.run_helm("uninstall", NAME)


def standing(stage: Stage) -> dict[str, tuple[str, list[int]]]:
    """What of the model's pods no operator's coming and going may change: template and restarts, by uid."""
    return {
        pod["metadata"]["uid"]: (
            pod["metadata"]["labels"]["pod-template-hash"],
            [container["restartCount"] for container in pod["status"]["containerStatuses"]],
        )
        for pod in stage.pods(NAME)
    }


@pytest.fixture(scope="module")
def traffic(stage: Stage, model: dict[str, Any]) -> Iterator[BackgroundTraffic]:
    """Somebody who goes on asking the model."""
    assert model
    with BackgroundTraffic(stage.service(NAME), stage.models.cetaceans[:4], interval=0.5) as asking:
        yield asking


# In this order: each begins where the one before it ended.


def test_helm_came_back_when_the_model_served_and_not_before(stage: Stage, model: dict[str, Any]) -> None:
    conditions = {item["type"]: item for item in model["status"]["conditions"]}
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == ("True", "Serving")
    assert conditions["Ready"]["observedGeneration"] == model["metadata"]["generation"]
    (pod,) = stage.pods(NAME)
    told = stage.pod_answer(pod, "/v1/identity")
    assert told["ready"]
    assert told["weights"]["sha256"] == stage.registry.model("demo_v1").sha256


def test_a_refused_candidate_ends_the_wait_with_its_own_message(
    stage: Stage, model: dict[str, Any], values: Path
) -> None:
    assert model
    change = ("--values", str(values), "--set", "spec.registry.active=demo_v3")
    # The status of the generation before says Ready: Helm must not take that for an answer.
    with pytest.raises(
        CommandError, match=rf"CetaceanModel/.*/{NAME} not ready. status: Failed, message: .*demo_v3"
    ) as stopped:
        stage.kubectl.run_helm("upgrade", NAME, str(MODEL_CHART), *change, *WAITING)
    assert "deadline" not in str(stopped.value)


def test_the_notes_say_what_works(stage: Stage, model: dict[str, Any], tmp_path: Path) -> None:
    assert model
    found = install(tmp_path)
    for program in (stage.kubectl.kubectl, stage.kubectl.helm):
        (tmp_path / program.name).symlink_to(program)
    shell = Shell(tmp_path, {**found, "KUBECONFIG": str(stage.kubectl.kubeconfig)})
    notes = stage.kubectl.run_helm("get", "notes", NAME)
    commands = [line.strip() for line in notes.splitlines() if line.startswith("  ")]
    assert {line.split()[0] for line in commands} == {"kubectl", "cetacean", "helm"}
    # The way back first, as the candidate was refused.
    for command in sorted(commands, key=lambda line: not line.startswith("helm")):
        done = shell.run(command)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
    assert stage.condition(NAME, "Ready")["status"] == "True"
    assert stage.resource(NAME)["spec"]["registry"]["active"] == "demo_v1"


def test_the_operators_namespace_enforces_the_restricted_standard(released: Operator) -> None:
    labels = released.kubectl.get("namespace", environment.OPERATOR_NAMESPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(released.runs(CURRENT)) == 1


def test_helm_test_passes(released: Operator) -> None:
    said = released.helm("test", "--logs")
    assert "a wrong resource is refused" in said
    assert "is ready: 200" in said
    assert "the operator has reconciled" in said
    assert "Failed" not in said
    assert "helm-test" not in released.kubectl("get", "cetaceanmodels", "-o", "name")


def test_uninstalling_leaves_the_model_serving_and_nothing_else(
    released: Operator, stage: Stage, traffic: BackgroundTraffic
) -> None:
    before, uid = standing(stage), stage.resource(NAME)["metadata"]["uid"]
    released.helm("uninstall", *WAITING)
    selector = "app.kubernetes.io/instance=cetacean-operator"
    until("all that is the operator's to be gone", lambda: not released.kubectl("get", "all,cm,lease", "-l", selector))
    until("its Lease to go", lambda: not released.kubectl("get", "leases", "-o", "name"))
    assert stage.resource(NAME)["metadata"]["uid"] == uid
    assert standing(stage) == before
    asked = sum(traffic.versions.values())
    until("further answers", lambda: sum(traffic.versions.values()) > asked)


def test_an_operator_that_comes_back_takes_the_model_as_it_is(released: Operator, stage: Stage) -> None:
    before = standing(stage)
    change = ("--values", str(released.values), "--set", "settings.logLevel=DEBUG")
    # Neither --take-ownership nor --force-conflicts: the CRD that was kept is this release's own.
    released.helm("install", str(released.previous), *change, *WAITING)
    pods = released.runs(PREVIOUS)
    until("it to lead", lambda: released.leads(pods))
    stage.kubectl("delete", "service", NAME)
    until("it to act on the model", lambda: stage.kubectl("get", "service", NAME, "--ignore-not-found"))
    assert standing(stage) == before


def test_an_upgrade_replaces_the_operator_and_no_model(released: Operator, stage: Stage) -> None:
    before, old = standing(stage), released.pods()
    released.helm("upgrade", str(environment.CHART), "--values", str(released.values), *WAITING)
    pods = released.runs(CURRENT)
    assert not old.keys() & pods.keys()
    until("the new one to lead", lambda: released.leads(pods))
    assert standing(stage) == before


def test_an_upgrade_to_an_image_that_is_not_there_fails_and_the_operator_goes_on(released: Operator) -> None:
    good = released.runs(CURRENT)
    change = ("--values", str(released.values), "--set", "image.tag=absent")
    with pytest.raises(
        CommandError, match=rf"Deployment/{environment.OPERATOR_NAMESPACE}/.* not ready. status: InProgress"
    ):
        released.helm("upgrade", str(environment.CHART), *change, "--wait", "--timeout", "5s")
    pods = released.pods()
    assert {uid: _ready(pod) for uid, pod in pods.items() if uid in good} == dict.fromkeys(good, "True")
    assert [_ready(pod) for uid, pod in pods.items() if uid not in good] == ["False"]
    assert released.leads(good)


def test_a_rollback_brings_the_version_before_back(released: Operator, stage: Stage) -> None:
    before, old = standing(stage), released.pods()
    released.helm("rollback", "1", *WAITING)
    pods = released.runs(PREVIOUS)
    assert not old.keys() & pods.keys()
    until("it to lead", lambda: released.leads(pods))
    assert standing(stage) == before


def test_nobody_who_asked_the_model_has_noticed(released: Operator, stage: Stage, traffic: BackgroundTraffic) -> None:
    # What the other tests stand on.
    released.helm("upgrade", str(environment.CHART), "--values", str(released.values), *WAITING)
    pods = released.runs(CURRENT)
    until("it to lead", lambda: released.leads(pods))
    assert traffic.failures == []
    assert set(traffic.versions) == {stage.registry.model("demo_v1").version}
    assert stage.condition(NAME, "Ready")["status"] == "True"
