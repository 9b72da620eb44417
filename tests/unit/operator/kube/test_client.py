"""The API client against a server on loopback: paths, headers, bodies, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from cetacean_operator.api.kinds import CHILDREN, MODELS, PODS
from cetacean_operator.kube.client import MAX_RETRY_AFTER_SECONDS, ApiClient, ApiError, NamespaceTerminatingError

Handler = Any


class Server:
    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.answers: list[web.Response] = []
        self.url = ""
        self.delay: asyncio.Event | None = None
        """While it is not set, nothing is answered."""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.requests.append((request.method, request.path, dict(request.query), body))
        if self.delay is not None:
            await self.delay.wait()
            return web.Response()
        self.headers = dict(request.headers)
        return self.answers.pop(0)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[ApiClient]:
    configuration = Configuration(host=server.url)
    configuration.api_key = {"BearerToken": "secret"}
    configuration.api_key_prefix = {"BearerToken": "Bearer"}
    counts: list[tuple[str, str]] = []
    async with ApiClient(configuration, timeout=2.0, count=lambda verb, code: counts.append((verb, code))) as made:
        made.counts = counts  # type: ignore[attr-defined]
        yield made


def answer(body: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(body, status=status, headers=headers)


async def test_apply_sends_the_manifest_with_apiversion_and_kind(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"kind": "CetaceanModel"})]
    manifest = {"metadata": {"namespace": "sea", "name": "whales"}, "status": {"replicas": 1}}
    assert await kube.apply(MODELS, manifest, subresource="status") == {"kind": "CetaceanModel"}
    ((method, path, query, body),) = server.requests
    assert (method, path) == ("PATCH", "/apis/ecomarineai.org/v1alpha1/namespaces/sea/cetaceanmodels/whales/status")
    assert query == {"fieldManager": "cetacean-operator", "force": "true"}
    assert body == {**manifest, "apiVersion": "ecomarineai.org/v1alpha1", "kind": "CetaceanModel"}
    assert server.headers["Content-Type"] == "application/apply-patch+yaml"
    assert server.headers["Authorization"] == "Bearer secret"


async def test_an_api_error_has_code_reason_and_message(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"reason": "Invalid", "message": "spec is wrong"}, 422)]
    with pytest.raises(ApiError) as error:
        await kube.create(PODS, {"metadata": {"namespace": "sea", "name": "p"}})
    assert (error.value.code, error.value.reason, error.value.message) == (422, "Invalid", "spec is wrong")
    assert str(error.value) == "create /api/v1/namespaces/sea/pods: 422 Invalid: spec is wrong"


async def test_a_terminating_namespace_raises_another_error_than_a_missing_right(
    server: Server, kube: ApiClient
) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace sea is being terminated"}]
    server.answers = [answer({"reason": "Forbidden", "details": {"causes": causes}}, 403)]
    with pytest.raises(NamespaceTerminatingError):
        await kube.create(PODS, {"metadata": {"namespace": "sea", "name": "p"}})


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("9" * 400, MAX_RETRY_AFTER_SECONDS), ("soon", None), ("-1", None), ("", None)]
)
async def test_an_api_error_has_the_retry_after_of_the_response(
    server: Server, kube: ApiClient, value: str, seconds: float | None
) -> None:
    server.answers = [answer({}, 429, **{"Retry-After": value})]
    with pytest.raises(ApiError) as error:
        await kube.get(PODS, "sea", "p")
    assert error.value.retry_after == seconds


@pytest.mark.parametrize("causes", [True, 7, "NamespaceTerminating", {"reason": "x"}, [7], None])
async def test_a_status_object_of_another_form_is_an_api_error(server: Server, kube: ApiClient, causes: object) -> None:
    server.answers = [answer({"reason": ["x"], "message": {}, "details": {"causes": causes}}, 403)]
    with pytest.raises(ApiError) as error:
        await kube.get(PODS, "sea", "p")
    assert error.value.code == 403


async def test_an_api_error_is_one_short_line_whatever_the_api_server_says(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"reason": "So\n" * 1000, "message": "a\x1b[31m\n" * 10_000}, 422)]
    with pytest.raises(ApiError) as error:
        await kube.get(PODS, "sea", "p")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 600
    assert error.value.message.isprintable()


async def test_a_response_that_is_no_json_is_an_api_error(server: Server, kube: ApiClient) -> None:
    server.answers = [web.Response(text="<html>bad gateway", status=502)]
    with pytest.raises(ApiError, match="bad gateway"):
        await kube.get(PODS, "sea", "p")


async def test_get_returns_none_for_an_absent_object(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"reason": "NotFound"}, 404)]
    assert await kube.get(PODS, "sea", "p") is None


async def test_a_refused_connection_is_an_api_error_with_code_0(kube: ApiClient, server: Server) -> None:
    kube.configuration.host = "http://127.0.0.1:1"
    with pytest.raises(ApiError) as error:
        await kube.get(PODS, "sea", "p")
    assert error.value.code == 0
    assert "no answer" in str(error.value)


@pytest.mark.parametrize("code", [404, 409])
async def test_deleting_an_absent_or_replaced_object_is_no_error(server: Server, kube: ApiClient, code: int) -> None:
    server.answers = [answer({}, code)]
    await kube.delete(PODS, "sea", "p", uid="u")
    assert server.requests[0][3] == {"preconditions": {"uid": "u"}, "propagationPolicy": "Background"}


async def test_a_list_goes_through_all_pages_and_adds_the_kind_of_its_items(server: Server, kube: ApiClient) -> None:
    server.answers = [
        answer(
            {
                "metadata": {"continue": "next", "resourceVersion": "7"},
                "items": [{"metadata": {"namespace": "sea", "name": "a", "uid": "a"}}],
            }
        ),
        answer(
            {
                "metadata": {"resourceVersion": "7"},
                "items": [{"metadata": {"namespace": "sea", "name": "b", "uid": "b"}}],
            }
        ),
    ]
    pages = [page async for page in kube.list(PODS, None, label_selector="x=y")]
    assert [page.version for page in pages] == ["7", "7"]
    found = [item for page in pages for item in page.items]
    assert [(item["kind"], item["apiVersion"], item["metadata"]["name"]) for item in found] == [
        ("Pod", "v1", "a"),
        ("Pod", "v1", "b"),
    ]
    assert server.requests[1][2] == {"limit": "500", "labelSelector": "x=y", "continue": "next"}


@pytest.mark.parametrize("body", [b"<html>login</html>", b"[]", b"", b"null"])
async def test_an_answer_that_is_no_object_is_an_error_for_each_verb(
    server: Server, kube: ApiClient, body: bytes
) -> None:
    """A proxy's login page has status 200: read as an empty list it would say that nothing exists."""
    pod = {"metadata": {"namespace": "sea", "name": "p", "resourceVersion": "1"}}

    async def listed() -> None:
        async for _ in kube.list(PODS, None):
            pass

    calls: list[Callable[[], Awaitable[Any]]] = [
        listed,
        lambda: kube.get(PODS, "sea", "p"),
        lambda: kube.apply(PODS, pod),
        lambda: kube.create(PODS, pod),
        lambda: kube.replace(PODS, pod),
        lambda: kube.set_managers(PODS, pod, []),
        lambda: kube.delete(PODS, "sea", "p", uid="u"),
        lambda: kube.serves(PODS),
    ]
    for call in calls:
        server.answers = [web.Response(body=body)]
        with pytest.raises(ApiError, match="expected a JSON object, got") as error:
            await call()
        assert (error.value.code, error.value.reason) == (0, "Unreadable")


async def test_a_watch_begins_at_a_version_and_yields_the_body(server: Server, kube: ApiClient) -> None:
    server.answers = [web.Response(body=b"line\n")]
    async with kube.watch(PODS, "sea", version="7", label_selector="x=y", seconds=60, answer_within=5.0) as body:
        assert await body.read() == b"line\n"
    ((_, path, query, _),) = server.requests
    assert path == "/api/v1/namespaces/sea/pods"
    assert query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "7",
        "timeoutSeconds": "60",
        "labelSelector": "x=y",
    }
    assert server.headers["Authorization"] == "Bearer secret"
    assert kube.counts == [("watch", "200")]  # type: ignore[attr-defined]


async def test_a_refused_watch_raises_the_error_of_its_status(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"reason": "Expired", "message": "too old"}, 410, **{"Retry-After": "3"})]
    with pytest.raises(ApiError) as error:
        async with kube.watch(PODS, None, version="7", seconds=60, answer_within=5.0):
            pass
    assert (error.value.code, error.value.reason, error.value.retry_after) == (410, "Expired", 3.0)


async def test_a_watch_without_an_answer_is_bounded(server: Server, kube: ApiClient) -> None:
    server.delay = asyncio.Event()
    with pytest.raises(ApiError) as error:
        async with kube.watch(PODS, None, version="7", seconds=60, answer_within=0.01):
            pass
    assert (error.value.code, error.value.reason) == (0, "TimeoutError")
    server.delay.set()


async def test_serves_is_true_only_for_a_resource_in_discovery(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({"resources": [{"name": "cetaceanmodels"}]}), answer({"resources": []}), answer({}, 404)]
    assert [await kube.serves(MODELS) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"major": "1", "minor": "36"}, (1, 36)),
        ({"major": "1", "minor": "36+"}, (1, 36)),
        ({"major": "1"}, None),
        ({"major": "1", "minor": "x"}, None),
        ({"major": ["1"], "minor": 9}, None),
    ],
)
async def test_the_version_of_the_server_is_read(
    server: Server, kube: ApiClient, body: dict[str, object], version: tuple[int, int] | None
) -> None:
    server.answers = [answer(body)]
    assert await kube.server_version() == version


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_server_that_keeps_its_version_to_itself_is_no_error(
    server: Server, kube: ApiClient, status: int
) -> None:
    server.answers = [answer({}, status)]
    assert await kube.server_version() is None


async def test_every_request_is_counted(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({}), answer({}, 404)]
    await kube.get(PODS, "sea", "p")
    await kube.get(PODS, "sea", "p")
    assert kube.counts == [("get", "200"), ("get", "404")]  # type: ignore[attr-defined]


def test_resource_types_have_the_paths_of_the_api_server() -> None:
    assert PODS.path() == "/api/v1/pods"
    assert PODS.path("sea", "a/b") == "/api/v1/namespaces/sea/pods/a%2Fb"
    assert CHILDREN[0].path("sea") == "/apis/apps/v1/namespaces/sea/deployments"
    assert CHILDREN[0].api_version == "apps/v1"
    assert PODS.api_version == "v1"


async def test_managed_fields_are_set_with_the_version_that_was_read(server: Server, kube: ApiClient) -> None:
    server.answers = [answer({})]
    live = {"metadata": {"namespace": "sea", "name": "whales", "resourceVersion": "7", "labels": {"a": "b"}}}
    await kube.set_managers(CHILDREN[1], live, [{"manager": "x"}])
    ((method, path, query, body),) = server.requests
    assert (method, path, query) == ("PATCH", "/api/v1/namespaces/sea/services/whales", {})
    assert body == {"metadata": {"resourceVersion": "7", "managedFields": [{"manager": "x"}]}}
    assert server.headers["Content-Type"] == "application/merge-patch+json"
