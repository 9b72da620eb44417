"""The image that holds a pod's namespaces open: Kubernetes' own pause program, linked statically."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from pathlib import Path

from local_cluster.builds import KUBERNETES
from local_cluster.configs import PAUSE_IMAGE
from local_cluster.face import ClusterError
from local_cluster.layout import VERSION, Layout


def ensure_pause_image(layout: Layout) -> Path:
    """A docker-archive of it, built once.

    Raises:
        ClusterError: the compiler refused it.
    """
    archive = layout.bin / f"pause-{VERSION}.tar"
    if archive.exists():
        return archive
    program = layout.bin / ".pause"
    where = ["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes"]
    environment = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local"}
    module = subprocess.run(
        where, cwd=KUBERNETES.folder, env=environment, capture_output=True, text=True, check=False
    ).stdout.strip()
    source = Path(module) / "build/pause/linux/pause.c"
    done = subprocess.run(
        ["gcc", "-Os", "-Wall", "-static", f"-DVERSION={VERSION}", "-o", str(program), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ClusterError(f"compiling {source.name} failed: {done.stderr.strip()}")
    partial = archive.with_suffix(".partial")
    _write_archive(partial, program.read_bytes())
    partial.rename(archive)
    program.unlink()
    return archive


def _write_archive(path: Path, program: bytes) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        _add(tar, "pause", program, mode=0o755)
    data = layer.getvalue()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    with tarfile.open(path, mode="w") as tar:
        _add(tar, "layer.tar", data)
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes, *, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
