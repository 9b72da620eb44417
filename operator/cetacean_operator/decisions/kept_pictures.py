"""The volume for pictures about which two models disagree: only the serving pods mount it, and only if asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cetacean_operator.api.keep_disagreements import KeepDisagreements

FOLDER_VARIABLE: Final = "CETACEAN_SHADOW__KEEP_FOLDER"
_VOLUME: Final = "disagreements"
_PATH: Final = "/var/lib/cetacean"


@dataclass(frozen=True, slots=True)
class KeptPictures:
    """The parts of a pod spec; all are empty if no pictures are kept, and the template is as without them."""

    volumes: tuple[dict[str, Any], ...] = ()
    mounts: tuple[dict[str, Any], ...] = ()
    """Of the main container."""
    env: dict[str, str] = field(default_factory=dict)
    """Of the main container."""


def kept_pictures(name: str, wanted: KeepDisagreements | None) -> KeptPictures:
    """Return the parts for the pods that serve the resource `name`.

    The number of pictures is not among them: it is in the plan that pods read again, so changing it restarts none.
    """
    if wanted is None:
        return KeptPictures()
    claim = {"claimName": wanted.persistent_volume_claim.claim_name}
    return KeptPictures(
        volumes=({"name": _VOLUME, "persistentVolumeClaim": claim},),
        mounts=({"name": _VOLUME, "mountPath": _PATH},),
        # A folder of its own: resources of one namespace may share the claim.
        env={FOLDER_VARIABLE: f"{_PATH}/{_VOLUME}/{name}"},
    )


def keep_plan(wanted: KeepDisagreements | None) -> dict[str, Any]:
    """Return the part of the pods' plan; empty if no pictures are kept."""
    return {} if wanted is None else {"keep_disagreements": {"max_items": wanted.max_items}}
