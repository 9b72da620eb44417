"""A proxy between an operator and a real API server that injects faults: errors, delays, torn watches, no answers.

The operator keeps its own credentials, so the API server still authorizes it. A test chooses the fault of each call; all
other calls are forwarded unchanged.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from cetacean_tools.demo.kubectl import Kubectl
from support.accounts import Account
from support.virtual_time import settle

WRITES = frozenset({"create", "update", "apply", "patch", "delete"})
_VERBS = {"POST": "create", "PUT": "update", "DELETE": "delete"}
_APPLY = "application/apply-patch+yaml"
_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the operator."""

    verb: str
    """Get, list, watch, create, update, apply, patch or delete."""
    resource: str
    """The plural; empty for a path that is no resource."""
    name: str
    subresource: str
    resource_version: str
    """The version at which a watch begins; empty if it begins with the present state."""
    body: bytes

    @property
    def writes(self) -> bool:
        """Return true if it writes an object other than the Lease."""
        return self.verb in WRITES and self.resource != "leases"

    def concerns(self, name: str) -> bool:
        """Return true if the object is a CetaceanModel of that name, one of its children, or an Event about it."""
        return self.name in (name, f"{name}-monitoring") or f'"name": "{name}"'.encode() in self.body


Relay = Callable[[bytes], tuple[bytes, bool]]
"""Takes a line of a watch; returns the line to send instead, and false if the watch ends after it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that has no answer yet."""

    call: Call
    request: web.Request
    upstream: aiohttp.ClientSession

    async def forward(self) -> web.StreamResponse:
        """Return the API server's answer."""
        async with self._request() as answer:
            return web.Response(status=answer.status, headers=_kept(answer.headers), body=await answer.read())

    async def forward_watch(self, relay: Relay, *, cleanly: bool = False) -> web.StreamResponse:
        """Forward a watch line by line; if `relay` ends it, the connection is aborted unless `cleanly`."""
        async with self._request() as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(self.request)
            async for line in answer.content:
                sent, goes_on = relay(line)
                await response.write(sent)
                if not goes_on:
                    return response if cleanly else self.cut(response)
            return response

    def cut(self, response: web.StreamResponse | None = None) -> web.StreamResponse:
        """Abort the connection, as a server that is killed does."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return response or web.Response()

    @asynccontextmanager
    async def _request(self) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {key: value for key, value in self.request.headers.items() if key.lower() not in _HOP}
        async with self.upstream.request(
            self.request.method, self.request.path_qs, headers=headers, data=self.call.body or None
        ) as answer:
            try:
                yield answer
            finally:
                # A watch has not ended: waiting for TLS to close it, the connection would outlive the proxy.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()


Reaction = Callable[[Exchange], Awaitable[web.StreamResponse]]
Fault = Callable[[Call], Reaction | None]


def no_fault(_: Call) -> None:
    """Inject no fault."""


@dataclass(slots=True)
class FaultyApi:
    """The proxy's control for tests: the operator makes its calls, the test sets its faults."""

    account: Account
    """The operator's account; its kubeconfig names the proxy."""
    fault: Fault = no_fault
    calls: list[Call] = field(default_factory=list)
    """Every request, in order."""
    drops: Callable[[bytes], bool] = lambda _: False
    """Returns true for a line of a watch that is not forwarded."""
    dropped: int = 0
    """The number of lines that were not forwarded."""
    _begun: int = 0
    """The number of watches so far."""
    _ended: int = 0
    """The first watches, up to this number, forward no further event."""
    _stay: bool = True
    """True if those watches stay open."""

    def silence_watches(self) -> None:
        """Keep the watches that are open now, and forward no further event in them."""
        self._ended, self._stay = self._begun, True

    def cut_watches(self) -> None:
        """Abort each watch that is open now at its next event."""
        self._ended, self._stay = self._begun, False

    def writes(self) -> list[Call]:
        """Return the requests that write an object other than the Lease."""
        return [call for call in self.calls if call.writes]

    async def answer(self, request: web.Request, upstream: aiohttp.ClientSession) -> web.StreamResponse:
        """Answer one request of the operator."""
        exchange = Exchange(_call(request, await request.read()), request, upstream)
        self.calls.append(exchange.call)
        reaction = self.fault(exchange.call)
        if reaction is not None:
            return await reaction(exchange)
        if exchange.call.verb != "watch":
            return await exchange.forward()
        number, self._begun = self._begun, self._begun + 1

        def relay(line: bytes) -> tuple[bytes, bool]:
            if number < self._ended:
                return b"", self._stay
            if self.drops(line):
                self.dropped += 1
                return b"", True
            return line, True

        return await exchange.forward_watch(relay)


@contextmanager
def faulty(account: Account, admin: Kubectl, folder: Path, name: str = "faulty") -> Iterator[FaultyApi]:
    """Run the proxy for an account on a free port of loopback; the kubeconfig is written to `folder`."""
    kubeconfig = yaml.safe_load(account.kubectl.kubeconfig.read_text())
    (cluster,) = json.loads(admin("config", "view", "--minify", "--raw", "--flatten", "-o", "json"))["clusters"]
    path = folder / f"{account.name}-{name}.kubeconfig"
    proxied = replace(account, kubectl=replace(account.kubectl, kubeconfig=path))
    api = FaultyApi(proxied)
    started, loop = threading.Event(), asyncio.new_event_loop()
    ports: list[int] = []

    async def serve(stop: asyncio.Event) -> None:
        authority = base64.b64decode(cluster["cluster"].get("certificate-authority-data", "")).decode()
        context = ssl.create_default_context(cadata=authority or None)
        connector = aiohttp.TCPConnector(limit=0, ssl=context)
        bound = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            cluster["cluster"]["server"], connector=connector, timeout=bound, auto_decompress=True, read_bufsize=2**21
        ) as upstream:
            app = web.Application(client_max_size=2**23)

            async def handle(request: web.Request) -> web.StreamResponse:
                return await api.answer(request, upstream)

            app.router.add_route("*", "/{path:.*}", handle)
            runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            ports.append(int(runner.addresses[0][1]))
            started.set()
            await stop.wait()
            await runner.cleanup()
        await settle()  # closes the aborted connections

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(stop)), name=f"{name} API")
    thread.start()
    assert started.wait(10), "the proxy did not start"
    kubeconfig["clusters"][0]["cluster"] = {"server": f"http://127.0.0.1:{ports[0]}"}
    path.write_text(yaml.safe_dump(kubeconfig))
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _call(request: web.Request, body: bytes) -> Call:
    parts = [part for part in request.path.split("/") if part]
    # api/v1/… or apis/GROUP/VERSION/…; namespaces/NAME comes before a namespaced resource.
    rest = parts[2:] if parts[:1] == ["api"] else parts[3:]
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    resource, name, subresource = ([*rest, "", "", ""])[:3]
    if request.method == "GET":
        verb = "watch" if "watch" in request.query else "get" if name or not resource else "list"
    elif request.method == "PATCH":
        verb = "apply" if request.content_type == _APPLY else "patch"
    else:
        verb = _VERBS[request.method]
    return Call(verb, resource, name, subresource, request.query.get("resourceVersion", ""), body)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key.lower() not in _HOP}
