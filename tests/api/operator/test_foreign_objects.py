"""Objects of others with our label, however many and large: the operator starts, serves, and stays small."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.accounts import Account
from support.live_operator import model, running, wait_for_ready_reason

from cetacean_tools.demo.kubectl import Kubectl

pytestmark = pytest.mark.alone  # the operator serves every namespace, and the API server holds half a gigabyte
COUNT, BYTES, AT_ONCE = 500, 1_000_000, 20
MOST_MEGABYTES = 256


@pytest.fixture
def many_foreign_objects(kubectl: Kubectl) -> Iterator[Kubectl]:
    """A namespace with 500 ConfigMaps of 1 MB that bear the label of a CetaceanModel's children."""
    tenant = replace(kubectl, namespace=f"test-foreign-{uuid.uuid4().hex[:8]}")
    kubectl("create", "namespace", tenant.namespace)
    labels = {"ecomarineai.org/cetaceanmodel": "whales"}
    for first in range(0, COUNT, AT_ONCE):
        items = [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"foreign-{number}", "labels": labels},
                "data": {"text": "x" * BYTES},
            }
            for number in range(first, first + AT_ONCE)
        ]
        tenant(
            "create",
            "--validate=false",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
        )
    yield tenant
    kubectl("delete", "namespace", tenant.namespace, "--wait=false")


def peak_megabytes(pid: int) -> float:
    """Return the highest resident memory of a process so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) / 1024


def test_the_operator_stays_small_beside_labelled_objects_of_others(
    cluster_account: Account, many_foreign_objects: Kubectl, namespaced: Kubectl, folder: Path
) -> None:
    with running(cluster_account, folder) as operator:
        namespaced.apply(model("whales"))
        wait_for_ready_reason(namespaced, "whales", "ScaledToZero", within=20)
        # Their events come as well; kubectl reads each object before it is changed, so some of them do.
        some = [f"foreign-{number}" for number in range(AT_ONCE)]
        many_foreign_objects("label", "configmaps", *some, "team=sea")
        namespaced.apply(model("whales", active="second"))
        found = wait_for_ready_reason(namespaced, "whales", "ScaledToZero", within=20)
        assert found["status"]["active"]["name"] == "second"
        assert peak_megabytes(operator.process.pid) < MOST_MEGABYTES
        namespaced("delete", "cetaceanmodels", "--all", "--wait=true")
