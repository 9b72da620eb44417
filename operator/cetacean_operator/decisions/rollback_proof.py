"""Proof that the model before does better on the pictures that come now, before drift may bring it back.

The model before answers copies of the same pictures, beside the one that serves. Nobody knows the truth about these
pictures, so each model is compared with itself: how sure is it, less how sure it was on its evaluation set? The model
before does better if this is higher for more than half of the pictures, by bounds that hold however often they are
judged (`confidence_sequence`), and if it would end the signal TopProbability. If the pictures are at
fault, both models are less sure, and the model before does no better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cetacean_operator.api import names
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.shadow import UNIT, PairCounts
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import ComparisonStatus, ModelRef, ServedModel
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.confidence_sequence import share_bounds
from cetacean_operator.decisions.drift import DriftVerdict
from cetacean_operator.decisions.hysteresis import RECOVERY
from cetacean_operator.decisions.identity import label, reference, rollout_of
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.decisions.shadow_verdict import ALPHA, pool

Verdict = Literal["Running", "Better", "NoBetter"]
MOST_PAIRS: Final = 2000
"""After so many pictures a difference that still does not show is too small to serve another model for."""
_HALF: Final = 0.5
CALIBRATE: Final = "check the pictures, calibrate the anti-fraud gate or collect pictures of today"


@dataclass(frozen=True, slots=True)
class Proof:
    """The findings about the model before."""

    message: str
    """Why there is no rollback yet, or what proves that it helps."""
    earlier: Model | None = None
    """The model before; None if it cannot be compared."""
    digest: str | None = None
    """Of its weights."""
    comparison: Comparison | None = None
    """The model that is to run beside the pods that serve; None once there is a verdict."""
    status: ComparisonStatus | None = None

    @property
    def is_better(self) -> bool:
        """True if the model before does better."""
        return self.status is not None and self.status.verdict == "Better"


@dataclass(frozen=True, slots=True)
class ProofInput:
    """The facts that a proof needs besides the resource's spec and history."""

    name: str
    """Of the resource."""
    drift: DriftVerdict | None
    """Of the active model; None if another model serves."""
    pods: tuple[Pod, ...]
    """Ready ones."""
    last: ComparisonStatus | None
    """As it was shown last."""


def prove(active: Model, *, spec: Spec, history: ServingHistory, given: ProofInput) -> Proof:
    """Compare the model before with the active one, whose identification drifts.

    Args:
        active: the model that serves.
        spec: with the bounds.
        history: which models have served, and their figures.
        given: the pods' counts and the last verdict.
    """
    before, serving = history.last_served(other_than=active), history.served_record(active)
    if before is None or serving is None:
        return Proof("no rollback: no other model has served before")
    earlier = history.current_entry(before)
    expected_active, expected_earlier = _expected(history, active), _expected(history, earlier)
    if expected_active is None or expected_earlier is None or not history.is_available(before):
        return Proof(_missing(active if expected_active is None else earlier, earlier, history, before))
    if len(given.name) > names.LONGEST_NAME_WITH_CANDIDATE:
        return Proof(
            f"no rollback: to compare {label(earlier)} a Deployment is needed whose name begins with this resource's, "
            f"which has more than {names.LONGEST_NAME_WITH_CANDIDATE} letters"
        )
    comparison = Comparison(
        candidate=rollout_of(earlier, spec.anti_fraud),
        candidate_digest=before.digest,
        served=rollout_of(active, spec.anti_fraud),
        served_digest=serving.digest,
        share=1.0,
        several_pods=False,
        probability_offset=round(expected_active - expected_earlier, 4),
    )
    status, found = _status(comparison, reference(earlier, before.digest), expected_earlier, spec, given)
    running = status.verdict == "Running"
    message = found
    if running:
        failed = f"; {status.failed} were not answered by it" if status.failed else ""
        message = f"no rollback yet: {label(earlier)} answers the same pictures: {found}{failed}"
    elif status.verdict == "NoBetter":
        message = f"no rollback (NoBetter): {_no_better(label(earlier), status)}: {CALIBRATE}"
    return Proof(message, earlier, before.digest, comparison if running else None, status)


def _missing(lacking: Model, earlier: Model, history: ServingHistory, before: ServedModel) -> str:
    if not history.is_available(before):
        return (
            f"no rollback: the registry no longer has {label(earlier)}, whose URL has a query that is kept nowhere else"
        )
    return (
        f"no rollback: the registry has no topProbabilityMean of {label(lacking)}, so nothing can prove that "
        f"{label(earlier)} does better: compute its metrics snapshot"
    )


def _status(
    comparison: Comparison, model: ModelRef, expected: float, spec: Spec, given: ProofInput
) -> tuple[ComparisonStatus, str]:
    """Return what the pods have counted, and the verdict; a verdict stays while the comparison is the same."""
    last = given.last if given.last and given.last.run == comparison.run else None
    if last is not None and last.verdict == "NoBetter":
        return last, ""
    if not (given.drift and given.drift.identification_signals):
        # The alarm is only held, because no pod answers: what some of them have counted decides nothing.
        status = last or ComparisonStatus(run=comparison.run, model=model)
        return status, f"{status.pairs} pictures when pods answered last"
    report = pool(comparison.reports(given.pods), comparison.run)
    verdict, found = judge_pairs(report.candidate, expected, spec)
    return ComparisonStatus(
        run=comparison.run,
        model=model,
        pairs=report.candidate.pairs,
        failed=report.failed,
        higher=report.candidate.higher,
        lower=report.candidate.lower,
        verdict=verdict,
    ), found


def _no_better(earlier: str, status: ComparisonStatus) -> str:
    """Return what a comparison has shown, from the status alone: the pods count no pairs any more."""
    counts = f"it is surer of {status.higher} and less sure of {status.lower}"
    if status.higher <= status.lower:
        return f"on {status.pairs} of the same pictures {earlier} does no better, {counts}"
    return (
        f"on {status.pairs} of the same pictures {earlier} does not do enough better, {counts}, and it would drift too "
        "or the difference is too small"
    )


def _expected(history: ServingHistory, model: Model) -> float | None:
    metrics = history.metrics(model)
    return metrics.identification.top_probability_mean if metrics and metrics.identification else None


def judge_pairs(pairs: PairCounts, expected: float, spec: Spec) -> tuple[Verdict, str]:
    """Judge the pairs that both models accept.

    Args:
        pairs: of all pods together.
        expected: the mean probability of the model before on its evaluation set.
        spec: with the bounds of the signal.

    Returns:
        The verdict, and what was found.
    """
    signal = spec.drift.signals.top_probability
    trials = pairs.higher + pairs.lower
    bounds = share_bounds(pairs.higher, trials, alpha=ALPHA)
    surer = f"it is surer of {pairs.higher} of {trials} pictures, as each is expected to be"
    if pairs.both_accepted < signal.min_samples:
        return "Running", f"{pairs.both_accepted} pictures so far, at least {signal.min_samples} are needed"
    drop = expected - pairs.probability_other / (UNIT * pairs.both_accepted)
    recovers = drop < RECOVERY * signal.max_drop
    if bounds.low > _HALF and recovers:
        return "Better", f"{surer}, and its mean probability is {drop:.3f} below its own of {expected:g}"
    if (
        bounds.high < _HALF
        or pairs.both_accepted >= MOST_PAIRS
        or (bounds.low > _HALF and pairs.both_accepted >= MOST_PAIRS // 10)
    ):
        return "NoBetter", surer
    return "Running", f"{surer}; more than half of them, with certainty, are needed"
