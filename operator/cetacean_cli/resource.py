"""A CetaceanModel as it was read, and the operator's decision about a change of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_operator.api.candidate import parse_decision
from cetacean_operator.api.model_approval import NO_APPROVALS, Approvals
from cetacean_operator.api.names import ANNOTATION_DECISION
from cetacean_operator.api.spec import InvalidResourceError, Model, Spec, parse_spec
from cetacean_operator.api.status import Status, parse_status
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_model
from cetacean_operator.decisions.promotion import ChoiceInput, choose
from cetacean_operator.decisions.rollback_proof import ProofInput
from cetacean_operator.decisions.serving_history import ServingHistory
from cetacean_operator.decisions.stage_input import StageInput
from cetacean_operator.decisions.stages import Stages

_GITOPS_KEYS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}
"""Labels and annotations of the tools that write resources."""
_GITOPS_MANAGERS = {
    "argocd": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
}
"""Field managers, by the start of their name."""


@dataclass(frozen=True, slots=True)
class CetaceanModel:
    """The object as it was read, and its spec and status in types."""

    raw: dict[str, Any]
    spec: Spec
    status: Status

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> CetaceanModel:
        """Read an object of the API server.

        Raises:
            BadInputError: its spec is invalid.
        """
        try:
            return cls(raw, parse_spec(raw.get("spec")), parse_status(raw.get("status")))
        except InvalidResourceError as error:
            meta = raw.get("metadata", {})
            raise BadInputError(f"cetaceanmodel {meta.get('namespace')}/{meta.get('name')}: spec: {error}") from error

    @property
    def subject(self) -> str:
        """Its name in messages."""
        return f"cetaceanmodel {self.raw['metadata']['namespace']}/{self.raw['metadata']['name']}"

    @property
    def generation(self) -> int:
        """The spec's generation."""
        return int(self.raw["metadata"].get("generation", 0))

    @property
    def is_current(self) -> bool:
        """True if the status is about the present spec."""
        return self.status.observed_generation == self.generation

    @property
    def desired_replicas(self) -> int | None:
        """The number of pods that the spec asks for; None if an autoscaler decides."""
        return None if self.spec.serving.autoscaling else self.spec.serving.replicas

    def model(self, name: str) -> Model:
        """Return the registry's entry of that name.

        Raises:
            BadInputError: no model has that name.
        """
        for model in self.spec.registry.models:
            if model.name == name:
                return model
        listed = ", ".join(model.name for model in self.spec.registry.models)
        raise BadInputError(f"{self.subject}: expected one of the models {listed}, got {name!r}")

    def previous_model(self) -> str:
        """Return the name of the last model in the history that is not active and is still in the registry.

        Raises:
            RefusedError: the history has no such model.
        """
        active = self.spec.registry.active
        listed = {model.name for model in self.spec.registry.models}
        removed = []
        for entry in self.status.history:
            if entry.model == active:
                continue
            if entry.model in listed:
                return entry.model
            removed.append(entry.model)
        more = f"; no longer in spec.registry.models: {', '.join(dict.fromkeys(removed))}" if removed else ""
        raise RefusedError(f"{self.subject}: its history has no model before {active}{more}; name one with --to")

    def managers(self) -> tuple[str, ...]:
        """Return the other tools that write the spec: Argo CD, Flux, Helm."""
        meta = self.raw["metadata"]
        keys = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
        found = [name for key, name in _GITOPS_KEYS.items() if key in keys]
        owners = [
            item.get("manager", "") for item in meta.get("managedFields") or () if "f:spec" in item.get("fieldsV1", {})
        ]
        found += [
            name
            for owner in owners
            for begin, name in _GITOPS_MANAGERS.items()
            if owner.split("/")[0].startswith(begin)
        ]
        return tuple(dict.fromkeys(found))

    def warnings(self, field: str) -> tuple[str, ...]:
        """Return a warning for each tool that will overwrite `field`."""
        return tuple(
            f"{name} manages {self.subject} and will overwrite {field}: make the same change in its source"
            for name in self.managers()
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """The operator's decision about a model, before it is made active."""

    allowed: bool
    reason: str
    """`GatePassed`, `ServedBefore`, `GateRefused`, `ApprovalMissing`, …"""
    message: str
    gate: ConditionState
    """The condition GatePassed as it would be."""
    approved: ConditionState | None
    """The condition Approved as it would be; None if no approval is needed."""
    stages: Stages | None
    """The stages that it would run first; None if it would run none."""


def forecast(
    resource: CetaceanModel,
    name: str,
    *,
    approvals: Approvals = NO_APPROVALS,
    now: datetime | None = None,
) -> Forecast:
    """Apply the operator's own rule as if the model `name` were active.

    Args:
        resource: the CetaceanModel as it was read.
        name: the model's.
        approvals: those of the resource.
        now: the time of the decision; None: the present.

    Raises:
        BadInputError: the registry has no such model.
    """
    candidate = resource.model(name)
    registry = resource.spec.registry.model_copy(update={"active": name})
    spec = resource.spec.model_copy(update={"registry": registry})
    status = resource.status
    choice = choose(
        ChoiceInput(
            spec=spec,
            history=ServingHistory(status, status.served, spec.registry.models),
            deployed=None,  # the status names the last rollout
            proof=ProofInput(resource.raw["metadata"]["name"], drift=None, pods=(), last=None),
            staged=StageInput(
                resource.raw["metadata"]["name"],
                now or datetime.now(UTC),
                wanted=resource.desired_replicas or 1,
                decision=parse_decision((resource.raw["metadata"].get("annotations") or {}).get(ANNOTATION_DECISION)),
            ),
            approvals=approvals,
        )
    )
    stages = choice.stages
    stopped = stages.condition if stages and stages.needs_person else None
    _, reason, message = choice.missing_approval or stopped or choice.gate
    is_chosen = choice.target is not None and same_model(choice.target, candidate)
    begins = stages is not None and stopped is None and choice.missing_approval is None
    return Forecast(is_chosen or begins, reason, message, choice.gate, choice.approved, stages)


def last_served(resource: CetaceanModel, *, other_than: Model) -> Model | None:
    """Return the model whose version decides the type of a release, None if no other has served."""
    status = resource.status
    history = ServingHistory(status, status.served, resource.spec.registry.models)
    item = history.last_served(other_than=other_than)
    return history.current_entry(item) if item else None


def describe(model: Model) -> str:
    """Return a model's name, version and digest as people read them."""
    return f"{label(model)} ({digest(model.sha256)})"


def digest(sha256: str | None) -> str:
    """Return a digest as people read it."""
    return f"sha256:{sha256[:12]}…" if sha256 else "no sha256"
