"""The servers that are compared: how each is started, asked, and how its answers are read."""

from __future__ import annotations

import base64
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from benchmarks.clients import Encode, Form, multipart
from benchmarks.machine import free_port
from benchmarks.servers import Server, serving
from benchmarks.serving.peers.networks import NETWORKS, PORT, VERSION
from benchmarks.serving.stored import FILES

from cetacean_tools.workspace import REPOSITORY

FIRST_VERSION: Final = "1.0.0"
NEXT_VERSION: Final = "2.0.0"
OURS: Final = "ours"
PATHS: Final = ":".join(str(REPOSITORY / folder) for folder in (".", "inference", "models"))
"""Of the modules that peers import: their own, and our decoding and decision."""
QUIET: Final = {"RAY_USAGE_STATS_ENABLED": "0", "BENTOML_DO_NOT_TRACK": "True"}
"""The peers would report their use over the network."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server.

    Args:
        name: in tables.
        command: module and arguments for a port.
        encode: makes a request from a picture.
        decode: takes the answer for the picture from the body.
        ready_path: of its readiness endpoint.
        requirements: name of the file of its environment; None for ours.
        updates_itself: SIGHUP makes it deploy the next version; if False, another process serves it.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    encode: Encode
    decode: Callable[[Any], Mapping[str, Any]]
    ready_path: str
    requirements: str | None = None
    updates_itself: bool = False


def instances(picture: bytes) -> Form:
    """Return a request of the first version of KServe's protocol."""
    body = {"instances": [{"image": {"b64": base64.b64encode(picture).decode()}}]}
    return Form("/v1/models/cetacean:predict", json.dumps(body).encode(), {"Content-Type": "application/json"})


def predictions(body: Any) -> Mapping[str, Any]:
    """Return the answer in an answer of the first version of KServe's protocol."""
    return of_a_list(body["predictions"])


def of_a_list(body: Any) -> Mapping[str, Any]:
    """Return the only element."""
    (answer,) = body
    return dict(answer)


def _module(name: str) -> Callable[[int], Sequence[str]]:
    return lambda _: (f"benchmarks.serving.peers.{name}",)


def _bentoml(port: int) -> Sequence[str]:
    return ("bentoml", "serve", "benchmarks.serving.peers.with_bentoml:Service", "--host", "127.0.0.1", "-p", str(port))


CONTESTANTS: Final = (
    Contestant("LitServe", _module("with_litserve"), partial(multipart, path="/predict"), dict, "/health", "litserve"),
    Contestant(
        "BentoML", _bentoml, partial(multipart, path="/predict", field="pictures"), of_a_list, "/readyz", "bentoml"
    ),
    Contestant(
        "Ray Serve",
        _module("with_ray"),
        partial(multipart, path="/predict"),
        dict,
        "/-/healthz",
        "ray",
        updates_itself=True,
    ),
    Contestant("KServe", _module("with_kserve"), instances, predictions, "/v2/health/ready", "kserve"),
    Contestant(OURS, lambda _: ("cetacean_inference", "serve"), multipart, dict, "/v2/health/ready"),
)


class Starter:
    """Starts contestants.

    Args:
        ours: environment of our service.
        manifest: the networks of the peers.
        pythons: the interpreter of each peer's environment.
        picture: the first that a server must answer.
    """

    def __init__(self, *, ours: Mapping[str, str], manifest: Path, pythons: Mapping[str, Path], picture: bytes) -> None:
        self._ours = ours
        self._manifest = manifest
        self._pythons = pythons
        self._picture = picture

    @contextlib.contextmanager
    def serving(self, contestant: Contestant, version: str = FIRST_VERSION) -> Iterator[Server]:
        """Start a server and yield it when it has answered its first picture; ends it afterwards."""
        port = free_port()
        given = {**QUIET, PORT: str(port), VERSION: version, NETWORKS: str(self._manifest), "PYTHONPATH": PATHS}
        if contestant.requirements is None:
            given = {**self._ours, "CETACEAN_HTTP__PORT": str(port), "CETACEAN_MODEL__VERSION": version}
        python = self._pythons.get(contestant.name, Path(sys.executable))
        form = contestant.encode(self._picture)
        with serving(
            contestant.command(port),
            given,
            port=port,
            log=FILES / f"{contestant.name.lower().replace(' ', '-')}-{version}.log",
            python=python,
            ready=lambda url: _has_answered(url, contestant.ready_path, form),
        ) as server:
            yield server


def _has_answered(url: str, ready_path: str, form: Form) -> bool:
    """Ask for a picture if the server is ready."""
    try:
        if not httpx.get(f"{url}{ready_path}", timeout=5).is_success:
            return False
        return httpx.post(f"{url}{form.path}", content=form.body, headers=dict(form.headers), timeout=60).is_success
    except httpx.TransportError:
        return False
