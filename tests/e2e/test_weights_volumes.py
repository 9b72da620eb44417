"""Weights in volumes, on a real node: an image that the node has, and a claim that somebody else has filled."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.weights_image import write_weights_image

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.layout import NODE
from cetacean_tools.local_cluster.local import LocalCluster
from cetacean_tools.local_cluster.use import choose

MODEL = "demo_v1"
CLAIM = "filled"
NEVER = {"imagePullPolicy": "Never"}


def files(environment: Environment) -> list[str]:
    root = environment.models.folder
    found = [path for folder in ("weights", "gate") for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(path.relative_to(root).as_posix() for path in found)


@pytest.fixture(scope="module")
def local() -> LocalCluster:
    cluster = choose()
    if not isinstance(cluster, LocalCluster):
        pytest.skip(
            "needs the local cluster: the image is loaded under its digest, and the claim is a folder of the node"
        )
    return cluster


@pytest.fixture(scope="module")
def image(environment: Environment, local: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reference of an image with all files of the demo's models."""
    archive = tmp_path_factory.mktemp("image") / "weights.tar"
    reference = write_weights_image(
        archive, repository="localhost/whales-weights", root=environment.models.folder, files=files(environment)
    )
    local.load_image(reference, archive)
    return reference


@pytest.fixture(scope="module")
def claim(environment: Environment, local: LocalCluster) -> Iterator[str]:
    """A claim with the same files."""
    folder = local.layout.volumes / CLAIM
    for path in files(environment):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(environment.models.folder / path, target)
    with bound_claim(environment.kubectl, folder):
        yield CLAIM
    shutil.rmtree(folder)


@contextmanager
def bound_claim(kubectl: Kubectl, folder: Path) -> Iterator[None]:
    volume = f"{kubectl.namespace}-{CLAIM}"
    common: dict[str, Any] = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    spec = {
        **common,
        "capacity": {"storage": "1Gi"},
        "claimRef": {"namespace": kubectl.namespace, "name": CLAIM},
        "local": {"path": str(folder)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume}, "spec": spec})
    wanted = {**common, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": CLAIM}, "spec": wanted})
    yield
    kubectl("delete", f"pvc/{CLAIM}", f"pv/{volume}", "--wait=false", "--ignore-not-found")


@contextmanager
def applied(environment: Environment, name: str, **options: Any) -> Iterator[None]:
    environment.kubectl.apply(environment.manifest(name, replicas=1, **options))
    try:
        yield
    finally:
        print(environment.resource(name).get("status"))
        environment.kubectl("delete", "cetaceanmodel", name, "--wait=false")
        until(f"the pods of {name} to go", lambda: not environment.pods(name))


def mounted(pod: dict[str, Any], container: str) -> list[str]:
    found = (*pod["spec"]["initContainers"], *pod["spec"]["containers"])
    (mounts,) = (one["volumeMounts"] for one in found if one["name"] == container)
    return [mount["mountPath"] for mount in mounts if mount["mountPath"].startswith("/mnt/weights/")]


def test_a_model_serves_from_an_image(environment: Environment, image: str) -> None:
    there = replace(environment, store=f"oci://{image}")
    with applied(there, "from-image", active=MODEL, serving=NEVER):
        there.wait_for_condition("from-image", "Ready", "True")
        assert there.condition("from-image", "WeightsVerified")["status"] == "True"
        assert there.condition("from-image", "ImageVolumesUnsupported")["status"] == "False"
        (pod,) = there.pods("from-image")
        assert len(mounted(pod, "fetch")) == 1
        assert mounted(pod, "serve") == []


def test_an_image_that_the_node_cannot_get_is_a_reason_in_the_status(environment: Environment, image: str) -> None:
    absent = image.rpartition("@")[0] + f"@sha256:{'0' * 64}"
    entry = environment.copy_of(MODEL, name="absent", version="9.0.0", weights_url=f"oci://{absent}/a.safetensors")
    with applied(environment, "no-image", active="absent", added=[entry], serving=NEVER):
        environment.wait_for_condition("no-image", "Ready", "False", mentions="0" * 64)
        assert environment.condition("no-image", "Ready")["reason"] == "ImagePull"


def test_a_model_serves_from_a_claim(environment: Environment, claim: str) -> None:
    there = replace(environment, store=f"pvc://{claim}")
    with applied(there, "from-claim", active=MODEL):
        there.wait_for_condition("from-claim", "Ready", "True")
        assert there.condition("from-claim", "WeightsVerified")["status"] == "True"
        (pod,) = there.pods("from-claim")
        assert mounted(pod, "fetch") == [f"/mnt/weights/pvc/{claim}"]
        assert mounted(pod, "serve") == []


def test_a_claim_without_the_file_is_a_reason_in_the_status(environment: Environment, claim: str) -> None:
    entry = environment.copy_of(
        MODEL, name="absent", version="9.0.0", weights_url=f"pvc://{claim}/weights/absent.ckpt", sha256="0" * 64
    )
    with applied(environment, "no-file", active="absent", added=[entry]):
        environment.wait_for_condition("no-file", "Ready", "False", mentions="No such file")
        assert environment.condition("no-file", "Ready")["reason"] == "WeightsNotFound"


def test_a_bundle_that_cannot_be_read_is_a_reason_in_the_status(environment: Environment) -> None:
    data = {"ca.crt": "no certificate"}
    environment.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ca"}, "data": data})
    entry = environment.copy_of(
        MODEL, name="absent", version="9.0.0", weights_url=f"{environment.store}/weights/absent.ckpt", sha256="0" * 64
    )
    serving = {"caBundle": {"configMapRef": {"name": "ca"}}}
    with applied(environment, "no-ca", active="absent", added=[entry], serving=serving):
        environment.wait_for_condition("no-ca", "Ready", "False", mentions="expected certificates in PEM format")
        assert environment.condition("no-ca", "Ready")["reason"] == "CABundleInvalid"


def test_a_secret_that_does_not_exist_is_a_reason_in_the_status(environment: Environment) -> None:
    entry = environment.copy_of(
        MODEL, name="absent", version="9.0.0", weights_url=f"{environment.store}/weights/absent.ckpt", sha256="0" * 64
    )
    serving = {"weightsCredentials": {"secretRef": {"name": "nowhere"}}}
    with applied(environment, "no-secret", active="absent", added=[entry], serving=serving):
        environment.wait_for_condition("no-secret", "Ready", "False", mentions="expected a Secret with one of the keys")
        assert environment.condition("no-secret", "Ready")["reason"] == "ConfigInvalid"
