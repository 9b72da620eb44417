"""A folder of trained models.

weights/<name>/<name>.safetensors, encoder_classes.npy, species_map.csv, <name>.safetensors.sig
demo.pub, the public key of these signatures
gate/config.json, gate.safetensors
registry.json
reports/<name>.json, <name>.outcomes.jsonl
anti_fraud_threshold.yaml
pictures/…
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from cetacean_evaluation.manifest import read_manifest
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import file_sha256
from cetacean_registry.metrics import MetricsSnapshot, load_snapshots
from cetacean_registry.registry import Registry
from cetacean_tools.demo_models.recipe import GATE_ARCHITECTURE


@dataclass(frozen=True, slots=True)
class DemoModels:
    """The demo's models, their snapshots, and pictures that none of them has been trained on."""

    folder: Path

    def registry(self, base_url: str) -> Registry:
        """The registry, with the weights at `<base_url>/weights/…`."""
        stored = Registry.load(self.folder / "registry.json")
        placed = (
            entry.model_copy(update={"weights_url": f"{base_url.rstrip('/')}/{path}", "files": self._files(path)})
            for entry in stored.models
            if (path := entry.weights_path)
        )
        return stored.model_copy(update={"models": tuple(placed)})

    def snapshots(self) -> dict[str, MetricsSnapshot]:
        """Metrics snapshots by model name."""
        return load_snapshots(Registry.load(self.folder / "registry.json"), self.folder)

    def gate(self, base_url: str) -> dict[str, str]:
        """`spec.antiFraud.model`, with the files at `<base_url>/gate/…`."""
        base = base_url.rstrip("/")
        return {
            "architecture": GATE_ARCHITECTURE,
            "configURL": f"{base}/gate/config.json",
            "configSHA256": file_sha256(self.folder / "gate/config.json"),
            "weightsURL": f"{base}/gate/gate.safetensors",
            "sha256": file_sha256(self.folder / "gate/gate.safetensors"),
        }

    def anti_fraud(self, base_url: str) -> dict[str, Any]:
        """`spec.antiFraud`: the gate's own model, at its calibrated threshold."""
        return {"threshold": self.threshold, "calibratedAt": self.calibrated_at, "model": self.gate(base_url)}

    @property
    def threshold(self) -> float:
        """The gate's, calibrated on the calibration split."""
        return float(self._calibration()["threshold"])

    @property
    def calibrated_at(self) -> str:
        """ISO 8601."""
        return str(self._calibration()["calibrated_at"])

    @property
    def cetaceans(self) -> Sequence[Path]:
        """Pictures of the test split that show a known individual; the species take turns: a part has the same mix."""
        by_species = defaultdict[str | None, list[Path]](list)
        for picture in read_manifest(self._manifest, split="test"):
            if picture.cetacean:
                by_species[picture.species].append(picture.path)
        return [path for turn in zip_longest(*by_species.values()) for path in turn if path]

    @property
    def others(self) -> Sequence[Path]:
        """Pictures of the test split that show no cetacean."""
        return [picture.path for picture in read_manifest(self._manifest, split="test") if not picture.cetacean]

    @property
    def drifted(self) -> Sequence[Path]:
        """Some of `cetaceans` in fog, at night and out of focus, as a camera network may drift."""
        return sorted((self.folder / "pictures/drifted").glob("*.jpg"))

    @property
    def _manifest(self) -> Path:
        return self.folder / "pictures/manifest.csv"

    def _files(self, weights: str) -> dict[str, str]:
        return {name: file_sha256((self.folder / weights).parent / name) for name in COMPANION_FILES}

    def _calibration(self) -> dict[str, Any]:
        return dict(yaml.safe_load((self.folder / "anti_fraud_threshold.yaml").read_text(encoding="utf-8")))
