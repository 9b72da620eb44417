"""McNemar's exact test, and what is said of the pictures that changed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from cetacean_registry.gate import GateVerdict
from cetacean_registry.outcomes import Outcome
from cetacean_registry.pairs import Pairs, PictureComparison, compare_pictures, mcnemar
from cetacean_registry.policy import GatePolicy

VERDICT = GateVerdict("new", "old", ())


def outcomes(right: Sequence[bool], *, individual: str | None = "a", species: str | None = None) -> list[Outcome]:
    """Return the outcomes of pictures in which the right individual is named, or another one."""
    return [
        Outcome(
            picture=f"{number}.jpg",
            sha256="a" * 64,
            individual=individual,
            species=species,
            named_individual="a" if one else "z",
            named_species="orca" if one else "minke",
            probability=0.9,
            top5=one,
        )
        for number, one in enumerate(right)
    ]


def compared(*, lost: int, gained: int, pictures: int = 100, max_regression: float = 0.02) -> PictureComparison:
    """Compare two models: so many pictures turned from right to wrong, and from wrong to right."""
    same = pictures - lost - gained
    before = [True] * lost + [False] * gained + [True] * same
    after = [False] * lost + [True] * gained + [True] * same
    policy = GatePolicy(max_regression=max_regression)
    return compare_pictures(VERDICT, outcomes(after), outcomes(before), policy)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_that_of_the_exact_binomial_test(one: int, other: int) -> None:
    expected = binomtest(one, one + other).pvalue if one + other else 1.0
    assert mcnemar(one, other) == pytest.approx(expected, rel=1e-9)


def test_large_counts_have_a_p_value() -> None:
    assert mcnemar(5_000, 5_000) == 1.0
    assert mcnemar(5_200, 4_800) == pytest.approx(binomtest(4_800, 10_000).pvalue, rel=1e-9)
    assert mcnemar(20_000, 0) == 0.0


@pytest.mark.parametrize(
    ("lost", "gained", "passes", "text"),
    [
        (0, 0, True, "of 100, 0 turned from right to wrong and 0 from wrong to right; the set is too small"),
        (5, 0, True, "(McNemar, p = 0.062): too few to decide; if they go on changing like this, about 120 pictures"),
        (6, 0, False, "(McNemar, p = 0.031): the candidate is worse"),
        (0, 6, True, "(McNemar, p = 0.031): the candidate is better"),
        (4, 4, True, "(McNemar, p = 1): no difference is seen"),
        (9, 4, True, "(McNemar, p = 0.27): too few to decide; if they go on changing like this, about 200 pictures"),
    ],
    ids=str,
)
def test_the_result_of_the_pairs(lost: int, gained: int, passes: bool, text: str) -> None:
    verdict = compared(lost=lost, gained=gained).verdict
    assert verdict.passed == passes
    (finding,) = verdict.findings
    assert finding.text.startswith("top-1, picture by picture: of 100, ")
    assert text in finding.text


def test_a_finding_is_conclusive_unless_too_few_pictures_changed() -> None:
    found = {
        changed: compared(lost=changed[0], gained=changed[1]).verdict.findings for changed in ((5, 0), (6, 0), (0, 6))
    }
    assert [finding.conclusive for (finding,) in found.values()] == [False, True, True]


def test_the_number_of_pictures_that_would_decide_is_more_than_there_are() -> None:
    # The approximation says that ten changed pictures are enough, and eleven did change.
    (finding,) = compared(lost=9, gained=2).verdict.findings
    assert "about 101 pictures would" in finding.text


def test_a_loss_that_is_proven_but_allowed_passes() -> None:
    verdict = compared(lost=20, gained=2, pictures=1000).verdict
    assert verdict.passed
    assert "the candidate is worse" in verdict.message
    assert compared(lost=20, gained=2, pictures=1000, max_regression=0.018).verdict.passed
    assert not compared(lost=20, gained=2, pictures=1000, max_regression=0.017).verdict.passed


def test_a_set_that_is_too_small_for_the_bound_says_how_many_pictures_it_needs() -> None:
    remark = "the set is too small to show a loss of 0.0200 (maxRegression): at least 300 are needed"
    assert remark in compared(lost=1, gained=0, pictures=299).verdict.message
    assert remark not in compared(lost=1, gained=0, pictures=300).verdict.message
    assert remark in compared(lost=1, gained=0, pictures=40).verdict.message
    assert remark not in compared(lost=8, gained=0).verdict.message, "it was large enough for what it has shown"
    (finding,) = compared(lost=0, gained=0, max_regression=0.0).verdict.findings
    assert finding.text.endswith("and 0 from wrong to right"), "no number of pictures shows a loss of nothing"
    for nearly_nothing in (5e-324, 1e-170, 1e-7):
        (finding,) = compared(lost=0, gained=0, max_regression=nearly_nothing).verdict.findings
        assert finding.text.endswith("and 0 from wrong to right"), "nor any that a set can have, of nearly nothing"


def test_the_pictures_that_turned_from_right_to_wrong_are_listed() -> None:
    lines = list(compared(lost=3, gained=1).lines(most=2))
    assert lines == [
        "top-1: pictures that turned from right to wrong (3):",
        "  0.jpg: z (0.90) instead of a",
        "  1.jpg: z (0.90) instead of a",
        "  and 1 more",
    ]
    assert len(list(compared(lost=3, gained=1).lines(most=3))) == 4
    assert list(compared(lost=0, gained=9).lines()) == []


def test_pictures_are_listed_for_each_figure_that_lost_some() -> None:
    (lost,) = outcomes([False], species="orca")
    nameless = lost.model_copy(update={"named_species": ""})
    pairs = (Pairs("top-1", 1, (), 1), Pairs("species accuracy", 1, (nameless,), 0))
    assert list(PictureComparison(VERDICT, pairs).lines()) == [
        "species accuracy: pictures that turned from right to wrong (1):",
        "  0.jpg: none (0.90) instead of orca",
    ]


def test_species_are_compared_too_if_they_are_known() -> None:
    before, after = (outcomes([right] * 8, individual=None, species="orca") for right in (True, False))
    found = compare_pictures(VERDICT, after, before, GatePolicy())
    assert [finding.figure for finding in found.verdict.findings] == ["species accuracy"]
    assert not found.verdict.passed
    assert "  0.jpg: minke (0.90) instead of orca" in list(found.lines())


@pytest.mark.parametrize(("own", "owner"), [(None, "the candidate"), ([], "old")])
def test_missing_outcomes_are_a_note_and_no_refusal(own: list[Outcome] | None, owner: str) -> None:
    found = compare_pictures(VERDICT, own, None, GatePolicy())
    assert found.verdict == VERDICT
    assert list(found.lines()) == [
        f"not compared picture by picture: {owner} has no outcomes; scripts/compute_metrics.py writes them"
    ]


def test_without_a_serving_model_nothing_is_compared() -> None:
    alone = GateVerdict("new", None, ())
    assert compare_pictures(alone, None, None, GatePolicy()) == PictureComparison(alone)


def test_outcomes_of_other_pictures_or_labels_are_refused() -> None:
    mine = outcomes([True] * 4)
    for theirs in (
        mine[1:],
        [mine[0].model_copy(update={"sha256": "b" * 64}), *mine[1:]],
        outcomes([True] * 4, species="x"),
    ):
        verdict = compare_pictures(VERDICT, mine, theirs, GatePolicy()).verdict
        assert [finding.figure for finding in verdict.findings if not finding.passed] == ["evaluation set"]
        assert "the first is 0.jpg; compute both models on one set" in verdict.message
