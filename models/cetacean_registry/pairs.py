"""Compare two models picture by picture: McNemar's exact test on the pictures that only one of them names right.

Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12 (1947) 153-157; exact: if both models are equally good, a picture that only one of them names right is
as likely to be the one's as the other's, so their numbers are binomial with probability 1/2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from cetacean_registry.evidence import GateFinding, exact
from cetacean_registry.gate import GateVerdict
from cetacean_registry.intervals import CONFIDENCE, MOST_PICTURES, quantile
from cetacean_registry.outcomes import Outcome
from cetacean_registry.policy import GatePolicy

FEWEST_TO_DECIDE: Final = 6
"""Fewer changed pictures have no p-value below 0.05, even if all of them changed in one direction."""
MOST_LISTED: Final = 50
_FIGURES: Final[tuple[tuple[str, Callable[[Outcome], bool | None]], ...]] = (
    ("top-1", lambda outcome: outcome.top1),
    ("species accuracy", lambda outcome: outcome.species_right),
)


def mcnemar(only_one: int, only_other: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Args:
        only_one: pictures that only the first model names right.
        only_other: pictures that only the second one names right.
    """
    fewer, total = min(only_one, only_other), only_one + only_other
    ways = term = 1
    for drawn in range(fewer):
        term = term * (total - drawn) // (drawn + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << total))


@dataclass(frozen=True, slots=True)
class Pairs:
    """One figure of two models on the same pictures."""

    figure: str
    pictures: int
    """Those whose truth is known."""
    right_to_wrong: tuple[Outcome, ...]
    """The candidate's outcomes of the pictures that only the serving model names right, in the order of the file."""
    wrong_to_right: int

    @property
    def p_value(self) -> float:
        """McNemar's, exact and two-sided."""
        return mcnemar(len(self.right_to_wrong), self.wrong_to_right)

    @property
    def result(self) -> Literal["better", "worse", "undecided"]:
        """The candidate's, at 95 %."""
        if self.p_value > 1 - CONFIDENCE:
            return "undecided"
        return "worse" if len(self.right_to_wrong) > self.wrong_to_right else "better"

    def judge(self, allowed: float) -> GateFinding:
        """Refuse a candidate that is proven to be worse, and by more than `allowed`."""
        loss = Decimal(len(self.right_to_wrong) - self.wrong_to_right)
        passed = self.result != "worse" or loss <= exact(allowed) * self.pictures
        return GateFinding(self.figure, passed, f"{self.text}{self._remark(allowed)}", self.result != "undecided")

    @property
    def text(self) -> str:
        """The numbers and the result."""
        lost, changed = len(self.right_to_wrong), len(self.right_to_wrong) + self.wrong_to_right
        begin = (
            f"{self.figure}, picture by picture: of {self.pictures}, {lost} turned from right to wrong and "
            f"{self.wrong_to_right} from wrong to right"
        )
        if not changed:
            return begin
        verdict = {"better": "the candidate is better", "worse": "the candidate is worse"}.get(self.result)
        return f"{begin} (McNemar, p = {self.p_value:.2g}): {verdict or self._undecided(lost, changed)}"

    def _undecided(self, lost: int, changed: int) -> str:
        gained = changed - lost
        if lost == gained:
            return "no difference is seen"
        # The normal approximation of the test; a small number of pictures needs at least six that changed.
        wanted = max(FEWEST_TO_DECIDE, math.ceil((quantile() * changed / (lost - gained)) ** 2))
        pictures = max(self.pictures + 1, math.ceil(self.pictures * wanted / changed))
        return f"too few to decide; if they go on changing like this, about {pictures} pictures would"

    def _remark(self, allowed: float) -> str:
        """Return what the set is too small for."""
        can_be_shown = allowed * MOST_PICTURES >= FEWEST_TO_DECIDE
        if self.result != "undecided" or not can_be_shown or allowed * self.pictures >= FEWEST_TO_DECIDE:
            return ""
        needed = math.ceil(FEWEST_TO_DECIDE / allowed)
        return f"; the set is too small to show a loss of {allowed:.4f} (maxRegression): at least {needed} are needed"


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """A gate's verdict with the findings of the comparison picture by picture, if there is one."""

    verdict: GateVerdict
    pairs: tuple[Pairs, ...] = ()
    note: str | None = None
    """Why there is no comparison."""

    def lines(self, most: int = MOST_LISTED) -> Iterator[str]:
        """Yield a line for each picture that turned from right to wrong, at most so many for each figure."""
        if self.note:
            yield self.note
        for pair in self.pairs:
            if not pair.right_to_wrong:
                continue
            yield f"{pair.figure}: pictures that turned from right to wrong ({len(pair.right_to_wrong)}):"
            for outcome in pair.right_to_wrong[:most]:
                truth, named = (
                    (outcome.individual, outcome.named_individual)
                    if pair.figure == "top-1"
                    else (outcome.species, outcome.named_species)
                )
                yield f"  {outcome.picture}: {named or 'none'} ({outcome.probability:.2f}) instead of {truth}"
            if len(pair.right_to_wrong) > most:
                yield f"  and {len(pair.right_to_wrong) - most} more"


def compare_pictures(
    verdict: GateVerdict,
    own: Sequence[Outcome] | None,
    theirs: Sequence[Outcome] | None,
    policy: GatePolicy,
) -> PictureComparison:
    """Add the comparison picture by picture to a verdict.

    Args:
        verdict: of the figures; if it compares with no model, it is returned as it is.
        own: the candidate's outcomes; None: there are none.
        theirs: the serving model's.
        policy: the bounds.
    """
    if verdict.compared_with is None:
        return PictureComparison(verdict)
    if own is None or theirs is None:
        owner = "the candidate" if own is None else verdict.compared_with
        note = f"not compared picture by picture: {owner} has no outcomes; scripts/compute_metrics.py writes them"
        return PictureComparison(verdict, note=note)
    if mismatch := _mismatch(own, theirs, verdict.compared_with):
        return PictureComparison(replace(verdict, findings=(*verdict.findings, mismatch)))
    pairs = tuple(found for figure, right in _FIGURES if (found := _pairs(figure, right, own, theirs)).pictures)
    findings = tuple(pair.judge(policy.max_regression) for pair in pairs)
    return PictureComparison(replace(verdict, findings=(*verdict.findings, *findings)), pairs)


def _pairs(
    figure: str, right: Callable[[Outcome], bool | None], own: Sequence[Outcome], theirs: Sequence[Outcome]
) -> Pairs:
    before = {outcome.picture: right(outcome) for outcome in theirs}
    known = [(outcome, right(outcome), before[outcome.picture]) for outcome in own if right(outcome) is not None]
    return Pairs(
        figure,
        pictures=len(known),
        right_to_wrong=tuple(outcome for outcome, now, was in known if was and not now),
        wrong_to_right=sum(bool(now and not was) for _, now, was in known),
    )


def _mismatch(own: Sequence[Outcome], theirs: Sequence[Outcome], serving: str) -> GateFinding | None:
    """Return a finding if the outcomes are not of the same pictures with the same labels."""
    mine, other = ({outcome.picture: _truth(outcome) for outcome in outcomes} for outcomes in (own, theirs))
    differing = sorted(picture for picture in mine.keys() | other.keys() if mine.get(picture) != other.get(picture))
    if not differing:
        return None
    text = (
        f"the outcomes are not of {serving}'s pictures and labels: {len(differing)} differ, the first is "
        f"{differing[0]}; compute both models on one set"
    )
    return GateFinding("evaluation set", passed=False, text=text)


def _truth(outcome: Outcome) -> tuple[str, str | None, str | None]:
    return outcome.sha256, outcome.individual, outcome.species
