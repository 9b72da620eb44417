"""Images of one static program each, written as docker-archives without any builder."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

from cetacean_tools.image_store import BuiltImage
from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.configs import PAUSE_IMAGE
from cetacean_tools.local_cluster.layout import VERSION, Layout
from cetacean_tools.local_cluster.pins import KUBERNETES, TESTING, pause_archive
from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.local_cluster.sources import module_folder
from cetacean_tools.workspace import registry

NOBODY = "65532:65532"


def ensure_program_image(name: str, layout: Layout | None = None) -> BuiltImage:
    """Return the image of a program that only tests run in the cluster, built once for each state of the pins.

    It runs as an unprivileged user; the program is its only file and its entry point. Mount the folders it writes to.

    Args:
        name: of the program, such as `prometheus`.
        layout: of programs and images; the user's cache by default.

    Raises:
        ClusterError: no module makes such a program, or its build failed.
        MissingError: Go is missing or too old.
    """
    layout = layout or Layout.default()
    module = next((module for module in TESTING if name in module.binaries), None)
    if module is None:
        known = sorted(binary for module in TESTING for binary in module.binaries)
        raise ClusterError(f"{name}: expected one of {', '.join(known)}")
    ensure_built([module], layout)
    # The whole name is in the archive, so another registry makes another archive.
    reference = f"{registry() or 'localhost'}/{name}:{module.digest}"
    mark = hashlib.sha256(reference.encode()).hexdigest()[:16]
    archive = layout.bin / f"{name}-image-{mark}.tar"
    if not archive.exists():
        for outdated in layout.bin.glob(f"{name}-image-*.tar"):
            outdated.unlink()
        write_image(archive, reference=reference, program=layout.bin / name, user=NOBODY)
    return BuiltImage(reference, archive, archive.stat().st_size)


def ensure_pause_image(layout: Layout) -> Path:
    """Return a docker-archive of the pause image, built once.

    It holds a pod's namespaces open: Kubernetes' own pause program, linked statically.

    Raises:
        ClusterError: it does not compile.
    """
    archive = pause_archive(layout)
    if archive.exists():
        return archive
    program = layout.bin / ".pause"
    source = module_folder(KUBERNETES.name, "k8s.io/kubernetes") / "build/pause/linux/pause.c"
    output("gcc", "-Os", "-Wall", "-static", f"-DVERSION={VERSION}", "-o", program, source)
    write_image(archive, reference=PAUSE_IMAGE, program=program, user="65535:65535")
    program.unlink()
    return archive


def write_image(path: Path, *, reference: str, program: Path, user: str) -> None:
    """Write a docker-archive of a statically linked program, whole or not at all.

    Args:
        path: of the archive.
        reference: the image's name.
        program: the file; it lies under its own name at the image's root and is the entry point.
        user: `uid:gid` that it runs as.
    """
    name = program.name.lstrip(".")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, name, program.read_bytes(), mode=0o755)
    data = layer.getvalue()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{name}"], "User": user},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, mode="w") as tar:
        _add(tar, "layer.tar", data)
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    partial.rename(path)


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
