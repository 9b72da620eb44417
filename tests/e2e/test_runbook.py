"""Every command of docs/runbook.md, typed in its order on a cluster in which the incidents have just happened."""

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

from cetacean_registry import ModelEntry
from demo import environment
from demo.stage import Stage
from demo.waiting import until
from evaluation.manifest import CETACEAN, NON_CETACEAN, write_manifest

REPOSITORY = environment.REPOSITORY
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


def drifted(stage: Stage) -> None:
    """Some of the pictures come in fog, at night and out of focus."""
    models = stage.models
    stage.service(NAME).send([*islice(cycle(models.drifted), 24), *islice(cycle(models.cetaceans), 40)])


def overload(stage: Stage) -> None:
    """More is sent at once than the pod can decode in the time that an answer may take."""
    service = stage.service(NAME)
    service.send(list(islice(cycle(stage.models.cetaceans), 24)))
    large = io.BytesIO()
    with Image.open(stage.models.cetaceans[0]) as picture:
        picture.resize(LARGE).save(large, "JPEG")
    answers = service.send_at_once(large.getvalue(), AT_ONCE)
    assert answers.keys() == {200, 504}, "some were in time"


def autoscaled(stage: Stage) -> None:
    """The number of pods is handed to an autoscaler, which for now has no choice."""
    scaling = {"spec": {"serving": {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}}}
    stage.kubectl("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(scaling))

    def has_figures() -> bool:
        found = stage.kubectl.get("horizontalpodautoscalers", "--field-selector", f"metadata.name={NAME}")["items"]
        told = [condition for item in found for condition in item.get("status", {}).get("conditions", [])]
        return any(one["type"] == "ScalingActive" and one["status"] == "True" for one in told)

    until("the autoscaler to have figures of the pods", has_figures)


def something_else_is_sent(stage: Stage) -> None:
    stage.service(NAME).send(list(islice(cycle(stage.models.others), 60)))

    def systemic() -> bool:
        return float(stage.resource(NAME)["status"]["drift"].get("rejectionRate") or 0.0) > 0.5

    until("the operator to see the rejections", systemic)


def asked_for(stage: Stage, active: str, *added: ModelEntry) -> None:
    """Apply the registry with another active model; everything else stays as on-call has left it."""
    manifest = stage.manifest(NAME, active=active, added=added)
    manifest["spec"] = stage.resource(NAME)["spec"] | {"registry": manifest["spec"]["registry"]}
    stage.kubectl.apply(manifest)


def wrong_bytes(stage: Stage) -> None:
    broken = stage.copy_of(SECOND, name="demo_broken", version="1.3.0", sha256="0" * 64)
    asked_for(stage, broken.name, broken)


def regressed(stage: Stage) -> None:
    asked_for(stage, REGRESSED)


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
    "Availability": overload,
    "Autoscaling": autoscaled,
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
    """A repository whose registry knows the first model, with the scripts and some of the drawn pictures."""
    for part in ("models", "reports", "configs", "data"):
        (folder / part).mkdir(parents=True)
    # Scripts find the repository by where they lie.
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "inference").symlink_to(REPOSITORY / "inference")
    pictures, split = stage.models.folder / "pictures", folder / "data/test_split"
    split.mkdir()
    (split / "test").symlink_to(pictures / "test")
    with (pictures / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["split"] == "test"]
    write_manifest(
        split / "manifest.csv",
        [row for label in (CETACEAN, NON_CETACEAN) for row in rows if row["label"] == label][::EVERY],
    )
    registry = json.loads((stage.models.folder / "registry.json").read_text(encoding="utf-8"))
    registry["models"] = [model for model in registry["models"] if model["name"] == FIRST]
    for model in registry["models"]:
        model["weights_url"] = stage.registry.model(FIRST).weights_url
    registry["active"] = FIRST
    (folder / "models/registry.json").write_text(json.dumps(registry, indent=2) + "\n", encoding="utf-8")
    shutil.copy(stage.models.folder / "anti_fraud_threshold.yaml", folder / "configs")
    manifest = stage.manifest(NAME, active=FIRST, replicas=1, serving=SERVING)
    manifest["spec"]["serviceLevel"] = SERVICE_LEVEL
    (folder / f"{NAME}.yaml").write_text(json.dumps(manifest), encoding="utf-8")


def the_gates_model(stage: Stage, cache: Path) -> dict[str, str]:
    """Settings by which the scripts find the gate's own model, and a cache that holds nothing yet."""
    gate = stage.models.gate(stage.models.folder.as_uri())
    names = {"architecture": "ARCHITECTURE", "configURL": "CONFIG_URL", "weightsURL": "WEIGHTS_URL", "sha256": "SHA256"}
    return {f"CETACEAN_GATE__{name}": gate[key] for key, name in names.items()} | {"CETACEAN_CACHE": str(cache)}


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
    variables = {**found, **placeholders(stage), "KUBECONFIG": str(stage.kubectl.kubeconfig)}
    variables |= the_gates_model(stage, tmp_path_factory.mktemp("cache"))
    variables["PATH"] = os.pathsep.join([str(programs), PYTHON_FOLDER, os.environ["PATH"]])
    variables |= {f"GIT_{who}_{what}": "on-call" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    # Small networks: two threads would only wait for each other.
    variables["OMP_NUM_THREADS"] = "1"
    weights = str(stage.models.folder / str(stage.registry.model(FIRST).weights_path))
    measuring = ("scripts/compute_metrics.py", "--weights", weights, "--out", f"reports/{FIRST}.json")
    with subprocess.Popen(["python3", *measuring], cwd=folder, env=variables) as measured:
        stage.kubectl.apply(json.loads((folder / f"{NAME}.yaml").read_text(encoding="utf-8")))
        stage.wait_for_condition(NAME, "Ready", "True")
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
    yield OnCall(stage, Shell(folder, variables))
    stage.kubectl("delete", "cetaceanmodel", NAME, "--wait=false")


# In their order: each begins where the one before it ended.
@pytest.mark.usefixtures("metrics")
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
