"""`spec.serving.signature`: whose signature of the weights counts."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import ATOMIC, ApiModel, rules

_NOBODY = "expected keys or certificates, got neither"


class ConfigMapKeyReference(ApiModel):
    """One key of a ConfigMap in the resource's own namespace."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)] = Field(
        description="The ConfigMap's name."
    )
    key: Annotated[str, Field(pattern=r"^[-_a-zA-Z0-9][-._a-zA-Z0-9]*$", max_length=253)] = Field(
        description="The key in its data."
    )


class Trusted(ApiModel):
    """A trusted key, or trusted certificates."""

    config_map_key_ref: ConfigMapKeyReference = Field(description="Where it is, in PEM.")


Many = Annotated[tuple[Trusted, ...], Field(max_length=16, json_schema_extra=ATOMIC)]


class Signature(ApiModel):
    """The signature of the weights (OpenSSF Model Signing), which the container `fetch` verifies without a network."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(has(self.keys) && size(self.keys) > 0) || (has(self.certificates) && size(self.certificates) > 0)",
                _NOBODY,
            )
        )
    )

    require: bool = Field(
        default=True,
        description="False: a missing or wrong signature is reported in the condition SignatureVerified, and served.",
    )
    keys: Many = Field(
        default=(), description="Trusted public keys on P-256, P-384 or P-521 (method key); one of them is enough."
    )
    certificates: Many = Field(
        default=(),
        description="Trusted certificates (method certificate). A signature counts if it is by a certificate for code "
        "signing that one of them has issued, directly or by others, while all of these are valid.",
    )

    @model_validator(mode="after")
    def _somebody_is_trusted(self) -> Self:
        if not (self.keys or self.certificates):
            raise ValueError(_NOBODY)
        return self
