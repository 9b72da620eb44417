"""Finds the API server as kubectl does: the kubeconfig, its contexts, else the pod's own service account."""

from __future__ import annotations

import os
import ssl
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger
from urllib3.response import BaseHTTPResponse, HTTPResponse
from urllib3.util.ssl_ import create_urllib3_context

from cetacean_cli.bounded import read_up_to
from cetacean_cli.errors import UnreachableError

USER_AGENT: Final = "cetacean-cli"
_MAX_ERROR_BYTES: Final = 2**20
_ERROR_SECONDS: Final = 5.0
_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def load_api_client(path: str | None = None, context: str | None = None) -> tuple[ApiClient, str]:
    """Read the kubeconfig; no request is sent yet.

    Args:
        path: the kubeconfig; else `$KUBECONFIG`, else `~/.kube/config`, else the pod's own service account.
        context: else the current one.

    Returns:
        A client that never repeats a request, and the context's or the service account's namespace, else `default`.

    Raises:
        UnreachableError: no usable kubeconfig and no service account.
    """
    configuration = Configuration()
    configuration.retries = False
    file = path or os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")  # noqa: PTH111 - without a home too
    chosen = path or context or os.environ.get("KUBECONFIG")
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ and not chosen and not Path(file).exists():
            config.load_incluster_config(client_configuration=configuration)
            namespace = _service_account_namespace()
        else:
            namespace = _load_kubeconfig(configuration, file, context)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError) as error:
        raise UnreachableError(f"no cluster to connect to: {error}; check --kubeconfig and --context") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        # Neither the client nor PyYAML checks what it reads.
        raise UnreachableError(f"no cluster to connect to: {file}: expected a kubeconfig") from error
    client = ApiClient(configuration)
    client.user_agent = USER_AGENT
    if client.rest_client is not None:
        _accept_authorities_without_extensions(client)
        _bound_error_bodies(client)
    return client, namespace or "default"


def _service_account_namespace() -> str | None:
    file = _SERVICE_ACCOUNT_NAMESPACE
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def _load_kubeconfig(configuration: Configuration, paths: str, context: str | None) -> str | None:
    """Configure a client by a context, and return the context's namespace."""
    merged = KubeConfigMerger(paths)
    if merged.config is None:
        raise config.ConfigException(f"{paths}: expected a kubeconfig, got none")
    # The client would take the last file's current context. kubectl takes the first one, which may be another cluster.
    named = (content.get("current-context") for content in merged.config_files.values())
    active = context or next(filter(None, named), None)
    if active is None:
        raise config.ConfigException(f"{paths}: expected a current context, got none")
    loader = KubeConfigLoader(merged.config, active, config_base_path=None, config_persister=merged.save_changes)
    loader.load_and_set(configuration)
    namespace = loader.current_context["context"].get("namespace")
    return str(namespace) if namespace else None


def _bound_error_bodies(client: ApiClient) -> None:
    # The client reads the body of an error to its end. Through the API server's proxy, that is the body of a pod.
    send = client.rest_client.pool_manager.request

    def request(*arguments: Any, **options: Any) -> BaseHTTPResponse:
        response: BaseHTTPResponse = send(*arguments, **options)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        try:
            body = read_up_to(response, _MAX_ERROR_BYTES, seconds=_ERROR_SECONDS)
        except TimeoutError:
            body = b""
        return HTTPResponse(body, response.headers, response.status, reason=response.reason)

    client.rest_client.pool_manager.request = request


def _accept_authorities_without_extensions(client: ApiClient) -> None:
    # Python 3.13 rejects a certificate authority without the extensions of RFC 5280. Many clusters have such an
    # authority, and every other client of Kubernetes accepts it. The chain and the host name are still verified.
    verify = ssl.CERT_REQUIRED if client.configuration.verify_ssl else ssl.CERT_NONE
    context = create_urllib3_context(cert_reqs=verify)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = context
