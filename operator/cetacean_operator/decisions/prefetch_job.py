"""The Job that downloads the weights of one model into the claim that the pods of a resource share.

If the pods trust what others leave in the claim, the Job also converts the networks, so that none of the pods has to.
"""

from __future__ import annotations

from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.observed import Object
from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions import cache
from cetacean_operator.decisions.identity import Rollout
from cetacean_operator.decisions.template import pod_template
from cetacean_registry.digests import canonical_digest

RETRIES: Final = 3
"""Pods that follow the first one, after 10, 20 and 40 s."""
DEADLINE_SECONDS: Final = 6 * 3600
_LEFT_OUT: Final = ("topologySpreadConstraints", "terminationGracePeriodSeconds")
_MONITORING: Final = "monitoring"


def prefetch_job(name: str, serving: Serving, rollout: Rollout) -> tuple[str, Object]:
    """Return the name and the manifest of the Job that fetches a rollout's weights.

    Its name follows from all that it does: a change of the spec makes another Job, as a Job's template cannot change.

    Args:
        name: of the resource.
        serving: as for the pods that serve, so that the Job reads the same settings and mounts the same claim.
        rollout: what is to come.
    """
    arguments = [names.INIT_CONTAINER, *(("--prepare",) if cache.is_trusted(serving) else ())]
    template = _fetch_template(pod_template(name=name, serving=serving, rollout=rollout), arguments)
    spec = {
        "backoffLimit": RETRIES,
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "completions": 1,
        "parallelism": 1,
        "template": template,
    }
    annotations = {names.ANNOTATION_MODEL: rollout.model.name, names.ANNOTATION_WEIGHTS_DIGEST: rollout.weights_digest}
    return names.prefetch_name(name, canonical_digest([name, spec])), {
        "metadata": {"annotations": annotations},
        "spec": spec,
    }


def _fetch_template(template: dict[str, Any], arguments: list[str]) -> dict[str, Any]:
    """Return the template of a pod that only fetches, made from that of a pod that serves.

    It has no sidecars, because they never end, and nothing of the monitoring file, which may not exist yet. No Service
    selects its labels, also not during a canary.
    """
    meta, pod = template["metadata"], template["spec"]
    fetch = next(one for one in pod["initContainers"] if one["name"] == names.INIT_CONTAINER)
    before = [one for one in pod["initContainers"] if one is not fetch]
    spec = {
        **{key: value for key, value in pod.items() if key not in _LEFT_OUT},
        "restartPolicy": "Never",
        "initContainers": before,
        "containers": [{**fetch, "args": arguments, "volumeMounts": _without_monitoring(fetch["volumeMounts"])}],
        "volumes": _without_monitoring(pod["volumes"]),
    }
    labels = {**meta["labels"], names.LABEL_NAME: names.FETCH_APP, names.LABEL_MODEL: names.PREFETCH_LABEL}
    return {"metadata": {"labels": labels, "annotations": meta["annotations"]}, "spec": spec}


def _without_monitoring(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in items if one["name"] != _MONITORING]
