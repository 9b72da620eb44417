"""The weight that an HTTPRoute gives to a candidate, whatever the Gateway reports and somebody edits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_operator.api.observed import Object
from cetacean_operator.api.route import Route
from cetacean_operator.decisions.candidate_share import candidate_share, may_lead_to
from cetacean_operator.decisions.route import http_route

CANDIDATE = "whales-candidate"
ROUTE = Route.model_validate({"parentRefs": [{"name": "public"}]})


def live(weight: int | None, *, reported: int | None = None) -> Object:
    """Return generation 7 of an HTTPRoute; a controller has reported on generation `reported`."""
    conditions = [] if reported is None else [{"type": "Accepted", "status": "True", "observedGeneration": reported}]
    return {
        "metadata": {"generation": 7},
        **http_route("whales", ROUTE, canary_weight=weight),
        "status": {"parents": [{"parentRef": {"name": "public"}, "conditions": conditions}]},
    }


@pytest.mark.parametrize(
    ("wanted", "route", "expected"),
    [
        (25, None, 0),
        (25, live(None, reported=7), 0),
        (25, live(0, reported=6), 0),
        (25, live(0, reported=7), 25),
        (25, live(0), 25),
        (50, live(25, reported=6), 50),
        (0, live(None, reported=7), 0),
        (0, live(25, reported=7), 0),
        (None, None, None),
        (None, live(None, reported=6), None),
        (None, live(25, reported=7), 0),
        (None, live(0, reported=6), 0),
        (None, live(0, reported=7), None),
    ],
)
def test_each_step_waits_until_the_gateway_has_reported_on_the_one_before(
    wanted: int | None, route: Object | None, expected: int | None
) -> None:
    assert candidate_share(wanted, CANDIDATE, route, exists=True) == expected


@pytest.mark.parametrize("wanted", [None, 0, 25])
def test_a_service_that_does_not_exist_is_not_named(wanted: int | None) -> None:
    assert candidate_share(wanted, CANDIDATE, live(25, reported=7), exists=False) is None


@given(st.lists(st.tuples(st.sampled_from([None, 0, 1, 25, 99]), st.booleans()), max_size=16))
def test_whichever_generation_a_proxy_has_it_knows_each_service_that_gets_a_share(
    steps: list[tuple[int | None, bool]],
) -> None:
    """A proxy has the last generation that was reported, or a later one."""
    generations: list[int | None] = [None]
    reported = 0
    for wanted, reports in steps:
        route = live(generations[-1], reported=reported)
        route["metadata"]["generation"] = len(generations) - 1
        weight = candidate_share(wanted, CANDIDATE, route, exists=True)
        possible = generations[reported:]
        if weight and not generations[-1]:
            assert None not in possible, "a proxy does not know the Service that gets a share"
        if weight is None:
            assert not any(possible), "a proxy still gives a share to a Service that it will not know"
        if weight != generations[-1]:
            generations.append(weight)
        reported = len(generations) - 1 if reports else reported


@pytest.mark.parametrize("weight", ["", None, 1.5, {}, -1, True])
def test_a_weight_that_is_no_number_counts_as_one(weight: Any) -> None:
    route = live(0, reported=7)
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = weight
    assert may_lead_to(CANDIDATE, route)


def test_a_backend_without_a_weight_gets_one() -> None:
    route = live(0, reported=7)
    del route["spec"]["rules"][0]["backendRefs"][1]["weight"]
    assert may_lead_to(CANDIDATE, route)
    assert not may_lead_to("whales-other", route)


def test_without_an_http_route_no_gateway_leads_anywhere() -> None:
    assert not may_lead_to(CANDIDATE, None)
