"""The prediction log: one record for each picture, with the picture's digest, the lineage and the decision.

It contains neither the picture nor its name, which may identify people.
"""

from __future__ import annotations

import logging
from typing import Any

from cetacean_inference.decision import Detection
from cetacean_inference.monitoring.metrics import StageTimes
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.serving.identity import Identity

logger = logging.getLogger("cetacean_inference.predictions")


class PredictionLog:
    """Writes the records of one loaded model.

    Args:
        identity: gives the lineage.
    """

    def __init__(self, identity: Identity) -> None:
        self._lineage = identity.lineage()

    def write(self, detection: Detection, *, image_sha256: str, stages: StageTimes) -> None:
        """Log the answer for a picture that was scored."""
        milliseconds = {
            "prepare": round(stages.prepare * 1000, 1),
            "queue": round(stages.queue * 1000, 1),
            "predict": round(stages.predict * 1000, 1),
        }
        logger.info(
            "rejected" if detection.rejected else "identified",
            extra={
                "image_sha256": image_sha256,
                **self._fields(detection),
                "stages_ms": milliseconds,
                "batch_size": stages.batch_size,
            },
        )

    def write_corrupted(self, detection: Detection, error: UnusableImage) -> None:
        """Log the answer for a picture that could not be decoded."""
        logger.info("corrupted: %s", error, extra={"image_sha256": error.sha256, **self._fields(detection)})

    def _fields(self, detection: Detection) -> dict[str, Any]:
        return {
            "lineage": self._lineage,
            "decision": detection.model_dump(
                mode="json", exclude={"image_ind", "bbox", "mask", "model_version", "candidates"}
            ),
        }
