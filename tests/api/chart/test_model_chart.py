"""The chart for one model: its output, its errors, and that the API server accepts it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.snapshots import check

from cetacean_tools.demo.kubectl import CommandError, Kubectl

from .conftest import MODEL_CHART, REPOSITORY, RefusedError, Render

SNAPSHOT = Path(__file__).with_name("snapshots") / "model.yaml"
EXAMPLES = sorted((REPOSITORY / "examples").glob("*.yaml"))


def values_of(file: Path) -> dict[str, Any]:
    """Return values that render to an example's resource."""
    return {"spec": yaml.safe_load(file.read_text())["spec"]}


@pytest.fixture
def values() -> dict[str, Any]:
    return values_of(REPOSITORY / "examples/full.yaml")


def test_helm_lint_finds_nothing(helm: Path, values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    command: list[str | Path] = [helm, "lint", "--strict", MODEL_CHART, "--values", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_output_equals_the_snapshot(render: Render, values: dict[str, Any], tmp_path: Path) -> None:
    rendered = render({"labels": {"team": "whales"}, "annotations": {"a": "b"}, **values}, chart=MODEL_CHART).text
    check(SNAPSHOT, rendered, tmp_path)


def test_a_label_of_the_values_wins_over_the_charts(render: Render, values: dict[str, Any]) -> None:
    """The fixture refuses an output that has a key twice."""
    plain = render(values, chart=MODEL_CHART).one("CetaceanModel")["metadata"]["labels"]
    given = {"app.kubernetes.io/name": "whales", "team": "sea"}
    found = render({"labels": given, **values}, chart=MODEL_CHART).one("CetaceanModel")["metadata"]["labels"]
    assert found == {**plain, **given}


@pytest.mark.parametrize(("name", "expected"), [("", "whales"), ("minke", "minke")], ids=["release", "value"])
def test_the_resource_is_named_by_the_release_or_by_the_value(
    render: Render, values: dict[str, Any], name: str, expected: str
) -> None:
    made = render({"name": name, **values}, chart=MODEL_CHART).one("CetaceanModel")
    assert (made["metadata"]["name"], made["metadata"]["namespace"]) == (expected, "system")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (("serving",), {"imag": "x"}, "at '/spec/serving': additional properties 'imag' not allowed"),
        (("registry", "models", 0), {"sha265": None}, "at '/spec/registry/models/0': additional properties 'sha265'"),
        (("registry",), {"active": 1}, "at '/spec/registry/active': got number, want string"),
        (("drift",), {"alarmDrop": 2}, "at '/spec/drift/alarmDrop': maximum: got 2, want 1"),
    ],
    ids=["serving", "model", "active", "bound"],
)
def test_helm_names_the_wrong_value(
    render: Render, values: dict[str, Any], part: tuple[Any, ...], change: dict[str, Any], message: str
) -> None:
    place = values["spec"]
    for step in part:
        place = place[step]
    place |= change
    with pytest.raises(RefusedError, match="values don't meet the specifications") as refused:
        render(values, chart=MODEL_CHART)
    assert message in str(refused.value)


def test_without_a_model_helm_names_the_missing_properties(render: Render) -> None:
    with pytest.raises(RefusedError, match="at '/spec': missing properties 'registry', 'serving'"):
        render(chart=MODEL_CHART)


def test_the_api_server_accepts_every_rendered_example_with_strict_validation(
    namespaced: Kubectl, render: Render
) -> None:
    made = []
    for file in EXAMPLES:
        values = values_of(file)
        # Helm reads numbers as floats, which must not reach the API server as 1e+06.
        values["spec"].setdefault("drift", {})["window"] = 1_000_000
        flags = ("--namespace", namespaced.namespace)
        made.append(render({"name": file.stem, **values}, *flags, chart=MODEL_CHART).text)
    assert len(made) > 3
    said = namespaced("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin="\n---\n".join(made))
    assert len(said.splitlines()) == len(made)


def test_a_field_that_others_have_changed_stops_an_upgrade_unless_it_is_forced(
    namespaced: Kubectl, values: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    upgrade = ("upgrade", "--install", "owned", str(MODEL_CHART), "--values", str(file))

    def threshold() -> float:
        found: float = namespaced.get("cetaceanmodel", "owned")["spec"]["antiFraud"]["threshold"]
        return found

    namespaced.run_helm(*upgrade)
    before = threshold()
    patch = json.dumps({"spec": {"antiFraud": {"threshold": 0.0}}})
    namespaced("patch", "cetaceanmodel", "owned", "--type=merge", "-p", patch)
    with pytest.raises(CommandError, match=r"(?s)conflict.*kubectl.*\.spec\.antiFraud\.threshold"):
        namespaced.run_helm(*upgrade)
    assert threshold() == 0.0, "nothing was changed"
    namespaced.run_helm(*upgrade, "--force-conflicts")
    assert threshold() == before
    namespaced.run_helm("uninstall", "owned")
