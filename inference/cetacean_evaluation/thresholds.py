"""Choose the gate's threshold: a sweep, a rule, and the confidence intervals of the rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from cetacean_evaluation.errors import EvaluationError
from cetacean_registry.intervals import wilson

THRESHOLDS: Final = tuple(hundredths / 100 for hundredths in range(30, 81))
"""0.30 to 0.80 by 0.01."""
MIN_TNR: Final = 0.90
MIN_TPR: Final = 0.85


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of what was counted, with its confidence interval."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """0..1."""
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval at 95 %."""
        return wilson(self.value, self.total)


@dataclass(frozen=True, slots=True)
class Operating:
    """The gate's rates at one threshold."""

    threshold: float
    tpr: Rate
    tnr: Rate


@dataclass(frozen=True, slots=True)
class Calibration:
    """The threshold chosen and everything that it was chosen from."""

    chosen: Operating
    meets: bool
    """True if the bounds are kept; otherwise `chosen` is the threshold of the best TNR."""
    points: tuple[Operating, ...]
    min_tnr: float
    min_tpr: float


def sweep(
    positives: Sequence[float], negatives: Sequence[float], thresholds: Sequence[float] = THRESHOLDS
) -> tuple[Operating, ...]:
    """Return the rates at each threshold; a picture is accepted if its score is at least the threshold.

    Args:
        positives: the gate's scores of pictures of cetaceans.
        negatives: its scores of the others.
        thresholds: ascending.

    Raises:
        EvaluationError: one of the two has no pictures.
    """
    if not positives or not negatives:
        raise EvaluationError(
            f"expected pictures of both labels, got {len(positives)} cetacean and {len(negatives)} non_cetacean"
        )
    return tuple(
        Operating(
            threshold,
            tpr=Rate(sum(score >= threshold for score in positives), len(positives)),
            tnr=Rate(sum(score < threshold for score in negatives), len(negatives)),
        )
        for threshold in thresholds
    )


def calibrate(points: Sequence[Operating], *, min_tnr: float = MIN_TNR, min_tpr: float = MIN_TPR) -> Calibration:
    """Take the smallest threshold that keeps both bounds, else the one of the best TNR (of equals, of the best TPR)."""
    for point in points:
        if point.tnr.value >= min_tnr and point.tpr.value >= min_tpr:
            return Calibration(point, meets=True, points=tuple(points), min_tnr=min_tnr, min_tpr=min_tpr)
    best = max(points, key=lambda point: (point.tnr.value, point.tpr.value, -point.threshold))
    return Calibration(best, meets=False, points=tuple(points), min_tnr=min_tnr, min_tpr=min_tpr)


def threshold_file(calibration: Calibration, *, calibrated_at: str) -> str:
    """Write `anti_fraud_threshold.yaml`: what the service reads, and the calibration it comes from.

    Args:
        calibration: what was chosen.
        calibrated_at: ISO 8601.
    """
    chosen = calibration.chosen
    content = {
        "threshold": chosen.threshold,
        "tpr": round(chosen.tpr.value, 4),
        "tnr": round(chosen.tnr.value, 4),
        "tpr_interval_95": [round(bound, 4) for bound in chosen.tpr.interval],
        "tnr_interval_95": [round(bound, 4) for bound in chosen.tnr.interval],
        "n_positive": chosen.tpr.total,
        "n_negative": chosen.tnr.total,
        "calibrated_at": calibrated_at,
    }
    head = (
        "# The anti-fraud gate's threshold and the calibration it comes from; the service reads `threshold` and "
        "`calibrated_at`.\n# Emergency: `threshold: 0.0` accepts everything.\n"
    )
    return head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None)
