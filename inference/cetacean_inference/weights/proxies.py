"""The HTTP client of downloads: proxies and certificates as the environment names them, with errors of one line.

httpx reads the same variables, but it fails with a traceback if `NO_PROXY` names a network, and it takes networks in
`NO_PROXY` for names. So the choice of the proxy is made here, for each request, as a redirect may lead to another host.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import Final, Self
from urllib.request import getproxies

import httpx

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.http_headers import decimal
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.connections import Transport
from cetacean_inference.weights.pace import Pace
from cetacean_inference.weights.trust import trusted
from cetacean_registry.urls import redacted

_SCHEMES: Final = ("http", "https")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def open_client(settings: FetchSettings, pace: Pace) -> httpx.Client:
    """Return a client; it follows no redirect by itself, as httpx would read its whole body.

    Raises:
        ConfigInvalid: a variable of the environment (`HTTPS_PROXY`, `SSL_CERT_FILE`, …) has a value that cannot work.
        CABundleInvalid: the bundle of certificates cannot be used.
    """
    timeout = httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds)
    return httpx.Client(
        transport=ProxyingTransport.from_environment(
            getproxies(), trusted(settings.ca_bundle), timeout_seconds=settings.read_timeout_seconds, pace=pace
        ),
        follow_redirects=False,
        timeout=timeout,
    )


class NoProxy:
    """The hosts that are reached without a proxy: names with their subdomains, addresses, networks, `*`.

    Args:
        text: comma-separated, as in the variable `NO_PROXY`; entries that are none of these match nothing.
    """

    def __init__(self, text: str) -> None:
        entries = [entry.strip().lower() for entry in text.split(",")]
        self._all = "*" in entries
        self._entries = [_split_port(entry.partition("://")[2] or entry) for entry in entries if entry]

    def includes(self, url: httpx.URL) -> bool:
        """Return True if the URL's host is reached without a proxy."""
        port = url.port or _DEFAULT_PORTS.get(url.scheme)
        return self._all or any(
            (wanted is None or wanted == port) and _matches(url.host.lower().rstrip("."), entry)
            for entry, wanted in self._entries
        )


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host + (rest if rest.startswith("/") else ""), decimal(rest.removeprefix(":"))
    host, colon, port = entry.partition(":")
    if colon and (number := decimal(port)) is not None:
        return host, number
    return entry, None


def _matches(host: str, entry: str) -> bool:
    try:
        network = ipaddress.ip_network(entry, strict=False)
        address = ipaddress.ip_address(host)
    except ValueError:
        name = entry.removeprefix("*").strip(".")
        return bool(name) and (host == name or host.endswith(f".{name}"))
    return address in network


class ProxyingTransport(httpx.BaseTransport):
    """Sends each request directly or through the proxy of its scheme.

    Args:
        direct: for hosts in `no_proxy`, and if there is no proxy.
        proxies: by scheme; `all` is for both.
        no_proxy: the hosts that are reached directly.
    """

    def __init__(
        self, direct: httpx.BaseTransport, proxies: Mapping[str, httpx.BaseTransport], no_proxy: NoProxy
    ) -> None:
        self._direct = direct
        self._proxies = proxies
        self._no_proxy = no_proxy

    @classmethod
    def from_environment(
        cls, named: Mapping[str, str], context: ssl.SSLContext, *, timeout_seconds: float, pace: Pace
    ) -> Self:
        """Return the transport for the proxies of `urllib.request.getproxies`.

        Args:
            named: the proxies by scheme.
            context: certificates of servers and of proxies.
            timeout_seconds: longest silence of a SOCKS proxy before a connection is made.
            pace: the time that is left.

        Raises:
            ConfigInvalid: a proxy cannot be used.
        """

        def transport(proxy: httpx.Proxy | None) -> httpx.BaseTransport:
            return Transport(proxy, context=context, timeout_seconds=timeout_seconds, pace=pace)

        proxies = {
            scheme: transport(_proxy(scheme, named[scheme])) for scheme in (*_SCHEMES, "all") if named.get(scheme)
        }
        return cls(transport(None), proxies, NoProxy(named.get("no", "")))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        return self._chosen(request.url).handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._proxies.values()):
            transport.close()

    def _chosen(self, url: httpx.URL) -> httpx.BaseTransport:
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        return self._direct if proxy is None or self._no_proxy.includes(url) else proxy


def _proxy(scheme: str, text: str) -> httpx.Proxy:
    variable = f"{scheme.upper()}_PROXY"
    url = text if "://" in text else f"http://{text}"
    expected = f"{variable}: expected http://, https://, socks5:// or socks5h://host:port"
    try:
        proxy = httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise ConfigInvalid(f"{expected}, got {redacted(url)}") from error
    if not proxy.url.host:
        raise ConfigInvalid(f"{expected}, got {redacted(url)}")
    return proxy
