"""The memo that kopf gives to each handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cetacean_operator.handlers.watch_middleware import WatchMiddleware
from cetacean_operator.kube.client import ApiClient
from cetacean_operator.reconcile.cache_updater import CacheUpdater


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the process that handlers use."""

    kube: ApiClient
    cache: CacheUpdater
    middleware: WatchMiddleware

    def __copy__(self) -> Self:
        """Return itself: kopf copies the memo for each resource, and these parts are the process's."""
        return self
