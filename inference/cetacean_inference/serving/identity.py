"""The identity of the served model: its weights, gate and engine, as each reader gets them.

Readers are /v1/identity, the headers of every answer, the prediction log, and the labels of the model's metric.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cetacean_inference.settings import Settings
from cetacean_inference.types import ServedIdentity
from cetacean_registry.companions import COMPANION_FILES


def without_digest(settings: Settings) -> list[str]:
    """Return the files that decide answers and cannot be verified, because the settings name no digest for them."""
    model, gate = settings.model, settings.gate
    digests = {
        "checkpoint": model.sha256,
        **{name: model.files.get(name) for name in COMPANION_FILES},
        "gate weights": gate.sha256,
    }
    if gate.config_url:
        digests["gate config"] = gate.config_sha256
    return [name for name, digest in digests.items() if digest is None]


@dataclass(frozen=True, slots=True)
class Identity:
    """The model of the settings, and the weights that are loaded for it.

    Args:
        settings: model, gate and the operator's digests.
        served: the loaded weights; None until they are loaded.
    """

    settings: Settings
    served: ServedIdentity | None = None

    @property
    def weights_sha256(self) -> str | None:
        """Digest of the loaded weights."""
        return self.served.weights_sha256 if self.served else None

    @property
    def engine(self) -> str | None:
        """Name of the engine that computes."""
        return self.served.engine if self.served else None

    def report(self, *, ready: bool) -> dict[str, Any]:
        """Return the body of /v1/identity; the operator compares it with the weights that it expects."""
        model, gate = self.settings.model, self.settings.gate
        return {
            "model": {"name": model.name, "version": model.version, "architecture": model.architecture},
            "weights": {
                "sha256": self.weights_sha256,
                "expected_sha256": model.sha256,
                "files": dict(self.served.files) if self.served else {},
                "unverified": without_digest(self.settings),
                "verified": self.served is not None and not without_digest(self.settings),
            },
            "gate": {
                "architecture": gate.architecture,
                "pretrained": None if gate.weights_url else gate.pretrained,
                "sha256": self.served.gate_sha256 if self.served else gate.sha256,
                "threshold": gate.threshold,
                "enabled": gate.threshold > 0.0,
            },
            "config_digest": self.settings.config_digest,
            "rollout_id": self.settings.rollout_id,
            "engine": self.engine,
            "ready": ready,
        }

    def headers(self) -> dict[str, str]:
        """Return the headers of every answer, in ASCII."""
        headers = {
            "X-Model-Name": self.settings.model.name,
            "X-Model-Version": self.settings.model.version,
            "X-Gate-Threshold": str(self.settings.gate.threshold),
        }
        if self.weights_sha256:
            headers["X-Weights-SHA256"] = self.weights_sha256
        return {name: value.encode("ascii", "backslashreplace").decode() for name, value in headers.items()}

    def lineage(self) -> dict[str, Any]:
        """Return the lineage for the prediction log; with it and the picture, an answer can be computed again."""
        return {
            "model": self.settings.model.name,
            "version": self.settings.model.version,
            "weights_sha256": self.weights_sha256,
            "gate_sha256": self.served.gate_sha256 if self.served else None,
            "threshold": self.settings.gate.threshold,
            "engine": self.engine,
        }

    def metric_labels(self) -> dict[str, str] | None:
        """Return the labels of `cetacean_inference_model_info`; None until the weights are loaded."""
        if self.served is None:
            return None
        return {
            "name": self.settings.model.name,
            "version": self.settings.model.version,
            "sha256": self.served.weights_sha256,
            "engine": self.served.engine,
            "threshold": str(self.settings.gate.threshold),
        }
