"""Weights of tiny networks with random parameters, for tests that load them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

from cetacean_inference.models.identification import CetaceanIdentificationModel

BACKBONE: Final = "test_resnet"
CLASSES: Final = 7
KNOWN: Final = 5
EMBEDDING: Final = 8
GATE: Final = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def write_weights(directory: Path) -> None:
    """Write all five files of a model, as on a server."""
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=BACKBONE, embedding_size=EMBEDDING, classes=CLASSES)
    save_file(trained.state_dict(), directory / "tiny.safetensors")
    np.save(directory / "encoder_classes.npy", np.array([f"id{number}" for number in range(CLASSES)]))
    rows = "".join(f"id{number},species{number % 2}\n" for number in range(CLASSES))
    (directory / "species_map.csv").write_text(f"individual_id,species\n{rows}", encoding="utf-8")
    (directory / "gate.json").write_text(json.dumps(GATE), encoding="utf-8")
    save_file(_gate().state_dict(), directory / "gate.safetensors")


def _gate() -> torch.nn.Module:
    gate: torch.nn.Module = open_clip.CLIP(**GATE)
    return gate


def sha256(path: Path) -> str:
    """Return a file's digest."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sections(url: str, **model: Any) -> dict[str, Any]:
    """Return the settings for these weights at `url`."""
    return {
        "model": {
            "weights_url": f"{url}/tiny.safetensors",
            "backbone": BACKBONE,
            "input_size": 64,
            "embedding_size": EMBEDDING,
            "num_classes_head": CLASSES,
            "num_classes_active": KNOWN,
            **model,
        },
        "gate": {
            "architecture": "tiny-clip",
            "config_url": f"{url}/gate.json",
            "weights_url": f"{url}/gate.safetensors",
            "threshold": 0.0,
        },
        "fetch": {"attempts": 2, "backoff_initial_seconds": 0, "backoff_max_seconds": 0},
    }
