"""A process that serves the fake pipeline: `python serve_fake.py DIRECTORY`, controlled by files in the directory."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cetacean_inference.cli import write_termination_message
from cetacean_inference.errors import DigestMismatch, FatalError
from cetacean_inference.http.serve import run
from cetacean_inference.settings import Settings
from cetacean_inference.shadow.client import ShadowClient
from cetacean_inference.types import Scores
from support.inference_world import Colour, FakePipeline, make_settings
from support.on_loopback import OnLoopback
from support.waiting import wait_until


class ControlledPipeline(FakePipeline):
    """Creates the file `computing` when a batch begins, and computes when the file `compute` exists."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def predict(self, batch: Sequence[Colour], *, threshold: float = 0.0) -> list[Scores]:
        (self._directory / "computing").touch()
        _wait_for(self._directory / "compute")
        return super().predict(batch, threshold=threshold)


def main(directory: Path) -> int:
    """Serve on the port in the file `port`."""

    def load(_: Settings) -> ControlledPipeline:
        _wait_for(directory / "load")
        if message := (directory / "load").read_text(encoding="utf-8"):
            raise DigestMismatch(message)
        return ControlledPipeline(directory)

    grace = int((directory / "grace").read_text(encoding="utf-8"))
    port = int((directory / "port").read_text(encoding="utf-8"))
    internal = int((directory / "internal-port").read_text(encoding="utf-8"))
    http = {"port": port, "internal_port": internal, "grace_period_seconds": grace}
    given = directory / "sections.json"
    sections: dict[str, Any] = json.loads(given.read_bytes()) if given.exists() else {}
    settings = make_settings(directory, http=http, **sections)
    candidates = directory / "candidates.json"
    client = None
    if candidates.exists():
        ports: dict[str, int] = json.loads(candidates.read_bytes())
        client = ShadowClient(timeout_seconds=settings.shadow.timeout_seconds, transport=OnLoopback(ports))
    try:
        return run(settings, load=load, shadow_client=client)
    except FatalError as error:
        write_termination_message(error.line, settings.termination_message_file)
        return 1


def _wait_for(path: Path) -> None:
    wait_until(path.exists, within=float("inf"))  # the test kills the process if the file never comes


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
