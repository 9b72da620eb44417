"""The operator's memory and open files, and its writes while nothing happens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.installation import OPERATOR_NAMESPACE
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.audit_log import AuditLog
from cetacean_tools.local_cluster.local import LocalCluster

IDLE_SECONDS: Final = 60
_PORT: Final = 8080
_READS: Final = frozenset({"get", "list", "watch"})


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the operator at one time."""

    pod: str
    resident_mb: float
    open_files: int


def operator_process(environment: Environment) -> Process:
    """Return the figures of the operator's pod, once it answers."""

    def probe() -> Process | None:
        pods = environment.kubectl.get(
            "-n", OPERATOR_NAMESPACE, "pods", "-l", "app.kubernetes.io/name=cetacean-operator"
        )["items"]
        for pod in pods:
            meta = pod["metadata"]
            if "deletionTimestamp" in meta:
                continue
            url = (
                f"{environment.proxy}/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{meta['name']}:{_PORT}/proxy/metrics"
            )
            try:
                text = environment.client.get(url).raise_for_status().text
            except httpx.HTTPError:
                continue
            values = {
                sample.name: sample.value
                for family in text_string_to_metric_families(text)
                if family.name.startswith("process_")
                for sample in family.samples
            }
            return Process(
                meta["name"],
                round(values["process_resident_memory_bytes"] / 1e6, 1),
                int(values["process_open_fds"]),
            )
        return None

    found = until("the operator's metrics", probe, within=120)
    assert found is not None
    return found


def idle_writes(cluster: LocalCluster, environment: Environment) -> list[str]:
    """Return the operator's writes of the last quiet minute, from the API server's audit log.

    Waits until the log has a request that came `IDLE_SECONDS` after the call, so that the minute is over for the API
    server too. Renewals of the Lease are no writes here.
    """
    log = AuditLog(cluster.layout.logs)
    size = log.size()

    def over() -> bool:
        # Each of these is a request of ours; the log's time stamps are the API server's.
        environment.kubectl.get("namespaces")
        return _span(log.requests(since=size)) >= IDLE_SECONDS

    until("a minute without changes", over, within=4 * IDLE_SECONDS)
    user = f"system:serviceaccount:{OPERATOR_NAMESPACE}:"
    return [
        f"{request['verb']} {reference.get('resource')}/{reference.get('name')} {request.get('requestURI', '')}"
        for request in log.requests(since=size)
        if request["user"]["username"].startswith(user)
        and request["verb"] not in _READS
        and (reference := request.get("objectRef", {})).get("resource") != "leases"
    ]


def _span(requests: list[dict[str, Any]]) -> float:
    if not requests:
        return 0.0
    at = sorted(datetime.fromisoformat(request["requestReceivedTimestamp"]) for request in requests)
    return (at[-1] - at[0]).total_seconds()
