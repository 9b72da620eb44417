"""The life cycle of the service: not loaded, ready, draining, closed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from cetacean_inference.imaging.masks import MaskMaker, RemoveBackground
from cetacean_inference.monitoring.drift import DriftMonitor
from cetacean_inference.monitoring.feedback import FeedbackCounts
from cetacean_inference.monitoring.feedback_metrics import FeedbackCollector
from cetacean_inference.monitoring.metrics import Metrics
from cetacean_inference.monitoring.monitoring_file import Monitoring, MonitoringFile
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.serving.batching import Batcher
from cetacean_inference.serving.identity import Identity
from cetacean_inference.serving.prediction_log import PredictionLog
from cetacean_inference.serving.predictor import Predictor
from cetacean_inference.settings import Settings
from cetacean_inference.shadow.client import ShadowClient
from cetacean_inference.shadow.metrics import ShadowCollector
from cetacean_inference.shadow.traffic import ShadowTraffic
from cetacean_inference.types import Decoder, Pipeline

logger = logging.getLogger(__name__)


class Service:
    """The state of one process.

    Args:
        settings: all of them.
        clock: seconds, monotonic.
        shadow_client: asks other pods; None for one over the network.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        shadow_client: ShadowClient | None = None,
    ) -> None:
        self.settings: Final = settings
        self.identity = Identity(settings)
        self._monitoring_file = MonitoringFile(settings.monitoring_file)
        monitoring = self._monitoring_file.read_if_changed() or Monitoring()
        self.shadow: Final = ShadowTraffic(settings.shadow, plan=monitoring.shadow, client=shadow_client)
        self.drift: Final = DriftMonitor(
            model=settings.model.name,
            settings=settings.drift,
            monitoring=monitoring,
        )
        self.metrics: Final = Metrics(drift=self.drift, info=self._metric_labels, clock=clock)
        self.metrics.registry.register(ShadowCollector(self.shadow))
        self.feedback: Final = FeedbackCounts(settings.model.version)
        self.metrics.registry.register(FeedbackCollector(self.feedback))
        self._predictor: Predictor | None = None
        self._draining = False

    @property
    def ready(self) -> bool:
        """True if the weights are loaded, pictures can be answered, and the process is not about to end."""
        return self.why_not_ready is None

    @property
    def why_not_ready(self) -> str | None:
        """The reason in one line, None if it is ready."""
        if self._draining:
            return "the process is about to end"
        return "the weights are not loaded yet" if self._predictor is None else self._predictor.fault

    @property
    def predictor(self) -> Predictor:
        """The predictor of the loaded weights.

        Raises:
            RequestRejected: 503 until the weights are loaded.
        """
        if self._predictor is None:
            model = self.settings.model
            raise RequestRejected(
                503,
                f"the weights of {model.name} {model.version} are not loaded yet",
                retry_after=self.settings.http.retry_after_seconds,
            )
        return self._predictor

    def start(
        self, pipeline: Pipeline[Any], *, decoder: Decoder, remove_background: RemoveBackground | None = None
    ) -> None:
        """Answer with this pipeline; may be called in any thread.

        Args:
            pipeline: computes.
            decoder: decodes; closed by `close`.
            remove_background: makes masks; None if they are disabled.
        """
        settings, metrics, served = self.settings, self.metrics, pipeline.identity
        self.identity = replace(self.identity, served=served)
        metrics.set_rejected_engines(served.rejected_engines)
        metrics.set_engine_times(served.engine_times_ms)
        metrics.set_start_times(served.start_seconds)
        masks = None
        if remove_background is not None:
            masks = MaskMaker(remove_background, settings=settings.mask, decoder=decoder, metrics=metrics)
        batcher = Batcher(
            pipeline,
            threshold=settings.gate.threshold,
            settings=settings.batching,
            metrics=metrics,
            retry_after=settings.http.retry_after_seconds,
        )
        self._predictor = Predictor(
            settings,
            batcher=batcher,
            decoder=decoder,
            resizes=tuple(pipeline.resizes),
            masks=masks,
            log=PredictionLog(self.identity),
            metrics=metrics,
            drift=self.drift,
        )
        name, version = settings.model.name, settings.model.version
        logger.info("serving %s %s, sha256:%s, with %s", name, version, served.weights_sha256, served.engine)
        if settings.gate.threshold == 0.0:
            logger.warning("the gate's threshold is 0.0: every picture is accepted as one of a marine mammal")

    def drain(self) -> None:
        """Stop being ready; requests that are in progress or still arrive are answered."""
        self._draining = True

    def close(self, *, timeout_seconds: float) -> bool:
        """Compute the queued pictures and end the threads; False if that took too long."""
        return self._predictor is None or self._predictor.close(timeout_seconds=timeout_seconds)

    async def refresh_monitoring(self) -> None:
        """Apply the monitoring file if it has changed."""
        if (monitoring := await asyncio.to_thread(self._monitoring_file.read_if_changed)) is not None:
            self.drift.configure(monitoring)
            self.shadow.configure(monitoring.shadow)

    def _metric_labels(self) -> dict[str, str] | None:
        return self.identity.metric_labels()  # `start` replaces the identity
