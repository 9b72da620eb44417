"""The condition SignatureVerified, from the reports of the pods' container `fetch`."""

from __future__ import annotations

from cetacean_operator.api import names
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.failures import Failure
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.rollout_state import RolloutState


def judge_signature(target: Model | None, state: RolloutState, failure: Failure | None) -> ConditionState:
    """Return the condition of a resource that asks for signatures.

    Args:
        target: the model that is to serve.
        state: its pods.
        failure: why pods do not get ready.
    """
    if target is None:
        return ConditionState("Unknown", "NothingServes", "no model may be served yet")
    if failure is not None and failure.reason in names.SIGNATURE_REASONS:
        return ConditionState("False", failure.reason, failure.message)
    if not state.current:
        return ConditionState("Unknown", "NotLoadedYet", f"no pod has loaded {label(target)} yet")
    silent = [pod.name for pod in state.current if pod.signature is None]
    reports = sorted(pod.signature.partition(": ")[::2] for pod in state.current if pod.signature is not None)
    if wrong := [(reason, message) for reason, message in reports if reason != names.SIGNATURE_VERIFIED]:
        reason, message = wrong[0]
        return ConditionState(
            "False", reason, f"{message}; served all the same, as spec.serving.signature.require is false"
        )
    if silent:
        count = f"{len(silent)} of {len(state.current)} pods have not verified a signature"
        return ConditionState(
            "Unknown", "NotReported", f"{count}, such as {silent[0]}, which may be older than the spec"
        )
    return ConditionState("True", "Verified", reports[0][1])
