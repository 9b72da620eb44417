"""Where nothing changes nothing is written: the API server's own audit log says so."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.accounts import Account
from support.live_operator import OperatorProcess, model, ready_because

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.local import LocalCluster

QUIET = timedelta(minutes=1)

pytestmark = pytest.mark.waits


def requests(log: Path, user: str) -> list[dict[str, Any]]:
    """Everything a user has asked the API server, in order."""
    with log.open() as lines:
        found = [json.loads(line) for line in lines if user in line and line.endswith("\n")]
    found = [item for item in found if item["user"]["username"] == user]
    return sorted(found, key=at)


def at(request: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(request["requestReceivedTimestamp"])


def is_renewal(request: dict[str, Any]) -> bool:
    return (request["verb"], request["objectRef"]["resource"]) == ("update", "leases")


def test_only_watches_and_renewals(
    namespaced_operator: OperatorProcess, namespaced_account: Account, namespaced: Kubectl, local_cluster: LocalCluster
) -> None:
    assert namespaced_operator
    namespaced.apply(model("scaled-to-zero"))
    namespaced.apply(model("failing", serving={"replicas": 1}))

    def told() -> None:
        ready_because(namespaced, "scaled-to-zero", "ScaledToZero")
        ready_because(namespaced, "failing", "ImagePull")

    told()

    def quiet_period() -> list[dict[str, Any]]:
        """The last requests, when they are renewals and watches only, for long enough."""
        last = []
        for request in reversed(requests(local_cluster.layout.logs / "audit.log", namespaced_account.user)):
            if request["verb"] != "watch" and not is_renewal(request):
                break
            last.append(request)
        renewals = [item for item in last if is_renewal(item)]
        return renewals if renewals and at(renewals[0]) - at(renewals[-1]) >= QUIET else []

    # The kubelet goes on trying to pull the image meanwhile, and changes the pod's status each time.
    renewals = until("a quiet period", quiet_period, within=150)
    assert len(renewals) >= QUIET / timedelta(seconds=4), "the lease is renewed every two seconds"
    assert {request["responseStatus"]["code"] for request in renewals} == {200}
    told()
