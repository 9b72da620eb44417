"""Errors that end `fetch` or `serve`; each class name is the reason that the operator reads.

The reason and the message end up as `Reason: message` in the container's termination message. Messages are one line
that names the URL, the expected value and the value found.
"""

from __future__ import annotations

from typing import Final

from cetacean_inference.messages import printable

LONGEST_LINE: Final = 1900
"""Characters of a message; Kubernetes keeps 4096 bytes of it."""


class FatalError(Exception):
    """Base of everything that ends a command; `str()` is the message, `reason` its machine-readable name."""

    @property
    def reason(self) -> str:
        """The name under which the failure is reported."""
        return type(self).__name__

    @property
    def line(self) -> str:
        """`Reason: message` on one line of bounded length: messages quote files and answers from outside."""
        return f"{self.reason}: {printable(str(self)[: 2 * LONGEST_LINE])[:LONGEST_LINE]}"


# The subclasses' names are the reasons on the wire, and those have no suffix.


class DigestMismatch(FatalError):  # noqa: N818
    """The bytes are complete but have another digest than expected."""


class SignatureMissing(FatalError):  # noqa: N818
    """A signature is required, and there is none."""


class SignatureMismatch(FatalError):  # noqa: N818
    """The signature cannot be read, is of other weights, or is by none of the trusted keys and certificates."""


class SigningKeyUnreadable(FatalError):  # noqa: N818
    """A trusted key or certificate is missing or cannot be read."""


class WeightsNotFound(FatalError):  # noqa: N818
    """The server says that the file does not exist."""


class WeightsEvicted(FatalError):  # noqa: N818
    """A file that this pod has fetched is not in the cache any more, and cannot be fetched again here."""


class WeightsDenied(FatalError):  # noqa: N818
    """The server denies access to the file: a credential is missing, wrong, or gives no access to it."""


class WeightsUnreachable(FatalError):  # noqa: N818
    """The server could not be reached or kept failing."""


class WeightsTruncated(FatalError):  # noqa: N818
    """Every attempt received fewer bytes than the server announced."""


class WeightsTooLarge(FatalError):  # noqa: N818
    """The file is larger than the configured bound."""


class CacheFull(FatalError):  # noqa: N818
    """The file does not fit into the cache's volume, even after eviction."""


class CheckpointMismatch(FatalError):  # noqa: N818
    """The checkpoint cannot be read safely, or its parameters are not the architecture's."""


class ClassesMismatch(FatalError):  # noqa: N818
    """`encoder_classes.npy` or `species_map.csv` do not fit the model."""


class GateUnavailable(FatalError):  # noqa: N818
    """The anti-fraud model is missing or unusable; the service never answers without it."""


class ConfigInvalid(FatalError):  # noqa: N818
    """A setting is missing or wrong."""


class CABundleInvalid(FatalError):  # noqa: N818
    """The bundle of more certificates is missing, or has a certificate that cannot be read."""
