"""The components and their configuration: templates under `files/`, filled in with paths and addresses."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from string import Template

import yaml

from cetacean_tools.local_cluster import layout as fixed
from cetacean_tools.local_cluster.layout import Layout, Link

PAUSE_IMAGE = "localhost/pause:1"
FILES = Path(__file__).with_name("files")
WRITTEN = (
    *("containerd.toml", "kubelet.yaml", "kube-proxy.yaml", "cni/10-local.conflist", "Corefile"),
    *("audit-policy.yaml", "coredns-rbac.yaml"),
)
CLIENTS = ("admin", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns")
"""Those of `pki.CLIENTS` that get a kubeconfig."""


def write_all(layout: Layout, link: Link) -> None:
    """Write every file; `pki.create` must have run."""
    (layout.config / "cni").mkdir(parents=True, exist_ok=True)
    (layout.config / "resolv.conf").touch()
    for name in WRITTEN:
        (layout.config / name).write_text(filled(name, layout, link), encoding="utf-8")
    for client in CLIENTS:
        (layout.config / f"{client}.kubeconfig").write_text(kubeconfig(layout, link, client), encoding="utf-8")


def kubeconfig(layout: Layout, link: Link, client: str) -> str:
    """Return a kubeconfig that holds all it needs, for one of `pki.CLIENTS`."""
    files = {"authority": "ca.crt", "certificate": f"{client}.crt", "key": f"{client}.key"}
    data = {name: base64.b64encode((layout.pki / file).read_bytes()).decode() for name, file in files.items()}
    return filled("kubeconfig.yaml", layout, link, client=client, **data)


def filled(name: str, layout: Layout, link: Link, **more: str) -> str:
    """Return a template with the cluster's paths and addresses in the places of its variables."""
    return Template((FILES / name).read_text(encoding="utf-8")).substitute(
        vars(layout),
        api=link.api,
        api_port=fixed.API_PORT,
        cni_plugins=fixed.CNI_PLUGINS,
        containerd_socket=fixed.CONTAINERD_SOCKET,
        node=fixed.NODE,
        node_address=link.node,
        pause_image=PAUSE_IMAGE,
        pod_cidr=fixed.POD_CIDR,
        runc=fixed.RUNC,
        service_cidr=fixed.SERVICE_CIDR,
        **more,
    )


@dataclass(frozen=True, slots=True)
class Component:
    """One process of the cluster."""

    name: str
    command: tuple[str, ...]
    ready: str
    """A URL that answers 200 when it is ready, or the path of a socket that is there then."""
    after: tuple[str, ...] = ()
    """Components that must be ready before this one is started."""


def components(layout: Layout, link: Link) -> tuple[Component, ...]:
    """Read them from `files/components.yaml`, in the order of their starting."""
    # BaseLoader leaves every scalar as the text that a flag takes.
    described = yaml.load(filled("components.yaml", layout, link), Loader=yaml.BaseLoader)  # noqa: S506 -- it makes text only
    return tuple(
        Component(
            part["name"],
            (str(layout.bin / part["name"]), *(f"--{flag}={value}" for flag, value in part["flags"].items())),
            part["ready"],
            tuple(part.get("after", ())),
        )
        for part in described
    )
