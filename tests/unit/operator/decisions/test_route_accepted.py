"""The condition RouteAccepted and its Events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.operator_world import World, entry, manifest

from cetacean_operator.api.observed import Object
from cetacean_operator.api.route import Route
from cetacean_operator.decisions.condition_state import ConditionState
from cetacean_operator.decisions.route_accepted import judge_route

SERVED = frozenset({"HTTPRoute"})
PUBLIC: dict[str, Any] = {"name": "public", "namespace": "gateways"}
HTTPS: dict[str, Any] = {"name": "local", "sectionName": "https"}


def condition(kind: str = "Accepted", status: str = "True", *, reason: str = "Accepted", generation: int = 1) -> Object:
    message = f"{reason} it is"
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


RESOLVED = condition("ResolvedRefs", reason="ResolvedRefs")


def judged(*parents: dict[str, Any], live: Object | None) -> ConditionState | None:
    return judge_route(route=Route.model_validate({"parentRefs": list(parents)}), live=live, is_served=True)


def http_route(*entries: tuple[dict[str, Any], tuple[Object, ...]]) -> Object:
    """Return an HTTPRoute with these reports about its parents."""
    parents = [{"parentRef": parent, "conditions": list(conditions)} for parent, conditions in entries]
    return {"metadata": {"namespace": "sea", "name": "whales", "generation": 1}, "status": {"parents": parents}}


def world(*parents: dict[str, Any]) -> World:
    route = {"parentRefs": list(parents or (PUBLIC,))}
    made = World(manifest(entry("first"), serving={"route": route}), served_kinds=SERVED)
    made.settle()
    return made


def report(made: World, *entries: tuple[dict[str, Any], tuple[Object, ...]]) -> None:
    """Write the status of the HTTPRoute as controllers do: parent by parent."""
    made.children["HTTPRoute", "whales"]["status"] = {
        "parents": [
            {"parentRef": parent, "controllerName": "example.org/gateway", "conditions": list(conditions)}
            for parent, conditions in entries
        ]
    }
    made.settle()


def state(made: World) -> tuple[str, str]:
    return made.is_("RouteAccepted")


def message(made: World) -> str:
    return made.condition("RouteAccepted").message


def route_events(made: World) -> list[str]:
    return [reason for reason in made.reasons if reason.startswith("Route")]


def test_without_a_route_there_is_no_condition() -> None:
    made = World(served_kinds=SERVED)
    made.settle()
    assert made.status.condition("RouteAccepted") is None


def test_a_cluster_without_the_gateway_api_is_reported_and_all_else_goes_on() -> None:
    made = World(manifest(entry("first"), serving={"route": {"parentRefs": [PUBLIC]}}))
    made.settle()
    assert state(made) == ("False", "GatewayAPIMissing")
    assert "does not serve httproutes.gateway.networking.k8s.io/v1" in message(made)
    assert "install the Gateway API's CRDs" in message(made)
    assert made.is_("Ready") == ("True", "Serving")
    assert "docs/runbook.md#route-not-accepted" in message(made)
    assert route_events(made) == ["RouteNotAccepted"]


def test_nothing_is_known_before_a_controller_reports() -> None:
    made = world()
    assert state(made) == ("Unknown", "NotReportedYet")
    assert message(made) == "no controller has reported on this HTTPRoute for Gateway gateways/public"
    assert route_events(made) == []


def test_a_route_is_accepted_if_every_parent_accepts_it() -> None:
    made = world(PUBLIC, HTTPS)
    report(made, (PUBLIC, (condition(), RESOLVED)))
    assert state(made) == ("Unknown", "NotReportedYet")
    assert message(made).endswith("for Gateway local, listener https")
    report(made, (PUBLIC, (condition(), RESOLVED)), (HTTPS, (condition(), RESOLVED)))
    assert state(made) == ("True", "Accepted")
    assert message(made) == "accepted by Gateway gateways/public, Gateway local, listener https"
    assert route_events(made) == [], "nothing had been wrong"


def test_a_parent_that_refuses_is_named_with_its_reason() -> None:
    made = world(PUBLIC, HTTPS)
    refused = condition(status="False", reason="NotAllowedByListeners")
    report(made, (PUBLIC, (refused, RESOLVED)), (HTTPS, (condition(), RESOLVED)))
    assert state(made) == ("False", "NotAccepted")
    assert message(made).startswith(
        "Gateway gateways/public: NotAllowedByListeners: NotAllowedByListeners it is. Next: "
    )
    assert "docs/runbook.md#route-not-accepted" in message(made)
    assert route_events(made) == ["RouteNotAccepted"]
    report(made, (PUBLIC, (condition(), RESOLVED)), (HTTPS, (condition(), RESOLVED)))
    assert route_events(made) == ["RouteNotAccepted", "RouteAccepted"]


def test_a_backend_that_is_not_found_is_reported() -> None:
    made = world()
    report(made, (PUBLIC, (condition(), condition("ResolvedRefs", "False", reason="BackendNotFound"))))
    assert state(made) == ("False", "RefsNotResolved")
    assert "BackendNotFound" in message(made)


def test_a_report_about_an_earlier_generation_does_not_count() -> None:
    made = world()
    report(made, (PUBLIC, (condition(), RESOLVED)))
    made.edit(serving={"route": {"parentRefs": [PUBLIC], "hostnames": ["whales.example.org"]}})
    made.settle()
    assert state(made) == ("Unknown", "NotReportedYet")
    report(made, (PUBLIC, (condition(status="False"), condition(generation=2))))
    assert state(made) == ("True", "Accepted"), "only the newer report counts"
    assert route_events(made) == []


def test_a_report_about_another_parent_does_not_count() -> None:
    made = world(HTTPS)
    for other in ({"name": "local"}, {**HTTPS, "sectionName": "http"}, {**HTTPS, "namespace": "other"}):
        report(made, (other, (condition(), RESOLVED)))
        assert state(made)[0] == "Unknown"
    named = {**HTTPS, "namespace": "sea", "group": "gateway.networking.k8s.io", "kind": "Gateway"}
    report(made, (named, (condition(), RESOLVED)))
    assert state(made)[0] == "True", "the defaults may be written out"


def test_the_resource_is_ready_whatever_the_gateway_says() -> None:
    made = world()
    report(made, (PUBLIC, (condition(status="False", reason="NoMatchingParent"),)))
    assert made.is_("Ready") == ("True", "Serving")
    assert made.is_("Stalled")[0] == "False"


def test_a_long_message_of_a_controller_is_cut() -> None:
    begin = "Gateway gateways/public: Accepted: "
    live = http_route((PUBLIC, ({**condition(status="False"), "message": "x" * 32768},)))
    text = begin + "x" * (1023 - len(begin)) + "…"
    assert judged(PUBLIC, live=live) == ConditionState("False", "NotAccepted", text)


def test_a_route_that_is_still_to_be_written_is_unknown() -> None:
    expected = ConditionState("Unknown", "NotReportedYet", "the HTTPRoute does not exist yet")
    assert judged(PUBLIC, live=None) == expected


def test_all_parents_that_refuse_or_have_not_reported_are_named_in_order() -> None:
    port = {"name": "local", "port": 8443}
    assert judged(PUBLIC, port, live=http_route()) == ConditionState(
        "Unknown",
        "NotReportedYet",
        "no controller has reported on this HTTPRoute for Gateway gateways/public, Gateway local, port 8443",
    )
    refused = (condition(status="False", reason="NotAllowed"),)
    assert judged(PUBLIC, port, live=http_route((port, refused), (PUBLIC, refused))) == ConditionState(
        "False",
        "NotAccepted",
        "Gateway gateways/public: NotAllowed: NotAllowed it is; Gateway local, port 8443: NotAllowed: NotAllowed it is",
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["parents", "parentRef", "conditions", "type", "status", "name", "observedGeneration"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_status_of_an_http_route_gives_a_condition(status: Any) -> None:
    found = judged(PUBLIC, live=http_route() | {"status": status})
    assert found is not None
    assert found.status in ("True", "False", "Unknown")


@pytest.mark.parametrize("name", ["group", "kind"])
def test_a_parent_of_another_kind_is_another_parent(name: str) -> None:
    made = world({**PUBLIC, name: "Other"})
    report(made, (PUBLIC, (condition(), RESOLVED)))
    assert state(made)[0] == "Unknown"


def test_a_message_of_a_controller_is_one_line_without_control_characters() -> None:
    made = world()
    refused = condition(status="False", reason="NotAllowed") | {"message": "no \x1b[2J\nroute \u202e"}
    report(made, (PUBLIC, (refused, RESOLVED)))
    assert message(made).startswith("Gateway gateways/public: NotAllowed: no \ufffd[2J route \ufffd. Next: ")
