"""The operator as a process against a real API server, under a ServiceAccount that has what the chart grants and no more."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until
from support.accounts import Account

REPOSITORY = Path(__file__).resolve().parents[2]
_CODE = os.pathsep.join(str(REPOSITORY / folder) for folder in ("operator", "models"))
PROGRAM = ("-m", "cetacean_operator", "run")


class OperatorProcess:
    """One `python -m cetacean_operator run`."""

    def __init__(
        self,
        account: Account,
        folder: Path,
        identity: str,
        settings: Mapping[str, object],
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Start it; `settings` are its fields by name, the log goes into `folder`."""
        self.identity = identity
        self.log = folder / f"{account.name}-{identity}.log"
        given: dict[str, object] = {
            "namespaces": ",".join(account.served),
            "lease_name": account.name,
            "lease_namespace": account.kubectl.namespace,
            "lease_identity": identity,
            "probes_host": "127.0.0.1",
            "probes_port": 0,
            "metrics_port": 0,
        } | dict(settings)
        environment = {f"CETACEAN_OPERATOR_{name.upper()}": str(value) for name, value in given.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env={**os.environ, "PYTHONPATH": _CODE, "KUBECONFIG": str(account.kubectl.kubeconfig), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        """Wait for /readyz."""
        until(f"/readyz of {self.identity}", self.ready, within=60)

    def ports(self) -> tuple[str, str] | None:
        """Return the ports of probes and metrics, as soon as the process has them."""
        found = re.search(r"probes on port (\d+), metrics on port (\d+)", self.log.read_text())
        return (found[1], found[2]) if found else None

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and value of each series of a metric."""
        ports = self.ports()
        assert ports, "not started yet"
        text = httpx.get(f"http://127.0.0.1:{ports[1]}/metrics", trust_env=False).text
        return [
            (dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        ]

    def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        ((_, value),) = self.samples(name)
        return value

    def leads(self) -> bool:
        """Whether it holds the lease, by its own word."""
        return self.metric("cetacean_operator_leader") == 1.0

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def records(self) -> list[dict[str, Any]]:
        """Return what it logged; a line that is no JSON counts as an error."""
        lines = [line for line in self.log.read_text().splitlines() if line]
        return [
            json.loads(line)
            if line.startswith("{")
            else {"level": "ERROR", "reason": "NoJSON", "message": line, "logger": ""}
            for line in lines
        ]

    def faults(self) -> list[dict[str, Any]]:
        """Return what no run may log: errors, and that it was not allowed something."""
        return [
            record
            for record in self.records()
            if record["level"] in ("ERROR", "CRITICAL") or re.search(r"\b403\b|is forbidden: User", record["message"])
        ]

    def ready(self) -> bool:
        """Ask /readyz."""
        return self.probe("readyz")[0] == 200

    def probe(self, name: str) -> tuple[int, str]:
        """Ask a probe; return status and text, 0 while nobody answers."""
        assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
        if (ports := self.ports()) is None:
            return 0, ""
        try:
            answer = httpx.get(f"http://127.0.0.1:{ports[0]}/{name}", trust_env=False)
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text


@contextmanager
def running(
    account: Account,
    folder: Path,
    *,
    identity: str = "one",
    outage: bool = False,
    leads: bool = True,
    program: Sequence[str] = PROGRAM,
    **settings: object,
) -> Iterator[OperatorProcess]:
    """Run the operator until the block ends; it must hold the lease then, have lacked no right and logged no error.

    Without `leads` it may have lost the lease. With `outage` the API server goes away meanwhile: what is tried again is
    no error then, and a refusal none either, as the API server authorizes nobody until it has read the roles.
    """
    operator = OperatorProcess(account, folder, identity, settings, program)
    try:
        operator.wait_until_ready()
        yield operator
        if leads:
            until(
                f"the lease of {identity}", lambda: operator.process.poll() is not None or operator.leads(), within=30
            )
    finally:
        if operator.process.poll() is None:
            status = operator.end(signal.SIGTERM)
            assert status == 0, f"exit status {status}"
        print(operator.log.read_text()[-6000:])
    assert [fault for fault in operator.faults() if not (outage and _passes(fault))] == []
    ours = [record for record in operator.records() if record["logger"].startswith("cetacean_operator")]
    assert all(record.get("reason") for record in ours), ours


def _passes(record: Mapping[str, Any]) -> bool:
    retried = record["logger"].startswith("kopf.") and "will retry" in record["message"]
    return retried or record["level"] in ("INFO", "WARNING")


def model(name: str, *, active: str = "first", serving: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A CetaceanModel with two entries that both pass the gate; no replicas unless `serving` says so."""
    entries = [
        {
            "name": entry,
            "version": version,
            "architecture": "CetaceanIdentificationModel",
            "weightsUrl": f"https://example.org/{entry}.ckpt",
            "sha256": digit * 64,
            "metrics": {
                "tpr": 0.95,
                "tnr": 0.92,
                "cetaceanScoreMean": 0.9,
                "sampleSize": 200,
                "evaluationSet": "test",
            },
        }
        for entry, version, digit in (("first", "1.0.0", "a"), ("second", "1.1.0", "b"))
    ]
    return {
        "apiVersion": "ecomarineai.org/v1alpha1",
        "kind": "CetaceanModel",
        "metadata": {"name": name},
        "spec": {
            "registry": {"schemaVersion": "1.0", "active": active, "models": entries},
            "serving": {"image": "127.0.0.1:1/absent:1", "replicas": 0, **(serving or {})},
            **spec,
        },
    }


NOWHERE: Mapping[str, Any] = {"nodeSelector": {"sea": "deep"}}
"""For `serving`: pods that no node takes, so that nothing needs to start."""


def settled(kubectl: Kubectl, name: str, *, within: float = 30.0) -> dict[str, Any]:
    """Wait until the operator has acted on the resource's present generation; return the resource."""

    def probe() -> dict[str, Any] | None:
        found = kubectl.get("cetaceanmodel", name)
        seen = found.get("status", {}).get("observedGeneration")
        return found if seen == found["metadata"]["generation"] else None

    return until(f"{name} to be acted on", probe, within=within) or {}


def ready_because(kubectl: Kubectl, name: str, reason: str, *, within: float = 40.0) -> dict[str, Any]:
    """Wait until the condition Ready has this reason for the resource's present generation; return the resource."""

    def probe() -> dict[str, Any] | None:
        found = kubectl.get("cetaceanmodel", name)
        ready = condition(found, "Ready")
        seen = (ready.get("reason"), ready.get("observedGeneration"))
        return found if seen == (reason, found["metadata"]["generation"]) else None

    return until(f"{name} to be told {reason}", probe, within=within) or {}


def condition(resource: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """A condition of a resource; empty where there is none."""
    found: Mapping[str, Any] = next(
        (item for item in resource.get("status", {}).get("conditions", ()) if item["type"] == kind), {}
    )
    return found


def find(kubectl: Kubectl, *arguments: str) -> dict[str, Any] | None:
    """`kubectl get` of one object, None where there is none."""
    try:
        return kubectl.get(*arguments)
    except CommandError as error:
        if "(NotFound)" in str(error):
            return None
        raise
