"""Proxies and certificates as the environment names them, and a reason if they cannot be used."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.file_server import FileServer, serving
from support.socks_server import socks_serving

from cetacean_inference.errors import ConfigInvalid, FatalError, WeightsUnreachable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights import proxies
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import fetch
from cetacean_inference.weights.pace import Pace
from cetacean_inference.weights.proxies import NoProxy

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
Fetched = Callable[[], str]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.upper, VARIABLES), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[FileServer]:
    """A server that takes each request for its own."""
    (tmp_path / "proxy").mkdir()
    with serving(tmp_path / "proxy") as server:
        yield server


@pytest.fixture
def fetched(cache: WeightsCache, options: FetchSettings, server: FileServer) -> Fetched:
    """Fetch the server's file; returns the digest."""
    once = options.model_copy(update={"attempts": 1})
    return lambda: fetch(f"{server.url}/a.ckpt", sha256=None, cache=cache, settings=once).sha256


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("*", "https://example.org/a"),
        ("example.org", "https://example.org/a"),
        ("example.org", "https://EXAMPLE.ORG./a"),
        ("example.org", "https://store.example.org/a"),
        (".example.org", "https://store.example.org/a"),
        ("*.example.org", "https://store.example.org/a"),
        ("example.org:8443", "https://example.org:8443/a"),
        ("example.org:443", "https://example.org/a"),
        ("http://example.org", "https://example.org/a"),
        ("a, b ,10.0.0.0/8", "http://10.1.2.3:8000/a"),
        ("10.1.2.3/8", "http://10.9.9.9/a"),
        ("10.1.2.3", "http://10.1.2.3/a"),
        ("fd00::/8", "http://[fd12::1]:8000/a"),
        ("[fd00::]/8", "http://[fd12::1]/a"),
        ("[::1]:8000", "http://[::1]:8000/a"),
        ("::1", "http://[::1]/a"),
        ("localhost", "http://localhost:8000/a"),
    ],
)
def test_a_host_that_no_proxy_names_is_reached_directly(no_proxy: str, url: str) -> None:
    assert NoProxy(no_proxy).includes(httpx.URL(url))


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("", "https://example.org/a"),
        (" , ,", "https://example.org/a"),
        ("example.org", "https://myexample.org/a"),
        ("example.org:8443", "https://example.org/a"),
        ("10.0.0.0/8", "http://11.0.0.1/a"),
        ("10.0.0.0/8", "http://10.example.org/a"),
        ("fd00::/8", "http://10.0.0.1/a"),
        ("10.0.0.0/99", "http://10.0.0.1/a"),
        ("[::1]:8000", "http://[::1]:9000/a"),
        ("[", "http://[::1]/a"),
        (".", "https://example.org/a"),
    ],
)
def test_any_other_host_is_reached_through_the_proxy(no_proxy: str, url: str) -> None:
    assert not NoProxy(no_proxy).includes(httpx.URL(url))


def test_the_client_has_the_times_and_the_certificates_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    bundles: list[Path | None] = []

    def trusted(bundle: Path | None) -> ssl.SSLContext:
        bundles.append(bundle)
        return ssl.create_default_context()

    monkeypatch.setattr(proxies, "trusted", trusted)
    settings = FetchSettings(ca_bundle=Path("/ca.pem"), read_timeout_seconds=7.0, connect_timeout_seconds=3.0)
    with proxies.open_client(settings, Pace(settings)) as client:
        assert client.timeout == httpx.Timeout(7.0, connect=3.0)
        assert not client.follow_redirects, "httpx would read the whole body of a redirect"
    assert bundles == [Path("/ca.pem")]


def test_a_proxy_without_a_scheme_speaks_http(
    fetched: Fetched, proxy: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
    with pytest.raises(FatalError, match="404"):
        fetched()
    assert proxy.requests.total() == 1


def test_a_request_goes_through_the_proxy(
    fetched: Fetched, server: FileServer, proxy: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    with pytest.raises(FatalError, match="404"):
        fetched()
    assert (server.requests.total(), proxy.requests.total()) == (0, 1)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
@pytest.mark.parametrize("password", [None, ("user", "s3cret")])
def test_a_request_goes_through_a_socks_proxy(
    fetched: Fetched, digest: str, monkeypatch: pytest.MonkeyPatch, scheme: str, password: tuple[str, str] | None
) -> None:
    with socks_serving(password=password) as proxy:
        credentials = f"{':'.join(password)}@" if password else ""
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{credentials}127.0.0.1:{proxy.port}")
        assert fetched() == digest
    assert proxy.hosts == ["127.0.0.1"]


def test_a_socks_proxy_resolves_names_so_that_a_pod_needs_no_dns(
    cache: WeightsCache, options: FetchSettings, server: FileServer, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socks_serving() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        url = server.url.replace("127.0.0.1", "weights.invalid")
        assert fetch(f"{url}/a.ckpt", sha256=None, cache=cache, settings=options).sha256 == digest
    assert proxy.hosts == ["weights.invalid"]


@pytest.mark.parametrize("credentials", ["", "user:wrong@"])
def test_a_socks_proxy_that_refuses_is_named_without_its_password(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch, credentials: str
) -> None:
    with socks_serving(password=("user", "s3cret")) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://{credentials}127.0.0.1:{proxy.port}")
        with pytest.raises(WeightsUnreachable) as caught:
            fetched()
    assert "a.ckpt" in caught.value.line
    assert "wrong" not in caught.value.line


def test_a_server_that_speaks_no_socks_is_an_error_in_one_line(
    cache: WeightsCache, options: FetchSettings, proxy: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.url.replace("http", "socks5"))
    once = options.model_copy(update={"attempts": 1, "read_timeout_seconds": 0.2})
    with pytest.raises(WeightsUnreachable) as caught:  # it waits for the end of a line that never comes
        fetch("http://weights.invalid/a.ckpt", sha256=None, cache=cache, settings=once)
    assert caught.value.line.startswith("WeightsUnreachable: http://weights.invalid/a.ckpt: ")
    assert "\n" not in caught.value.line


STORES = {
    "s3": {"AWS_SKIP_SIGNATURE": "true", "AWS_ENDPOINT_URL": "http://{host}"},
    "gs": {"GOOGLE_SKIP_SIGNATURE": "true", "GOOGLE_BASE_URL": "http://{host}"},
    "az": {
        "AZURE_SKIP_SIGNATURE": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": "whales",
        "AZURE_STORAGE_ENDPOINT": "http://{host}",
    },
}


@pytest.mark.parametrize("scheme", STORES)
@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTP_PROXY"])
def test_an_object_store_behind_a_socks_proxy_is_refused_in_one_line(
    cache: WeightsCache, options: FetchSettings, monkeypatch: pytest.MonkeyPatch, scheme: str, variable: str
) -> None:
    for key, value in STORES[scheme].items():
        monkeypatch.setenv(key, value.format(host="store.invalid"))
    with socks_serving() as proxy:
        monkeypatch.setenv(variable, f"socks5h://user:s3cret@127.0.0.1:{proxy.port}")
        with pytest.raises(ConfigInvalid) as caught:
            fetch(f"{scheme}://whales/a.ckpt", sha256=None, cache=cache, settings=options)
    assert caught.value.line == (
        f"ConfigInvalid: {scheme}://whales/a.ckpt: expected a proxy with http:// or https:// for an object store, "
        "got socks5h:// - use such a proxy, or name the store's host in NO_PROXY"
    )
    assert proxy.hosts == []


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_an_object_store_in_no_proxy_is_reached_without_the_socks_proxy(
    cache: WeightsCache,
    options: FetchSettings,
    server: FileServer,
    digest: str,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    (server.directory / "whales").mkdir()
    (server.directory / "a.ckpt").rename(server.directory / "whales/a.ckpt")
    server.always_dated = True
    for key, value in STORES[scheme].items():
        monkeypatch.setenv(key, value.format(host=server.url.removeprefix("http://")))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    assert fetch(f"{scheme}://whales/a.ckpt", sha256=None, cache=cache, settings=options).sha256 == digest


@pytest.mark.parametrize("no_proxy", ["127.0.0.0/8", "fd00::/8,127.0.0.1", "*"])
def test_a_network_in_no_proxy_is_reached_directly(
    fetched: Fetched, digest: str, proxy: FileServer, monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert fetched() == digest
    assert proxy.requests.total() == 0


def test_an_ipv6_network_in_no_proxy_does_not_end_fetch(
    fetched: Fetched, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "fd00::/8")
    assert fetched() == digest


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("ALL_PROXY", "socks4://user:secret@host:1080", "socks5:// or socks5h://host:port, got socks4://…@host:1080"),
        ("ALL_PROXY", "socks5://", "ALL_PROXY: expected http://, https://, socks5:// or socks5h://host:port, got"),
        (
            "HTTP_PROXY",
            "ftp://host",
            "HTTP_PROXY: expected http://, https://, socks5:// or socks5h://host:port, got ftp",
        ),
        ("HTTPS_PROXY", "http://host:port", "HTTPS_PROXY: expected http://"),
        ("HTTPS_PROXY", "http://", "HTTPS_PROXY: expected http://"),
        ("SSL_CERT_FILE", "/nowhere.pem", "SSL_CERT_FILE: expected certificates in PEM format, got /nowhere.pem: "),
        ("SSL_CERT_FILE", __file__, "SSL_CERT_FILE: expected certificates in PEM format, got "),
    ],
)
def test_a_variable_that_cannot_work_is_named(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigInvalid) as caught:
        fetched()
    assert message in caught.value.line
    assert "secret" not in caught.value.line
