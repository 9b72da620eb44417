"""Where weights come from: one module for each scheme or family of schemes, behind the interface `Source`.

`cetacean_registry.weights_schemes` lists the schemes and names the class of each, for the operator too. Only file://
is missing there, as pods never get such a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.credentials import Credentials
from cetacean_inference.weights.sources.file import FileSource
from cetacean_inference.weights.sources.source import Source
from cetacean_registry.urls import redacted
from cetacean_registry.weights_schemes import SCHEMES, scheme_of


def _source_class(reference: str) -> type[Source]:
    module, _, name = reference.partition(".")
    found: type[Source] = getattr(import_module(f"{__name__}.{module}"), name)
    return found


SOURCES: Final[Mapping[str, type[Source]]] = {
    **{scheme.name: _source_class(scheme.source) for scheme in SCHEMES},
    "file": FileSource,
}
CREDENTIAL_KEYS: Final = frozenset(key for kind in SOURCES.values() for key in kind.credential_keys)
"""The keys of a Secret that a source uses; others are ignored."""


def source_of(url: str, settings: FetchSettings) -> Source:
    """Return the source of a file.

    Raises:
        ConfigInvalid: its scheme is none of `SOURCES`, or there should be credentials and are none.
    """
    Credentials(settings.credentials).require_any(CREDENTIAL_KEYS)
    return _kind(url)(url, settings)


def sibling(url: str, name: str) -> str:
    """Return the URL of the file `name` in the folder of `url`.

    Raises:
        ConfigInvalid: its scheme is none of `SOURCES`, or a part of it is missing.
    """
    return _kind(url).sibling(url, name)


def file_name(url: str) -> str:
    """Return the name of the file that a URL leads to; raises as `sibling` does."""
    return _kind(url).file_name(url)


def _kind(url: str) -> type[Source]:
    kind = SOURCES.get(scheme_of(url))
    if kind is None:
        raise ConfigInvalid(f"{redacted(url)}: expected one of the schemes {', '.join(SOURCES)}")
    return kind
