"""Every command of docs/runbook.md, typed in its order on a cluster in which the incidents have just happened."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest
from documented import Block, Shell, blocks, missing
from plugin import install

from demo import environment
from demo.stage import Stage
from demo.waiting import until

REPOSITORY = environment.REPOSITORY
NAME, FIRST, SECOND, REGRESSED = "on-call", "demo_v1", "demo_v2", "demo_v3"
BLOCKS = [block for block in blocks((REPOSITORY / "docs/runbook.md").read_text(encoding="utf-8")) if not block.not_run]


def drifted(stage: Stage) -> None:
    stage.service(NAME).send(list(islice(cycle(stage.models.drifted), 60)))


def traffic(stage: Stage) -> None:
    stage.service(NAME).send(list(islice(cycle(stage.models.cetaceans), 24)))
    until("the operator to know the latency", lambda: "p95Seconds" in stage.resource(NAME)["status"].get("service", {}))


def something_else_is_sent(stage: Stage) -> None:
    stage.service(NAME).send(list(islice(cycle(stage.models.others), 60)))

    def systemic() -> bool:
        return float(stage.resource(NAME)["status"]["drift"].get("rejectionRate") or 0.0) > 0.5

    until("the operator to see the rejections", systemic)


def wrong_bytes(stage: Stage) -> None:
    broken = stage.copy_of(SECOND, name="demo_broken", version="1.3.0", sha256="0" * 64)
    stage.kubectl.apply(stage.manifest(NAME, active=broken.name, added=[broken], replicas=1))


def regressed(stage: Stage) -> None:
    stage.kubectl.apply(stage.manifest(NAME, active=REGRESSED, replicas=1))


def rejects_a_boat(stage: Stage) -> bool:
    return bool(stage.service(NAME).predict(stage.models.others[0])["rejection_reason"] == "not_a_marine_mammal")


def the_gate_is_open(stage: Stage) -> None:
    assert not rejects_a_boat(stage)
    answers = [stage.pod_answer(pod, "/v1/identity") for pod in stage.pods(NAME)]
    assert {answer["gate"]["enabled"] for answer in answers} == {False}


def the_gate_is_closed(stage: Stage) -> None:
    assert rejects_a_boat(stage)
    assert stage.condition(NAME, "AntiFraudDisabled")["status"] == "False"


def the_first_serves(stage: Stage) -> None:
    assert stage.resource(NAME)["status"]["serving"]["name"] == FIRST
    assert {answer["model_version"] for answer in stage.service(NAME).send(stage.models.cetaceans[:2])} == {
        stage.registry.model(FIRST).version
    }


INCIDENTS: Mapping[str, Callable[[Stage], None]] = {
    "Drift": drifted,
    "Systemic rejection": something_else_is_sent,
    "Availability": traffic,
    "Rollout stalled": wrong_bytes,
    "Registry diverged": regressed,
}


# What clients see when it has worked; the runbook's own text says what on-call sees.
WORKED: Mapping[str, Callable[[Stage], None]] = {
    "Demoting 1": the_first_serves,
    "Gate disabled 1": the_gate_is_open,
    "Gate disabled 2": the_gate_is_closed,
}


@dataclass(slots=True)
class OnCall:
    """Somebody with a shell in a checkout of the repository."""

    stage: Stage
    shell: Shell
    _happened: set[str] = field(default_factory=set)

    def comes_to(self, section: str) -> None:
        """Let happen what the section is about."""
        if section in INCIDENTS and section not in self._happened:
            self._happened.add(section)
            INCIDENTS[section](self.stage)


def checkout(folder: Path, stage: Stage) -> None:
    """A repository whose registry knows the first model."""
    for part in ("models", "reports", "configs"):
        (folder / part).mkdir(parents=True)
    registry = json.loads((stage.models.folder / "registry.json").read_text(encoding="utf-8"))
    registry["models"] = [model for model in registry["models"] if model["name"] == FIRST]
    for model in registry["models"]:
        model["weights_url"] = stage.registry.model(FIRST).weights_url
    registry["active"] = FIRST
    (folder / "models/registry.json").write_text(json.dumps(registry, indent=2) + "\n", encoding="utf-8")
    for name in (FIRST, SECOND):
        shutil.copy(stage.models.folder / f"reports/{name}.json", folder / "reports")
    shutil.copy(stage.models.folder / "anti_fraud_threshold.yaml", folder / "configs")
    manifest = stage.manifest(NAME, active=FIRST, replicas=1)
    (folder / f"{NAME}.yaml").write_text(json.dumps(manifest), encoding="utf-8")


def placeholders(stage: Stage) -> dict[str, str]:
    """What the runbook leaves to whoever reads it."""
    candidate = stage.registry.model(SECOND)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        "NAME": NAME,
        "NAMESPACE": stage.kubectl.namespace,
        "OPERATOR_NAMESPACE": environment.OPERATOR_NAMESPACE,
        "CANDIDATE": SECOND,
        "VERSION": candidate.version,
        "CHECKPOINT": str(stage.models.folder / str(candidate.weights_path)),
        "WEIGHTS_URL": candidate.weights_url,
        "SNAPSHOT": f"reports/{SECOND}.json",
        "LIKE": FIRST,
        "PICTURE": str(stage.models.cetaceans[0]),
        "PORT": str(port),
        "REPLICAS": "2",
    }


@pytest.fixture(scope="module")
def on_call(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCall]:
    folder, programs = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("programs")
    checkout(folder, stage)
    found = install(programs)
    (programs / "kubectl").symlink_to(stage.kubectl.kubectl)
    identity = {f"GIT_{who}_{what}": "on-call" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables = {**found, **identity, **placeholders(stage), "KUBECONFIG": str(stage.kubectl.kubeconfig)}
    variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-qm", "Begin")):
        subprocess.run(["git", *arguments], cwd=folder, env=variables, check=True)
    stage.kubectl.apply(json.loads((folder / f"{NAME}.yaml").read_text(encoding="utf-8")))
    stage.wait_for_condition(NAME, "Ready", "True")
    yield OnCall(stage, Shell(folder, variables))
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


# In their order: each begins where the one before it ended.
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_block(on_call: OnCall, block: Block) -> None:
    on_call.comes_to(block.section)
    done = on_call.shell.run(block.commands)
    assert done.returncode == 0, f"{block.commands}\n{done.stdout}"
    absent = missing(block.expected, done.stdout)
    assert absent is None, f"expected to see {absent!r} after\n{block.commands}\ngot:\n{done.stdout}"
    if block.title in WORKED:
        WORKED[block.title](on_call.stage)


def test_every_incident_and_every_look_has_its_place() -> None:
    assert set(INCIDENTS) <= {block.section for block in BLOCKS}
    assert set(WORKED) <= {block.title for block in BLOCKS}
