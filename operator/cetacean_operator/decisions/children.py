"""Manifests of all children, with only the fields that the operator owns."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from cetacean_operator.api import names
from cetacean_operator.api.keep_disagreements import KeepDisagreements
from cetacean_operator.api.kinds import BY_KIND
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.decisions.candidate_children import Candidate, candidate_bodies
from cetacean_operator.decisions.identity import Rollout
from cetacean_operator.decisions.model_service import clients_selector, extra_targets, selector, service
from cetacean_operator.decisions.network import admit, clients, own_pods
from cetacean_operator.decisions.ownership import Ref
from cetacean_operator.decisions.route import http_route
from cetacean_operator.decisions.template import change_cause, pod_labels, pod_template
from cetacean_registry.digests import canonical_digest


def children(
    resource: CetaceanModel,
    spec: Spec,
    rollout: Rollout,
    *,
    served_kinds: Collection[str],
    operator_namespace: str,
    promotion: str | None = None,
    candidate: Candidate | None = None,
) -> dict[Ref, Object]:
    """Return the manifests of all children, by kind and name.

    Args:
        resource: their owner.
        spec: its spec.
        rollout: what its pods are to serve.
        served_kinds: those that the cluster serves because their CRD is installed.
        operator_namespace: the only one whose operator may reach the pods through a NetworkPolicy.
        promotion: why they are to serve it: the annotation of `write_promotion_record`.
        candidate: the model beside it; None without one.
    """
    name, serving, beside = resource.name, spec.serving, candidate or Candidate()
    plan = beside.asked.plan(name, resource.namespace) if beside.asked else None
    by_pods = beside.is_canary and serving.route is None
    bodies: dict[Ref, Object] = {
        ("ConfigMap", f"{name}-monitoring"): {"data": {names.MONITORING_FILE: monitoring(spec, rollout.model, plan)}},
        ("Service", name): service(clients_selector(name) if by_pods else selector(name), serving.service),
        ("Deployment", name): _deployment(
            name, serving, rollout, promotion, spec.rollout.keep_disagreements if spec.rollout else None
        ),
    }
    if serving.autoscaling:
        bodies["HorizontalPodAutoscaler", name] = _autoscaler(name, serving)
    if budget := _budget(name, serving):
        bodies["PodDisruptionBudget", name] = budget
    if serving.network_policy and serving.network_policy.enabled:
        peers = clients(serving, operator_namespace)
        if beside.asked and beside.asked.several_pods:
            # They ask each other how often what serves disagrees with itself.
            peers = [own_pods(name), *peers]
        bodies["NetworkPolicy", name] = admit(selector(name), peers, extra_targets(serving.service))
    if "ServiceMonitor" in served_kinds and serving.service_monitor and serving.service_monitor.enabled:
        bodies["ServiceMonitor", name] = _service_monitor(name, serving)
    if "HTTPRoute" in served_kinds and serving.route:
        bodies["HTTPRoute", name] = http_route(name, serving.route, canary_weight=beside.route_weight)
    if part := beside.part(spec):
        bodies |= candidate_bodies(name, serving, part, operator_namespace)
    return finished(resource, bodies)


def finished(resource: CetaceanModel, bodies: Mapping[Ref, Object]) -> dict[Ref, Object]:
    """Return manifests with what all children have: their names, labels, owner and digest."""
    return {(kind, child): _finish(resource, kind, child, body) for (kind, child), body in bodies.items()}


def monitoring(spec: Spec, served: Model, plan: Mapping[str, Any] | None = None) -> str:
    """Return monitoring.json, which pods read again without a restart.

    Args:
        spec: of the resource.
        served: the model that is to serve; the registry may name other weights by its name, with other figures.
        plan: that of a comparison.
    """
    baselines = {
        model.name: model.metrics.cetacean_score_mean
        for model in (*(one for one in spec.registry.models if one.name != served.name), served)
        if model.metrics and model.metrics.cetacean_score_mean is not None
    }
    content: dict[str, Any] = {
        "window": spec.drift.window,
        "min_samples": spec.drift.min_samples,
        "alarm_drop": spec.drift.alarm_drop,
        "answers_window": spec.drift.signals.window,
        "baselines": baselines,
    }
    if plan is not None:
        content["shadow"] = plan
    return json.dumps(content, sort_keys=True)


def _finish(resource: CetaceanModel, kind: str, name: str, body: Object) -> Object:
    own = body.get("metadata", {})
    metadata: dict[str, Any] = {
        "namespace": resource.namespace,
        "name": name,
        "labels": {
            **own.get("labels", {}),
            **pod_labels(resource.name, candidate=name == names.candidate_name(resource.name)),
        },
        "ownerReferences": [
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "name": resource.name,
                "uid": resource.uid,
                "controller": True,
            }
        ],
    }
    annotations = dict(own.get("annotations", {}))
    manifest = {**body, "apiVersion": BY_KIND[kind].api_version, "kind": kind, "metadata": metadata}
    # A digest of what is applied. If a field leaves the manifest, the digest differs: the manifest is applied, and
    # server-side apply removes the field.
    annotations[names.ANNOTATION_APPLIED] = canonical_digest([manifest, annotations])[:16]
    metadata["annotations"] = annotations
    return manifest


def _deployment(
    name: str, serving: Serving, rollout: Rollout, promotion: str | None, keep: KeepDisagreements | None
) -> Object:
    annotations = {names.ANNOTATION_CHANGE_CAUSE: change_cause(rollout)}
    if promotion is not None:
        annotations[names.ANNOTATION_PROMOTION] = promotion
    spec: dict[str, Any] = {
        "selector": {"matchLabels": selector(name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": serving.progress_deadline_seconds,
        # Owned by the operator too, so that it undoes `kubectl rollout pause`.
        "paused": False,
        "template": pod_template(name=name, serving=serving, rollout=rollout, keep_disagreements=keep),
    }
    if serving.autoscaling:
        annotations[names.ANNOTATION_AUTOSCALED] = "true"
    else:
        spec["replicas"] = serving.replicas
    return {"metadata": {"annotations": annotations}, "spec": spec}


def _autoscaler(name: str, serving: Serving) -> Object:
    scaling = serving.autoscaling
    assert scaling is not None  # noqa: S101 -- the caller asked
    target = {"type": "Utilization", "averageUtilization": scaling.target_cpu_utilization_percentage}
    return {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            **({"behavior": scaling.behavior} if scaling.behavior else {}),
        }
    }


def _budget(name: str, serving: Serving) -> Object | None:
    given = serving.pod_disruption_budget
    fewest = serving.autoscaling.min_replicas if serving.autoscaling else serving.replicas
    # With a single replica a budget would block every drain.
    if not (given.enabled if given else fewest > 1):
        return None
    bound: dict[str, Any] = {"maxUnavailable": 1}
    if given and given.min_available is not None:
        bound = {"minAvailable": given.min_available}
    elif given and given.max_unavailable is not None:
        bound = {"maxUnavailable": given.max_unavailable}
    # A pod that never gets ready must not block a drain.
    unready = {"unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return {"spec": {"selector": {"matchLabels": selector(name)}, **bound, **unready}}


def _service_monitor(name: str, serving: Serving) -> Object:
    monitor = serving.service_monitor
    assert monitor is not None  # noqa: S101 -- the caller asked
    endpoint = {"port": names.PORT_NAME, "path": "/metrics", "interval": monitor.interval}
    services = [name]
    if len(name) <= names.LONGEST_NAME_WITH_CANDIDATE:  # a longer one would make no valid value of a label
        services.append(names.candidate_label(name))
    return {
        "metadata": {"labels": dict(monitor.labels)},
        "spec": {
            "selector": {"matchExpressions": [{"key": names.LABEL_MODEL, "operator": "In", "values": services}]},
            "endpoints": [endpoint],
            # Far above what the service sends: a pod that floods fills no Prometheus.
            "sampleLimit": 5000,
            "labelLimit": 32,
            "labelValueLengthLimit": 1024,
            "bodySizeLimit": "4MB",
        },
    }
