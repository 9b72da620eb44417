"""What the demo shows only if the models are so: held against the measured figures after each training."""

from __future__ import annotations

from cetacean_registry import GatePolicy, MetricsSnapshot, judge
from cetacean_tools.demo_models.models import DemoModels
from cetacean_tools.demo_models.recipe import MIN_RATE

LEAST_DROP = 0.15
"""By how much the drifted pictures' mean score lies lower: well beyond the alarm's 0.10."""


def check(models: DemoModels, *, drifted_mean: float) -> list[str]:
    """What is wrong with the models, one phrase for each finding; empty when nothing is.

    Args:
        models: with their snapshots.
        drifted_mean: mean cetacean score of the drifted pictures.
    """
    snapshots = models.snapshots()
    first, better, worse = (snapshots[name] for name in ("demo_v1", "demo_v2", "demo_v3"))
    problems = [
        *_good("demo_v1", first),
        *_good("demo_v2", better),
        *_verdict("demo_v2", better, "demo_v1", first, passes=True),
        *_verdict("demo_v3", worse, "demo_v2", better, passes=False),
    ]
    for figure, old, new in (
        ("TPR", first.metrics.tpr, better.metrics.tpr),
        ("TNR", first.metrics.tnr, better.metrics.tnr),
    ):
        if old is None or new is None or new < old:
            problems.append(f"expected demo_v2's {figure} not below demo_v1's {old}, got {new}")
    if not _top1(better) > _top1(first):
        problems.append(f"expected demo_v2's top-1 above demo_v1's {_top1(first)}, got {_top1(better)}")
    if worse.metrics.tpr is None or worse.metrics.tpr >= GatePolicy().min_tpr:
        problems.append(f"expected demo_v3's TPR below {GatePolicy().min_tpr}, got {worse.metrics.tpr}")
    mean = first.cetacean_score_mean or 0.0
    if mean - drifted_mean < LEAST_DROP:
        problems.append(f"expected drifted pictures to score {LEAST_DROP} below {mean}, got {drifted_mean:.4f}")
    return problems


def _good(name: str, snapshot: MetricsSnapshot) -> list[str]:
    rates = {"TPR": snapshot.metrics.tpr, "TNR": snapshot.metrics.tnr}
    return [
        f"expected {name}'s {figure} to be at least {MIN_RATE}, got {rate}"
        for figure, rate in rates.items()
        if rate is None or rate < MIN_RATE
    ]


def _verdict(name: str, own: MetricsSnapshot, serving: str, theirs: MetricsSnapshot, *, passes: bool) -> list[str]:
    verdict = judge(
        candidate=name,
        metrics=own.metrics,
        policy=GatePolicy(),
        serving=serving,
        serving_metrics=theirs.metrics,
    )
    wanted = "pass" if passes else "be refused"
    return [] if verdict.passed == passes else [f"expected {name} to {wanted}, but {verdict.message}"]


def _top1(snapshot: MetricsSnapshot) -> float:
    accuracy = snapshot.identification.top1_accuracy if snapshot.identification else None
    return 0.0 if accuracy is None else accuracy
