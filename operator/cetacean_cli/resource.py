"""A CetaceanModel as it was read, and what the operator would decide of another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_operator.api.spec import InvalidResourceError, Model, Spec, parse_spec
from cetacean_operator.api.status import Condition, Status, parse_status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.identity import label
from cetacean_operator.decisions.lineage import same_weights
from cetacean_operator.decisions.promotion import choose
from cetacean_operator.decisions.serving_history import ServingHistory

_GITOPS_KEYS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "meta.helm.sh/release-name": "Helm",
}
"""Labels and annotations that say who writes the resource."""
_GITOPS_MANAGERS = {
    "argocd": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
}
"""Field managers, by how their name begins."""


@dataclass(frozen=True, slots=True)
class CetaceanModel:
    """Spec and status in types, beside what else the object holds."""

    raw: dict[str, Any]
    spec: Spec
    status: Status

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> CetaceanModel:
        """Read an object of the API server.

        Raises:
            BadInputError: its spec cannot be read.
        """
        try:
            return cls(raw, parse_spec(raw.get("spec")), parse_status(raw.get("status")))
        except InvalidResourceError as error:
            meta = raw.get("metadata", {})
            raise BadInputError(f"cetaceanmodel {meta.get('namespace')}/{meta.get('name')}: spec: {error}") from error

    @property
    def subject(self) -> str:
        """What it is called in messages."""
        return f"cetaceanmodel {self.raw['metadata']['namespace']}/{self.raw['metadata']['name']}"

    @property
    def generation(self) -> int:
        """Of the spec."""
        return int(self.raw["metadata"].get("generation", 0))

    @property
    def seen(self) -> bool:
        """Whether the status is about the present spec."""
        return self.status.observed_generation == self.generation

    @property
    def wanted(self) -> int | None:
        """Wanted pods; None where an autoscaler decides."""
        return None if self.spec.serving.autoscaling else self.spec.serving.replicas

    def condition(self, kind: str) -> Condition | None:
        """Return a condition, whichever generation it is about."""
        return self.status.condition(kind)

    def model(self, name: str) -> Model:
        """Return the registry's entry of that name.

        Raises:
            BadInputError: there is none.
        """
        for model in self.spec.registry.models:
            if model.name == name:
                return model
        listed = ", ".join(model.name for model in self.spec.registry.models)
        raise BadInputError(f"{self.subject}: expected one of the models {listed}, got {name!r}")

    def before(self) -> str:
        """Return the name of the model that was promoted before the active one, and is still listed.

        Raises:
            RefusedError: none is known.
        """
        active = self.spec.registry.active
        listed = {model.name for model in self.spec.registry.models}
        gone = []
        for entry in self.status.history:
            if entry.model == active:
                continue
            if entry.model in listed:
                return entry.model
            gone.append(entry.model)
        told = f"; no longer in spec.registry.models: {', '.join(dict.fromkeys(gone))}" if gone else ""
        raise RefusedError(f"{self.subject}: its history names no model before {active}{told}; say which with --to")

    def managers(self) -> tuple[str, ...]:
        """Return who else writes the spec: Argo CD, Flux, Helm."""
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
        """Return what to say where someone else will put `field` back."""
        return tuple(
            f"{name} manages {self.subject} and will put {field} back: make the same change where it reads from"
            for name in self.managers()
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the operator will decide."""

    allowed: bool
    reason: str
    """`GatePassed`, `ServedBefore`, `GateRefused`, …"""
    message: str


def forecast(resource: CetaceanModel, name: str, now: datetime | None = None) -> Forecast:
    """Ask the operator's own rule what it would do were `name` active.

    Args:
        resource: as it is.
        name: of the model.
        now: the time; the clock's when None.

    Raises:
        BadInputError: there is no such model.
    """
    candidate = resource.model(name)
    registry = resource.spec.registry.model_copy(update={"active": name})
    spec = resource.spec.model_copy(update={"registry": registry})
    status = resource.status
    choice = choose(
        spec=spec,
        history=ServingHistory(status, status.served, spec.registry.models),
        deployed=None,  # the status says what was rolled out last
        drift=None,
        at=timestamp(now or datetime.now(UTC)),
    )
    _, reason, message = choice.gate
    allowed = choice.target is not None and same_weights(choice.target, candidate)
    return Forecast(allowed, reason, message)


def describe(model: Model) -> str:
    """Name, version and digest for people."""
    return f"{label(model)} ({digest(model.sha256)})"


def digest(sha256: str | None) -> str:
    """A digest for people."""
    return f"sha256:{sha256[:12]}…" if sha256 else "no sha256"
