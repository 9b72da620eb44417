"""Install the things that a first model needs: the operator, a store of weights, a namespace."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from cetacean_tools.container_images import IMAGES, Image, build
from cetacean_tools.demo.kubectl import Kubectl, manifests
from cetacean_tools.demo_models import DemoModels
from cetacean_tools.image_store import BuiltImage
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.workspace import REPOSITORY

CHART = REPOSITORY / "charts/cetacean-operator"
OPERATOR_NAMESPACE = "cetacean-system"
RELEASE = "cetacean-operator"
STORE = "model-store"
STORE_PORT = 8000


@dataclass(frozen=True, slots=True)
class LoadedImages:
    """References of the images that the cluster's nodes hold."""

    operator: str
    inference: str
    store: str


def build_images(models: DemoModels) -> tuple[BuiltImage, BuiltImage, BuiltImage]:
    """Build the images of the operator, the inference service and the store of weights, unless they exist."""
    operator = build(IMAGES["operator"])
    inference = build(IMAGES["inference"])
    store = Image(
        name="cetacean-model-store",
        dockerfile=Path(__file__).with_name("Dockerfile"),
        context=models.folder,
        sources=(models.folder / "weights", models.folder / "gate"),
    )
    return operator, inference, build(store, base_image=operator.reference)


def load_images(cluster: Cluster, images: tuple[BuiltImage, BuiltImage, BuiltImage]) -> LoadedImages:
    """Load them into the cluster."""
    for image in images:
        cluster.load_image(image.reference, image.archive)
    return LoadedImages(*(image.reference for image in images))


def create_namespace(kubectl: Kubectl, name: str) -> None:
    """Create a namespace that enforces the `restricted` Pod Security Standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def install_operator(kubectl: Kubectl, image: str, *settings: str) -> None:
    """Run `helm upgrade --install` of the chart with the operator's image; return when its pods are ready."""
    repository, _, tag = image.rpartition(":")
    create_namespace(kubectl, OPERATOR_NAMESPACE)
    # The CRD may be there without Helm, or be kept from another release.
    ownership = ("--take-ownership", "--force-conflicts")
    kubectl.run_helm(
        *("upgrade", "--install", RELEASE, str(CHART), "--namespace", OPERATOR_NAMESPACE),
        *("--set", f"image.repository={repository},image.tag={tag}", "--wait", "--timeout", "3m", *ownership),
        *(flag for setting in settings for flag in ("--set", setting)),
    )


def deploy(kubectl: Kubectl, file: str, *, name: str, **variables: object) -> None:
    """Apply the objects of `manifests/<file>.yaml`; return when the Deployment `name` among them is ready."""
    for manifest in manifests(file, name=name, namespace=kubectl.namespace, **variables):
        replace(kubectl, namespace=manifest["metadata"].get("namespace", kubectl.namespace)).apply(manifest)
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")


def deploy_store(kubectl: Kubectl, image: str, models: DemoModels) -> str:
    """Deploy an HTTP server of the demo's weights, and the key that signed them; return the base URL for pods."""
    signer = json.dumps((models.folder / "demo.pub").read_text(encoding="utf-8"))
    deploy(kubectl, "store", name=STORE, image=image, port=STORE_PORT, signer=signer)
    return f"http://{STORE}.{kubectl.namespace}.svc:{STORE_PORT}"


def remove(kubectl: Kubectl, *namespaces: str, wait: bool = True) -> None:
    """Uninstall the operator and delete namespaces; the CRD stays, as the chart keeps it."""
    kubectl.run_helm("uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--ignore-not-found")
    flags = (f"--wait={str(wait).lower()}", "--ignore-not-found", "--timeout=120s")
    kubectl("delete", "namespace", *namespaces, *flags, timeout=150)
