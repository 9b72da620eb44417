"""The operator's settings, read from environment variables that begin with `CETACEAN_OPERATOR_`."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cetacean_operator.api import names

_BOOKMARK_SECONDS = 70.0
"""Even a quiet watch carries something within this time: the API server sends a bookmark each minute."""
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def _own_namespace() -> str:
    """Return the namespace this process runs in: POD_NAMESPACE, the service account's, or `default`."""
    if name := os.environ.get("POD_NAMESPACE"):
        return name
    return _NAMESPACE_FILE.read_text().strip() if _NAMESPACE_FILE.is_file() else "default"


def _identity() -> str:
    """Return the lease holder's name: POD_NAME, or host and process if there is no pod."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}-{os.getpid()}"


class Settings(BaseSettings):
    """All durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="CETACEAN_OPERATOR_", extra="ignore", frozen=True)

    namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Namespaces served, separated by commas; empty: the whole cluster."
    )
    workers: int = Field(default=100, ge=1, le=256, description="Resources reconciled at the same time.")
    resync_interval: float = Field(
        default=600.0, gt=0, description="Mean time between two reconciles of every resource without any event."
    )
    reconcile_timeout: float = Field(default=60.0, gt=0, description="Bound on one reconcile.")
    request_timeout: float = Field(default=15.0, gt=0, description="Bound on one API request.")
    backoff_base: float = Field(default=0.25, gt=0, description="First delay after a failed reconcile.")
    backoff_max: float = Field(default=120.0, gt=0, description="Longest delay after failed reconciles.")

    scrape_concurrency: int = Field(default=32, ge=1, description="Pods scraped at the same time.")
    scrape_timeout: float = Field(default=3.0, gt=0, description="Bound on the scraping of one pod.")
    scrape_max_bytes: int = Field(default=1 << 20, ge=1024, description="Largest answer read from a pod.")

    runbook_url: str = Field(
        default=names.RUNBOOK, min_length=1, description="Where messages of conditions and Events point to."
    )

    leader_election: bool = Field(default=True, description="True: a Lease decides which replica acts.")
    lease_name: str = Field(default="cetacean-operator", description="Name of the Lease.")
    lease_namespace: str = Field(default_factory=_own_namespace, description="By default the pod's own.")
    pod_namespace: str = Field(
        default_factory=_own_namespace,
        description="The operator's own namespace, which NetworkPolicies of models admit. By default the pod's.",
    )
    lease_owner: str | None = Field(
        default=None, description="Deployment of that namespace with which the Lease goes; without one it stays."
    )
    lease_identity: str = Field(default_factory=_identity, description="By default `POD_NAME`, or host and process.")
    lease_duration: float = Field(default=15.0, ge=1, description="After which another may take the lease.")
    lease_renew_deadline: float = Field(default=10.0, gt=0, description="A leader that cannot renew stops.")
    lease_retry_period: float = Field(default=2.0, gt=0, description="Between two attempts.")

    probes_host: str = Field(
        default="0.0.0.0",  # noqa: S104 -- the kubelet reaches the probes on the pod's address
        description="Address of probes and metrics.",
    )
    probes_port: int = Field(default=8081, ge=0, le=65535, description="Port of the probes.")
    metrics_port: int = Field(default=8080, ge=0, le=65535, description="Port of the metrics.")
    queue_age_limit: float = Field(default=300.0, gt=0, description="Liveness fails beyond it.")
    watch_age_limit: float = Field(default=300.0, ge=2, description="Liveness fails beyond it.")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level logged."
    )
    log_format: Literal["json", "text"] = Field(
        default="json", description="One JSON object a line, or text for people."
    )

    @property
    def watch_server_timeout(self) -> int:
        """Seconds after which the API server ends a watch: the next answer shows that it is alive."""
        return max(1, int(self.watch_age_limit * 0.6))

    @property
    def watch_silence(self) -> float:
        """Seconds after which a watch that carries nothing is opened again: later than the API server ends it."""
        return min(_BOOKMARK_SECONDS, self.watch_age_limit * 0.75)

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        # As client-go: a leader must have stopped writing before another may begin.
        if not self.lease_retry_period * 1.2 < self.lease_renew_deadline < self.lease_duration:
            msg = (
                "expected 1.2 x lease_retry_period < lease_renew_deadline < lease_duration, got "
                f"{self.lease_retry_period} / {self.lease_renew_deadline} / {self.lease_duration}"
            )
            raise ValueError(msg)
        return self
