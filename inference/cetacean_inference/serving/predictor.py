"""Answers pictures with a loaded pipeline: decodes, scores, decides, and records each answer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from cetacean_inference.decision import Detection, RejectionReason, corrupted, decide
from cetacean_inference.imaging.decoding import check_file_size
from cetacean_inference.imaging.masks import MaskMaker
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.serving.batching import Batcher, ScoredPicture
from cetacean_inference.serving.prediction_log import PredictionLog
from cetacean_inference.settings import Settings
from cetacean_inference.types import Decoded, Decoder, Resize


class Predictor:
    """Answers for single pictures and for the pictures of archives.

    Args:
        settings: threshold, version and bounds of pictures.
        batcher: scores.
        decoder: decodes.
        resizes: how the batcher's pipeline takes pictures.
        masks: makes masks; None if they are disabled.
        log: the prediction log.
        metrics: counts the answers.
        drift: gets the scores.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        batcher: Batcher[Any],
        decoder: Decoder,
        resizes: Sequence[Resize],
        masks: MaskMaker | None,
        log: PredictionLog,
        metrics: Metrics,
        drift: DriftMonitor,
    ) -> None:
        self.batcher: Final = batcher
        self._decoder = decoder
        self._resizes = resizes
        self._settings = settings
        self._masks = masks
        self._log = log
        self._metrics = metrics
        self._drift = drift

    async def predict(self, read: Callable[[], bytes], *, image_ind: str) -> Detection:
        """Answer for one picture.

        Args:
            read: returns the file's bytes; called in a thread.
            image_ind: the file's name.

        Raises:
            RequestRejected: see `types.Decoder.decode`; 429 if too many pictures are waiting.
        """
        return self._answer(await self.batcher.score(self._loader(read)), image_ind)

    async def predict_entry(self, read: Callable[[], bytes], *, image_ind: str) -> Detection:
        """Answer for a picture of an admitted archive, even if it cannot be decoded; waits for admission."""
        try:
            scored = await self.batcher.score(self._loader(read), wait_for_admission=True)
        except UnusableImage as error:
            detection = corrupted(image_ind=image_ind, size=error.size, model_version=self._settings.model.version)
            self._metrics.count_detection(detection)
            self._log.write_corrupted(detection, error)
            return detection
        return self._answer(scored, image_ind)

    async def add_mask(self, detection: Detection, read: Callable[[], bytes]) -> Detection:
        """Return the answer with a mask, if masks are enabled and the picture was identified.

        Args:
            detection: the answer for the picture.
            read: returns the picture's bytes again; called in a thread.
        """
        if self._masks is None or detection.rejected:
            return detection
        mask = await self._masks.make(read, size=detection.bbox[2:])
        return detection.model_copy(update={"mask": mask})

    def close(self, *, timeout_seconds: float) -> bool:
        """Compute the queued pictures and end the threads; False if that took too long."""
        if self._masks is not None:
            self._masks.close()
        self._decoder.close()
        return self.batcher.close(timeout_seconds=timeout_seconds)

    @property
    def can_decode(self) -> bool:
        """False while no decoder's process can be started."""
        return self._decoder.healthy

    def _loader(self, read: Callable[[], bytes]) -> Callable[[], Awaitable[tuple[Decoded, str]]]:
        """Make a function that decodes the picture and returns it with the digest of its bytes."""
        digest = ""

        def read_and_hash() -> bytes:
            nonlocal digest
            data = read()
            digest = hashlib.sha256(data).hexdigest()
            check_file_size(len(data), self._settings.images)
            return data

        async def load() -> tuple[Decoded, str]:
            try:
                return await self._decoder.decode(read_and_hash, self._resizes), digest
            except UnusableImage as error:
                error.sha256 = digest or None
                raise

        return load

    def _answer(self, scored: ScoredPicture[str], image_ind: str) -> Detection:
        detection = decide(
            scored.scores,
            threshold=self._settings.gate.threshold,
            image_ind=image_ind,
            size=scored.size,
            model_version=self._settings.model.version,
        )
        self._drift.record(
            scored.scores.cetacean_score,
            detection.probability,
            species=detection.id_animal if detection.is_cetacean else None,
            low_confidence=detection.rejection_reason is RejectionReason.LOW_CONFIDENCE,
        )
        self._metrics.count_detection(detection)
        self._log.write(detection, image_sha256=scored.note, stages=scored.stages)
        return detection
