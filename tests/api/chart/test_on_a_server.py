"""The chart on a real API server: it is accepted with strict validation, and grants the intended rights. No pod starts."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import pytest
import yaml

from cetacean_tools.demo import prometheus
from cetacean_tools.demo.kubectl import CommandError, Kubectl

from .conftest import CHART, EVERYTHING, Render

# It takes over the CRD of the cluster, and installs others for a while.
pytestmark = pytest.mark.alone

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
MONITORED = ("serviceMonitor", "prometheusRule", "dashboards")
NOT_APPLIED = ("Pod",)
"""The pod of `helm test` needs a ServiceAccount that exists only while it runs."""


@contextmanager
def namespace(kubectl: Kubectl, labels: dict[str, str] | None = None) -> Iterator[Kubectl]:
    """Create a namespace, and yield a kubectl in it; the namespace is deleted at the end."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}})
    try:
        yield replace(kubectl, namespace=name)
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


@dataclass(frozen=True, slots=True)
class Right:
    """The attributes of a SubjectAccessReview."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    """Empty: all namespaces."""
    subresource: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """An installed release of the chart without pods."""

    kubectl: Kubectl
    name: str

    @classmethod
    @contextmanager
    def of(cls, kubectl: Kubectl, values: dict[str, Any], *flags: str) -> Iterator[Release]:
        """Install into kubectl's namespace; uninstall at the end."""
        release = cls(kubectl, f"cetacean-operator-{uuid.uuid4().hex[:6]}")
        try:
            release.install(values, *flags)
            yield release
        finally:
            kubectl.run_helm("uninstall", release.name, "--ignore-not-found")

    def install(self, values: dict[str, Any], *flags: str) -> None:
        """Run `helm upgrade --install` without replicas."""
        settings = [f"--set-json={key}={json.dumps(value)}" for key, value in {**values, "replicas": 0}.items()]
        self.kubectl.run_helm("upgrade", "--install", self.name, str(CHART), *settings, *flags)

    def may(self, *rights: Right) -> list[Right]:
        """Return those of these rights that the operator's ServiceAccount has."""
        user = f"system:serviceaccount:{self.kubectl.namespace}:{self.name}"
        api = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        reviews = [{**api, "spec": {"user": user, "resourceAttributes": asdict(right)}} for right in rights]
        manifests = yaml.safe_dump_all(reviews)
        answers = self.kubectl("create", "-o", 'jsonpath={.status.allowed}{"\\n"}', "-f", "-", stdin=manifests).split()
        return [right for right, allowed in zip(rights, answers, strict=True) if allowed == "true"]


NO_CRD = {"crds": {"install": False}, "rbac": {"aggregate": False}}


@pytest.fixture(scope="module")
def cluster_wide(kubectl: Kubectl, crd: str) -> Iterator[Release]:
    """A release that serves all namespaces, in one that enforces the restricted standard."""
    assert crd
    with namespace(kubectl, RESTRICTED) as inside, Release.of(inside, NO_CRD) as release:
        yield release


@pytest.fixture(scope="module")
def in_one_namespace(kubectl: Kubectl, crd: str) -> Iterator[tuple[Release, str]]:
    """A release that serves one other namespace, and that namespace's name."""
    assert crd
    with (
        namespace(kubectl) as served,
        namespace(kubectl) as inside,
        Release.of(inside, {**NO_CRD, "watchNamespaces": [served.namespace]}) as release,
    ):
        yield release, served.namespace


def test_the_api_server_accepts_every_object_with_strict_validation(kubectl: Kubectl, crd: str, render: Render) -> None:
    assert crd
    metrics = {**EVERYTHING["metrics"], **{part: {"enabled": True} for part in MONITORED}}
    with prometheus.kinds(kubectl), namespace(kubectl) as inside:
        values = {**EVERYTHING, "watchNamespaces": [inside.namespace], "metrics": metrics}
        objects = render(values, "--namespace", inside.namespace).objects
        known = [item for item in objects if item["kind"] not in NOT_APPLIED]
        manifests = yaml.safe_dump_all(known)
        said = inside("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=manifests)
    assert len(said.splitlines()) == len(known)
    assert {"ServiceMonitor", "PodMonitor", "PrometheusRule"} <= {item["kind"] for item in known}


def test_pods_satisfy_the_restricted_standard(cluster_wide: Release, render: Render) -> None:
    inside = cluster_wide.kubectl
    rendered = render(NO_CRD, "--namespace", inside.namespace, release=cluster_wide.name)
    (test_pod,) = rendered.of_kind("Pod")
    template = rendered.one("Deployment")["spec"]["template"]
    operator = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "operator"}}
    # The test's own ServiceAccount exists only while it runs.
    tester = {**test_pod, "spec": {**test_pod["spec"], "serviceAccountName": "default"}}
    for pod in (operator, tester):
        inside("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    rootful = json.loads(json.dumps(operator).replace('"runAsNonRoot": true', '"runAsNonRoot": false'))
    with pytest.raises(CommandError, match='violates PodSecurity "restricted'):
        inside("create", "--dry-run=server", "-f", "-", stdin=json.dumps(rootful))


def in_namespace(rights: list[Right], name: str) -> list[Right]:
    return [replace(right, namespace=name) for right in rights]


def test_the_operator_has_its_rights_in_the_namespaces_that_it_serves(
    cluster_wide: Release, in_one_namespace: tuple[Release, str]
) -> None:
    needed = [
        Right("watch", "ecomarineai.org", "cetaceanmodels"),
        Right("patch", "ecomarineai.org", "cetaceanmodels"),
        Right("patch", "ecomarineai.org", "cetaceanmodels", subresource="status"),
        Right("create", "apps", "deployments"),
        Right("delete", "", "configmaps"),
        Right("list", "", "pods"),
        Right("create", "events.k8s.io", "events"),
        Right("patch", "monitoring.coreos.com", "servicemonitors"),
        Right("patch", "gateway.networking.k8s.io", "httproutes"),
    ]
    assert cluster_wide.may(*needed) == needed
    release, served = in_one_namespace
    there = in_namespace(needed, served)
    assert release.may(*there, *in_namespace(needed, "default"), *needed) == there


def test_the_operator_has_no_other_rights(cluster_wide: Release, in_one_namespace: tuple[Release, str]) -> None:
    others = [
        Right("get", "", "secrets"),
        Right("update", "ecomarineai.org", "cetaceanmodels"),
        Right("delete", "ecomarineai.org", "cetaceanmodels"),
        Right("create", "", "pods"),
        Right("delete", "", "pods"),
        Right("create", "rbac.authorization.k8s.io", "roles"),
        Right("list", "", "namespaces"),
        Right("list", "apiextensions.k8s.io", "customresourcedefinitions"),
        Right("get", "coordination.k8s.io", "leases"),
    ]
    assert cluster_wide.may(*in_namespace(others, "default")) == []
    release, served = in_one_namespace
    assert release.may(*in_namespace(others, served)) == []


def test_the_operator_has_rights_on_its_own_lease_and_deployment_only(
    cluster_wide: Release, in_one_namespace: tuple[Release, str]
) -> None:
    for release in (cluster_wide, in_one_namespace[0]):
        own_namespace, group = release.kubectl.namespace, "coordination.k8s.io"
        own = [
            Right("create", group, "leases", own_namespace),
            *(Right(verb, group, "leases", own_namespace, name=release.name) for verb in ("get", "update")),
            # The Lease belongs to the operator's Deployment.
            Right("get", "apps", "deployments", own_namespace, name=release.name),
        ]
        leases = [Right(verb, group, "leases", own_namespace, name="another") for verb in ("get", "update")]
        assert release.may(*own, *leases) == own
    release, _ = in_one_namespace
    assert release.may(Right("get", "apps", "deployments", release.kubectl.namespace, name="another")) == []


def test_the_roles_view_and_edit_get_rights_on_cetaceanmodels(kubectl: Kubectl, crd: str) -> None:
    assert crd
    values = {"crds": {"install": False}, "rbac": {"aggregate": True}}
    with namespace(kubectl) as inside, Release.of(inside, values) as release:
        view, edit = (inside.get("clusterrole", f"{release.name}-{kind}") for kind in ("view", "edit"))
    aggregated = "rbac.authorization.k8s.io/aggregate-to-"
    assert view["metadata"]["labels"][f"{aggregated}view"] == "true"
    assert edit["metadata"]["labels"][f"{aggregated}edit"] == "true"
    assert f"{aggregated}view" not in edit["metadata"]["labels"], "the role view must grant no writes"
    group = "ecomarineai.org"
    assert granted(view) == {
        (group, resource, verb)
        for resource in ("cetaceanmodels", "modelapprovals")
        for verb in ("get", "list", "watch")
    }
    assert granted(edit) == {
        (group, resource, verb)
        for resource in ("cetaceanmodels", "cetaceanmodels/scale")
        for verb in ("create", "update", "patch", "delete", "deletecollection")
    }


def granted(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return API group, resource and verb of each right in a role; none may be limited to names or be about URLs."""
    assert all(rule.keys() == {"apiGroups", "resources", "verbs"} for rule in role["rules"]), role["rules"]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_uninstalling_keeps_the_crd_and_a_new_release_adopts_it(kubectl: Kubectl, crd: str) -> None:
    def found() -> dict[str, Any]:
        metadata: dict[str, Any] = kubectl.get("crd", crd)["metadata"]
        return metadata

    before = found()["uid"]
    values = {"rbac": {"aggregate": False}}
    with namespace(kubectl) as inside, Release.of(inside, values, "--take-ownership") as release:
        inside.run_helm("uninstall", release.name)
        assert found()["uid"] == before
        release.install(values)
        assert found()["annotations"]["meta.helm.sh/release-name"] == release.name
    assert found()["uid"] == before
