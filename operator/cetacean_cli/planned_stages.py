"""The stages that a model would run, in words."""

from __future__ import annotations

from cetacean_operator.api.spec import Spec
from cetacean_operator.api.stages import Stage
from cetacean_operator.decisions.canary_pods import candidate_replicas
from cetacean_operator.decisions.stages import Stages

_REPLACED = "the pods are replaced step by step, old ones serve until new ones are ready"


def describe_stages(spec: Spec, stages: Stages | None) -> str:
    """Return the stages before a model serves.

    Args:
        spec: of the resource.
        stages: of the operator's decision; None if it runs none.
    """
    if stages is None:
        skipped = " for this model" if spec.rollout and spec.rollout.stages else ""
        return f"none{skipped}: {_REPLACED}"
    if stages.needs_person:
        return stages.condition.message
    listed = spec.rollout.stages if spec.rollout else ()
    return "; ".join(f"{number}. {_describe(spec, stage)}" for number, stage in enumerate(listed, start=1))


def _describe(spec: Spec, stage: Stage) -> str:
    timeout = f"inconclusive after {stage.timeout_seconds} s"
    pods = candidate_replicas(spec, stage)
    if stage.shadow:
        pictures = stage.shadow.require.pictures
        return f"shadow of {stage.shadow.share:g} of the pictures, at least {pictures}, {pods} pods, {timeout}"
    assert stage.canary is not None  # noqa: S101 -- a stage has one of both
    requests = stage.canary.require.requests
    return f"canary of {stage.canary.weight} % of the requests, at least {requests}, {pods} pods, {timeout}"
