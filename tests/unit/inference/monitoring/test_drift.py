"""The drift window: its statistics, and when the alarm begins and ends."""

from __future__ import annotations

import logging
import statistics
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_inference.monitoring.drift import TOLERANCE, DriftMonitor
from cetacean_inference.monitoring.monitoring_file import Monitoring
from cetacean_inference.settings import DriftSettings

unit = st.floats(0, 1)


def monitor(
    *,
    window: int = 10,
    min_samples: int = 3,
    alarm_drop: float = 0.1,
    baselines: dict[str, float] | None = None,
    drift: DriftSettings | None = None,
) -> DriftMonitor:
    return DriftMonitor(
        model="tiny",
        settings=drift or DriftSettings(),
        monitoring=Monitoring(
            window=window,
            min_samples=min_samples,
            alarm_drop=alarm_drop,
            baselines={"tiny": 0.9} if baselines is None else baselines,
        ),
    )


def fill(watch: DriftMonitor, score: float, times: int) -> None:
    for _ in range(times):
        watch.record(score, 0.5)


def test_an_empty_window_has_no_mean() -> None:
    stats = monitor().stats
    assert (stats.n, stats.score_mean, stats.score_std, stats.probability_mean) == (0, None, None, None)
    assert (stats.baseline, stats.drop, stats.drifting, stats.alarms_total) == (0.9, None, False, 0)
    assert stats.adwin.score_mean is None


@given(st.lists(st.tuples(unit, unit), min_size=1, max_size=60), st.integers(1, 20))
def test_the_statistics_are_those_of_the_last_predictions(values: list[tuple[float, float]], window: int) -> None:
    watch = monitor(window=window, min_samples=1)
    for score, probability in values:
        watch.record(score, probability)
    last = values[-window:]
    stats = watch.stats
    assert stats.n == len(last)
    assert stats.score_mean == pytest.approx(statistics.fmean(score for score, _ in last), abs=1e-9)
    assert stats.score_std == pytest.approx(statistics.pstdev([score for score, _ in last]), abs=1e-6)
    assert stats.probability_mean == pytest.approx(statistics.fmean(one for _, one in last), abs=1e-9)
    assert stats.drop == pytest.approx(0.9 - statistics.fmean(score for score, _ in last), abs=1e-9)


@given(st.lists(st.floats(0.6, 1.0), max_size=120), st.integers(1, 12), st.integers(1, 12))
def test_an_alarm_is_counted_once_per_episode(scores: list[float], one: int, other: int) -> None:
    min_samples, window = sorted((one, other))
    watch = monitor(window=window, min_samples=min_samples)
    drifting, alarms = False, 0
    for end, score in enumerate(scores, start=1):
        watch.record(score, 0.5)
        last = scores[max(0, end - window) : end]
        drop = 0.9 - statistics.fmean(last)
        if not drifting and len(last) >= min_samples and drop >= 0.1 - 1e-9:
            drifting, alarms = True, alarms + 1
        elif drifting and drop < 0.08 - 1e-9:
            drifting = False
    assert (watch.stats.drifting, watch.stats.alarms_total) == (drifting, alarms)


def test_sums_stay_exact_over_many_predictions() -> None:
    watch = monitor(window=100)
    for number in range(20_000):
        watch.record((number * 7919 % 1000) / 1000, 0.1)
    fill(watch, 0.7, 100)
    assert watch.stats.score_mean == 0.7
    assert watch.stats.score_std == 0.0
    assert watch.stats.probability_mean == 0.5


def test_a_drop_of_exactly_the_bound_is_an_alarm(caplog: pytest.LogCaptureFixture) -> None:
    watch = monitor()
    with caplog.at_level(logging.WARNING):
        fill(watch, 0.8, 3)
    assert watch.stats.drifting
    assert watch.stats.alarms_total == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "drift: mean cetacean score 0.8000 over 3 predictions of tiny, 0.1000 below its baseline 0.9000 (bound 0.1000)"
    )


def test_the_bounds_themselves_begin_an_episode_and_do_not_end_one(caplog: pytest.LogCaptureFixture) -> None:
    def configure(baseline: float) -> bool:
        watch.configure(Monitoring(window=10, min_samples=3, alarm_drop=0.1, baselines={"tiny": baseline}))
        return watch.stats.drifting

    watch = monitor(baselines={"tiny": 0.0})
    fill(watch, 0.0, 3)
    assert configure(0.1 - TOLERANCE)
    recovered = DriftSettings().recovery * 0.1
    assert configure(recovered)
    assert configure(recovered - TOLERANCE)
    with caplog.at_level(logging.INFO):
        assert not configure(recovered - 2 * TOLERANCE)
    assert caplog.messages[-1] == "drift is over: mean cetacean score 0.0000 over 3, baseline 0.0800"


def test_an_answer_is_of_usual_confidence_unless_it_says_otherwise() -> None:
    watch = monitor()
    watch.record(0.9, 0.5, species="orca")
    watch.record(0.9, 0.5, species="orca", low_confidence=True)
    assert watch.stats.answers.low_confidence == 1


def test_too_few_samples_raise_no_alarm() -> None:
    watch = monitor(min_samples=3)
    fill(watch, 0.1, 2)
    assert watch.stats.alarms_total == 0


def test_an_episode_ends_only_if_the_scores_have_clearly_recovered() -> None:
    watch = monitor(window=1, min_samples=1)
    for score, alarms, drifting in [
        (0.80, 1, True),
        (0.81, 1, True),  # a drop of 0.09 does not begin an episode, and does not end one
        (0.80, 1, True),
        (0.83, 1, False),
        (0.81, 1, False),
        (0.70, 2, True),
    ]:
        watch.record(score, 0.5)
        assert (watch.stats.alarms_total, watch.stats.drifting) == (alarms, drifting), score


@pytest.mark.parametrize("baselines", [{}, {"another": 0.9}])
def test_without_a_baseline_for_this_model_there_is_no_alarm(baselines: dict[str, float]) -> None:
    watch = monitor(baselines=baselines)
    fill(watch, 0.0, 10)
    stats = watch.stats
    assert (stats.baseline, stats.drop, stats.drifting, stats.alarms_total) == (None, None, False, 0)


def test_a_new_baseline_applies_to_the_predictions_in_the_window() -> None:
    watch = monitor(baselines={})
    fill(watch, 0.7, 10)
    watch.configure(Monitoring(window=10, min_samples=3, baselines={"tiny": 0.9}))
    assert watch.stats.drifting
    assert watch.stats.alarms_total == 1
    watch.configure(Monitoring(window=10, min_samples=3, baselines={}))
    assert not watch.stats.drifting


def test_a_smaller_window_drops_the_oldest_predictions() -> None:
    watch = monitor(window=10, baselines={})
    fill(watch, 0.0, 5)
    fill(watch, 1.0, 5)
    watch.configure(Monitoring(window=5, min_samples=5))
    assert watch.stats.n == 5
    assert watch.stats.score_mean == 1.0


@pytest.mark.parametrize("baselines", [{}, {"tiny": 0.45}])
def test_a_change_found_by_adwin_raises_no_alarm(baselines: dict[str, float], caplog: pytest.LogCaptureFixture) -> None:
    watch = monitor(window=100, baselines=baselines)
    with caplog.at_level(logging.INFO):
        fill(watch, 0.9, 300)
        fill(watch, 0.4, 300)
    stats = watch.stats
    assert stats.adwin.changes_total >= 1
    assert stats.adwin.score_mean == pytest.approx(0.4, abs=0.05)
    # 0.4 is less than half of the previous mean, but close to the baseline: only the baseline decides.
    assert (stats.drifting, stats.alarms_total, caplog.records) == (False, 0, [])


def test_an_alarm_needs_no_change_found_by_adwin() -> None:
    watch = monitor(window=100)
    fill(watch, 0.7, 300)
    stats = watch.stats
    assert stats.adwin.changes_total == 0
    assert (stats.drifting, stats.alarms_total) == (True, 1)


class Yielding(int):
    """A number in whose addition other threads run: without a lock, they add to the same sum."""

    def __radd__(self, other: int) -> int:
        time.sleep(0)  # releases the GIL
        return int(other) + int(self)


class Score(float):
    """A score that becomes such a number."""

    def __mul__(self, factor: float) -> float:
        return Score(float(self) * factor)

    def __round__(self, digits: object = None) -> Yielding:
        return Yielding(round(float(self)))


def test_predictions_of_several_threads_are_all_counted() -> None:
    watch = monitor(window=100_000, baselines={})
    together = threading.Barrier(4)

    def record() -> None:
        together.wait()
        for _ in range(200):
            watch.record(Score(0.5), 0.5)

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (watch.stats.n, watch.stats.lifetime_n) == (800, 800)
    assert (watch.stats.score_mean, watch.stats.lifetime_score_mean) == (0.5, 0.5)


@pytest.mark.parametrize(("recovery", "ended_by"), [(1.0, 0.81), (0.8, 0.83), (0.5, 0.86), (0.1, 0.9)])
def test_the_setting_for_the_recovery_decides_when_an_episode_ends(recovery: float, ended_by: float) -> None:
    watch = monitor(window=1, min_samples=1, drift=DriftSettings(recovery=recovery))
    watch.record(0.5, 0.5)
    for score in (0.81, 0.83, 0.86, 0.9):
        assert watch.stats.drifting
        watch.record(score, 0.5)
        if score == ended_by:
            break
    assert not watch.stats.drifting


def test_the_setting_for_adwins_confidence_decides_which_changes_it_finds() -> None:
    changes = {}
    for delta in (1e-12, 0.5):
        watch = monitor(window=100, baselines={}, drift=DriftSettings(adwin_delta=delta))
        fill(watch, 0.5, 200)
        fill(watch, 0.56, 200)
        changes[delta] = watch.stats.adwin.changes_total
    assert changes[1e-12] == 0
    assert changes[0.5] >= 1


def test_a_score_that_is_not_finite_is_an_error() -> None:
    watch = monitor()
    with pytest.raises(ValueError, match="finite"):
        watch.record(float("nan"), 0.5)
    assert watch.stats.n == 0
