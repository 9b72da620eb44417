"""Access to the Hugging Face Hub: the token is sent to the Hub's endpoint only, and a refusal says what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from huggingface_hub import get_token

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import with_type

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Access:
    """The headers of a request to the Hub, and a phrase for the message if the server refuses it."""

    headers: dict[str, str]
    refusal: str


def access_to(url: str, *, hf_endpoint: str, token: str | None = None) -> Access:
    """Return the access to a URL: with a token if it lies under the Hub's endpoint, else without.

    Args:
        url: an http(s) or file URL, as it is requested.
        hf_endpoint: the Hub's.
        token: instead of the environment's.

    Raises:
        ConfigInvalid: the token cannot be read or sent.
    """
    if not is_under(url, hf_endpoint):
        return Access({}, "")
    try:
        token = token or get_token()
    except Exception as error:  # a file that cannot be read, an exchange of tokens that fails
        raise ConfigInvalid(f"HF_TOKEN: expected a token of the Hub, got an error: {with_type(error)}") from error
    if not token:
        return Access({}, " - the repository is gated or private, or there is none: set HF_TOKEN")
    return Access(
        {"Authorization": f"Bearer {require_header_value('HF_TOKEN', token)}"},
        " - the repository is gated, or HF_TOKEN gives no access to it: ask for access on its page",
    )


def require_header_value(name: str, token: str) -> str:
    """Return a token that a header can have.

    Raises:
        ConfigInvalid: no header can have it; the message has its name only.
    """
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise ConfigInvalid(f"{name}: expected printable ASCII characters without spaces, got others")
    return token


def is_under(url: str, endpoint: str) -> bool:
    """Return True if a URL is of the endpoint's origin, and below its path."""
    there, base = urlsplit(url), urlsplit(endpoint)
    ports = [parts.port or _DEFAULT_PORTS.get(parts.scheme) for parts in (there, base)]
    same_origin = (there.scheme, there.hostname, ports[0]) == (base.scheme, base.hostname, ports[1])
    return same_origin and there.path.startswith(f"{base.path.rstrip('/')}/")
