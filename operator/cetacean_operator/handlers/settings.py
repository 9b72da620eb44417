"""kopf's settings: it watches CetaceanModels and writes nothing, so it leaves no finalizer, annotation or Event."""

from __future__ import annotations

from typing import Any

import kopf

from cetacean_operator.settings import Settings

_DISABLED = 1e9
_PAGE_SIZE = 50
"""Of CetaceanModels, which have up to 1.5 MB each: kopf holds a page in memory as text and as objects."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled state: no handler compares, and a copy of each object takes most of an event's time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:  # noqa: ARG002 -- kopf's names
        """Return an empty essence."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 -- kopf's names
        """Return nothing."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Write nothing."""


def kopf_settings(settings: Settings) -> kopf.OperatorSettings:
    """Return the settings that make kopf watch and do nothing else."""
    result = kopf.OperatorSettings()
    result.posting.enabled = False
    result.peering.standalone = True
    result.persistence.diffbase_storage = NoDiffBase()
    result.persistence.progress_storage = kopf.StatusProgressStorage()  # the cheapest one: it reads one field
    result.scanning.disabled = True  # neither CRDs nor namespaces are watched: fewer rights
    result.watching.chunk_size = _PAGE_SIZE
    result.watching.server_timeout = settings.watch_server_timeout
    result.watching.inactivity_timeout = _DISABLED  # the middleware bounds silence (docs/upstream-kopf.md)
    result.watching.connect_timeout = settings.request_timeout
    result.networking.request_timeout = settings.request_timeout
    result.queueing.idle_timeout = 0.2  # kopf keeps the last event of each object in memory for so long
    # If kopf itself has failed, no event comes any more: the process must end soon, so that the kubelet restarts it.
    result.process.ultimate_exiting_timeout = 10.0
    return result
