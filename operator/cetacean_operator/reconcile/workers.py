"""The workers behind the queue: each reconciles one resource at a time."""

from __future__ import annotations

import asyncio
import logging
import time

from cetacean_operator.kube.client import ApiError, NamespaceTerminatingError
from cetacean_operator.kube.lease import NotLeadingError
from cetacean_operator.kube.store import Key
from cetacean_operator.metrics.collectors import Metrics
from cetacean_operator.reconcile.queue import WorkQueue
from cetacean_operator.reconcile.reconciler import Reconciler

_LOG = logging.getLogger(__name__)
# Admission webhooks invent reasons, any number of them: only Kubernetes' own become labels.
_REASONS = frozenset(
    [
        *("BadRequest", "Unauthorized", "Forbidden", "NotFound", "MethodNotAllowed", "NotAcceptable", "AlreadyExists"),
        *("Conflict", "Gone", "Expired", "Invalid", "RequestEntityTooLarge", "UnsupportedMediaType", "TooManyRequests"),
        *("InternalError", "ServiceUnavailable", "ServerTimeout", "Timeout", "StoreReadError"),
    ]
)


async def work(queue: WorkQueue[Key], reconciler: Reconciler, metrics: Metrics, *, timeout: float) -> None:  # noqa: ASYNC109 -- a bound on each reconcile, not on this
    """Reconcile whatever is due, one resource at a time, until cancelled. Nothing ends it."""
    while True:
        key = await queue.take()
        started = time.monotonic()
        result = "error"
        try:
            async with asyncio.timeout(timeout):
                after = await reconciler.reconcile(key)
        except NotLeadingError:
            result = "not_leading"
        except NamespaceTerminatingError:
            # The resource is deleted with its namespace, and the watch will report that: do not try again.
            result = "ok"
            queue.succeeded(key)
            extra = {"resource": "/".join(key), "reason": "NamespaceTerminating"}
            _LOG.info("the namespace is being deleted: nothing is created in it any more", extra=extra)
        except Exception as error:  # noqa: BLE001 -- one bad resource must not end a worker
            _failed(queue, metrics, key, error)
        else:
            result = "ok"
            queue.succeeded(key)
            if after == 0.0:
                queue.add(key)
            elif after is not None:
                queue.add_after(key, after + 1.0)
        finally:
            queue.done(key)
            metrics.reconcile_seconds.labels(result).observe(time.monotonic() - started)


def _failed(queue: WorkQueue[Key], metrics: Metrics, key: Key, error: Exception) -> None:
    known = isinstance(error, ApiError | TimeoutError)
    conflict = isinstance(error, ApiError) and error.code == 409
    reason = (error.reason or "NoAnswer") if isinstance(error, ApiError) else type(error).__name__
    delay = queue.retry(key, not_before=(isinstance(error, ApiError) and error.retry_after) or 0.0)
    counted = "Other" if isinstance(error, ApiError) and error.code and reason not in _REASONS else reason
    metrics.reconcile_errors.labels(counted if known else "Unexpected").inc()
    extra = {"resource": "/".join(key), "reason": reason}
    level = logging.DEBUG if conflict else logging.WARNING if known else logging.ERROR
    _LOG.log(level, "%s, again in %.1f s", str(error) or reason, delay, extra=extra, exc_info=None if known else error)
