"""The definition of an optional kind of children is removed while an operator uses it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support import gateway
from support.accounts import Account
from support.live_operator import condition, find, model, running

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

pytestmark = pytest.mark.alone  # it installs a definition that every operator would watch

NAME = "routed"


def test_a_resource_stays_ready_if_the_cluster_loses_the_gateway_api(
    namespaced_account: Account, namespaced: Kubectl, folder: Path
) -> None:
    def reason(kind: str) -> str:
        return str(condition(namespaced.get("cetaceanmodel", NAME), kind).get("reason"))

    def states() -> tuple[str, str]:
        return reason("RouteAccepted"), reason("Ready")

    serving: dict[str, Any] = {"replicas": 0, "route": {"parentRefs": [{"name": "public"}]}}
    with ExitStack() as definition:
        definition.enter_context(gateway.installed(namespaced, gateway.ROUTES))
        # An outage: the API server forbids new objects of a kind while its definition is being deleted.
        with running(namespaced_account, folder, outage=True):
            namespaced.apply(model(NAME, serving=serving))
            until("the HTTPRoute", lambda: find(namespaced, gateway.ROUTES, NAME), within=40)
            definition.close()
            until("all but the route to be as before", lambda: states() == ("GatewayAPIMissing", "ScaledToZero"))
            namespaced("delete", "cetaceanmodel", NAME)
