"""Keys and certificates of the cluster, made by openssl; they live as long as the cluster's state."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cetacean_tools.local_cluster.protocol import output

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and groups of a client certificate."""

    name: str
    user: str
    groups: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject as openssl takes it."""
        return "".join(f"/O={group}" for group in self.groups) + f"/CN={self.user}"


def clients(node: str) -> tuple[Identity, ...]:
    """Return all clients of the API server, and the API server as a client of the kubelet."""
    return (
        Identity("admin", "admin", ("system:masters",)),
        Identity("kube-controller-manager", "system:kube-controller-manager"),
        Identity("kube-scheduler", "system:kube-scheduler"),
        Identity("kube-proxy", "system:kube-proxy"),
        Identity("kubelet", f"system:node:{node}", ("system:nodes",)),
        Identity("coredns", "system:coredns"),
        Identity("apiserver-kubelet-client", "apiserver-kubelet-client", ("system:masters",)),
        Identity("front-proxy-client", "front-proxy-client"),
    )


def create(folder: Path, *, node: str, names: list[str], addresses: list[str]) -> None:
    """Write ca, apiserver, client and service-account files into `folder`.

    Args:
        folder: made if it is missing, readable by its owner only.
        node: the node's name.
        names: DNS names of the API server.
        addresses: IP addresses of the API server.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Python 3.13 rejects an authority without it.
    usage = ("-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign")
    output(
        "openssl", "req", "-x509", *_KEY, "-days", "365", "-subj", "/CN=local-cluster", *usage, *_files(folder, "ca")
    )
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    _signed(folder, "apiserver", "/CN=kube-apiserver", "serverAuth", f"subjectAltName={alternatives}")
    for identity in clients(node):
        _signed(folder, identity.name, identity.subject, "clientAuth")
    key, public = folder / "service-account.key", folder / "service-account.pub"
    output("openssl", "genrsa", "-out", key, "2048")
    output("openssl", "rsa", "-in", key, "-pubout", "-out", public)


def _signed(folder: Path, name: str, subject: str, usage: str, *extensions: str) -> None:
    added = [
        argument
        for extension in (f"extendedKeyUsage={usage}", "basicConstraints=critical,CA:FALSE", *extensions)
        for argument in ("-addext", extension)
    ]
    authority = ["-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key")]
    output(
        "openssl", "req", "-x509", *_KEY, "-days", "365", "-subj", subject, *authority, *added, *_files(folder, name)
    )


def _files(folder: Path, name: str) -> list[str]:
    return ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
