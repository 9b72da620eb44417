"""`spec.approval`: what each type of release needs before its first pod may start. The defaults are the playbook's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cetacean_operator.api.base import ATOMIC, ApiModel, filled

VersionChange = Literal["Patch", "Minor", "Major"]
ReleaseType = Literal["Patch", "Minor", "Major", "Hotfix"]
_Approvals = Annotated[int, Field(ge=0, le=10)]
_Figures = Literal["Optional", "Required"]
_APPROVALS = "Number of persons who must have reviewed the release (ModelApprovals of the kind Review)."
_FIGURES = (
    "Required: the registry entry names its metrics snapshot, the evaluation set and its size, so that the figures can "
    "be traced. The gate judges the figures in any case."
)
_QA = "True: one person must have tested the release by hand (a ModelApproval of the kind QA)."


class Requirement(ApiModel):
    """The requirement of a type of release."""

    approvals: _Approvals = Field(default=1, description=_APPROVALS)
    metrics: _Figures = Field(default="Optional", description=_FIGURES)
    qa: bool = Field(default=False, description=_QA)


class MinorRequirement(Requirement):
    """The requirement of a minor release."""

    metrics: _Figures = Field(default="Required", description=_FIGURES)


class MajorRequirement(Requirement):
    """The requirement of a major release."""

    approvals: _Approvals = Field(default=2, description=_APPROVALS)
    metrics: _Figures = Field(default="Required", description=_FIGURES)
    qa: bool = Field(default=True, description=_QA)


class HotfixRequirement(Requirement):
    """The requirement of a hotfix, and until when it must be reviewed."""

    skip: Annotated[tuple[Literal["Gate", "Stages"], ...], Field(max_length=8, json_schema_extra=ATOMIC)] = Field(
        default=(),
        description="Gate: a hotfix is promoted without a comparison of its figures. Stages: without the stages of "
        "spec.rollout.",
    )
    review_within_seconds: int = Field(
        default=24 * 3600,
        ge=1,
        le=365 * 24 * 3600,
        description="Seconds after the promotion until which the hotfix must have what its version asks for.",
    )


class ApprovalPolicy(ApiModel):
    """Who must approve a model that has never served. Absent: nobody. A rollback never waits."""

    patch: Requirement = Field(
        default_factory=Requirement,
        description="If only the third number of the version differs, or none.",
        json_schema_extra=filled(Requirement()),
    )
    minor: MinorRequirement = Field(
        default_factory=MinorRequirement,
        description="If the second number of the version differs.",
        json_schema_extra=filled(MinorRequirement()),
    )
    major: MajorRequirement = Field(
        default_factory=MajorRequirement,
        description="If the first number of the version or the architecture differs, or if no model has served yet.",
        json_schema_extra=filled(MajorRequirement()),
    )
    hotfix: HotfixRequirement = Field(
        default_factory=HotfixRequirement,
        description="If the registry entry has `hotfix: true` and another model has served.",
        json_schema_extra=filled(HotfixRequirement()),
    )
    exclude_author: bool = Field(
        default=False, description="True: the `author` of the registry entry cannot approve it; every entry needs one."
    )

    shadow_first: bool = Field(
        default=False,
        description="True: the shadow stages at the beginning of spec.rollout.stages may run before the approvals are "
        "given, so that persons see their figures. A canary never begins before.",
    )

    def requirement(self, release: ReleaseType) -> Requirement:
        """Return what a type of release needs."""
        return {"Patch": self.patch, "Minor": self.minor, "Major": self.major, "Hotfix": self.hotfix}[release]
