"""The kopf handler of CetaceanModels: each event stores the object and queues its reconcile.

`on.event` is level based: the queue behind it coalesces, orders, retries and backs off, and the reconcile reads the
whole state. kopf's `on.create` and `on.update` react to edges, keep their progress in annotations, and need a finalizer
for deletions; this operator leaves no trace in the resource but its status.
"""

from __future__ import annotations

from typing import Any

import kopf

from cetacean_operator.api import names
from cetacean_operator.api.kinds import MODELS
from cetacean_operator.handlers.context import Context


@kopf.on.event(names.GROUP, names.VERSION, names.PLURAL)
async def cetaceanmodel_event(event: kopf.RawEvent, memo: Context, **_: Any) -> None:
    """Store the CetaceanModel of an event, or forget it if it was deleted, and queue its reconcile."""
    memo.cache.store_event(MODELS, event)
