"""`keepDisagreements` of a shadow: keep the pictures about which the two models disagree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from cetacean_operator.api.base import ApiModel
from cetacean_operator.api.serving import ClaimReference


class KeepDisagreements(ApiModel):
    """The serving pods write the pictures to a volume. Setting or removing it restarts them, to mount the volume."""

    persistent_volume_claim: ClaimReference = Field(
        description="A claim that all serving pods can mount for writing (ReadWriteMany if there are several nodes). "
        "The pictures are in the folder disagreements/NAME, as clients have sent them; who reads the claim reads them."
    )
    max_items: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200,
        description="Most pictures, of all pods together; the oldest are removed first. Their bytes are limited too: "
        "1 GiB, or CETACEAN_SHADOW__KEEP_MAX_BYTES in spec.serving.env.",
    )


def same_claim(found: Iterable[KeepDisagreements]) -> KeepDisagreements | None:
    """Return the first of all shadows' wishes, None without one: pods mount one claim.

    Raises:
        ValueError: they name more than one claim.
    """
    wishes = list(found)
    claims = sorted({one.persistent_volume_claim.claim_name for one in wishes})
    if len(claims) > 1:
        raise ValueError(f"expected the same persistentVolumeClaim in all shadows, got {', '.join(claims)}")
    return wishes[0] if wishes else None
