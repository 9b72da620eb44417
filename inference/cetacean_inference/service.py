"""What the service does with a picture: read, prepare, score, decide, count, watch, log. Knows nothing of HTTP."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from cetacean_inference.batching import Batcher, Scored
from cetacean_inference.decision import Detection, corrupted, decide
from cetacean_inference.drift import DriftMonitor
from cetacean_inference.images import decode
from cetacean_inference.masks import CutOut, Masks
from cetacean_inference.metrics import Metrics
from cetacean_inference.monitoring import Monitoring, MonitoringFile
from cetacean_inference.refusals import Refused, UnusableImage
from cetacean_inference.settings import Settings
from cetacean_inference.types import Pipeline, ServedIdentity

logger = logging.getLogger(__name__)
predictions = logging.getLogger(f"{__package__}.predictions")


KEEP_SECONDS: Final = 60.0
"""How often the cache is told that the weights are in use; much less than what it leaves unused files."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What serves once the weights are there."""

    identity: ServedIdentity
    pipeline: Pipeline[Any]
    batcher: Batcher[Any]
    masks: Masks | None


class Service:
    """One process's state; `begin` makes it able to answer, `drain` says that it will end.

    Args:
        settings: all of them.
        clock: seconds, monotonic.
    """

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings: Final = settings
        self._monitoring = MonitoringFile(settings.monitoring_file)
        self.drift: Final = DriftMonitor(
            model=settings.model.name,
            settings=settings.drift,
            monitoring=self._monitoring.changed() or Monitoring(),
        )
        self.metrics: Final = Metrics(drift=self.drift, info=self._labels, clock=clock)
        self._loaded: _Loaded | None = None
        self._draining = False
        self._clock = clock
        self._kept_at = clock()

    @property
    def loaded(self) -> bool:
        """Whether verified weights are loaded and warmed up: pictures can be answered."""
        return self._loaded is not None

    @property
    def ready(self) -> bool:
        """Whether new requests should come here."""
        return self.loaded and not self._draining

    def begin(self, pipeline: Pipeline[Any], *, cut_out: CutOut | None = None) -> None:
        """Answer with this pipeline from now on, and with masks if there is what makes them; called in any thread."""
        batcher = Batcher(
            pipeline,
            threshold=self.settings.gate.threshold,
            settings=self.settings.batching,
            metrics=self.metrics,
            retry_after=self.settings.http.retry_after_seconds,
        )
        settings, served = self.settings, pipeline.identity
        masks = (
            Masks(cut_out, settings=settings.mask, images=settings.images, metrics=self.metrics) if cut_out else None
        )
        self._loaded = _Loaded(served, pipeline, batcher, masks)
        self.metrics.passed_over(served.passed_over)
        logger.info(
            "serving %s %s, sha256:%s, with %s", served.name, served.version, served.weights_sha256, served.engine
        )
        if settings.gate.threshold == 0.0:
            logger.warning("the gate's threshold is 0.0: every picture is taken for one of a marine mammal")

    def drain(self) -> None:
        """Be no longer ready; what is here, or comes all the same, is still answered."""
        self._draining = True

    def close(self, *, timeout_seconds: float) -> bool:
        """Compute what is queued and end the threads; whether that was done in time."""
        if self._loaded is None:
            return True
        if self._loaded.masks:
            self._loaded.masks.close()
        return self._loaded.batcher.close(timeout_seconds=timeout_seconds)

    def refresh_monitoring(self) -> None:
        """Look whether the monitoring file has changed."""
        if (monitoring := self._monitoring.changed()) is not None:
            self.drift.configure(monitoring)

    def keep_weights(self) -> None:
        """Tell the cache now and then that the weights are in use; call it often.

        When this container ends, nothing but the time of that holds them until the next one has begun.
        """
        if self._loaded and self._clock() - self._kept_at >= KEEP_SECONDS:
            self._kept_at = self._clock()
            self._loaded.pipeline.touch()

    def identity(self) -> dict[str, Any]:
        """What /v1/identity says; the operator reads it to see which weights a pod really serves."""
        settings, served = self.settings, self._loaded.identity if self._loaded else None
        threshold = settings.gate.threshold
        return {
            "model": {
                "name": settings.model.name,
                "version": settings.model.version,
                "architecture": settings.model.architecture,
            },
            "weights": {
                "sha256": served.weights_sha256 if served else None,
                "expected_sha256": settings.model.sha256,
                "verified": served is not None and served.weights_sha256 == settings.model.sha256,
            },
            "gate": {
                "architecture": settings.gate.architecture,
                "pretrained": None if settings.gate.weights_url else settings.gate.pretrained,
                "sha256": served.gate_sha256 if served else settings.gate.sha256,
                "threshold": threshold,
                "enabled": threshold > 0.0,
            },
            "config_digest": settings.config_digest,
            "rollout_id": settings.rollout_id,
            "engine": served.engine if served else None,
            "ready": self.ready,
        }

    @property
    def share(self) -> int:
        """How many pictures of one archive may be under way."""
        return self._batcher().share

    def check_admission(self) -> None:
        """Refuse a request that would only wait.

        Raises:
            Refused: 429 or 503.
        """
        self._batcher().check()

    async def predict(self, read: Callable[[], bytes], *, image_ind: str) -> Detection:
        """Answer for one picture.

        Args:
            read: gives the file's bytes; called in a thread.
            image_ind: the file's name.

        Raises:
            Refused: as `images.decode` says, 429 when too much is queued, 503 while nothing is loaded.
        """
        scored = await self._batcher().score(self._loader(read))
        return self._answer(scored, image_ind)

    async def with_mask(self, detection: Detection, read: Callable[[], bytes]) -> Detection:
        """The same answer with a mask, where masks are made and the picture was identified.

        Args:
            detection: of the picture.
            read: gives its bytes again; called in a thread.
        """
        if self._loaded is None or self._loaded.masks is None or detection.rejected:
            return detection
        mask = await self._loaded.masks.make(read, size=detection.bbox[2:])
        return detection.model_copy(update={"mask": mask})

    async def predict_entry(self, read: Callable[[], bytes], *, image_ind: str) -> Detection:
        """Answer for a picture of an admitted archive; one that cannot be read is answered as corrupted.

        Raises:
            Refused: 503 while nothing is loaded.
        """
        try:
            scored = await self._batcher().score(self._loader(read), patient=True)
        except UnusableImage as refusal:
            detection = corrupted(image_ind=image_ind, size=refusal.size, model_version=self.settings.model.version)
            self.metrics.predicted(detection)
            predictions.info(
                "corrupted: %s", refusal, extra={"image_sha256": refusal.sha256, **self._decision(detection)}
            )
            return detection
        return self._answer(scored, image_ind)

    def _batcher(self) -> Batcher[Any]:
        if self._loaded is None:
            raise Refused(
                503,
                f"the weights of {self.settings.model.name} {self.settings.model.version} are not loaded yet",
                retry_after=self.settings.http.retry_after_seconds,
            )
        return self._loaded.batcher

    def _loader(self, read: Callable[[], bytes]) -> Callable[[], tuple[Image.Image, str]]:
        """The picture, with its digest: with the lineage that is logged beside it, an answer can be computed again."""

        def load() -> tuple[Image.Image, str]:
            data = read()
            digest = hashlib.sha256(data).hexdigest()
            try:
                return decode(data, self.settings.images), digest
            except UnusableImage as refusal:
                refusal.sha256 = digest
                raise

        return load

    def _answer(self, scored: Scored[str], image_ind: str) -> Detection:
        detection = decide(
            scored.scores,
            threshold=self.settings.gate.threshold,
            image_ind=image_ind,
            size=scored.size,
            model_version=self.settings.model.version,
        )
        self.drift.record(scored.scores.cetacean_score, detection.probability)
        self.metrics.predicted(detection)
        stages = scored.stages
        milliseconds = {
            "prepare": round(stages.prepare * 1000, 1),
            "queue": round(stages.queue * 1000, 1),
            "predict": round(stages.predict * 1000, 1),
        }
        predictions.info(
            "rejected" if detection.rejected else "identified",
            extra={
                "image_sha256": scored.note,
                **self._decision(detection),
                "stages_ms": milliseconds,
                "batch_size": stages.batch_size,
            },
        )
        return detection

    def _decision(self, detection: Detection) -> dict[str, Any]:
        """Lineage and decision; neither the picture nor its name, which may tell about people."""
        served = self._loaded.identity if self._loaded else None
        return {
            "lineage": {
                "model": self.settings.model.name,
                "version": self.settings.model.version,
                "weights_sha256": served.weights_sha256 if served else None,
                "gate_sha256": served.gate_sha256 if served else None,
                "threshold": self.settings.gate.threshold,
                "engine": served.engine if served else None,
            },
            "decision": detection.model_dump(
                mode="json", exclude={"image_ind", "bbox", "mask", "model_version", "candidates"}
            ),
        }

    def _labels(self) -> dict[str, str] | None:
        if self._loaded is None:
            return None
        served = self._loaded.identity
        return {
            "name": served.name,
            "version": served.version,
            "sha256": served.weights_sha256,
            "engine": served.engine,
            "threshold": str(self.settings.gate.threshold),
        }
