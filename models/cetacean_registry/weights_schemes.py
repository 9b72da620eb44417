"""The schemes of weights' URLs that pods can read: one entry each, from which everything else follows.

The operator takes patterns, messages and volumes from here, the service the class that reads the files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class WeightsScheme:
    """One scheme."""

    name: str
    source: str
    """Module and class in `cetacean_inference.weights.sources` that read the files: only the service imports them."""
    pattern: str
    """What follows `name://`, as a regular expression that RE2 also accepts."""
    example: str
    """A URL for messages, with names in the place of its parts."""
    mount: Callable[[str], Mount] | None = None
    """For a scheme whose files are in a volume of the pod: which one a URL needs."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume that has a file of weights."""

    kind: Literal["image", "claim"]
    source: str
    """The image's reference, or the claim's name."""
    folder: str
    """Where the volume is mounted, relative to the folder of all such volumes: the same for the same content."""
    path: str
    """Of the file in the volume; empty if the URL names none."""


def _image(rest: str) -> Mount:
    name, _, digest_and_path = rest.partition("@sha256:")
    digest, _, path = digest_and_path.partition("/")
    return Mount("image", f"{name}@sha256:{digest}", f"oci/{digest}", path)


def _claim(rest: str) -> Mount:
    claim, _, path = rest.partition("/")
    return Mount("claim", claim, f"pvc/{claim}", path)


_OBJECT: Final = r"[A-Za-z0-9$][A-Za-z0-9._-]*/[^\s?#]+"
SCHEMES: Final = (
    WeightsScheme("http", "http.HttpSource", r"[^\s/?#@]+([/?#][^\s]*)?", "http://…"),
    WeightsScheme("https", "http.HttpSource", r"[^\s/?#@]+([/?#][^\s]*)?", "https://…"),
    WeightsScheme(
        "hf", "hub.HubSource", r"[^\s/@]+/[^\s/@]+/[^\s@]+(@[^\s@]+)?", "hf://organisation/repository/path[@revision]"
    ),
    WeightsScheme("s3", "object_store.S3Source", _OBJECT, "s3://bucket/key"),
    WeightsScheme("gs", "object_store.GcsSource", _OBJECT, "gs://bucket/object"),
    WeightsScheme("az", "object_store.AzureSource", _OBJECT, "az://container/blob"),
    WeightsScheme(
        "oci",
        "image.ImageSource",
        r"[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)+(:[\w.-]+)?@sha256:[0-9a-f]{64}(/[^\s?#]+)?",
        "oci://registry/repository@sha256:…[/path]",
        mount=_image,
    ),
    WeightsScheme(
        "pvc", "claim.ClaimSource", r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[^\s?#]+", "pvc://claim/path", mount=_claim
    ),
)
"""A new entry needs a module in `cetacean_inference/weights/sources`, and nothing else."""
NAMES: Final = tuple(scheme.name for scheme in SCHEMES)
URL_PATTERN: Final = f"^({'|'.join(f'{scheme.name}://{scheme.pattern}' for scheme in SCHEMES)})$"
"""URLs that a pod can read; file:// is only for a service that is started by hand."""
_EXAMPLES: Final = [scheme.example for scheme in SCHEMES]
URL_EXPECTED: Final = f"expected {', '.join(_EXAMPLES[:-1])} or {_EXAMPLES[-1]}, without user:password@"


def mount_of(url: str) -> Mount | None:
    """Return the volume in which a URL's file is, None if it is in none."""
    name, _, rest = url.partition("://")
    for scheme in SCHEMES:
        if scheme.name == name and scheme.mount is not None:
            return scheme.mount(rest)
    return None


def scheme_of(url: str) -> str:
    """Return the part of a URL before `://`, empty if there is none."""
    scheme, mark, _ = url.partition("://")
    return scheme if mark else ""
