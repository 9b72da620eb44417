"""The condition CandidatePassed of a resource with spec.rollout.stages, or with a rollout that was taken back."""

from __future__ import annotations

from cetacean_operator.api.spec import Spec
from cetacean_operator.api.status import HistoryEntry
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.stages import AGREES, PROMOTED


def candidate_condition(spec: Spec, choice: Choice, history: tuple[HistoryEntry, ...]) -> ConditionState | None:
    """Return the condition, about the active model; None without stages, unless its rollout was taken back.

    Args:
        spec: with the stages.
        choice: with the state of the candidate, if there is one.
        history: promotions, newest first, with the choice's own.
    """
    if choice.stages:
        return choice.stages.condition
    if spec.rollout is None or not spec.rollout.stages:
        return None
    active = spec.registry.active_model
    promoted = next((entry for entry in history[:1] if same_model(entry, active)), None)
    if promoted and promoted.decision:
        message = f"{label(active)}: {promoted.decision.by} promoted it at {promoted.at}"
        return ConditionState("True", PROMOTED, message)
    if promoted and promoted.stages:
        message = f"{label(active)} passed {len(promoted.stages)} stages and was promoted at {promoted.at}"
        return ConditionState("True", AGREES, message)
    return ConditionState("Unknown", "NoCandidate", "the active model runs no stages")
