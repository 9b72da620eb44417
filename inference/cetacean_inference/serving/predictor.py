"""Answers pictures with a loaded pipeline: decodes, scores, decides, and records each answer."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from cetacean_inference.decision import Detection, RejectionReason, corrupted, decide
from cetacean_inference.imaging.archives import UNNAMED
from cetacean_inference.imaging.decoding import check_file_size
from cetacean_inference.imaging.masks import MaskMaker
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.metrics import Metrics, StageTimes
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.serving.batching import Batcher, ScoredPicture
from cetacean_inference.serving.prediction_log import PredictionLog
from cetacean_inference.settings import Settings
from cetacean_inference.shadow.answers import answer_of
from cetacean_inference.shadow.samples import RequestSamples, Sample
from cetacean_inference.types import Decoded, Decoder, Resize


@dataclass(frozen=True, slots=True)
class _File:
    """The digest of a picture's bytes, and its copy if it is sampled for a candidate."""

    sha256: str
    sample: Sample | None = None


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

    async def predict(self, read: Callable[[], bytes], *, image_ind: str, samples: RequestSamples) -> Detection:
        """Answer for one picture.

        Args:
            read: returns the file's bytes; called in a thread.
            image_ind: the file's name.
            samples: copies the picture, if it is sampled for a candidate.

        Raises:
            RequestRejected: see `types.Decoder.decode`; 429 if too many pictures are waiting.
        """
        return self._answer(await self.batcher.score(self._loader(read, samples)), image_ind)

    async def predict_shadow(self, read: Callable[[], bytes]) -> tuple[Detection, StageTimes]:
        """Answer another pod that compares models: counted nowhere as an answer to a client, and never copied.

        Raises:
            RequestRejected: see `types.Decoder.decode`; 429 if pictures wait for the model: those of clients go first.
        """
        if self.batcher.num_queued:
            raise RequestRejected(
                429,
                "pictures of clients are waiting: try again later",
                retry_after=self._settings.http.retry_after_seconds,
            )
        scored = await self.batcher.score(self._loader(read, None))
        return self._decide(scored, UNNAMED), scored.stages

    async def predict_entry(self, read: Callable[[], bytes], *, image_ind: str, samples: RequestSamples) -> Detection:
        """Answer for a picture of an admitted archive, even if it cannot be decoded; waits for admission."""
        try:
            scored = await self.batcher.score(self._loader(read, samples), wait_for_admission=True)
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
    def fault(self) -> str | None:
        """Why pictures cannot be answered, None if they can."""
        if not self._decoder.healthy:
            return "no process that decodes pictures can be started"
        failure = self.batcher.failure
        return None if failure is None else f"a model thread has ended: {failure}"

    def _loader(
        self, read: Callable[[], bytes], samples: RequestSamples | None
    ) -> Callable[[], Awaitable[tuple[Decoded, _File]]]:
        """Make a function that decodes the picture and returns it with the digest of its bytes and its copy."""
        file = _File("")

        def read_and_hash() -> bytes:
            nonlocal file
            data = read()
            if file.sha256:
                return data  # a decoder reads a file again after it has waited: the picture is sampled once
            file = _File(hashlib.sha256(data).hexdigest())
            check_file_size(len(data), self._settings.images)
            if samples is not None and (sample := samples.copy(file.sha256, data)) is not None:
                file = replace(file, sample=sample)
            return data

        async def load() -> tuple[Decoded, _File]:
            try:
                return await self._decoder.decode(read_and_hash, self._resizes), file
            except UnusableImage as error:
                error.sha256 = file.sha256 or None
                raise

        return load

    def _decide(self, scored: ScoredPicture[_File], image_ind: str) -> Detection:
        return decide(
            scored.scores,
            threshold=self._settings.gate.threshold,
            image_ind=image_ind,
            size=scored.size,
            model_version=self._settings.model.version,
        )

    def _answer(self, scored: ScoredPicture[_File], image_ind: str) -> Detection:
        detection = self._decide(scored, image_ind)
        self._drift.record(
            scored.scores.cetacean_score,
            detection.probability,
            species=detection.id_animal if detection.is_cetacean else None,
            low_confidence=detection.rejection_reason is RejectionReason.LOW_CONFIDENCE,
        )
        self._metrics.count_detection(detection)
        self._log.write(detection, image_sha256=scored.note.sha256, stages=scored.stages)
        if scored.note.sample is not None:
            scored.note.sample.answer = answer_of(detection, predict_seconds=scored.stages.predict_per_picture)
        return detection
