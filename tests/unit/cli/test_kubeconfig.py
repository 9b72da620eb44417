"""The choice of the cluster."""

from __future__ import annotations

import pytest

from cetacean_cli.errors import UnreachableError
from cetacean_cli.kubeconfig import load_api_client


def test_a_user_without_a_home_and_without_a_kubeconfig_gets_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    for name in ("HOME", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(UnreachableError, match=r"no cluster to connect to: .*; check --kubeconfig and --context"):
        load_api_client()
