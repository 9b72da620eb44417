"""The gate before a promotion: each figure is compared exactly with its bound; a missing one refuses the candidate."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate import GateVerdict, judge
from cetacean_registry.policy import GatePolicy

POLICY = GatePolicy()
FIGURES = {"tnr": "TNR", "tpr": "TPR", "roc_auc": "ROC AUC"}


def metrics(**changes: Any) -> ModelMetrics:
    figures = {"tpr": 0.95, "tnr": 0.92, "roc_auc": 0.98, "sample_size": 202, "evaluation_set": "split"}
    return ModelMetrics(**{**figures, **changes})


def against(own: ModelMetrics | None, theirs: ModelMetrics | None, policy: GatePolicy = POLICY) -> GateVerdict:
    return judge(candidate="new", metrics=own, policy=policy, serving="old", serving_metrics=theirs)


def failed(verdict: GateVerdict) -> list[str]:
    return [finding.figure for finding in verdict.findings if not finding.passed]


def test_the_default_bounds_are_the_playbooks() -> None:
    assert POLICY.model_dump(by_alias=True, exclude_none=True) == {
        "minTNR": 0.9,
        "minTPR": 0.85,
        "maxRegression": 0.02,
        "evidence": "Point",
    }


def test_an_equal_candidate_passes_and_each_bound_is_named() -> None:
    verdict = against(metrics(), metrics())
    assert verdict.passed
    assert verdict.message == (
        "new passes against old: TNR 0.9200 is at least 0.9000 (minTNR); TPR 0.9500 is at least 0.8500 (minTPR); "
        "TNR 0.9200 is no more than 0.0200 below old's 0.9200 (maxRegression); "
        "TPR 0.9500 is no more than 0.0200 below old's 0.9500 (maxRegression); "
        "ROC AUC 0.9800 is no more than 0.0200 below old's 0.9800 (maxRegression)"
    )


def test_with_nothing_serving_only_the_thresholds_count() -> None:
    verdict = judge(candidate="new", metrics=metrics(roc_auc=None, evaluation_set=None), policy=POLICY)
    assert verdict.passed
    assert verdict.compared_with is None
    assert verdict.message.startswith("new passes with no serving model to compare with: TNR 0.9200")
    assert len(verdict.findings) == 2


@pytest.mark.parametrize(
    ("changes", "figures", "message"),
    [
        ({"tnr": 0.8999}, ["TNR", "TNR"], "TNR 0.8999 is below 0.9000 (minTNR)"),
        ({"tpr": 0.84}, ["TPR", "TPR"], "TPR 0.8400 is below 0.8500 (minTPR)"),
        ({"tpr": 0.92}, ["TPR"], "TPR 0.9200 is more than 0.0200 below old's 0.9500 (maxRegression)"),
        ({"roc_auc": 0.9}, ["ROC AUC"], "ROC AUC 0.9000 is more than 0.0200 below old's 0.9800 (maxRegression)"),
    ],
)
def test_a_regression_is_refused_with_figure_and_bound(changes: Any, figures: list[str], message: str) -> None:
    verdict = against(metrics(**changes), metrics())
    assert not verdict.passed
    assert failed(verdict) == figures
    assert verdict.message.startswith("new is refused against old: ")
    assert message in verdict.message
    assert all(finding.text in verdict.message for finding in verdict.findings), "each figure and its bound"
    assert verdict.message.index(message) < verdict.message.index("Kept: "), "failed findings first"


@pytest.mark.parametrize("bound", ["tnr", "tpr"])
def test_a_figure_on_the_bound_is_enough(bound: str) -> None:
    own = metrics(tnr=0.90, tpr=0.85)
    assert judge(candidate="new", metrics=own, policy=POLICY).passed
    below = metrics(**{"tnr": 0.90, "tpr": 0.85, bound: 0.8499})
    assert not judge(candidate="new", metrics=below, policy=POLICY).passed


@pytest.mark.parametrize("field", ["tnr", "tpr", "roc_auc"])
@pytest.mark.parametrize("owner", ["candidate", "serving model"])
def test_a_missing_figure_refuses_the_candidate(field: str, owner: str) -> None:
    own, theirs = metrics(), metrics()
    if owner == "candidate":
        own = metrics(**{field: None})
    else:
        theirs = metrics(**{field: None})
    verdict = against(own, theirs)
    assert not verdict.passed
    assert set(failed(verdict)) == {FIGURES[field]}
    assert "is missing" in verdict.message


def test_a_missing_figure_is_named_with_its_owner_and_the_other_value() -> None:
    def texts(own: ModelMetrics, theirs: ModelMetrics) -> list[str]:
        return [finding.text for finding in against(own, theirs).findings if not finding.passed]

    assert texts(metrics(roc_auc=None), metrics()) == ["ROC AUC is missing, old has 0.9800"]
    assert texts(metrics(), metrics(roc_auc=None)) == ["ROC AUC of old is missing, nothing to compare with"]
    assert texts(metrics(roc_auc=None), metrics(roc_auc=None)) == ["ROC AUC is missing, old has none"]


def test_a_candidate_without_figures_is_refused() -> None:
    assert failed(judge(candidate="new", metrics=None, policy=POLICY)) == ["TNR", "TPR"]
    assert failed(against(None, metrics())) == ["TNR", "TPR", "evaluation set"]
    assert failed(against(metrics(), None)) == ["evaluation set"]


LABELS = {"positives": 100, "negatives": 102}


@pytest.mark.parametrize(
    ("own", "text"),
    [
        ({"positives": 150}, "150 cetacean pictures) is not old's split (100 cetacean pictures)"),
        ({"negatives": 52}, "52 other pictures) is not old's split (102 other pictures)"),
    ],
)
def test_sets_with_other_numbers_of_labels_are_not_compared(own: Any, text: str) -> None:
    verdict = against(metrics(**(LABELS | own)), metrics(**LABELS))
    assert failed(verdict) == ["evaluation set"]
    assert f"evaluation set split ({text}" in verdict.message
    assert against(metrics(**own), metrics()).passed, "numbers that one of the two does not name are not compared"


@pytest.mark.parametrize(
    ("counts", "figures"),
    [
        ({"positives": 0}, {"TPR", "ROC AUC"}),
        ({"negatives": 0}, {"TNR", "ROC AUC"}),
        ({"sample_size": 0}, {"TPR", "TNR", "ROC AUC"}),
    ],
)
@pytest.mark.parametrize("evidence", ["Point", "Interval"])
def test_a_figure_of_no_pictures_is_missing(counts: Any, figures: set[str], evidence: Any) -> None:
    unproven = metrics(**counts)
    policy = GatePolicy(evidence=evidence)
    other = metrics(sample_size=None)
    for own, theirs in ((unproven, other), (other, unproven), (unproven, unproven)):
        assert set(failed(against(own, theirs, policy))) == figures
    alone = judge(candidate="new", metrics=unproven, policy=policy)
    assert set(failed(alone)) == figures - {"ROC AUC"}
    assert "is of no pictures, so it is missing, at least" in alone.message


@pytest.mark.parametrize(
    ("own", "theirs", "message"),
    [
        ({"evaluation_set": None}, {}, "the evaluation set of the candidate is missing"),
        ({}, {"evaluation_set": None}, "the evaluation set of old is missing"),
        ({"evaluation_set": None}, {"evaluation_set": None}, "the evaluation set of the candidate is missing"),
        (
            {"evaluation_set": "other"},
            {},
            "evaluation set other (202 pictures) is not old's split (202 pictures)",
        ),
        (
            {"evaluation_set": "other", "sample_size": None},
            {},
            "evaluation set other (size unknown) is not old's split (202 pictures)",
        ),
        ({"sample_size": 300}, {}, "evaluation set split (300 pictures) is not old's split (202 pictures)"),
    ],
)
def test_figures_of_another_evaluation_set_are_not_compared(own: Any, theirs: Any, message: str) -> None:
    verdict = against(metrics(**own), metrics(**theirs))
    assert failed(verdict) == ["evaluation set"]
    assert message in verdict.message
    assert "below old's" not in verdict.message


def test_evaluation_sets_of_one_name_are_equal_if_a_size_is_unknown() -> None:
    assert against(metrics(sample_size=None), metrics()).passed


def test_a_difference_of_exactly_the_bound_passes() -> None:
    # In binary floating point 0.90 - 0.88 is more than 0.02.
    assert 0.90 - 0.88 > 0.02
    policy = GatePolicy(min_tnr=0.5, min_tpr=0.5)
    assert against(metrics(tnr=0.88), metrics(tnr=0.90), policy).passed
    assert not against(metrics(tnr=0.8799), metrics(tnr=0.90), policy).passed


decimals = st.integers(0, 10_000).map(lambda number: number / 10_000)


@given(decimals, decimals, decimals)
@example(0.88, 0.90, 0.02)
@example(0.7, 0.8, 0.1)
def test_differences_are_computed_from_the_decimals_as_written(own: float, other: float, allowed: float) -> None:
    policy = GatePolicy(min_tnr=0.0, min_tpr=0.0, max_regression=allowed)
    verdict = against(metrics(tnr=own), metrics(tnr=other), policy)
    assert verdict.passed == (Decimal(str(other)) - Decimal(str(own)) <= Decimal(str(allowed)))


fractions = st.none() | st.floats(0, 1)
any_metrics = st.builds(
    ModelMetrics,
    tpr=fractions,
    tnr=fractions,
    roc_auc=fractions,
    sample_size=st.none() | st.integers(0, 3),
    evaluation_set=st.none() | st.sampled_from(["a", "b"]),
)


@given(st.none() | any_metrics, st.none() | any_metrics)
def test_a_verdict_is_one_line_with_the_reasons(own: ModelMetrics | None, theirs: ModelMetrics | None) -> None:
    verdict = against(own, theirs)
    assert "\n" not in verdict.message
    shown = [finding for finding in verdict.findings if finding.passed == verdict.passed]
    assert shown
    assert all(finding.text in verdict.message for finding in shown)


@given(st.data(), st.sampled_from(sorted(FIGURES)))
def test_a_better_figure_never_turns_a_pass_into_a_refusal(data: st.DataObject, field: str) -> None:
    good = {name: data.draw(st.floats(0.9, 1)) for name in FIGURES}
    theirs = metrics(**{name: data.draw(st.floats(0, value)) for name, value in good.items()})
    assert against(metrics(**good), theirs).passed
    better = data.draw(st.floats(good[field], 1))
    assert against(metrics(**{**good, field: better}), theirs).passed


@pytest.mark.parametrize("wrong", [{"minTNR": 1.1}, {"minTPR": -0.1}, {"maxRegression": float("nan")}, {"minFoo": 1}])
def test_an_invalid_policy_is_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        GatePolicy.model_validate(wrong)
