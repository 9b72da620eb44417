"""If nothing changes, the operator only watches and renews its Lease: the API server's audit log has no other request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.accounts import Account
from support.live_operator import OperatorProcess, model, wait_for_ready_reason

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.audit_log import AuditLog
from cetacean_tools.local_cluster.local import LocalCluster

QUIET = timedelta(minutes=1)

pytestmark = pytest.mark.waits


def requests(log: AuditLog, user: str) -> list[dict[str, Any]]:
    """Return all requests of a user, in order."""
    found = [item for item in log.requests(containing=user) if item["user"]["username"] == user]
    return sorted(found, key=at)


def at(request: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(request["requestReceivedTimestamp"])


def is_renewal(request: dict[str, Any]) -> bool:
    return (request["verb"], request["objectRef"]["resource"]) == ("update", "leases")


def test_an_idle_operator_only_watches_and_renews_its_lease(
    namespaced_operator: OperatorProcess, namespaced_account: Account, namespaced: Kubectl, local_cluster: LocalCluster
) -> None:
    assert namespaced_operator
    namespaced.apply(model("scaled-to-zero"))
    namespaced.apply(model("failing", serving={"replicas": 1}))

    def wait_for_both() -> None:
        wait_for_ready_reason(namespaced, "scaled-to-zero", "ScaledToZero")
        wait_for_ready_reason(namespaced, "failing", "ImagePull")

    wait_for_both()

    def quiet_period() -> list[dict[str, Any]]:
        """Return the last requests if they have been only renewals and watches for long enough."""
        last = []
        for request in reversed(requests(AuditLog(local_cluster.layout.logs), namespaced_account.user)):
            if request["verb"] != "watch" and not is_renewal(request):
                break
            last.append(request)
        renewals = [item for item in last if is_renewal(item)]
        return renewals if renewals and at(renewals[0]) - at(renewals[-1]) >= QUIET else []

    # Meanwhile the kubelet tries to pull the image, and changes the pod's status each time.
    renewals = until("a quiet period", quiet_period, within=150)
    assert len(renewals) >= QUIET / timedelta(seconds=4), "the lease is renewed every two seconds"
    assert {request["responseStatus"]["code"] for request in renewals} == {200}
    wait_for_both()
