"""The HTTPRoute on a real API server: with the Gateway API's definitions and without them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import gateway
from support.accounts import Account
from support.live_operator import UNSCHEDULABLE, OperatorProcess, condition, find, model, running, wait_until_observed

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

pytestmark = pytest.mark.alone  # it installs a definition that every operator would watch

NAME = "routed"
ROUTE: dict[str, Any] = {
    "parentRefs": [{"name": "public", "namespace": "gateways"}, {"name": "local", "sectionName": "https", "port": 443}],
    "hostnames": ["whales.example.org", "*.whales.example.org"],
    "requestTimeout": "2m",
}


@pytest.fixture(scope="module")
def operator(namespaced_account: Account, namespaced: Kubectl, folder: Path) -> Iterator[OperatorProcess]:
    """An operator that soon notices which kinds the API server serves; the Gateway API's are missing at first."""
    assert find(namespaced, "crd", gateway.ROUTES) is None
    with running(namespaced_account, folder, resync_interval=2) as started:
        namespaced.apply(model(NAME, serving={**UNSCHEDULABLE, "replicas": 1, "route": ROUTE}))
        yield started


def route_of(kubectl: Kubectl, *flags: str) -> dict[str, Any] | None:
    return find(kubectl, gateway.ROUTES, NAME, *flags)


def wait_for_reason(kubectl: Kubectl, reason: str) -> str:
    """Wait until RouteAccepted has this reason; return its message."""

    def probe() -> str | None:
        found = condition(kubectl.get("cetaceanmodel", NAME), "RouteAccepted")
        return found["message"] if found.get("reason") == reason else None

    return until(f"RouteAccepted to have the reason {reason}", probe, within=40) or ""


def report(kubectl: Kubectl, *conditions: dict[str, Any]) -> None:
    """Write what the controller of both Gateways would report."""
    route = route_of(kubectl)
    assert route is not None
    generation = route["metadata"]["generation"]
    complete = [
        {
            "message": f"{one['reason']}, it says",
            "observedGeneration": generation,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            **one,
        }
        for one in conditions
    ]
    parents = [
        {"parentRef": parent, "controllerName": "example.org/gateway", "conditions": complete}
        for parent in route["spec"]["parentRefs"]
    ]
    status = json.dumps({"status": {"parents": parents}})
    kubectl("patch", gateway.ROUTES, NAME, "--subresource=status", "--type=merge", "-p", status)


@pytest.mark.usefixtures("operator")
def test_without_the_gateway_api_the_condition_says_so_and_all_else_goes_on(namespaced: Kubectl) -> None:
    found = wait_until_observed(namespaced, NAME)
    assert "install the Gateway API's CRDs" in wait_for_reason(namespaced, "GatewayAPIMissing")
    assert condition(found, "Ready")["reason"] != "ApplyRefused"
    for ref in ("deployment", "service"):
        assert find(namespaced, ref, NAME) is not None


@pytest.fixture(scope="module")
def there(operator: OperatorProcess, namespaced: Kubectl) -> Iterator[Kubectl]:
    """The resource with its HTTPRoute, after the definition was installed."""
    assert operator
    with gateway.installed(namespaced, gateway.ROUTES):
        until("the HTTPRoute", lambda: route_of(namespaced), within=40)
        yield namespaced
        namespaced("delete", "cetaceanmodel", NAME, "--ignore-not-found")
        until("its route to go", lambda: route_of(namespaced) is None, within=40)


def test_the_route_is_applied_and_owned(there: Kubectl) -> None:
    route = route_of(there, "--show-managed-fields")
    assert route is not None
    (owner,) = route["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("CetaceanModel", NAME, True)
    assert {(entry["manager"], entry["operation"]) for entry in route["metadata"]["managedFields"]} == {
        ("cetacean-operator", "Apply")
    }
    assert route["spec"]["hostnames"] == ROUTE["hostnames"]
    (rule,) = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "2m"}
    assert rule["backendRefs"] == [{"group": "", "kind": "Service", "name": NAME, "port": 80, "weight": 100}]
    wait_for_reason(there, "NotReportedYet")


def test_a_route_is_not_applied_again_and_again(there: Kubectl) -> None:
    before = (route_of(there) or {})["metadata"]["resourceVersion"]
    status = there.get("cetaceanmodel", NAME)
    there("annotate", "cetaceanmodel", NAME, "note=x", "--overwrite")
    there(
        "patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec": {"serving": {"progressDeadlineSeconds": 700}}}'
    )
    assert wait_until_observed(there, NAME)["metadata"]["generation"] > status["metadata"]["generation"]
    assert (route_of(there) or {})["metadata"]["resourceVersion"] == before


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "add", "path": "/spec/hostnames/-", "value": "theirs.example.org"}],
        [{"op": "add", "path": "/spec/parentRefs/-", "value": {"name": "theirs"}}],
        [{"op": "add", "path": "/spec/rules/0/backendRefs/-", "value": {"name": "theirs", "port": 80}}],
        [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 1}],
    ],
    ids=["hostname", "parent", "backend", "weight"],
)
def test_an_edit_of_the_route_is_reverted(there: Kubectl, patch: list[dict[str, Any]]) -> None:
    before = (route_of(there) or {})["spec"]
    there("patch", gateway.ROUTES, NAME, "--type=json", "-p", json.dumps(patch))
    until("the edit to be reverted", lambda: (route_of(there) or {})["spec"] == before, within=40)


def test_the_condition_follows_the_reports_about_the_present_route(there: Kubectl) -> None:
    resolved = {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs"}
    report(there, {"type": "Accepted", "status": "True", "reason": "Accepted"}, resolved)
    message = wait_for_reason(there, "Accepted")
    assert message == "accepted by Gateway gateways/public, Gateway local, listener https, port 443"
    report(there, {"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners"}, resolved)
    assert "NotAllowedByListeners, it says" in wait_for_reason(there, "NotAccepted")
    patch = {"spec": {"serving": {"route": {"hostnames": ["orcas.example.org"]}}}}
    there("patch", "cetaceanmodel", NAME, "--type=merge", "-p", json.dumps(patch))
    wait_for_reason(there, "NotReportedYet")
    assert (route_of(there) or {})["spec"]["hostnames"] == ["orcas.example.org"]


def test_a_route_of_someone_else_is_left_alone_and_reported(there: Kubectl) -> None:
    name = "taken"
    theirs = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"hostnames": ["theirs.example.org"]},
    }
    there.apply(theirs)
    there.apply(model(name))
    wait_until_observed(there, name)
    there.apply(model(name, serving={"replicas": 0, "route": ROUTE}))

    def ready() -> dict[str, Any]:
        return dict(condition(there.get("cetaceanmodel", name), "Ready"))

    until("the conflict to be reported", lambda: ready().get("reason") == "NameTaken", within=40)
    assert "HTTPRoute taken" in ready()["message"]
    assert there.get(gateway.ROUTES, name)["spec"]["hostnames"] == ["theirs.example.org"]
    there("delete", "cetaceanmodel", name)
    there("delete", gateway.ROUTES, name)


def test_a_route_that_is_no_longer_wanted_is_deleted(there: Kubectl) -> None:
    there("patch", "cetaceanmodel", NAME, "--type=merge", "-p", '{"spec": {"serving": {"route": null}}}')
    until("the HTTPRoute to go", lambda: route_of(there) is None, within=40)
    assert condition(wait_until_observed(there, NAME), "RouteAccepted") == {}
    there.apply(model(NAME, serving={**UNSCHEDULABLE, "replicas": 1, "route": ROUTE}))
    until("the HTTPRoute to come back", lambda: route_of(there), within=40)
