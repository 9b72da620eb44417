"""The choice of the cluster."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("content", ["a: !!int ''", "a: !!timestamp abc", "[" * 5000, "a: !!bool foo"])
def test_a_kubeconfig_with_values_that_cannot_be_read_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "config").write_text(content)
    with pytest.raises(UnreachableError, match=r"no cluster to connect to: .*config: expected a kubeconfig$"):
        load_api_client(str(tmp_path / "config"))
