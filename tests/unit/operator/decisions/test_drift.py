"""Pods' windows pooled, held against the baseline, written only when a shown digit moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import World, entry, manifest
from support.pods import FakePod, Scraped, ready_pod

from cetacean_operator.api.observed import DriftReport, Identity, Pod
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef, SignalName, SignalStatus
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.drift import DriftVerdict, drift_annotations, judge_drift
from cetacean_operator.decisions.drift_condition import Comparison, drifting
from cetacean_operator.decisions.signals import SignalVerdict
from cetacean_registry.figures import ModelMetrics

MODEL = ModelRef(name="first", version="1.0.0", digest="a" * 64)


def pod(number: int, *, silent: str | None = None, digest: str = "a" * 64, **report: Any) -> Pod:
    drift = None if silent else DriftReport(**report)
    return ready_pod(number, silent=silent, identity=Identity(name="first", digest=digest), drift=drift)


def judged(*pods: Pod, baseline: float | None = 0.9, last: DriftStatus | None = None, **policy: Any) -> DriftVerdict:
    metrics = ModelMetrics(cetacean_score_mean=baseline)
    return judge_drift(pods=pods, model=MODEL, metrics=metrics, policy=Drift(**policy), last=last)


def test_windows_are_pooled_by_their_samples() -> None:
    verdict = judged(
        pod(1, samples=300, mean=0.9, alarms=1, score_avg=0.9),
        pod(2, samples=100, mean=0.5, alarms=2, score_avg=0.8),
        pod(3, samples=0, mean=None),
        pod(4, silent="no answer"),
    )
    assert verdict.shown.model_copy(update={"signals": ()}) == DriftStatus(
        samples=400,
        mean=0.8,
        baseline=0.9,
        drop=0.1,
        alarms=3,
        score_avg=0.875,
        rejection_rate=None,
        pods_scraped=3,
        pods_silent=1,
    )
    assert verdict.alarm
    assert drift_annotations(verdict.shown) == {
        "ecomarineai.org/drift-score-mean": "0.800",
        "ecomarineai.org/drift-score-avg": "0.875",
        "ecomarineai.org/drift-alarms-total": "3",
        "ecomarineai.org/drift-samples": "400",
    }
    assert drift_annotations(DriftStatus(pods_scraped=3)) == {}, "nobody has asked the pods anything yet"
    assert drift_annotations(DriftStatus(alarms=2)) == {
        "ecomarineai.org/drift-alarms-total": "2",
        "ecomarineai.org/drift-samples": "0",
    }


def test_a_window_of_one_sample_counts_as_one() -> None:
    verdict = judged(pod(1, samples=1, mean=0.9, score_avg=0.7), pod(2, samples=3, mean=0.5, score_avg=0.3))
    assert (verdict.shown.mean, verdict.shown.score_avg) == (0.6, 0.4)


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1)), min_size=1, max_size=6))
def test_the_pooled_mean_lies_between_the_windows_and_is_that_of_all_samples(windows: list[tuple[int, float]]) -> None:
    verdict = judged(*(pod(n, samples=count, mean=mean) for n, (count, mean) in enumerate(windows)))
    filled = [(count, mean) for count, mean in windows if count]
    if not filled:
        assert verdict.mean is None
        return
    assert verdict.mean is not None
    total = sum(count for count, _ in filled)
    assert verdict.mean == pytest.approx(sum(count * mean for count, mean in filled) / total)
    assert min(mean for _, mean in filled) - 1e-9 <= verdict.mean <= max(mean for _, mean in filled) + 1e-9


@pytest.mark.parametrize(
    ("samples", "mean", "baseline", "alarm"),
    [
        (50, 0.80, 0.90, True),
        (49, 0.10, 0.90, False),
        (50, 0.801, 0.90, False),
        (50, 0.83, 0.93, True),
        (50, 0.8000000004, 0.90, True),
        (50, 0.8000000006, 0.90, False),
        (50, 0.10, None, False),
        (1000, 0.95, 0.90, False),
    ],
)
def test_a_drop_of_the_mean_is_an_alarm_if_there_are_enough_samples(
    samples: int, mean: float, baseline: float | None, alarm: bool
) -> None:
    verdict = judged(pod(1, samples=samples, mean=mean), baseline=baseline)
    assert verdict.alarm == alarm
    assert (verdict.condition.status == "True") == alarm


@given(st.integers(0, 100), st.integers(1, 100))
def test_a_drop_of_exactly_the_bound_is_an_alarm_whatever_the_binary_fractions(mean: int, drop: int) -> None:
    if mean + drop <= 100:
        assert judged(pod(1, samples=50, mean=mean / 100), baseline=(mean + drop) / 100, alarm_drop=drop / 100).alarm


@pytest.mark.parametrize(
    ("pods", "baseline", "reason", "message"),
    [
        ((), 0.9, "NoReports", "no pod has reported its scores"),
        (
            (pod(1, silent="x"),), 0.9, "NoReports",
            "no pod has reported its scores; no figures from 1 of 1 pods: p1 (x)",
        ),
        (
            (pod(1, samples=1000, mean=0.1),), None, "NoBaseline",
            "first has no baseline: its metrics snapshot has no cetaceanScoreMean, so no drop can be found",
        ),
        ((pod(1, samples=49, mean=0.1),), 0.9, "TooFewSamples", "49 samples of at least 50 (minSamples)"),
    ],
)  # fmt: skip
def test_drift_is_unknown_for_a_reason(
    pods: tuple[Pod, ...], baseline: float | None, reason: str, message: str
) -> None:
    verdict = judged(*pods, baseline=baseline)
    assert verdict.condition == ConditionState("Unknown", reason, message)
    score = verdict.shown.signals[0]
    assert (score.state, score.reason, score.message) == ("Unknown", reason, None)


def test_while_no_model_serves_nothing_is_known_of_drift() -> None:
    verdict = judge_drift(
        pods=[pod(1, samples=60, mean=0.1)], model=None, metrics=None, policy=Drift(), last=DriftStatus()
    )
    assert verdict.condition == ConditionState("Unknown", "NothingServes", "no pod serves")
    assert (verdict.shown.samples, verdict.shown.pods_scraped, verdict.alarm) == (0, 0, False)


@pytest.mark.parametrize(
    ("mean", "baseline", "figures", "dropped"),
    [
        (0.7, 0.9, "0.700 of first over 50 samples, 0.200 below its baseline 0.9", True),
        (0.0, 0.5, "0.000 of first over 50 samples, 0.500 below its baseline 0.5", True),
        (0.9, 0.9, "0.900 of first over 50 samples, 0.000 below its baseline 0.9", False),
        (0.25, 0.0, "0.250 of first over 50 samples, -0.250 below its baseline 0", False),
    ],
)
def test_the_message_has_the_figures(mean: float, baseline: float, figures: str, dropped: bool) -> None:
    found = judged(pod(1, samples=50, mean=mean), baseline=baseline)
    message = f"mean cetacean score {figures}: {'at least' if dropped else 'less than'} 0.1 (alarmDrop)"
    reason = "ScoreDropped" if dropped else "WithinBounds"
    assert found.condition == ConditionState("True" if dropped else "False", reason, message)
    assert found.shown.signals[0] == SignalStatus(
        signal="CetaceanScore",
        state="Raised" if dropped else "WithinBounds",
        reason=reason,
        value=round(baseline - mean, 3),
        bound=0.1,
        samples=50,
        message=message if dropped else None,
    )


@pytest.mark.parametrize(("rejections", "systemic"), [(50, False), (51, True)])
def test_a_high_rejection_rate_is_systemic(rejections: int, systemic: bool) -> None:
    verdict = judged(pod(1, samples=60, mean=0.9, requests=100, rejections=rejections))
    assert verdict.shown.rejection_rate == rejections / 100
    assert (verdict.condition.reason == "SystemicRejection") == systemic
    assert not verdict.alarm


@pytest.mark.parametrize(
    ("requests", "fewest", "rate"), [(49, 50, None), (50, 50, 1.0), (0, 1, None), (1, 1, 1.0)], ids=str
)
def test_too_few_requests_give_no_rejection_rate(requests: int, fewest: int, rate: float | None) -> None:
    verdict = judged(pod(1, samples=60, mean=0.9, requests=requests, rejections=requests), min_samples=fewest)
    assert verdict.shown.rejection_rate == rate
    assert verdict.condition.reason == ("WithinBounds" if rate is None else "SystemicRejection")


REJECTED = (
    "0.990 of the requests are rejected as not_a_marine_mammal, more than 0.5 (maxRejectionRate): a systemic fault, "
    "check what is sent and the threshold"
)


def test_the_message_names_rejections_before_a_drop() -> None:
    verdict = judged(pod(1, samples=60, mean=0.1, requests=100, rejections=99))
    dropped = (
        "mean cetacean score 0.100 of first over 60 samples, 0.800 below its baseline 0.9: at least 0.1 (alarmDrop)"
    )
    assert verdict.condition == ConditionState("True", "SystemicRejection", f"{REJECTED}; {dropped}")
    assert not verdict.alarm, "no rollback while the pictures are at fault"
    alone = judged(pod(1, samples=60, mean=0.9, requests=100, rejections=99))
    assert alone.condition == ConditionState("True", "SystemicRejection", REJECTED)
    few = judged(pod(1, samples=60, mean=0.9, requests=10_000, rejections=1), max_rejection_rate=0.0)
    assert few.condition.message.startswith("0.000 of the requests are rejected as not_a_marine_mammal, more than 0 ")


def raised(signal: SignalName, *, message: str | None, identification: bool) -> SignalVerdict:
    shown = SignalStatus(signal=signal, state="Raised", reason=f"{signal}Changed", message=message)
    return SignalVerdict(shown, from_identification=identification)


def test_the_condition_names_the_signals_of_the_identification_before_the_others() -> None:
    within = SignalVerdict(SignalStatus(signal="LowConfidence", state="WithinBounds", reason="WithinBounds"))
    gate = raised("Distribution", message="the scores have moved", identification=False)
    own = raised("TopProbability", message=None, identification=True)
    signals = (gate, within, own)
    nothing, systemic = Comparison(None, dropped=False, systemic=False), Comparison(1.0, dropped=False, systemic=True)
    shown, score = DriftStatus(rejection_rate=0.99), ConditionState("False", "WithinBounds", "all is well")
    assert drifting(score, nothing, shown, Drift(), (within,)) == score
    assert drifting(score, nothing, shown, Drift(), signals) == ConditionState(
        "True", "TopProbabilityChanged", "TopProbabilityChanged; the scores have moved"
    )
    assert drifting(score, systemic, shown, Drift(), signals) == ConditionState(
        "True", "SystemicRejection", f"{REJECTED}; TopProbabilityChanged; the scores have moved"
    )
    dropped = ConditionState("True", "ScoreDropped", "the mean is low")
    assert drifting(dropped, nothing, shown, Drift(), (gate,)) == ConditionState(
        "True", "ScoreDropped", "the mean is low; the scores have moved"
    )


def test_pods_of_another_model_are_left_out() -> None:
    verdict = judged(pod(1, samples=60, mean=0.9), pod(2, samples=1000, mean=0.1, digest="b" * 64))
    assert (verdict.shown.samples, verdict.shown.mean) == (60, 0.9)


@given(st.floats(0, 1), st.floats(0, 1))
def test_noise_in_the_last_digit_is_not_written(before: float, now: float) -> None:
    first = judged(pod(1, samples=60, mean=before)).shown
    assert first.mean is not None
    second = judged(pod(1, samples=60, mean=now), last=first).shown
    assert second.mean is not None
    assert abs(second.mean - now) <= 0.001 + 1e-9
    if abs(now - first.mean) <= 0.001:
        assert second == first
    assert judged(pod(1, samples=60, mean=now), last=second).shown == second


def test_each_figure_stays_while_it_has_hardly_moved() -> None:
    def shown(rejections: int, score: float, last: DriftStatus | None) -> tuple[float | None, ...]:
        found = judged(
            pod(1, samples=60, mean=score, score_avg=score, requests=10_000, rejections=rejections), last=last
        ).shown
        return found.mean, found.drop, found.score_avg, found.rejection_rate

    before = judged(pod(1, samples=60, mean=0.8, score_avg=0.8, requests=10_000, rejections=1000)).shown
    assert shown(1009, 0.8009, before) == (0.8, 0.1, 0.8, 0.1)
    assert shown(1011, 0.8011, before) == (0.801, 0.099, 0.801, 0.101)
    assert shown(1009, 0.8009, None) == (0.801, 0.099, 0.801, 0.101)


def test_a_pod_that_was_not_asked_yet_is_silent_too() -> None:
    new = ready_pod(2, identity=None, drift=None)
    verdict = judged(pod(1, samples=60, mean=0.9), new)
    assert (verdict.shown.pods_scraped, verdict.shown.pods_silent) == (1, 1)
    assert verdict.condition.message.endswith("; no figures from 1 of 2 pods: p2 (no answer yet)")


def test_a_silent_pod_is_counted_and_named_and_not_taken_as_healthy() -> None:
    loud, quiet = pod(1, samples=60, mean=0.9), pod(2, silent="no answer within 3 s")
    verdict = judged(loud, quiet)
    assert (verdict.shown.pods_scraped, verdict.shown.pods_silent) == (1, 1)
    assert verdict.condition.message.endswith("; no figures from 1 of 2 pods: p2 (no answer within 3 s)")
    assert judged(quiet).condition.status == "Unknown"
    assert "p2" in judged(quiet).condition.message
    assert "p2" in judged(pod(1, samples=60, mean=0.1), quiet).condition.message
    assert "nothing is known" not in judged(loud).condition.message


def test_figures_of_a_silent_pod_do_not_count() -> None:
    quiet = replace(pod(2, samples=600, mean=0.1), silent="no answer within 3 s")
    verdict = judged(pod(1, samples=60, mean=0.9), quiet)
    assert (verdict.shown.samples, verdict.shown.mean, verdict.condition.status) == (60, 0.9, "False")
    assert (judged(quiet).shown.samples, judged(quiet).condition.reason) == (0, "NoReports")


def test_an_alarm_is_held_while_all_pods_are_silent() -> None:
    silent = pod(1, silent="no answer within 3 s")
    before = judged(pod(1, samples=60, mean=0.1)).shown
    held = judged(silent, last=before)
    assert (held.condition.status, held.condition.reason, held.alarm) == ("True", "ScoreDropped", False)
    assert held.shown == before.model_copy(update={"pods_scraped": 0, "pods_silent": 1})
    assert "no figures from 1 of 1 pods" in held.condition.message
    rejecting = judged(pod(1, samples=60, mean=0.9, requests=100, rejections=60)).shown
    assert judged(silent, last=rejecting).condition.reason == "SystemicRejection"
    barely = judged(pod(1, samples=60, mean=0.9, requests=10_000, rejections=5004)).shown
    assert judged(silent, last=barely).condition.reason == "SystemicRejection"
    assert judged(silent, last=barely).shown.rejection_rate == 0.5004, "a rounded one would be on the bound"
    healthy = judged(pod(1, samples=60, mean=0.9)).shown
    assert judged(silent, last=healthy).condition.reason == "NoReports", "nor is it taken for healthy"


def test_a_held_alarm_shows_the_last_figures_in_the_status() -> None:
    world = World()
    world.settle()
    world.drift(0.5)
    world.settle()
    before = world.status.drift
    assert before is not None
    for fake in world.pods:
        fake.scraped = Scraped.FAILED_LATELY
    world.settle()
    assert world.is_("Drifting") == ("True", "ScoreDropped")
    assert world.status.drift == before.model_copy(update={"pods_scraped": 0, "pods_silent": 1})
    assert world.reasons.count("ScoreDropped") == 1, "a held alarm is no new event"


@pytest.mark.parametrize(("samples", "held"), [(49, False), (50, True)])
def test_an_alarm_is_held_only_with_enough_samples(samples: int, held: bool) -> None:
    last = DriftStatus(samples=samples, mean=0.5, baseline=0.9, drop=0.4)
    verdict = judged(pod(1, silent="no answer within 3 s"), last=last)
    assert (verdict.condition.reason == "ScoreDropped") == held
    assert verdict.shown.samples == (samples if held else 0), "figures without an alarm are not kept"


def test_nothing_is_written_while_the_shown_figures_stay() -> None:
    world = World()
    world.settle()
    world.drift(0.91)
    world.settle()
    before = world.writes
    world.drift(0.9104)
    world.settle()
    assert world.writes == before
    world.drift(0.92)
    world.settle()
    assert world.writes == before + 2, "status and annotations"
    assert world.annotations["ecomarineai.org/drift-score-mean"] == "0.920"


def test_an_alarm_and_its_end_are_one_event_each() -> None:
    world = World(manifest(entry("first", metrics={"cetaceanScoreMean": 0.95})))
    world.settle()
    for mean in (0.7, 0.6, 0.5, 0.9, 0.91):
        world.drift(mean)
        world.settle()
    assert [reason for reason in world.reasons if reason in ("ScoreDropped", "DriftEnded")] == [
        "ScoreDropped",
        "DriftEnded",
    ]


def test_rejections_that_join_a_drop_are_another_event() -> None:
    world = World()
    world.settle()
    for rejections in (10, 40, 70, 80, 0):
        world.drift(0.5, requests=100, rejections=rejections)
        world.settle()
    reasons = [reason for reason in world.reasons if reason in ("ScoreDropped", "SystemicRejection", "DriftEnded")]
    assert reasons == ["ScoreDropped", "SystemicRejection", "ScoreDropped"]


def test_drift_is_about_the_model_that_serves() -> None:
    """A candidate that cannot start has no scores; what serves goes on being watched."""
    world = World(
        manifest(entry("first"), entry("second", "b", metrics={"cetaceanScoreMean": 0.99})),
        behave=lambda pod: setattr(pod, "ready", pod.model == "first"),
    )
    world.settle()
    world.activate("second")
    world.settle()
    world.drift(0.88)
    world.settle()
    assert world.status.drift is not None
    assert (world.status.drift.baseline, world.status.drift.mean) == (0.9, 0.88)


def test_a_corrected_baseline_in_the_registry_is_used() -> None:
    world = World()
    world.settle()
    world.drift(0.88)
    world.models(entry("first", metrics={"cetaceanScoreMean": 0.97}))
    world.settle()
    assert world.status.drift is not None
    assert (world.status.drift.baseline, world.status.drift.drop) == (0.97, 0.09)


def test_an_alarm_of_the_model_before_is_not_held_for_the_next_one() -> None:
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.drift(0.5)
    world.settle()
    assert world.is_("Drifting") == ("True", "ScoreDropped")

    def reports_no_figures(pod: FakePod) -> None:
        pod.ready, pod.scraped = True, Scraped.FAILED_LATELY

    world.behave = reports_no_figures
    world.activate("second")
    world.settle()
    assert world.status.serving is not None
    assert world.status.serving.name == "second"
    assert world.is_("Drifting") == ("Unknown", "NoReports")
