"""What keeps a container from going on, each with the reason it is reported under.

The reasons are the class names. They end up as `Reason: message` in the container's termination message, from where the
operator reads them, so messages stay on one line and name the URL, what was expected and what came.
"""

from __future__ import annotations


class CannotGoOn(Exception):  # noqa: N818 - the subclasses' names are the reasons on the wire, and those carry no suffix
    """Base of everything that ends `fetch` or `serve`; `str()` is the message, `reason` its machine-readable name."""

    @property
    def reason(self) -> str:
        """The name under which the failure is reported."""
        return type(self).__name__

    @property
    def line(self) -> str:
        """`Reason: message` on one line."""
        return f"{self.reason}: {' '.join(str(self).split())}"


class DigestMismatch(CannotGoOn):
    """Bytes came whole but are not those that were named."""


class WeightsNotFound(CannotGoOn):
    """The server says that there is no such file, or that we may not have it."""


class WeightsUnreachable(CannotGoOn):
    """The server could not be reached or kept failing."""


class WeightsTruncated(CannotGoOn):
    """Fewer bytes came than were announced, however often it was asked."""


class WeightsTooLarge(CannotGoOn):
    """The file is larger than the configured bound."""


class CacheFull(CannotGoOn):
    """The file does not fit into the cache's volume, even after eviction."""


class CheckpointMismatch(CannotGoOn):
    """The checkpoint cannot be read safely, or its parameters are not the architecture's."""


class ClassesMismatch(CannotGoOn):
    """`encoder_classes.npy` or `species_map.csv` do not fit the model."""


class GateUnavailable(CannotGoOn):
    """The anti-fraud model is missing or unusable; the service never answers without it."""


class ConfigInvalid(CannotGoOn):
    """A setting is missing or wrong."""
