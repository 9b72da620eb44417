"""The kinds that the operator reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from cetacean_operator.api import names
from cetacean_operator.api.model_approval import APPROVAL_KIND, APPROVAL_PLURAL
from cetacean_operator.api.route import GATEWAY_GROUP


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A namespaced kind that the API server serves."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """As in a manifest: `apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, the object or its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [self.plural, *(part for part in (name, subresource) if part)]
        return "/" + "/".join(quote(part, safe="") for part in parts)


LEASES = ResourceType("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = ResourceType("events.k8s.io", "v1", "events", "Event")
MODELS = ResourceType(names.GROUP, names.VERSION, names.PLURAL, names.KIND)
PODS = ResourceType("", "v1", "pods", "Pod")
CHILDREN = (
    ResourceType("apps", "v1", "deployments", "Deployment"),
    ResourceType("", "v1", "services", "Service"),
    ResourceType("", "v1", "configmaps", "ConfigMap"),
    ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
    ResourceType("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ResourceType("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"),
    ResourceType("batch", "v1", "jobs", "Job"),
)
APPROVALS = ResourceType(names.GROUP, names.VERSION, APPROVAL_PLURAL, APPROVAL_KIND)
SERVICE_MONITORS = ResourceType("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
ROUTES = ResourceType(GATEWAY_GROUP, "v1", "httproutes", "HTTPRoute")
CRD_CHILDREN = (SERVICE_MONITORS, ROUTES)
"""Children that exist only if their CRD is installed."""
CRD_CHILD_KINDS = frozenset(resource.kind for resource in CRD_CHILDREN)
NEED_CRD = (*CRD_CHILDREN, APPROVALS)
"""Served only if their CRD is installed, and watched only then."""
BY_KIND: Mapping[str, ResourceType] = {r.kind: r for r in (MODELS, PODS, *CHILDREN, *CRD_CHILDREN)}
