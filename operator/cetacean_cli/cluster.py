"""Requests to one API server, through kubernetes' dynamic client; every failure is an error of one line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from kubernetes import watch
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient, Resource
from kubernetes.dynamic.exceptions import DynamicApiError

from cetacean_cli.api_errors import one_line_errors
from cetacean_cli.bounded import read_up_to
from cetacean_cli.errors import BadInputError, RefusedError, UnreachableError
from cetacean_operator.api.model_approval import APPROVAL_KIND, APPROVAL_PLURAL
from cetacean_operator.api.names import GROUP, KIND, PLURAL, VERSION

Object = dict[str, Any]
FIELD_MANAGER: Final = "cetacean-cli"
pause = time.sleep
"""Called between two watches that failed; tests replace it."""
_REQUEST_SECONDS: Final = 20.0
"""Time-out of a connection, and of each read from it."""
_MAX_JSON_BYTES: Final = 2**20
"""Of a pod's response."""
_WATCH_SECONDS: Final = 300
"""The API server ends a watch after this time, and the next one begins."""
_MAX_FAILED_WATCHES: Final = 6
"""Watches in a row without an event, after which `Cluster.watch` ends."""
_SELF_REVIEW: Final = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
_SELF_REVIEW_PATH: Final = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


class KnownResources:
    """The resource types that the commands use, instead of a discoverer.

    The discoverers of `kubernetes` send three requests first and write the responses to a file in the shared temporary
    folder, under a name that other users can guess and write before. This program knows its types.
    """

    def __init__(self, client: DynamicClient, _cache_file: str | None = None) -> None:
        of = {"namespaced": True, "client": client}
        self.models = Resource(prefix="apis", group=GROUP, api_version=VERSION, kind=KIND, name=PLURAL, **of)
        self.approvals = Resource(
            prefix="apis", group=GROUP, api_version=VERSION, kind=APPROVAL_KIND, name=APPROVAL_PLURAL, **of
        )
        self.pods = Resource(prefix="api", api_version="v1", kind="Pod", name="pods", **of)
        self.services = Resource(prefix="api", api_version="v1", kind="Service", name="services", **of)


class Cluster:
    """One namespace of one API server; raises BadInputError if no namespace can have that name."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self.namespace = _checked_name("the namespace", namespace)
        self.host: str = client.configuration.host
        self._client = DynamicClient(client, discoverer=KnownResources)
        self._models = self._client.resources.models
        self._approvals = self._client.resources.approvals
        self._pods = self._client.resources.pods
        self._services = self._client.resources.services

    # --- CetaceanModels ---------------------------------------------------------------------------------------------

    def get(self, name: str) -> Object:
        """Return a CetaceanModel.

        Raises:
            BadInputError: no CetaceanModel has that name.
        """
        return self._call(self._models.get, name=_checked_name("a CetaceanModel's name", name))

    def patch(self, live: Object, operations: Sequence[Object], *, dry_run: bool = False) -> Object:
        """Apply a JSON patch to a CetaceanModel, and return the result.

        Args:
            live: the object as it was read; the patch is rejected if its spec has changed since.
            operations: the patch.
            dry_run: the API server checks the patch and changes nothing.

        Raises:
            RefusedError: the object has changed since, or the API server rejects the patch.
        """
        name, generation = live["metadata"]["name"], live["metadata"]["generation"]
        unchanged = {"op": "test", "path": "/metadata/generation", "value": generation}
        try:
            return self._call(
                self._models.patch,
                name=name,
                body=[unchanged, *operations],
                content_type="application/json-patch+json",
                field_manager=FIELD_MANAGER,
                dry_run="All" if dry_run else None,
            )
        except RefusedError as error:
            if self.get(name)["metadata"]["generation"] == generation:
                raise
            raise RefusedError(
                f"cetaceanmodel {self.namespace}/{name} was changed after it was shown: run the command again"
            ) from error

    def watch(self, name: str, *, seconds: float | None = None) -> Iterator[Object]:
        """Yield a CetaceanModel as it is, and again after each change.

        Args:
            name: the CetaceanModel's.
            seconds: when to end; None: never.

        Raises:
            RefusedError: it was deleted.
            UnreachableError: six watches in a row failed or ended without an event.
        """
        end = None if seconds is None else time.monotonic() + seconds
        failures = 0
        yield self.get(name)
        while (left := _WATCH_SECONDS if end is None else end - time.monotonic()) > 0:
            failures += 1  # unless an event comes
            try:
                for event in self._events(name, max(1, min(_WATCH_SECONDS, int(left)))):
                    if event["type"] == "DELETED":
                        raise RefusedError(f"cetaceanmodel {self.namespace}/{name} was deleted")
                    failures = 0
                    yield event["object"]
            except UnreachableError:
                if failures >= _MAX_FAILED_WATCHES:
                    raise
            if failures >= _MAX_FAILED_WATCHES:
                raise UnreachableError(f"{self.host} ended {failures} watches in a row without an event")
            pause(min(failures, 3))

    # --- ModelApprovals ---------------------------------------------------------------------------------------------

    def approvals(self, name: str) -> list[Object]:
        """Return the ModelApprovals of a CetaceanModel."""
        items: list[Object] = self._call(self._approvals.get)["items"]
        return [item for item in items if item["spec"].get("resource") == name]

    def create_approval(self, manifest: Object, *, dry_run: bool = False) -> Object:
        """Create a ModelApproval, and return it.

        Args:
            manifest: the object.
            dry_run: the API server checks it and stores nothing.

        Raises:
            RefusedError: it exists already, or the API server rejects it.
        """
        return self._call(
            self._approvals.create,
            body=manifest,
            field_manager=FIELD_MANAGER,
            dry_run="All" if dry_run else None,
        )

    def user_name(self) -> str:
        """Return the name by which the API server knows the user."""
        with self._errors():
            answer = self._client.request(
                "post",
                _SELF_REVIEW_PATH,
                body=_SELF_REVIEW,
                serializer=_plain,
                _request_timeout=(_REQUEST_SECONDS, _REQUEST_SECONDS),
            )
        return str(_json_object(answer)["status"]["userInfo"]["username"])

    # --- Pods -------------------------------------------------------------------------------------------------------

    def pods(self, selector: str) -> list[Object]:
        """Return the namespace's pods that a label selector matches, by name."""
        items: list[Object] = self._call(self._pods.get, label_selector=selector)["items"]
        return sorted(items, key=lambda pod: str(pod["metadata"]["name"]))

    def get_from_pod(self, pod: str, port: int, path: str, *, seconds: float = 5.0) -> Object:
        """Send a GET to a pod through the API server's proxy; this needs the right to `get` `pods/proxy`.

        Raises:
            CliError: no response, an error, or no JSON object of at most 1 MiB.
        """
        return _parse(self.read_from_pod(pod, port, path, max_bytes=_MAX_JSON_BYTES, seconds=seconds))

    def read_from_pod(self, pod: str, port: int, path: str, *, max_bytes: int, seconds: float = 5.0) -> bytes:
        """Return the response of a pod to a GET as it is.

        Args:
            pod: its name.
            port: of the pod.
            path: begins with a slash.
            max_bytes: of the response.
            seconds: for all of it.

        Raises:
            CliError: no response, an error, or a longer response: the pod may send anything.
        """
        url = f"{self._pods.path(name=f'{pod}:{port}', namespace=self.namespace)}/proxy{path}"
        return self._read(f"pod {pod}", path, max_bytes, seconds, method="get", path=url)

    # --- Services ---------------------------------------------------------------------------------------------------

    def post_to_service(self, service: str, port: str, path: str, body: Object) -> Object:
        """Send a POST with JSON to one pod of a Service, through the API server's proxy.

        This needs the right to `create` `services/proxy`.

        Raises:
            CliError: no response, an error, or no JSON object of at most 1 MiB.
        """
        url = f"{self._services.path(name=f'{service}:{port}', namespace=self.namespace)}/proxy{path}"
        who = f"a pod of {service}"
        return _parse(self._read(who, path, _MAX_JSON_BYTES, _REQUEST_SECONDS, method="post", path=url, body=body))

    # --- Requests ---------------------------------------------------------------------------------------------------

    def _call(self, request: Callable[..., Any], **arguments: Any) -> Object:
        with self._errors():
            content = request(
                namespace=self.namespace,
                serializer=_plain,
                _request_timeout=(_REQUEST_SECONDS, _REQUEST_SECONDS),
                **arguments,
            )
        return _json_object(content)

    def _read(self, who: str, what: str, max_bytes: int, seconds: float, **request: Any) -> bytes:
        with self._errors():
            response = self._client.request(**request, serialize=False, _request_timeout=(_REQUEST_SECONDS, seconds))
            try:
                body = read_up_to(response, max_bytes, seconds=seconds)
            except TimeoutError as error:
                raise UnreachableError(f"{who}: expected all of {what} within {seconds:g} s") from error
        if len(body) > max_bytes:
            raise RefusedError(f"{who}: expected at most {max_bytes} bytes from {what}, got more")
        return body

    def _events(self, name: str, seconds: int) -> Iterator[Object]:
        # `DynamicClient.watch` has no argument for the time-out of a connection that went silent, and fails at an empty
        # line; `Watch.stream` yields None for one.
        events = watch.Watch().stream(
            self._models.get,
            namespace=self.namespace,
            field_selector=f"metadata.name={name}",
            timeout_seconds=seconds,
            serialize=False,
            _request_timeout=(_REQUEST_SECONDS, seconds + 10.0),
        )
        with self._errors():
            try:
                yield from (event for event in events if event)
            except DynamicApiError:
                raise
            except (ApiException, KeyError):
                # An event of the type ERROR, e.g. 410: the next watch begins with the present state. `Watch` raises a
                # KeyError if the event lacks a reason.
                return

    def _errors(self) -> AbstractContextManager[None]:
        return one_line_errors(self.host, self.namespace)


def _plain(_client: DynamicClient, content: Any) -> Any:
    """Return JSON as it is; by default the dynamic client wraps it, and fails without the key `kind`."""
    return content


def _parse(content: bytes) -> Object:
    try:
        return _json_object(json.loads(content))
    except (ValueError, RecursionError) as error:
        text = content[:80].decode(errors="replace")
        raise RefusedError(f"expected a JSON object in the response, got {text!r}") from error


def _json_object(content: Any) -> Object:
    if not isinstance(content, dict):
        raise RefusedError(f"expected a JSON object in the response, got {str(content)[:80]!r}")
    return content


def _checked_name(kind: str, name: str) -> str:
    # The dynamic client writes names into the path as they are: `..` or `a/b` would address another resource.
    if not _NAME.fullmatch(name):
        raise BadInputError(f"expected {kind} of lower-case letters, digits, '-' and '.', got {name!r}")
    return name
