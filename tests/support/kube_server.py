"""An API server on loopback with what the command line needs: CetaceanModels, watches, pods and their responses."""

from __future__ import annotations

import copy
import http.server
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from support.loopback import Quiet, listening

Object = dict[str, Any]


@dataclass(slots=True)
class KubeServer:
    """The server's objects and responses, and the requests that it got."""

    kubeconfig: Path
    models: dict[str, Object] = field(default_factory=dict)
    """By name, all in the namespace `sea`."""
    approvals: list[Object] = field(default_factory=list)
    """ModelApprovals, those that were created included."""
    has_approvals: bool = True
    """False: the server does not know ModelApprovals."""
    user: str = "alice"
    pods: list[Object] = field(default_factory=list)
    pod_responses: dict[str, Object | str | int] = field(default_factory=dict)
    """By `pod/path`, or `pod:port/path` for another port than 8080: a JSON object, a text or an error status."""
    pod_files: dict[str, bytes] = field(default_factory=dict)
    """Likewise: bytes that are no JSON."""
    pod_errors: dict[str, bytes] = field(default_factory=dict)
    """Likewise: the body of a response with status 500."""
    watches: list[list[Object | str]] = field(default_factory=list)
    """The events of each watch in turn; a text is sent as a line. Every further watch ends without an event."""
    error_status: int = 0
    """The status of every response, unless 0."""
    has_crd: bool = True
    """False: the server does not know CetaceanModels."""
    concurrent_change: bool = False
    """True: someone else changes a model just before it is patched."""
    patches: list[tuple[dict[str, str], list[Object]]] = field(default_factory=list)
    """The query and the operations of each patch."""
    requests: list[str] = field(default_factory=list)
    """The paths, in order."""
    endless: dict[str, int] = field(default_factory=dict)
    """Likewise, or `feedback`: the status of a response whose body does not end."""
    feedback_answer: bytes = b'{"species_correct": true}'
    """What a pod answers to feedback."""
    feedback: list[Object] = field(default_factory=list)
    """The bodies that the pods of a Service have got and counted."""
    refuse_feedback_after: int | None = None
    """The number of bodies after which no pod answers."""

    def add(self, model: Object) -> Object:
        """Add a model with generation 1."""
        model["metadata"] = {"namespace": "sea", "generation": 1} | model["metadata"]
        self.models[model["metadata"]["name"]] = model
        return model


@contextmanager
def serving(folder: Path) -> Iterator[KubeServer]:
    """Run the server; the kubeconfig is written to `folder`, and its context has the namespace `sea`."""
    state = KubeServer(folder / "kubeconfig")

    class Handler(Quiet, http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _respond(self, state)

        def do_POST(self) -> None:
            _respond(self, state)

        def do_PATCH(self) -> None:
            _respond(self, state)

    with listening(Handler) as port:
        state.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(port)))
        yield state


def _kubeconfig(port: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "loopback",
        "clusters": [{"name": "loopback", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "me", "user": {"token": "secret"}}],
        "contexts": [
            {"name": "loopback", "context": {"cluster": "loopback", "user": "me", "namespace": "sea"}},
            {"name": "bare", "context": {"cluster": "loopback", "user": "me"}},
        ],
    }


def _respond(handler: http.server.BaseHTTPRequestHandler, state: KubeServer) -> None:
    parts = urlsplit(handler.path)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    state.requests.append(parts.path)
    if handler.headers.get("Authorization") != "Bearer secret":
        _send(handler, 401, _status("Unauthorized"))
    elif state.error_status:
        _send(handler, state.error_status, _status("an error for a test"))
    elif parts.path.endswith("/proxy/v1/feedback"):
        _feedback(handler, state, body)
    elif "/proxy/" in parts.path:
        pod, path = parts.path.split("/pods/")[1].split("/proxy/")
        pod = pod.removesuffix(":8080")
        if (content := state.pod_files.get(f"{pod}/{path}")) is not None:
            _send_bytes(handler, 200, content)
            return
        if (status := state.endless.get(f"{pod}/{path}")) is not None:
            _send_without_end(handler, status)
            return
        if (content := state.pod_errors.get(f"{pod}/{path}")) is not None:
            _send_bytes(handler, 500, content)
            return
        response = state.pod_responses.get(f"{pod}/{path}", 503)
        _send(handler, *((response, _status("pod is gone")) if isinstance(response, int) else (200, response)))
    elif parts.path == "/api/v1/namespaces/sea/pods":
        _send(handler, 200, {"items": state.pods})
    elif parts.path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
        _send(handler, 201, {"status": {"userInfo": {"username": state.user}}})
    elif not state.has_crd or (parts.path.endswith("/modelapprovals") and not state.has_approvals):
        _send(handler, 404, "404 page not found")
    elif parts.path == "/apis/ecomarineai.org/v1alpha1/namespaces/sea/modelapprovals":
        _approvals(handler, state, query, body)
    elif query.get("watch"):
        events = state.watches.pop(0) if state.watches else []
        _stream(handler, *events)
    else:
        _model(handler, state, parts.path, query, body)


def _feedback(handler: http.server.BaseHTTPRequestHandler, state: KubeServer, body: bytes) -> None:
    assert handler.headers["Content-Type"] == "application/json"
    if state.refuse_feedback_after is not None and len(state.feedback) >= state.refuse_feedback_after:
        _send(handler, 503, _status("no endpoints available"))
        return
    if (status := state.endless.get("feedback")) is not None:
        _send_without_end(handler, status)
        return
    state.feedback.append(json.loads(body))
    _send_bytes(handler, 200, state.feedback_answer)


def _approvals(
    handler: http.server.BaseHTTPRequestHandler, state: KubeServer, query: dict[str, str], body: bytes
) -> None:
    if handler.command == "GET":
        _send(handler, 200, {"items": state.approvals})
        return
    created = json.loads(body)
    if created["metadata"]["name"] in {found["metadata"]["name"] for found in state.approvals}:
        _send(handler, 409, _status(f'modelapprovals.ecomarineai.org "{created["metadata"]["name"]}" already exists'))
        return
    created["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    if query.get("dryRun") != "All":
        state.approvals.append(created)
    _send(handler, 201, created)


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
        if state.concurrent_change:
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
    """Apply one operation of a JSON patch; return False if a test fails."""
    *parents, last = (part.replace("~1", "/") for part in operation["path"].lstrip("/").split("/"))
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


def _stream(handler: http.server.BaseHTTPRequestHandler, *events: Object | str) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for event in events:
        line = _line(event)
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
    handler.wfile.write(b"0\r\n\r\n")


def _line(content: Object | str) -> bytes:
    return (content if isinstance(content, str) else json.dumps(content)).encode() + b"\n"


def _send(handler: http.server.BaseHTTPRequestHandler, status: int, *contents: Object | str) -> None:
    _send_bytes(handler, status, b"".join(map(_line, contents)))


def _send_without_end(handler: http.server.BaseHTTPRequestHandler, status: int) -> None:
    handler.send_response(status)
    handler.send_header("Connection", "close")
    handler.end_headers()
    with suppress(OSError):  # until the client closes the connection
        while True:
            handler.wfile.write(b" " * 2**16)


def _send_bytes(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)
