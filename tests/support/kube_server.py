"""An API server on loopback as far as the command line asks one: CetaceanModels, watches, pods and what they answer."""

from __future__ import annotations

import copy
import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from support.loopback import Quiet, listening

Object = dict[str, Any]


@dataclass(slots=True)
class KubeServer:
    """What it holds, and what it was asked."""

    kubeconfig: Path
    models: dict[str, Object] = field(default_factory=dict)
    """By name, all in the namespace `sea`."""
    pods: list[Object] = field(default_factory=list)
    answers: dict[str, Object | int] = field(default_factory=dict)
    """What pods answer: by `pod/path`, an object or a status."""
    watches: list[list[Object]] = field(default_factory=list)
    """The events of one watch after the other; after the last the server ends each watch without one."""
    refuse: int = 0
    """The status of every answer, when not 0."""
    race: bool = False
    """Whether someone else changes a model just before it is patched."""
    patches: list[tuple[dict[str, str], list[Object]]] = field(default_factory=list)
    """Query and operations of each."""
    asked: list[str] = field(default_factory=list)
    """Paths, in order."""

    def add(self, model: Object) -> Object:
        """Hold a model; its generation begins with 1."""
        model["metadata"] = {"namespace": "sea", "generation": 1} | model["metadata"]
        self.models[model["metadata"]["name"]] = model
        return model


@contextmanager
def serving(folder: Path) -> Iterator[KubeServer]:
    """Serve; `folder` takes the kubeconfig, whose context has the namespace `sea`."""
    state = KubeServer(folder / "kubeconfig")

    class Answering(Quiet, http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _answer(self, state)

        def do_PATCH(self) -> None:
            _answer(self, state)

    with listening(Answering) as port:
        state.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(port)))
        yield state


def _kubeconfig(port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "there",
        "clusters": [{"name": "there", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "there", "context": {"cluster": "there", "user": "me", "namespace": "sea"}},
            {"name": "bare", "context": {"cluster": "there", "user": "me"}},
        ],
    }


def _answer(handler: http.server.BaseHTTPRequestHandler, state: KubeServer) -> None:
    parts = urlsplit(handler.path)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    state.asked.append(parts.path)
    if handler.headers.get("Authorization") != "Bearer secret":
        _send(handler, 401, _status("Unauthorized"))
    elif state.refuse:
        _send(handler, state.refuse, _status("it is as it is"))
    elif "/proxy/" in parts.path:
        pod, path = parts.path.split("/pods/")[1].split(":8080/proxy/")
        found = state.answers.get(f"{pod}/{path}", 503)
        _send(handler, *((found, _status("pod is gone")) if isinstance(found, int) else (200, found)))
    elif parts.path == "/api/v1/namespaces/sea/pods":
        _send(handler, 200, {"items": state.pods})
    elif query.get("watch"):
        events = state.watches.pop(0) if state.watches else []
        _send(handler, 200, *events)
    else:
        _model(handler, state, parts.path, query, body)


def _model(
    handler: http.server.BaseHTTPRequestHandler, state: KubeServer, path: str, query: dict[str, str], body: bytes
) -> None:
    begin, _, name = path.rpartition("/")
    live = state.models.get(name) if begin == "/apis/ecomarineai.org/v1alpha1/namespaces/sea/cetaceanmodels" else None
    if live is None:
        _send(handler, 404, _status(f'cetaceanmodels.ecomarineai.org "{name}" not found'))
    elif handler.command == "GET":
        _send(handler, 200, live)
    else:
        assert handler.headers["Content-Type"] == "application/json-patch+json"
        operations = json.loads(body)
        state.patches.append((query, operations))
        if state.race:
            live["metadata"]["generation"] += 1
        changed = copy.deepcopy(live)
        if not all(_apply(changed, operation) for operation in operations):
            _send(handler, 422, _status("the server rejected our request due to an error in our request"))
            return
        changed["metadata"]["generation"] += 1
        if query.get("dryRun") != "All":
            state.models[name] = changed
        _send(handler, 200, changed)


def _apply(target: Object, operation: Object) -> bool:
    """One operation of a JSON patch; false where a test fails."""
    *parents, last = operation["path"].lstrip("/").split("/")
    node = target
    for part in parents:
        node = node[part]
    if operation["op"] == "test":
        return bool(node[last] == operation["value"])
    if operation["op"] == "replace":
        assert last in node, operation
    node[last] = operation["value"]
    return True


def _status(message: str) -> Object:
    return {"kind": "Status", "message": message}


def _send(handler: http.server.BaseHTTPRequestHandler, status: int, *contents: Object) -> None:
    body = b"".join(json.dumps(content).encode() + b"\n" for content in contents)
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
