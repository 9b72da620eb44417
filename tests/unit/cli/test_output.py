"""Text from the cluster and from files commands no terminal, and forges no line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from rich.text import Text
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest

import cetacean_cli
from cetacean_cli.confirm import Change
from cetacean_cli.errors import RefusedError
from cetacean_cli.output import console, echo, print_json, print_yaml, table
from cetacean_registry.messages import printable

from .conftest import Registry, Run

HOSTILE = "wrong \x1b]0;title\x07\x1b[2J\x1b[1;1H\x9b2J\u202e\x7f"
FORGED = "a\nok    b\r\x0bc"


def is_harmless(text: str) -> bool:
    return all(character.isprintable() or character == "\n" for character in text)


@pytest.mark.parametrize("text", [HOSTILE, FORGED, "a\tb\xa0c\u2028d"])
def test_a_printable_text_is_one_line_of_the_same_length(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown) == len(text)


def test_words_of_all_languages_and_spaces_stay() -> None:
    for text in ("ok    белуха, 白鯨, beluga → 1 🐋", ""):
        assert printable(text) == text


def test_lines_errors_and_changes_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    echo(HOSTILE)
    echo(FORGED, err=True)
    printed = capsys.readouterr()
    assert is_harmless(printed.out + printed.err)
    assert (printed.out.count("\n"), printed.err.count("\n")) == (1, 1)
    assert RefusedError(HOSTILE).format_message().isprintable()
    echo("  ::error::forged")
    assert capsys.readouterr().out == "  : :error::forged\n"
    assert str(Change("a", HOSTILE, FORGED)).isprintable()


def test_cells_of_tables_are_harmless_and_keep_their_style() -> None:
    with (out := console()).capture() as captured:
        out.print(table(("A", "B"), [(HOSTILE, Text(FORGED + HOSTILE, style="red"))]))
    assert is_harmless(captured.get())
    styled = table(("A",), [(Text("a\x1bb", style="red"),)])
    assert list(styled.columns[0].cells) == [Text("a\ufffdb", style="red")]


def test_json_and_yaml_escape_what_is_not_printable(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"белуха 🐋": [HOSTILE, FORGED, "\U000e0001"]}
    for dump, load in ((print_json, json.loads), (print_yaml, yaml.safe_load)):
        dump(data)
        printed = capsys.readouterr().out
        assert is_harmless(printed)
        assert load(printed) == data
    print_json({"белуха": 1})
    print_yaml({"белуха": 1})
    assert capsys.readouterr().out.count("белуха") == 2


def poisoned(value: Any) -> Any:
    """Return a status with hostile text after each word of a person, of a container or of another object."""
    if isinstance(value, list):
        return [poisoned(item) for item in value]
    if isinstance(value, dict):
        return {
            key: f"{item} {HOSTILE} {FORGED}" if key in ("message", "why") else poisoned(item)
            for key, item in value.items()
        }
    return value


@pytest.mark.parametrize(
    "command",
    [
        ("status", "whales"),
        ("history", "whales"),
        ("drift", "whales", "--no-pods"),
        ("candidate", "show", "whales"),
        ("release", "plan", "whales"),
        ("promote", "whales", "second"),
    ],
)
@pytest.mark.parametrize("output", ["table", "json"])
def test_a_hostile_status_is_shown_as_text(
    server: KubeServer, kubectl: Run, command: tuple[str, ...], output: str
) -> None:
    second = entry("second", "b", version="1.1.0", displayName=HOSTILE)
    world = World(manifest(entry("first", "a", displayName=HOSTILE), second, rollout={"stages": [{"shadow": {}}]}))
    world.settle()
    server.add(world.obj | {"status": poisoned(world.obj["status"])})
    done: Result = kubectl(*command, "-o", output, input="n\n")
    assert isinstance(done.exception, SystemExit | None)
    assert is_harmless(done.output)
    assert "wrong" in done.output or command[0] in ("drift", "release", "promote")


def test_a_hostile_registry_is_shown_as_text(registry: Registry) -> None:
    registry.add("a", "1.0.0", figures={"manifest_path": HOSTILE}, notes=FORGED, metrics_snapshot=f"reports/{HOSTILE}")
    for command in (("registry", "validate"), ("gate", "check", "a"), ("registry", "to-manifest", "x", "--image", "y")):
        assert is_harmless(registry.run(*command).output)


def test_only_one_module_prints() -> None:
    # What else prints would have to think of hostile text too.
    folder = Path(cetacean_cli.__file__).parent
    printing = [path.name for path in folder.rglob("*.py") if "click.echo(" in path.read_text(encoding="utf-8")]
    assert printing == ["output.py"]
