"""Names on the wire: labels, annotations, ports, condition types and reasons. Changing one is an API change."""

from __future__ import annotations

from typing import Final

GROUP: Final = "ecomarineai.org"
VERSION: Final = "v1alpha1"
KIND: Final = "CetaceanModel"
PLURAL: Final = "cetaceanmodels"
API_VERSION: Final = f"{GROUP}/{VERSION}"
MANAGER: Final = "cetacean-operator"
RUNBOOK: Final = "docs/runbook.md"
"""Where messages link to, unless a setting has another address."""

# Labels. LABEL_MODEL is the selector of a Deployment, which is immutable: never change it.
LABEL_MODEL: Final = f"{GROUP}/cetaceanmodel"
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_TEMPLATE_HASH: Final = "pod-template-hash"
"""The Deployment's controller sets it on pods and their ReplicaSet, whose name ends with it."""
LABEL_NAMESPACE: Final = "kubernetes.io/metadata.name"
"""Kubernetes sets it on each namespace."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
APP: Final = "cetacean-inference"
FETCH_APP: Final = "cetacean-fetch"
"""LABEL_NAME of the pods of Jobs that fetch weights."""
_CANDIDATE: Final = "candidate"
LONGEST_NAME_WITH_CANDIDATE: Final = 63 - len(_CANDIDATE) - 1
"""Of a resource: its candidate's Service needs a name of at most 63 letters."""


def candidate_name(name: str) -> str:
    """Return the name of the Deployment and the Service of a resource's candidate."""
    return f"{name}-{_CANDIDATE}"


def candidate_label(name: str) -> str:
    """Return the value of LABEL_MODEL on a candidate's pods: no resource can have this name."""
    return f"{name}_{_CANDIDATE}"


def resource_of_label(value: str) -> str:
    """Return the resource's name in a pod's LABEL_MODEL, be the pod the resource's or its candidate's."""
    return value.removesuffix(f"_{_CANDIDATE}")


PREFETCH_LABEL: Final = "prefetch_job"
"""The value of LABEL_MODEL on the pods of Jobs that fetch weights, which no Service selects: no resource has this name.

LABEL_INSTANCE has the resource's name.
"""


def prefetch_name(name: str, digest: str) -> str:
    """Return the name of a Job that fetches weights; it is no longer than a label's value may be."""
    return f"{name[:40]}-prefetch-{digest[:10]}"


# Annotations of the pod template.
ANNOTATION_WEIGHTS_DIGEST: Final = f"{GROUP}/weights-digest"
ANNOTATION_CONFIG_DIGEST: Final = f"{GROUP}/config-digest"
ANNOTATION_ROLLOUT_ID: Final = f"{GROUP}/rollout-id"
ANNOTATION_MODEL: Final = f"{GROUP}/model"
ANNOTATION_DEFINITION: Final = f"{GROUP}/definition"
# Annotations of children.
ANNOTATION_APPLIED: Final = f"{GROUP}/applied-digest"
ANNOTATION_AUTOSCALED: Final = f"{GROUP}/autoscaled"
ANNOTATION_CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
ANNOTATION_PROMOTION: Final = f"{GROUP}/promotion"
ANNOTATION_STAGES: Final = f"{GROUP}/stages"
"""On the Deployment of a candidate that runs stages: how far it has come."""
# Annotations of the resource.
ANNOTATION_DRIFT_MEAN: Final = f"{GROUP}/drift-score-mean"
ANNOTATION_DRIFT_AVG: Final = f"{GROUP}/drift-score-avg"
ANNOTATION_DRIFT_ALARMS: Final = f"{GROUP}/drift-alarms-total"
ANNOTATION_DRIFT_SAMPLES: Final = f"{GROUP}/drift-samples"
ANNOTATION_DECISION: Final = f"{GROUP}/candidate-decision"
"""A person's decision about a candidate, as JSON; the only one of these that the operator does not write."""

# The pod; docs/architecture.md describes it.
PORT: Final = 8080
PORT_NAME: Final = "http"
INTERNAL_PORT: Final = 8081
"""Of the pods, and of no Service: answers about pictures of clients, for people who may `get` `pods/proxy`."""
CONTAINER: Final = "serve"
INIT_CONTAINER: Final = "fetch"
CACHE_PATH: Final = "/var/cache/cetacean"
CREDENTIALS_PATH: Final = "/etc/cetacean/credentials"
CA_PATH: Final = "/etc/cetacean/ca"
VOLUMES_PATH: Final = "/mnt/weights"
"""Volumes that weights come from: the setting `fetch.volumes` of the service."""
MONITORING_PATH: Final = "/etc/cetacean/monitoring"
MONITORING_FILE: Final = "monitoring.json"
SIGNATURE_PATH: Final = "/etc/cetacean/signature"
SYSTEMIC_REASON: Final = "not_a_marine_mammal"
RECENT_REQUESTS: Final = 1000
"""The number of recent requests in a pod's availability_percent."""
SERVICE_PORT: Final = 80
"""The port of the Service that leads to the inference service."""
"""Of the Service N and of its candidate's."""
CLIENT_PATHS: Final = (
    "/v1/predict-single",
    "/v1/predict-batch",
    "/predict-single",
    "/predict-batch",
    "/v1/feedback",
    "/health",
    "/v2",
)
"""Prefixes of the paths of clients. The other paths are for the operator, for Prometheus and for other pods."""

# Condition types.
READY: Final = "Ready"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
AVAILABLE: Final = "Available"
PROGRESSING: Final = "Progressing"
WEIGHTS_VERIFIED: Final = "WeightsVerified"
SIGNATURE_VERIFIED: Final = "SignatureVerified"
WEIGHTS_PREFETCHED: Final = "WeightsPrefetched"
GATE_PASSED: Final = "GatePassed"
APPROVED: Final = "Approved"
HOTFIX_REVIEW_OVERDUE: Final = "HotfixReviewOverdue"
CANDIDATE_PASSED: Final = "CandidatePassed"
DRIFTING: Final = "Drifting"
LOW_AVAILABILITY: Final = "LowAvailability"
HIGH_LATENCY: Final = "HighLatency"
AUTOSCALING_INACTIVE: Final = "AutoscalingInactive"
ROUTE_ACCEPTED: Final = "RouteAccepted"
ANTI_FRAUD_DISABLED: Final = "AntiFraudDisabled"
IMAGE_VOLUMES_UNSUPPORTED: Final = "ImageVolumesUnsupported"
REGISTRY_DIVERGED: Final = "RegistryDiverged"
CONDITIONS: Final = (
    READY,
    RECONCILING,
    STALLED,
    AVAILABLE,
    PROGRESSING,
    WEIGHTS_VERIFIED,
    SIGNATURE_VERIFIED,
    WEIGHTS_PREFETCHED,
    GATE_PASSED,
    APPROVED,
    HOTFIX_REVIEW_OVERDUE,
    CANDIDATE_PASSED,
    DRIFTING,
    LOW_AVAILABILITY,
    HIGH_LATENCY,
    AUTOSCALING_INACTIVE,
    ROUTE_ACCEPTED,
    ANTI_FRAUD_DISABLED,
    IMAGE_VOLUMES_UNSUPPORTED,
    REGISTRY_DIVERGED,
)

# Reasons that more than one module uses.
GATE_REFUSED: Final = "GateRefused"
APPROVAL_MISSING: Final = "ApprovalMissing"
APPROVALS_UNREADABLE: Final = "ApprovalsUnreadable"
ROLLED_BACK: Final = "RolledBack"
STAGES_RUNNING: Final = "StagesRunning"
CANDIDATE_HELD: Final = "CandidateHeld"
CANDIDATE_RETURNED: Final = "CandidateReturned"
RECALIBRATION_OVERDUE: Final = "RecalibrationOverdue"
SCALED_TO_ZERO: Final = "ScaledToZero"
SYSTEMIC_REJECTION: Final = "SystemicRejection"
INVALID_SPEC: Final = "InvalidSpec"
NAME_TAKEN: Final = "NameTaken"

SIGNATURE_REASONS: Final = frozenset({"SignatureMissing", "SignatureMismatch", "SigningKeyUnreadable"})
"""Why a signature does not hold."""
TERMINATION_REASONS: Final = SIGNATURE_REASONS | frozenset(
    {
        "DigestMismatch",
        "WeightsNotFound",
        "WeightsEvicted",
        "WeightsDenied",
        "WeightsUnreachable",
        "WeightsTruncated",
        "WeightsTooLarge",
        "CacheFull",
        "CheckpointMismatch",
        "ClassesMismatch",
        "GateUnavailable",
        "ConfigInvalid",
        "CABundleInvalid",
    }
)
"""A container's termination message begins with one of these and a colon."""
