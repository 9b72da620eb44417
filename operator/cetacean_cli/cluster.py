"""The API server as a person reaches it: kubeconfig, context and namespace as kubectl takes them; one-line errors."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from urllib3.util.ssl_ import create_urllib3_context

from cetacean_cli.errors import BadInputError, CliError, RefusedError, UnreachableError
from cetacean_operator.api.names import GROUP, PLURAL, VERSION

Object = dict[str, Any]
FIELD_MANAGER: Final = "cetacean-cli"
_SECONDS: Final = 20.0
"""Bound of a request."""
_WATCH_SECONDS: Final = 300
"""The API server ends a watch after this; it is begun anew."""
_FAILURES: Final = 6
"""A watch that broke this often without an answer in between is given up."""
pause = time.sleep
"""Between two watches that failed; tests have no time for it."""
_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Requests to one API server."""

    namespace: str
    client: ApiClient

    @classmethod
    def connect(
        cls, *, kubeconfig: str | None = None, context: str | None = None, namespace: str | None = None
    ) -> Cluster:
        """Read the kubeconfig; nothing is asked of the cluster yet.

        Args:
            kubeconfig: path; else `$KUBECONFIG`, else `~/.kube/config`, else the pod's own service account.
            context: else the current one.
            namespace: else the context's, else `default`.

        Raises:
            UnreachableError: there is no cluster to connect to.
        """
        configuration = Configuration()
        configuration.retries = False
        path = kubeconfig or os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        inside = "KUBERNETES_SERVICE_HOST" in os.environ and not (kubeconfig or context or os.environ.get("KUBECONFIG"))
        try:
            if inside and not Path(path).exists():
                config.load_incluster_config(client_configuration=configuration)
                home = _ACCOUNT.read_text(encoding="utf-8").strip() if _ACCOUNT.exists() else None
            else:
                config.load_kube_config(path, context=context, client_configuration=configuration)
                home = _home(path, context)
        except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
            raise UnreachableError(f"no cluster to connect to: {error}") from error
        except (TypeError, KeyError, AttributeError) as error:  # the client takes the file's shape for granted
            raise UnreachableError(f"no cluster to connect to: {path}: expected a kubeconfig") from error
        client = ApiClient(configuration)
        client.user_agent = FIELD_MANAGER
        if client.rest_client is not None:
            _accept_plain_authorities(client, configuration)
        return cls(namespace or home or "default", client)

    # --- CetaceanModels ---------------------------------------------------------------------------------------------

    def get(self, name: str) -> Object:
        """Return a CetaceanModel.

        Raises:
            BadInputError: there is none of that name.
        """
        return self.request("GET", self._path(name))

    def generation(self, name: str) -> int:
        """Return how often a CetaceanModel's spec has changed."""
        return int(self.get(name)["metadata"]["generation"])

    def change(self, live: Object, operations: Sequence[Object], *, dry_run: bool = False) -> Object:
        """Apply a JSON patch to a CetaceanModel that was read, and return what came of it.

        Args:
            live: as it was read; its spec must still be the same.
            operations: the patch.
            dry_run: let the API server check it and change nothing.

        Raises:
            RefusedError: someone else was faster, or the API server does not take it.
        """
        meta = live["metadata"]
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        same = {"op": "test", "path": "/metadata/generation", "value": meta["generation"]}
        body = json.dumps([same, *operations])
        kind = "application/json-patch+json"
        try:
            return self.request("PATCH", self._path(meta["name"]), query=query, body=body, kind=kind)
        except RefusedError as error:
            if self.generation(meta["name"]) == meta["generation"]:
                raise
            raise RefusedError(
                f"cetaceanmodel {self.namespace}/{meta['name']} was changed meanwhile: look again"
            ) from error

    def watch(self, name: str, *, seconds: float | None = None) -> Iterator[Object]:
        """Yield a CetaceanModel as it is, and again after each change.

        Args:
            name: the resource's.
            seconds: when to end; None: never.

        Raises:
            RefusedError: it was deleted.
            UnreachableError: the API server stays away.
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
                    if event["type"] == "ERROR":
                        break
                    failures = 0
                    yield event["object"]
            except UnreachableError:
                if failures >= _FAILURES:
                    raise
            if failures >= _FAILURES:
                raise UnreachableError(f"{self.client.configuration.host} ends every watch at once")
            pause(min(failures, 3))

    # --- Pods -------------------------------------------------------------------------------------------------------

    def pods(self, selector: str) -> list[Object]:
        """Return the namespace's pods that a label selector matches, by name."""
        path = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods"
        items: list[Object] = self.request("GET", path, query={"labelSelector": selector})["items"]
        return sorted(items, key=lambda pod: str(pod["metadata"]["name"]))

    def ask_pod(self, pod: str, port: int, path: str, *, seconds: float = 5.0) -> Object:
        """Return what a pod answers through the API server's proxy; needs the right to `get` `pods/proxy`.

        Raises:
            CliError: no answer.
        """
        proxy = f"/api/v1/namespaces/{quote(self.namespace, safe='')}/pods/{quote(pod, safe='')}:{port}/proxy"
        return self.request("GET", proxy + path, seconds=seconds)

    # --- Requests ---------------------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: str | None = None,
        kind: str = "application/json",
        seconds: float = _SECONDS,
    ) -> Object:
        """Send one request and return the answer's object.

        Raises:
            CliError: any answer but 2xx, or none.
        """
        response = self._send(method, path, query=query, body=body, kind=kind, seconds=seconds)
        try:
            raw = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        if not 200 <= response.status < 300:
            raise self._refusal(response.status, raw, path)
        try:
            answer: Object = json.loads(raw)
        except ValueError as error:
            raise RefusedError(f"{path}: expected JSON, got {raw[:80].decode(errors='replace')!r}") from error
        return answer

    def _events(self, name: str, seconds: int) -> Iterator[Object]:
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(seconds)}
        response = self._send("GET", self._path(), query=query, seconds=seconds + 10.0)
        if response.status != 200:
            raise self._refusal(response.status, response.read(), self._path())
        try:
            yield from (json.loads(line) for line in response if line.strip())
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: str | None = None,
        kind: str = "application/json",
        seconds: float = _SECONDS,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": "application/json", "Content-Type": kind}
        try:
            _, url, given, _, _ = self.client.param_serialize(
                method, path, header_params=headers, auth_settings=["BearerToken"]
            )
            if query:
                url += "?" + urlencode(query)
            pool = self.client.rest_client.pool_manager
            timeout = urllib3.Timeout(connect=_SECONDS, read=seconds)
            response: urllib3.BaseHTTPResponse = pool.request(
                method, url, headers=given, body=body, timeout=timeout, preload_content=False, retries=False
            )
        except (urllib3.exceptions.HTTPError, ApiException, OSError, config.ConfigException) as error:
            raise self._unreachable(error) from error
        return response

    def _path(self, name: str = "") -> str:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(self.namespace, safe='')}/{PLURAL}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(f"{self.client.configuration.host} does not answer: {error}")

    def _refusal(self, code: int, raw: bytes, path: str) -> CliError:
        try:
            answer = json.loads(raw)
            message = str(answer["message"])
        except (ValueError, KeyError, TypeError):
            message = raw[:200].decode(errors="replace").strip() or f"{path}: {code}"
        if code == 404:
            return BadInputError(f"{message} (namespace {self.namespace})")
        if code == 401 or code >= 500:
            return UnreachableError(f"{self.client.configuration.host}: {code}: {message}")
        return RefusedError(f"the API server refused it: {message}")


def _home(path: str, context: str | None) -> str | None:
    contexts, current = config.list_kube_config_contexts(path)
    chosen = next((item for item in contexts if item["name"] == context), current) if context else current
    found = chosen["context"].get("namespace")
    return str(found) if found else None


def _accept_plain_authorities(client: ApiClient, configuration: Configuration) -> None:
    # Python 3.13 refuses a certificate authority without the extensions RFC 5280 asks for, which many clusters have and
    # every other client of Kubernetes takes. Chain and host name are verified as ever.
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
