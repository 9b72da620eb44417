"""The parts of a pod that only `fetch` has: credentials, certificates, and volumes that weights come from.

The container `serve` gets none of them: it reads the cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions import cache
from cetacean_operator.decisions.identity import Rollout
from cetacean_registry.weights_schemes import Mount, mount_of

CREDENTIALS_VARIABLE: Final = "CETACEAN_FETCH__CREDENTIALS"
CA_BUNDLE_VARIABLE: Final = "CETACEAN_FETCH__CA_BUNDLE"
_CA_FILE: Final = "ca.crt"
_URL_VARIABLES: Final = ("CETACEAN_MODEL__WEIGHTS_URL", "CETACEAN_GATE__WEIGHTS_URL", "CETACEAN_GATE__CONFIG_URL")


def mounts(rollout: Rollout) -> tuple[Mount, ...]:
    """Return the volumes that a rollout's files are in, each once."""
    found = (mount_of(rollout.env.get(variable, "")) for variable in _URL_VARIABLES)
    return tuple({mount.folder: mount for mount in found if mount is not None}.values())


def with_weights_access(spec: Mapping[str, Any], serving: Serving, rollout: Rollout) -> dict[str, Any]:
    """Return the spec of a pod whose init container can reach the weights; the same if nothing is set for that."""
    parts = [*_references(serving), *_volumes(serving, rollout)]
    (fetch,) = spec["initContainers"]
    env = [{"name": variable, "value": value} for _, _, variable, value in parts if variable]
    mounted = [{"name": volume["name"], "mountPath": path, "readOnly": True} for volume, path, _, _ in parts]
    access = {"env": [*fetch["env"], *env], "volumeMounts": [*fetch["volumeMounts"], *mounted]}
    known = {volume["name"] for volume in spec["volumes"]}
    added = [volume for volume, *_ in parts if volume["name"] not in known]
    return {**spec, "initContainers": [fetch | access], "volumes": [*spec["volumes"], *added]}


_Part = tuple[dict[str, Any], str, str, str]
"""A volume, where it is mounted, and the variable that names a path in it, if one does."""


def _references(serving: Serving) -> Iterator[_Part]:
    # Optional, so that the container starts and says what is missing: the kubelet's message is in no status.
    if serving.weights_credentials:
        secret = {"secretName": serving.weights_credentials.secret_ref.name, "optional": True}
        volume = {"name": "weights-credentials", "secret": secret}
        yield volume, names.CREDENTIALS_PATH, CREDENTIALS_VARIABLE, names.CREDENTIALS_PATH
    if bundle := serving.ca_bundle:
        reference = bundle.config_map_ref or bundle.secret_ref
        assert reference is not None  # noqa: S101 -- a rule of the field
        source = {"items": [{"key": reference.key, "path": _CA_FILE}], "optional": True}
        kind = {"configMap": {"name": reference.name} | source}
        if bundle.secret_ref:
            kind = {"secret": {"secretName": reference.name} | source}
        yield {"name": "ca-bundle", **kind}, names.CA_PATH, CA_BUNDLE_VARIABLE, f"{names.CA_PATH}/{_CA_FILE}"


def _volumes(serving: Serving, rollout: Rollout) -> Iterator[_Part]:
    cached = cache.volume(serving).get("persistentVolumeClaim", {}).get("claimName")
    for mount in mounts(rollout):
        path = f"{names.VOLUMES_PATH}/{mount.folder}"
        if mount.kind == "image":
            source: dict[str, Any] = {"image": {"reference": mount.source, "pullPolicy": serving.image_pull_policy}}
        else:
            # Read-only also keeps the kubelet from changing the owner of files that are somebody else's.
            source = {"persistentVolumeClaim": {"claimName": mount.source, "readOnly": True}}
        # A pod must not have two volumes of one claim.
        shared = mount.kind == "claim" and mount.source == cached
        name = "weights" if shared else f"weights-{hashlib.sha256(mount.folder.encode()).hexdigest()[:12]}"
        yield {"name": name, **source}, path, "", ""
