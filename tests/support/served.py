"""The inference service as a process with a real socket, and a client of it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from support import serve_fake
from support.pictures import picture
from support.waiting import wait_until


@dataclass(frozen=True, slots=True)
class Served:
    """A process that serves, and a client of it."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    directory: Path

    def load(self, failure: str = "") -> None:
        """Let the weights be loaded, or fail."""
        (self.directory / "loading").write_text(failure, encoding="utf-8")
        (self.directory / "loading").rename(self.directory / "load")

    def status(self, path: str) -> int | None:
        """Return the answer's status; None if the process does not answer."""
        try:
            return self.client.get(path).status_code
        except httpx.TransportError:
            return None

    def wait_for_status(self, path: str, status: int) -> None:
        """Wait until the path is answered with that status."""
        wait_until(lambda: self.status(path) == status)

    def predict(self) -> httpx.Response:
        """Send one picture."""
        return self.client.post("/v1/predict-single", files={"file": ("a.png", picture(), "image/png")})

    def predict_in_background(self, found: list[httpx.Response]) -> threading.Thread:
        """Send one picture, and wait until the pipeline has begun with it; `found` gets the answer."""
        thread = threading.Thread(target=lambda: found.append(self.predict()))
        thread.start()
        wait_until((self.directory / "computing").exists)
        return thread

    def wait_for_exit(self) -> tuple[int, list[dict[str, Any]]]:
        """Return the exit status and the log records."""
        status = self.process.wait(timeout=30)
        lines = (self.directory / "log").read_text(encoding="utf-8").splitlines()
        return status, [json.loads(line) for line in lines]


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def serving_process(directory: Path, *, grace: int = 20, internal_port: int = 0) -> Iterator[Served]:
    """Run `serve_fake` with its files in `directory`; it answers, but its weights are not loaded yet."""
    port = free_port()
    (directory / "port").write_text(str(port), encoding="utf-8")
    (directory / "internal-port").write_text(str(internal_port), encoding="utf-8")
    (directory / "grace").write_text(str(grace), encoding="utf-8")
    command = [sys.executable, serve_fake.__file__, str(directory)]
    # Not into a pipe: a full pipe that nobody reads would stop the process.
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={"PYTHONPATH": ":".join(sys.path)})
    served = Served(process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30), directory)
    try:
        served.wait_for_status("/health", 200)
        yield served
    finally:
        served.client.close()
        process.kill()
        process.wait()
