"""The models that are switched: networks of real size with random weights, or the demo's with `--small`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from benchmarks import material
from safetensors.torch import load_file, save_file

from cetacean_inference.models.state_dict import read_state
from cetacean_inference.weights.blob import Blob
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import file_sha256
from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo_models import DemoModels

HEAD: Final = "arc.weight"
GATE: Final = "gate.safetensors"
CONFIG: Final = "config.json"


@dataclass(frozen=True, slots=True)
class Material:
    """Versions of one model and their gate, in one folder that a store serves."""

    entries: Sequence[ModelEntry]
    """Their URLs are the names of their files."""
    anti_fraud: dict[str, Any]
    """`spec.antiFraud`; its URLs are names of files too."""
    weights_mb: int
    gate_mb: int

    def served_at(self, base: str) -> Material:
        """Return the same with URLs below a base."""
        entries = [one.model_copy(update={"weights_url": f"{base}/{one.weights_url}"}) for one in self.entries]
        model = {
            key: f"{base}/{value}" if key in ("weightsURL", "configURL") else value
            for key, value in self.anti_fraud["model"].items()
        }
        return Material(entries, self.anti_fraud | {"model": model}, self.weights_mb, self.gate_mb)


def full_size(folder: Path, base: ModelEntry, *, versions: int) -> Material:
    """Write random weights of real size: EfficientNet-B4 and CLIP ViT-B/32.

    Args:
        folder: to write into.
        base: an entry whose metrics the new ones get.
        versions: number of models; they differ by their random heads.
    """
    material.write_weights(folder)
    first = folder / "model.safetensors"
    given = base.model_copy(
        update={
            "backbone": material.BACKBONE,
            "input_size": material.SIDE,
            "embedding_size": material.EMBEDDING,
            "num_classes_head": material.ROWS,
            "num_classes_active": material.KNOWN,
        }
    )
    gate = {"architecture": material.GATE, "weightsURL": GATE, "sha256": file_sha256(folder / GATE)}
    anti_fraud = {"threshold": 0.0, "model": gate}
    return _material(folder, given, load_file(first), anti_fraud, versions=versions)


def demo_size(folder: Path, base: ModelEntry, models: DemoModels, *, versions: int) -> Material:
    """Write models of the demo's size: to try the benchmark."""
    source = models.folder / str(base.weights_path)
    with source.open("rb") as stream:
        state = dict(read_state(stream, Blob(str(source), str(base.sha256), source), pickle_allowed=True))
    for path in (*(source.parent / name for name in COMPANION_FILES), models.folder / "gate" / GATE):
        shutil.copy(path, folder)
    shutil.copy(models.folder / "gate" / CONFIG, folder)
    gate = models.gate("") | {"weightsURL": GATE, "configURL": CONFIG}
    return _material(folder, base, state, {"threshold": models.threshold, "model": gate}, versions=versions)


def _material(
    folder: Path, base: ModelEntry, state: dict[str, torch.Tensor], anti_fraud: dict[str, Any], *, versions: int
) -> Material:
    files = {name: file_sha256(folder / name) for name in COMPANION_FILES}
    entries = []
    for number in range(1, versions + 1):
        file = f"switched-{number}.safetensors"
        random = torch.Generator().manual_seed(number)
        noise = torch.empty(state[HEAD].shape).uniform_(-1e-3, 1e-3, generator=random)
        save_file({**state, HEAD: state[HEAD] + noise}, folder / file)
        changed = {"name": f"switched-{number}", "version": f"7.{number}.0", "weights_url": file, "files": files}
        entries.append(base.model_copy(update=changed | {"sha256": file_sha256(folder / file)}))
    for path in folder.iterdir():
        path.chmod(0o644)  # safetensors lets only the owner read, and the store runs as another user
    sizes = ((folder / name).stat().st_size for name in (file, GATE))
    weights, gate = (round(size / 1e6) for size in sizes)
    return Material(entries, anti_fraud, weights, gate)
