"""Keys and certificates of the cluster, made by openssl; they live as long as the cluster's state."""

from __future__ import annotations

from pathlib import Path

from cetacean_tools.local_cluster.layout import NODE
from cetacean_tools.local_cluster.protocol import output

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
_CERTIFICATE = ("openssl", "req", "-x509", "-days", "365", *_KEY)


CLIENTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "kubelet": f"/O=system:nodes/CN=system:node:{NODE}",
    "coredns": "/CN=system:coredns",
    "apiserver-kubelet-client": "/O=system:masters/CN=apiserver-kubelet-client",
    "front-proxy-client": "/CN=front-proxy-client",
}
"""The subjects of all clients of the API server, and of the API server as a client of the kubelet: groups and user."""


def create(folder: Path, *, names: list[str], addresses: list[str]) -> None:
    """Write ca, apiserver, client and service-account files into `folder`.

    Args:
        folder: made if it is missing, readable by its owner only.
        names: DNS names of the API server.
        addresses: IP addresses of the API server.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Python 3.13 rejects an authority without it.
    usage = ("-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign")
    output(*_CERTIFICATE, "-subj", "/CN=local-cluster", *usage, *_files(folder, "ca"))
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    _signed(folder, "apiserver", "/CN=kube-apiserver", "serverAuth", f"subjectAltName={alternatives}")
    for client, subject in CLIENTS.items():
        _signed(folder, client, subject, "clientAuth")
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
    output(*_CERTIFICATE, "-subj", subject, *authority, *added, *_files(folder, name))


def _files(folder: Path, name: str) -> list[str]:
    return ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
