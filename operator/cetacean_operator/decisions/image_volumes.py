"""The condition ImageVolumesUnsupported: weights in an image need a cluster that mounts images as volumes."""

from __future__ import annotations

from typing import Final

from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.identity import Rollout
from cetacean_operator.decisions.weights_access import mounts

STABLE_SINCE: Final = (1, 36)
"""The version of Kubernetes. In 1.35 the feature gate ImageVolume is on by default, before that it is off."""


def judge_image_volumes(rollout: Rollout, kubernetes: tuple[int, int] | None) -> ConditionState | None:
    """Return the condition, None if no file of the rollout is in an image.

    Args:
        rollout: that is to serve.
        kubernetes: major and minor version of the API server, None if it is not known.
    """
    if not any(mount.kind == "image" for mount in mounts(rollout)):
        return None
    stable = ".".join(map(str, STABLE_SINCE))
    if kubernetes is None:
        return ConditionState("Unknown", "VersionUnknown", f"image volumes are stable since Kubernetes {stable}")
    version = ".".join(map(str, kubernetes))
    if kubernetes >= STABLE_SINCE:
        return ConditionState("False", "Supported", f"Kubernetes {version} mounts images as volumes")
    return ConditionState(
        "True",
        "KubernetesTooOld",
        f"the weights are in an image, and image volumes are stable since Kubernetes {stable}, got {version}: "
        "the pods start only if the feature gate ImageVolume is on, in the API server and on the nodes",
    )
