"""Settings come from the environment; values that would allow two leaders are rejected."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from cetacean_operator.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("CETACEAN_OPERATOR_", "POD_"))]:
        monkeypatch.delenv(name)


def test_every_setting_has_a_default() -> None:
    settings = Settings()
    assert settings.namespaces == ()
    assert (settings.metrics_port, settings.probes_port) == (8080, 8081)
    assert settings.leader_election
    assert settings.lease_namespace == "default"
    assert str(os.getpid()) in settings.lease_identity


@pytest.mark.parametrize(
    ("text", "namespaces"), [("", ()), ("a", ("a",)), (" a, b ,,a", ("a", "b"))], ids=["all", "one", "several"]
)
def test_namespaces_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, text: str, namespaces: object) -> None:
    monkeypatch.setenv("CETACEAN_OPERATOR_NAMESPACES", text)
    assert Settings().namespaces == namespaces


def test_lease_identity_and_namespace_are_those_of_the_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAME", "operator-7")
    monkeypatch.setenv("POD_NAMESPACE", "systems")
    settings = Settings()
    assert (settings.lease_identity, settings.lease_namespace) == ("operator-7", "systems")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKERS", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("REQUEST_TIMEOUT", "-1"),
        ("PROBES_PORT", "70000"),
        ("LEASE_RENEW_DEADLINE", "15"),  # as long as the lease itself: two could lead
        ("LEASE_RETRY_PERIOD", "9"),
        ("WATCH_AGE_LIMIT", "1"),  # a quiet watch would exceed it
    ],
)
def test_invalid_settings_are_rejected(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"CETACEAN_OPERATOR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
