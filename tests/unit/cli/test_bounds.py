"""Numbers outside of their bounds are wrong usage, before anything is asked or changed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest

from cetacean_cli.main import cli
from cetacean_registry.companions import COMPANION_FILES

from .conftest import Registry, Run


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[(option, "nan") for option in ("--min-tnr", "--min-tpr", "--min-top1", "--min-species-accuracy")],
        ("--max-regression", "nan"),
        ("--species-max-regression", "inf"),
        ("--species-min-samples", "1000001"),
    ],
)
def test_a_bound_that_no_policy_can_have_is_wrong_usage(registry: Registry, option: str, value: str) -> None:
    registry.add("a", "1.0.0").add("b", "1.1.0")
    done = registry.run("gate", "check", "b", option, value)
    assert (done.exit_code, f"Invalid value for '{option}'" in done.stderr) == (2, True), done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("emergency", "restore", "whales", "--threshold", "nan"),
        *[("promote", "whales", "second", "--wait", "--timeout", seconds) for seconds in ("inf", "nan", "1e999", "0")],
        ("rollback", "whales", "--to", "second", "--wait", "--timeout", "nan"),
    ],
    ids=str,
)
def test_a_number_without_an_end_changes_nothing(server: KubeServer, kubectl: Run, arguments: tuple[str, ...]) -> None:
    world = World(manifest(entry("first"), entry("second", "b", version="1.1.0")))
    world.settle()
    server.add(world.obj)
    done = kubectl(*arguments, "--yes")
    assert (done.exit_code, "Invalid value for '--t" in done.stderr) == (2, True), done.output
    assert not server.patches


@pytest.mark.parametrize(
    "arguments",
    [
        ("registry", "validate", "--file", "CIRCLE"),
        ("registry", "import", "REGISTRY", "--file", "CIRCLE/models/registry.json"),
        (
            "registry",
            "add",
            "c",
            "--version",
            "2.0.0",
            "--like",
            "a",
            "--weights-url",
            "https://e/c.pt",
            "--metrics",
            "CIRCLE",
        ),
        ("registry", "sign", "WEIGHTS", "--key", "KEY", "--signature", "CIRCLE"),
    ],
    ids=lambda one: " ".join(one[:2]),
)
def test_a_path_through_links_in_a_circle_is_one_line(registry: Registry, arguments: tuple[str, ...]) -> None:
    registry.add("a", "1.0.0")
    circle, weights = registry.root / "circle", registry.root / "a.safetensors"
    circle.symlink_to("circle")
    for path in (weights, *(registry.root / name for name in COMPANION_FILES)):
        path.touch()
    places = {"CIRCLE": circle, "REGISTRY": registry.file, "WEIGHTS": weights, "KEY": weights}
    given = [str(places.get(one, one)).replace("CIRCLE/", f"{circle}/") for one in arguments]
    done = CliRunner().invoke(
        cli, [*given, *(() if "--file" in given or "sign" in given else ("--file", str(registry.file)))]
    )
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output or done.exception
    assert f"Error: {circle}" in done.stderr
