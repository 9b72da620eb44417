"""The operator as a process against a real API server, with the rights that the chart grants and no others."""

from __future__ import annotations

import itertools
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
        """Start it; `settings` are its fields by name. Each start writes a log file of its own into `folder`."""
        self.identity = identity
        self.log = _unused(folder, f"{account.name}-{identity}")
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
        """Wait until /readyz returns 200."""
        until(f"/readyz of {self.identity}", self.ready, within=60)

    def ports(self) -> tuple[str, str] | None:
        """Return the ports of probes and metrics, None before the process has logged them."""
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
        """Return true if its metrics say that it holds the Lease."""
        return self.metric("cetacean_operator_leader") == 1.0

    def end(self, number: signal.Signals) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)

    def records(self) -> list[dict[str, Any]]:
        """Return the records of its log; a line that is no JSON counts as an error."""
        lines = [line for line in self.log.read_text().splitlines(keepends=True) if line.strip()]
        if self.process.poll() == -signal.SIGKILL and lines and not lines[-1].endswith("\n"):
            lines.pop()  # it was killed while it wrote
        return [
            json.loads(line)
            if line.startswith("{")
            else {"level": "ERROR", "reason": "NoJSON", "message": line, "logger": ""}
            for line in lines
        ]

    def faults(self) -> list[dict[str, Any]]:
        """Return the records that no run may log: errors, and requests that the API server has forbidden."""
        return [
            record
            for record in self.records()
            if record["level"] in ("ERROR", "CRITICAL") or re.search(r"\b403\b|is forbidden: User", record["message"])
        ]

    def ready(self) -> bool:
        """Return true if /readyz returns 200."""
        return self.probe("readyz")[0] == 200

    def probe(self, name: str) -> tuple[int, str]:
        """Return status and text of a probe; the status is 0 if nobody answers."""
        assert self.process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
        if (ports := self.ports()) is None:
            return 0, ""
        try:
            answer = httpx.get(f"http://127.0.0.1:{ports[0]}/{name}", trust_env=False)
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text


def _unused(folder: Path, stem: str) -> Path:
    """Return the path of a log file that does not exist yet: `STEM.log`, `STEM-2.log`, …"""
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for name in names if not (path := folder / f"{name}.log").exists())


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
    """Run the operator until the block ends; then assert that it leads, logged no error and lacked no right.

    Without `leads` it may have lost the Lease. With `outage` the API server is expected to fail meanwhile: then neither
    retries nor refusals count as errors, because an API server authorizes nobody until it has read the roles.
    """
    operator = OperatorProcess(account, folder, identity, settings, program)
    try:
        operator.wait_until_ready()
        yield operator
        if leads:
            until(
                f"{identity} to hold the lease",
                lambda: operator.process.poll() is not None or operator.leads(),
                within=30,
            )
    finally:
        if operator.process.poll() is None:
            status = operator.end(signal.SIGTERM)
            assert status == 0, f"exit status {status}"
        print(operator.log.read_text()[-6000:])
    assert [fault for fault in operator.faults() if not (outage and _is_transient(fault))] == []
    ours = [record for record in operator.records() if record["logger"].startswith("cetacean_operator")]
    assert all(record.get("reason") for record in ours), ours


def _is_transient(record: Mapping[str, Any]) -> bool:
    retried = record["logger"].startswith("kopf.") and "will retry" in record["message"]
    return retried or record["level"] in ("INFO", "WARNING")


def model(name: str, *, active: str = "first", serving: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a CetaceanModel with two entries that both pass the gate; without replicas unless `serving` has some."""
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


UNSCHEDULABLE: Mapping[str, Any] = {"nodeSelector": {"sea": "deep"}}
"""For `serving`: no node fits these pods, so none needs to start."""


def wait_until_observed(kubectl: Kubectl, name: str, *, within: float = 30.0) -> dict[str, Any]:
    """Wait until the status is about the resource's present generation; return the resource."""

    def probe() -> dict[str, Any] | None:
        found = kubectl.get("cetaceanmodel", name)
        seen = found.get("status", {}).get("observedGeneration")
        return found if seen == found["metadata"]["generation"] else None

    return until(f"the status of {name} to be about its present generation", probe, within=within) or {}


def wait_for_ready_reason(kubectl: Kubectl, name: str, reason: str, *, within: float = 40.0) -> dict[str, Any]:
    """Wait until the condition Ready has this reason for the resource's present generation; return the resource."""

    def probe() -> dict[str, Any] | None:
        found = kubectl.get("cetaceanmodel", name)
        ready = condition(found, "Ready")
        seen = (ready.get("reason"), ready.get("observedGeneration"))
        return found if seen == (reason, found["metadata"]["generation"]) else None

    return until(f"the condition Ready of {name} to have the reason {reason}", probe, within=within) or {}


def condition(resource: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of a resource, empty if there is none."""
    found: Mapping[str, Any] = next(
        (item for item in resource.get("status", {}).get("conditions", ()) if item["type"] == kind), {}
    )
    return found


def find(kubectl: Kubectl, *arguments: str) -> dict[str, Any] | None:
    """Run `kubectl get` for one object; return None if it does not exist."""
    try:
        return kubectl.get(*arguments)
    except CommandError as error:
        if "(NotFound)" in str(error):
            return None
        raise
