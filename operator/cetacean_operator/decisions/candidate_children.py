"""The children of a candidate: its Deployment and Service `N-candidate`, and who may reach its pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import Spec
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.identity import Rollout
from cetacean_operator.decisions.model_service import selector, service
from cetacean_operator.decisions.network import admit, clients, operator_pods, own_pods
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.stages import CandidateRun
from cetacean_operator.decisions.template import change_cause, pod_template


@dataclass(frozen=True, slots=True)
class CandidatePart:
    """The differences between one candidate and another."""

    rollout: Rollout
    replicas: int = 1
    record: str | None = None
    """The annotation of `stage_record`; None for the model before, which drift compares."""
    resources: dict[str, Any] | None = None
    """None for those of spec.serving."""
    admits_clients: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """The model beside what serves: one that drift compares, or one that runs stages."""

    comparison: Comparison | None = None
    """The model before, which drift compares with what serves."""
    staged: CandidateRun | None = None
    route_weight: int | None = None
    """Percent of the requests that the HTTPRoute gives to its Service; None if it must not name that Service."""

    @property
    def asked(self) -> Comparison | None:
        """The pictures that serving pods copy to it, None for none."""
        return self.comparison or (self.staged.comparison if self.staged else None)

    @property
    def is_canary(self) -> bool:
        """True while it gets a share of the clients' requests."""
        return self.staged is not None and self.staged.canary is not None

    def part(self, spec: Spec) -> CandidatePart | None:
        """Return what its children are made of, None if it has no pods."""
        if self.comparison:
            return CandidatePart(self.comparison.candidate)
        return _staged_part(spec, self.staged) if self.staged else None


def _staged_part(spec: Spec, run: CandidateRun) -> CandidatePart:
    """Return the part of a candidate that runs stages."""
    return CandidatePart(
        rollout=run.rollout,
        replicas=run.replicas,
        record=run.record.text(),
        resources=spec.rollout.candidate.resources if spec.rollout else None,
        admits_clients=run.admits_clients,
    )


def candidate_bodies(name: str, serving: Serving, part: CandidatePart, operator_namespace: str) -> dict[Ref, Object]:
    """Return the children of a candidate; only the resource's own pods may reach it, unless it answers clients."""
    child, labels = names.candidate_name(name), selector(names.candidate_label(name))
    own = serving.model_copy(update={"resources": part.resources}) if part.resources else serving
    annotations = {names.ANNOTATION_CHANGE_CAUSE: change_cause(part.rollout)}
    if part.record is not None:
        annotations[names.ANNOTATION_STAGES] = part.record
    spec = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 1,
        "progressDeadlineSeconds": serving.progress_deadline_seconds,
        "paused": False,
        "replicas": part.replicas,
        "template": pod_template(name=name, serving=own, rollout=part.rollout, candidate=True),
    }
    bodies: dict[Ref, Object] = {
        ("Deployment", child): {"metadata": {"annotations": annotations}, "spec": spec},
        ("Service", child): service(labels),
    }
    if serving.network_policy and serving.network_policy.enabled:
        others = clients(serving, operator_namespace) if part.admits_clients else [operator_pods(operator_namespace)]
        bodies["NetworkPolicy", child] = admit(labels, [own_pods(name), *others])
    return bodies
