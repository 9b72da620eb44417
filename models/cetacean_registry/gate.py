"""The gate before a promotion: decide if a candidate may replace the serving model.

The rule is pure, and the same in the operator and in CI. A missing figure refuses the candidate, as its
quality is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cetacean_registry.figures import Fraction, ModelMetrics

_COMPARED_FIGURES: tuple[tuple[str, Literal["tpr", "tnr", "roc_auc"]], ...] = (
    ("TNR", "tnr"),
    ("TPR", "tpr"),
    ("ROC AUC", "roc_auc"),
)


class GatePolicy(BaseModel):
    """The bounds that a candidate must reach."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    min_tnr: Fraction = Field(default=0.90, alias="minTNR", description="Lowest true negative rate.")
    min_tpr: Fraction = Field(default=0.85, alias="minTPR", description="Lowest true positive rate.")
    max_regression: Fraction = Field(
        default=0.02,
        alias="maxRegression",
        description="How far TNR, TPR and ROC AUC may lie below the serving model's on the same evaluation set.",
    )


@dataclass(frozen=True, slots=True)
class GateFinding:
    """The result of comparing one figure with one bound."""

    figure: str
    """`TNR`, `TPR`, `ROC AUC` or `evaluation set`."""
    passed: bool
    text: str
    """E.g. `TNR 0.8800 is below 0.9000 (minTNR)`."""


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
        serving_metrics: the serving model's figures; a missing one refuses the candidate.
    """
    own = metrics or ModelMetrics()
    findings = [
        _threshold("TNR", own.tnr, policy.min_tnr, "minTNR"),
        _threshold("TPR", own.tpr, policy.min_tpr, "minTPR"),
    ]
    if serving is not None:
        findings += _regressions(own, serving, serving_metrics or ModelMetrics(), policy.max_regression)
    return GateVerdict(candidate=candidate, compared_with=serving, findings=tuple(findings))


def _threshold(figure: str, value: float | None, bound: float, field: str) -> GateFinding:
    if value is None:
        return GateFinding(figure, passed=False, text=f"{figure} is missing, at least {bound:.4f} is needed ({field})")
    passed = _exact(value) >= _exact(bound)
    return GateFinding(
        figure, passed, f"{figure} {_show(value)} is {'at least' if passed else 'below'} {bound:.4f} ({field})"
    )


def _regressions(own: ModelMetrics, serving: str, theirs: ModelMetrics, allowed: float) -> list[GateFinding]:
    if mismatch := _evaluation_set_mismatch(own, serving, theirs):
        return [mismatch]
    return [
        _regression(label, getattr(own, field), serving, getattr(theirs, field), allowed)
        for label, field in _COMPARED_FIGURES
    ]


def _evaluation_set_mismatch(own: ModelMetrics, serving: str, theirs: ModelMetrics) -> GateFinding | None:
    figure = "evaluation set"
    for owner, metrics in (("the candidate", own), (serving, theirs)):
        if metrics.evaluation_set is None:
            return GateFinding(figure, passed=False, text=f"the evaluation set of {owner} is missing")
    # A set of another size under the same name is another set.
    sizes_differ = None not in (own.sample_size, theirs.sample_size) and own.sample_size != theirs.sample_size
    if own.evaluation_set != theirs.evaluation_set or sizes_differ:
        return GateFinding(
            figure,
            passed=False,
            text=f"evaluation set {own.evaluation_set} ({_size(own)}) is not "
            f"{serving}'s {theirs.evaluation_set} ({_size(theirs)})",
        )
    return None


def _regression(figure: str, value: float | None, serving: str, other: float | None, allowed: float) -> GateFinding:
    if value is None:
        return GateFinding(figure, passed=False, text=f"{figure} is missing, {serving} has {_show(other)}")
    if other is None:
        return GateFinding(figure, passed=False, text=f"{figure} of {serving} is missing, nothing to compare with")
    # Decimal, since 0.90 - 0.88 > 0.02 in binary floating point.
    drop = _exact(other) - _exact(value)
    passed = drop <= _exact(allowed)
    relation = "no more than" if passed else "more than"
    return GateFinding(
        figure,
        passed,
        f"{figure} {_show(value)} is {relation} {allowed:.4f} below {serving}'s {_show(other)} (maxRegression)",
    )


def _exact(value: float) -> Decimal:
    return Decimal(repr(value))


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _size(metrics: ModelMetrics) -> str:
    return "size unknown" if metrics.sample_size is None else f"{metrics.sample_size} pictures"
