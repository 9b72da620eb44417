"""Third step of a decision: the children that must exist, how the live ones differ, and which of them to delete."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from cetacean_operator.api import names
from cetacean_operator.api.kinds import CRD_CHILD_KINDS
from cetacean_operator.api.observed import Object
from cetacean_operator.api.status import Status
from cetacean_operator.decisions.assess import Assessment
from cetacean_operator.decisions.candidate_children import Candidate
from cetacean_operator.decisions.candidate_share import candidate_share, may_lead_to
from cetacean_operator.decisions.children import children, finished
from cetacean_operator.decisions.compare import differences
from cetacean_operator.decisions.identity import Rollout, deployed_rollout, rollout_of
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.plan import ChildRef
from cetacean_operator.decisions.prefetch import Prefetch
from cetacean_operator.decisions.promotion import Choice
from cetacean_operator.decisions.promotion_record import write_promotion_record
from cetacean_operator.decisions.rollout_state import rollout_state
from cetacean_operator.decisions.stage_record import runs_stages
from cetacean_operator.decisions.stages import CandidateRun


@dataclass(frozen=True, slots=True)
class DesiredChildren:
    """Manifests beside the live objects."""

    rollout: Rollout | None = None
    """What the pods are to serve, None if no model may be served yet."""
    manifests: Mapping[Ref, Object] = field(default_factory=dict)
    differences: Mapping[Ref, tuple[str, ...]] = field(default_factory=dict)
    """Paths at which a live object is not as its manifest says; only for manifests that must be applied."""
    stale: tuple[ChildRef, ...] = ()
    """Live children that must be deleted."""

    @property
    def changed(self) -> tuple[Object, ...]:
        """Manifests that must be applied."""
        return tuple(manifest for ref, manifest in self.manifests.items() if ref in self.differences)


def desired_children(
    assessment: Assessment, choice: Choice, next_status: Status, prefetch: Prefetch
) -> DesiredChildren:
    """Return the children for the chosen model, and for the one that is compared with it.

    Args:
        assessment: with the live children.
        choice: the chosen model; without one nothing but Jobs is applied or deleted.
        next_status: with the history that the Deployment must record.
        prefetch: the Jobs that fetch weights.
    """
    jobs = finished(assessment.resource, prefetch.jobs)
    if choice.target is None:
        live = {ref: child for ref, child in assessment.children.items() if ref[0] == "Job"}
        return DesiredChildren(
            manifests=jobs, differences=_differences(jobs, live), stale=_stale_children(live, _kept(assessment, jobs))
        )
    rollout = rollout_of(choice.target, assessment.spec.anti_fraud)
    routed = _routed_candidate(assessment)
    run = choice.stages.run if choice.stages else None
    manifests = jobs | _without_replaced_candidate(
        assessment,
        children(
            assessment.resource,
            assessment.spec,
            rollout,
            served_kinds=assessment.observed.served_kinds,
            operator_namespace=assessment.observed.operator_namespace,
            candidate=Candidate(
                comparison=choice.comparison,
                staged=replace(run, is_routed=routed is not None) if run else None,
                route_weight=_route_weight(assessment, run),
            ),
            promotion=write_promotion_record(next_status, assessment.last_status, assessment.deployment),
        ),
    )
    return DesiredChildren(
        rollout=rollout,
        manifests=manifests,
        differences=_differences(manifests, assessment.children),
        stale=_stale_children(
            assessment.children,
            _kept(assessment, manifests),
            not_served=CRD_CHILD_KINDS - assessment.observed.served_kinds,
            candidate=_promoted_candidate(assessment, rollout) or routed,
        ),
    )


def _differences(manifests: Mapping[Ref, Object], live: Mapping[Ref, Object]) -> dict[Ref, tuple[str, ...]]:
    found = {ref: tuple(differences(manifest, live.get(ref))) for ref, manifest in manifests.items()}
    return {ref: paths for ref, paths in found.items() if paths}


def _kept(assessment: Assessment, manifests: Mapping[Ref, Object]) -> Mapping[Ref, Object]:
    return {} if _must_withdraw(assessment) else manifests


def _without_replaced_candidate(assessment: Assessment, manifests: dict[Ref, Object]) -> dict[Ref, Object]:
    """Leave out the candidate's Deployment while the live one runs another candidate: that one is deleted first.

    If one replaced the other in place, pods of both would have the same labels, and clients of a canary could reach the
    new one.
    """
    ref = ("Deployment", names.candidate_name(assessment.resource.name))
    wanted, live = manifests.get(ref), assessment.children.get(ref)
    if wanted is None or live is None or deployed_rollout(live) == deployed_rollout(wanted):
        return manifests
    return {other: manifest for other, manifest in manifests.items() if other != ref}


def _promoted_candidate(assessment: Assessment, rollout: Rollout) -> str | None:
    """Return the name of a candidate's children that stay until the Deployment has replaced all its pods by it."""
    live = assessment.candidate_deployment
    if live is None or not runs_stages(live) or deployed_rollout(live) != rollout.id:
        return None
    is_complete = rollout_state(assessment.current_state, rollout).complete
    return None if is_complete else names.candidate_name(assessment.resource.name)


def _route_weight(assessment: Assessment, run: CandidateRun | None) -> int | None:
    candidate, route = _candidate_and_route(assessment)
    exists = ("Service", candidate) in assessment.children
    return candidate_share(run.routed_share if run else None, candidate, route, exists=exists)


def _routed_candidate(assessment: Assessment) -> str | None:
    """Return the name of a candidate's children that stay until no Gateway sends clients there any more.

    Otherwise clients would get 503 until the Gateway has read the HTTPRoute without the candidate.
    """
    candidate, route = _candidate_and_route(assessment)
    # A Gateway that never reports again keeps a candidate only as long as the spec has the route.
    is_routed = assessment.spec.serving.route is not None and "HTTPRoute" in assessment.observed.served_kinds
    return candidate if is_routed and may_lead_to(candidate, route) else None


def _candidate_and_route(assessment: Assessment) -> tuple[str, Object | None]:
    """Return the name of a candidate's children, and the live HTTPRoute."""
    name = assessment.resource.name
    return names.candidate_name(name), assessment.children.get(("HTTPRoute", name))


def _must_withdraw(assessment: Assessment) -> bool:
    """Return true if a resource whose name is taken has never served: then nothing of it is left beside that object."""
    never_served = not assessment.history.served and not assessment.current_state.ready
    return assessment.observed.name_conflict is not None and never_served


def _stale_children(
    live: Mapping[Ref, Object],
    manifests: Mapping[Ref, Object],
    *,
    not_served: Collection[str] = (),
    candidate: str | None = None,
) -> tuple[ChildRef, ...]:
    # A kind that is not served is gone with its CRD, or the API server has just started and does not know it yet.
    kept = {ref for ref in live if ref in manifests or ref[0] in not_served or ref[1] == candidate}
    return tuple(
        ChildRef(*ref, child["metadata"]["uid"])
        for ref, child in sorted(live.items())
        if ref not in kept and "deletionTimestamp" not in child["metadata"]
    )
