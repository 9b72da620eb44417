"""The choice of the cluster."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

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


def kubeconfig(path: Path, *names: str, **more: str) -> str:
    """Write a kubeconfig whose contexts lead to `https://NAME.example`, with the namespace `in-NAME`; return its path."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in names],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "me", "namespace": f"in-{name}"}} for name in names
        ],
        "users": [{"name": "me", "user": {"token": "t"}}],
        **more,
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


def chosen(path: str, context: str | None = None) -> tuple[str, str]:
    client, namespace = load_api_client(path, context)
    return client.configuration.host, namespace


@pytest.mark.parametrize(
    "current",
    [{}, {"current-context": ""}, {"current-context": "gone"}, {"current-context": "there"}],
    ids=["no key", "empty", "unknown", "another"],
)
def test_a_named_context_needs_no_current_one(tmp_path: Path, current: dict[str, str]) -> None:
    file = kubeconfig(tmp_path / "config", "here", "there", **current)
    assert chosen(file, "here") == ("https://here.example", "in-here")


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("a", "b", "a"), ("a", "", "a"), ("", "b", "b"), ("a", None, "a"), (None, "b", "b")],
)
def test_the_first_file_that_names_a_current_context_counts_as_for_kubectl(
    tmp_path: Path, first: str | None, second: str | None, expected: str
) -> None:
    files = [
        kubeconfig(tmp_path / name, name, **({} if current is None else {"current-context": current}))
        for name, current in (("a", first), ("b", second))
    ]
    assert chosen(os.pathsep.join(files)) == (f"https://{expected}.example", f"in-{expected}")


@pytest.mark.parametrize("current", [{}, {"current-context": ""}], ids=["no key", "empty"])
def test_without_a_context_one_line_asks_for_one(tmp_path: Path, current: dict[str, str]) -> None:
    file = kubeconfig(tmp_path / "config", "here", **current)
    expected = (
        f"no cluster to connect to: {file}: expected a current context, got none; check --kubeconfig and --context"
    )
    with pytest.raises(UnreachableError) as raised:
        load_api_client(file)
    assert raised.value.format_message() == expected


def test_a_context_that_does_not_exist_is_named(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", "here", **{"current-context": "here"})
    with pytest.raises(UnreachableError, match=r"name away .*; check --kubeconfig and --context"):
        load_api_client(file, "away")
