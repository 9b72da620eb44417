"""The sweep, the rule, and how sure its figures are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.thresholds import THRESHOLDS, Rate, calibrate, sweep, threshold_file
from cetacean_inference.settings import load_settings

SCORES = st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=40)


def test_the_sweep_goes_from_030_to_080_by_001() -> None:
    assert (THRESHOLDS[0], THRESHOLDS[-1], len(THRESHOLDS)) == (0.3, 0.8, 51)
    assert THRESHOLDS[22] == 0.52


def test_rates_at_each_threshold_and_a_score_equal_to_it_is_accepted() -> None:
    low, high = sweep([0.4, 0.5, 0.9, 0.2], [0.5, 0.1], [0.4, 0.5])
    assert (low.tpr.hits, low.tpr.total, low.tnr.hits, low.tnr.total) == (3, 4, 1, 2)
    assert (high.tpr.value, high.tnr.value) == (0.5, 0.5)


@pytest.mark.parametrize(("positives", "negatives"), [([], [0.5]), ([0.5], [])])
def test_both_labels_are_needed(positives: Sequence[float], negatives: Sequence[float]) -> None:
    with pytest.raises(EvaluationError, match="expected pictures of both labels"):
        sweep(positives, negatives)


def test_the_smallest_threshold_that_keeps_both_bounds_is_taken() -> None:
    positives = [0.9] * 17 + [0.35] * 3
    negatives = [0.1] * 18 + [0.445] * 2
    # TPR is 1 up to 0.35, then 0.85; TNR is 0.90 up to 0.44 and 1 beyond: 0.30 keeps both already.
    assert calibrate(sweep(positives, negatives)).chosen.threshold == 0.3
    chosen = calibrate(sweep(positives, negatives), min_tnr=0.95)
    assert (chosen.chosen.threshold, chosen.meets) == (0.45, True)
    assert (chosen.chosen.tpr.value, chosen.chosen.tnr.value) == (0.85, 1.0)


def test_if_no_threshold_keeps_them_the_best_tnr_is_named() -> None:
    positives, negatives = [0.5] * 10, [0.1] * 5 + [0.6] * 5
    chosen = calibrate(sweep(positives, negatives))
    assert not chosen.meets
    # From 0.61 on TNR is 1 and TPR 0: of equals the smallest.
    assert (chosen.chosen.threshold, chosen.chosen.tnr.value, chosen.chosen.tpr.value) == (0.61, 1.0, 0.0)


def test_between_equal_tnrs_the_better_tpr_decides() -> None:
    chosen = calibrate(sweep([0.4, 0.7], [0.9]))
    assert not chosen.meets
    assert (chosen.chosen.threshold, chosen.chosen.tpr.value) == (0.3, 1.0)


@settings(deadline=None)
@given(positives=SCORES, negatives=SCORES)
def test_the_chosen_threshold_keeps_the_bounds_and_no_smaller_one_does(
    positives: list[float], negatives: list[float]
) -> None:
    points = sweep(positives, negatives)
    chosen = calibrate(points)
    keeping = [point for point in points if point.tnr.value >= 0.90 and point.tpr.value >= 0.85]
    assert chosen.meets == bool(keeping)
    assert chosen.chosen == (keeping[0] if keeping else chosen.chosen)
    assert keeping or chosen.chosen.tnr.value == max(point.tnr.value for point in points)
    tprs = [point.tpr.value for point in points]
    assert tprs == sorted(tprs, reverse=True)


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(95, 100, 0.8882, 0.9785), (92, 102, 0.8291, 0.9459), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_the_interval_of_a_rate_is_wilsons(hits: int, total: int, low: float, high: float) -> None:
    """Of the old calibration's rates."""
    assert Rate(hits, total).interval == pytest.approx((low, high), abs=1e-3)


def test_the_service_reads_the_threshold_file(tmp_path: Path) -> None:
    calibration = calibrate(sweep([0.9] * 20, [0.1] * 18 + [0.445] * 2), min_tnr=0.95)
    content = threshold_file(calibration, calibrated_at="2026-11-24T12:00:00+00:00")
    (tmp_path / "anti_fraud_threshold.yaml").write_text(content)
    model = {"name": "m", "version": "1.0.0", "weights_url": "http://weights.invalid/a.ckpt"}
    gate = load_settings(model=model, config_dir=tmp_path).gate
    assert (gate.threshold, gate.calibrated_at) == (0.45, "2026-11-24T12:00:00+00:00")
    for line in ("tpr: 1.0", "tnr: 1.0", "n_positive: 20", "n_negative: 20"):
        assert line in content.splitlines()
