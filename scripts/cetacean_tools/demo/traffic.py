"""Requests to a Service of the cluster through the API server's proxy, which works wherever kubectl does."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from cetacean_tools.demo.kubectl import Kubectl

_SERVING = re.compile(r"127\.0\.0\.1:(\d+)")


@contextmanager
def api_proxy(kubectl: Kubectl) -> Iterator[str]:
    """Run `kubectl proxy` on a free loopback port; yield its URL."""
    command = kubectl.command("proxy", "--port=0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            port = _SERVING.search(line)
            if port is None:
                raise RuntimeError(f"kubectl proxy did not start: {line.strip()}")
            yield f"http://127.0.0.1:{port[1]}"
        finally:
            process.terminate()


@dataclass(frozen=True, slots=True)
class ModelService:
    """The inference service behind one Service."""

    client: httpx.Client
    base: str

    @classmethod
    def of(cls, client: httpx.Client, proxy: str, namespace: str, name: str) -> Self:
        """Return a client of the Service `name` in `namespace`, through the API proxy at `proxy`."""
        return cls(client, f"{proxy}/api/v1/namespaces/{namespace}/services/{name}:http/proxy")

    def predict(self, picture: Path) -> dict[str, Any]:
        """Return the Detection of one picture; raise `httpx.HTTPError` if the service returns none."""
        answer = self._post(picture.name, picture.read_bytes())
        answer.raise_for_status()
        detection: dict[str, Any] = answer.json()
        return detection

    def send_at_once(self, picture: bytes, times: int) -> Counter[int]:
        """Let `times` clients send the same picture at the same time; count the statuses of the responses."""
        with ThreadPoolExecutor(times) as clients:
            return Counter(clients.map(lambda _: self._post("picture.jpg", picture).status_code, range(times)))

    def send(self, pictures: Sequence[Path]) -> list[dict[str, Any]]:
        """Return the Detection of each picture, in their order."""
        return [self.predict(picture) for picture in pictures]

    def _post(self, name: str, content: bytes) -> httpx.Response:
        return self.client.post(f"{self.base}/v1/predict-single", files={"file": (name, content, "image/jpeg")})


@dataclass(slots=True)
class BackgroundTraffic:
    """A client that sends requests during a rollout, and counts the versions that responded."""

    service: ModelService
    pictures: Sequence[Path]
    interval: float = 0.2
    versions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _ask(self) -> None:
        for picture in itertools.cycle(self.pictures):
            try:
                self.versions[self.service.predict(picture)["model_version"]] += 1
            except httpx.HTTPError as error:
                self.failures.append(str(error))
            if self._stop.wait(self.interval):
                return
