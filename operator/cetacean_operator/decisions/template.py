"""The pod template. A change here restarts every model: tests/unit/operator pins its hash."""

from __future__ import annotations

from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.serving import Serving, is_reserved
from cetacean_operator.decisions import cache, signature
from cetacean_operator.decisions.identity import Rollout, definition, label
from cetacean_operator.decisions.kept_pictures import KeptPictures, kept_pictures
from cetacean_operator.decisions.pod_overrides import with_overrides
from cetacean_operator.decisions.weights_access import with_weights_access

_USER = 65532
_DRAIN_SECONDS = 5
"""A terminating pod goes on answering for so long, until all endpoints have dropped it."""
_END_SECONDS = 5
"""The last part of the grace period, to exit before the kubelet kills the process."""
_GRACE_VARIABLE = "CETACEAN_HTTP__GRACE_PERIOD_SECONDS"


def pod_labels(name: str, *, candidate: bool = False) -> dict[str, str]:
    """Return the labels that the operator gives to a resource's pods and children, or to its candidate's pods."""
    return {
        names.LABEL_NAME: names.APP,
        names.LABEL_INSTANCE: name,
        names.LABEL_MANAGED_BY: names.MANAGER,
        names.LABEL_MODEL: names.candidate_label(name) if candidate else name,
    }


def pod_template(
    *,
    name: str,
    serving: Serving,
    rollout: Rollout,
    candidate: bool = False,
    keep_disagreements: KeepDisagreements | None = None,
) -> dict[str, Any]:
    """Build the template of the pods that serve `rollout`, or that a resource compares with what serves.

    Args:
        name: of the resource.
        serving: how they run.
        rollout: what they serve.
        candidate: True for the pods that are compared.
        keep_disagreements: the volume for pictures, None without one.
    """
    annotations = {
        names.ANNOTATION_MODEL: rollout.model.name,
        names.ANNOTATION_DEFINITION: definition(rollout.model),
        names.ANNOTATION_WEIGHTS_DIGEST: rollout.weights_digest,
        names.ANNOTATION_CONFIG_DIGEST: rollout.config_digest,
        names.ANNOTATION_ROLLOUT_ID: rollout.id,
    }
    return {
        "metadata": {
            "labels": {**(serving.pod_labels or {}), **pod_labels(name, candidate=candidate)},
            "annotations": {**(serving.pod_annotations or {}), **annotations},
        },
        "spec": with_overrides(
            _pod_spec(name, serving, rollout, kept_pictures(name, keep_disagreements), candidate=candidate), serving
        ),
    }


def change_cause(rollout: Rollout) -> str:
    """Return what `kubectl rollout history` shows."""
    digest = rollout.model.sha256
    gate = rollout.env["CETACEAN_GATE__THRESHOLD"]
    return f"{label(rollout.model)} ({f'sha256:{digest[:12]}' if digest else 'no digest'}), threshold {gate}"


def _pod_spec(name: str, serving: Serving, rollout: Rollout, kept: KeptPictures, *, candidate: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # A Service named "cetacean" would otherwise put CETACEAN_PORT and the like into the environment.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": serving.termination_grace_period_seconds,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            signature.check(_container(names.INIT_CONTAINER, serving, rollout, KeptPictures()), serving)
        ],
        "containers": [_container(names.CONTAINER, serving, rollout, kept) | _serving_parts(serving)],
        "volumes": [
            {"name": "weights", **cache.volume(serving)},
            {"name": "monitoring", "configMap": {"name": f"{name}-monitoring"}},
            {"name": "tmp", "emptyDir": _tmp(serving)},
            *signature.volumes(serving),
            *kept.volumes,
        ],
    }
    if serving.image_pull_secrets:
        spec["imagePullSecrets"] = [secret.wire() for secret in serving.image_pull_secrets]
    for key, value in (
        ("nodeSelector", serving.node_selector),
        ("tolerations", serving.tolerations),
        ("affinity", serving.affinity),
        ("topologySpreadConstraints", _spread(pod_labels(name, candidate=candidate)[names.LABEL_MODEL], serving)),
        ("serviceAccountName", serving.service_account_name),
        ("priorityClassName", serving.priority_class_name),
        ("runtimeClassName", serving.runtime_class_name),
    ):
        if value:
            spec[key] = list(value) if isinstance(value, tuple) else value
    return with_weights_access(spec, serving, rollout)


def _tmp(serving: Serving) -> dict[str, Any]:
    return {} if serving.tmp_size_limit is None else {"sizeLimit": serving.tmp_size_limit}


def _container(name: str, serving: Serving, rollout: Rollout, kept: KeptPictures) -> dict[str, Any]:
    """Return the parts that both containers share: they read the same settings."""
    env = {
        **rollout.env,
        "CETACEAN_WEIGHTS_CACHE": names.CACHE_PATH,
        "CETACEAN_MONITORING_FILE": f"{names.MONITORING_PATH}/{names.MONITORING_FILE}",
        "CETACEAN_CONFIG_DIGEST": rollout.config_digest,
        "CETACEAN_ROLLOUT_ID": rollout.id,
        **cache.sharing(serving),
        **kept.env,
    }
    # Variables that follow from other fields; `serving.env` overrides them.
    given = {item.name for item in serving.env}
    derived = {**cache.limit(serving), _GRACE_VARIABLE: str(_answering(serving))}
    env |= {key: value for key, value in derived.items() if key not in given}
    extra = [item.wire() for item in serving.env if item.name not in env and not is_reserved(item.name)]
    container: dict[str, Any] = {
        "name": name,
        "image": serving.image,
        "imagePullPolicy": serving.image_pull_policy,
        "args": [name],
        "env": [{"name": key, "value": value} for key, value in env.items()] + extra,
        "volumeMounts": [
            {"name": "weights", "mountPath": names.CACHE_PATH},
            {"name": "monitoring", "mountPath": names.MONITORING_PATH, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 -- a volume of the pod's own
            *kept.mounts,
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if serving.resources:
        container["resources"] = serving.resources
    return container


def _serving_parts(serving: Serving) -> dict[str, Any]:
    def probe(path: str, *, period: int, failures: int, timeout: int) -> dict[str, Any]:
        return {
            "httpGet": {"path": path, "port": names.PORT_NAME},
            "periodSeconds": period,
            "failureThreshold": failures,
            "timeoutSeconds": timeout,
        }

    return {
        "ports": [{"name": names.PORT_NAME, "containerPort": names.PORT}],
        # Loading weights is part of starting: until then neither liveness nor readiness is asked.
        # Each second, the shortest period there is: a pod that is ready waits for half of it on average.
        "startupProbe": probe("/v2/health/ready", period=1, failures=serving.startup_seconds, timeout=2),
        "livenessProbe": probe("/health", period=10, failures=6, timeout=5),
        "readinessProbe": probe("/v2/health/ready", period=5, failures=3, timeout=3),
        **({"lifecycle": {"preStop": {"sleep": {"seconds": drain}}}} if (drain := _draining(serving)) else {}),
    }


def _draining(serving: Serving) -> int:
    """Return the seconds before SIGTERM; the API server accepts no more than the grace period."""
    return min(_DRAIN_SECONDS, serving.termination_grace_period_seconds // 2)


def _answering(serving: Serving) -> int:
    """Return the seconds that the process then has for requests in progress."""
    rest = serving.termination_grace_period_seconds - _draining(serving)
    return max(1, rest - min(_END_SECONDS, rest // 2))


def _spread(label_value: str, serving: Serving) -> Any:
    """Spread over nodes, each rollout by itself.

    Not over zones: if nodes have no zone, the scheduler ignores both constraints.
    """
    if serving.topology_spread_constraints is not None:
        return serving.topology_spread_constraints
    return [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {names.LABEL_MODEL: label_value}},
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]
