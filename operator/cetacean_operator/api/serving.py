"""`spec.serving`: how the inference service runs. Fields of the model itself are in `spec.registry`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from cetacean_operator.api.base import (
    ATOMIC,
    ApiModel,
    IntOrPercent,
    Passthrough,
    Passthroughs,
    Quantity,
    ShortMap,
    ShortString,
    list_map,
    rules,
)
from cetacean_operator.api.pod_fields import (
    POD_RULES,
    Containers,
    Overrides,
    VolumeMounts,
    Volumes,
    check_pod_fields,
)
from cetacean_operator.api.route import Route
from cetacean_operator.api.service_fields import OWN_KEYS, ServiceFields
from cetacean_operator.api.signature import Signature

# The service reads its settings in any case, and a whole group of them as JSON (`CETACEAN_GATE={…}`).
_RESERVED_ENV = ("CETACEAN_MODEL", "CETACEAN_GATE", "CETACEAN_SIGNATURE")
_RESERVED_NAMES = (
    "CETACEAN_WEIGHTS_CACHE",
    "CETACEAN_MONITORING_FILE",
    "CETACEAN_CONFIG_DIGEST",
    "CETACEAN_ROLLOUT_ID",
    "CETACEAN_OWN_CACHE",
    "CETACEAN_FETCH__SHARED_CACHE",
    "CETACEAN_SHADOW__KEEP_FOLDER",
    "CETACEAN_FETCH__CREDENTIALS",
    "CETACEAN_FETCH__CA_BUNDLE",
    "CETACEAN_FETCH__VOLUMES",
)
_ENV_RULE = (
    " && ".join(f"!self.name.upperAscii().startsWith('{prefix}')" for prefix in _RESERVED_ENV)
    + f" && !(self.name.upperAscii() in [{', '.join(repr(name) for name in _RESERVED_NAMES)}])"
)


def is_reserved(name: str) -> bool:
    """Return true for an environment variable that only the operator sets, in any case of letters."""
    upper = name.upper()
    return upper.startswith(_RESERVED_ENV) or upper in _RESERVED_NAMES


class LocalReference(ApiModel):
    """A name in the resource's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The Secret's name.")


class EnvVar(ApiModel):
    """An extra environment variable of both containers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (_ENV_RULE, "is set by the operator: expected another name", ".name"),
            ("!(has(self.value) && has(self.valueFrom))", "expected value or valueFrom, got both"),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        description="Any name but those that the operator sets."
    )
    value: Annotated[str, Field(max_length=32768)] | None = Field(default=None, description="The value as it is.")
    value_from: Passthrough | None = Field(default=None, description="EnvVarSource: a Secret, a ConfigMap or a field.")


class Autoscaling(ApiModel):
    """A HorizontalPodAutoscaler; while it exists the operator does not set `replicas`."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.minReplicas <= self.maxReplicas", "must be at most maxReplicas", ".minReplicas"),
        )
    )

    min_replicas: int = Field(default=3, ge=1, le=1000, description="Minimum of pods.")
    max_replicas: int = Field(default=10, ge=1, le=1000, description="Maximum of pods.")
    target_cpu_utilization_percentage: int = Field(
        default=70,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="Mean over the pods, in percent of the CPU that `resources` request.",
    )
    behavior: Passthrough | None = Field(
        default=None, description="HorizontalPodAutoscalerBehavior: how fast it scales up and down."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"minReplicas must be at most maxReplicas ({self.max_replicas}), got {self.min_replicas}")
        return self


class ClaimReference(ApiModel):
    """An existing PersistentVolumeClaim."""

    claim_name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="In the resource's namespace.")


class WeightsCache(ApiModel):
    """The cache of downloaded weights: an emptyDir of each pod, or a volume that pods share."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.sizeLimit) && has(self.persistentVolumeClaim))",
                "expected sizeLimit or persistentVolumeClaim, got both",
            ),
            (
                "!has(self.trusted) || has(self.persistentVolumeClaim)",
                "trusted is about persistentVolumeClaim: expected it",
            ),
        )
    )

    size_limit: Quantity | None = Field(
        default=None,
        description="Limit of the emptyDir; the cache uses 95 % of it. 2Gi hold a model of full size, the gate, and "
        "both converted for a faster engine; if there is less space, they are converted at each start.",
    )
    persistent_volume_claim: ClaimReference | None = Field(
        default=None,
        description="A claim that all pods can mount for writing (ReadWriteMany if there are several nodes).",
    )
    trusted: bool | None = Field(
        default=None,
        description="True: everything that can write to the claim is trusted, so pods also share files without a "
        "digest and converted networks there. By default they share only files whose digest they verify.",
    )

    @model_validator(mode="after")
    def _trusted_claim(self) -> Self:
        if self.trusted is not None and self.persistent_volume_claim is None:
            raise ValueError("trusted is about persistentVolumeClaim: expected it")
        return self


_PREFETCH_RULE = (
    (
        "!has(self.prefetch) || self.prefetch == 'Never' || "
        "(has(self.weightsCache) && has(self.weightsCache.persistentVolumeClaim))"
    ),
    (
        "expected weightsCache.persistentVolumeClaim: a volume that a pod has for itself cannot be filled before the "
        "pod exists"
    ),
    ".prefetch",
)


class WeightsCredentials(ApiModel):
    """Credentials of downloads; only the init container `fetch` gets them."""

    secret_ref: LocalReference = Field(
        description="A Secret with keys such as HF_TOKEN, AWS_ACCESS_KEY_ID and netrc; docs/weights.md lists them."
    )


class KeyReference(ApiModel):
    """A key of a ConfigMap or a Secret in the resource's own namespace."""

    name: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="Name of the object.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(default="ca.crt", description="The key.")


class CABundle(ApiModel):
    """Certificates of authorities that downloads trust in addition to the system's."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.configMapRef) != has(self.secretRef)", "expected either configMapRef or secretRef"),
        )
    )

    config_map_ref: KeyReference | None = Field(default=None, description="PEM in a ConfigMap.")
    secret_ref: KeyReference | None = Field(default=None, description="PEM in a Secret.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.config_map_ref is None) == (self.secret_ref is None):
            raise ValueError("expected either configMapRef or secretRef")
        return self


class PodDisruptionBudget(ApiModel):
    """A PodDisruptionBudget; if unset there is one if more than one replica is wanted."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!(has(self.minAvailable) && has(self.maxUnavailable))",
                "expected minAvailable or maxUnavailable, got both",
            ),
        )
    )

    enabled: bool = Field(default=True, description="False: none, whatever the other fields say.")
    min_available: IntOrPercent | None = Field(default=None, description="A number or a percentage such as 50%.")
    max_unavailable: IntOrPercent | None = Field(
        default=None, description="A number or a percentage; 1 if neither is set."
    )


class NetworkPolicy(ApiModel):
    """A NetworkPolicy that lets only the named peers and the operator reach the pods."""

    enabled: bool = Field(default=True, description="False: none, whatever the other fields say.")
    ingress_from: Passthroughs | None = Field(
        default=None,
        description="NetworkPolicyPeers; if unset, all pods of the namespace. Name Prometheus and the Gateway here if "
        "they run in another namespace: otherwise they do not reach the pods.",
    )


class ServiceMonitor(ApiModel):
    """A ServiceMonitor, if the cluster serves that API."""

    enabled: bool = Field(default=True, description="False: none, whatever the other fields say.")
    labels: ShortMap = Field(default_factory=dict, description="Labels by which a Prometheus selects it.")
    interval: Annotated[str, Field(pattern=r"^[1-9][0-9]*(s|m|h)$", max_length=16)] = Field(
        default="30s", description="Time between two scrapes: whole seconds, minutes or hours."
    )


class Serving(ApiModel):
    """How the inference service runs."""

    model_config = ConfigDict(json_schema_extra=rules(*POD_RULES, _PREFETCH_RULE))

    image: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Image of the inference service.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When a node fetches the image."
    )
    image_pull_secrets: Annotated[
        tuple[LocalReference, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = Field(default=(), description="Secrets that let nodes pull the image.")
    replicas: int = Field(default=1, ge=0, le=1000, description="Wanted pods; unused with `autoscaling`.")
    resources: Passthrough | None = Field(default=None, description="ResourceRequirements of both containers.")
    node_selector: ShortMap | None = Field(default=None, description="Labels of the nodes that may run the pods.")
    tolerations: Passthroughs | None = Field(default=None, description="Tolerations of the pods.")
    affinity: Passthrough | None = Field(default=None, description="Affinity of the pods.")
    topology_spread_constraints: Passthroughs | None = Field(
        default=None,
        description="TopologySpreadConstraints of the pods; if unset, evenly over nodes if possible.",
    )
    service_account_name: ShortString | None = Field(
        default=None, description="ServiceAccount of the pods; its token is not mounted."
    )
    priority_class_name: ShortString | None = Field(default=None, description="PriorityClass of the pods.")
    runtime_class_name: ShortString | None = Field(default=None, description="RuntimeClass of the pods.")
    pod_labels: Annotated[ShortMap, Field(json_schema_extra=rules(OWN_KEYS))] | None = Field(
        default=None, description="More labels of the pods."
    )
    pod_annotations: Annotated[ShortMap, Field(json_schema_extra=rules(OWN_KEYS))] | None = Field(
        default=None, description="More annotations of the pods."
    )
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = Field(
        default=(), description="More environment variables of both containers."
    )
    signature: Signature | None = Field(
        default=None, description="Who must have signed the weights; absent: signatures are not checked."
    )
    pod_security_context: Overrides | None = Field(
        default=None,
        description="PodSecurityContext: replaces the defaults, which have a fixed user and group, key by key; null "
        "removes one.",
    )
    security_context: Overrides | None = Field(
        default=None,
        description="SecurityContext of both containers: replaces the defaults key by key; null removes one.",
    )
    volumes: Volumes = Field(default=(), description="More volumes of the pods.")
    volume_mounts: VolumeMounts = Field(default=(), description="Mounts of these volumes in both containers.")
    sidecars: Containers = Field(default=(), description="More containers of the pods.")
    extra_init_containers: Containers = Field(
        default=(),
        description="Init containers that run before weights are fetched; one with restartPolicy Always runs on.",
    )
    host_aliases: Annotated[tuple[Passthrough, ...], Field(max_length=32, json_schema_extra=ATOMIC)] | None = Field(
        default=None, description="HostAliases of the pods."
    )
    dns_config: Passthrough | None = Field(default=None, description="PodDNSConfig of the pods.")
    lifecycle: Overrides | None = Field(
        default=None,
        description="Lifecycle of the container serve: replaces preStop, which lets requests in progress end, and "
        "postStart; null removes one.",
    )
    service: ServiceFields | None = None
    autoscaling: Autoscaling | None = None
    weights_cache: WeightsCache | None = None
    prefetch: Literal["Never", "Candidate", "All"] = Field(
        default="Never",
        description="Weights that a Job downloads into the claim of weightsCache before their model serves. Candidate: "
        "those of the active model while it waits, for approval for instance, and of entries with `prefetch: true`. "
        "All: also those of every other entry that is not deprecated.",
    )
    weights_credentials: WeightsCredentials | None = None
    ca_bundle: CABundle | None = None
    tmp_size_limit: Quantity | None = Field(
        default=None,
        description="Limit of the volume /tmp, beyond which the kubelet evicts a pod. If the weights cache is a claim "
        "that is not trusted, copies of weights and converted networks lie there: 2Gi hold a model of full size.",
    )
    pod_disruption_budget: PodDisruptionBudget | None = None
    network_policy: NetworkPolicy | None = None
    service_monitor: ServiceMonitor | None = None
    route: Route | None = None
    progress_deadline_seconds: int = Field(
        default=600, ge=10, le=86_400, description="A rollout without progress for so long counts as failed."
    )
    startup_seconds: int = Field(
        default=300, ge=10, le=3600, description="How long loading weights may take before the pod is restarted."
    )
    termination_grace_period_seconds: int = Field(
        default=60,
        ge=0,
        le=3600,
        description="Time for pods to finish requests in progress. In the first 5 s new ones may still reach them.",
    )

    @model_validator(mode="after")
    def _pod_fields_fit_together(self) -> Self:
        check_pod_fields(self.volumes, self.volume_mounts, self.sidecars, self.extra_init_containers)
        return self

    @model_validator(mode="after")
    def _can_prefetch(self) -> Self:
        cache = self.weights_cache
        if self.prefetch != "Never" and not (cache and cache.persistent_volume_claim):
            raise ValueError(f"prefetch: {_PREFETCH_RULE[1]}")
        return self
