"""A real process that serves the fake pipeline: `python serve_fake.py DIRECTORY`, steered by files in the directory."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cetacean_inference.cli import report
from cetacean_inference.errors import CannotGoOn, DigestMismatch
from cetacean_inference.http.serve import run
from cetacean_inference.settings import Settings
from cetacean_inference.types import Scores
from support.inference_world import Colour, FakePipeline, make_settings


class SteeredPipeline(FakePipeline):
    """Computes once the file `compute` is there, and says by the file `computing` that it waits for it."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory

    def predict(self, batch: Sequence[Colour], *, threshold: float = 0.0) -> list[Scores]:
        (self._directory / "computing").touch()
        wait_for(self._directory / "compute")
        return super().predict(batch, threshold=threshold)


def wait_for(path: Path) -> None:
    """Until the file is there; the process is ended from outside if it never comes."""
    while not path.exists():
        time.sleep(0.005)


def main(directory: Path) -> int:
    """Serve on the port that is in the file `port`."""

    def load(_: Settings) -> SteeredPipeline:
        wait_for(directory / "load")
        if message := (directory / "load").read_text(encoding="utf-8"):
            raise DigestMismatch(message)
        return SteeredPipeline(directory)

    grace = int((directory / "grace").read_text(encoding="utf-8"))
    port = int((directory / "port").read_text(encoding="utf-8"))
    settings = make_settings(directory, http={"port": port, "grace_period_seconds": grace})
    try:
        return run(settings, load=load)
    except CannotGoOn as error:
        report(error, settings.termination_message_file)
        return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
