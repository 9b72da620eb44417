"""The signals on the newest answers: raised at their bound if it is proven, with figures, a fault and a next step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import World, entry, manifest
from support.pods import Scraped, ready_pod

from cetacean_operator.api.drift_signals import DriftSignals
from cetacean_operator.api.observed import AnswerCounts, DriftReport, SpeciesCount
from cetacean_operator.api.spec import Drift
from cetacean_operator.api.status import DriftStatus, ModelRef, SignalName, SignalStatus
from cetacean_operator.decisions import signals
from cetacean_operator.decisions.answers import PooledAnswers, pool_answers
from cetacean_operator.decisions.drift import DriftVerdict, judge_drift
from cetacean_operator.decisions.measured import Measured
from cetacean_operator.decisions.signal_figures import Cause, measure_low_confidence
from cetacean_operator.decisions.signals import LEVEL, SignalVerdict, is_explained_by_mix, judge_signals
from cetacean_operator.metrics import status_series
from cetacean_registry.figures import ModelMetrics

FIGURES: dict[str, Any] = {
    "identification": {"samples": 100, "topProbabilityMean": 0.8},
    "bySpecies": [
        {"species": "orca", "samples": 60, "speciesAccuracy": 1.0, "named": 60, "namedTopProbabilityMean": 0.8},
        {"species": "beluga", "samples": 40, "speciesAccuracy": 1.0, "named": 40, "namedTopProbabilityMean": 0.8},
    ],
    "reference": {
        "cetaceanScore": [0] * 17 + [30, 40, 30],
        "topProbability": [0] * 15 + [30, 40, 30, 0, 0],
    },
}
METRICS = ModelMetrics.model_validate(FIGURES)


def around(middle: int, number: int) -> list[int]:
    """Return a histogram with 30, 40 and 30 % of the pictures in the bin before, in this one, and in the next."""
    side = number * 3 // 10
    histogram = [0] * 20
    histogram[middle - 1 : middle + 2] = [side, number - 2 * side, side]
    return histogram


def counts(
    probability: float, *, orcas: int = 60, belugas: int = 40, low: int = 0, score_bin: int = 18
) -> AnswerCounts:
    """Return answers with this mean probability, but for `low` orcas with none."""
    number, units = orcas + belugas, round(probability * 10_000)
    top = around(int(probability * 20), number - low)
    top[0] += low
    return AnswerCounts(
        answered=number,
        identified=number,
        low_confidence=low,
        cetacean_score=tuple(around(score_bin, number)),
        top_probability=tuple(top),
        species=tuple(
            SpeciesCount(name, count, total)
            for name, count, total in (("orca", orcas, units * (orcas - low)), ("beluga", belugas, units * belugas))
            if count
        ),
    )


def judged(
    answers: AnswerCounts, *, last: tuple[SignalStatus, ...] = (), figures: dict[str, Any] | None = None, **policy: Any
) -> dict[str, SignalVerdict]:
    metrics = METRICS if figures is None else ModelMetrics.model_validate(figures)
    found = judge_signals(pool_answers([answers]), metrics, DriftSignals.model_validate(policy), last)
    return {one.shown.signal: one for one in found}


def reasons(found: dict[str, SignalVerdict]) -> dict[str, str]:
    return {name: one.shown.reason for name, one in found.items()}


def test_answers_as_on_the_evaluation_set_are_within_all_bounds() -> None:
    found = judged(counts(0.8))
    assert set(reasons(found).values()) == {"WithinBounds"}
    assert {one.shown.samples for one in found.values()} == {100}
    assert not any(one.from_identification or one.shown.message for one in found.values())


def test_counts_of_pods_add_up_exactly() -> None:
    parts = [counts(0.1, orcas=1, belugas=0), counts(0.2, orcas=1, belugas=1), counts(0.7, orcas=0, belugas=3)]
    pooled = pool_answers(parts)
    assert (pooled.answered, pooled.identified, pooled.probability_sum) == (6, 6, 26_000)
    assert pooled.top_probability_mean == pytest.approx(2.6 / 6)
    assert {name: one.count for name, one in pooled.species.items()} == {"orca": 2, "beluga": 4}
    assert pooled.cetacean_score[18] == 6
    assert pool_answers([]) == PooledAnswers()


def test_a_drop_of_the_top_probability_within_the_species_is_the_identifications() -> None:
    found = judged(counts(0.6))
    top = found["TopProbability"]
    assert (top.shown.state, top.shown.reason, top.shown.value) == ("Raised", "TopProbabilityDropped", 0.2)
    for part in ("0.600", "100 pictures", "0.200 below", "0.8", "0.1 (topProbability.maxDrop)"):
        assert part in (top.shown.message or "")
    assert found["BySpecies"].shown.reason == "IdentificationWorse"
    assert found["Distribution"].shown.reason == "DistributionChanged"
    assert found["LowConfidence"].shown.reason == "WithinBounds"
    assert all(found[name].from_identification for name in ("TopProbability", "BySpecies", "Distribution"))


def test_more_answers_of_low_confidence_are_raised_with_both_rates() -> None:
    found = judged(counts(0.8, low=20))["LowConfidence"]
    assert (found.shown.state, found.shown.reason, found.shown.value) == ("Raised", "LowConfidenceRisen", 0.2)
    assert "0.200 of 100 pictures are rejected as low_confidence, 0.200 more than the 0.000" in (
        found.shown.message or ""
    )
    assert found.from_identification


def test_another_distribution_of_the_gates_score_is_not_the_identifications() -> None:
    found = judged(counts(0.8, score_bin=10))["Distribution"]
    assert (found.shown.reason, found.shown.value, found.from_identification) == ("DistributionChanged", 1.0, False)
    assert "have a cetacean score below 0.6" in (found.shown.message or "")


def test_another_mix_of_species_is_distinguished_from_a_worse_model() -> None:
    mixed = judged(counts(0.8, orcas=10, belugas=90))["BySpecies"]
    assert (mixed.shown.reason, mixed.shown.value, mixed.from_identification) == ("SpeciesMixChanged", 0.5, False)
    assert "0.100 of 100 pictures are named as orca, on the evaluation set 0.600" in (mixed.shown.message or "")
    worse = judged(counts(0.6, orcas=10, belugas=90))["BySpecies"]
    assert (worse.shown.reason, worse.from_identification) == ("IdentificationWorse", True)


def test_a_drop_that_the_mix_explains_is_not_the_identifications() -> None:
    unsure = [dict(one) for one in FIGURES["bySpecies"]]
    unsure[0]["namedTopProbabilityMean"], unsure[1]["namedTopProbabilityMean"] = 1.0, 0.5
    answers = counts(0.55, orcas=10, belugas=90)
    found = judged(answers, figures=FIGURES | {"bySpecies": unsure})
    assert reasons(found) == {
        "TopProbability": "TopProbabilityDropped",
        "LowConfidence": "WithinBounds",
        "Distribution": "DistributionChanged",
        "BySpecies": "SpeciesMixChanged",
    }
    assert not any(one.from_identification for one in found.values())


def test_a_model_that_confuses_species_is_not_taken_for_a_changed_mix() -> None:
    """Without what the model names, the truth and the share that it gets right bound it."""
    species = [
        {"species": "orca", "samples": 60, "speciesAccuracy": 0.5},
        {"species": "beluga", "samples": 40, "speciesAccuracy": 1.0},
    ]
    within = judged(counts(0.8, orcas=30, belugas=70), figures=FIGURES | {"bySpecies": species})["BySpecies"]
    assert (within.shown.reason, within.shown.value) == ("WithinBounds", 0.0)
    beyond = judged(counts(0.8, orcas=0, belugas=100), figures=FIGURES | {"bySpecies": species})["BySpecies"]
    assert beyond.shown.reason == "SpeciesMixChanged"


def test_a_species_that_the_evaluation_set_lacks_is_found() -> None:
    species = [{"species": "orca", "samples": 100, "speciesAccuracy": 1.0, "named": 100}]
    found = judged(counts(0.8), figures=FIGURES | {"bySpecies": species})["BySpecies"]
    assert found.shown.reason == "SpeciesMixChanged"
    assert "all other species" in (found.shown.message or "") or "orca" in (found.shown.message or "")


@pytest.mark.parametrize(
    ("missing", "unknown"),
    [
        ({"identification": None}, {"TopProbability"}),
        ({"reference": None}, {"LowConfidence", "Distribution"}),
        ({"bySpecies": None}, {"BySpecies"}),
        (dict.fromkeys(FIGURES), {"TopProbability", "LowConfidence", "Distribution", "BySpecies"}),
    ],
)
def test_a_signal_judges_only_a_model_with_its_figures(missing: dict[str, None], unknown: set[str]) -> None:
    found = judged(counts(0.1, low=50), figures=FIGURES | missing)
    assert {name for name, one in found.items() if one.shown.reason == "NoReference"} == unknown


def test_few_pictures_decide_nothing() -> None:
    found = judged(counts(0.1, orcas=49, belugas=0))
    assert {(one.shown.state, one.shown.reason) for one in found.values()} == {("Unknown", "TooFewSamples")}
    assert judged(counts(0.1, orcas=50, belugas=0))["TopProbability"].shown.state == "Raised"
    empty = judge_signals(PooledAnswers(), METRICS, DriftSignals(), ())
    assert {one.shown.reason for one in empty} == {"TooFewSamples"}
    assert {one.shown.reason for one in judge_signals(None, METRICS, DriftSignals(), ())} == {"NoReports"}


def test_without_a_models_figures_nothing_is_known_of_any_signal() -> None:
    names: tuple[SignalName, ...] = ("TopProbability", "LowConfidence", "Distribution", "BySpecies")
    assert judge_signals(pool_answers([counts(0.1)]), None, DriftSignals(), ()) == tuple(
        SignalVerdict(SignalStatus(signal=name, state="Unknown", reason="NoReference")) for name in names
    )
    one = judged(counts(0.8, orcas=1, belugas=0), figures=FIGURES | {"identification": None})["TopProbability"]
    assert one.shown.reason == "NoReference", "one picture would do"
    none = judge_signals(PooledAnswers(), ModelMetrics(), DriftSignals(), ())
    assert {one.shown.reason for one in none} == {"TooFewSamples"}


def test_a_value_beyond_its_bound_that_chance_may_explain_is_not_raised() -> None:
    small = FIGURES["reference"] | {"topProbability": [0] * 15 + [1, 2, 1, 0, 0]}
    found = judged(counts(0.8, low=12), figures=FIGURES | {"reference": small})["LowConfidence"]
    assert (found.shown.state, found.shown.reason, found.shown.value) == ("Unknown", "NotProven", 0.12)


def test_a_value_on_its_bound_is_not_within_it() -> None:
    four = FIGURES["reference"] | {"topProbability": [1, *[0] * 18, 3]}
    found = judged(counts(0.8, low=50), figures=FIGURES | {"reference": four}, lowConfidence={"maxIncrease": 0.25})
    shown = found["LowConfidence"].shown
    assert (shown.state, shown.reason, shown.value, shown.bound) == ("Unknown", "NotProven", 0.25, 0.25)


def test_a_chance_of_exactly_the_level_proves_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = counts(0.8, low=20)
    measured = measure_low_confidence(pool_answers([answers]), METRICS, DriftSignals())
    assert measured is not None
    monkeypatch.setattr(signals, "LEVEL", measured.chance)
    assert judged(answers)["LowConfidence"].shown.state == "Raised"
    monkeypatch.setattr(signals, "LEVEL", math.nextafter(measured.chance, 0.0))
    assert judged(answers)["LowConfidence"].shown.reason == "NotProven"


MIX = Measured(0.2, 0.2, 50, LEVEL, "SpeciesMixChanged", "the mix has changed", from_identification=False)
SAME = Measured(0.0999, 0.1, 50, 1.0, "IdentificationWorse", "as sure as it was", from_identification=True)


@pytest.mark.parametrize(
    ("cause", "explained"),
    [
        (Cause(SAME, MIX), True),
        (Cause(SAME, None), False),
        (Cause(None, MIX), False),
        (Cause(SAME, replace(MIX, samples=49)), False),
        (Cause(SAME, replace(MIX, value=0.1999)), False),
        (Cause(SAME, replace(MIX, chance=LEVEL * 1.01)), False),
        (Cause(replace(SAME, value=0.1), MIX), False),
    ],
    ids=["the mix alone", "no mix", "not known by species", "few", "below its bound", "not proven", "less sure too"],
)
def test_only_a_proven_change_of_the_mix_explains_the_other_signals(cause: Cause, explained: bool) -> None:
    assert is_explained_by_mix(cause, 50) is explained


UNPROVEN = {"identification": {"samples": 1, "topProbabilityMean": 0.8}, "reference": None}


@pytest.mark.parametrize(
    ("reason", "drop", "pictures", "figures"),
    [
        ("TooFewSamples", 0.05, 10, {}),
        ("WithinBounds", 0.05, 100, {}),
        ("TopProbabilityDropped", 0.2, 100, {}),
        ("NotProven", 0.2, 100, UNPROVEN),
    ],
)
def test_the_figure_of_a_signal_stays_while_it_has_hardly_moved(
    reason: str, drop: float, pictures: int, figures: dict[str, Any]
) -> None:
    def shown(drop: float, *last: SignalStatus) -> SignalStatus:
        answers = counts(0.8 - drop, orcas=pictures, belugas=0)
        return judged(answers, figures=FIGURES | figures, last=last)["TopProbability"].shown

    before = shown(drop)
    assert (before.reason, before.value) == (reason, drop)
    assert shown(drop + 0.0008) != before
    assert shown(drop + 0.0008, before) == before
    assert shown(drop + 0.0012, before).value == round(drop + 0.001, 3)


def test_the_figure_of_another_finding_is_not_kept() -> None:
    few = judged(counts(0.75, orcas=10, belugas=0))["TopProbability"].shown
    assert few.value == 0.05
    enough = judged(counts(0.7492), last=(few,))["TopProbability"].shown
    assert (enough.reason, enough.value) == ("WithinBounds", 0.051)


def test_a_figure_below_its_bound_is_not_shown_as_the_bound() -> None:
    found = judged(counts(0.7004))["TopProbability"].shown
    assert (found.reason, found.value) == ("WithinBounds", 0.0996)


def test_the_message_of_a_raised_signal_changes_with_its_figure_or_its_pictures() -> None:
    text = (
        "mean top probability {} over {} pictures, {} below the 0.8 of the evaluation set: at least 0.1 "
        "(topProbability.maxDrop)"
    ).format
    last = judged(counts(0.6))["TopProbability"].shown
    assert last.message == text("0.600", 100, "0.200")

    def message(answers: AnswerCounts) -> str | None:
        return judged(answers, last=(last,))["TopProbability"].shown.message

    assert message(counts(0.6008)) == last.message
    assert message(counts(0.6008, orcas=61)) == text("0.601", 101, "0.199")
    assert message(counts(0.59)) == text("0.590", 100, "0.210")


def test_within_all_bounds_the_figure_nearest_to_its_own_bound_is_shown() -> None:
    """The drop of 0.06 has a bound of 0.1, the larger change of the mix one of 0.2."""
    found = judged(counts(0.74, orcas=68, belugas=32))["BySpecies"].shown
    assert (found.reason, found.value, found.bound) == ("WithinBounds", 0.06, 0.1)


def test_few_accepted_pictures_do_not_hide_that_the_score_has_changed() -> None:
    found = judged(replace(counts(0.1, orcas=6, belugas=4), answered=100, cetacean_score=tuple(around(5, 100))))
    assert reasons(found)["TopProbability"] == "TooFewSamples"
    assert (found["Distribution"].shown.reason, found["Distribution"].shown.samples) == ("DistributionChanged", 100)
    assert not found["Distribution"].from_identification


def test_a_disabled_signal_is_left_out() -> None:
    found = judged(counts(0.1), topProbability={"enabled": False}, bySpecies={"enabled": False})
    assert set(found) == {"LowConfidence", "Distribution"}


def test_an_alarm_begins_at_its_bound_and_ends_below_four_fifths_of_it() -> None:
    last: tuple[SignalStatus, ...] = ()
    states = []
    for drop in (0.09, 0.10, 0.09, 0.081, 0.079, 0.09, 0.11):
        verdicts = judged(counts(0.8 - drop), last=last)
        last = tuple(one.shown for one in verdicts.values())
        states.append(verdicts["TopProbability"].shown.state)
    assert states == ["WithinBounds", "Raised", "Raised", "Raised", "WithinBounds", "WithinBounds", "Raised"]


def verdict(*reports: AnswerCounts | None, last: DriftStatus | None = None, **policy: Any) -> DriftVerdict:
    pods = [
        ready_pod(number, drift=DriftReport(samples=100, mean=0.9, answers=one))
        if one
        else ready_pod(number, silent="no answer")
        for number, one in enumerate(reports)
    ]
    metrics = METRICS.model_copy(update={"cetacean_score_mean": 0.9})
    model = ModelRef(name="first", digest="a" * 64)
    return judge_drift(pods=pods, model=model, metrics=metrics, policy=Drift.model_validate(policy), last=last)


def shown(found: DriftVerdict, name: SignalName) -> SignalStatus:
    (signal,) = (one for one in found.shown.signals if one.signal == name)
    return signal


def test_the_condition_has_the_reason_of_the_raised_signal_and_the_mean_score_stays_as_it_was() -> None:
    found = verdict(counts(0.6))
    assert (found.condition.status, found.condition.reason) == ("True", "TopProbabilityDropped")
    assert found.identification_signals == ("TopProbability", "Distribution", "BySpecies")
    assert not found.alarm, "that is about the mean score only"
    assert "(topProbability.maxDrop)" in found.condition.message
    assert "(bySpecies.maxDrop)" in found.condition.message
    score = shown(found, "CetaceanScore")
    assert (score.state, score.value, score.bound, score.samples) == ("WithinBounds", 0.0, 0.1, 100)


def test_a_report_of_more_answers_than_the_window_holds_is_left_out() -> None:
    excess = counts(0.1, orcas=150, belugas=51)
    found = verdict(counts(0.8), excess)
    assert found.condition.status == "False"
    assert shown(found, "TopProbability").samples == 100
    assert shown(verdict(excess), "TopProbability").reason == "NoReports"
    assert shown(verdict(counts(0.8, orcas=120, belugas=80)), "TopProbability").samples == 200


def test_a_raised_signal_is_held_while_all_pods_are_silent_and_asks_for_no_rollback() -> None:
    before = verdict(counts(0.6)).shown
    held = verdict(None, last=before)
    assert {one.signal for one in held.shown.signals if one.raised} == {"TopProbability", "Distribution", "BySpecies"}
    assert held.condition.status == "True"
    assert held.identification_signals == ()
    healthy = verdict(None, last=verdict(counts(0.8)).shown)
    assert {one.reason for one in healthy.shown.signals} == {"NoReports"}


def world() -> World:
    made = World(manifest(entry("first", metrics=FIGURES)))
    made.settle()
    return made


def answer(made: World, answers: AnswerCounts) -> None:
    for pod in made.pods:
        pod.drift = DriftReport(samples=100, mean=0.9, score_avg=0.9, requests=100, answers=answers)
    made.settle()


def test_each_signal_is_one_event_with_its_next_step_and_the_end_is_one() -> None:
    made = world()
    for probability in (0.8, 0.6, 0.59, 0.58, 0.8):
        answer(made, counts(probability))
    found = [one for one in made.events if one.action == "Watch"]
    assert sorted(one.reason for one in found) == [
        "DistributionChanged",
        "DriftEnded",
        "IdentificationWorse",
        "TopProbabilityDropped",
    ]
    assert found[-1].reason == "DriftEnded"
    for one in found[:-1]:
        assert one.message.count("Next: ") == 1
        assert "runbook: docs/runbook.md#" in one.message


def test_the_status_has_each_signal_with_the_next_step_of_the_raised_ones() -> None:
    made = world()
    answer(made, counts(0.6))
    drift = made.status.drift
    assert drift is not None
    assert [one.signal for one in drift.signals] == [
        "CetaceanScore", "TopProbability", "LowConfidence", "Distribution", "BySpecies",
    ]  # fmt: skip
    assert {one.signal for one in drift.signals if one.next_step} == {"TopProbability", "Distribution", "BySpecies"}
    assert made.condition("Drifting").message.count("Next: ") == 1


def test_each_figure_of_a_signal_is_a_series_and_an_unknown_one_is_absent() -> None:
    made = World(manifest(entry("first", metrics={"identification": FIGURES["identification"]})))
    made.settle()
    answer(made, counts(0.5))
    series = {
        labels: value for (family, labels), value in status_series.of(made.status).items() if family == "drift_signal"
    }
    assert {labels[1]: value for labels, value in series.items() if labels[0] == "TopProbability"} == {
        "raised": 1.0,
        "value": 0.3,
        "bound": 0.1,
        "samples": 100.0,
    }
    assert {labels: value for labels, value in series.items() if labels[0] == "Distribution"} == {
        ("Distribution", "raised"): -1.0
    }
    assert series["CetaceanScore", "raised"] == 0.0


def test_nothing_is_written_while_the_answers_stay() -> None:
    made = world()
    answer(made, counts(0.6))
    before = made.writes
    answer(made, counts(0.6004))
    assert made.writes == before
    for pod in made.pods:
        pod.scraped = Scraped.FAILED_LATELY
    made.settle()
    assert made.is_("Drifting")[0] == "True"


def test_an_alarm_of_the_model_before_is_not_that_of_the_next_one() -> None:
    models = (entry("first", metrics=FIGURES), entry("second", "b", metrics=FIGURES))
    made = World(manifest(*models, drift={"signals": {"distribution": {"enabled": False}}}))
    made.settle()
    answer(made, counts(0.6))
    made.activate("second")
    made.settle()
    answer(made, counts(0.71))
    assert made.is_("Drifting") == ("False", "WithinBounds"), "0.09 goes on with an alarm and does not begin one"
