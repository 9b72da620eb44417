"""The kind ModelApproval: one person approves one model for one CetaceanModel. It cannot be changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from cetacean_operator.api.base import ApiModel, rules
from cetacean_registry.companions import Sha256
from cetacean_registry.registry import ModelName

APPROVAL_KIND: Final = "ModelApproval"
APPROVAL_PLURAL: Final = "modelapprovals"
ApprovalKind = Literal["Review", "QA", "Override"]
ApproverName = Annotated[str, Field(min_length=1, max_length=253)]
EvidenceUrl = Annotated[str, Field(pattern=r"^https?://[^\s]+$", max_length=2048)]
Reason = Annotated[str, Field(min_length=1, max_length=1024)]
_OVERRIDE_NEEDS_REASON = "an approval of the kind Override needs a reason"


class ModelApprovalSpec(ApiModel):
    """Who approves which model, for which CetaceanModel."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self == oldSelf", "cannot be changed: delete the approval and create another one"),
            ("self.kind != 'Override' || has(self.reason)", _OVERRIDE_NEEDS_REASON),
        )
    )

    resource: Annotated[str, Field(min_length=1, max_length=63)] = Field(
        description="Name of the CetaceanModel, in the same namespace."
    )
    candidate: ModelName = Field(description="Name of the model in spec.registry.models.")
    digest: Sha256 = Field(description="SHA-256 of the weights that are approved; other weights need other approvals.")
    definition: Sha256 | None = Field(
        default=None,
        description="Digest of how the weights are used, as in status.active.definition; another one needs other "
        "approvals. `cetacean approve` writes it. If it is absent, the weights are approved however they are used.",
    )
    kind: ApprovalKind = Field(
        default="Review",
        description=(
            "Review: the change was read. QA: the model was tested by hand. Override: a person answers for what is "
            "missing of spec.approval; the gate is judged all the same."
        ),
    )
    approver: ApproverName = Field(
        description="User name of who approves. Only the chart's admission policy makes sure that it is who creates it."
    )
    evidence: EvidenceUrl | None = Field(
        default=None, description="URL of what the decision is based on: a review, a run of CI, a test report."
    )
    reason: Reason | None = Field(default=None, description="Why, for people; an Override needs it.")

    @model_validator(mode="after")
    def _override_has_a_reason(self) -> Self:
        if self.kind == "Override" and self.reason is None:
            raise ValueError(_OVERRIDE_NEEDS_REASON)
        return self


@dataclass(frozen=True, slots=True)
class Approval:
    """A ModelApproval as the API server has it."""

    name: str
    at: str
    """When it was created."""
    spec: ModelApprovalSpec


@dataclass(frozen=True, slots=True)
class Approvals:
    """All ModelApprovals of one CetaceanModel."""

    given: tuple[Approval, ...] = ()
    unreadable: str | None = None
    """Why they cannot be read, None if they can."""


NO_APPROVALS: Final = Approvals()


def approval_name(spec: ModelApprovalSpec) -> str:
    """Return the object's name: one for each resource, candidate, digest, definition, kind and person.

    The chart's admission policy asks for the same name. Characters that names cannot have become `-`.
    """
    model = (_label(spec.candidate), spec.digest[:12], *([spec.definition[:12]] if spec.definition else ()))
    return ".".join((spec.resource, *model, spec.kind.lower(), _label(spec.approver)))


def _label(text: str) -> str:
    # `str.lower` turns some letters that are not ASCII into ones that are.
    ascii_lower = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    return "-".join(re.findall("[a-z0-9]+", ascii_lower))


def parse_approvals(objects: Iterable[Mapping[str, Any]]) -> tuple[Approval, ...]:
    """Read ModelApprovals, oldest first; one that an older CRD has accepted and that cannot be read does not count."""
    found = []
    for obj in objects:
        meta = obj["metadata"]
        try:
            spec = ModelApprovalSpec.model_validate(obj.get("spec"), by_name=False)
        except ValidationError:
            continue
        found.append(Approval(str(meta["name"]), str(meta.get("creationTimestamp") or ""), spec))
    return tuple(sorted(found, key=lambda approval: (approval.at, approval.name)))
