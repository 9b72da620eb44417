"""URLs of weights: http(s)://, file:// and hf://org/repo/path@revision."""

from __future__ import annotations

import posixpath
from urllib.parse import quote, urlsplit, urlunsplit

from huggingface_hub import hf_hub_url

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import one_line


def sibling(url: str, name: str) -> str:
    """Return the URL of the file `name` in the folder of `url`; keeps revision and query."""
    if url.startswith("hf://"):
        repository, path, revision = parse_hf(url)
        beside = posixpath.join(posixpath.dirname(path), name)
        return f"hf://{repository}/{beside}" + (f"@{revision}" if revision else "")
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=posixpath.join(posixpath.dirname(parts.path), quote(name)), fragment=""))


def parse_hf(url: str) -> tuple[str, str, str | None]:
    """Split `hf://org/repo/path@revision` into repository, path and revision.

    Raises:
        ConfigInvalid: a part is missing, or is no name of the Hub.
    """
    organisation, _, rest = url.removeprefix("hf://").partition("/")
    repository, _, rest = rest.partition("/")
    path, _, revision = rest.partition("@")
    if not (organisation and repository and path):
        raise ConfigInvalid(f"{url}: expected hf://organisation/repository/path[@revision]")
    return f"{organisation}/{repository}", path, revision or None


def resolve(url: str, *, hf_endpoint: str) -> str:
    """Return the http(s) or file URL that serves `url`.

    Raises:
        ConfigInvalid: it is no URL of the Hub.
    """
    if not url.startswith("hf://"):
        return url
    repository, path, revision = parse_hf(url)
    try:
        return str(hf_hub_url(repository, path, revision=revision, endpoint=hf_endpoint.rstrip("/")))
    except ValueError as error:
        raise ConfigInvalid(
            f"{url}: expected hf://organisation/repository/path[@revision]: {one_line(error)}"
        ) from error
