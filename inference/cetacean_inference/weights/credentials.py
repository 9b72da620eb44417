"""The credentials of downloads: the keys of a Secret, which the pod of `fetch` has as files in one folder.

They are in no message and no log: errors name keys only.
"""

from __future__ import annotations

import netrc
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import reason_of

NETRC: Final = "netrc"
LONGEST: Final = 2**20
"""Bytes of a key; a Secret has no more."""


class Credentials:
    """The values of one folder.

    Args:
        folder: has a file for each key, None if there are no credentials.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def require_any(self, known: Iterable[str]) -> None:
        """Check that there is a value for at least one key, if there are credentials at all.

        Raises:
            ConfigInvalid: the Secret does not exist, or has only other keys.
        """
        keys = sorted(known)
        if self._folder is not None and not any((self._folder / key).is_file() for key in keys):
            raise ConfigInvalid(
                f"spec.serving.weightsCredentials: expected a Secret with one of the keys {', '.join(keys)}, "
                f"got none of them in {self._folder}"
            )

    def get(self, key: str) -> str | None:
        """Return the value of a key, without the space around it; None if there is none.

        Raises:
            ConfigInvalid: it is no text.
        """
        if self._folder is None:
            return None
        try:
            with (self._folder / key).open("rb") as stream:
                return stream.read(LONGEST).decode().strip() or None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except UnicodeDecodeError:
            raise ConfigInvalid(f"weightsCredentials, key {key}: expected text in UTF-8, got other bytes") from None
        except OSError as error:
            raise ConfigInvalid(f"weightsCredentials, key {key}: cannot be read: {reason_of(error)}") from error

    def given(self, keys: Iterable[str]) -> dict[str, str]:
        """Return those of the keys that have a value."""
        return {key: value for key in keys if (value := self.get(key)) is not None}

    def login(self, host: str) -> tuple[str, str] | None:
        """Return user and password of a host by the key `netrc`, None if it does not name the host.

        The entry `default` is not used: it would be sent to every host.

        Raises:
            ConfigInvalid: the key has no netrc file.
        """
        if self._folder is None or self.get(NETRC) is None:
            return None
        try:
            entries = netrc.netrc(str(self._folder / NETRC)).hosts
        except netrc.NetrcParseError as error:  # its message quotes the file
            raise ConfigInvalid(
                f"weightsCredentials, key {NETRC}: expected lines such as `machine HOST login USER password WORD`, "
                f"got a fault in line {error.lineno}"
            ) from None
        if host == "default" or host not in entries:
            return None
        user, _, password = entries[host]
        return user, password or ""
