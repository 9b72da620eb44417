"""The connection to the API server: credentials and their refresh, TLS and proxies as `kubernetes.aio` reads them.

Its requests are not used: it copies each body and searches for proxies in a thread, which takes longer than the rest of
a request.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_incluster_config, load_kube_config
from yarl import URL

from cetacean_operator.api import names


async def load_configuration() -> Configuration:
    """Return the connection: KUBECONFIG if it is set, else the pod's service account.

    Raises:
        kubernetes.aio.config.ConfigException: there is neither.
    """
    configuration = Configuration()
    if path := os.environ.get("KUBECONFIG"):
        await load_kube_config(config_file=path, client_configuration=configuration)
    else:
        load_incluster_config(client_configuration=configuration)
    # Python 3.13 rejects a certificate authority without the extensions of RFC 5280. Many clusters have such a one, and
    # every other client of Kubernetes accepts it. Chain and host name are verified all the same.
    configuration.disable_strict_ssl_verification = True
    return configuration


class Connection:
    """Sessions to one API server."""

    def __init__(self, configuration: Configuration) -> None:
        """Read the certificates; nothing is opened yet."""
        self.configuration = configuration
        self._ssl = RESTClientObject(configuration).ssl_context
        self._proxy = configuration.proxy or _proxy_from_environment(URL(configuration.host))

    def session(self, *, limit: int, **options: Any) -> aiohttp.ClientSession:
        """Return a session of at most `limit` connections, 0 for any number; its requests need `credentials`."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limit, ssl=self._ssl),
            headers={"User-Agent": names.MANAGER, "Accept": "application/json"},
            proxy=self._proxy,
            **options,
        )

    async def credentials(self) -> dict[str, str]:
        """Return the headers with the credentials; renew a token that has expired."""
        settings = (await self.configuration.auth_settings()).values()
        return {item["key"]: item["value"] for item in settings if item["in"] == "header" and item["value"]}

    async def authorize(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        """Add the credentials to a request: a middleware for the sessions of other libraries."""
        request.headers.update(await self.credentials())
        return await handler(request)


def _proxy_from_environment(url: URL) -> str | None:
    """Return the proxy of HTTPS_PROXY, unless NO_PROXY excludes the host."""
    return None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)
