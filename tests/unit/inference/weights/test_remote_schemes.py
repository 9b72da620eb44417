"""Each scheme that reads over a network, from a server: the file, and each way in which it can fail, in one line."""

from __future__ import annotations

import hashlib
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from support.file_server import FileServer, serving
from support.moto_server import ObjectServer, object_server
from support.relay import relaying
from support.weights_places import (
    AzureContainer,
    Bucket,
    GoogleBucket,
    Hub,
    Place,
    ServedFile,
    ServedLogin,
)

from cetacean_inference.errors import (
    CABundleInvalid,
    ConfigInvalid,
    DigestMismatch,
    FatalError,
    WeightsDenied,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsTruncated,
    WeightsUnreachable,
)
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import fetch
from cetacean_inference.weights.trust import read_bundle, trusted

SERVED = {"http": ServedFile, "netrc": ServedLogin, "hf": Hub, "gs": GoogleBucket, "az": AzureContainer}
EACH = pytest.mark.parametrize("scheme", [*SERVED, "s3"])


@pytest.fixture(scope="module")
def objects() -> Iterator[ObjectServer]:
    with object_server() as server:
        yield server


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.crt"
    authority.cert_pem.write_to_path(path)
    return path


def private(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Open:
    """Opens a place for a scheme."""

    def __init__(self, stack: ExitStack, objects: ObjectServer, options: FetchSettings, folder: Path) -> None:
        self._stack, self._objects, self._options, self._folder = stack, objects, options, folder

    def __call__(self, scheme: str, *, tls: ssl.SSLContext | None = None, content: bytes | None = None) -> Place:
        """Return a place that has the file, whose credentials are given."""
        place: Place
        if scheme == "s3":
            relay = self._stack.enter_context(relaying(self._objects.port, tls=tls))
            place = Bucket(relay, self._options, self._folder, server=self._objects, tls=tls is not None)
        else:
            files = self._folder.parent / "files"
            files.mkdir()
            server = self._stack.enter_context(serving(files))
            relay = self._stack.enter_context(relaying(int(server.url.rpartition(":")[2]), tls=tls))
            place = SERVED[scheme](relay, self._options, self._folder, server=server, tls=tls is not None)
        place.allow()
        if content is not None:
            place.store(content)
        return place


@pytest.fixture
def place_of(
    opened: ExitStack,
    objects: ObjectServer,
    options: FetchSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Open:
    monkeypatch.setattr("cetacean_inference.weights.hub.get_token", lambda: None)
    return Open(opened, objects, options, tmp_path / "credentials")


def fetched(place: Place, cache: WeightsCache, *, sha256: str | None) -> Blob:
    return fetch(place.url, sha256=sha256, cache=cache, settings=place.settings)


def failure(place: Place, cache: WeightsCache, kind: type[FatalError], *, sha256: str | None = None) -> str:
    """Return the line of the error, which shows no credential."""
    with pytest.raises(kind) as caught:
        fetched(place, cache, sha256=sha256)
    line = caught.value.line
    assert line.startswith(f"{kind.__name__}: ")
    assert line.isprintable()
    assert len(line) < 600
    for path in place.folder.iterdir():
        if path.name.endswith(("TOKEN", "KEY", "KEY_ID")) or path.name == "netrc":
            assert path.read_text().split()[-1] not in line
    return line


@EACH
def test_the_file_is_read_with_the_credentials(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes, digest: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_of(scheme, content=content)
    with caplog.at_level(logging.DEBUG, logger="cetacean_inference"):
        blob = fetched(place, cache, sha256=digest)
    assert (blob.url, blob.path.read_bytes()) == (place.url, content)
    assert "right" not in caplog.text


@EACH
def test_an_unchanged_file_is_not_sent_again(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes, digest: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_of(scheme, content=content)
    assert fetched(place, cache, sha256=None).sha256 == digest
    with caplog.at_level(logging.INFO):
        assert fetched(place, cache, sha256=None).sha256 == digest
    assert "not modified" in caplog.text
    place.store(b"new weights")
    assert fetched(place, cache, sha256=None).sha256 == hashlib.sha256(b"new weights").hexdigest()


@EACH
def test_a_missing_file_is_an_error(place_of: Open, cache: WeightsCache, scheme: str) -> None:
    place = place_of(scheme)
    line = failure(place, cache, WeightsNotFound)
    assert f"{place.url}: expected 200, got 404" in line


@EACH
def test_credentials_without_access_are_an_error(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes
) -> None:
    place = place_of(scheme, content=content)
    place.deny()
    assert f"{place.url}: expected 200, got 403 Forbidden" in failure(place, cache, WeightsDenied)


@EACH
def test_a_broken_download_is_resumed_where_it_ended(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes, digest: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_of(scheme, content=content)
    place.relay.cut_after = [100_000, 50_000]
    with caplog.at_level(logging.INFO):
        assert fetched(place, cache, sha256=digest).path.read_bytes() == content
    assert caplog.text.count("resumed at 0.1 MiB") == 2


@EACH
def test_a_file_that_changed_after_the_interruption_is_read_from_its_first_byte(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes
) -> None:
    place = place_of(scheme, content=content)
    place.relay.cut_after = [100_000] * 3
    once = place.settings.model_copy(update={"attempts": 1})
    with pytest.raises(WeightsTruncated):
        fetch(place.url, sha256=None, cache=cache, settings=once)
    place.relay.cut_after = []
    place.store(content[::-1])
    blob = fetch(place.url, sha256=None, cache=cache, settings=once)
    assert blob.path.read_bytes() == content[::-1]


@EACH
def test_a_truncated_file_is_an_error_after_the_last_try(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes
) -> None:
    place = place_of(scheme, content=content)
    place.relay.cut_after = [100_000]
    once = place.settings.model_copy(update={"attempts": 1})
    with pytest.raises(WeightsTruncated) as caught:
        fetch(place.url, sha256=None, cache=cache, settings=once)
    assert re.search(
        rf"^WeightsTruncated: {place.url}: got 99\d+ bytes, then: .*; gave up after 1 tries$", caught.value.line
    )


@EACH
def test_a_file_with_another_digest_is_an_error(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes, digest: str
) -> None:
    place = place_of(scheme, content=content)
    line = failure(place, cache, DigestMismatch, sha256="ab" * 32)
    assert line == f"DigestMismatch: {place.url}: expected sha256:{'ab' * 32}, got sha256:{digest}"


@EACH
def test_a_file_larger_than_the_bound_is_an_error(
    place_of: Open, cache: WeightsCache, scheme: str, content: bytes
) -> None:
    place = place_of(scheme, content=content)
    with pytest.raises(WeightsTooLarge, match="expected at most 1000 bytes, got 300000 or more"):
        fetch(place.url, sha256=None, cache=cache, settings=place.settings.model_copy(update={"max_bytes": 1000}))


@EACH
def test_a_server_that_cannot_be_reached_is_an_error(
    place_of: Open, opened: ExitStack, cache: WeightsCache, scheme: str
) -> None:
    place = place_of(scheme)
    opened.close()
    line = failure(place, cache, WeightsUnreachable)
    assert "refused" in line
    assert line.endswith("gave up after 3 tries")


@EACH
def test_a_server_with_a_certificate_of_the_bundle_is_trusted(
    place_of: Open, cache: WeightsCache, authority: trustme.CA, bundle: Path, scheme: str, content: bytes, digest: str
) -> None:
    place = place_of(scheme, tls=private(authority), content=content)
    settings = place.settings.model_copy(update={"ca_bundle": bundle})
    assert fetch(place.url, sha256=digest, cache=cache, settings=settings).path.read_bytes() == content


@EACH
def test_a_server_with_another_certificate_is_an_error_at_once(
    place_of: Open, cache: WeightsCache, authority: trustme.CA, bundle: Path, scheme: str, content: bytes
) -> None:
    trustme.CA().cert_pem.write_to_path(bundle)
    place = place_of(scheme, tls=private(authority), content=content)
    for ca_bundle in (None, bundle):
        with pytest.raises(WeightsUnreachable) as caught:
            fetch(
                place.url,
                sha256=None,
                cache=cache,
                settings=place.settings.model_copy(update={"ca_bundle": ca_bundle}),
            )
        assert "expected a certificate of a trusted authority" in caught.value.line
        assert caught.value.line.endswith("give the authority's certificate in spec.serving.caBundle")


@EACH
def test_a_bundle_that_cannot_be_read_is_an_error(
    place_of: Open, cache: WeightsCache, authority: trustme.CA, bundle: Path, scheme: str
) -> None:
    bundle.write_text("no certificate")
    place = place_of(scheme, tls=private(authority))
    with pytest.raises(CABundleInvalid, match="expected certificates in PEM format, got 0"):
        fetch(place.url, sha256=None, cache=cache, settings=place.settings.model_copy(update={"ca_bundle": bundle}))


CREDENTIAL_HOSTS = [
    ({"HTTP_BEARER_TOKEN": "right", "HTTP_BEARER_HOST": "127.0.0.1:{port}"}, "Bearer right"),
    ({"netrc": "machine 127.0.0.1 login whale password right"}, "Basic d2hhbGU6cmlnaHQ="),
]


@pytest.mark.parametrize(("keys", "sent"), CREDENTIAL_HOSTS, ids=["bearer", "netrc"])
def test_a_credential_is_not_sent_to_where_its_host_redirects(
    cache: WeightsCache, options: FetchSettings, server: FileServer, tmp_path: Path, keys: dict[str, str], sent: str
) -> None:
    port = server.url.rpartition(":")[2]
    for key, value in keys.items():
        (tmp_path / key).write_text(value.format(port=port))
    server.redirects = {"moved.ckpt": f"http://localhost:{port}/a.ckpt"}
    settings = options.model_copy(update={"credentials": tmp_path})
    fetch(f"{server.url}/moved.ckpt", sha256=None, cache=cache, settings=settings)
    assert [headers.get("Authorization") for headers in server.headers] == [sent, None]


@pytest.mark.parametrize(
    "keys",
    [
        {"HTTP_BEARER_TOKEN": "secret", "HTTP_BEARER_HOST": "other.test"},
        {"netrc": "machine other.test login whale password secret"},
        {"netrc": "default login whale password secret"},
        {"HF_TOKEN": "secret"},
        {"AWS_ACCESS_KEY_ID": "secret", "AWS_SECRET_ACCESS_KEY": "secret"},
    ],
    ids=lambda keys: f"{'-'.join(keys)}",
)
def test_a_credential_of_another_host_is_not_sent(
    cache: WeightsCache, options: FetchSettings, server: FileServer, tmp_path: Path, keys: dict[str, str]
) -> None:
    for key, value in keys.items():
        (tmp_path / key).write_text(value)
    fetch(
        f"{server.url}/a.ckpt", sha256=None, cache=cache, settings=options.model_copy(update={"credentials": tmp_path})
    )
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize("scheme", ["gs", "az"])
def test_a_store_that_redirects_passes_no_credential_on(
    place_of: Open, cache: WeightsCache, server: FileServer, scheme: str, content: bytes
) -> None:
    place = place_of(scheme, content=content)
    assert isinstance(place, ServedFile)
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.always_dated = True
    place.server.redirects = {place.path: f"{elsewhere}/a.ckpt"}
    fetched(place, cache, sha256=None)
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "expected a Secret with one of the keys "),
        ({"HTTP_BEARER_TOKEN": "s3cr3t"}, "expected the key HTTP_BEARER_HOST beside HTTP_BEARER_TOKEN, got none"),
        ({"HTTP_BEARER_HOST": "host"}, "expected the key HTTP_BEARER_TOKEN beside HTTP_BEARER_HOST, got none"),
        ({"netrc": "machine host\nlogin s3cr3t s3cr3t s3cr3t"}, "got a fault in line"),
        ({"netrc": "s3cr3t\xff"}, "key netrc: expected text in UTF-8, got other bytes"),
        ({"HTTP_BEARER_TOKEN": "a s3cr3t", "HTTP_BEARER_HOST": "{host}"}, "expected printable ASCII characters"),
    ],
    ids=["empty", "token-alone", "host-alone", "netrc", "bytes", "space"],
)
def test_a_secret_that_cannot_be_used_is_an_error_that_does_not_show_it(
    cache: WeightsCache, options: FetchSettings, server: FileServer, tmp_path: Path, keys: dict[str, str], message: str
) -> None:
    for key, value in keys.items():
        (tmp_path / key).write_text(value.replace("{host}", server.url.removeprefix("http://")), encoding="latin-1")
    settings = options.model_copy(update={"credentials": tmp_path})
    with pytest.raises(ConfigInvalid) as caught:
        fetch(f"{server.url}/a.ckpt", sha256=None, cache=cache, settings=settings)
    assert message in caught.value.line
    assert "s3cr3t" not in caught.value.line


@pytest.mark.parametrize(
    ("scheme", "keys"),
    [
        ("s3", {"AWS_ACCESS_KEY_ID": "secret"}),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": "{secret"}),
        ("az", {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "secret!"}),
    ],
)
def test_credentials_of_a_store_that_cannot_be_used_are_an_error_that_does_not_show_them(
    place_of: Open, cache: WeightsCache, scheme: str, keys: dict[str, str]
) -> None:
    place = place_of(scheme)
    place.give(keys)
    with pytest.raises(ConfigInvalid) as caught:
        fetched(place, cache, sha256=None)
    assert "expected credentials of the form that the store has, got" in caught.value.line
    assert all(key in caught.value.line for key in keys)
    assert "secret" not in caught.value.line


def test_a_bundle_extends_the_trust_of_the_environment(
    place_of: Open,
    cache: WeightsCache,
    authority: trustme.CA,
    bundle: Path,
    tmp_path: Path,
    content: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = place_of("http", tls=private(authority), content=content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    other = tmp_path / "other.crt"
    trustme.CA().cert_pem.write_to_path(other)
    settings = place.settings.model_copy(update={"ca_bundle": other})
    assert fetch(place.url, sha256=None, cache=cache, settings=settings).path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda pem: "", "got 0 that are complete out of 0 that begin"),
        (lambda pem: pem + pem[:300], "got 1 that are complete out of 2 that begin"),
        (lambda pem: pem + pem.replace("MII", "AAA", 1), "got a fault in number 2 of 2: "),
    ],
    ids=["empty", "truncated", "damaged"],
)
def test_each_certificate_of_a_bundle_must_be_readable(
    authority: trustme.CA, bundle: Path, change: Callable[[str], str], message: str
) -> None:
    bundle.write_text(change(bundle.read_text()))
    for read in (trusted, read_bundle):
        with pytest.raises(CABundleInvalid, match=message):
            read(bundle)


def test_a_bundle_that_is_missing_names_the_field(tmp_path: Path) -> None:
    with pytest.raises(CABundleInvalid, match=r"No such file or directory - check .* spec\.serving\.caBundle"):
        trusted(tmp_path / "ca.crt")
