"""The HTTPRoute of a resource: parents, hostnames, paths, and the weights of its backends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import World, entry, manifest

from cetacean_operator.api.names import CLIENT_PATHS
from cetacean_operator.api.observed import Object
from cetacean_operator.api.route import Route
from cetacean_operator.decisions.route import http_route

PUBLIC: dict[str, Any] = {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
SERVED = frozenset({"HTTPRoute"})


def world(route: dict[str, Any] | None = PUBLIC, *, served_kinds: frozenset[str] = SERVED) -> World:
    made = World(manifest(entry("first"), serving={"route": route}), served_kinds=served_kinds)
    made.settle()
    return made


def route_of(made: World) -> Object:
    return made.children["HTTPRoute", "whales"]


def backends(canary_weight: int | None) -> list[dict[str, Any]]:
    (rule,) = http_route("whales", Route.model_validate(PUBLIC), canary_weight=canary_weight)["spec"]["rules"]
    found: list[dict[str, Any]] = rule["backendRefs"]
    return found


def test_a_route_leads_what_clients_ask_to_the_service() -> None:
    route = route_of(world(PUBLIC | {"hostnames": ["whales.example.org", "*.example.net"], "requestTimeout": "120s"}))
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways"}],
        "hostnames": ["whales.example.org", "*.example.net"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in CLIENT_PATHS],
                "backendRefs": [{"kind": "Service", "name": "whales", "port": 80, "weight": 100}],
                "timeouts": {"request": "120s"},
            }
        ],
    }


def test_without_hostnames_and_timeout_those_of_the_gateway_hold() -> None:
    spec = route_of(world())["spec"]
    assert "hostnames" not in spec
    assert "timeouts" not in spec["rules"][0]


@pytest.mark.parametrize("path", ["/metrics", "/v1/identity", "/v1/drift-stats", "/v1/predict-shadow"])
def test_paths_for_the_operator_and_for_other_pods_are_not_routed_by_default(path: str) -> None:
    matches = route_of(world())["spec"]["rules"][0]["matches"]
    prefixes = [match["path"]["value"] for match in matches]
    assert not any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes)


def test_given_paths_replace_those_of_clients() -> None:
    (rule,) = route_of(world(PUBLIC | {"paths": ["/"]}))["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]


def test_each_field_of_a_parent_is_copied() -> None:
    parent = {
        "group": "example.org",
        "kind": "Mesh",
        "namespace": "gateways",
        "name": "public",
        "sectionName": "https",
        "port": 443,
    }
    assert route_of(world({"parentRefs": [parent]}))["spec"]["parentRefs"] == [parent]


def test_there_is_no_route_without_the_field_or_without_its_api() -> None:
    for made in (world(None), world(served_kinds=frozenset())):
        assert {kind for kind, _ in made.children} == {"ConfigMap", "Deployment", "Service"}


def test_a_route_changes_no_other_child() -> None:
    without = {ref: child["spec"] for ref, child in world(None).children.items() if "spec" in child}
    with_route = {ref: child["spec"] for ref, child in world().children.items() if "spec" in child}
    assert {ref: spec for ref, spec in with_route.items() if ref[0] != "HTTPRoute"} == without


def test_a_route_that_is_no_longer_wanted_is_deleted() -> None:
    made = world()
    made.edit(serving={"route": None})
    made.settle()
    assert ("HTTPRoute", "whales") not in made.children


def test_a_route_is_not_deleted_because_its_kind_is_not_served() -> None:
    """An API server that has just started does not serve the kinds of CRDs yet."""
    made = world()
    made.served_kinds = frozenset()
    assert made.decide().delete == ()
    made.served_kinds = SERVED
    assert not made.decide().apply


@pytest.mark.parametrize("field", ["parentRefs", "backendRefs"])
def test_an_entry_that_somebody_adds_to_an_atomic_list_is_reverted(field: str) -> None:
    made = world()
    spec = route_of(made)["spec"]
    holder = spec if field == "parentRefs" else spec["rules"][0]
    holder[field].append({**holder[field][0], "name": "theirs"})
    assert [child["kind"] for child in made.decide().apply] == ["HTTPRoute"]


def test_defaults_of_the_api_server_are_no_difference() -> None:
    made = world()
    spec = route_of(made)["spec"]
    spec["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    spec["rules"][0]["backendRefs"][0]["group"] = ""
    assert not made.decide().apply


def test_without_a_canary_all_requests_go_to_the_service() -> None:
    assert backends(None) == [{"kind": "Service", "name": "whales", "port": 80, "weight": 100}]


@given(st.integers(min_value=0, max_value=100))
def test_a_canary_gets_its_weight_and_the_service_the_rest(weight: int) -> None:
    stable, candidate = backends(weight)
    assert (stable["name"], stable["weight"]) == ("whales", 100 - weight)
    assert (candidate["name"], candidate["weight"]) == ("whales-candidate", weight)


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_beyond_percent_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match=f"expected 0..100 percent, got {weight}"):
        backends(weight)
