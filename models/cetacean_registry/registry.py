"""`models/registry.json`: the models, and the name of the active one.

The same types read the file (snake_case) and, by their aliases, its mirror in a CetaceanModel (camelCase).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from cetacean_registry.companions import COMPANION_FILES, FileDigests, Sha256
from cetacean_registry.documents import Document
from cetacean_registry.patterns import NAME_PATTERN, SEMVER_PATTERN
from cetacean_registry.urls import LONGEST_URL
from cetacean_registry.weights_schemes import NAMES, URL_PATTERN

SemVer = Annotated[str, Field(pattern=SEMVER_PATTERN, max_length=64)]
ModelName = Annotated[str, Field(pattern=NAME_PATTERN, min_length=1, max_length=63)]
WeightsUrl = Annotated[str, Field(pattern=URL_PATTERN, max_length=LONGEST_URL)]
Path_ = Annotated[str, Field(max_length=1024)]
Text = Annotated[str, Field(max_length=4096)]
ShortText = Annotated[str, Field(max_length=253)]
Count = Annotated[int, Field(ge=1, le=100_000_000)]


class ModelEntry(BaseModel):
    """One model of the registry: the URL and the digest of its weights, and its version."""

    model_config = ConfigDict(
        frozen=True, extra="allow", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    name: ModelName = Field(description="Unique name, the one `active` refers to.")
    display_name: ShortText | None = Field(default=None, description="Name for people.")
    version: SemVer = Field(description="Semantic version, the `model_version` of every answer.")
    architecture: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Model class the checkpoint belongs to, e.g. CetaceanIdentificationModel."
    )
    weights_url: WeightsUrl = Field(
        description=f"Where the checkpoint is ({', '.join(NAMES)}); beside it lie {' and '.join(COMPANION_FILES)}."
    )
    sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the checkpoint, 64 hex digits. Null: what is downloaded cannot be verified.",
    )
    trained_at: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="Date or time of training, ISO 8601."
    )
    metrics_snapshot: Path_ | None = Field(
        default=None, description="Path of the metrics snapshot, relative to the repository's root."
    )
    weights_path: Path_ | None = Field(default=None, description="Path of the weights on a developer's disk.")
    backbone: Annotated[str, Field(min_length=1, max_length=253)] | None = Field(
        default=None, description="timm name of the backbone."
    )
    embedding_size: Count | None = Field(default=None, description="Length of the embedding.")
    num_classes_head: Count | None = Field(default=None, description="Rows of the ArcFace head.")
    num_classes_active: Count | None = Field(
        default=None, description="The first rows of the head that stand for known individuals."
    )
    input_size: Count | None = Field(default=None, description="Width and height of the input, pixels.")
    license: ShortText | None = Field(default=None, description="Licence of the weights.")
    notes: Text | None = Field(default=None, description="Remarks for people.")
    deprecated: bool | None = Field(default=None, description="True: kept for reference, not to be promoted.")
    files: FileDigests | None = Field(
        default=None,
        description="SHA-256 of the files beside the checkpoint by their names, 64 hex digits each. A file without one "
        "cannot be verified.",
    )
    signature_url: WeightsUrl | None = Field(
        default=None,
        description="Where the signature of these files is (OpenSSF Model Signing); by default at the checkpoint's URL "
        "with .sig, else in model.sig beside it.",
    )
    author: ShortText | None = Field(
        default=None, description="User name, as the cluster knows it, of who wrote the entry; see spec.approval."
    )
    hotfix: bool | None = Field(
        default=None, description="True: released under the rules of spec.approval.hotfix, and reviewed afterwards."
    )

    prefetch: bool | None = Field(
        default=None,
        description="True: its weights are downloaded before it is active; see spec.serving.prefetch.",
    )

    @model_validator(mode="after")
    def _active_classes_fit_the_head(self) -> Self:
        if self.num_classes_head and self.num_classes_active and self.num_classes_active > self.num_classes_head:
            msg = (
                f"num_classes_active must be at most num_classes_head ({self.num_classes_head}), "
                f"got {self.num_classes_active}"
            )
            raise ValueError(msg)
        return self


class Registry(Document):
    """All models and the active one. Unknown keys are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    schema_version: Annotated[str, Field(pattern=r"^1\.[0-9]+$")] = "1.0"
    active: ModelName
    models: tuple[ModelEntry, ...]

    @model_validator(mode="after")
    def _names_are_consistent(self) -> Self:
        check_names(self.active, [entry.name for entry in self.models])
        return self

    @property
    def active_model(self) -> ModelEntry:
        """The entry that `active` names."""
        return self.model(self.active)

    def model(self, name: str) -> ModelEntry:
        """Return the entry of that name.

        Raises:
            KeyError: no entry has that name.
        """
        for entry in self.models:
            if entry.name == name:
                return entry
        raise KeyError(name)


def check_names(active: str, names: list[str]) -> None:
    """Check that names are unique and that `active` is one of them.

    Raises:
        ValueError: a name is not unique, or `active` is none of the names.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ValueError(f"models: names must be unique, more than once: {', '.join(twice)}")
    if active not in names:
        raise ValueError(f"active: {active!r} is none of the models: {', '.join(names)}")
