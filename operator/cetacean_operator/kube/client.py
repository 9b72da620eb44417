"""A client of the API server for plain objects: every request is bounded and counted.

The typed methods of `kubernetes.aio` are not used: server-side apply sends only the fields that the operator owns, and
the typed models would fill in others or drop some.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import Configuration
from pydantic_core import to_json
from yarl import URL

from cetacean_operator.api import names
from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.api.observed import Object
from cetacean_operator.kube.connection import Connection
from cetacean_operator.kube.json_reader import UnreadableError, UnreadableObject, parse_list, parse_object
from cetacean_registry.messages import one_line

FIELD_MANAGER = names.MANAGER
APPLY = "application/apply-patch+yaml"
_PAGE_SIZE = 500
_PAGE_BYTES = 8 << 20
"""A page with more is asked for again with fewer objects."""
_ANSWER_BYTES = 32 << 20
"""The largest answer that is read; etcd stores 1.5 MB for each object."""
MAX_RETRY_AFTER_SECONDS = 300.0
"""A longer `Retry-After` is no pause but a stop."""
_NAMESPACE_TERMINATING = "NamespaceTerminating"
_LONGEST_REASON = 64
UNREADABLE = "Unreadable"
"""The reason of an ApiError for an answer that could not be understood: nothing is known then."""


class Page(NamedTuple):
    """One page of a list."""

    items: list[Object]
    """Each with its apiVersion and kind, which the API server leaves out."""
    version: str
    """The resourceVersion of the whole list: the same for all of its pages."""
    unreadable: Sequence[UnreadableObject] = ()
    """The names of objects that cannot be parsed."""


class ApiError(Exception):
    """A request that the API server refused, or did not answer (then `code` is 0)."""

    def __init__(self, verb: str, path: str, code: int, reason: str, message: str) -> None:
        """Keep the parts; the message is one line with all of them, whatever the API server or a proxy has sent."""
        reason, message = one_line(reason, longest=_LONGEST_REASON), one_line(message)
        super().__init__(f"{verb} {path}: {code or 'no answer'} {reason}: {message}".rstrip(": "))
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after: float | None = None

    @property
    def is_unknown_kind(self) -> bool:
        """True if the API server does not serve the kind: then it answers without a Status, which has a reason."""
        return self.code == 404 and not self.reason


class AnswerTooLargeError(ApiError):
    """An answer of more bytes than are read."""


class NamespaceTerminatingError(ApiError):
    """The namespace is being deleted: nothing can be created in it any more."""


class ApiClient:
    """Requests to the API server. Use as an async context manager."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        timeout: float = 15.0,
        count: Callable[[str, str], None] = lambda _verb, _code: None,
    ) -> None:
        """Take the connection; `timeout` bounds each request in seconds, `count(verb, code)` is called for each."""
        self.configuration = configuration
        self._connection = Connection(configuration)
        self._session: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None
        self._bound = aiohttp.ClientTimeout(total=timeout)
        self._count = count

    async def __aenter__(self) -> Self:
        """Return itself; the connection is opened by the first request."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        for session in (self._session, self._watches):
            if session is not None:
                await session.close()

    async def request(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request and return the answer's object.

        Args:
            verb: for metrics, as Kubernetes names verbs (`get`, `list`, `apply`, `create`, `delete`…).
            method: the HTTP method.
            path: the URL's path.
            query: the URL's query.
            body: JSON to send, if any.
            content_type: of the body.

        Raises:
            ApiError: the answer is not 2xx, is no JSON object (reason Unreadable), or there is none.
        """
        raw = await self._send(verb, method, path, query=query, body=body, content_type=content_type)
        try:
            return parse_object(raw)
        except UnreadableError as error:
            raise ApiError(verb, path, 0, UNREADABLE, str(error)) from error

    async def _send(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        max_bytes: int = _ANSWER_BYTES,
    ) -> bytes:
        if self._session is None:
            self._session = self._connection.session(limit=self.configuration.connection_pool_maxsize)
        url = self.configuration.host + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else to_json(body)
        code = 0
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers={**await self._connection.credentials(), "Content-Type": content_type},
                timeout=self._bound,
            ) as response:
                code = response.status
                raw = await _read(response, max_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(verb, path, 0, type(error).__name__, str(error)) from error
        finally:
            self._count(verb, str(code))
        if raw is None:
            raise AnswerTooLargeError(verb, path, 0, UNREADABLE, f"expected at most {max_bytes} bytes, got more")
        if not 200 <= code < 300:
            raise _refusal(verb, path, response, raw)
        return raw

    async def apply(
        self,
        resource: ResourceType,
        manifest: Object,
        *,
        subresource: str | None = None,
        manager: str = FIELD_MANAGER,
    ) -> Object:
        """Apply on the server and return the whole object; the manifest holds just the fields that `manager` owns."""
        meta = manifest["metadata"]
        return await self.request(
            "apply",
            "PATCH",
            resource.path(meta["namespace"], meta["name"], subresource),
            query={"fieldManager": manager, "force": "true"},
            body={**manifest, "apiVersion": resource.api_version, "kind": resource.kind},
            content_type=APPLY,
        )

    async def set_managers(self, resource: ResourceType, live: Object, managed: list[Object]) -> None:
        """Set the managed fields of the object that was read; 409 if it has changed since."""
        meta = live["metadata"]
        await self.request(
            "patch",
            "PATCH",
            resource.path(meta["namespace"], meta["name"]),
            body={"metadata": {"resourceVersion": meta["resourceVersion"], "managedFields": managed}},
            content_type="application/merge-patch+json",
        )

    async def create(self, resource: ResourceType, manifest: Object) -> Object:
        """Create an object."""
        body = {**manifest, "apiVersion": resource.api_version, "kind": resource.kind}
        path = resource.path(manifest["metadata"]["namespace"])
        return await self.request("create", "POST", path, body=body)

    async def replace(self, resource: ResourceType, manifest: Object) -> Object:
        """Replace an object; 409 if it has changed since it was read."""
        meta = manifest["metadata"]
        path = resource.path(meta["namespace"], meta["name"])
        return await self.request("update", "PUT", path, body=manifest)

    async def get(self, resource: ResourceType, namespace: str, name: str) -> Object | None:
        """Return an object, None if there is none."""
        try:
            return await self.request("get", "GET", resource.path(namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def delete(self, resource: ResourceType, namespace: str, name: str, *, uid: str) -> None:
        """Delete the object with this uid; it is no error if it is gone, or has been replaced."""
        body = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            path = resource.path(namespace, name)
            await self.request("delete", "DELETE", path, body=body)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def list(
        self, resource: ResourceType, namespace: str | None, *, label_selector: str = ""
    ) -> AsyncIterator[Page]:
        """Yield all objects of a kind, page by page.

        Raises:
            ApiError: the API server refused, did not answer, or its answer is no list (reason Unreadable); 410 if the
                next page has expired.
        """
        path, limit = resource.path(namespace), _PAGE_SIZE
        query = {"labelSelector": label_selector} if label_selector else {}
        while True:
            query["limit"] = str(limit)
            try:
                most = _PAGE_BYTES if limit > 1 else _ANSWER_BYTES
                raw = await self._send("list", "GET", path, query=query, max_bytes=most)
            except AnswerTooLargeError:
                if limit == 1:
                    raise
                limit = max(1, limit // 4)
                continue
            try:
                answer = parse_list(raw)
            except UnreadableError as error:
                raise ApiError("list", path, 0, UNREADABLE, str(error)) from error
            kind = {"apiVersion": resource.api_version, "kind": resource.kind}
            yield Page([{**kind, **item} for item in answer.items], answer.version, answer.unreadable)
            if not answer.continue_token:
                return
            query["continue"] = answer.continue_token

    @contextlib.asynccontextmanager
    async def watch(
        self,
        resource: ResourceType,
        namespace: str | None,
        *,
        version: str,
        label_selector: str = "",
        seconds: int,
        answer_within: float,
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """Watch a kind from a version on; yield the body of the answer, which ends after `seconds` at the latest.

        Raises:
            ApiError: the API server refused, or did not answer within `answer_within` seconds.
        """
        path = resource.path(namespace)
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version}
        query |= {"timeoutSeconds": str(seconds)} | ({"labelSelector": label_selector} if label_selector else {})
        if self._watches is None:
            self._watches = self.session()
        url = URL(self.configuration.host + path + "?" + urlencode(query), encoded=True)
        code = 0
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(answer_within):
                    request = self._watches.get(url, timeout=aiohttp.ClientTimeout(total=None))
                    response = await stack.enter_async_context(request)
                code = response.status
                if code != 200:
                    raise _refusal("watch", path, response, await _read(response, _PAGE_BYTES) or b"")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise ApiError("watch", path, 0, type(error).__name__, str(error)) from error
            finally:
                self._count("watch", str(code))
            yield response.content

    async def serves(self, resource: ResourceType) -> bool:
        """Return true if the API server serves this kind now."""
        path = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        try:
            answer = await self.request("discover", "GET", path)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        served = answer.get("resources")
        if not isinstance(served, list):
            raise ApiError("discover", path, 0, UNREADABLE, "expected a list of resources")
        return any(isinstance(found, dict) and found.get("name") == resource.plural for found in served)

    async def server_version(self) -> tuple[int, int] | None:
        """Return the API server's major and minor version; None if it names none, or not to us.

        Raises:
            ApiError: it cannot be reached.
        """
        try:
            answer = await self.request("discover", "GET", "/version")
        except ApiError as error:
            if error.code in (401, 403, 404):
                return None
            raise
        # Some providers write a minor version such as 36+.
        found = re.fullmatch(r"([0-9]{1,4})\.([0-9]{1,4})\+?", f"{answer.get('major')}.{answer.get('minor')}")
        return (int(found[1]), int(found[2])) if found else None

    def session(
        self,
        *middlewares: aiohttp.ClientMiddlewareType,
        response_class: type[aiohttp.ClientResponse] = aiohttp.ClientResponse,
    ) -> aiohttp.ClientSession:
        """Return a session to the same server whose requests get fresh credentials.

        Each watch holds a connection for minutes, so the number of connections is not bounded.
        """
        return self._connection.session(
            limit=0, middlewares=(self._connection.authorize, *middlewares), response_class=response_class
        )


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """Return the body, None if it has more than `max_bytes`."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 18):
        body += chunk
        if len(body) > max_bytes:
            response.close()
            return None
    return bytes(body)


def _refusal(verb: str, path: str, response: aiohttp.ClientResponse, raw: bytes) -> ApiError:
    try:
        answer = parse_object(raw)
    except UnreadableError:  # a proxy's page; the status says enough
        answer = {"message": raw[:200].decode(errors="replace")}
    kind = NamespaceTerminatingError if _NAMESPACE_TERMINATING in _causes(answer) else ApiError
    refusal = kind(verb, path, response.status, str(answer.get("reason") or ""), str(answer.get("message") or ""))
    if (after := response.headers.get("Retry-After", "")).isascii() and after.isdecimal():
        refusal.retry_after = min(float(after), MAX_RETRY_AFTER_SECONDS)
    return refusal


def _causes(status: Object) -> set[str]:
    """Return the reasons among the causes that a Status object gives."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    listed = causes if isinstance(causes, list) else ()
    return {str(cause.get("reason")) for cause in listed if isinstance(cause, dict)}
