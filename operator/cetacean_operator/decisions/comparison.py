"""A comparison: a model runs beside the one that serves, and answers copies of the same pictures.

It is described by what it compares alone, so an operator that was away, or a status that was lost, resumes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.observed import Object, Pod
from cetacean_operator.api.shadow import ShadowReport
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.identity import Rollout, deployed_model
from cetacean_operator.decisions.kept_pictures import keep_plan
from cetacean_operator.decisions.stage_record import runs_stages
from cetacean_registry.digests import canonical_digest

MAX_LATENCY_RATIO: Final = 1.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate and the model that serves."""

    candidate: Rollout
    candidate_digest: str
    """SHA-256 of its weights."""
    served: Rollout
    served_digest: str
    share: float
    """Of the answered pictures, 0 to 1."""
    several_pods: bool
    """True if another pod of the served model can be asked how often what serves disagrees with itself."""
    probability_offset: float = 0.0
    """The served model's mean probability on its evaluation set less the candidate's."""
    max_latency_ratio: float = MAX_LATENCY_RATIO
    keep_disagreements: KeepDisagreements | None = None
    """None keeps no pictures, only digests and answers."""
    retry: str | None = None
    """When a person has asked for the last try; each try counts from zero."""

    @property
    def run(self) -> str:
        """Name the comparison; pods begin to count from zero if it changes."""
        digests = [self.served_digest, self.candidate_digest, self.served.config_digest, self.candidate.config_digest]
        tries = () if self.retry is None else (self.retry,)
        return canonical_digest([*digests, self.share, self.probability_offset, self.max_latency_ratio, *tries])[:16]

    def reports(self, pods: Iterable[Pod]) -> list[ShadowReport]:
        """Return what pods of the served rollout have counted: pods that it replaces answer otherwise."""
        return [pod.shadow for pod in pods if pod.shadow and pod.rollout_id == self.served.id]

    def plan(self, name: str, namespace: str) -> dict[str, Any]:
        """Return what the serving pods read: which pictures to copy, and where to."""
        url = "http://{}.{}.svc".format
        peer = {"peer_url": url(name, namespace)} if self.several_pods else {}
        return {
            "run": self.run,
            "share": self.share,
            "url": url(names.candidate_name(name), namespace),
            **peer,
            "candidate": _named(self.candidate, self.candidate_digest),
            "served": _named(self.served, self.served_digest),
            "max_latency_ratio": self.max_latency_ratio,
            "probability_offset": self.probability_offset,
            **keep_plan(self.keep_disagreements),
        }


def compared_model(name: str, children: Mapping[tuple[str, str], Object]) -> tuple[Model, str] | None:
    """Return the model before that drift compares, and the digest of its weights; None without one.

    A candidate that runs stages has not served.

    Args:
        name: of the resource.
        children: its live children.
    """
    deployment = children.get(("Deployment", names.candidate_name(name)))
    model = None if runs_stages(deployment) else deployed_model(deployment)
    if model is None:
        return None
    # The registry may name no digest: then the plan has the one that the model's pods found when it served.
    digest = model.sha256 or _planned_digest(children.get(("ConfigMap", f"{name}-monitoring")), model)
    return (model, digest) if digest else None


def _planned_digest(config_map: Object | None, model: Model) -> str | None:
    data = (config_map or {}).get("data") or {}
    try:
        found = json.loads(data[names.MONITORING_FILE])["shadow"]["candidate"]
        return str(found["sha256"]) if found["name"] == model.name else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # someone has changed the file


def _named(rollout: Rollout, digest: str) -> dict[str, str]:
    return {"name": rollout.model.name, "version": rollout.model.version, "sha256": digest}
