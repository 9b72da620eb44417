"""The schemes of weights' URLs that pods can read: one entry each, from which the patterns and messages follow.

`cetacean_inference.weights.sources` has the module that reads each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class WeightsScheme:
    """One scheme."""

    name: str
    pattern: str
    """What follows `name://`, as a regular expression that RE2 also accepts."""
    example: str
    """A URL for messages, with names in the place of its parts."""


SCHEMES: Final = (
    WeightsScheme("http", r"[^\s/?#@]+([/?#][^\s]*)?", "http://…"),
    WeightsScheme("https", r"[^\s/?#@]+([/?#][^\s]*)?", "https://…"),
    WeightsScheme("hf", r"[^\s/@]+/[^\s/@]+/[^\s@]+(@[^\s@]+)?", "hf://organisation/repository/path[@revision]"),
)
"""A new entry needs a module in `cetacean_inference/weights/sources` and a line in its `__init__.py`."""
NAMES: Final = tuple(scheme.name for scheme in SCHEMES)
URL_PATTERN: Final = f"^({'|'.join(f'{scheme.name}://{scheme.pattern}' for scheme in SCHEMES)})$"
"""URLs that a pod can read; file:// is only for a service that is started by hand."""
_EXAMPLES: Final = [scheme.example for scheme in SCHEMES]
URL_EXPECTED: Final = f"expected {', '.join(_EXAMPLES[:-1])} or {_EXAMPLES[-1]}, without user:password@"


def scheme_of(url: str) -> str:
    """Return the part of a URL before `://`, empty if there is none."""
    scheme, mark, _ = url.partition("://")
    return scheme if mark else ""
