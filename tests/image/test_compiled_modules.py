"""A start compiles no Python module: the image has each of them compiled, which no container could keep."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
from support.image_tests import PACKAGES
from support.inference_world import make_settings
from support.pictures import picture
from support.served import free_port
from support.tiny_weights import sections, write_weights
from support.waiting import wait_until

PROGRAM = """
import os, sys
from importlib.machinery import SourceFileLoader

compiled = os.open(os.environ["COMPILED"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
compile_module = SourceFileLoader.source_to_code

def noted(self, data, path, **options):
    os.write(compiled, os.fsencode(path) + b"\\n")
    return compile_module(self, data, path, **options)

SourceFileLoader.source_to_code = noted
from cetacean_inference.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the service, and writes the file of each module that is compiled, also if an old one is there, to COMPILED."""


class Commands:
    """The service's commands as in a container of the image, with the settings of one folder."""

    def __init__(self, folder: Path) -> None:
        weights = folder / "weights"
        weights.mkdir()
        write_weights(weights)
        self.folder, self.port, self.compiled = folder, free_port(), folder / "compiled"
        settings = make_settings(
            folder,
            engine={"name": "openvino", "threads": 1},
            http={"host": "127.0.0.1", "port": self.port, "internal_port": 0},
            **sections(weights.as_uri()),
        )
        content = settings.model_dump(mode="json", exclude_none=True, exclude={"config_dir"})
        (folder / "inference.yaml").write_text(json.dumps(content), encoding="utf-8")

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command that notes what it had to compile."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", PROGRAM, *arguments],
                env={
                    "PATH": "/opt/venv/bin:/usr/bin:/bin",
                    "PYTHONPATH": "/app",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "HOME": "/tmp",
                    "CETACEAN_CONFIG_DIR": str(self.folder),
                    "COMPILED": str(self.compiled),
                },
                stdout=log,
                stderr=log,
            )

    def wait(self, process: subprocess.Popen[bytes]) -> list[str]:
        """Wait for the end of a command, which must be 0; return the files that it has compiled."""
        assert process.wait(timeout=120) == 0, (self.folder / "log").read_text(encoding="utf-8")
        compiled = self.compiled.read_text(encoding="utf-8").splitlines()
        return [file for file in compiled if not file.startswith(f"{PACKAGES}/")]


def test_neither_fetch_nor_serve_compiles_a_module(tmp_path: Path) -> None:
    commands = Commands(tmp_path)
    commands.wait(commands.start("fetch", "--prepare"))  # converting imports torch, whose modules are not all compiled
    assert commands.wait(commands.start("fetch")) == []
    serving = commands.start("serve")
    try:
        url = f"http://127.0.0.1:{commands.port}"

        def is_ready() -> bool:
            assert serving.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            try:
                return httpx.get(f"{url}/v2/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        wait_until(is_ready, within=60)
        answer = httpx.post(f"{url}/v1/predict-single", files={"file": ("a.png", picture(), "image/png")})
        assert answer.status_code == 200, answer.text
        assert httpx.get(f"{url}/metrics").status_code == 200
    finally:
        serving.send_signal(signal.SIGTERM)
    assert commands.wait(serving) == []
