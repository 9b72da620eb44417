"""The conditions, after kstatus: kubectl, Helm, Argo CD and Flux wait on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cetacean_operator.api import names
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import LONGEST_MESSAGE, LONGEST_REASON, Condition, Status
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.failures import Failure
from cetacean_operator.decisions.identity import changed_fields, label
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.rollout_state import RolloutState
from cetacean_operator.decisions.stages import Stages, StageState
from cetacean_registry.messages import one_line
from cetacean_registry.urls import redacted


def rollout_conditions(
    *,
    active: Model,
    choice: Choice,
    state: RolloutState,
    failure: Failure | None,
    pending: bool,
    blocked: ConditionState | None,
    unverified: Sequence[str] = (),
) -> dict[str, ConditionState]:
    """Return the conditions about the rollout, by type.

    Args:
        active: the registry's active entry.
        choice: the model that is to serve.
        state: the state compared with it.
        failure: why pods do not get ready.
        pending: True if something is still to be applied.
        blocked: the condition Ready if nothing can be applied.
        unverified: the files that have no digest.
    """
    diverged = _diverged(active, choice)
    ready = _ready(active, choice, state, failure, pending=pending, blocked=blocked, diverged=diverged)
    final = blocked is not None or diverged.status == "True" or (failure is not None and failure.final)
    # A resource that needs a person is Stalled even while other changes go on.
    stalled = ready.status != "True" and final
    reconciling = ready.status != "True" and not final
    return {
        names.READY: ready,
        names.RECONCILING: ready._replace(status="True" if reconciling else "False"),
        names.STALLED: ready._replace(status="True" if stalled else "False"),
        names.AVAILABLE: _available(state),
        names.PROGRESSING: _progressing(state, failure, choice.target),
        names.WEIGHTS_VERIFIED: _weights(choice.target, state, failure, unverified),
        names.GATE_PASSED: choice.gate,
        names.REGISTRY_DIVERGED: diverged,
    }


def add_times(
    found: Mapping[str, ConditionState], last_status: Status, generation: int, at: str
) -> tuple[Condition, ...]:
    """Add times and generation: `lastTransitionTime` moves only with the status.

    Reasons and messages may repeat texts of other controllers, which have no bound: they are cut here.
    """
    conditions = []
    for kind in names.CONDITIONS:
        if (state := found.get(kind)) is None:
            continue
        old = last_status.condition(kind)
        same = old is not None and old.status == state.status
        conditions.append(
            Condition(
                type=kind,
                status=state.status,
                reason=one_line(state.reason, longest=LONGEST_REASON),
                message=one_line(state.message, longest=LONGEST_MESSAGE),
                last_transition_time=old.last_transition_time if old and same else at,
                observed_generation=generation,
            )
        )
    return tuple(conditions)


def invalid_spec(message: str) -> dict[str, ConditionState]:
    """Return the conditions of a resource whose spec cannot be read; its pods go on and are not watched."""
    stalled = ConditionState("True", names.INVALID_SPEC, message)
    return {
        names.READY: stalled._replace(status="False"),
        names.RECONCILING: stalled._replace(status="False"),
        names.STALLED: stalled,
    }


def _diverged(active: Model, choice: Choice) -> ConditionState:
    target = choice.target
    if target is not None and same_model(active, target):
        return ConditionState("False", "InSync", f"the Deployment is to serve what the registry names: {label(target)}")
    serving = "nothing serves"
    if target:
        changed = ", ".join(changed_fields(active, target))
        serving = f"{label(target)} goes on{f' with its former {changed}' if changed else ''}"
    if choice.rollback:
        message = (
            f"the registry names {label(active)}, which was rolled back: {label(target) if target else 'nothing'} "
            f"serves until spec.registry.active names another model, or spec.drift.onAlarm is Alert"
        )
        return ConditionState("True", names.ROLLED_BACK, message)
    if (missing := choice.missing_approval) is not None:
        message = f"the registry names {label(active)}, which waits for approval: {serving}"
        return ConditionState("True", missing.reason, message)
    if choice.stages:
        return _diverged_by_stages(active, choice.stages, serving)
    return ConditionState(
        "True", names.GATE_REFUSED, f"the registry names {label(active)}, which the gate refused: {serving}"
    )


def _diverged_by_stages(active: Model, stages: Stages, serving: str) -> ConditionState:
    if not stages.needs_person:
        message = f"the registry names {label(active)}, which runs its stages: {serving}"
        return ConditionState("False", names.STAGES_RUNNING, message)
    if stages.state is StageState.HELD:
        message = f"the registry names {label(active)}, which waits for a person: {serving}"
        return ConditionState("True", names.CANDIDATE_HELD, message)
    failed = "which did not pass its stages" if stages.shown.stages else "whose rollout passed its progress deadline"
    message = f"the registry names {label(active)}, {failed}: {serving}"
    return ConditionState("True", names.CANDIDATE_RETURNED, message)


def _ready(  # noqa: PLR0911 -- one return for each reason
    active: Model,
    choice: Choice,
    state: RolloutState,
    failure: Failure | None,
    *,
    pending: bool,
    blocked: ConditionState | None,
    diverged: ConditionState,
) -> ConditionState:
    if blocked is not None:
        return blocked
    if diverged.status == "True":
        why = choice.missing_approval or (choice.stages.condition if choice.stages else choice.gate)
        return ConditionState("False", diverged.reason, f"{diverged.message}. {why.message}")
    count = f"{len(state.current)} of {state.wanted} wanted replicas serve {label(choice.target or active)}"
    if state.complete and choice.stages:
        return ConditionState("False", names.STAGES_RUNNING, f"{count}; {choice.stages.condition.message}")
    if state.complete and not pending:
        if state.wanted == 0:
            return ConditionState("True", names.SCALED_TO_ZERO, f"no replica of {label(active)} is wanted")
        digest = next(iter(state.digests))  # a replica is current only if it reports one
        return ConditionState("True", "Serving", f"{count} (sha256:{digest})")
    if failure is not None:
        return ConditionState("False", failure.reason, f"{count}; {failure.message}")
    if state.wrong:
        return ConditionState("False", "WrongModel", f"{count}; {state.wrong[0].message}")
    if len(state.digests) > 1:
        return ConditionState("False", "DigestsDiffer", f"{count}; pods loaded different weights from the same address")
    silent = [pod for pod in state.ready if pod.identity is None]
    if silent and len(state.ready) >= state.wanted:
        error = silent[0].silent or "no answer yet"
        return ConditionState(
            "False", "PodSilent", f"{count}; pod {silent[0].name} does not report what it serves: {error}"
        )
    return ConditionState("False", "RollingOut", count)


def _available(state: RolloutState) -> ConditionState:
    if state.ready:
        return ConditionState("True", "PodsReady", f"{len(state.ready)} of {state.wanted} wanted pods answer")
    if state.wanted == 0:
        return ConditionState("False", names.SCALED_TO_ZERO, "no replica is wanted")
    return ConditionState("False", "NoPodReady", f"none of {state.wanted} wanted pods answers")


def _progressing(state: RolloutState, failure: Failure | None, target: Model | None) -> ConditionState:
    if state.complete:
        return ConditionState(
            "False", "RolloutComplete", f"{len(state.current)} of {state.wanted} replicas are up to date"
        )
    if failure is not None:
        return ConditionState("False", failure.reason, failure.message)
    if target is not None:
        return ConditionState("True", "RollingOut", f"{len(state.current)} of {state.wanted} replicas are up to date")
    return ConditionState("False", "NothingToRollOut", "no model may be served yet")


def _weights(  # noqa: PLR0911 -- one return for each reason
    target: Model | None, state: RolloutState, failure: Failure | None, unverified: Sequence[str]
) -> ConditionState:
    if target is None:
        return ConditionState("Unknown", "NothingServes", "no model may be served yet")
    if failure is not None and failure.reason == "DigestMismatch":
        return ConditionState("False", "DigestMismatch", failure.message)
    wrong = [report for report in state.wrong if report.about_weights]
    if wrong:
        return ConditionState("False", "DigestMismatch", wrong[0].message)
    if len(state.digests) > 1:
        found = ", ".join(f"sha256:{digest}" for digest in sorted(state.digests))
        return ConditionState("False", "DigestsDiffer", f"{redacted(target.weights_url)}: pods loaded {found}")
    if target.sha256 is None and state.digests:
        found = f"the registry names no sha256 for {label(target)}; pods loaded sha256:{next(iter(state.digests))}"
        return ConditionState("Unknown", "NoDigest", found)
    if state.digests:
        loaded = f"{redacted(target.weights_url)}: pods loaded sha256:{target.sha256} as expected"
        if unverified:
            return ConditionState("Unknown", "FilesUnverified", f"{loaded}; no digest for {', '.join(unverified)}")
        return ConditionState("True", "Verified", loaded)
    return ConditionState("Unknown", "NotLoadedYet", f"no pod has loaded {label(target)} yet")
