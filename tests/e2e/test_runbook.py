"""Every command of docs/runbook.md, run in its order on a cluster in which the incidents have just happened."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest
from PIL import Image
from support.documented import Block, Shell, blocks, missing
from support.plugin import install

from cetacean_evaluation.manifest import CETACEAN, NON_CETACEAN, write_manifest
from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.waiting import until
from cetacean_tools.workspace import REPOSITORY

NAME, FIRST, SECOND, REGRESSED = "on-call", "demo_v1", "demo_v2", "demo_v3"
BLOCKS = list(blocks((REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")))
# Pods that can be overloaded in two seconds, and a service level that they do not keep then.
SERVING = {
    "env": [
        {"name": "CETACEAN_HTTP__TIMEOUT_SECONDS", "value": "2"},
        {"name": "CETACEAN_BATCHING__PREPARE_THREADS", "value": "1"},
    ]
}
SERVICE_LEVEL = {"maxP95Seconds": 0.5}
LARGE = (4000, 4000)
AT_ONCE = 60
"""Of the 64 that are admitted: too many also for processors four times as fast, and some are in time on slow ones."""
EVERY = 7
"""Of the drawn test split's pictures: few, as each model's figures are computed here."""
PYTHON_FOLDER = str(Path(sys.executable).parent)
"""`python3` is the one of `make venv`."""


def drifted(environment: Environment) -> None:
    """Send pictures of which some are in fog, at night or out of focus."""
    models = environment.models
    environment.service(NAME).send([*islice(cycle(models.drifted), 24), *islice(cycle(models.cetaceans), 40)])


def overload(environment: Environment) -> None:
    """Send more pictures at once than the pod can decode within its timeout."""
    service = environment.service(NAME)
    service.send(list(islice(cycle(environment.models.cetaceans), 24)))
    large = io.BytesIO()
    with Image.open(environment.models.cetaceans[0]) as picture:
        picture.resize(LARGE).save(large, "JPEG")
    # Most of a quarter are answered within the timeout, and late; of all of them, only a few.
    service.send_at_once(large.getvalue(), AT_ONCE // 4)
    answers = service.send_at_once(large.getvalue(), AT_ONCE)
    assert answers.keys() == {200, 504}, "some were in time"


def autoscaled(environment: Environment) -> None:
    """Hand the number of pods to an autoscaler with equal bounds."""
    scaling = {"spec": {"serving": {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}}}
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(scaling))

    def has_figures() -> bool:
        found = environment.kubectl.get("horizontalpodautoscalers", "--field-selector", f"metadata.name={NAME}")[
            "items"
        ]
        conditions = [condition for item in found for condition in item.get("status", {}).get("conditions", [])]
        return any(one["type"] == "ScalingActive" and one["status"] == "True" for one in conditions)

    until("the autoscaler to have figures of the pods", has_figures)


def routed_to_no_gateway(environment: Environment) -> None:
    """Name a Gateway that does not exist in the route."""
    route = {"spec": {"serving": {"route": {"parentRefs": [{"name": "absent"}]}}}}
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(route))
    environment.wait_for_condition(NAME, "RouteAccepted", "Unknown", mentions="for Gateway absent")


def something_else_is_sent(environment: Environment) -> None:
    environment.service(NAME).send(list(islice(cycle(environment.models.others), 60)))

    def systemic() -> bool:
        return float(environment.resource(NAME)["status"]["drift"].get("rejectionRate") or 0.0) > 0.5

    until("the operator to see the rejections", systemic)


def asked_for(environment: Environment, active: str, *added: ModelEntry) -> None:
    """Apply the registry with another active model; leave everything else as it is."""
    manifest = environment.manifest(NAME, active=active, added=added)
    manifest["spec"] = environment.resource(NAME)["spec"] | {"registry": manifest["spec"]["registry"]}
    environment.kubectl.apply(manifest)


def wrong_bytes(environment: Environment) -> None:
    broken = environment.copy_of(SECOND, name="demo_broken", version="1.3.0", sha256="0" * 64)
    asked_for(environment, broken.name, broken)


def regressed(environment: Environment) -> None:
    asked_for(environment, REGRESSED)


def not_approved(environment: Environment) -> None:
    """Ask for approvals, and then for a patch of the first model that nobody has approved."""
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec":{"approval":{}}}')
    patch = environment.copy_of(SECOND, name="demo_patch", version=patch_of_the_first(environment, 1))
    asked_for(environment, patch.name, patch)


def hotfix_without_a_review(environment: Environment) -> None:
    """Promote a hotfix that another person has approved, and let the time for its review end."""
    policy = {"spec": {"approval": {"hotfix": {"reviewWithinSeconds": 1}}}}
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(policy))
    version = patch_of_the_first(environment, 2)
    hotfix = environment.copy_of(SECOND, name="demo_hotfix", version=version, hotfix=True)
    environment.kubectl.apply(
        {
            "apiVersion": "ecomarineai.org/v1alpha1",
            "kind": "ModelApproval",
            "metadata": {"name": "by-another-person"},
            "spec": {
                "resource": NAME,
                "candidate": hotfix.name,
                "digest": hotfix.sha256,
                "kind": "Review",
                "approver": "another-person",
            },
        }
    )
    asked_for(environment, hotfix.name, hotfix)


def weights_that_are_not_there(environment: Environment) -> None:
    """Let a Job fetch the weights of an entry that nobody has uploaded."""
    if not environment.cache:
        pytest.skip("needs the local cluster, which has a volume that pods share")
    absent = environment.copy_of(
        SECOND,
        name="demo_absent",
        version=patch_of_the_first(environment, 3),
        weights_url=f"{environment.store}/weights/absent.ckpt",
        sha256="0" * 64,
    )
    asked_for(environment, SECOND, absent)
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec":{"serving":{"prefetch":"All"}}}')


def nothing_is_fetched_any_more(environment: Environment) -> None:
    """The sections that follow need no entry without weights."""
    asked_for(environment, SECOND)
    environment.wait_for_condition(NAME, "Ready", "True", mentions=SECOND)


def inconclusive(environment: Environment) -> None:
    """Let a stage end before it can have shown anything."""
    rollout = {"spec": {"rollout": {"stages": [{"shadow": {}, "timeoutSeconds": 1}]}}}
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(rollout))
    staged = environment.copy_of(SECOND, name="demo_staged", version=patch_of_the_first(environment, 3))
    asked_for(environment, staged.name, staged)


def the_stages_are_over(environment: Environment) -> None:
    """The sections that follow are about a resource without stages."""
    serves(SECOND)(environment)
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec":{"rollout":null}}')


def patch_of_the_first(environment: Environment, number: int) -> str:
    major, minor, patch = environment.registry.model(FIRST).version.split(".")
    return f"{major}.{minor}.{int(patch) + number}"


def the_second_serves_again(environment: Environment) -> None:
    """The sections that follow are about the model that served before the approvals."""
    environment.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec":{"approval":null}}')
    asked_for(environment, SECOND)
    environment.wait_for_condition(NAME, "Ready", "True", mentions=SECOND)

    def left() -> set[str]:
        pods = environment.kubectl.get("pods", "-l", f"ecomarineai.org/cetaceanmodel={NAME}")["items"]
        return {str(pod["metadata"]["annotations"].get("ecomarineai.org/model")) for pod in pods}

    # The sections that follow take the first pod, which may be one that still ends.
    until("the pods of other models to be gone", lambda: left() == {SECOND})
    serves(SECOND)(environment)


def rejects_a_boat(environment: Environment) -> bool:
    return bool(
        environment.service(NAME).predict(environment.models.others[0])["rejection_reason"] == "not_a_marine_mammal"
    )


def the_gate_is_open(environment: Environment) -> None:
    assert not rejects_a_boat(environment)
    answers = [environment.pod_answer(pod, "/v1/identity") for pod in environment.pods(NAME)]
    assert {answer["gate"]["enabled"] for answer in answers} == {False}


def the_gate_is_closed(environment: Environment) -> None:
    assert rejects_a_boat(environment)
    assert environment.condition(NAME, "AntiFraudDisabled")["status"] == "False"


def serves(model: str) -> Callable[[Environment], None]:
    """Return a check that clients get answers of this model, and that the status says so."""

    def check(environment: Environment) -> None:
        assert environment.resource(NAME)["status"]["serving"]["name"] == model
        answers = environment.service(NAME).send(environment.models.cetaceans[:2])
        assert {answer["model_version"] for answer in answers} == {environment.registry.model(model).version}

    return check


INCIDENTS: Mapping[str, Callable[[Environment], None]] = {
    "Drift": drifted,
    "Systemic rejection": something_else_is_sent,
    "Availability": overload,
    "Autoscaling": autoscaled,
    "Route not accepted": routed_to_no_gateway,
    "Rollout stalled": wrong_bytes,
    "Registry diverged": regressed,
    "Approval missing": not_approved,
    "Hotfix review overdue": hotfix_without_a_review,
    "Weights not prefetched": weights_that_are_not_there,
    "Candidate held": inconclusive,
}


# What clients see when it has worked; the runbook's own text says what on-call sees.
WORKED: Mapping[str, Callable[[Environment], None]] = {
    "Promoting a new model 5": serves(SECOND),
    "Demoting 1": serves(FIRST),
    "Fast rollback 1": serves(SECOND),
    "Fast rollback 2": serves(SECOND),
    "Slow rollback 2": serves(SECOND),
    "Gate disabled 1": the_gate_is_open,
    "Gate disabled 2": the_gate_is_closed,
    "Rollout stalled 1": serves(SECOND),
    "Rollout stalled 2": serves(SECOND),
    "Registry diverged 1": serves(SECOND),
    "Registry diverged 2": serves(SECOND),
    "Hotfix review overdue 2": the_second_serves_again,
    "Weights not prefetched 2": nothing_is_fetched_any_more,
    "Candidate returned 2": the_stages_are_over,
}


@dataclass(slots=True)
class OnCall:
    """An engineer on call, with a shell in a checkout of the repository."""

    environment: Environment
    shell: Shell
    _happened: set[str] = field(default_factory=set)

    def comes_to(self, section: str) -> None:
        """Cause the incident that the section is about."""
        if section in INCIDENTS and section not in self._happened:
            INCIDENTS[section](self.environment)
            self._happened.add(section)


def checkout(folder: Path, environment: Environment) -> None:
    """Make a repository whose registry has the first model, with the scripts and some of the drawn pictures."""
    for part in ("models", "reports", "configs", "data"):
        (folder / part).mkdir(parents=True)
    # Scripts find the repository by their own location.
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "inference").symlink_to(REPOSITORY / "inference")
    pictures, split = environment.models.folder / "pictures", folder / "data/test_split"
    split.mkdir()
    (split / "test").symlink_to(pictures / "test")
    with (pictures / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    write_manifest(
        split / "manifest.csv",
        [row for label in (CETACEAN, NON_CETACEAN) for row in rows if row["label"] == label][::EVERY],
    )
    registry = json.loads((environment.models.folder / "registry.json").read_text(encoding="utf-8"))
    registry["models"] = [model for model in registry["models"] if model["name"] == FIRST]
    for model in registry["models"]:
        deployed = environment.registry.model(FIRST)
        model["weights_url"], model["files"] = deployed.weights_url, deployed.files
    registry["active"] = FIRST
    (folder / "models/registry.json").write_text(json.dumps(registry, indent=2) + "\n", encoding="utf-8")
    shutil.copy(environment.models.folder / "anti_fraud_threshold.yaml", folder / "configs")
    manifest = environment.manifest(NAME, active=FIRST, replicas=1, serving=SERVING)
    manifest["spec"]["serviceLevel"] = SERVICE_LEVEL
    (folder / f"{NAME}.yaml").write_text(json.dumps(manifest), encoding="utf-8")


def the_gates_model(environment: Environment, cache: Path) -> dict[str, str]:
    """Return the settings of the gate's own model, and of an empty cache."""
    gate = environment.models.gate(environment.models.folder.as_uri())
    names = {"architecture": "ARCHITECTURE", "configURL": "CONFIG_URL", "weightsURL": "WEIGHTS_URL", "sha256": "SHA256"}
    return {f"CETACEAN_GATE__{name}": gate[key] for key, name in names.items()} | {"CETACEAN_CACHE": str(cache)}


def placeholders(environment: Environment) -> dict[str, str]:
    """Return values for the runbook's placeholders."""
    candidate = environment.registry.model(SECOND)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "NAME": NAME,
        "NAMESPACE": environment.kubectl.namespace,
        "OPERATOR_NAMESPACE": installation.OPERATOR_NAMESPACE,
        "CANDIDATE": SECOND,
        "VERSION": candidate.version,
        "CHECKPOINT": str(environment.models.folder / str(candidate.weights_path)),
        "WEIGHTS_URL": candidate.weights_url,
        "SNAPSHOT": f"reports/{SECOND}.json",
        "LIKE": FIRST,
        "PICTURE": str(environment.models.cetaceans[0]),
        "PORT": str(port),
        "REPLICAS": "2",
    }


@pytest.fixture(scope="module")
def on_call(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCall]:
    folder, programs = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("programs")
    checkout(folder, environment)
    found = install(programs)
    (programs / "kubectl").symlink_to(environment.kubectl.kubectl)
    variables = {**found, **placeholders(environment), "KUBECONFIG": str(environment.kubectl.kubeconfig)}
    variables |= the_gates_model(environment, tmp_path_factory.mktemp("cache"))
    variables["PATH"] = os.pathsep.join([str(programs), PYTHON_FOLDER, os.environ["PATH"]])
    variables |= {f"GIT_{who}_{what}": "on-call" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    # Small networks: two threads would only wait for each other.
    variables["OMP_NUM_THREADS"] = "1"
    weights = str(environment.models.folder / str(environment.registry.model(FIRST).weights_path))
    measuring = ("scripts/compute_metrics.py", "--weights", weights, "--out", f"reports/{FIRST}.json")
    with subprocess.Popen(["python3", *measuring], cwd=folder, env=variables) as measured:
        environment.kubectl.apply(json.loads((folder / f"{NAME}.yaml").read_text(encoding="utf-8")))
        environment.wait_for_condition(NAME, "Ready", "True")
    assert measured.returncode == 0
    origin = tmp_path_factory.mktemp("origin")
    for arguments in (
        ("init", "-q", "--bare", "-b", "main", str(origin)),
        ("init", "-q", "-b", "main"),
        ("remote", "add", "origin", str(origin)),
        ("add", "."),
        ("commit", "-qm", "Begin"),
        ("push", "-qu", "origin", "main"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, env=variables, check=True)
    yield OnCall(environment, Shell(folder, variables))
    environment.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


# In their order: each begins where the one before it ended.
@pytest.mark.usefixtures("metrics")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_a_block_of_the_runbook_gives_the_documented_output(on_call: OnCall, block: Block) -> None:
    on_call.comes_to(block.section)
    done = on_call.shell.run(block.commands)
    assert done.returncode == 0, f"{block.commands}\n{done.stdout}"
    absent = missing(block.expected, done.stdout)
    assert absent is None, f"expected to see {absent!r} after\n{block.commands}\ngot:\n{done.stdout}"
    if block.title in WORKED:
        WORKED[block.title](on_call.environment)


def test_every_incident_and_every_check_belongs_to_a_block() -> None:
    assert set(INCIDENTS) <= {block.section for block in BLOCKS}
    assert set(WORKED) <= {block.title for block in BLOCKS}
