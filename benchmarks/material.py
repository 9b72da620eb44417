"""The input of the benchmark: random weights of full size, stored in the cache, and JPEG files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from cetacean_inference.models.identification import CetaceanIdentificationModel

BACKBONE: Final = "efficientnet_b4"
SIDE: Final = 512
EMBEDDING: Final = 512
ROWS: Final = 15_587
KNOWN: Final = 13_837
GATE: Final = "ViT-B-32"
PICTURES: Final = 8
PICTURE_SIZE: Final = (1600, 1200)


def write_weights(directory: Path) -> None:
    """Write the files of one model into `directory`, unless they exist."""
    done = directory / "complete"
    if done.exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=BACKBONE, embedding_size=EMBEDDING, classes=ROWS)
    save_file(trained.state_dict(), directory / "model.safetensors")
    save_file(open_clip.create_model(GATE, pretrained=None).state_dict(), directory / "gate.safetensors")
    np.save(directory / "encoder_classes.npy", np.array([f"id{number:05}" for number in range(ROWS)]))
    rows = "".join(f"id{number:05},species{number % 30}\n" for number in range(ROWS))
    (directory / "species_map.csv").write_text(f"individual_id,species\n{rows}", encoding="utf-8")
    done.touch()


def environment(directory: Path) -> dict[str, str]:
    """Return the environment variables for these weights, as the operator sets them for a pod."""
    settings = {
        "CONFIG_DIR": str(directory),
        "WEIGHTS_CACHE": str(directory / "cache"),
        "MONITORING_FILE": str(directory / "monitoring.json"),
        "MODEL__NAME": "benchmark",
        "MODEL__VERSION": "1.0.0",
        "MODEL__WEIGHTS_URL": (directory / "model.safetensors").as_uri(),
        "MODEL__BACKBONE": BACKBONE,
        "MODEL__INPUT_SIZE": str(SIDE),
        "MODEL__EMBEDDING_SIZE": str(EMBEDDING),
        "MODEL__NUM_CLASSES_HEAD": str(ROWS),
        "MODEL__NUM_CLASSES_ACTIVE": str(KNOWN),
        "GATE__ARCHITECTURE": GATE,
        "GATE__WEIGHTS_URL": (directory / "gate.safetensors").as_uri(),
        "GATE__THRESHOLD": "0.0",
        "HTTP__HOST": "127.0.0.1",
    }
    return {f"CETACEAN_{name}": value for name, value in settings.items()}


def jpegs() -> list[bytes]:
    """Return files that compress like photographs: with detail at every scale."""
    random = np.random.default_rng(7)
    return [_jpeg(random) for _ in range(PICTURES)]


def _jpeg(random: np.random.Generator) -> bytes:
    wide, high = PICTURE_SIZE
    total = np.zeros((high, wide, 3), dtype=np.float32)
    for octave in range(2, 10):
        cells = (max(2, high >> (10 - octave)), max(2, wide >> (10 - octave)), 3)
        layer = Image.fromarray(random.integers(0, 256, cells, dtype=np.uint8))
        total += np.asarray(layer.resize(PICTURE_SIZE, Image.Resampling.BICUBIC), dtype=np.float32) / 2**octave
    spread = (total - total.min()) / (total.max() - total.min()) * 255
    buffer = io.BytesIO()
    Image.fromarray(spread.astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
