"""Access to servers of HTTP: the headers that prove it, for the hosts that a credential names and for no other."""

from __future__ import annotations

import base64
from typing import Final
from urllib.parse import urlsplit

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.credentials import NETRC, Credentials
from cetacean_inference.weights.hub import Access, access_to, is_under, require_header_value

BEARER_TOKEN: Final = "HTTP_BEARER_TOKEN"  # noqa: S105 - the name of a key
BEARER_HOST: Final = "HTTP_BEARER_HOST"
HUB_TOKEN: Final = "HF_TOKEN"  # noqa: S105
KEYS: Final = (BEARER_TOKEN, BEARER_HOST, NETRC, HUB_TOKEN)
"""Keys of credentials for http, https and hf: a URL under the Hub's endpoint is the Hub's, however it is written."""


def server_access(url: str, settings: FetchSettings) -> Access:
    """Return the access to a URL of http or https.

    Raises:
        ConfigInvalid: a credential cannot be read or sent.
    """
    credentials = Credentials(settings.credentials)
    if is_under(url, settings.hf_endpoint):
        return access_to(url, hf_endpoint=settings.hf_endpoint, token=credentials.get(HUB_TOKEN))
    parts = urlsplit(url)
    if token := _bearer_token(credentials, parts.netloc):
        return Access({"Authorization": f"Bearer {token}"}, f" - {BEARER_TOKEN} gives no access to it")
    if login := credentials.login(parts.hostname or ""):
        encoded = base64.b64encode(":".join(login).encode()).decode()
        return Access({"Authorization": f"Basic {encoded}"}, f" - the login in {NETRC} gives no access to it")
    return Access({}, " - give a credential for this host in spec.serving.weightsCredentials")


def _bearer_token(credentials: Credentials, host: str) -> str | None:
    given = credentials.given((BEARER_TOKEN, BEARER_HOST))
    if len(given) == 1:
        missing = ({BEARER_TOKEN, BEARER_HOST} - given.keys()).pop()
        raise ConfigInvalid(f"weightsCredentials: expected the key {missing} beside {next(iter(given))}, got none")
    if not given or given[BEARER_HOST].lower() != host.lower():
        return None
    return require_header_value(BEARER_TOKEN, given[BEARER_TOKEN])
