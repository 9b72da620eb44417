"""The properties of the models that the demo shows, checked on the measured figures after each training."""

from __future__ import annotations

from cetacean_registry import GatePolicy, MetricsSnapshot, judge
from cetacean_tools.demo_models.models import DemoModels
from cetacean_tools.demo_models.recipe import MIN_RATE

LEAST_DROP = 0.15
"""By how much the drifted pictures' mean score lies lower: well beyond the alarm's 0.10."""


def check(models: DemoModels, *, drifted_mean: float) -> list[str]:
    """Return the faults of the models, one phrase each; empty if there are none.

    Args:
        models: with their snapshots.
        drifted_mean: mean cetacean score of the drifted pictures.
    """
    snapshots = models.snapshots()
    first, better, worse = (snapshots[name] for name in ("demo_v1", "demo_v2", "demo_v3"))
    (tpr, tnr), (better_tpr, better_tnr), (worse_tpr, _) = map(_rates, (first, better, worse))
    top1, better_top1 = _top1(first), _top1(better)
    mean, least_tpr = first.cetacean_score_mean or 0.0, GatePolicy().min_tpr
    expected = (
        (f"demo_v1's TPR to be at least {MIN_RATE}", tpr, tpr >= MIN_RATE),
        (f"demo_v1's TNR to be at least {MIN_RATE}", tnr, tnr >= MIN_RATE),
        (f"demo_v2's TPR to be at least {max(tpr, MIN_RATE)}", better_tpr, better_tpr >= max(tpr, MIN_RATE)),
        (f"demo_v2's TNR to be at least {max(tnr, MIN_RATE)}", better_tnr, better_tnr >= max(tnr, MIN_RATE)),
        (f"demo_v2's top-1 to be above {top1}", better_top1, better_top1 > top1),
        (f"demo_v3's TPR to be below {least_tpr}", worse_tpr, worse_tpr < least_tpr),
        ("demo_v2 to pass against demo_v1", "a refusal", _passes(better, first)),
        ("demo_v3 to be refused against demo_v2", "a pass", not _passes(worse, better)),
        (
            f"drifted pictures to score {LEAST_DROP} below {mean}",
            f"{drifted_mean:.4f}",
            mean - drifted_mean >= LEAST_DROP,
        ),
    )
    return [f"expected {wanted}, got {got}" for wanted, got, fulfilled in expected if not fulfilled]


def _rates(snapshot: MetricsSnapshot) -> tuple[float, float]:
    """TPR and TNR; 0 if they are not known."""
    return snapshot.metrics.tpr or 0.0, snapshot.metrics.tnr or 0.0


def _top1(snapshot: MetricsSnapshot) -> float:
    return (snapshot.identification and snapshot.identification.top1_accuracy) or 0.0


def _passes(own: MetricsSnapshot, serving: MetricsSnapshot) -> bool:
    policy = GatePolicy()
    return judge(candidate="", metrics=own.metrics, policy=policy, serving="", serving_metrics=serving.metrics).passed
