"""Places that weights come from: one real server for each scheme, behind a relay that speaks TLS and cuts answers."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from pathlib import Path

from cetacean_inference.settings import FetchSettings
from support.file_server import FileServer
from support.moto_server import ObjectServer
from support.relay import Relay

FILE = "folder/a.safetensors"


class Place(ABC):
    """One server, and the settings with which a pod reads it.

    Args:
        relay: before the server.
        settings: without credentials.
        folder: for the keys of the Secret.
        tls: true if the relay speaks TLS.
    """

    def __init__(self, relay: Relay, settings: FetchSettings, folder: Path, *, tls: bool = False) -> None:
        self.relay = relay
        self.folder = folder
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{relay.port}"
        folder.mkdir(exist_ok=True)
        self._settings = settings

    @property
    def settings(self) -> FetchSettings:
        """The settings, with the keys that `give` has written."""
        return self._settings.model_copy(update={"credentials": self.folder, **self.more()})

    def more(self) -> dict[str, object]:
        """Return further settings."""
        return {}

    def give(self, keys: dict[str, str]) -> None:
        """Make these keys the Secret's only ones."""
        for path in self.folder.iterdir():
            path.unlink()
        for key, value in keys.items():
            (self.folder / key).write_text(value, encoding="utf-8")

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL of the file."""

    @abstractmethod
    def store(self, content: bytes) -> None:
        """Store the file."""

    @abstractmethod
    def allow(self) -> None:
        """Give the credentials that may read the file."""

    @abstractmethod
    def deny(self) -> None:
        """Give credentials that the server knows or does not know, and that may not read the file."""


class ServedFile(Place):
    """A file of the file server, which wants the header Authorization that `allowed` matches."""

    allowed = re.compile("Bearer right")

    def __init__(
        self, relay: Relay, settings: FetchSettings, folder: Path, *, server: FileServer, tls: bool = False
    ) -> None:
        super().__init__(relay, settings, folder, tls=tls)
        self.server = server
        server.authorization = self.allowed
        server.always_dated = True

    @property
    def path(self) -> str:
        """The path that the server is asked for."""
        return FILE

    @property
    def url(self) -> str:
        return f"{self.address}/{FILE}"

    def store(self, content: bytes) -> None:
        file = self.server.directory / self.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def allow(self) -> None:
        self.give({"HTTP_BEARER_TOKEN": "right", "HTTP_BEARER_HOST": f"127.0.0.1:{self.relay.port}"})

    def deny(self) -> None:
        self.give({"HTTP_BEARER_TOKEN": "wr0ng", "HTTP_BEARER_HOST": f"127.0.0.1:{self.relay.port}"})


class ServedLogin(ServedFile):
    """The same with user and password in a netrc file."""

    allowed = re.compile("Basic d2hhbGU6cmlnaHQ=")

    def allow(self) -> None:
        self.give({"netrc": "machine other.test login x password y\nmachine 127.0.0.1 login whale password right\n"})

    def deny(self) -> None:
        self.give({"netrc": "machine 127.0.0.1 login whale password wr0ng\n"})


class Hub(ServedFile):
    """A repository of the Hub."""

    def more(self) -> dict[str, object]:
        return {"hf_endpoint": self.address}

    @property
    def path(self) -> str:
        return f"o/r/resolve/main/{FILE}"

    @property
    def url(self) -> str:
        return f"hf://o/r/{FILE}"

    def allow(self) -> None:
        self.give({"HF_TOKEN": "right"})

    def deny(self) -> None:
        self.give({"HF_TOKEN": "wr0ng"})


class GoogleBucket(ServedFile):
    """A bucket of Google Cloud Storage at the level of requests: no emulator speaks the API that obstore uses."""

    allowed = re.compile("")

    @property
    def path(self) -> str:
        return f"whales/{FILE}"

    @property
    def url(self) -> str:
        return f"gs://whales/{FILE}"

    def allow(self) -> None:
        key = {"gcs_base_url": self.address, "disable_oauth": True}
        key |= {"client_email": "", "private_key": "", "private_key_id": ""}
        self.give({"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key), "GOOGLE_BASE_URL": self.address})

    def deny(self) -> None:
        self.allow()
        self.server.authorization = re.compile("Bearer of another")


class AzureContainer(ServedFile):
    """A container of Azure Blob Storage at the level of requests."""

    allowed = re.compile("SharedKey whales:.{44}")

    @property
    def path(self) -> str:
        return f"models/{FILE}"

    @property
    def url(self) -> str:
        return f"az://models/{FILE}"

    def allow(self) -> None:
        self._give("whales")

    def deny(self) -> None:
        self._give("wr0ng")

    def _give(self, account: str) -> None:
        self.give(
            {
                "AZURE_STORAGE_ACCOUNT_NAME": account,
                "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0",
                "AZURE_STORAGE_ENDPOINT": self.address,
            }
        )


class Bucket(Place):
    """A private bucket of S3; moto checks signatures and rights."""

    def __init__(
        self, relay: Relay, settings: FetchSettings, folder: Path, *, server: ObjectServer, tls: bool = False
    ) -> None:
        super().__init__(relay, settings, folder, tls=tls)
        self.server = server
        server.store.delete_object(Bucket=server.bucket, Key=FILE)

    @property
    def url(self) -> str:
        return f"s3://{self.server.bucket}/{FILE}"

    def store(self, content: bytes) -> None:
        self.server.store.put_object(Bucket=self.server.bucket, Key=FILE, Body=content)

    def allow(self) -> None:
        self.give({**self.server.reader, "AWS_ENDPOINT_URL": self.address})

    def deny(self) -> None:
        self.give({**self.server.stranger, "AWS_ENDPOINT_URL": self.address})
