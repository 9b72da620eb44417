"""The gate before a promotion: decide if a candidate may replace the serving model.

The rule is pure, and the same in the operator, in the command line and in CI. A missing figure that a bound needs
refuses the candidate, as its quality is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cetacean_registry.evidence import GateFinding, judge_drop, judge_minimum, show
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.gate_figures import ROC_AUC, SPECIES_ACCURACY, TNR, TOP1, TPR, Figure
from cetacean_registry.policy import GatePolicy
from cetacean_registry.species_gate import judge_species

SURE: Final = 0.5
"""A model is confidently wrong if its mean top probability is at least this, and twice the share that is right."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """All findings; the candidate passes if each finding does."""

    candidate: str
    compared_with: str | None
    """The serving model's name, None when nothing serves."""
    findings: tuple[GateFinding, ...]

    @property
    def passed(self) -> bool:
        """True if the candidate may be promoted."""
        return all(finding.passed for finding in self.findings)

    @property
    def message(self) -> str:
        """One line with the serving model and each figure and bound, the failed ones first."""
        kept = "; ".join(finding.text for finding in self.findings if finding.passed)
        failed = "; ".join(finding.text for finding in self.findings if not finding.passed)
        verb = "passes" if self.passed else "is refused"
        against = f" against {self.compared_with}" if self.compared_with else " with no serving model to compare with"
        shown = f"{failed}. Kept: {kept}" if failed and kept else failed or kept
        return f"{self.candidate} {verb}{against}: {shown}"


def judge(
    *,
    candidate: str,
    metrics: ModelMetrics | None,
    policy: GatePolicy,
    serving: str | None = None,
    serving_metrics: ModelMetrics | None = None,
) -> GateVerdict:
    """Compare a candidate with the policy and with the serving model.

    Args:
        candidate: the candidate's name.
        metrics: its figures; None if it names no snapshot.
        policy: the bounds.
        serving: the serving model's name; None if nothing serves, and then only the thresholds count.
        serving_metrics: the serving model's figures; a missing one refuses the candidate if a bound needs it.
    """
    own = metrics or ModelMetrics()
    findings = list(_minima(own, policy))
    if serving is not None:
        findings += _comparisons(own, serving, serving_metrics or ModelMetrics(), policy)
    return GateVerdict(candidate, serving, tuple(_with_confidently_wrong(findings, own)))


def _minima(own: ModelMetrics, policy: GatePolicy) -> Iterator[GateFinding]:
    for figure, bound, field in (
        (TNR, policy.min_tnr, "minTNR"),
        (TPR, policy.min_tpr, "minTPR"),
        (TOP1, policy.min_top1, "minTop1"),
        (SPECIES_ACCURACY, policy.min_species_accuracy, "minSpeciesAccuracy"),
    ):
        if bound is None:
            continue
        measured = figure.of(own)
        if measured is None:
            text = f"{figure.label} {figure.missing(own)}, at least {bound:.4f} is needed ({field}){figure.remedy}"
            yield GateFinding(figure.label, passed=False, text=text)
        else:
            yield judge_minimum(measured, bound, field, policy.evidence)


def _comparisons(own: ModelMetrics, serving: str, theirs: ModelMetrics, policy: GatePolicy) -> Iterator[GateFinding]:
    if mismatch := _evaluation_set_mismatch(own, serving, theirs):
        yield mismatch
        return
    for figure in (TNR, TPR, ROC_AUC, TOP1, SPECIES_ACCURACY):
        mine, other = figure.of(own), figure.of(theirs)
        if mine is None or other is None:
            if not figure.of_identification:  # older snapshots have none, and a bound of its own may ask for it
                yield _missing(figure, own, serving, theirs)
            continue
        yield judge_drop(
            mine, other, policy.max_regression, serving=serving, field="maxRegression", evidence=policy.evidence
        )
    if policy.by_species is not None:
        yield from judge_species(
            own.by_species, serving, theirs.by_species, policy=policy.by_species, evidence=policy.evidence
        )


def _with_confidently_wrong(findings: Sequence[GateFinding], own: ModelMetrics) -> Iterator[GateFinding]:
    """Yield the findings; the first refused one of a figure in which the model is sure and wrong says so."""
    sure = own.identification.top_probability_mean if own.identification else None
    shares = {figure.label: figure.value(own) for figure in (TOP1, SPECIES_ACCURACY)}
    named = False
    for finding in findings:
        share = shares.get(finding.figure)
        if named or finding.passed or share is None or sure is None or sure < max(SURE, 2 * share):
            yield finding
            continue
        named = True
        yield replace(finding, text=f"{finding.text}, confidently wrong: its mean top probability is {show(sure)}")


def _missing(figure: Figure, own: ModelMetrics, serving: str, theirs: ModelMetrics) -> GateFinding:
    other = figure.of(theirs)
    if figure.of(own) is None:
        text = f"{figure.label} {figure.missing(own)}, {serving} has {show(other.value if other else None)}"
    else:
        text = f"{figure.label} of {serving} {figure.missing(theirs)}, nothing to compare with"
    return GateFinding(figure.label, passed=False, text=text)


def _evaluation_set_mismatch(own: ModelMetrics, serving: str, theirs: ModelMetrics) -> GateFinding | None:
    figure = "evaluation set"
    for owner, metrics in (("the candidate", own), (serving, theirs)):
        if metrics.evaluation_set is None:
            return GateFinding(figure, passed=False, text=f"the evaluation set of {owner} is missing")
    # A set of another size under the same name is another set; so is one with other labels.
    for unit, mine, other in (
        ("pictures", own.sample_size, theirs.sample_size),
        ("cetacean pictures", own.positives, theirs.positives),
        ("other pictures", own.negatives, theirs.negatives),
        ("pictures with a known individual", TOP1.samples(own), TOP1.samples(theirs)),
        ("pictures with a known species", SPECIES_ACCURACY.samples(own), SPECIES_ACCURACY.samples(theirs)),
    ):
        sizes_differ = None not in (mine, other) and mine != other
        if own.evaluation_set != theirs.evaluation_set or sizes_differ:
            return GateFinding(
                figure,
                passed=False,
                text=f"evaluation set {own.evaluation_set} ({_size(mine, unit)}) is not "
                f"{serving}'s {theirs.evaluation_set} ({_size(other, unit)})",
            )
    return None


def _size(count: int | None, unit: str) -> str:
    return "size unknown" if count is None else f"{count} {unit}"
