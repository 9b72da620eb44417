"""The settings of an evaluation: digests belong to the files that they were named for, and to no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cetacean_evaluation.commandline import parser, settings_of
from cetacean_inference.settings import GateSettings, ModelSettings
from cetacean_registry.registry import ModelEntry

ENTRY = ModelEntry(
    name="first",
    version="1.0.0",
    architecture="CetaceanIdentificationModel",
    weights_url="https://example.org/first.safetensors",
    sha256="a" * 64,
    files={"species_map.csv": "b" * 64},
)


@pytest.fixture(autouse=True)
def _gate_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CETACEAN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CETACEAN_GATE__SHA256", "c" * 64)
    monkeypatch.setenv("CETACEAN_GATE__REVISION", "main")


def settings(root: Path, *arguments: str, weights: str | None = None) -> tuple[ModelSettings, GateSettings]:
    return settings_of(parser("evaluate", "", root).parse_args(arguments), ENTRY, weights)


def test_the_entrys_digests_are_verified(tmp_path: Path) -> None:
    model, gate = settings(tmp_path)
    assert (model.sha256, model.files) == ("a" * 64, {"species_map.csv": "b" * 64})
    assert (gate.sha256, gate.revision) == ("c" * 64, "main")


def test_other_weights_have_other_files_beside_them(tmp_path: Path) -> None:
    model, _ = settings(tmp_path, weights="https://example.org/other.safetensors")
    assert (model.sha256, model.files) == (None, {})


def test_another_gate_has_neither_the_digests_nor_the_revision_of_the_configured_one(tmp_path: Path) -> None:
    _, gate = settings(tmp_path, "--gate-weights", "https://x/g.safetensors", "--gate-config", "https://x/g.json")
    assert (gate.sha256, gate.revision, gate.config_sha256) == (None, None, None)


def test_results_and_messages_keep_their_order_in_one_pipe() -> None:
    program = (
        "import argparse, sys\n"
        "from cetacean_evaluation.commandline import run\n"
        "def command(_):\n"
        "    print('result')\n"
        "    print('message', file=sys.stderr)\n"
        "    return 0\n"
        "sys.exit(run(command, argparse.Namespace()))\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-2:] == ["result", "message"]
