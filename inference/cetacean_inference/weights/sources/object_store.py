"""s3://bucket/key, gs://bucket/object and az://container/blob, by obstore.

Credentials come from the keys of a Secret, else from the environment: obstore reads the same names there, and those
of the identities that clouds give to pods.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from urllib.parse import urlsplit

from cetacean_inference.errors import ConfigInvalid, FatalError, WeightsDenied, WeightsNotFound, WeightsUnreachable
from cetacean_inference.messages import printable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.credentials import Credentials
from cetacean_inference.weights.sources.first_answer import NoAnswer, first_answer
from cetacean_inference.weights.sources.source import Body, Interrupted, NotModified, Source, Unavailable, Wanted
from cetacean_inference.weights.trust import read_bundle, untrusted
from cetacean_registry.urls import redacted

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import ClientConfig, ObjectStore

_STATUS: Final = re.compile(r"status code: (\d{3})([A-Za-z \-]*)")
_CODE: Final = re.compile(r"<Code>(\w{1,64})</Code>")
_CERTIFICATE: Final = re.compile(r"InvalidCertificate\(\s*(\w+)")
_CAUSE: Final = re.compile(r'(?:message|error): "([^"\n]{1,200})"')
_SOCKS: Final = re.compile(r'error: "unsupported scheme (socks\w*)"')
"""reqwest is built without SOCKS in obstore, and says so for each request that such a proxy is meant for."""
_NO_ANSWER: Final = "HTTP error: "
"""In the first line of an error of the connection."""
_METADATA: Final = re.compile(r"Error performing \w+ https?://(169\.254\.169\.254|169\.254\.170\.2|metadata[./])")
_ABOUT_CREDENTIALS: Final = re.compile(r"Token|Authori[sz]ation|Authentication|Credential|Signature|AccessKey")


class ObjectStoreSource(Source):
    """An object of a bucket or container."""

    endpoint_key: ClassVar[str]
    """The key of the address of another service that speaks the same protocol."""
    public_key: ClassVar[str]
    """The key that says that no credentials are needed."""
    store_name: ClassVar[str]
    """The class in `obstore.store`."""

    def __init__(self, url: str, settings: FetchSettings) -> None:
        super().__init__(url, settings)
        parts = urlsplit(url)
        self._bucket, self._key = parts.netloc, parts.path.removeprefix("/")
        self._store: ObjectStore | None = None

    def __enter__(self) -> Self:
        """Set up a client; it connects later.

        Raises:
            ConfigInvalid: a credential has a form that cannot be used.
            CABundleInvalid: the bundle of certificates cannot be used.
        """
        given = Credentials(self.settings.credentials).given(self.credential_keys)
        try:
            self._store = self._connect(given)
        except FatalError:
            raise
        except Exception as error:  # noqa: BLE001 - of each kind; its message may quote a credential
            keys = ", ".join(key for key in self.credential_keys if key in given or key in os.environ)
            raise ConfigInvalid(
                f"{self.name}: expected credentials of the form that the store has, got {type(error).__name__}"
                f" for {keys or 'none'}"
            ) from None
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """Drop the client."""
        self._store = None

    def _connect(self, given: dict[str, str]) -> ObjectStore:
        """Return the bucket; `given` are credentials and address by their keys, the environment has the others."""
        from obstore import store  # noqa: PLC0415 - a library of 15 MB, which `serve` must not load

        config = {key.lower(): value for key, value in given.items()}
        found: ObjectStore = getattr(store, self.store_name)(
            self._bucket, client_options=self._options(given), retry_config={"max_retries": 0}, **config
        )
        return found

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Body]:
        """Ask for the object, or for its rest."""
        import obstore  # noqa: PLC0415 - see above
        from obstore.exceptions import PreconditionError  # noqa: PLC0415

        assert self._store is not None  # noqa: S101 - a context manager
        options: GetOptions = {}
        if wanted.validator:
            options = {"range": {"offset": wanted.offset}, "if_match": wanted.validator}
        elif wanted.present and wanted.present.etag:
            options = {"if_none_match": wanted.present.etag}
        asked = partial(obstore.get_async, self._store, self._key)
        seconds = self.settings.connect_timeout_seconds + self.settings.read_timeout_seconds
        try:
            try:
                found = first_answer(partial(asked, options=options), seconds=seconds)
            except PreconditionError:  # another object by now: take all of it
                found = first_answer(asked, seconds=seconds)
        except NoAnswer as error:
            raise Unavailable(f"{self.name}: {error}") from error
        except Exception as error:
            raise self._failure(error, wanted) from error
        etag = found.meta["e_tag"]
        yield Body(
            chunks=_chunks(iter(found.stream(min_chunk_size=1))),  # as received: buffered bytes would be lost
            offset=found.range[0],
            total=found.meta["size"],
            validator=None if etag is None or etag.startswith("W/") else etag,
            etag=etag,
        )

    def _options(self, given: dict[str, str]) -> ClientConfig:
        endpoint = given.get(self.endpoint_key) or os.environ.get(self.endpoint_key, "")
        options: ClientConfig = {
            "connect_timeout": timedelta(seconds=self.settings.connect_timeout_seconds),
            "read_timeout": timedelta(seconds=self.settings.read_timeout_seconds),
            "timeout": timedelta(seconds=self.pace.longest_seconds),  # of a whole transfer; 30 s by default
            "pool_max_idle_per_host": "0",  # one request at a time: keep no connection open after it
            "allow_http": endpoint.startswith("http://"),
        }
        if self.settings.ca_bundle is not None:
            options["root_certificate"] = read_bundle(self.settings.ca_bundle)
        return options

    def _failure(self, error: Exception, wanted: Wanted) -> Exception:
        """Return the error of a request: the store's answer in short, as the rest of it may quote a credential."""
        from obstore.exceptions import NotModifiedError  # noqa: PLC0415 - see above

        if isinstance(error, NotModifiedError):
            return NotModified()
        text, (status, answer) = str(error), _answer(str(error))
        message = f"{self.name}: expected 200, got {answer}"
        if _METADATA.search(text):
            return WeightsDenied(
                f"{self.name}: no credentials for {self._bucket} - set {' and '.join(self.credential_keys[:2])} in "
                f"spec.serving.weightsCredentials, or {self.public_key}=true if everybody may read it"
            )
        if status in (401, 403) or (status == 400 and _ABOUT_CREDENTIALS.search(answer)):
            hint = "check the credentials; a store also answers so if there is no such object and you may not list it"
            return WeightsDenied(f"{message} - {hint}")
        if status in (404, 410) or (status == 400 and not wanted.offset):
            return WeightsNotFound(message)
        if status is None:
            return self._unreachable(text, answer, wanted)
        return Unavailable(message, restart=wanted.is_refused_by(status))

    def _unreachable(self, text: str, cause: str, wanted: Wanted) -> Exception:
        """Return the error of a request that had no answer, or one that obstore cannot use."""
        if proxy := _SOCKS.search(text):
            return ConfigInvalid(
                f"{self.name}: expected a proxy with http:// or https:// for an object store, got {proxy[1]}:// - "
                "use such a proxy, or name the store's host in NO_PROXY"
            )
        if certificate := _CERTIFICATE.search(text):
            return WeightsUnreachable(untrusted(self.name, certificate[1]))
        # obstore refuses answers without the range that was asked for: bytes kept for such a store would stay useless.
        answered = _NO_ANSWER not in text.partition("\n")[0]
        return Unavailable(f"{self.name}: {cause}", restart=answered and wanted.offset > 0)


class S3Source(ObjectStoreSource):
    """An object of Amazon S3, or of any store that speaks its protocol."""

    credential_keys = (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_SKIP_SIGNATURE",
    )
    endpoint_key = "AWS_ENDPOINT_URL"
    public_key = "AWS_SKIP_SIGNATURE"
    store_name = "S3Store"


class GcsSource(ObjectStoreSource):
    """An object of Google Cloud Storage."""

    credential_keys = ("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BASE_URL", "GOOGLE_SKIP_SIGNATURE")
    endpoint_key = "GOOGLE_BASE_URL"
    public_key = "GOOGLE_SKIP_SIGNATURE"
    store_name = "GCSStore"


class AzureSource(ObjectStoreSource):
    """A blob of Azure Blob Storage."""

    credential_keys = (
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_SKIP_SIGNATURE",
    )
    endpoint_key = "AZURE_STORAGE_ENDPOINT"
    public_key = "AZURE_SKIP_SIGNATURE"
    store_name = "AzureStore"


def _chunks(stream: Iterator[Any]) -> Iterator[bytes]:
    try:
        for chunk in stream:
            yield bytes(chunk)
    except Exception as error:
        raise Interrupted(_cause(str(error))) from error


def _answer(text: str) -> tuple[int | None, str]:
    """Return the status of a store's answer, and a phrase with it and the store's code."""
    status = _STATUS.search(text)
    if status is None:
        return None, _cause(text)
    code = _CODE.search(text)
    phrase = f"{status[1]} {status[2].strip()}".strip()
    return int(status[1]), f"{phrase} ({code[1]})" if code else phrase


def _cause(text: str) -> str:
    """Return the innermost reason of a failed request."""
    causes = _CAUSE.findall(text)
    if causes:
        return redacted(printable(causes[-1]))
    if "TimedOut" in text or "Timeout" in text:
        return "timed out"
    return redacted(printable(text.partition("\n")[0].rpartition(" error: ")[2]))
