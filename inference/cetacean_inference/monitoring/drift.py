"""Compares the scores of the last predictions with their baseline and raises an alarm if they drop below it.

Sums are integers: they stay exact however long the process runs. The baseline and the bounds come from the monitoring
file, which the operator changes without a restart. ADWIN, which needs no baseline, is reported too and raises no alarm.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from cetacean_inference.monitoring.adwin import Adwin
from cetacean_inference.monitoring.answer_window import AnswerStats, AnswerWindow
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.settings import DriftSettings

logger = logging.getLogger(__name__)

UNIT: Final = 10**12
"""The integer that stands for 1.0 in sums; decimal, so that the mean of rounded scores has no binary remainder."""
TOLERANCE: Final = 1e-9
"""Absorbs binary fractions: 0.9 - 0.8 counts as a drop of 0.1."""


@dataclass(frozen=True, slots=True)
class AdwinStats:
    """ADWIN's state over the scores since the process started."""

    changes_total: int
    width: int
    """Scores since the last change."""
    score_mean: float | None


@dataclass(frozen=True, slots=True)
class DriftStats:
    """The window at one moment; the fields of /v1/drift-stats, in its order."""

    n: int
    alarms_total: int
    score_mean: float | None
    score_std: float | None
    probability_mean: float | None
    window: int
    baseline: float | None
    drop: float | None
    """Baseline minus mean; negative if the scores have risen."""
    drifting: bool
    adwin: AdwinStats
    lifetime_n: int
    """Predictions since the process started."""
    lifetime_score_mean: float | None
    answers: AnswerStats
    """The newest answers as counts, over a window of their own."""


class DriftMonitor:
    """Rolling window over scores and probabilities; thread safe, O(1) for each record.

    Args:
        model: the active model's name; selects the baseline.
        settings: hysteresis and ADWIN's sensitivity.
        monitoring: window, bounds and baselines; see `configure`.
    """

    def __init__(self, *, model: str, settings: DriftSettings, monitoring: Monitoring) -> None:
        self._model = model
        self._recovery = settings.recovery
        self._lock = threading.Lock()
        self._monitoring = monitoring
        self._window: deque[tuple[int, int]] = deque()
        self._score_sum = self._score_squares = self._probability_sum = 0
        self._lifetime_n = self._lifetime_sum = 0
        self._alarms = 0
        self._drifting = False
        self._adwin = Adwin(delta=settings.adwin_delta)
        self._adwin_changes = 0
        self._answers = AnswerWindow(monitoring.answers_window)

    def configure(self, monitoring: Monitoring) -> None:
        """Apply another window, other bounds or another baseline to the predictions in the window."""
        with self._lock:
            self._monitoring = monitoring
            while len(self._window) > monitoring.window:
                self._drop_oldest()
            self._answers.resize(monitoring.answers_window)
            self._update_alarm()

    def record(
        self, cetacean_score: float, probability: float, *, species: str | None = None, low_confidence: bool = False
    ) -> None:
        """Add one prediction as it was answered; both values are within 0..1.

        Args:
            cetacean_score: the gate's.
            probability: that of the answer.
            species: that of the answer; None if the gate rejected the picture.
            low_confidence: the picture was rejected because its individual is too unlikely.

        Raises:
            ValueError: a value is not finite.
        """
        if not (math.isfinite(cetacean_score) and math.isfinite(probability)):
            raise ValueError(f"expected finite values, got {cetacean_score} and {probability}")
        score, likelihood = round(cetacean_score * UNIT), round(probability * UNIT)
        with self._lock:
            self._window.append((score, likelihood))
            self._lifetime_n += 1
            self._lifetime_sum += score
            self._score_sum += score
            self._score_squares += score * score
            self._probability_sum += likelihood
            if len(self._window) > self._monitoring.window:
                self._drop_oldest()
            self._answers.add(
                cetacean_score=cetacean_score, probability=probability, species=species, low_confidence=low_confidence
            )
            self._adwin_changes += self._adwin.update(cetacean_score)
            self._update_alarm()

    @property
    def stats(self) -> DriftStats:
        """The window and ADWIN now."""
        with self._lock:
            n, mean = len(self._window), self._mean()
            baseline = self._baseline()
            return DriftStats(
                n=n,
                alarms_total=self._alarms,
                score_mean=mean,
                score_std=self._deviation(),
                probability_mean=self._probability_sum / (n * UNIT) if n else None,
                window=self._monitoring.window,
                baseline=baseline,
                drop=None if mean is None or baseline is None else baseline - mean,
                drifting=self._drifting,
                adwin=AdwinStats(
                    changes_total=self._adwin_changes,
                    width=self._adwin.width,
                    score_mean=self._adwin.mean,
                ),
                lifetime_n=self._lifetime_n,
                lifetime_score_mean=self._lifetime_sum / (self._lifetime_n * UNIT) if self._lifetime_n else None,
                answers=self._answers.stats,
            )

    def _drop_oldest(self) -> None:
        score, likelihood = self._window.popleft()
        self._score_sum -= score
        self._score_squares -= score * score
        self._probability_sum -= likelihood

    def _mean(self) -> float | None:
        return self._score_sum / (len(self._window) * UNIT) if self._window else None

    def _deviation(self) -> float | None:
        """Return the population standard deviation of the window's scores."""
        if not (n := len(self._window)):
            return None
        return math.sqrt(n * self._score_squares - self._score_sum * self._score_sum) / (n * UNIT)

    def _baseline(self) -> float | None:
        return self._monitoring.baselines.get(self._model)

    def _update_alarm(self) -> None:
        """Begin or end an episode of drift; between the two bounds nothing changes: noise is not a new episode."""
        mean, baseline, bounds = self._mean(), self._baseline(), self._monitoring
        if mean is None or baseline is None:
            self._drifting = False
            return
        drop, n = baseline - mean, len(self._window)
        if self._drifting:
            if drop < self._recovery * bounds.alarm_drop - TOLERANCE:
                self._drifting = False
                logger.info("drift is over: mean cetacean score %.4f over %d, baseline %.4f", mean, n, baseline)
        elif n >= bounds.min_samples and drop >= bounds.alarm_drop - TOLERANCE:
            self._drifting = True
            self._alarms += 1
            logger.warning(
                "drift: mean cetacean score %.4f over %d predictions of %s, %.4f below its baseline %.4f (bound %.4f)",
                mean,
                n,
                self._model,
                drop,
                baseline,
                bounds.alarm_drop,
            )
