"""A proxy between an operator and the API server that answers as a bad day does: wrongly, late, half, or not at all.

The operator keeps its own credentials, so the API server still decides what it may do. A test says per call what goes
wrong; everything else is passed on as it is.
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
    """As Kubernetes names it: get, list, watch, create, update, apply, patch, delete."""
    resource: str
    """The plural; empty for what is no resource."""
    name: str
    subresource: str
    since: str
    """The resourceVersion that a watch begins at; empty where it begins with what there is."""
    body: bytes

    @property
    def writes(self) -> bool:
        """Whether it changes something, other than the lease."""
        return self.verb in WRITES and self.resource != "leases"

    def about(self, name: str) -> bool:
        """Whether it concerns the CetaceanModel of that name: by its own name, or as an event's object."""
        return self.name in (name, f"{name}-monitoring") or f'"name": "{name}"'.encode() in self.body


Carry = Callable[[bytes], tuple[bytes, bool]]
"""From a line of a watch to what is handed on, and whether the connection stays after it."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that waits for its answer."""

    call: Call
    request: web.Request
    upstream: aiohttp.ClientSession

    async def passed_on(self) -> web.StreamResponse:
        """Let the API server answer."""
        async with self._ask() as answer:
            return web.Response(status=answer.status, headers=_kept(answer.headers), body=await answer.read())

    async def watched(self, carry: Carry, *, cleanly: bool = False) -> web.StreamResponse:
        """Hand a watch on line by line; `cleanly` says how it ends where it does not stay."""
        async with self._ask() as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(self.request)
            async for line in answer.content:
                told, goes_on = carry(line)
                await response.write(told)
                if not goes_on:
                    return response if cleanly else self.cut(response)
            return response

    def cut(self, response: web.StreamResponse | None = None) -> web.StreamResponse:
        """Close the connection as a server that dies does."""
        if self.request.transport is not None:
            self.request.transport.abort()
        return response or web.Response()

    @asynccontextmanager
    async def _ask(self) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {key: value for key, value in self.request.headers.items() if key.lower() not in _HOP}
        async with self.upstream.request(
            self.request.method, self.request.path_qs, headers=headers, data=self.call.body or None
        ) as answer:
            try:
                yield answer
            finally:
                # A watch is left in the middle: closed in TLS's polite way its connection would outlive the proxy.
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()


Reaction = Callable[[Exchange], Awaitable[web.StreamResponse]]
Fault = Callable[[Call], Reaction | None]


def no_fault(_: Call) -> None:
    """Everything is passed on."""


@dataclass(slots=True)
class FaultyApi:
    """The proxy's end for tests. Its calls are made from the operator's side, its faults set from the test's."""

    account: Account
    """The operator's account, by way of the proxy."""
    fault: Fault = no_fault
    calls: list[Call] = field(default_factory=list)
    """Every request, in the order in which they came."""
    loses: Callable[[bytes], bool] = lambda _: False
    """Which lines of watches are lost on the way."""
    lost: int = 0
    """How many were."""
    _begun: int = 0
    """Watches so far."""
    _ended: int = 0
    """Watches begun before this many carry nothing any longer."""
    _stay: bool = True
    """Whether those stay open."""

    def silence_watches(self) -> None:
        """Let the watches that are open now stay open and carry nothing from now on."""
        self._ended, self._stay = self._begun, True

    def cut_watches(self) -> None:
        """Cut the watches that are open now, each when it is to carry the next event."""
        self._ended, self._stay = self._begun, False

    def writes(self) -> list[Call]:
        """The requests that change something, other than the lease."""
        return [call for call in self.calls if call.writes]

    async def answer(self, request: web.Request, upstream: aiohttp.ClientSession) -> web.StreamResponse:
        """Answer one request of the operator."""
        exchange = Exchange(_call(request, await request.read()), request, upstream)
        self.calls.append(exchange.call)
        reaction = self.fault(exchange.call)
        if reaction is not None:
            return await reaction(exchange)
        if exchange.call.verb != "watch":
            return await exchange.passed_on()
        number, self._begun = self._begun, self._begun + 1

        def carry(line: bytes) -> tuple[bytes, bool]:
            if number < self._ended:
                return b"", self._stay
            if self.loses(line):
                self.lost += 1
                return b"", True
            return line, True

        return await exchange.watched(carry)


@contextmanager
def faulty(account: Account, admin: Kubectl, folder: Path, name: str = "faulty") -> Iterator[FaultyApi]:
    """Stand between an account and the API server on a free port of loopback; `folder` takes the kubeconfig."""
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
        await settle()  # so that what was aborted is closed as well

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
    # api/v1/… or apis/GROUP/VERSION/…, then perhaps namespaces/NAME before the resource.
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
