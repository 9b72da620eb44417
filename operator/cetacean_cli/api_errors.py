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
from cetacean_registry.messages import LONGEST_MESSAGE, one_line


@contextmanager
def one_line_errors(host: str, namespace: str) -> Iterator[None]:
    """Replace each error of the client by one that a person can act on.

    Raises:
        BadInputError: 404.
        UnreachableError: no response, 401 or 5xx.
        RefusedError: any other status, or a response that is not text or nested too deep.
    """
    try:
        yield
    except ApiException as error:
        raise _error(error, host, namespace) from error
    except (urllib3.exceptions.HTTPError, OSError, ConfigException) as error:
        raise UnreachableError(f"{host} does not answer: {error}") from error
    except RecursionError as error:
        raise RefusedError("expected a JSON object in the response, got JSON that is nested too deep") from error
    except UnicodeDecodeError as error:
        raise RefusedError(f"{host}: expected JSON, got {error.object[:80]!r}") from error


def _error(error: ApiException, host: str, namespace: str) -> CliError:
    body = (error.body or "").strip()
    try:
        message = one_line(str(json.loads(body)["message"]), longest=LONGEST_MESSAGE)
    except (ValueError, KeyError, TypeError, RecursionError):  # a pod's own answer, through the proxy
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
