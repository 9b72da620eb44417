"""`spec.serving` with many of its fields, for tests that put hostile values into each."""

from __future__ import annotations

from typing import Any, Final

FULL_SERVING: Final[dict[str, Any]] = {
    "autoscaling": {"minReplicas": 1, "maxReplicas": 2},
    "networkPolicy": {"enabled": True, "ingressFrom": [{"podSelector": {}}]},
    "podDisruptionBudget": {"minAvailable": 1},
    "resources": {"limits": {"memory": "1Gi"}},
    "env": [{"name": "A", "value": "b"}],
    "weightsCache": {"persistentVolumeClaim": {"claimName": "c"}},
    "prefetch": "All",
    "podSecurityContext": {"runAsUser": None, "seccompProfile": {"type": "Localhost"}},
    "securityContext": {"capabilities": {"add": ["X"]}},
    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    "sidecars": [{"name": "s", "image": "i", "ports": [{"containerPort": 90}], "securityContext": {"a": None}}],
    "extraInitContainers": [{"name": "b", "image": "i"}],
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["h"]}],
    "dnsConfig": {"nameservers": ["10.0.0.2"]},
    "lifecycle": {"preStop": None, "postStart": {"exec": {"command": ["x"]}}},
    "service": {"type": "NodePort", "annotations": {"a": "b"}, "ports": [{"name": "m", "port": 90}]},
}
