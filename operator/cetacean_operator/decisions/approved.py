"""The condition Approved of a resource with spec.approval."""

from __future__ import annotations

from cetacean_operator.api import names
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HistoryEntry
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.promotion import SERVED_BEFORE, Choice


def approved_condition(active: Model, choice: Choice, history: tuple[HistoryEntry, ...]) -> ConditionState:
    """Return the condition, about the active model.

    Args:
        active: the registry's active entry.
        choice: with the verdict about it, if it has never served.
        history: promotions, newest first, with the choice's own.
    """
    promoted = next((entry for entry in history[:1] if same_model(entry, active)), None)
    if promoted and promoted.release:
        given = ", ".join(f"{item.kind} by {item.approver}" for item in promoted.release.approvals)
        release = f"a {promoted.release.type.lower()} release"
        message = f"{label(active)} was promoted as {release} at {promoted.at}; given: {given or 'no approval'}"
        return ConditionState("True", names.APPROVED, message)
    if choice.approved is not None:
        return choice.approved
    if choice.rollback or (promoted and promoted.reason == SERVED_BEFORE):
        return ConditionState("True", SERVED_BEFORE, f"{label(active)} has served before: it needs no approval")
    message = f"{label(active)} was rolled out without an approval, and goes on"
    return ConditionState("True", "PromotedBefore", message)
