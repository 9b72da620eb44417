"""One-line errors for requests to the API server that fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import urllib3
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException

from cetacean_cli.errors import BadInputError, CliError, RefusedError, UnreachableError
from cetacean_operator.api.names import GROUP


@contextmanager
def one_line_errors(host: str, namespace: str) -> Iterator[None]:
    """Replace each error of the client by one that a person can act on.

    Raises:
        BadInputError: 404.
        UnreachableError: no response, 401 or 5xx.
        RefusedError: any other status, or a response that is not text.
    """
    try:
        yield
    except ApiException as error:
        raise _error(error, host, namespace) from error
    except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
        raise UnreachableError(f"{host} does not answer: {error}") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{host}: expected JSON, got {error.object[:80]!r}") from error


def _error(error: ApiException, host: str, namespace: str) -> CliError:
    body = (error.body or "").strip()
    try:
        message = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        message = body[:200] or str(error.reason)
    if not error.status:  # no TLS connection
        return UnreachableError(f"{host} does not answer: {message}")
    if body == "404 page not found":  # the path, not the object
        return BadInputError(f"{host} has no such resource of {GROUP}: install the operator's CRDs, or check --context")
    if error.status == 404:
        return BadInputError(f"{message} (namespace {namespace})")
    if error.status == 401:
        return UnreachableError(f"{host}: 401: {message}: log in again, or check the kubeconfig's user")
    if error.status >= 500:
        return UnreachableError(f"{host}: {error.status}: {message}")
    return RefusedError(f"the API server rejected the request: {message}")
