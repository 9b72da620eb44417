"""A namespace in which models are rolled out: used by the demo's steps and by the end-to-end tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from cetacean_registry.manifest import to_manifest
from cetacean_registry.registry import ModelEntry, Registry
from cetacean_tools.demo import installation
from cetacean_tools.demo.installation import LoadedImages
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.traffic import ModelService, api_proxy
from cetacean_tools.demo.waiting import until
from cetacean_tools.demo_models import DemoModels
from cetacean_tools.demo_models.recipe import GATES
from cetacean_tools.local_cluster.protocol import Cluster

POD_LABEL = "ecomarineai.org/cetaceanmodel"
RESOURCES: Mapping[str, Any] = {"requests": {"cpu": "100m", "memory": "384Mi"}, "limits": {"memory": "1536Mi"}}
DRIFT: Mapping[str, Any] = {"window": 100, "minSamples": 50, "scrapeIntervalSeconds": 2}


@dataclass(frozen=True, slots=True)
class Environment:
    """One namespace of the cluster with a store of weights, and the ways to reach its pods and objects."""

    kubectl: Kubectl
    models: DemoModels
    images: LoadedImages
    store: str
    """Base URL of the weights, as pods reach it."""
    client: httpx.Client
    proxy: str
    """Base URL of `kubectl proxy`."""
    cache: str = ""
    """The PersistentVolumeClaim in which all pods keep their weights; if empty, each has a cache of its own."""

    @property
    def registry(self) -> Registry:
        """The demo's registry; its first model is active."""
        return self.models.registry(self.store)

    def manifest(
        self,
        name: str,
        *,
        active: str,
        added: Sequence[ModelEntry] = (),
        replicas: int = 2,
        threshold: float | None = None,
        drift: Mapping[str, Any] = DRIFT,
        serving: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a CetaceanModel that mirrors the demo's registry.

        Args:
            name: of the resource.
            active: the model to serve.
            added: more entries; one that has no snapshot of its own gets that of the model it copies (`notes`).
            replicas: how many pods.
            threshold: the gate's; the calibrated one if None.
            drift: `spec.drift`.
            serving: more of `spec.serving`.
        """
        registry = self.registry
        snapshots = dict(self.models.snapshots())
        for entry in added:
            if entry.notes in snapshots:
                snapshots.setdefault(entry.name, snapshots[entry.notes])
        registry = registry.model_copy(update={"active": active, "models": (*registry.models, *added)})
        anti_fraud = self.models.anti_fraud(self.store)
        if threshold is not None:
            anti_fraud["threshold"] = threshold
        claim = {"persistentVolumeClaim": {"claimName": self.cache}, "trusted": True}
        return to_manifest(
            registry,
            snapshots,
            name=name,
            namespace=self.kubectl.namespace,
            serving={
                "image": self.images.inference,
                "replicas": replicas,
                "resources": RESOURCES,
                **({"weightsCache": claim} if self.cache else {}),
                **(serving or {}),
            },
            anti_fraud=anti_fraud,
            gates=GATES,
            drift=drift,
        )

    def copy_of(self, model: str, *, name: str, version: str, **changes: Any) -> ModelEntry:
        """Return an entry like another one, for `manifest(added=…)`."""
        changed = {"name": name, "version": version, "notes": model, **changes}
        return self.registry.model(model).model_copy(update=changed)

    def service(self, name: str) -> ModelService:
        """Return a client of the inference service of a resource."""
        return ModelService.of(self.client, self.proxy, self.kubectl.namespace, name)

    def resource(self, name: str) -> dict[str, Any]:
        """Return the CetaceanModel as it is now."""
        return self.kubectl.get("cetaceanmodel", name)

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return its pods that are not being deleted."""
        found = self.kubectl.get("pods", "-l", f"{POD_LABEL}={name}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def condition(self, name: str, kind: str) -> Mapping[str, Any]:
        """Return a condition of the resource; empty if there is none."""
        conditions = self.resource(name).get("status", {}).get("conditions", [])
        return next((item for item in conditions if item["type"] == kind), {})

    def wait_for_condition(
        self,
        name: str,
        kind: str,
        status: str,
        *,
        mentions: str = "",
        within: float = 180.0,
    ) -> Mapping[str, Any]:
        """Wait until a condition of the current generation has a status, and `mentions` in its message."""

        def probe() -> Mapping[str, Any]:
            found, generation = self.condition(name, kind), self.resource(name)["metadata"]["generation"]
            is_so = found.get("status") == status and mentions in found["message"]
            return found if is_so and found["observedGeneration"] == generation else {}

        wanted = f"{kind}={status} {mentions}".rstrip()
        return until(wanted, probe, within=within, shown=lambda: self.condition(name, kind))

    def pod_answer(self, pod: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Return the JSON response of one pod, through the API server's proxy."""
        meta = pod["metadata"]
        url = f"{self.proxy}/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}:8080/proxy{path}"
        return dict(self.client.get(url).raise_for_status().json())


@dataclass(slots=True)
class Installed:
    """A cluster with the operator in it, in which namespaces are set up."""

    kubectl: Kubectl
    models: DemoModels
    images: LoadedImages
    client: httpx.Client
    proxy: str
    _environments: dict[str, Environment] = field(default_factory=dict)

    def environment(self, namespace: str) -> Environment:
        """Set up a namespace with a store of weights."""
        if namespace not in self._environments:
            installation.create_namespace(self.kubectl, namespace)
            kubectl = replace(self.kubectl, namespace=namespace)
            store = installation.deploy_store(kubectl, self.images.store, self.models)
            self._environments[namespace] = Environment(
                kubectl, self.models, self.images, store, self.client, self.proxy
            )
        return self._environments[namespace]


@contextmanager
def installed(
    cluster: Cluster,
    models: DemoModels,
    images: LoadedImages,
    *settings: str,
    show: Callable[[str], None] | None = None,
) -> Iterator[Installed]:
    """Install the operator into a cluster that is up, and run `kubectl proxy` to reach it."""
    kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, cluster.context)
    if show is not None:
        kubectl = replace(kubectl, show=show)
    installation.install_operator(kubectl, images.operator, *settings)
    with api_proxy(kubectl) as proxy, httpx.Client(timeout=30.0, trust_env=False) as client:
        yield Installed(kubectl, models, images, client, proxy)
