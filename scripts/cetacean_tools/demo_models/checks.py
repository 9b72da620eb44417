"""The properties of the models that the demo shows, checked on the measured figures after each training."""

from __future__ import annotations

from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import GateVerdict, judge
from cetacean_tools.demo_models import recipe
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
    first, better, worse, permuted = (snapshots[version.name].metrics for version in recipe.VERSIONS)
    (tpr, tnr), mean = _rates(first), first.cetacean_score_mean or 0.0
    top1, better_top1 = (one.identification.top1 or 0.0 if one.identification else 0.0 for one in (first, better))
    least_tpr, wrong = recipe.GATES.min_tpr, _judge(permuted, better).message
    expected = (
        (f"demo_v1's TPR to be at least {MIN_RATE}", tpr, tpr >= MIN_RATE),
        (f"demo_v1's TNR to be at least {MIN_RATE}", tnr, tnr >= MIN_RATE),
        ("demo_v1 to pass", "a refusal", _judge(first).passed),
        *(
            (f"demo_v2's {name} to be at least {max(rate, MIN_RATE)}", rate2, rate2 >= max(rate, MIN_RATE))
            for name, rate, rate2 in zip(("TPR", "TNR"), (tpr, tnr), _rates(better), strict=True)
        ),
        (f"demo_v2's top-1 to be above {top1}", better_top1, better_top1 > top1),
        (f"demo_v3's TPR to be below {least_tpr}", _rates(worse)[0], _rates(worse)[0] < least_tpr),
        ("demo_v2 to pass against demo_v1", "a refusal", _judge(better, first).passed),
        ("demo_v3 to be refused against demo_v2", "a pass", not _judge(worse, better).passed),
        ("demo_permuted's TPR and TNR to be demo_v2's", _rates(permuted), _rates(permuted) == _rates(better)),
        ("demo_permuted to be refused as confidently wrong", wrong, "confidently wrong" in wrong),
        (
            f"drifted pictures to score {LEAST_DROP} below {mean}",
            f"{drifted_mean:.4f}",
            mean - drifted_mean >= LEAST_DROP,
        ),
    )
    return [f"expected {wanted}, got {got}" for wanted, got, fulfilled in expected if not fulfilled]


def _rates(metrics: ModelMetrics) -> tuple[float, float]:
    return metrics.tpr or 0.0, metrics.tnr or 0.0


def _judge(own: ModelMetrics, serving: ModelMetrics | None = None) -> GateVerdict:
    name = None if serving is None else ""
    return judge(candidate="", metrics=own, policy=recipe.GATES, serving=name, serving_metrics=serving)
