"""An image whose only layer has files of weights, named by its digest, as an archive that a node can import."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MEDIA = "application/vnd.oci.image"


def write_weights_image(archive: Path, *, repository: str, root: Path, files: Iterable[str]) -> str:
    """Write an OCI archive; return the image's reference, `<repository>@sha256:…`.

    Args:
        archive: the file to write.
        repository: the image's name without tag and digest.
        root: folder of the files.
        files: their paths in it, which are also those in the image.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path in files:
            _add(tar, path, (root / path).read_bytes())
    content = layer.getvalue()
    packed = gzip.compress(content, compresslevel=1, mtime=0)
    config = _json(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": f"{MEDIA}.manifest.v1+json",
            "config": _descriptor(config, f"{MEDIA}.config.v1+json"),
            "layers": [_descriptor(packed, f"{MEDIA}.layer.v1.tar+gzip")],
        }
    )
    reference = f"{repository}@{_digest(manifest)}"
    described = {**_descriptor(manifest, f"{MEDIA}.manifest.v1+json")}
    described["annotations"] = {"io.containerd.image.name": reference}
    with tarfile.open(archive, mode="w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "manifests": [described]}))
        for blob in (manifest, config, packed):
            _add(tar, f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}", blob)
    return reference


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))
