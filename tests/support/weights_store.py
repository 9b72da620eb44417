"""Two versions of a model in one folder of a server, and the settings of a pod of each; nothing can load the files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import WeightFiles
from support.file_server import FileServer
from support.inference_world import make_settings

V1 = {
    "v1.ckpt": b"weights 1",
    "v2.ckpt": b"weights 2",
    "encoder_classes.npy": b"classes 1",
    "species_map.csv": b"species 1",
    "gate.json": b"gate config 1",
    "gate.safetensors": b"gate 1",
}
MODEL_1 = [b"weights 1", b"classes 1", b"species 1"]
GATE_1 = [b"gate 1", b"gate config 1"]


class Store:
    """A server with both versions of a model in one folder, and the settings of a pod of each."""

    def __init__(self, root: Path, server: FileServer) -> None:
        self.root, self.server = root, server
        self.upload(V1)

    def upload(self, files: dict[str, bytes]) -> None:
        """Replace files of the server."""
        for name, content in files.items():
            (self.server.directory / name).write_bytes(content)

    def pod(self, version: str = "v1", *, digest: bool = True, shared: bool = False, **fetch: Any) -> Settings:
        """Return the settings of a pod; `digest` is about the checkpoint only."""
        weights = f"{version}.ckpt"
        given: dict[str, Any] = {
            "model": {
                "weights_url": f"{self.server.url}/{weights}",
                "sha256": hashlib.sha256(V1[weights]).hexdigest() if digest else None,
            },
            "gate": {
                "architecture": "tiny-clip",
                "config_url": f"{self.server.url}/gate.json",
                "weights_url": f"{self.server.url}/gate.safetensors",
            },
            "fetch": {"attempts": 1, "allow_unverified_pickle": True, "shared_cache": shared, **fetch},
            "weights_cache": self.root / "cache",
            "own_cache": self.root / "own",
        }
        return make_settings(self.root, **given)


def model_of(files: WeightFiles) -> list[bytes]:
    """Return the bytes of the checkpoint, the classes and the species map."""
    return [blob.path.read_bytes() for blob in (files.checkpoint, files.classes, files.species)]


def gate_of(files: WeightFiles) -> list[bytes]:
    """Return the bytes of the gate and its configuration."""
    assert files.gate_config is not None
    return [files.gate_weights.path.read_bytes(), files.gate_config.path.read_bytes()]
